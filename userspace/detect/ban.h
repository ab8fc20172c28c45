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
 * Newcomers since the ban (24 hours at most) get the birth-conditional posterior and, if
 * that convicts them, a rule from their first or second connection on. Expected among
 * them are honest ones, in proportion to newcomers without the traits, as many as the
 * stack's clean sources had; a farm that goes on growing by itself makes no honest births.
 * What is counted beside the traits: TCP signature and D1, against the kinds that are
 * split.
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
struct mixture_row;

/* Rules came in force, or the last one went. */
void ban_enforced(struct ban *b, bool on);

/* After the fit: counts, and newcomers' weights. `rows`: of each in `all`. */
int ban_step(struct detect *d, struct cohort_state *state, struct cohort *all,
	     const struct mixture_row *rows);

/* log2 of e over all bans, within 20 either way; 0 while nothing was looked at. */
double ban_bits(const struct ban *b);
/* One line of the explanation; false: there was no ban. */
bool ban_line(const struct ban *b, struct farm_line *l);

#endif
