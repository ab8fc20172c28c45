/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fit.c - is there one more kind of source in this cohort?
 *
 * With a day or more in the ledger: product.h against the days before. Without: the
 * mixture of kinds that clean traffic taught (mixture.h), which is all a site of a few
 * minutes has.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/internal.h"
#include "detect/stats.h"

#define ORIGIN_SURE 1e-9
#define ORIGIN_ICC  0.7

bool fit_has_days(const struct detect *d, const struct cohort_id *key)
{
	return days_known(d, key) >= 1;
}

void fit_kinds_of(const struct detect *d, uint64_t stack, struct mixture *m)
{
	const struct baseline *b = &d->baseline;
	const struct mixture *known = baseline_kinds(b, stack);

	if (known) {
		*m = *known;
		return;
	}
	memset(m, 0, sizeof(*m));
	m->n = 2;
	mixture_count(NULL, NULL, 0, 1, NULL, m->class[0].theta);
	mixture_count(NULL, NULL, 0, 1, NULL, m->class[1].theta);
	if (b->learnt) {
		memcpy(m->class[0].theta, b->pool, sizeof(b->pool));
		memcpy(m->class[1].theta, b->pool_split, sizeof(b->pool_split));
	}
	m->class[1].weight = fmax(b->split_share, 0.02);
	m->class[0].weight = 1 - m->class[1].weight;
	m->class[0].cap = 1;
	m->class[1].cap = fmin(1, 3 * m->class[1].weight + 0.05);
}

/* ---- without days ------------------------------------------------------------------ */

/* Rows that are equal are one with a count: cost follows the cells, not the sources. */
struct folded {
	struct mixture_row *rows;
	uint8_t *holds;
	float *count;
	uint32_t *of; /* of each member, its row */
	size_t n;
};

static void folded_clear(struct folded *f)
{
	free(f->rows);
	free(f->holds);
	free(f->count);
	free(f->of);
}

static int fold(const struct mixture_row *rows, const uint8_t *holds, size_t n, struct folded *f)
{
	_cleanup_(freep) uint32_t *at = calloc(2 * CELLS, sizeof(*at));

	memset(f, 0, sizeof(*f));
	f->rows = malloc((n + 1) * sizeof(*f->rows));
	f->holds = malloc(n + 1);
	f->count = calloc(n + 1, sizeof(*f->count));
	f->of = malloc((n + 1) * sizeof(*f->of));
	if (!at || !f->rows || !f->holds || !f->count || !f->of)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t *k = &at[2 * cell_of(&rows[i]) + !!holds[i]];

		if (!*k) {
			f->rows[f->n] = rows[i];
			f->holds[f->n] = holds[i];
			*k = ++f->n;
		}
		f->of[i] = *k - 1;
		f->count[*k - 1]++;
	}
	return 0;
}

static int fit_kinds(struct detect *d, struct cohort_state *state, struct cohort *all,
		     const struct mixture_row *rows, const uint8_t *holds)
{
	_cleanup_(folded_clear) struct folded f;
	_cleanup_(freep) float *w = NULL;
	double start[FEATURES][FEATURE_LEVELS];
	struct mixture base;
	int err = fold(rows, holds, all->n, &f);

	if (err)
		return err;
	w = calloc(f.n + 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++)
		w[f.of[i]] += all->members[i].split == DELAY_SPLIT && !holds[i];
	mixture_count(f.rows, w, f.n, 1, NULL, start);
	fit_kinds_of(d, all->stack, &base);
	mixture_fit(&base, f.rows, f.holds, f.count, f.n, start, &state->component, w);
	for (size_t i = 0; i < all->n; i++)
		all->members[i].weight = all->members[i].alone = w[f.of[i]];
	state->p = 1;
	state->e = 0;
	state->scores = 0;
	state->before = -1;
	return 0;
}

/* ---- with days ------------------------------------------------------------------------ */

/* Free parameters that were really used: levels with at least one source's worth. */
static double penalty(const struct product *p, double n)
{
	int used = 1;

	for (int f = 0; f < FEATURES; f++) {
		int levels = 0;

		for (int x = 1; x <= feature_levels[f]; x++)
			levels += p->q[f][x] * p->a >= 1;
		used += levels > 1 ? levels - 1 : 0;
	}
	return 0.5 * used * log(fmax(n, 2));
}

struct day_fit {
	struct cells cells; /* all that are filled today or were before */
	float *history, *full, *b, *h, *w;
};

static void day_fit_clear(struct day_fit *f)
{
	cells_clear(&f->cells);
	free(f->history);
	free(f->b);
}

static int day_fit_begin(struct day_fit *f)
{
	memset(f, 0, sizeof(*f));
	f->history = calloc(2 * CELLS, sizeof(*f->history));
	if (!f->history)
		return -ENOMEM;
	f->full = f->history + CELLS;
	return 0;
}

/* With the counts of a day in `full`: its cells, and what the days before `until` let expect in
 * them. */
static int day_fit_expect(const struct detect *d, const struct cohort_id *key, uint32_t until,
			  double n, struct day_fit *f)
{
	struct mixture kinds;
	double sum = ledger_history(ledger_find(&d->ledger, key), until, f->history);
	int err;

	/* Cells that are empty and were all but empty before change nothing. */
	for (int c = 0; c < CELLS; c++)
		f->full[c] += f->history[c] * n > 0.3 * sum ? 1e-6F : 0;
	err = cells_pack(f->full, &f->cells);
	if (err)
		return err;
	f->b = calloc(3 * (f->cells.len + 1), sizeof(*f->b));
	if (!f->b)
		return -ENOMEM;
	f->h = f->b + f->cells.len + 1;
	f->w = f->h + f->cells.len + 1;
	for (size_t i = 0; i < f->cells.len; i++)
		f->cells.n[i] = floorf(f->cells.n[i] + 0.5F);
	f->cells.sum = n;
	fit_kinds_of(d, key->stack, &kinds);
	ledger_expect(f->history, sum, &kinds, &f->cells, f->b, f->h);
	return 0;
}

static struct product_in day_fit_in(const struct day_fit *f, double phi2, unsigned int kept)
{
	return (struct product_in){
		f->cells.len, f->cells.cell, f->cells.n, f->b, f->h, phi2, kept
	};
}

int fit_left_out(struct detect *d, const struct cohort_id *key, int at, uint32_t until,
		 double *score)
{
	struct ledger_stack *s = ledger_find(&d->ledger, key);
	_cleanup_(day_fit_clear) struct day_fit f;
	uint32_t number = s->number[at];
	struct product p;
	int err = day_fit_begin(&f);

	if (err)
		return err;
	cells_add(&s->day[at], 1, f.full);
	s->number[at] = 0;
	err = day_fit_expect(d, key, until, s->day[at].sum, &f);
	if (!err) {
		struct product_in in = day_fit_in(&f, ledger_phi2(s, until), 0);

		err = product_find(&in, &p, f.w);
	}
	s->number[at] = number;
	*score = !err && isfinite(p.llr) ? p.llr : 0;
	return err;
}

/* How many sources of clean days stood in cells that would be ruled now: the most of any
 * day, a fifth more, in proportion to today's sources (detection.md 6.1). */
static double before_onset(const struct ledger_stack *s, uint32_t today, const float *w,
			   double least, double n)
{
	double most = 0;

	for (int i = 0; i < LEDGER_DAYS; i++) {
		double y = 0;

		if (!s->number[i] || s->number[i] > today || s->day[i].sum <= 0)
			continue;
		for (size_t k = 0; k < s->day[i].len; k++)
			y += w[s->day[i].cell[k]] >= least ? s->day[i].n[k] : 0;
		most = fmax(most, y * n / s->day[i].sum);
	}
	return 1.2 * most;
}

/* Most of what is new is direct. */
static bool is_unsplit(const struct product *p)
{
	return p->q[FEATURE_DSTAR][1] > 0.5;
}

/* More split sources than there were may be a surge of people behind relays - but those
 * have no origin in common. Where that is sure, the excess is no drift of a margin. */
static unsigned int split_kept(const struct origin *o)
{
	return o->groups && o->p < ORIGIN_SURE && o->icc > ORIGIN_ICC
		       ? 1U << FEATURE_D1 | 1U << FEATURE_DSTAR
		       : 0;
}

static int fit_days(struct detect *d, struct cohort_state *state, struct cohort *all,
		    const struct mixture_row *rows, const uint8_t *holds)
{
	struct cohort_id key = { all->stack, all->service };
	const struct ledger_stack *s = ledger_find(&d->ledger, &key);
	_cleanup_(day_fit_clear) struct day_fit f;
	double scores[LEDGER_DAYS];
	struct product p;
	uint32_t until = days_of(d->windows.now) + 1;
	int err = day_fit_begin(&f);

	for (size_t i = 0; i < all->n && !err; i++)
		f.full[cell_of(&rows[i])]++;
	if (!err)
		err = day_fit_expect(d, &key, until, all->n, &f);
	if (!err) {
		struct product_in in =
			day_fit_in(&f, ledger_phi2(s, until), split_kept(&state->origin));

		err = product_find(&in, &p, f.w);
	}
	if (err)
		return err;
	memset(&state->component, 0, sizeof(state->component));
	state->scores = ledger_scores(s, scores);
	for (size_t i = 0; i < all->n; i++) {
		all->members[i].weight = 0;
		all->members[i].unsplit = state->scores >= SCORES_LEAST && is_unsplit(&p);
	}
	state->p = 1;
	if (!isfinite(p.llr))
		return 0;
	state->component = (struct mixture_component){ .share = p.share, .lo = p.lo, .hi = p.hi };
	memcpy(state->component.q, p.q, sizeof(p.q));
	state->component.gain = p.llr - penalty(&p, all->n);
	state->component.llr = p.llr;
	state->p = product_p(scores, state->scores, p.llr);
	/* Too little to be watched, whoever its sources are: it is not asked who they are. */
	if (state->verdict.state == FARM_NONE && state->component.gain < d->config.watch_nats)
		return 0;
	/* Nor where a farm was, and the stack has no more of anything than its days explain, or
	 * more of something else: a crowd of direct newcomers for the split farm that was
	 * flagged. Whoever is in a component of that is chance, or somebody else. */
	state->nobody = state->verdict.state >= FARM_FLAG &&
			(state->component.gain < 0 || (state->hides && is_unsplit(&p)));
	if (state->nobody)
		return 0;
	/* The cells, back in full, by number. */
	memset(f.full, 0, CELLS * sizeof(*f.full));
	for (size_t i = 0; i < f.cells.len; i++)
		f.full[f.cells.cell[i]] = f.w[i];
	err = weigh_days(d, all, rows, holds, f.full, &p);
	state->before =
		before_onset(s, days_of(d->windows.now), f.full, d->config.posterior, all->n);
	return 0;
}

/* Of a stack that clean traffic did not have, days are what was left when its farm had
 * been taken out: no history of a crowd twice as large, of which product.h would allow
 * the farm half. */
static bool is_remainder(const struct detect *d, const struct cohort_id *key, size_t n)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	const struct ledger_stack *days = ledger_find(&d->ledger, key);
	double most = 0;

	for (int i = 0; days && i < LEDGER_DAYS; i++)
		most = fmax(most, days->number[i] ? days->day[i].sum : 0);
	return (!s || s->sources < POOL_SOURCES) && 2 * most < n;
}

int fit_cohort(struct detect *d, struct cohort_state *state, struct cohort *all,
	       const struct mixture_row *rows, const uint8_t *holds)
{
	struct cohort_id key = { all->stack, all->service };

	state->nobody = false;
	return fit_has_days(d, &key) && !is_remainder(d, &key, all->n)
		       ? fit_days(d, state, all, rows, holds)
		       : fit_kinds(d, state, all, rows, holds);
}
