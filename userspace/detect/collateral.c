/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/collateral.h"

#include <math.h>

#include "detect/stats.h"

struct plan_collateral collateral_of(const struct plan_rule *rules, size_t n, double strangers,
				     double before, double others, double others_in_stack)
{
	struct plan_collateral c = { .sources = n ? strangers : 0 };
	double all = 0, hit;

	for (size_t i = 0; i < n; i++) {
		c.sources += 1 - rules[i].posterior;
		c.exchanges += (1 - rules[i].posterior) * rules[i].exchanges;
		all += rules[i].exchanges;
	}
	c.exchanges += n ? strangers * all / n : 0;
	c.upper95 = fmax(stats_upper95(c.sources, 1), n ? before : 0);
	c.precision = n ? fmax(0, 1 - c.upper95 / n) : 0;
	hit = n ? c.upper95 * all / n : 0;
	c.share_all = others + hit > 0 ? hit / (others + hit) : 0;
	c.share_stack = others_in_stack + hit > 0 ? hit / (others_in_stack + hit) : 0;
	return c;
}
