/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * members.h - which sources belong to a farm, and what a rule may say about each.
 *
 * A member is a (source, stack) whose posterior of the component is 0.5 or more and
 * whose own delays say split: at least min_handshakes of them, never only its
 * neighbours' (a source of which little is known stays undecided). The posterior is
 * held at 0.999: sensors and model have doubts of their own.
 *
 * Where the component is direct - whoever it is ends TLS at the exits - its members are.
 * Delays tell none of them from the people whose machines these are: they get no rules, and
 * a posterior of 0.98 is asked for. What is left - pace, system, resumption - says little of
 * a source with a handful of connections: of 139 sources whose last posterior was 0.9 to 0.98
 * on six sites (F7, 1%) 18 were the farm's, of 2,215 above 2,183.
 *
 * Who began after a ban is a member, and gets a rule, by what replacements.h says of newcomers,
 * however few its handshakes.
 *
 * A source is *mixed* when it also shows direct handshakes: D* under the threshold
 * and D1 under 10 ms. Where its split ones wait (D1 follows D*), acknowledgements that
 * were held up cannot fake both, and one direct handshake is enough; where they do
 * not, D* of a split connection is small in up to a fifth of the cases (timing.md:
 * ACK compression), and more than 30% is needed - or one while traffic was clean.
 *
 * Waiting, mixed or not: the rule carries `d1>=T dstar>=U`, which are read from the
 * connection it judges. Who lives behind an exit may come with the farm's stack when it
 * is ruled already. D1 alone would do but for a busy machine of his, which made 2 of 163
 * such visits 10 ms late for their hello. Late for the second flight as well were 4 of
 * 830 (both from 10 ms on; one from 30 ms), so both ask for half of what the farm's
 * connections show: U of the least of the last five D* from 10 ms on (the median, where
 * someone lives there: his would be less), T of the leg by it; 10 ms at least.
 * `split>=N`, of earlier connections, would be the farm's as well as his.
 * Mixed otherwise, or with a direct handshake whose D1 was 10 ms or more: no rule.
 */
#ifndef WINNOW_DETECT_MEMBERS_H
#define WINNOW_DETECT_MEMBERS_H

#include <stdbool.h>

#include "detect/config.h"
#include "detect/features.h"
#include "detect/window.h"
#include "model/cohort.h"
#include "model/plan.h"

#define POSTERIOR_MAX 0.999

/* Fills the counts of direct and split handshakes, clean time included. Direct: both
 * delays were. direct_waiting: D1 from 10 ms, D* below D1's bin. */
void member_handshakes(struct cohort_member *m, const struct view *lately,
		       const struct view *clean);

double member_posterior(const struct cohort_member *m);
bool member_is(const struct cohort_member *m);
bool member_mixed(const struct cohort_member *m);

/* This share of a delay in 0.1 ms, as a rule asks for it: in whole ms, 10 to 200. */
uint16_t member_delay(uint32_t tenths, double share);

/* True: *rule has its predicates (zeros: none needed). False: `why` says why not. */
bool member_rule(const struct cohort_member *m, const struct detect_config *c, uint32_t threshold,
		 struct plan_rule *rule, char why[PLAN_REASON]);

/* How many members began STAY_AFTER minutes ago or earlier, and how many of those were
 * seen again STAY_FOR minutes after they had begun. Windows shorter than a minute count
 * as one (a lab). */
#define STAY_AFTER 60
#define STAY_FOR   10
void members_stay(const struct windows *w, const struct cohort *members, uint64_t window,
		  size_t *early, size_t *stayed);

#endif
