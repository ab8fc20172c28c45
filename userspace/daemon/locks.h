/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locks.h - what no rule may do, whoever asks; -EACCES becomes exit 6.
 *
 * Always: cover an allowed network or a protected address (protect.h), be a prefix
 * wider than /16 (IPv6 /32).
 * When it is to drop, limit or reset: a rule without source and state that would have
 * hit more than max_share of the proved sources outside farms in the last day; a rule
 * on the address that carries most stacks.
 */
#ifndef WINNOW_DAEMON_LOCKS_H
#define WINNOW_DAEMON_LOCKS_H

#include "daemon/blast.h"
#include "daemon/protect.h"

/* `acts`: not only counting. `view` may be NULL if it does not. */
int locks_check(struct daemon *d, const struct rule_entry *e, bool acts,
		const struct protect *guard, const struct blast_view *view, struct reason *r);

/* Allows of the host's own: refreshed, and a look for a crowd. */
void locks_tick(struct daemon *d, const struct clock *c);

#endif
