/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rival_simple.c - thresholds on one number: a source's rate, a stack's evenness or
 * rarity, a cell's excess (LTSS, Neill 2012: the best subset is a prefix by n / b).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tests/sim/rival.h"

#define EVEN_SOURCES 20 /* a stack with fewer says nothing */

bool rival_features(const struct rival_row *r, double f[RIVAL_SPREAD])
{
	double hours = (r->last - r->first) / 3.6e6, g = r->gaps ? r->gap / r->gaps : 0;
	double var = r->gaps > 1 ? r->gap2 / r->gaps - g * g : 0;

	if (r->connections < 2)
		return false;
	f[0] = log(r->connections / (hours + 1));
	f[1] = log(1 + (double)r->exchanges / r->connections);
	f[2] = log(1 + (r->in + r->out) / (r->exchanges + 1));
	f[3] = log(1 + (r->in + r->out) / (3600 * hours + 60));
	f[4] = g;
	f[5] = sqrt(fmax(0, var));
	f[6] = r->n_dstar ? r->dstar / r->n_dstar : 0;
	f[7] = r->n_d1 ? r->d1 / r->n_d1 : 0;
	return true;
}

int rival_rate_hour(const struct rivals *r, double *score)
{
	for (size_t i = 0; i < r->n; i++)
		score[i] = r->row[i].most_in_hour;
	return 0;
}

int rival_rate_total(const struct rivals *r, double *score)
{
	for (size_t i = 0; i < r->n; i++)
		score[i] = r->row[i].exchanges;
	return 0;
}

int rival_rare(const struct rivals *r, double *score)
{
	for (size_t i = 0; i < r->n; i++)
		score[i] = -(double)r->history_sources[r->row[i].stack];
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct evenness {
	double vmr, gini;
};

/* Over the exchange counts of one stack's sources. */
static struct evenness evenness(double *v, size_t n)
{
	double sum = 0, sum2 = 0, ranked = 0;

	qsort(v, n, sizeof(*v), by_size);
	for (size_t i = 0; i < n; i++) {
		sum += v[i];
		sum2 += v[i] * v[i];
		ranked += v[i] * (i + 1);
	}
	return (struct evenness){
		.vmr = (sum2 - sum * sum / n) / n / (sum / n),
		.gini = (2 * ranked / sum - n - 1) / n,
	};
}

static int even(const struct rivals *r, double *score, bool gini)
{
	double *v = malloc((r->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (uint32_t s = 0; s < r->stacks; s++) {
		struct evenness e;
		size_t n = 0;

		for (size_t i = 0; i < r->n; i++)
			if (r->row[i].stack == s)
				v[n++] = r->row[i].exchanges;
		if (n < EVEN_SOURCES)
			continue;
		e = evenness(v, n);
		for (size_t i = 0; i < r->n; i++)
			if (r->row[i].stack == s)
				score[i] = gini ? -e.gini : -e.vmr;
	}
	free(v);
	return 0;
}

int rival_vmr(const struct rivals *r, double *score)
{
	return even(r, score, false);
}

int rival_gini(const struct rivals *r, double *score)
{
	return even(r, score, true);
}

int rival_subset(const struct rivals *r, double *score)
{
	double *total = calloc(2 * r->stacks, sizeof(*total));

	if (!total)
		return -ENOMEM;
	for (uint32_t s = 0; s < r->stacks; s++) {
		for (size_t c = 0; c < RIVAL_CELLS; c++) {
			total[2 * s] += r->history[(size_t)s * RIVAL_CELLS + c];
			total[2 * s + 1] += r->now[(size_t)s * RIVAL_CELLS + c];
		}
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct rival_row *w = &r->row[i];
		double scale = total[2 * w->stack + 1] / (total[2 * w->stack] + 1);

		for (size_t k = 0; k < w->n_cells; k++) {
			size_t at = (size_t)w->stack * RIVAL_CELLS + w->cell[k];
			double b = (r->history[at] + .3) * scale, excess = log(r->now[at] / b);

			score[i] = excess > score[i] ? excess : score[i];
		}
	}
	free(total);
	return 0;
}

/* ---- the best threshold -------------------------------------------------------------------- */

struct scored {
	double score;
	bool farm;
};

static int by_score(const void *a, const void *b)
{
	double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;

	return (x < y) - (x > y);
}

int rival_best(const struct rivals *r, const double *score, struct rival_best *out)
{
	struct scored *s = malloc((r->n + 1) * sizeof(*s));
	size_t farm = 0, right = 0;

	*out = (struct rival_best){ .threshold = INFINITY };
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		s[i] = (struct scored){ score[i], r->row[i].farm };
		farm += r->row[i].farm;
	}
	qsort(s, r->n, sizeof(*s), by_score);
	for (size_t i = 0; i < r->n && s[i].score > RIVAL_NONE; i++) {
		double f1;

		right += s[i].farm;
		if (i + 1 < r->n && s[i + 1].score == s[i].score)
			continue; /* equal scores fall together */
		f1 = 2. * right / (i + 1 + farm);
		if (f1 <= out->f1)
			continue;
		*out = (struct rival_best){ f1, (double)right / (i + 1), (double)right / farm,
					    s[i].score };
	}
	free(s);
	return 0;
}
