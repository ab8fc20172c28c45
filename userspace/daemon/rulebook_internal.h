/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rulebook_internal.h - what rulebook.c and rulebook_load.c share.
 */
#ifndef WINNOW_DAEMON_RULEBOOK_INTERNAL_H
#define WINNOW_DAEMON_RULEBOOK_INTERNAL_H

#include "daemon/rulebook.h"

void stop_at(const char *step);

void slot_release(struct rulebook *b, uint32_t index);
int book_keep(struct rulebook *b, struct rule_entry *e);
int book_keys(struct rulebook *b, struct rule_entry *e, struct reason *r);
struct rule_match book_match(const struct rule_entry *e);
int book_put(struct rulebook *b, struct rule_entry *e, struct reason *r);
void book_sweep(struct rulebook *b, const struct rule_entry *list, size_t n);
/* The slot in the kernel gets what may change about a rule. */
void book_impose(struct rulebook *b, const struct rule_entry *e);
int book_take_out(struct rulebook *b, struct rule_entry *e);

#endif
