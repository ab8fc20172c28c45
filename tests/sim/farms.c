/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * farms.c - the designs F0-F8, F11-F13 of detection.md 8.1, F14 beside them, and how an
 * operator who is blocked goes on. README.md: "Farms".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "tests/sim/world.h"

#define CLOUD_NETS   40  /* /24s of a data centre farm */
#define ROTATED      100 /* stacks of F14 */
#define ROTATED_FROM 20  /* behind those that releases and look-alikes take */

static bool is(const struct world *w, int number)
{
	const char *d = w->c.design;

	return d[0] == 'F' && atoi(d + 1) == number;
}

/* ---- one account ---------------------------------------------------------------------- */

/* A leg belongs to where the exit is and where the operator is. */
static float leg_between(const struct world *w, const struct source *s)
{
	uint64_t prefix = addr_is_v4(s->addr) ? s->addr.lo >> 12 : s->addr.hi >> 24;
	uint64_t place = hash2(w->farm.key ^ prefix, s->site + 1);

	return fmin(400, fmax(6, lognormal(&place, 60, .6)));
}

static enum exits exits_of(const struct world *w, struct source *s)
{
	if (w->farm.cloud)
		return DATACENTER;
	return w->c.exits == MIXED ? below(&s->rng, 3) : w->c.exits;
}

/* A new address: an exit in one of the prefixes that the provider has. */
void farm_move(struct world *w, struct source *s)
{
	enum exits e = exits_of(w, s);
	uint32_t pool = e == DATACENTER ? CLOUD_NETS : w->farm.nets;
	uint64_t place = hash2(w->farm.key ^ 0x60000, (uint64_t)e << 32 | below(&s->rng, pool));

	s->noise = 0;
	if (e == DATACENTER) {
		uint32_t slash16 = 0x6c00 + (w->farm.cloud ? below(&place, 4) : below(&place, 64));

		s->addr = inside(slash16, 24, below(&place, 256), &s->rng);
		s->group = below(&place, w->n_groups);
		s->tcp = TCP_LINUX;
		s->rtt = fmax(1, lognormal(&s->rng, 12, .5));
	} else {
		eyeball_from(w, s, &place);
		if (addr_is_v4(s->addr)) { /* the same /20; a carrier's /24 */
			uint32_t len = e == MOBILE_EXITS ? 24 : 20;
			uint32_t host = below(&s->rng, 1U << (32 - len)) | 1;

			s->addr = addr_v4((uint32_t)s->addr.lo >> (32 - len) << (32 - len) | host);
		} else {
			s->addr.hi = s->addr.hi >> 20 << 20 | below(&s->rng, 1U << 20);
			s->addr.lo = bits(&s->rng) | 1;
		}
		s->tcp = e == MOBILE_EXITS
				 ? TCP_ANDROID
				 : tcp_of(chance(&s->rng, .6) ? DESKTOP : MOBILE, uniform(&s->rng));
		s->rtt = fmax(1, lognormal(&s->rng, e == MOBILE_EXITS ? 60 : 28, .6));
		if (e == MOBILE_EXITS)
			s->noise = range(&s->rng, 1, 12);
	}
	s->traits &= ~DELAYED_ACK;
	if (s->tcp == TCP_WINDOWS || s->tcp == TCP_APPLE)
		s->traits |= DELAYED_ACK;
	s->leg = leg_between(w, s);
	label(w, s);
}

static void schedule(struct world *w, struct source *s, double t)
{
	if (s->pace == PEOPLE)
		wait_session(w, s, t + s->every * .5 * uniform(&s->rng));
	else if (s->pace == BATCH)
		start_at(s, (floor(t / s->every) + 1) * s->every + 120 * uniform(&s->rng));
	else
		start_at(s, t + s->every * uniform(&s->rng));
}

static int account(struct world *w, double from)
{
	const struct farm_plan *f = &w->farm;
	struct source *s = source_new(w, N_FARM, f->stack);
	double rate;

	if (!s)
		return -ENOMEM;
	if (f->stacks > 1 && !f->hourly)
		s->stack += below(&s->rng, f->stacks);
	s->site = below(&s->rng, w->c.sites);
	s->traits = MOVES | (f->resumes ? RESUMES : 0) | (f->frozen ? FROZEN : 0) |
		    (f->exit_tls ? EXIT_TLS : 0);
	s->order = f->order;
	s->far = f->cloud ? DIRECT : f->far;
	s->program = f->program;
	rate = w->c.rate;
	if (f->people) { /* F4-F6, F8: lognormal counts, mean kept */
		rate *= exp(-.5) * lognormal(&s->rng, 1, 1);
		s->pace = PEOPLE;
		s->every = fmax(60, DAY * w->session / rate);
		if (f->clock == 2)
			s->traits |= UPGRADES; /* lives where its exit is; see activity() */
	} else {
		s->pace = f->lockstep ? BATCH : chance(&s->rng, .5) ? POISSON : EVEN;
		s->every = DAY / rate;
	}
	if (f->clock == 1)
		s->traits |= NIGHT;
	s->from = from;
	s->until_addr = w->c.life > 4e9 ? UINT32_MAX : from + w->c.life * uniform(&s->rng);
	farm_move(w, s);
	schedule(w, s, from);
	return 0;
}

/* ---- the design ----------------------------------------------------------------------- */

static void design(struct world *w)
{
	struct farm_plan *f = &w->farm;
	uint64_t *r = &w->rng;

	*f = (struct farm_plan){
		.stack = w->stacks.first[DESKTOP],
		.key = bits(r),
		.order = bits(r) | 1,
		.program = below(r, 3),
		.clock = below(r, 2), /* never sleeps, or as the operator does */
		.far = w->c.far == FAR_ANY ? WAITS : w->c.far,
		.stacks = 1,
	};
	if (is(w, 0))
		f->stack = stacks_spare(&w->stacks, STACKS_SPARE - 1, SDK);
	if (is(w, 1) || is(w, 11) || is(w, 12) || is(w, 13))
		f->stack = w->stacks.first[SDK];
	if (is(w, 14)) { /* made-up hellos that nobody else has, one after the other */
		f->stack = stacks_spare(&w->stacks, ROTATED_FROM, SDK);
		f->stacks = ROTATED;
		f->hourly = w->c.design[3] == 'h';
		for (uint32_t i = 1; i < ROTATED; i++)
			stacks_spare(&w->stacks, ROTATED_FROM + i, SDK);
	}
	f->frozen = is(w, 2);
	f->people = is(w, 4) || is(w, 5) || is(w, 6) || is(w, 8);
	f->resumes = is(w, 6) || is(w, 8);
	f->exit_tls = is(w, 7) || is(w, 8);
	f->lockstep = is(w, 12);
	f->dormant = is(w, 11);
	f->cloud = is(w, 13);
	if (is(w, 5) || is(w, 6))
		f->far = EARLY;
	if (is(w, 6) || is(w, 8))
		f->clock = 2;
}

static bool known_design(const struct world *w)
{
	int n = atoi(w->c.design + 1);

	return w->c.design[0] == 'F' && n >= 0 && n <= 14 && n != 9 && n != 10;
}

int farm_build(struct world *w)
{
	struct farm_plan *f = &w->farm;
	uint32_t early;
	int err = 0;

	if (!known_design(w))
		return -EINVAL;
	design(w);
	w->farm_stack = f->stack;
	f->n = w->c.accounts ? w->c.accounts : 500;
	if (w->c.share > 0)
		f->n = fmax(1, w->stack_sources[f->stack] * w->c.share / (1 - w->c.share));
	f->nets = f->n / 4 + 20;
	early = f->n * w->c.poison;
	for (uint32_t i = 0; i < f->n && !err; i++)
		err = account(w, i < early ? 0 : w->c.history + 600 * uniform(&w->rng));
	if (err || !f->dormant)
		return err;
	w->reserve = calloc(f->n, sizeof(*w->reserve));
	if (!w->reserve)
		return -ENOMEM;
	for (size_t i = w->n - f->n; i < w->n; i += 2) { /* half of them wait */
		w->sources[i].traits |= DORMANT;
		w->sources[i].next = NEVER;
		w->reserve[w->n_reserve++] = i;
	}
	return 0;
}

/* ---- after a ban ---------------------------------------------------------------------- */

/* An account that cannot get through is given up after its third failure; another one
 * takes its work from another exit a while later. */
void farm_blocked(struct world *w, struct source *s)
{
	double t = s->next / 1e6, delay;
	uint64_t old = s->addr.hi ^ s->addr.lo >> 12;

	if (++s->failures < 3)
		return;
	s->failures = 0;
	if (w->n_reserve) {
		struct source *other = &w->sources[w->reserve[--w->n_reserve]];

		other->traits &= ~DORMANT;
		other->from = t;
		schedule(w, other, t + lognormal(&s->rng, 300, 1));
		if (calendar_add(w, other - w->sources))
			abort();
		s->until = 0;
		return;
	}
	delay = lognormal(&s->rng, w->c.react, .7);
	for (int i = 0; i < 8 && (s->addr.hi ^ s->addr.lo >> 12) == old; i++)
		farm_move(w, s);
	s->traits &= ~KNOWN;
	s->from = t + delay;
	s->until_addr = w->c.life > 4e9 ? UINT32_MAX : s->from + w->c.life;
	schedule(w, s, s->from);
}
