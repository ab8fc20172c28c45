/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weigh.c - the posterior of one source: its cell of today, its earlier days, its sessions,
 * how many honest ones came with it (newcomers.h), and what lies beside it (near.h) - those two
 * speak of legs, so not where the component is direct. All of
 * that, not the cells alone, says in the next round what the component looks like.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/internal.h"

#define DAY_NATS_MOST  4.0
#define DAY_NATS_LEAST -6.0
#define HABIT_NATS     1.0

/* Kinds of honest sources, and how much speaks for each by now. */
struct habits {
	const struct mixture *kinds;
	double kind[MIXTURE_CLASSES], sum;
};

static struct habits habits_of(const struct mixture *kinds, const struct mixture_row *today)
{
	struct habits h = { .kinds = kinds };

	for (size_t k = 0; k < kinds->n; k++)
		h.sum += h.kind[k] =
			kinds->class[k].weight * exp(mixture_ln(kinds->class[k].theta, today));
	return h;
}

/* What one more row adds to the odds. A honest source is of one kind and stays of it, so
 * rows are multiplied inside each kind, not across. */
static double one_more(struct habits *h, const struct mixture_row *row,
		       const double q[FEATURES][FEATURE_LEVELS])
{
	double next = 0, nats;

	for (size_t k = 0; k < h->kinds->n; k++)
		next += h->kind[k] *= exp(mixture_ln(h->kinds->class[k].theta, row));
	nats = h->sum > 0 && next > 0 ? mixture_ln(q, row) - log(next / h->sum) : 0;
	h->sum = next;
	return nats;
}

/* What a source's earlier days add to the odds, in nats. Who is behind a relay is so every
 * day, over the same leg, with the same system: a delay or a signature counts once, from
 * the newest day that shows it. Its pace is a habit, too, and days of it count little;
 * sessions have a measure of their own. */
static double earlier_days(const struct record *r, const struct mixture_row *today,
			   const struct mixture *kinds, const double q[FEATURES][FEATURE_LEVELS])
{
	struct habits h = habits_of(kinds, today);
	struct mixture_row known = *today;
	double nats = 0;

	for (int day = 0; day < r->days; day++) {
		struct mixture_row row = cell_row(r->cell[day]), first = {}, pace = {};

		for (int f = FEATURE_D1; f <= FEATURE_TCP; f++) {
			first.x[f] = known.x[f] ? 0 : row.x[f];
			known.x[f] |= first.x[f];
		}
		pace.x[FEATURE_RATE] = row.x[FEATURE_RATE];
		pace.x[FEATURE_GAPS] = row.x[FEATURE_GAPS];
		nats += fmax(DAY_NATS_LEAST, fmin(DAY_NATS_MOST, one_more(&h, &first, q)));
		nats += fmax(-HABIT_NATS, fmin(HABIT_NATS, one_more(&h, &pace, q)));
	}
	return nats;
}

#define CELL_LATER 2 /* connections that a cell without sessions stands for */

/* All sessions of a source, less what its cell of today says of them - or of all. */
static double more_sessions(const struct record *r, const struct cohort_member *m,
			    const struct sessions *farm, const struct sessions *honest, bool of_all)
{
	struct sessions_seen today = {}, life;

	life = sessions_seen(r->connections, r->resumed);
	if (m->connections >= 3 && !of_all)
		today = sessions_seen(m->connections, m->resumed);
	if (!today.resumed)
		today.later = fmin(today.later, CELL_LATER);
	return sessions_nats(farm, honest, &life, &today);
}

/* How the farm's sources resume, by those that today's cell makes members. */
static struct sessions farm_sessions(const struct detect *d, const struct cohort *all,
				     const struct mixture_row *rows, const float *w)
{
	struct sessions_sum sum = {};

	for (size_t i = 0; i < all->n; i++) {
		const struct record *r = &d->windows.records[all->members[i].record];
		struct sessions_seen seen = sessions_seen(r->connections, r->resumed);

		if (w[cell_of(&rows[i])] >= 0.5)
			sessions_add(&sum, &seen);
	}
	return sessions_of(&sum);
}

/* Of one cohort. */
struct weighing {
	struct detect *d;
	const struct mixture_row *rows;
	const uint8_t *holds;
	const float *w; /* the component's share of each cell */
	const struct product *by_cells;
	struct product now;
	struct mixture kinds;
	struct sessions farm, honest;
	double *nats; /* of each source */
};

#define CELL_NATS 14. /* a table of cells says no more than that, either way */
#define ROUNDS    3

/* ln of what the component puts into a cell. */
static double into_cell(const struct product *p, const struct mixture_row *row)
{
	return log(p->a) + log(p->m[cell_pattern(row)]) + mixture_ln(p->q, row);
}

/* Levels of what is a number are cut anywhere: where a farm's legs fill one bin, the next
 * has some of them, too (a bin of D* is 1.2 wide in ln, legs scatter by half of that). */
#define LEAK 0.05

static void leak(double q[FEATURE_LEVELS], int from, int to)
{
	double was[FEATURE_LEVELS], sum = 0, more = 0;

	memcpy(was, q, sizeof(was));
	for (int x = from; x <= to; x++) {
		q[x] += LEAK * ((x > from ? was[x - 1] : 0) + (x < to ? was[x + 1] : 0));
		sum += was[x];
		more += q[x];
	}
	for (int x = from; x <= to && more > 0; x++)
		q[x] *= sum / more;
}

/* The component again, by what its sources are by all we know of them: product.h sees one
 * day, in which a farm's quiet accounts are lost among many honest ones. Held by one source
 * as product.h has it. */
static void relearn(const struct product *by_cells, const struct cohort *all,
		    const struct mixture_row *rows, struct product *out)
{
	double sum = 0;

	*out = *by_cells;
	for (size_t i = 0; i < all->n; i++) {
		double w = all->members[i].weight;

		sum += w;
		out->m[cell_pattern(&rows[i])] += w;
		for (int f = 0; f < FEATURES; f++)
			out->q[f][rows[i].x[f]] += w;
	}
	out->a = fmax(sum, 1);
	for (int i = 0; i < PATTERNS; i++)
		out->m[i] /= sum + 1;
	for (int f = 0; f < FEATURES; f++) {
		double known = sum + 1 - (out->q[f][0] - 1);

		out->q[f][0] = 1;
		for (int x = 1; x <= feature_levels[f]; x++)
			out->q[f][x] /= known;
	}
	leak(out->q[FEATURE_D1], 3, 5);
	leak(out->q[FEATURE_DSTAR], 2, 4);
	leak(out->q[FEATURE_RATE], 1, RATE_BINS);
}

static double weight_of(double nats)
{
	return 1 / (1 + exp(-nats));
}

/* Odds of today's cell, and of the days before. Of who is split even a day that says
 * little is worth a look at the others. */
static void weigh_lives(struct weighing *k, struct cohort *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *m = &all->members[i];
		struct record *r = &k->d->windows.records[m->record];
		const struct mixture_row *row = &k->rows[i];
		double p = k->w[cell_of(row)];

		m->weight = 0;
		k->nats[i] = -INFINITY;
		if (k->holds[i] || (p < 0.01 && m->split != DELAY_SPLIT))
			continue;
		days_recall(k->d, r, record_id(&k->d->windows, m->record));
		p = log(p / (1 - p)) + into_cell(&k->now, row) - into_cell(k->by_cells, row);
		p = fmax(-CELL_NATS, fmin(CELL_NATS, p));
		k->nats[i] = p + earlier_days(r, row, &k->kinds, k->now.q) +
			     more_sessions(r, m, &k->farm, &k->honest, false);
		m->weight = weight_of(k->nats[i]);
	}
}

static void weigh_newcomers(struct weighing *k, struct cohort *all)
{
	struct newcomers new = newcomers_of(k->d, all);

	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *m = &all->members[i];
		const struct record *r = &k->d->windows.records[m->record];
		double p;

		if (!member_is(m) || r->in_clean || r->first_seen <= new.from)
			continue;
		p = newcomers_nats(&new, &k->kinds, k->now.q, &k->rows[i]) +
		    more_sessions(r, m, &k->farm, &k->honest, true);
		k->nats[i] = fmin(k->nats[i], p);
		m->weight = weight_of(k->nats[i]);
	}
}

/* Only of who is split by his own delays. */
static int weigh_places(struct weighing *k, struct cohort *all)
{
	_cleanup_(near_freep) struct near *near = NULL;
	int err = near_new(all, k->d->config.posterior, &near);

	for (size_t i = 0; i < all->n && !err; i++) {
		struct cohort_member *m = &all->members[i];

		m->alone = m->weight;
		if (m->split == DELAY_SPLIT)
			k->nats[i] += near_nats(near, m);
	}
	for (size_t i = 0; i < all->n && !err; i++)
		all->members[i].weight = weight_of(k->nats[i]);
	return err;
}

int weigh_days(struct detect *d, struct cohort *all, const struct mixture_row *rows,
	       const uint8_t *holds, const float *w, const struct product *p)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, all->stack);
	_cleanup_(freep) double *nats = calloc(all->n + 1, sizeof(*nats));
	struct weighing k = { d, rows, holds, w, p, .now = *p, .nats = nats };
	bool unsplit = all->n && all->members[0].unsplit;
	int err = nats ? 0 : -ENOMEM;

	k.honest = sessions_of(s ? &s->sessions : &(struct sessions_sum){});
	k.farm = farm_sessions(d, all, rows, w);
	fit_kinds_of(d, all->stack, &k.kinds);
	for (int round = 0; round < ROUNDS && !err; round++) {
		weigh_lives(&k, all);
		if (!unsplit) {
			weigh_newcomers(&k, all);
			err = weigh_places(&k, all);
		}
		relearn(p, all, rows, &k.now);
	}
	return err;
}
