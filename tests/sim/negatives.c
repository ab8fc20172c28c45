/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * negatives.c - honest traffic that looks like a farm: N1-N10, N13, N14 of
 * detection.md 8.1, N1r, N2d, N4s, N12, N15 beside them. README.md: "Look-alikes".
 * `copies` of them live on as many stacks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "tests/sim/world.h"

struct fleet {
	enum name name;
	uint32_t n, stack, prefixes;
	bool scattered; /* each prefix in a /16 of its own */
	double every, from, until, leg;
	enum pace pace;
};

/* ---- machines of one owner ------------------------------------------------------------- */

static int fleet(struct world *w, const struct fleet *f)
{
	uint32_t base = 0x6000 + below(&w->rng, 0x7ff), block = below(&w->rng, 200);
	uint64_t home = bits(&w->rng);

	for (uint32_t i = 0; i < f->n; i++) {
		struct source *s = source_new(w, f->name, f->stack);
		uint32_t p = i % f->prefixes;

		if (!s)
			return -ENOMEM;
		s->addr = f->scattered
				  ? inside(0x6000 + (base + 37 * p) % 0x800, 24, block, &s->rng)
				  : inside(base, 24, block + p, &s->rng);
		s->group = p % w->n_groups;
		s->tcp = TCP_LINUX;
		s->pace = f->pace;
		s->every = f->every;
		s->rtt = 3 + 90 * hash_unit(home, p);
		if (f->leg > 0) {
			s->far = WAITS;
			s->leg = f->leg + 60 * hash_unit(home ^ 1, p);
		}
		s->from = f->from;
		if (f->until < w->c.length)
			s->until = f->until;
		start_at(s, f->from + uniform(&s->rng) * f->every);
	}
	return 0;
}

static uint32_t size(const struct world *w, uint32_t usual)
{
	return w->c.accounts ? w->c.accounts : usual;
}

static uint32_t sdk(const struct world *w, uint32_t copy)
{
	return w->stacks.first[SDK] + copy % 60;
}

static int pods(struct world *w, uint32_t copy, bool regions)
{
	uint64_t *r = &w->rng;
	struct fleet f = { .name = N_PODS,
			   .n = size(w, 5000),
			   .stack = sdk(w, copy),
			   .prefixes = regions ? 40 : 3 + below(r, 8),
			   .scattered = regions,
			   .every = DAY / w->c.rate,
			   .from = chance(r, .5) ? 0 : w->c.history,
			   .until = w->c.length,
			   .pace = EVEN };

	return fleet(w, &f);
}

static int sase(struct world *w, uint32_t copy, bool dispersed)
{
	struct fleet f = { .name = N_SASE,
			   .n = size(w, 5000),
			   .stack = sdk(w, copy),
			   .prefixes = dispersed ? 50 : 6 + below(&w->rng, 10),
			   .scattered = dispersed,
			   .every = DAY / w->c.rate,
			   .from = w->c.history,
			   .until = w->c.length,
			   .leg = range(&w->rng, 15, 40),
			   .pace = EVEN };

	return fleet(w, &f);
}

static int load_test(struct world *w, uint32_t copy)
{
	double from = w->c.history + (w->c.length - w->c.history) * uniform(&w->rng) * .8;
	double lasts = exp(range(&w->rng, log(600), log(6 * 3600)));
	struct fleet f = { .name = N_LOAD,
			   .n = size(w, 40),
			   .stack = sdk(w, copy),
			   .prefixes = 2,
			   .every = lasts / 2000,
			   .from = from,
			   .until = from + lasts,
			   .pace = EVEN };

	return fleet(w, &f);
}

static int monitoring(struct world *w, uint32_t copy)
{
	struct fleet f = { .name = N_MONITOR,
			   .n = size(w, 200),
			   .stack = w->stacks.first[SCRIPT] + copy % 60,
			   .prefixes = 200,
			   .scattered = true,
			   .every = 60,
			   .from = w->c.history,
			   .until = w->c.length,
			   .pace = CRON };

	return fleet(w, &f);
}

/* ---- people ------------------------------------------------------------------------------ */

/* The clients of a stack go over to another one within `ramp` seconds. */
static int release(struct world *w, uint32_t from_stack, uint32_t to, double from, double ramp,
		   double cert)
{
	size_t was = w->n;

	for (size_t i = 0; i < was; i++) {
		struct source *s;
		uint64_t rng;
		double t;

		if (w->sources[i].stack != from_stack || w->sources[i].role != ORGANIC ||
		    chance(&w->rng, .3))
			continue;
		s = source_new(w, N_RELEASE, to);
		if (!s)
			return -ENOMEM;
		rng = s->rng;
		t = from + ramp * sqrt(uniform(&w->rng));
		*s = w->sources[i];
		s->rng = rng;
		s->stack = to;
		s->name = N_RELEASE;
		s->role = NEGATIVE;
		s->traits &= ~(KNOWN | UPGRADES);
		s->own += cert;
		s->from = t;
		w->sources[i].until = t < w->sources[i].until ? t : w->sources[i].until;
		if (s->pace == PEOPLE)
			wait_session(w, s, t);
		else
			start_at(s, t + s->every * uniform(&s->rng));
	}
	return 0;
}

static int crowd(struct world *w, uint32_t copy)
{
	double from = w->c.history + 3600 * range(&w->rng, 0, 24),
	       lasts = range(&w->rng, 1, 8) * 3600;
	uint32_t n = size(w, w->c.sources / 10);

	for (uint32_t i = 0; i < n; i++) {
		struct source *s =
			source_new(w, N_CROWD, w->stacks.first[copy & 1] + copy / 2 % 40);

		if (!s)
			return -ENOMEM;
		eyeball(w, s);
		person(w, s);
		s->every = 1800;
		s->from = from;
		s->until = from + lasts;
		start_at(s, from + 600 * sqrt(uniform(&s->rng)));
		s->left = 1 + below(&s->rng, 12);
	}
	return 0;
}

static int campus(struct world *w, uint32_t copy)
{
	uint64_t *r = &w->rng;
	uint32_t net = below(r, NETS), n = size(w, 2000), exits = 1 + below(r, 8);

	for (uint32_t i = 0; i < n; i++) {
		enum stack_kind k = chance(r, .7) ? DESKTOP : MOBILE;
		struct source *s = source_new(w, N_CAMPUS, w->stacks.first[k] + copy % 20);

		if (!s)
			return -ENOMEM;
		if (chance(r, .6))
			s->stack = stacks_draw(&w->stacks, k, uniform(r));
		s->addr = addr_v4((uint32_t)w->nets[net].v4 << 16 | copy % 200 << 8 |
				  below(r, exits));
		s->group = w->nets[net].group;
		person(w, s);
		wait_session(w, s, w->c.history + 3600 * uniform(r));
	}
	return 0;
}

/* A carrier puts its telephones behind few addresses. */
static int carrier(struct world *w)
{
	size_t was = w->n;
	double at = w->c.history + 3600;
	uint32_t pool = 0x5b00 + below(&w->rng, 0x400);

	for (size_t i = 0; i < was; i++) {
		struct source *s;
		uint64_t rng;

		if (w->sources[i].class != C_MOBILE || w->sources[i].group % 4)
			continue;
		s = source_new(w, N_CAMPUS, w->sources[i].stack);
		if (!s)
			return -ENOMEM;
		rng = s->rng;
		*s = w->sources[i];
		s->rng = rng;
		s->name = N_CAMPUS;
		s->role = NEGATIVE;
		s->addr = inside(pool, 24, below(&s->rng, 2), &s->rng);
		s->addr.lo &= ~0xc0ULL; /* 128 addresses */
		w->sources[i].until = w->sources[i].until < at ? w->sources[i].until : at;
		wait_session(w, s, at);
	}
	return 0;
}

/* Who asks what an address is, asks through it: once or twice, by a script. */
static int probes(struct world *w, uint32_t copy)
{
	uint32_t n = size(w, 2000);
	double days = (w->c.length - w->c.history) / DAY;

	w->farm.key = bits(&w->rng);
	for (uint32_t i = 0; i < n * days; i++) {
		struct source *s = source_new(w, N_PROBE, w->stacks.first[SCRIPT] + copy % 40);
		uint64_t place;

		if (!s)
			return -ENOMEM;
		eyeball(w, s);
		s->tcp = tcp_of(DESKTOP, uniform(&s->rng));
		s->rtt = fmax(1, lognormal(&s->rng, 28, .6));
		place = hash2(w->farm.key ^ copy, s->addr.hi + (s->addr.lo >> 16));
		s->far = WAITS;
		s->leg = fmax(6, lognormal(&place, 60, .6));
		s->traits = 0;
		s->pace = POISSON;
		s->every = 20;
		s->from = w->c.history + days * DAY * uniform(&s->rng);
		s->until = s->from + below(&s->rng, 40);
		start_at(s, s->from);
	}
	return 0;
}

static int tunnels(struct world *w, bool one_stack)
{
	uint32_t n = size(w, w->c.sources / 10);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t stack =
			one_stack ? w->stacks.first[MOBILE] + 1
				  : stacks_draw(&w->stacks, below(&w->rng, 2) ? MOBILE : DESKTOP,
						uniform(&w->rng));
		struct source *s = source_new(w, N_TUNNEL_NEW, stack);

		if (!s)
			return -ENOMEM;
		tunnel(w, s, w->c.history + 1800 + 7200 * uniform(&w->rng));
	}
	return 0;
}

static int relays(struct world *w)
{
	double left = w->c.length - w->c.history, ramp = left < 7 * DAY ? left : 7 * DAY;

	for (int i = 0; i < 3; i++)
		relay_exits(w, w->c.sources / 60, w->c.sources / 1200 + 2, N_RELAY_NEW,
			    w->c.history + 60, ramp);
	return 0;
}

/* ---- by name ------------------------------------------------------------------------------ */

static int copy_of(struct world *w, const char *d, uint32_t i)
{
	double at = w->c.history + 3600;
	uint32_t to = 8 + i;

	if (!strcmp(d, "N1"))
		return pods(w, i, false);
	if (!strcmp(d, "N1r"))
		return pods(w, i, true);
	if (!strcmp(d, "N2"))
		return sase(w, i, false);
	if (!strcmp(d, "N2d"))
		return sase(w, i, true);
	if (!strcmp(d, "N3"))
		return load_test(w, i);
	if (!strcmp(d, "N4"))
		return release(w, sdk(w, i), stacks_spare(&w->stacks, to, SDK), at, 2 * DAY, 0);
	if (!strcmp(d, "N4s")) /* slow to check certificates */
		return release(w, sdk(w, i), stacks_spare(&w->stacks, to, SDK), at, 2 * DAY, 60);
	if (!strcmp(d, "N5"))
		return release(w, w->stacks.first[DESKTOP] + i % 60,
			       stacks_spare(&w->stacks, to, DESKTOP), at, 5 * DAY, 0);
	if (!strcmp(d, "N7"))
		return monitoring(w, i);
	if (!strcmp(d, "N9"))
		return crowd(w, i);
	if (!strcmp(d, "N10"))
		return campus(w, i);
	if (!strcmp(d, "N13"))
		return probes(w, i);
	return -EINVAL;
}

int negative_build(struct world *w)
{
	const char *d = w->c.design;
	double left = w->c.length - w->c.history;
	int err = 0;

	for (uint32_t i = 0; i < STACKS; i++) /* what concerns everybody tries these */
		w->copies += w->stack_sources[i] >= 100;
	if (!strcmp(d, "none"))
		return 0;
	if (!strcmp(d, "N6"))
		return relays(w);
	if (!strcmp(d, "N8"))
		return carrier(w);
	if (!strcmp(d, "N12"))
		return tunnels(w, false);
	if (!strcmp(d, "N12b"))
		return tunnels(w, true);
	if (!strcmp(d, "N14")) {
		w->outage_from = w->c.history + left * range(&w->rng, .1, .7);
		w->outage_until = w->outage_from + range(&w->rng, 600, 7200);
		return 0;
	}
	if (!strcmp(d, "N15")) {
		w->storm_from = w->c.history + left * range(&w->rng, .1, .7);
		w->storm_until = w->storm_from + 3600;
		return 0;
	}
	w->copies = w->c.copies;
	for (uint32_t i = 0; i < w->c.copies && !err; i++)
		err = copy_of(w, d, i);
	return err;
}
