/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/members.h"

#include <math.h>
#include <stdio.h>

#include "base/time.h"
#include "detect/features.h"

#define MEMBER_LEAST 0.5
#define DIRECT_LEAST 0.98
#define MIXED_SHARE  0.3
#define FIRST_FEW    4
#define ASKED        0.5

static int waits_from(const uint32_t n[D_BINS], uint32_t all)
{
	uint32_t below = 0;
	int at = 2;

	while (at < D_BINS - 1 && 10 * (below + n[at]) <= all)
		below += n[at++];
	return at;
}

void member_handshakes(struct cohort_member *m, const struct view *lately, const struct view *clean)
{
	uint32_t fast_d1 = 0, waits[D_BINS] = {};

	m->split_handshakes = lately->split + clean->split;
	m->split_waiting = m->split_at_once = m->direct_waiting = 0;
	for (int d1 = 0; d1 < D_BINS; d1++) {
		for (int d = 0; d < D_BINS; d++) {
			uint32_t n =
				lately->d1dstar[d1 * D_BINS + d] + clean->d1dstar[d1 * D_BINS + d];

			if (d1 < 2) {
				fast_d1 += n;
				m->split_at_once += d >= 2 ? n : 0;
			} else if (delays_wait(d1, d)) {
				m->split_waiting += n;
				waits[d1] += n;
			} else
				m->direct_waiting += n;
		}
	}
	m->direct_handshakes = lately->direct + clean->direct;
	if (m->direct_handshakes > fast_d1)
		m->direct_handshakes = fast_d1;
	m->waiting_d1 = waits_from(waits, m->split_waiting);
}

double member_posterior(const struct cohort_member *m)
{
	return fmin(m->weight, POSTERIOR_MAX);
}

bool member_is(const struct cohort_member *m)
{
	uint8_t as = m->unsplit ? DELAY_DIRECT : DELAY_SPLIT;

	return m->split == as && !m->held &&
	       m->weight >= (m->unsplit ? DIRECT_LEAST : MEMBER_LEAST);
}

/* A split handshake of unknown D1 - its acknowledgement came with the hello - says
 * neither. Of the first few of a newcomer one that waits is enough: asking for no delay
 * would meet everybody who lives there and has the farm's stack. */
static bool waits(const struct cohort_member *m)
{
	if (m->reborn && m->split_handshakes <= FIRST_FEW)
		return m->split_waiting;
	return 2 * m->split_waiting > m->split_handshakes || m->split_waiting > m->split_at_once;
}

/* The leg by D*, which is that or twice as much, or twice that and 45 ms (timing.md 2):
 * the largest that D1, 2.5 ms more, can have come from. 0.1 ms. */
static uint32_t leg_of(const struct cohort_member *m, uint32_t far)
{
	static const uint32_t edge[] = D_EDGES_TENTH_MS;
	const uint32_t legs[] = { far, far / 2, far > 450 ? (far - 450) / 2 : 0 };

	if (m->waiting_d1 >= D_BINS - 1)
		return far;
	for (size_t i = 0; i < sizeof(legs) / sizeof(legs[0]); i++)
		if (legs[i] + 25 < edge[m->waiting_d1])
			return legs[i];
	return 0;
}

uint16_t member_delay(uint32_t tenths, double share)
{
	double ms = floor(tenths * share / 10);

	return 10 * (ms < 10 ? 10 : ms > 200 ? 200 : (uint16_t)ms);
}

/* No D* of the farm's is under its leg, and a busy machine makes many longer: the least
 * of them is the farm's - unless some of them are his who lives there. Of three, all can be
 * long: where the farm's own machine was busy, 5 in 100 of its later connections took less
 * than three quarters of the least, and less than half 1 in 200. */
static void ask_delays(const struct cohort_member *m, struct plan_rule *rule)
{
	uint32_t far = m->direct_handshakes + m->direct_waiting ? m->far : m->nearest;

	rule->d1_min = member_delay(leg_of(m, far), ASKED);
	rule->dstar_min = member_delay(far, ASKED);
}

bool member_mixed(const struct cohort_member *m)
{
	double all = m->direct_handshakes + m->split_handshakes;

	if (m->was_direct)
		return true;
	if (waits(m))
		return m->direct_handshakes >= 1;
	return all > 0 && m->direct_handshakes > MIXED_SHARE * all;
}

bool member_rule(const struct cohort_member *m, const struct detect_config *c, uint32_t threshold,
		 struct plan_rule *rule, char why[PLAN_REASON])
{
	if (member_posterior(m) < c->posterior) {
		snprintf(why, PLAN_REASON, "posterior %.3f is below %.2f", member_posterior(m),
			 c->posterior);
		return false;
	}
	if (m->unsplit) {
		snprintf(why, PLAN_REASON,
			 "TLS ends at the exit: no delay tells it from who lives there");
		return false;
	}
	if (!m->reborn && m->kept < c->min_handshakes &&
	    m->direct_handshakes + m->split_handshakes < c->min_handshakes) {
		snprintf(why, PLAN_REASON, "%u handshakes of this source so far, needs %u",
			 m->direct_handshakes + m->split_handshakes, c->min_handshakes);
		return false;
	}
	if (m->together) {
		snprintf(
			why, PLAN_REASON,
			"came since the drop with %u such sources of its network: more like a relay",
			m->together - 1);
		return false;
	}
	rule->split_dstar = threshold;
	if (m->reborn && m->direct_waiting) {
		snprintf(why, PLAN_REASON, "new, and %u of its hellos came late by themselves",
			 m->direct_waiting);
		return false;
	}
	if (waits(m) && (!m->direct_waiting || !member_mixed(m))) {
		ask_delays(m, rule);
		return true;
	}
	if (!waits(m) && !member_mixed(m))
		return true;
	snprintf(why, PLAN_REASON,
		 "%u direct and %u split handshakes of one address and stack, and nothing in the "
		 "hello tells them apart",
		 m->direct_handshakes + m->direct_waiting, m->split_handshakes);
	return false;
}

void members_stay(const struct windows *w, const struct cohort *members, uint64_t window,
		  size_t *early, size_t *stayed)
{
	uint64_t minute = 60 * NSEC_PER_SEC < window ? 60 * NSEC_PER_SEC : window;

	*early = 0;
	*stayed = 0;
	for (size_t i = 0; i < members->n; i++) {
		const struct record *r = &w->records[members->members[i].record];

		if (r->first_seen + STAY_AFTER * minute > w->now)
			continue;
		++*early;
		/* last_moved is the end of a window */
		*stayed += r->last_moved >= r->first_seen + STAY_FOR * minute + window;
	}
}
