/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/ledger.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define POOL          20
#define POOL_SHARE    0.1
#define PHI2_LEAST    0.01
#define PHI2_FEW      0.04
#define DAYS_ENOUGH   3
#define OTHERS_LEAST  2
#define OTHERS_ENOUGH 6

void ledger_init(struct ledger *l)
{
	table_init(&l->stacks, sizeof(struct cohort_id), sizeof(struct ledger_stack *));
}

static void stack_free(struct ledger_stack *s)
{
	for (int i = 0; s && i < LEDGER_DAYS; i++)
		cells_clear(&s->day[i]);
	free(s);
}

void ledger_clear(struct ledger *l)
{
	for (size_t i = 0; i < l->stacks.n; i++)
		stack_free(*(struct ledger_stack **)table_value(&l->stacks, i));
	table_clear(&l->stacks);
}

struct ledger_stack *ledger_find(const struct ledger *l, const struct cohort_id *key)
{
	struct ledger_stack **s = table_find(&l->stacks, key);

	return s ? *s : NULL;
}

struct ledger_stack *ledger_add(struct ledger *l, const struct cohort_id *key)
{
	struct ledger_stack **s = table_add(&l->stacks, key, NULL);

	if (s && !*s)
		*s = calloc(1, sizeof(**s));
	return s ? *s : NULL;
}

static bool counts(const struct ledger_stack *s, int i, uint32_t day)
{
	return s->number[i] && s->number[i] < day && s->number[i] + LEDGER_DAYS >= day;
}

size_t ledger_days(const struct ledger_stack *s, uint32_t day)
{
	size_t n = 0;

	for (int i = 0; s && i < LEDGER_DAYS; i++)
		n += counts(s, i, day);
	return n;
}

void ledger_put(struct ledger_stack *s, uint32_t day, struct cells *c)
{
	int at = day % LEDGER_DAYS;

	cells_clear(&s->day[at]);
	s->day[at] = *c;
	memset(c, 0, sizeof(*c));
	s->number[at] = day;
	s->others[at] = 0;
	s->score[at] = 0;
}

void ledger_score(struct ledger_stack *s, uint32_t day, double score, size_t others)
{
	int at = day % LEDGER_DAYS;

	s->score[at] = score;
	s->others[at] = others + 1;
}

size_t ledger_unsettled(const struct ledger_stack *s, uint32_t day, int at[LEDGER_DAYS])
{
	uint32_t first = UINT32_MAX;
	size_t n = 0;

	if (ledger_days(s, day) <= OTHERS_ENOUGH)
		return 0;
	for (int i = 0; i < LEDGER_DAYS; i++)
		if (counts(s, i, day) && s->number[i] < first)
			first = s->number[i];
	for (int i = 0; i < LEDGER_DAYS; i++) {
		if (!counts(s, i, day) || !s->others[i] || s->others[i] > OTHERS_ENOUGH)
			continue;
		/* Of days that were written nobody knows which was the first ever. */
		if (s->number[i] != first || s->others[i] > 1)
			at[n++] = i;
	}
	return n;
}

double ledger_history(const struct ledger_stack *s, uint32_t day, float *full)
{
	double sum = 0;

	memset(full, 0, CELLS * sizeof(*full));
	for (int i = 0; i < LEDGER_DAYS; i++) {
		double weight;

		if (!counts(s, i, day))
			continue;
		weight = exp2(-(day - 1.0 - s->number[i]) / LEDGER_HALF);
		cells_add(&s->day[i], weight, full);
		sum += weight * s->day[i].sum;
	}
	return sum;
}

double ledger_phi2(const struct ledger_stack *s, uint32_t day)
{
	_cleanup_(freep) float *one = calloc(3 * CELLS, sizeof(*one));
	size_t days = ledger_days(s, day);
	double top = 0, bottom = 0, all = 0;
	float *sum, *sum2;

	if (!one || days < DAYS_ENOUGH)
		return PHI2_FEW;
	sum = one + CELLS;
	sum2 = sum + CELLS;
	for (int i = 0; i < LEDGER_DAYS; i++)
		all += counts(s, i, day) ? s->day[i].sum / days : 0;
	for (int i = 0; i < LEDGER_DAYS; i++) {
		if (!counts(s, i, day) || s->day[i].sum <= 0)
			continue;
		/* Shares, as if each day had the same number of sources. */
		for (size_t k = 0; k < s->day[i].len; k++) {
			double v = s->day[i].n[k] * all / s->day[i].sum;

			sum[s->day[i].cell[k]] += v;
			sum2[s->day[i].cell[k]] += v * v;
		}
	}
	for (int c = 0; c < CELLS; c++) {
		double m = sum[c] / days, v;

		if (m <= 5)
			continue;
		v = (sum2[c] - days * m * m) / (days - 1);
		top += v - m;
		bottom += m * m;
	}
	return bottom > 0 ? fmax(PHI2_LEAST, top / bottom) : PHI2_LEAST;
}

size_t ledger_scores(const struct ledger_stack *s, double out[LEDGER_DAYS])
{
	size_t n = 0;

	for (int i = 0; i < LEDGER_DAYS; i++) {
		if (s->number[i] && s->others[i] > OTHERS_LEAST)
			out[n++] = s->score[i];
	}
	return n;
}

/* How likely the smooth mixture makes this cell, its pattern given. */
static double smooth_of(const struct mixture *m, const struct mixture_row *row)
{
	double sum = 0;

	for (size_t k = 0; k < m->n; k++) {
		double p = m->class[k].weight;

		for (int f = 0; f < FEATURES; f++)
			p *= m->class[k].theta[f][row->x[f]];
		sum += p;
	}
	return sum;
}

void ledger_expect(const float *history, double sum, const struct mixture *smooth,
		   const struct cells *in, float *b, float *h)
{
	double k = POOL + POOL_SHARE * sum, pattern[PATTERNS] = {}, all = 0;

	/* Patterns: of the history, and as today, in the same proportion. */
	for (int c = 0; c < CELLS; c++) {
		if (history[c] > 0) {
			struct mixture_row row = cell_row(c);

			pattern[cell_pattern(&row)] += history[c];
		}
	}
	for (size_t i = 0; i < in->len; i++) {
		struct mixture_row row = cell_row(in->cell[i]);

		pattern[cell_pattern(&row)] += k * in->n[i] / in->sum;
	}
	for (int i = 0; i < PATTERNS; i++)
		all += pattern[i];
	for (size_t i = 0; i < in->len; i++) {
		struct mixture_row row = cell_row(in->cell[i]);
		double s = pattern[cell_pattern(&row)] / all * smooth_of(smooth, &row);

		h[i] = history[in->cell[i]];
		b[i] = fmax(in->sum * (h[i] + k * s) / (sum + k), 1e-6);
	}
}
