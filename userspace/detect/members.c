/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/members.h"

#include <math.h>
#include <stdio.h>

#include "detect/features.h"

#define MEMBER_LEAST 0.5
#define MIXED_SHARE  0.3

void member_handshakes(struct cohort_member *m, const struct record *r)
{
	struct view lately = record_lately(r);
	uint32_t fast_d1 = 0;

	m->split_handshakes = lately.split + r->clean.split;
	m->split_waiting = m->direct_waiting = 0;
	for (int d1 = 0; d1 < D_BINS; d1++) {
		for (int d = 0; d < D_BINS; d++) {
			uint32_t n =
				lately.d1dstar[d1 * D_BINS + d] + r->clean.d1dstar[d1 * D_BINS + d];

			if (d1 < 2)
				fast_d1 += n;
			else if (delays_wait(d1, d))
				m->split_waiting += n;
			else
				m->direct_waiting += n;
		}
	}
	m->direct_handshakes = lately.direct + r->clean.direct;
	if (m->direct_handshakes > fast_d1)
		m->direct_handshakes = fast_d1;
}

double member_posterior(const struct cohort_member *m)
{
	return fmin(m->weight, POSTERIOR_MAX);
}

bool member_is(const struct cohort_member *m)
{
	return m->split == DELAY_SPLIT && !m->held && m->weight >= MEMBER_LEAST;
}

static bool waits(const struct cohort_member *m)
{
	return 2 * m->split_waiting > m->split_handshakes;
}

bool member_mixed(const struct cohort_member *m, bool direct_when_clean)
{
	double all = m->direct_handshakes + m->split_handshakes;

	if (direct_when_clean)
		return true;
	if (waits(m))
		return m->direct_handshakes >= 1;
	return all > 0 && m->direct_handshakes > MIXED_SHARE * all;
}

bool member_rule(const struct cohort_member *m, bool direct_when_clean,
		 const struct detect_config *c, uint32_t threshold, struct plan_rule *rule,
		 char why[PLAN_REASON])
{
	if (member_posterior(m) < c->posterior) {
		snprintf(why, PLAN_REASON, "posterior %.3f is below %.2f", member_posterior(m),
			 c->posterior);
		return false;
	}
	rule->split_dstar = threshold;
	if (!member_mixed(m, direct_when_clean))
		return true;
	if (waits(m) && !m->direct_waiting) {
		rule->d1_min = 100;
		return true;
	}
	snprintf(why, PLAN_REASON,
		 "%u direct and %u split handshakes of one address and stack, and nothing in the "
		 "hello tells them apart",
		 m->direct_handshakes + m->direct_waiting, m->split_handshakes);
	return false;
}
