/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * journal.h - the newest things that were said, for those who watch: winnow.event/1.
 *
 * A ring of JOURNAL_KEPT lines with a sequence number each; who asks later than that
 * is told how many he missed. Any thread may write.
 */
#ifndef WINNOW_EXPORT_JOURNAL_H
#define WINNOW_EXPORT_JOURNAL_H

#include <jansson.h>
#include <stdint.h>

#define JOURNAL_KEPT 1024
#define JOURNAL_TEXT 512 /* longer lines are cut */

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal *j);

/* `level`: "error", "warning", "notice", "info"; real: ns since 1970. */
void journal_add(struct journal *j, uint64_t real, const char *level, const char *text);

/* winnow.events/1 {events, next, missed}: all after `after`. */
json_t *journal_json(struct journal *j, uint64_t after);
/* What `after` must be to get the newest n. */
uint64_t journal_last(struct journal *j, uint64_t n);

#endif
