/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ban.h - the ban experiment on one cohort, from its records (births.h has the sums).
 *
 * It begins with the window in which rules of the farm are first in force. Births are
 * records with the farm's traits, by their first connection; expected of them is what
 * came between the farm's proposal and the ban (5 windows at least), in proportion to births
 * without the traits in both times: of the stack, of the site where the stack has fewer than 20,
 * and by the clock where the site has. After the ban only those count that lie in a small network
 * (/24, /48) where nobody is ruled: a fleet replaces its pods beside the old ones.
 *
 * Held out are, of the ruled, the config's share; which ones the kernel decides by its
 * keyed hash, and they are told by what they still do. How many of them would have done
 * something in the time is taken from what the others did in as long a time before. A
 * control arm of fewer than 3 is none.
 *
 * Looked at four times, 20 windows (of a minute at most), 2, 12 and 48 times 20 minutes
 * after the ban; e is the mean over the four of what each gave (nothing before its time),
 * so that looking often gains nothing. Bans that follow one another multiply.
 *
 * What a newcomer is worth since the farm is dropped: replacements.h, and nothing else.
 */
#ifndef WINNOW_DETECT_BAN_H
#define WINNOW_DETECT_BAN_H

#include "detect/births.h"
#include "model/cohort.h"
#include "model/farm.h"

#define BAN_LOOKS 4

struct ban {
	uint64_t at, from; /* ns since 1970; at 0: there was none */
	bool asked;        /* rules are in force; at is the end of this window */
	uint32_t looks;
	double e[BAN_LOOKS];
	uint32_t earlier; /* bans before this one, and log2 of their e */
	double settled;
	struct births_ban seen, looked; /* now; at the last look */
	struct births now, look;
};

struct detect;
struct cohort_state;

/* Rules came in force, or the last one went. */
void ban_enforced(struct ban *b, bool on);

/* After the fit: counts. */
int ban_step(const struct detect *d, struct cohort_state *state, const struct cohort *all);

/* log2 of e over all bans, within 20 either way; 0 while nothing was looked at. */
double ban_bits(const struct ban *b);
/* One line of the explanation; false: there was no ban. */
bool ban_line(const struct ban *b, struct farm_line *l);

#endif
