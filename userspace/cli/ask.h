/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.h - what most commands do with an answer.
 */
#ifndef WINNOW_CLI_ASK_H
#define WINNOW_CLI_ASK_H

#include <stdbool.h>

#include "cli/client.h"
#include "cli/rows.h"

/* A question whose success needs no data: prints `done` (talk) or the reply as
 * JSON. Returns the exit code. */
int ask_act(const char *verb, json_t *args, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A question whose answer is a list, see rows_print(). */
int ask_rows(const char *verb, json_t *args, const char *list, const char *row_schema,
	     const struct column *cols, const char *none);

/* The rules, a page at a time: there may be more than one answer holds. Each rule that
 * is there throughout is in one page. Returns the exit code; what went wrong was said. */
int ask_rules(void (*page)(void *ctx, json_t *doc), void *ctx);

/* How something comes into force, by the options --enforce, --count, --dry-run,
 * --confirm-within and the ssh session, joins `args`. */
json_t *with_how(json_t *args);

/* 0: go on. Otherwise the exit code: CLI_USAGE where nobody can be asked,
 * CLI_NO when the answer was no. --yes answers. */
int ask_first(const char *question);

/* Talk on stderr, safe for a terminal. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
