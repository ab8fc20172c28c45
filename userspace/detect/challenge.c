/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/challenge.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/members.h"
#include "detect/stats.h"

#define CAME_TWICE_LEAST 5

static const struct record *record_of(const struct windows *w, const struct cohort_member *m)
{
	return &w->records[m->record];
}

static bool never_resume(const struct windows *w, const struct cohort *members)
{
	size_t twice = 0, resumed = 0;

	for (size_t i = 0; i < members->n; i++) {
		const struct record *r = record_of(w, &members->members[i]);

		twice += r->connections > 1;
		resumed += r->connections > 1 && r->resumed;
	}
	return twice >= CAME_TWICE_LEAST && 20 * resumed <= twice;
}

static bool matches(const struct farm_challenge *c, const struct windows *w,
		    const struct cohort_member *m)
{
	return m->dstar >= c->dstar_min && !(c->not_resumed && record_of(w, m)->resumed);
}

struct farm_challenge challenge_of(const struct windows *w, const struct cohort *all,
				   const struct cohort *members, double life)
{
	_cleanup_(freep) double *far = malloc((members->n + 1) * sizeof(*far));
	struct farm_challenge c = { .life = life, .of = members->n };

	if (!far || !members->n || life < 0 || life >= CHALLENGE_LIFE)
		return c;
	for (size_t i = 0; i < members->n; i++)
		far[i] = members->members[i].dstar;
	c.due = true;
	c.dstar_min = member_delay(stats_quantile(far, members->n, 0.1), 0.75);
	c.not_resumed = never_resume(w, members);
	for (size_t i = 0; i < members->n; i++)
		c.members += matches(&c, w, &members->members[i]);
	for (size_t i = 0; i < all->n; i++) {
		if (!record_of(w, &all->members[i])->in_clean)
			continue;
		c.of_known++;
		c.known += matches(&c, w, &all->members[i]);
	}
	return c;
}
