/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdr.c - which cohorts are rejected together.
 *
 * Each cohort's e-value is kappa p^(kappa - 1), kappa 1/4, which is one for any valid p
 * (Vovk and Wang). Of m cohorts those with the k* largest are rejected, k* the largest k
 * whose k-th e-value is m / (alpha k) or more: the share of false ones among them is
 * alpha at most, whatever depends on what (e-BH; online: arXiv 2407.20683). What comes
 * from a permutation of the networks (one hidden origin) is an e-value of its own and
 * multiplies.
 */
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/internal.h"

#define KAPPA    0.25
#define ALPHA    0.01
#define ORIGIN_P 0.01

static double e_of(double p)
{
	return p >= 1 ? 0 : KAPPA * pow(fmax(p, 1e-30), KAPPA - 1);
}

static int by_e(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

void fdr_reject(struct detect *d, struct cohort_state *state, struct verdict_input *in)
{
	_cleanup_(freep) double *e = malloc((d->cohorts.n + 1) * sizeof(*e));
	size_t m = 0, n = 0;
	double least;

	state->e = e_of(state->p);
	if (state->origin.p < ORIGIN_P)
		state->e *= fmax(1, e_of(state->origin.p));
	for (size_t i = 0; i < d->survey.n_groups; i++)
		m += d->survey.groups[i].sources >= d->config.min_members;
	for (size_t i = 0; e && i < d->cohorts.n; i++)
		e[n++] = ((struct cohort_state *)table_value(&d->cohorts, i))->e;
	if (e)
		qsort(e, n, sizeof(*e), by_e);
	least = m / ALPHA;
	for (size_t k = 1; k <= n; k++) {
		if (e[k - 1] >= m / (ALPHA * k))
			least = e[k - 1];
	}
	state->least = least;
	in->e = state->e;
	in->e_needed = log10(least);
	in->rejected = state->e >= least;
}
