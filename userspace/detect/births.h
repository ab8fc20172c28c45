/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * births.h - what grows back after a ban, and what a newcomer is worth then.
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
 * A newcomer. Of the births of these traits since the ban, at most upper95(m) are what
 * always came:
 *
 *   share    = (born - m) / born,   share_lo = (born - upper95(m, phi')) / born
 *   odds     = share_lo / (1 - share_lo) * prod of P(c | farm) / P(c | others)
 *
 * over what its connections showed besides the traits that were counted (a likelihood
 * ratio of one when nothing did). With .9 of the births the farm's a newcomer needs 3.5
 * bits to be a member at .99, not the 13.3 of one in a hundred. One connection is a
 * measurement, two are a habit: births_convicted() wants two, or one at .999, and never
 * acts on fewer than BIRTHS_LEAST births.
 *
 * In:     counts; exposures. An exposure is whatever births without the cause would be in
 *         proportion to: births of everybody else in the same time (they know the hour of
 *         the day and crowds), or seconds where those are few. Traits are those of
 *         births_traits(): more handshakes than not have a D* over the stack's threshold,
 *         or a hello that waited for a far end.
 * Errors: none; what is not known counts for nothing.
 * Source: detection.md 3.10, 5.7, 7; Wald 1945 (likelihood ratios as bets).
 */
#ifndef WINNOW_DETECT_BIRTHS_H
#define WINNOW_DETECT_BIRTHS_H

#include <stdbool.h>
#include <stdint.h>

#define BIRTHS_LEAST     10   /* newcomers with the traits since the ban */
#define BIRTHS_POSTERIOR 0.99 /* of a member that gets a rule; config.posterior by default */

struct births_ban {
	double ruled;            /* members under a rule from the ban on */
	double held, held_alive; /* members left out at random; of those, active after it */
	double before, after;    /* exposures */
	double born_before;      /* sources that began with the traits in the first */
	double born;             /*   and in the second, in networks where none is ruled */
	double phi;              /* variance over mean of births before; below 1: 1 */
};

struct births {
	double expected, upper95;
	double p, e;
	double bits; /* log2 e, within 20 either way */
	double share, share_lo;
	double displaced; /* replacements for each one that would still be there */
};

struct births births_of(const struct births_ban *b);

/* Of one source: handshakes seen of it since it began. */
struct births_newcomer {
	uint32_t split;  /* D* at or over the threshold, or D1 followed D* over 10 ms */
	uint32_t direct; /* neither */
	double bits;     /* log2 P(the rest of what it showed | farm) / P(. | others) */
};

/* One birth of the farm's traits? More of its handshakes split than not. */
bool births_traits(const struct births_newcomer *n);
double births_posterior(const struct births *b, const struct births_newcomer *n);
/* Sure enough for a rule that names this source and stack, after so few connections. */
bool births_convicted(const struct births *b, const struct births_ban *ban,
		      const struct births_newcomer *n, double posterior_least);

#endif
