/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/collateral.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/stats.h"

static double doubt_of(const struct plan_rule *r)
{
	return fmax(r->doubt, DOUBT_LEAST);
}

/* Of so many expected; not yet a whole count. */
static double quantile(double expected, double before)
{
	return fmax(stats_upper95_shared(expected, DOUBT_SHAPE), before);
}

static int by_doubt(const void *a, const void *b)
{
	const struct plan_rule *x = a, *y = b;

	if (x->doubt != y->doubt)
		return x->doubt < y->doubt ? -1 : 1;
	return (x->src > y->src) - (x->src < y->src);
}

size_t collateral_keep(struct plan_rule *rules, size_t n, double strangers, double before,
		       double precision)
{
	double expected = strangers;
	size_t most = 0;

	qsort(rules, n, sizeof(*rules), by_doubt);
	for (size_t i = 0; i < n; i++) {
		expected += doubt_of(&rules[i]);
		if (1 - quantile(expected, before) / (i + 1) >= precision)
			most = i + 1;
	}
	return most ? most : n;
}

double collateral_busy(const struct cohort *all, double quantile)
{
	_cleanup_(freep) double *v = malloc((all->n + 1) * sizeof(*v));
	double most = 0;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];

		if (m->split == DELAY_UNKNOWN || member_is(m))
			continue;
		most = fmax(most, m->exchanges);
		if (v)
			v[n++] = m->exchanges;
	}
	if (!v)
		return most;
	return n ? stats_quantile(v, n, fmax(quantile, 0)) : 0;
}

struct plan_collateral collateral_of(const struct plan_rule *rules, size_t n, double strangers,
				     double before, const struct collateral_traffic *t)
{
	struct plan_collateral c = { .sources = n ? strangers : 0 };
	double all = 0, any, likely, hit;

	for (size_t i = 0; i < n; i++) {
		c.sources += doubt_of(&rules[i]);
		c.exchanges += doubt_of(&rules[i]) * rules[i].exchanges;
		all += rules[i].exchanges;
	}
	c.exchanges += n ? strangers * all / n : 0;
	likely = n ? fmax(ceil(quantile(c.sources, 0)), before) : 0;
	c.upper95 = n ? fmax(likely, UPPER_LEAST) : 0;
	c.precision = n ? fmax(0, 1 - quantile(c.sources, before) / n) : 0;
	any = 1 - pow(1 + c.sources / DOUBT_SHAPE, -DOUBT_SHAPE);
	hit = n && t->all ? likely * collateral_busy(t->all, 1 - 0.05 / any) : 0;
	c.share_all = t->others + hit > 0 ? hit / (t->others + hit) : 0;
	c.share_stack = t->others_in_stack + hit > 0 ? hit / (t->others_in_stack + hit) : 0;
	return c;
}
