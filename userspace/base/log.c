/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

static const char *log_name = "winnow";
static enum log_level log_most = LOG_NOTE;
static bool log_journal;

static void (*log_heard)(void *ctx, enum log_level level, const char *text);
static void *log_heard_ctx;

void log_watch(void (*fn)(void *ctx, enum log_level level, const char *text), void *ctx)
{
	log_heard = fn;
	log_heard_ctx = ctx;
}

/* The stream that systemd made for us is stderr itself, not an ancestor's. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_open(const char *name, enum log_level most)
{
	log_name = name;
	log_most = most;
	log_journal = is_journal();
}

/* "rule 7 ...", "farm f1: ...": what it is about, as a field to select by. */
static const char *subject(const char *text, char *field, size_t size)
{
	static const struct {
		const char *word, *name;
	} kinds[] = { { "rule ", "WINNOW_RULE" }, { "farm ", "WINNOW_FARM" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].word);

		if (strncmp(text, kinds[i].word, len))
			continue;
		snprintf(field, size, "%s=%.*s", kinds[i].name, (int)strcspn(text + len, " :,"),
			 text + len);
		return "%s";
	}
	return NULL;
}

static void log_line(enum log_level level, const char *text)
{
	static const char *const names[] = { "error", "warning", "notice", "info" };
	static const int priority[] = { 3, 4, 5, 6 };
	size_t word = strcspn(text, " :");
	char field[64];

	if (log_heard)
		log_heard(log_heard_ctx, level, text);
	if (level > log_most)
		return;
	/* WINNOW_ABOUT is what the line is about, its first word: rule, farm, device ... */
	if (log_journal && !sd_journal_send("MESSAGE=%s", text, "PRIORITY=%d", priority[level],
					    "SYSLOG_IDENTIFIER=%s", log_name, "WINNOW_LEVEL=%s",
					    names[level], "WINNOW_ABOUT=%.*s", (int)word, text,
					    subject(text, field, sizeof(field)), field, NULL))
		return;
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
