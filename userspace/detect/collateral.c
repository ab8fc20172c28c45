/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/collateral.h"

#include <math.h>
#include <stdlib.h>

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

struct plan_collateral collateral_of(const struct plan_rule *rules, size_t n, double strangers,
				     double before, double others, double others_in_stack)
{
	struct plan_collateral c = { .sources = n ? strangers : 0 };
	double all = 0, hit;

	for (size_t i = 0; i < n; i++) {
		c.sources += doubt_of(&rules[i]);
		c.exchanges += doubt_of(&rules[i]) * rules[i].exchanges;
		all += rules[i].exchanges;
	}
	c.exchanges += n ? strangers * all / n : 0;
	c.upper95 = n ? fmax(ceil(quantile(c.sources, 0)), before) : 0;
	c.precision = n ? fmax(0, 1 - quantile(c.sources, before) / n) : 0;
	hit = n ? c.upper95 * all / n : 0;
	c.share_all = others + hit > 0 ? hit / (others + hit) : 0;
	c.share_stack = others_in_stack + hit > 0 ? hit / (others_in_stack + hit) : 0;
	return c;
}
