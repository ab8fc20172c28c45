/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delays.c - what one handshake measures, after timing.md: sections 1-3 for clients,
 * losses and proxies. Jitter on the way up hits D1 and D* of one connection together.
 */
#include "tests/sim/world.h"

#define LOSS .003

static uint32_t micro(double ms)
{
	return ms < 0 ? 0 : ms > 60000 ? 60000000 : ms * 1000;
}

/* On the way up: a radio that wakes, a queue that fills. */
static double late(const struct world *w, struct source *s, double t)
{
	double x = 0;

	if (s->noise > 0 && chance(&s->rng, .3))
		x += exponential(&s->rng, s->noise);
	if (s->traits & BLOATED && chance(&s->rng, .25))
		x += range(&s->rng, 5, 80);
	if (w->storm_until && t > w->storm_from && t < w->storm_until && s->group & 1 &&
	    chance(&s->rng, .6))
		x += exponential(&s->rng, 40);
	return x;
}

static double leg_of(struct source *s)
{
	if (s->traits & OWN_LEGS) /* another person's each time */
		return fmin(400, lognormal(&s->rng, s->leg, .7));
	return s->leg * fmax(.6, 1 + .04 * normal(&s->rng));
}

/* timing.md 2: what the relaying program makes of the leg. */
static double relayed(struct source *s, double leg)
{
	switch (s->program) {
	case NAGLE:
		return 2 * leg + 2;
	case LATE_WRITE:
		return 2 * leg + 45;
	case TUNNELLED:
		return leg * range(&s->rng, 1, 1.8) + 3;
	default:
		return leg + 3;
	}
}

void delays(const struct world *w, struct source *s, double t, bool psk, struct event_conn *e)
{
	const struct stack *k = &w->stacks.stack[s->stack];
	double noise = late(w, s, t), rtt = s->rtt * (1 + .08 * fabs(normal(&s->rng)));
	double own = lognormal(&s->rng, 1, .5) + s->own;
	double d1 = lognormal(&s->rng, .6, .5) + noise, d = own + noise, leg = 0;

	if (k->slowness == SLOW_CA) /* parses its CA store while the hello travels */
		d = fmax(d, 33 - .95 * rtt + normal(&s->rng)) + noise;
	if (k->slowness == SLOW_START)
		d1 += lognormal(&s->rng, 36, .29);
	if (k->kind == DESKTOP && s->far == DIRECT && chance(&s->rng, .02)) /* preconnect */
		d1 += exponential(&s->rng, 700);
	if (s->far != DIRECT && !(s->traits & EXIT_TLS)) {
		leg = leg_of(s);
		d1 += s->far == WAITS   ? leg + 2 + (s->program == TUNNELLED ? 17 : 0)
		      : s->far == EARLY ? fmax(0, leg - rtt)
					: -d1 + lognormal(&s->rng, .12, .3);
		if (!chance(&s->rng, s->noise > 0 ? .15 : .01)) /* else ACKs were compressed */
			d += relayed(s, leg);
	}
	if (psk) /* a short flight: D* is D3, which has the way down in it */
		d += .03 * rtt * fabs(normal(&s->rng));
	e->rtt_us = micro(rtt);
	e->d1_us = micro(d1);
	e->dstar_us = micro(d);
	if (chance(&s->rng, LOSS)) { /* the hello was lost once */
		e->d1_us = micro(d1 + 200 + rtt);
	} else if (chance(&s->rng, 2 * LOSS)) { /* the SYN or the handshake's ACK was */
		e->d1_us = e->rtt_us = US_UNKNOWN;
		if (psk || chance(&s->rng, .3)) /* D* is D3, or the flight's ACK was lost, too */
			e->dstar_us = US_UNKNOWN;
	}
	e->d2_us = e->dstar_us;
	/* No acknowledgement alone: a stack that delays it, or it was lost. */
	e->piggy = (psk && s->traits & DELAYED_ACK && d - own < 40) || e->dstar_us == US_UNKNOWN;
}
