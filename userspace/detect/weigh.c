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

/* What a day can add: delays and a signature, or a pace. Each combination of their levels as
 * one number. */
#define FIRSTS (FEATURE_LEVELS * FEATURE_LEVELS * FEATURE_LEVELS)
#define ADDED  (FIRSTS + FEATURE_LEVELS * FEATURE_LEVELS)

static size_t first_at(const struct mixture_row *row)
{
	return (row->x[FEATURE_TCP] * FEATURE_LEVELS + row->x[FEATURE_DSTAR]) * FEATURE_LEVELS +
	       row->x[FEATURE_D1];
}

static size_t pace_at(const struct mixture_row *row)
{
	return FIRSTS + row->x[FEATURE_GAPS] * FEATURE_LEVELS + row->x[FEATURE_RATE];
}

/* The products of each, made once: thousands of sources have seven days of a few hundred
 * combinations. */
struct said {
	double of[ADDED];
};

static void say(const double theta[FEATURES][FEATURE_LEVELS], struct said *s)
{
	struct mixture_row row = {};

	for (uint8_t a = 0; a <= feature_levels[FEATURE_TCP]; a++)
		for (uint8_t b = 0; b <= feature_levels[FEATURE_DSTAR]; b++)
			for (uint8_t c = 0; c <= feature_levels[FEATURE_D1]; c++) {
				row.x[FEATURE_TCP] = a;
				row.x[FEATURE_DSTAR] = b;
				row.x[FEATURE_D1] = c;
				s->of[first_at(&row)] = mixture_product(theta, &row);
			}
	row = (struct mixture_row){};
	for (uint8_t a = 0; a <= feature_levels[FEATURE_GAPS]; a++)
		for (uint8_t b = 0; b <= feature_levels[FEATURE_RATE]; b++) {
			row.x[FEATURE_GAPS] = a;
			row.x[FEATURE_RATE] = b;
			s->of[pace_at(&row)] = mixture_product(theta, &row);
		}
}

/* All kinds of honest sources, and the farm's. */
struct sayings {
	struct mixture kinds;
	struct said kind[MIXTURE_CLASSES], farm;
};

/* What speaks for each kind by now. A honest source is of one kind and stays of it, so days
 * are multiplied inside each kind, not across. */
struct habits {
	double kind[MIXTURE_CLASSES], sum;
};

static struct habits habits_of(const struct mixture *kinds, const struct mixture_row *today)
{
	struct habits h = {};

	for (size_t k = 0; k < kinds->n; k++)
		h.sum += h.kind[k] =
			kinds->class[k].weight * mixture_product(kinds->class[k].theta, today);
	return h;
}

/* What one thing more adds to the odds, within `least` and `most`. */
static double one_more(const struct sayings *s, struct habits *h, size_t at, double least,
		       double most)
{
	double next = 0, nats = 0;

	for (size_t k = 0; k < s->kinds.n; k++)
		next += h->kind[k] *= s->kind[k].of[at];
	if (h->sum > 0 && next > 0)
		nats = fmax(least, fmin(most, log(s->farm.of[at] * h->sum / next)));
	h->sum = next;
	return nats;
}

/* What a source's earlier days add to the odds, in nats. Who is behind a relay is so every
 * day, over the same leg, with the same system: a delay or a signature counts once, from
 * the newest day that shows it. Its pace is a habit, too, and days of it count little;
 * sessions have a measure of their own. */
static double earlier_days(const struct sayings *s, const struct record *r,
			   const struct mixture_row *today)
{
	struct habits h = habits_of(&s->kinds, today);
	struct mixture_row known = *today;
	double nats = 0;

	for (int day = 0; day < r->days; day++) {
		struct mixture_row row = cell_row(r->cell[day]), first = {};

		for (int f = FEATURE_D1; f <= FEATURE_TCP; f++) {
			first.x[f] = known.x[f] ? 0 : row.x[f];
			known.x[f] |= first.x[f];
		}
		nats += one_more(s, &h, first_at(&first), DAY_NATS_LEAST, DAY_NATS_MOST);
		nats += one_more(s, &h, pace_at(&row), -HABIT_NATS, HABIT_NATS);
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
		struct sessions_seen seen;

		if (w[cell_of(&rows[i])] < 0.5)
			continue;
		seen = sessions_seen(r->connections, r->resumed);
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
	struct sayings *say;
	struct sessions farm, honest;
	double *nats; /* of each source */
};

#define CELL_NATS 14. /* a table of cells says no more than that, either way */
#define ROUNDS    3

/* What the component puts into a cell. */
static double into_cell(const struct product *p, const struct mixture_row *row)
{
	return p->a * p->m[cell_pattern(row)] * mixture_product(p->q, row);
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

		if (i + RECORDS_AHEAD < all->n)
			__builtin_prefetch(&k->d->windows.records[m[RECORDS_AHEAD].record]);
		m->weight = 0;
		k->nats[i] = -INFINITY;
		if (k->holds[i] || (p < 0.01 && m->split != DELAY_SPLIT))
			continue;
		days_recall(k->d, r, record_id(&k->d->windows, m->record));
		p = log(p / (1 - p) * into_cell(&k->now, row) / into_cell(k->by_cells, row));
		p = fmax(-CELL_NATS, fmin(CELL_NATS, p));
		k->nats[i] = p + earlier_days(k->say, r, row) +
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
		p = newcomers_nats(&new, &k->say->kinds, k->now.q, &k->rows[i]) +
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
	_cleanup_(freep) struct sayings *said = calloc(1, sizeof(*said));
	struct weighing k = { d, rows, holds, w, p, .now = *p, .say = said, .nats = nats };
	bool unsplit = all->n && all->members[0].unsplit;
	int err = 0;

	if (!nats || !said)
		return -ENOMEM;
	k.honest = sessions_of(s ? &s->sessions : &(struct sessions_sum){});
	k.farm = farm_sessions(d, all, rows, w);
	fit_kinds_of(d, all->stack, &said->kinds);
	for (size_t i = 0; i < said->kinds.n; i++)
		say(said->kinds.class[i].theta, &said->kind[i]);
	for (int round = 0; round < ROUNDS && !err; round++) {
		say(k.now.q, &said->farm);
		weigh_lives(&k, all);
		if (!unsplit) {
			weigh_newcomers(&k, all);
			err = weigh_places(&k, all);
		}
		relearn(p, all, rows, &k.now);
	}
	return err;
}
