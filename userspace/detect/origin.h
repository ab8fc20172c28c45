/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * origin.h - do the hidden legs end in one place?
 *
 * With one operator the leg is a function of where the exit is: alike inside a
 * network, different between networks. Independent people behind the same networks
 * each have a leg of their own.
 *
 * Asked of split sources of the stack that were not so when clean; not of members: who is
 * one has been told by what lies beside him, too (near.h), which would prove itself. Asked
 * twice: of all, and of those that look like the farm by themselves (weight before near.h
 * 0.5 or more). A week after clean time honest newcomers behind far ends of their own are as
 * many as a farm of 0.3%, and of all ICC falls from 0.9 to 0.3. What a source shows itself
 * says nothing of where it is, so choosing by it leaves relabelling what it was; p of the
 * better of the two is doubled.
 *
 * y = rank of the median D* of each split source (the shortest of five is often an
 * acknowledgement that was held up: with 7% of those F fell from 40 to 1.1; ln of the
 * median still has a few such sources, which took F from 200 to 2); groups are /20s (v6 /44s), a
 * network with a single source joins its /16 (/40) remainder. Pairs say what they can: 60
 * exits in 41 networks leave 18 with two or more, 8 with three.
 *
 *   F = [sum n_p (ybar_p - ybar)^2 / (P - 1)] / [sum sum (y - ybar_p)^2 / (N - P)]
 *   ICC = (MSB - MSW) / (MSB + (n0 - 1) MSW),  n0 = (N - sum n_p^2 / N) / (P - 1)
 *
 * Fact: x = Fisher z of ICC (atanh), se = 1.5 / sqrt(P) (of pairs 1 / sqrt(P - 1.5)). p is the
 * larger of the F tail and, unless that one is at its floor of 1/1000, of 999 permutations of the
 * labels, which need no normal data. Below 1e-9 the tail stands alone: it would have to
 * be wrong by a factor of a million for one of 999 draws to come up, and of a farm of
 * 25,000 they would cost more than everything else. P < 5: not known.
 *
 * Source: one-way analysis of variance on ranks (Conover and Iman 1981); detection.md 3.2. Weak
 * where exits of one network lead to different gateways; a relay product with regional edges can
 * fake it, so it never convicts alone.
 */
#ifndef WINNOW_DETECT_ORIGIN_H
#define WINNOW_DETECT_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "detect/evidence.h"
#include "model/cohort.h"

struct origin {
	double f, icc, p;
	size_t groups, n;
	int draws;  /* permutations that p stands on; 0: F alone */
	bool alike; /* asked of those that look like the farm */
};

/* y[i] belongs to group[i], any labels, 0: left out. Only the order of y matters. */
struct origin origin_anova(const double *y, const uint64_t *group, size_t n);
struct fact origin_common(const struct cohort *c, struct origin *out);

#endif
