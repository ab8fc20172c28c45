/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * births.h - what grows back after a ban.
 *
 * A ban is an experiment: at one moment `ruled` members are shut out and `held` ones,
 * chosen by a keyed hash, are not. Who runs them all replaces those that fail; nobody
 * else has a reason to begin at that moment, with those traits, in other networks.
 *
 *   m     = rate before the ban * exposure after it    births of the farm's traits, as ever
 *   phi'  = phi (1 + after / before)                  over the mean; the rate is a guess, too
 *   k     = ruled * held_alive / held                 who would still be there without rules
 *   p     = P(NB(m, phi' m) >= born)
 *   e     = mean over q = .1, .2 ... 1.2 of NB(born; m + q k) / NB(born; m)
 *
 * e is a likelihood ratio against a mean over alternatives, so its expectation is one
 * if nothing grows back (an e-value); of several bans they multiply. Births far beyond
 * one for one speak against it: that is a crowd. When the held-out members left as well,
 * the campaign ended by itself, k is near 0 and e near 1. Without holdout k is `ruled`.
 *
 * In:     counts; exposures. An exposure is whatever births without the cause would be in
 *         proportion to: births of everybody else in the same time (they know the hour of
 *         the day and crowds), or seconds where those are few.
 * Errors: none; what is not known counts for nothing.
 * Source: detection.md 3.10, 5.7, 7; Wald 1945 (likelihood ratios as bets).
 */
#ifndef WINNOW_DETECT_BIRTHS_H
#define WINNOW_DETECT_BIRTHS_H

#include <stdbool.h>
#include <stdint.h>

struct births_ban {
	double ruled;            /* members under a rule from the ban on */
	double held, held_alive; /* members left out at random; of those, active after it */
	double before, after;    /* exposures */
	double born_before;      /* sources that began with the traits in the first */
	double born;             /*   and in the second, in networks where none is ruled */
	double phi;              /* variance over mean of births before; below 1: 1 */
};

struct births {
	double expected;
	double p, e;
	double bits;      /* log2 e, within 20 either way */
	double displaced; /* replacements for each one that would still be there */
};

struct births births_of(const struct births_ban *b);

#endif
