/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/newcomers.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/internal.h"

#define FIRST_ONES 20 /* one in so many of the farm's is left out: others come early, too */

static bool is_new(const struct detect *d, const struct cohort_member *m, uint64_t from)
{
	const struct record *r = &d->windows.records[m->record];

	return !r->in_clean && r->first_seen > from && !m->held;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* When the farm's own among them began to come. */
static uint64_t begun(const struct detect *d, const struct cohort *all, uint64_t from)
{
	_cleanup_(freep) uint64_t *t = malloc((all->n + 1) * sizeof(*t));
	size_t n = 0;

	if (!t)
		return from;
	for (size_t i = 0; i < all->n; i++)
		if (member_is(&all->members[i]) && is_new(d, &all->members[i], from))
			t[n++] = all->members[i].first_seen;
	if (!n)
		return from;
	qsort(t, n, sizeof(*t), by_time);
	return t[n / FIRST_ONES] - 1;
}

struct newcomers newcomers_of(const struct detect *d, const struct cohort *all)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, all->stack);
	uint64_t day = d->config.horizon * d->config.window;
	struct newcomers n = { .from = d->windows.now > day ? d->windows.now - day : 0 };
	double split = 0, direct = 1, share;
	uint64_t from = begun(d, all, n.from);

	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];

		if (!is_new(d, m, from))
			continue;
		direct += m->split == DELAY_DIRECT;
		split += m->split == DELAY_SPLIT &&
			 !(baseline_prefix(&d->baseline, m->src, m->family) & SITE_SPLIT);
	}
	share = s ? (s->split + 0.5) / (s->split + s->direct + 1) : d->baseline.split_share;
	n.honest = direct * share / (1 - fmin(share, 0.5));
	n.farm = fmax(1, split - n.honest);
	return n;
}

double newcomers_nats(const struct newcomers *n, const struct mixture *kinds,
		      const double q[FEATURES][FEATURE_LEVELS], const struct mixture_row *row)
{
	static const int shown[] = { FEATURE_D1, FEATURE_DSTAR, FEATURE_TCP, FEATURE_GAPS };
	double farm = 1, others = 0, all = 0;

	for (size_t k = 0; k < kinds->n; k++) {
		const struct mixture_class *c = &kinds->class[k];
		double w = c->weight * (1 - c->theta[FEATURE_DSTAR][1]), p = c->weight;

		for (size_t f = 0; f < sizeof(shown) / sizeof(shown[0]); f++)
			p *= c->theta[shown[f]][row->x[shown[f]]];
		others += p;
		all += w;
	}
	for (size_t f = 0; f < sizeof(shown) / sizeof(shown[0]); f++)
		farm *= q[shown[f]][row->x[shown[f]]];
	if (others <= 0 || all <= 0 || farm <= 0)
		return 0;
	return log(n->farm / n->honest) + log(farm * all / others);
}
