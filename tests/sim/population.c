/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * population.c - the honest people and machines of a site. README.md: "Population".
 */
#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "tests/sim/world.h"

const char *const sim_names[] = {
	"organic", "nat",   "relay",   "tunnel", "farm",   "pods",  "sase",       "load",
	"release", "relay", "monitor", "crowd",  "campus", "probe", "tunnel-new",
};

static enum role role_of(enum name n)
{
	return n == N_FARM ? FARM : n > N_FARM ? NEGATIVE : ORGANIC;
}

void start_at(struct source *s, double t)
{
	s->next = t >= 4e9 ? NEVER : (int64_t)(t * 1e6);
}

struct source *source_new(struct world *w, enum name name, uint32_t stack)
{
	struct source *s;

	if (w->n == w->room) {
		size_t room = w->room ? w->room * 2 : 65536;
		struct source *more = realloc(w->sources, room * sizeof(*more));

		if (!more)
			return NULL;
		w->sources = more;
		w->room = room;
	}
	s = &w->sources[w->n];
	*s = (struct source){
		.rng = hash2(w->key ^ 0x50000, w->n),
		.stack = stack,
		.name = name,
		.role = role_of(name),
		.until = UINT32_MAX,
		.until_addr = UINT32_MAX,
		.pace = PEOPLE,
		.traits = RESUMES,
		.class = C_OTHER,
	};
	w->n++;
	if (s->role == ORGANIC)
		w->stack_sources[stack]++;
	return s;
}

void label(struct world *w, const struct source *s)
{
	char text[ADDR_TEXT];
	uint8_t family;
	uint64_t src = source_of(s->addr, &family);

	if (w->labels && s->role != ORGANIC)
		fprintf(w->labels, "%s %u %s\n", source_text(src, family, text), s->stack,
			sim_names[s->name]);
}

struct addr inside(uint32_t slash16, uint32_t len, uint32_t net, uint64_t *rng)
{
	return addr_v4(slash16 << 16 | net << (32 - len) | (below(rng, 1U << (32 - len)) | 1));
}

/* ---- where ------------------------------------------------------------------------ */

void eyeball_from(struct world *w, struct source *s, uint64_t *rng)
{
	/* Some networks are larger than others. */
	uint32_t i = NETS * pow(uniform(rng), 1.5);

	s->group = w->nets[i].group;
	if (uniform(rng) < w->v6) {
		s->addr.hi = (0x2a000000ULL + i) << 32 | (uint32_t)bits(rng);
		s->addr.lo = bits(rng) | 1;
	} else {
		s->addr = addr_v4((uint32_t)w->nets[i].v4 << 16 | below(rng, 65536));
	}
}

void eyeball(struct world *w, struct source *s)
{
	eyeball_from(w, s, &s->rng);
}

static void wired(struct source *s)
{
	s->rtt = fmax(1, lognormal(&s->rng, 28, .6));
}

static void radio(struct source *s)
{
	s->rtt = fmax(8, lognormal(&s->rng, 60, .6));
	s->noise = range(&s->rng, 1, 12);
}

/* ---- who --------------------------------------------------------------------------- */

/* Exchanges a day: lognormal between people, so that few make most of them. */
void person(struct world *w, struct source *s)
{
	double rate = fmin(3000, lognormal(&s->rng, w->per_day, w->sigma));

	s->pace = PEOPLE;
	s->every = fmax(60, DAY * w->session / rate);
	s->tcp = tcp_of(w->stacks.stack[s->stack].kind, uniform(&s->rng));
	if (w->stacks.stack[s->stack].kind == MOBILE)
		radio(s);
	else
		wired(s);
	if (chance(&s->rng, .05))
		s->traits |= BLOATED;
	if (chance(&s->rng, .03)) /* an old machine, a slow certificate check */
		s->own = range(&s->rng, 8, 60);
	if (chance(&s->rng, .9))
		s->traits |= UPGRADES;
}

/* Somebody who is there from the beginning, or (a third) comes some day. */
static void arrive(struct world *w, struct source *s)
{
	double t = 0;

	if (chance(&s->rng, .35)) {
		s->from = w->c.length * uniform(&s->rng);
		if (chance(&s->rng, .5))
			s->until = s->from + w->c.length * uniform(&s->rng);
	}
	for (int i = 0; i < 20; i++) {
		t = s->from + s->every * uniform(&s->rng);
		if (uniform(&s->rng) < activity(w, s, t))
			break;
	}
	s->left = 1 + (geometric(&s->rng, w->session) & 1023);
	start_at(s, t);
}

static void automaton(struct world *w, struct source *s)
{
	static const uint16_t periods[] = { 300, 900, 1800, 3600, 7200, 21600, 43200 };

	s->tcp = tcp_of(SDK, uniform(&s->rng));
	wired(s);
	s->traits &= ~UPGRADES;
	if (chance(&s->rng, .5)) {
		s->pace = CRON;
		s->every = periods[below(&s->rng, 7)];
	} else {
		s->pace = RENEWAL;
		/* Few of them make most of all exchanges (ServeGen). */
		s->every = DAY / fmin(10000, lognormal(&s->rng, 12, 2.2));
		s->site = below(&s->rng, 2);
	}
}

static uint32_t some_stack(struct world *w, enum class c, uint64_t *rng)
{
	double u = uniform(rng);
	enum stack_kind k = c == C_DESKTOP  ? DESKTOP
			    : c == C_MOBILE ? MOBILE
			    : u < .62       ? SDK
					    : SCRIPT;

	if (c == C_NAT || c == C_RELAY)
		k = u < .6 ? DESKTOP : u < .9 ? MOBILE : u < .97 ? SDK : SCRIPT;
	else if (c == C_DESKTOP && u < .06) /* people with scripts */
		k = u < .03 ? SDK : SCRIPT;
	return stacks_draw(&w->stacks, k, uniform(rng));
}

static int one(struct world *w, enum class c)
{
	struct source *s = source_new(w, N_ORGANIC, some_stack(w, c, &w->rng));

	if (!s)
		return -ENOMEM;
	s->class = c;
	eyeball(w, s);
	person(w, s);
	if (c == C_AUTOMATION)
		automaton(w, s);
	arrive(w, s);
	return 0;
}

/* People share an address: 2-8, or Pareto(1.1) up to 2,000. Returns how many, 0: none. */
static uint32_t shared(struct world *w, uint32_t left)
{
	uint32_t n = chance(&w->rng, .75) ? 2 + below(&w->rng, 7)
					  : fmin(2000, 8 * pow(uniform(&w->rng), -1 / 1.1));
	struct source where = {};
	bool carrier = n > 50;

	where.rng = bits(&w->rng);
	eyeball(w, &where);
	if (n > left)
		n = left;
	for (uint32_t i = 0; i < n; i++) {
		struct source *s = source_new(w, N_NAT, some_stack(w, C_NAT, &w->rng));

		if (!s)
			return 0;
		s->class = C_NAT;
		s->addr = where.addr;
		s->group = where.group;
		person(w, s);
		if (carrier)
			radio(s);
		arrive(w, s);
	}
	return n;
}

/* A privacy relay: few prefixes, many people behind each exit, a leg of their own. */
void relay_exits(struct world *w, uint32_t clients, uint32_t exits, enum name name, double from,
		 double ramp)
{
	uint32_t nets[4];

	for (int i = 0; i < 4; i++)
		nets[i] = 0x7000 + below(&w->rng, 256);
	for (uint32_t i = 0; i < clients; i++) {
		struct source *s = source_new(w, name, some_stack(w, C_RELAY, &w->rng));
		uint32_t e = below(&w->rng, exits ? exits : 1);
		uint64_t place = hash2(w->key ^ nets[e % 4], e);

		if (!s)
			return;
		s->class = C_RELAY;
		s->addr = inside(nets[e % 4], 24, e / 4 & 255, &place);
		s->group = below(&w->rng, w->n_groups);
		person(w, s);
		s->tcp = TCP_LINUX;
		s->far = chance(&s->rng, .6) ? FORWARDER : WAITS;
		s->program = PLAIN;
		s->leg = fmin(300, lognormal(&s->rng, 25, .7));
		s->from = from + ramp * sqrt(uniform(&s->rng));
		if (from <= 0)
			arrive(w, s);
		else
			wait_session(w, s, s->from);
	}
}

/* Somebody's own way out: VPN on a rented machine, a company's proxy, an antivirus. */
void tunnel(struct world *w, struct source *s, double from)
{
	static const uint8_t programs[] = { PLAIN, PLAIN, NAGLE, TUNNELLED };

	eyeball(w, s);
	person(w, s);
	if (chance(&s->rng, .5))
		s->tcp = TCP_LINUX;
	s->far = chance(&s->rng, .5) ? FORWARDER : WAITS;
	s->program = programs[below(&s->rng, 4)];
	s->leg = fmin(400, lognormal(&s->rng, 30, .9));
	s->from = from;
	if (from <= 0)
		arrive(w, s);
	else
		wait_session(w, s, from);
}

/* ---- the site -------------------------------------------------------------------------- */

static void geography(struct world *w)
{
	uint64_t *r = &w->rng;

	w->n_groups = 24 + below(r, GROUPS_MAX - 24 + 1);
	for (uint32_t i = 0; i < w->n_groups; i++)
		w->groups[i] = (struct group){ .shift = 3600.0 * below(r, 24),
					       .amplitude = range(r, .3, .85),
					       .weekend = range(r, .4, 1) };
	for (uint32_t i = 0; i < NETS; i++)
		w->nets[i] = (struct net){ .group = below(r, w->n_groups),
					   .v4 = 0x0b00 + below(r, 0x5000) };
	w->renumbered_group = below(r, w->n_groups);
	w->renumbered_at = w->c.length * range(r, .2, .8);
}

/* Popular browsers: a next version every few weeks, taken up over a fortnight. */
static void calendar_of_releases(struct world *w)
{
	uint32_t first = w->stacks.first[DESKTOP], mobile = w->stacks.first[MOBILE];
	const uint32_t from[RELEASES] = { first + 1, first + 3, first + 4, mobile + 1 };

	for (uint32_t i = 0; i < RELEASES; i++)
		w->releases[i] = (struct release){
			.from = from[i],
			.to = stacks_spare(&w->stacks, i, w->stacks.stack[from[i]].kind),
			.centre = DAY * range(&w->rng, 3, 31),
			.width = DAY * 14 / 8,
		};
}

int populate(struct world *w)
{
	static const double usual[] = { .45, .2, .2, .1, .05 };
	double share[5], sum = 0;
	uint64_t *r = &w->rng;
	uint32_t n = w->c.sources, done = 0, count[5];

	geography(w);
	calendar_of_releases(w);
	w->sigma = range(r, 1, 2);
	w->session = range(r, 4, 12);
	w->gap = range(r, 20, 40);
	w->per_day = 6;
	w->v6 = range(r, .15, .4);
	for (int i = 0; i < 5; i++)
		sum += share[i] = usual[i] * range(r, .5, 1.5);
	for (int i = 0; i < 5; i++)
		count[i] = n * share[i] / sum;
	for (enum class c = C_DESKTOP; c <= C_AUTOMATION; c++)
		for (uint32_t i = 0; i < count[c]; i++)
			if (one(w, c))
				return -ENOMEM;
	while (done < count[C_NAT]) {
		uint32_t got = shared(w, count[C_NAT] - done);

		if (!got)
			return -ENOMEM;
		done += got;
	}
	for (int i = 0; i < 3; i++)
		relay_exits(w, count[C_RELAY] / 3, count[C_RELAY] / 60 + 2, N_RELAY, 0, 0);
	for (uint32_t i = 0; i < n / 100; i++) {
		struct source *s = source_new(w, N_TUNNEL, some_stack(w, C_RELAY, r));

		if (!s)
			return -ENOMEM;
		tunnel(w, s, 0);
	}
	return 0;
}
