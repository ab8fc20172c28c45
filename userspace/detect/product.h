/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * product.h - a day's cells against what the days before let expect, plus one component
 * of product form.
 *
 *   n_c ~ mean lambda_c = b_c + a Q_c,  Q_c = m[pattern(c)] prod over known f of q_f[x_f(c)]
 *   e_c = 1 / (1 + b_c (phi2 + 1 / (H_c + 1)))           the trust in cell c
 *   llr = sum_c e_c (n_c ln(1 + a Q_c / b_c) - a Q_c)     nats
 *
 * b is raked (iterative proportional fitting): its one-way margins - each feature and
 * the pattern - follow those of what is not component, so that an ordinary drift of a
 * margin (weekend, carrier) is absorbed and only a joint excess is left - but for margins
 * that are `kept`: there more than before is an excess by itself. q, m, a by
 * multiplicative EM, in rounds around the raking.
 *
 * In:     n, b, H for every cell where n or b is not 0; b > 0 wherever n > 0. phi2:
 *         relative variance of a cell from day to day beyond counting.
 * Out:    w[i], the share of the component in cell i: a Q / (b + a Q).
 * Bound:  a <= half of all. Tables are held by 2% of the component's mass a level.
 * Errors: -ENOMEM.
 * Source: detection.md 5.4; Deming and Stephan 1940 (raking).
 */
#ifndef WINNOW_DETECT_PRODUCT_H
#define WINNOW_DETECT_PRODUCT_H

#include "detect/cells.h"

struct product_in {
	size_t len;
	const uint16_t *cell;
	const float *n, *b, *history;
	double phi2;
	unsigned int kept; /* features (bits) whose margins are not raked */
};

struct product {
	double a;             /* sources of the component */
	double share, lo, hi; /* of all, 95% */
	double llr;
	double q[FEATURES][FEATURE_LEVELS]; /* [f][0] is 1 */
	double m[PATTERNS];
};

/* The best of fits from several starts, each tried for one round: how farms may look,
 * and the subset of cells that holds most more than expected. */
int product_find(const struct product_in *in, struct product *out, float *w);

/* Scales b so that its margins, but those in `kept`, are those of n less the component's;
 * `rounds` sweeps. */
void product_rake(const struct mixture_row *rows, const float *rest, float *b, size_t len,
		  int rounds, unsigned int kept);

/* P(a clean day gives llr or more) from kept scores of clean days: Gumbel by moments,
 * and the exponential tail of the scores over their median where that is heavier; never
 * below 1 / (n + 1) by less than the tail allows. Fewer than 4 scores: 1. */
#define SCORES_LEAST 4
double product_p(const double *scores, size_t n, double llr);

#endif
