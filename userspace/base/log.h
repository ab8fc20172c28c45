/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - talk on stderr, or to the journal when it started us.
 *
 * Only daemon/, cli/ and tests print; the rooms below return errors. Messages
 * have three parts: what failed, on what, what to do.
 */
#ifndef WINNOW_BASE_LOG_H
#define WINNOW_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTE, LOG_DETAIL };

/* The word before each line ("winnow"), and the most detail that is shown. */
void log_open(const char *name, enum log_level most);

void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)  log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)   log_at(LOG_WARN, __VA_ARGS__)
#define log_note(...)   log_at(LOG_NOTE, __VA_ARGS__)
#define log_detail(...) log_at(LOG_DETAIL, __VA_ARGS__)

/* Who else hears each line, whatever detail is shown; NULL: nobody. Any thread. */
void log_watch(void (*fn)(void *ctx, enum log_level level, const char *text), void *ctx);

/* "FMT: strerror(-err)" at LOG_ERROR; returns err, so that it can be returned. */
int log_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for a sentence that a lower room hands up beside its -errno. */
struct reason {
	char text[512];
};

/* Fills r (may be NULL) and returns err. */
int reason_set(struct reason *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
