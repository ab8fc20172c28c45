/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

static const char *log_name = "winnow";
static enum log_level log_most = LOG_NOTE;
static bool log_journal;

void log_open(const char *name, enum log_level most)
{
	log_name = name;
	log_most = most;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

static void log_line(enum log_level level, const char *text)
{
	static const char *const prefix[] = { SD_ERR, SD_WARNING, SD_NOTICE, SD_INFO };

	if (level > log_most)
		return;
	if (log_journal)
		fprintf(stderr, "%s%s\n", prefix[level], text);
	else
		fprintf(stderr, "%s: %s\n", log_name, text);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(level, text);
}

int log_fail(int err, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - n, ": %s", strerror(err < 0 ? -err : err));
	log_line(LOG_ERROR, text);
	return err;
}

int reason_set(struct reason *r, int err, const char *fmt, ...)
{
	va_list ap;

	if (!r)
		return err;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return err;
}
