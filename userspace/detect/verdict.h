/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.h - one (stack, service) through its states, a window at a time.
 *
 *   NONE -> WATCH     one more kind than when clean (gain, members)
 *   WATCH -> FLAG     the gate held in flag_hits of the last flag_windows windows
 *                     With clean days to compare with: P(a clean day) < 1e-3 to be
 *                     watched, or an e-value of as much with one hidden origin in it;
 *                     rejected by e-BH to be flagged.
 *                     Direct newcomers are a crowd on most days: such are watched only
 *                     where the decision bits are over 0, too.
 *   FLAG -> PROPOSE   decision bits, a plan whose precision bound holds, and members who
 *                     stay: a rule on an address that is never seen again stops nothing,
 *                     and whoever asks once through each of many homes (a survey, a
 *                     monitoring service) looks the same
 *   FLAG, PROPOSE -> WATCH  decision bits below 0 for retract_windows: it was wrong
 *   -> DECAY          below unflag_bits for unflag_windows; back to FLAG by the gate
 *   WATCH, DECAY -> NONE  nothing new for flag_windows windows
 *
 * The gate: concealment against what does not conceal, coordination against what
 * does not coordinate (or one operator instead), spread, decision bits over 0, and
 * for an own stack - fewer than 20 clean sources - its size and age: nothing but time
 * tells it from a release. While no clean days are known, either, most of its sources
 * are the farm's: where one has not been learnt yet, every stack is new, and the people behind
 * relays of a popular one are hundreds. And its sources stay, as far as an hour has shown that:
 * there are no other days to compare with, and who asks once through each of many homes from one
 * origin, on a stack of his own, is a farm in everything else (N13). On a stack that others
 * have one operator counts instead of coordination only where the sources stay; of fewer
 * than 20 members that must be known. Up to 26 members lie apart by chance also where a
 * company has 50 exits (N2d): of a stack that others have they are watched for 12 hours
 * first, by when the others of a company lie beside them. Direct members of such a stack are
 * watched for 6: a crowd (N9) is even only while it is young.
 *
 * ENFORCE is set by whoever applies a plan, not here.
 * Source: detection.md 5.6.
 */
#ifndef WINNOW_DETECT_VERDICT_H
#define WINNOW_DETECT_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "detect/config.h"
#include "model/farm.h"

struct verdict_input {
	uint64_t now;     /* ns since 1970 */
	uint32_t windows; /* since the step before; 0 counts as 1 */
	double gain;
	size_t members; /* split, posterior >= 0.5 */
	size_t sources; /* of the cohort, lately */
	size_t prefixes;
	double conceal, coordinate, one_operator, bits;
	double spread;
	bool own;
	bool unsplit;          /* its members are direct: only watched if bits speak for a farm */
	bool calibrated;       /* by the scores of clean days: then also */
	bool rejected;         /* by e-BH over all cohorts */
	double p, e, e_needed; /* e_needed: log10 */
	bool plan_holds;       /* rules for half of the members meet the precision bound */
	size_t early, stayed;  /* of the members: members_stay() */
};

struct verdict {
	enum farm_state state;
	uint32_t hits;     /* newest window in bit 0: the gate held */
	uint32_t windows;  /* since WATCH */
	uint32_t idle;     /* windows with nothing new */
	uint32_t low;      /* windows below unflag_bits */
	uint32_t negative; /* windows below 0 */
	uint64_t watched_at, flagged_at, proposed_at;
};

/* ln /24s over ln sources that so many members must reach. */
double verdict_spread(const struct detect_config *c, size_t members);

/* `gate` says what is missing for the next state; empty: nothing. */
void verdict_step(struct verdict *v, const struct verdict_input *in, const struct detect_config *c,
		  char *gate, size_t size);

#endif
