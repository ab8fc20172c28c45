/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/ban.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "detect/internal.h"

#define LOOK_WINDOWS  20
#define OTHERS_LEAST  20
#define CONTROL_LEAST 3
#define BITS_MOST     20.0
#define PHI           2.0 /* honest births come in small waves */

static const uint32_t look_after[BAN_LOOKS] = { 1, 6, 36, 144 }; /* times LOOK_WINDOWS */

void ban_enforced(struct ban *b, bool on)
{
	if (on && !b->asked && b->at) {
		b->settled = ban_bits(b);
		b->earlier++;
	}
	if (on && !b->asked)
		*b = (struct ban){ .settled = b->settled, .earlier = b->earlier };
	b->asked = on;
}

double ban_bits(const struct ban *b)
{
	double e = 0, bits = b->settled;

	for (uint32_t i = 0; i < b->looks; i++)
		e += b->e[i] / BAN_LOOKS;
	if (b->looks)
		bits += log2(fmax(e, 1e-6));
	return fmax(-BITS_MOST, fmin(BITS_MOST, bits));
}

/* ---- who ---------------------------------------------------------------------------- */

/* More handshakes split than not: a D* over the stack's threshold, or a hello that waited
 * for a far end. */
static bool has_traits(const struct cohort_member *m)
{
	uint32_t split =
		m->split_handshakes > m->split_waiting ? m->split_handshakes : m->split_waiting;

	return !m->held && split > m->direct_handshakes;
}

static bool is_ruled(const struct detect *d, const struct cohort_member *m)
{
	return member_is(m) && m->weight >= d->config.posterior;
}

static bool within(uint64_t t, uint64_t from, uint64_t until)
{
	return t >= from && t < until;
}

static uint64_t small_network(const struct cohort_member *m)
{
	return network_of(m->src, m->family, NETWORK_SMALL) << 1 | (m->family == 6);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* ---- counts --------------------------------------------------------------------------- */

/* Births without the traits in the time before the ban and since; of the site, unless the
 * cohort has enough. Few of either: seconds. */
static void exposures(const struct detect *d, const struct ban *b, const struct cohort *all,
		      struct births_ban *x)
{
	double before = 0, after = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];

		if (has_traits(m))
			continue;
		before += within(m->first_seen, b->from, b->at);
		after += m->first_seen >= b->at;
	}
	if (before < OTHERS_LEAST) {
		before = after = 0;
		for (size_t i = 0; i < d->windows.n; i++) {
			bool split = i < d->survey.n && d->survey.glances[i].state == DELAY_SPLIT;
			uint64_t first = d->windows.records[i].first_seen;

			before += !split && within(first, b->from, b->at);
			after += !split && first >= b->at;
		}
	}
	x->before = before + 1;
	x->after = after + 1;
	if (before < OTHERS_LEAST) {
		x->before = (b->at - b->from) / 1e9;
		x->after = (d->windows.now - b->at) / 1e9;
	}
}

/* Who of the ruled still does something is held out. Shares of activity are of those
 * that did nothing since: what a member does in as long a time. */
static void control(const struct detect *d, const struct ban *b, const struct cohort *all,
		    uint64_t grace, struct births_ban *x)
{
	uint64_t span = d->windows.now - b->at;
	double still = 0, recent = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];
		const struct record *r = &d->windows.records[m->record];

		if (m->first_seen >= b->at || !is_ruled(d, m))
			continue;
		x->ruled++;
		if (r->last_moved > b->at + grace)
			x->held_alive++;
		else
			still++;
		recent += r->last_moved <= b->at + grace && r->last_moved + span > b->at;
	}
	x->held = still > 0 ? x->ruled * d->config.holdout / 1e4 * recent / still : 0;
	if (x->held < CONTROL_LEAST)
		x->held = x->held_alive = 0;
	x->ruled *= 1 - d->config.holdout / 1e4;
}

static int count(const struct detect *d, const struct ban *b, const struct cohort *all,
		 struct births_ban *x)
{
	_cleanup_(freep) uint64_t *nets = malloc((all->n + 1) * sizeof(*nets));
	size_t n = 0;

	if (!nets)
		return -ENOMEM;
	*x = (struct births_ban){ .phi = PHI };
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];

		if (m->first_seen < b->at && is_ruled(d, m))
			nets[n++] = small_network(m);
		x->born_before += within(m->first_seen, b->from, b->at) && has_traits(m);
	}
	qsort(nets, n, sizeof(*nets), by_value);
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *m = &all->members[i];
		uint64_t net = small_network(m);

		if (m->first_seen >= b->at && has_traits(m))
			x->born += !bsearch(&net, nets, n, sizeof(*nets), by_value);
	}
	control(d, b, all, 2 * d->config.window, x);
	return 0;
}

int ban_step(const struct detect *d, struct cohort_state *state, const struct cohort *all)
{
	const struct verdict *v = &state->verdict;
	uint64_t now = d->windows.now, minute = 60 * NSEC_PER_SEC, step;
	struct ban *b = &state->ban;
	int err;

	step = LOOK_WINDOWS * (d->config.window < minute ? d->config.window : minute);
	if (b->asked && !b->at) {
		b->at = now;
		b->from = v->proposed_at ? v->proposed_at : v->flagged_at;
		if (b->from + 5 * d->config.window > now)
			b->from = now - 5 * d->config.window;
	}
	if (!b->at || now <= b->at)
		return 0;
	if (b->looks < BAN_LOOKS && now >= b->at + look_after[b->looks] * step) {
		err = count(d, b, all, &b->looked);
		if (err)
			return err;
		exposures(d, b, all, &b->looked);
		b->look = births_of(&b->looked);
		/* Times that passed unseen together are one look. */
		while (b->looks < BAN_LOOKS && now >= b->at + look_after[b->looks] * step)
			b->e[b->looks++] = b->look.e;
	}
	err = count(d, b, all, &b->seen);
	if (err)
		return err;
	exposures(d, b, all, &b->seen);
	b->now = births_of(&b->seen);
	return 0;
}

/* ---- told ---------------------------------------------------------------------------------- */

bool ban_line(const struct ban *b, struct farm_line *l)
{
	const struct births_ban *x = b->looks ? &b->looked : &b->seen;
	const struct births *o = b->looks ? &b->look : &b->now;
	char held[48] = "no control arm";

	if (!b->at || x->before <= 0)
		return false;
	*l = (struct farm_line){
		.family = FAMILY_OPERATOR,
		.name = "regrowth",
		.known = true,
		.value = o->displaced,
		.farm = 1,
		.bits = ban_bits(b),
	};
	if (x->held > 0)
		snprintf(held, sizeof(held), "held out: %.0f of %.1f went on", x->held_alive,
			 x->held);
	snprintf(
		l->text, sizeof(l->text),
		"%.0f ruled, %s; then %.0f like them began in other networks, %.2f expected (%.0f in "
		"%.2f times as long before); e %.3g%s",
		x->ruled, held, x->born, o->expected, x->born_before, x->before / x->after, o->e,
		b->looks ? "" : ", not looked at yet");
	return true;
}
