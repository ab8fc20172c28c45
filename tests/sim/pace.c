/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pace.c - when a source acts and how much it says. People come in sessions and live
 * by a local clock; machines have a period, a queue or a batch. README.md: "Pace".
 */
#include "tests/sim/world.h"

#define PEAK       2.5 /* no activity is above: thinning is by activity / PEAK */
#define KEEP_ALIVE 65  /* s a client holds an idle connection */
#define PAUSE      1.2 /* sigma of pauses between sessions */

static double clip(double x, double lo, double hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

/* detection.md 8.1: the day's error of the stack, of the class, of the cell. */
static double drift(const struct world *w, const struct source *s, uint32_t day)
{
	double d = w->c.drift, x;
	uint64_t cell =
		(uint64_t)s->stack << 32 | (uint64_t)s->group << 16 | s->class << 8 | s->tcp;

	if (d <= 0)
		return 1;
	x = .05 * hash_normal(w->key ^ s->stack, day) +
	    .08 * hash_normal(w->key ^ 0x10000 ^ s->class, day) +
	    .10 * hash_normal(w->key ^ 0x20000 ^ mix(cell), day);
	return exp(d * x);
}

double activity(const struct world *w, const struct source *s, double t)
{
	const struct group *g = &w->groups[s->group];
	uint32_t day = t / DAY, local_day, week;
	double local, a;

	if (s->traits & NIGHT) {
		local = t + (w->key % 24) * 3600.0;
		return clip(1 + .9 * cos(2 * M_PI * (local / DAY - .58)), .02, PEAK);
	}
	if (s->pace != PEOPLE)
		return 1;
	if (s->role == FARM && !(s->traits & UPGRADES)) /* asleep with nobody */
		return 1;
	local = t + g->shift;
	local_day = local / DAY;
	week = local_day % 7; /* 0: Thursday */
	a = 1 + g->amplitude * cos(2 * M_PI * (local / DAY - .625));
	if (week == 2 || week == 3)
		a *= g->weekend;
	if (hash_unit(w->key ^ 0x30000 ^ s->group, local_day) < .05) /* a holiday */
		a *= .55;
	return clip(a * drift(w, s, day), .01, PEAK);
}

uint32_t stack_at(const struct world *w, const struct source *s, double t)
{
	if (s->role == FARM && w->farm.hourly)
		return w->farm.stack + (uint32_t)(t / 3600) % w->farm.stacks;
	if (!(s->traits & UPGRADES))
		return s->stack;
	for (int i = 0; i < RELEASES; i++) {
		const struct release *r = &w->releases[i];
		double u;

		if (r->from != s->stack)
			continue;
		u = hash_unit(w->key ^ 0x40000, s - w->sources);
		return t > r->centre + r->width * log(u / (1 - u)) ? r->to : s->stack;
	}
	return s->stack;
}

/* Until the next session begins: a pause thinned by the hour, the day and the drift. */
void wait_session(struct world *w, struct source *s, double t)
{
	double median = s->every * exp(-PAUSE * PAUSE / 2) / PEAK;

	for (int i = 0; i < 200; i++) {
		double busy =
			hash_gamma(w->key ^ (uint64_t)(s - w->sources) << 20, (uint64_t)(t / DAY));

		t += lognormal(&s->rng, median, PAUSE) / (busy + .05);
		if (uniform(&s->rng) * PEAK < activity(w, s, t))
			break;
	}
	s->left = geometric(&s->rng, w->session);
	if (s->left > 1000)
		s->left = 1000;
	start_at(s, t);
}

static void fill(struct source *s, struct event_exchange *x, double dt)
{
	double in = 120 + lognormal(&s->rng, 900, 1);

	*x = (struct event_exchange){ .dt_ms = dt * 1000,
				      .in = in > 60000 ? 60000 : in,
				      .out = 200 + exponential(&s->rng, 6000) };
}

/* One session goes on in a connection until a gap is too long for it. */
static uint32_t talk(struct world *w, struct source *s, double t)
{
	uint32_t n = 0;
	double dt = 0;

	while (s->left && n < SIM_EXCHANGES) {
		double gap;

		fill(s, &w->exchanges[n++], dt);
		if (!--s->left)
			break;
		gap = lognormal(&s->rng, w->gap, 1.3);
		dt += gap;
		if (gap > KEEP_ALIVE)
			break;
	}
	if (s->left)
		start_at(s, t + dt + .5);
	else
		wait_session(w, s, t + dt);
	return n;
}

static double period(struct world *w, struct source *s, double t)
{
	double d, batch;

	switch (s->pace) {
	case CRON:
		return fmax(.2, s->every * (1 + .02 * normal(&s->rng)));
	case EVEN:
		return fmax(.2, s->every * (1 + .3 * normal(&s->rng)));
	case RENEWAL: /* shape .5 or 1 */
		d = normal(&s->rng);
		return fmax(.2, s->site & 1 ? exponential(&s->rng, s->every) : s->every * d * d);
	case BATCH:
		batch = (floor(t / s->every) + 1) * s->every;
		return batch + 120 * uniform(&s->rng) - t;
	default:
		return fmax(.05, exponential(&s->rng, s->every));
	}
}

uint32_t visit(struct world *w, struct source *s, double t)
{
	double at = t;
	uint32_t n = 1;

	if (s->pace == PEOPLE)
		return talk(w, s, t);
	if (s->role != FARM && s->pace == RENEWAL)
		n = geometric(&s->rng, 2) & 7;
	n += !n;
	for (uint32_t i = 0; i < n; i++)
		fill(s, &w->exchanges[i], i * range(&s->rng, .5, 4));
	for (uint32_t i = 1; i < n; i++) /* in order */
		if (w->exchanges[i].dt_ms <= w->exchanges[i - 1].dt_ms)
			w->exchanges[i].dt_ms = w->exchanges[i - 1].dt_ms + 500;
	/* Who sleeps is busier by day: as many a day as who does not. */
	do {
		at += period(w, s, at) / (s->traits & NIGHT && s->pace != BATCH ? PEAK : 1);
	} while (s->traits & NIGHT && uniform(&s->rng) * PEAK > activity(w, s, at));
	start_at(s, at);
	return n;
}
