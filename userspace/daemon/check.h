/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - what would happen to a client, and why: the judgement of the
 * programs retold from what has been tallied, for `rule check` and blast.h.
 *
 * A rule is certain when source and stack decide; it is possible when it also
 * asks for a JA4, an order or a D1 that only the next hello can show.
 */
#ifndef WINNOW_DAEMON_CHECK_H
#define WINNOW_DAEMON_CHECK_H

#include "daemon/daemon.h"

/* winnow.check/1: {text, matched, dropped, allowed, rules: []}. stack 0: those
 * the source was seen with. NULL: no memory. */
json_t *check_source(struct daemon *d, struct addr a, uint64_t stack, bool *dropped);

/* Whether the rule meets, or may meet, connections of this tally. */
bool check_meets(struct daemon *d, const struct rule_entry *e, const struct snapshot *snap,
		 const struct tally *t);

#endif
