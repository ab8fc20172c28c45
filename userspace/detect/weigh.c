/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weigh.c - the posterior of one source: its cell of today, its earlier days, its sessions
 * and, of a newcomer, how many honest ones came with it.
 */
#include <math.h>

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
static double more_sessions(const struct record *r, const struct sessions *farm,
			    const struct sessions *honest, bool of_all)
{
	struct view lately = record_lately(r);
	struct sessions_seen today = {}, life;

	life = sessions_seen(r->row.connections, r->row.resumed);
	if (lately.connections >= 3 && !of_all)
		today = sessions_seen(lately.connections, lately.resumed);
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
		struct sessions_seen seen = sessions_seen(r->row.connections, r->row.resumed);

		if (w[cell_of(&rows[i])] >= 0.5)
			sessions_add(&sum, &seen);
	}
	return sessions_of(&sum);
}

#define CELL_LEAST 1e-6

/* Odds of today's cell, and of the days before. Of who is split even a day that says
 * little is worth a look at the others. */
void weigh_days(struct detect *d, struct cohort *all, const struct mixture_row *rows,
		const uint8_t *holds, const float *w, const double q[FEATURES][FEATURE_LEVELS])
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, all->stack);
	struct sessions honest = sessions_of(s ? &s->sessions : &(struct sessions_sum){});
	struct sessions farm = farm_sessions(d, all, rows, w);
	struct newcomers new;
	struct mixture kinds;

	fit_kinds_of(d, all->stack, &kinds);
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *m = &all->members[i];
		struct record *r = &d->windows.records[m->record];
		double p = fmax(CELL_LEAST, fmin(w[cell_of(&rows[i])], 1 - CELL_LEAST));

		m->weight = 0;
		if (holds[i] || (p < 0.01 && m->split != DELAY_SPLIT))
			continue;
		days_recall(d, r, record_id(&d->windows, m->record));
		p = log(p / (1 - p)) + earlier_days(r, &rows[i], &kinds, q) +
		    more_sessions(r, &farm, &honest, false);
		m->weight = 1 / (1 + exp(-p));
	}
	new = newcomers_of(d, all);
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *m = &all->members[i];
		const struct record *r = &d->windows.records[m->record];
		double p;

		if (!member_is(m) || r->in_clean || r->first_seen <= new.from)
			continue;
		p = newcomers_nats(&new, &kinds, q, &rows[i]) +
		    more_sessions(r, &farm, &honest, true);
		m->weight = fmin(m->weight, 1 / (1 + exp(-p)));
	}
}
