/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "tests/sim/world.h"

struct sim {
	struct world w;
	uint32_t now; /* source of the last event, not in the calendar; UINT32_MAX */
	uint32_t tcp_keys[2][TCP_STACKS]; /* IPv4, IPv6 */
};

/* ---- settings ----------------------------------------------------------------------- */

struct sim_config sim_config_default(void)
{
	return (struct sim_config){
		.seed = 1,
		.design = "none",
		.sources = 20000,
		.history = DAY,
		.length = 2 * DAY,
		.rate = 25.6,
		.life = 7 * DAY,
		.sites = 1,
		.far = FAR_ANY,
		.drift = 1,
		.copies = 1,
		.thin = 1,
		.react = 1200,
	};
}

static const char *const exits_words[] = { "residential", "mobile", "datacenter", "mixed" };
static const char *const far_words[] = { "direct", "waits", "early", "forwarder", "any" };

static int word_of(const char *v, const char *const *words, uint32_t n, uint32_t *out)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!strcmp(v, words[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* "600", "600s", "10m", "6h", "7d" */
static int seconds_of(const char *v, double lo, double hi, double *out)
{
	char *end;
	double x = strtod(v, &end);

	if (end == v)
		return -EINVAL;
	x *= *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? DAY : 1;
	if (*end && (end[1] || !strchr("smhd", *end)))
		return -EINVAL;
	*out = x;
	return x >= lo && x <= hi ? 0 : -EINVAL;
}

static int number_of(const char *v, double lo, double hi, double *out)
{
	char *end;

	*out = strtod(v, &end);
	return end == v || *end || *out < lo || *out > hi ? -EINVAL : 0;
}

int sim_option(struct sim_config *c, const char *word)
{
	const char *v = strchr(word, '=');
	size_t n = v ? (size_t)(v - word) : 0;
	double x = 0;
	int err;

#define IS(name) (n == strlen(name) && !memcmp(word, name, n))
	if (!v++)
		return -EINVAL;
	if (IS("design"))
		return c->design = v, 0;
	if (IS("exits"))
		return word_of(v, exits_words, 4, &c->exits);
	if (IS("far"))
		return word_of(v, far_words, 5, &c->far);
	if (IS("history"))
		return seconds_of(v, 0, 400 * DAY, &c->history);
	if (IS("length"))
		return seconds_of(v, 1, 400 * DAY, &c->length);
	if (IS("life"))
		return seconds_of(v, 1, 5e9, &c->life);
	if (IS("react"))
		return seconds_of(v, 1, 30 * DAY, &c->react);
	if (IS("share"))
		return number_of(v, 0, .99, &c->share);
	if (IS("rate"))
		return number_of(v, .01, 1e6, &c->rate);
	if (IS("drift"))
		return number_of(v, 0, 10, &c->drift);
	if (IS("top"))
		return number_of(v, 0, .99, &c->top);
	if (IS("poison"))
		return number_of(v, 0, 1, &c->poison);
	err = number_of(v, 0, 1e7, &x);
	if (err)
		return err;
	if (IS("seed"))
		c->seed = x;
	else if (IS("sources") && x >= 100)
		c->sources = x;
	else if (IS("accounts"))
		c->accounts = x;
	else if (IS("sites") && x >= 1 && x <= 100)
		c->sites = x;
	else if (IS("copies") && x >= 1 && x <= 100)
		c->copies = x;
	else if (IS("thin") && x >= 1 && x <= 1000)
		c->thin = x;
	else if (IS("blind"))
		c->blind = x > 0;
	else
		return -EINVAL;
	return 0;
#undef IS
}

void sim_describe(const struct sim_config *c, FILE *out)
{
	fprintf(out, "seed=%llu design=%s sources=%u history=%.0f length=%.0f", //
		(unsigned long long)c->seed, c->design, c->sources, c->history, c->length);
	if (c->accounts)
		fprintf(out, " accounts=%u", c->accounts);
	if (c->share > 0)
		fprintf(out, " share=%g", c->share);
	fprintf(out, " rate=%g life=%.0f sites=%u exits=%s far=%s drift=%g", c->rate, c->life,
		c->sites, exits_words[c->exits], far_words[c->far], c->drift);
	if (c->top > 0)
		fprintf(out, " top=%g", c->top);
	if (c->copies > 1)
		fprintf(out, " copies=%u", c->copies);
	if (c->poison > 0)
		fprintf(out, " poison=%g", c->poison);
	if (c->blind)
		fprintf(out, " blind=1");
	if (c->thin > 1)
		fprintf(out, " thin=%u", c->thin);
	fprintf(out, " react=%.0f", c->react);
}

/* ---- building ----------------------------------------------------------------------- */

void sim_free(struct sim *s)
{
	if (!s)
		return;
	calendar_close(&s->w);
	stacks_close(&s->w.stacks);
	free(s->w.sources);
	free(s->w.stack_sources);
	free(s->w.reserve);
	free(s);
}

void sim_freep(struct sim **s)
{
	sim_free(*s);
}

/* A farm is judged beside its stack; others only have to be there. */
static bool is_left_out(const struct world *w, uint32_t i)
{
	const struct source *s = &w->sources[i];

	return w->c.thin > 1 && w->farm_stack != UINT32_MAX && s->role == ORGANIC &&
	       s->stack != w->farm_stack && hash2(w->key ^ 0x70000, i) % w->c.thin;
}

int sim_new(const struct sim_config *c, struct sim **out, struct reason *r)
{
	_cleanup_(sim_freep) struct sim *s = calloc(1, sizeof(*s));
	struct world *w;
	int err;

	if (!s)
		return -ENOMEM;
	s->now = UINT32_MAX;
	for (int i = 0; i < 2 * TCP_STACKS; i++) {
		char text[96];

		tcp_signature(&tcp_shapes[i / 2], i & 1, text);
		s->tcp_keys[i & 1][i / 2] = event_tcp_key(text);
	}
	w = &s->w;
	w->c = *c;
	if (w->c.length < w->c.history)
		return reason_set(r, -EINVAL, "length ends before history; make it longer");
	chance_open();
	w->key = mix(c->seed * 0x9e3779b97f4a7c15ULL + 1);
	w->rng = w->key;
	w->farm_stack = UINT32_MAX;
	w->stack_sources = calloc(STACKS, sizeof(*w->stack_sources));
	if (!w->stack_sources)
		return -ENOMEM;
	err = calendar_open(w);
	if (!err)
		err = stacks_open(&w->stacks, w->key, c->top, r);
	if (!err)
		err = populate(w);
	if (!err) {
		err = c->design[0] == 'F' ? farm_build(w) : negative_build(w);
		if (err == -EINVAL)
			reason_set(r, err, "no design %s; see tests/sim/README.md", c->design);
	}
	for (uint32_t i = 0; i < w->n && !err; i++)
		if (!is_left_out(w, i))
			err = calendar_add(w, i);
	if (err)
		return err;
	*out = take_ptr(s);
	return 0;
}

void sim_labels(struct sim *s, FILE *out)
{
	s->w.labels = out;
	for (size_t i = 0; i < s->w.n; i++)
		label(&s->w, &s->w.sources[i]);
}

/* ---- playing ------------------------------------------------------------------------ */

static bool in_outage(struct world *w, struct source *s, double t)
{
	if (!w->outage_until || t < w->outage_from || t >= w->outage_until)
		return false;
	/* Programs come back at once, people within minutes. */
	start_at(s, w->outage_until + exponential(&s->rng, s->pace == PEOPLE ? 300 : 20));
	return true;
}

static struct addr address(const struct world *w, const struct source *s, double t)
{
	struct addr a = s->addr;

	if (s->group == w->renumbered_group && t > w->renumbered_at && s->role != FARM &&
	    s->class <= C_MOBILE)
		a.lo ^= addr_is_v4(a) ? 0x800 : 0; /* the network moves */
	if (s->group == w->renumbered_group && t > w->renumbered_at && !addr_is_v4(a) &&
	    s->class <= C_MOBILE)
		a.hi ^= 0x80000;
	return a;
}

static void connection(struct sim *sim, struct source *s, double t, struct event_conn *e)
{
	struct world *w = &sim->w;
	uint32_t stack = stack_at(w, s, t);
	const struct stack *k = &w->stacks.stack[stack];
	double took;
	bool knew = s->traits & KNOWN;

	*e = (struct event_conn){
		.t = SIM_START * NSEC_PER_SEC + (uint64_t)s->next * 1000,
		.src = address(w, s, t),
		.sport = 1024 + below(&s->rng, 64000),
		.dport = 443,
		.tcp_key = sim->tcp_keys[!addr_is_v4(s->addr)][s->tcp],
		.hello = stack,
		.exchanges = w->exchanges,
	};
	e->psk = s->traits & RESUMES && knew && chance(&s->rng, k->resumes);
	s->traits |= KNOWN;
	delays(w, s, t, e->psk, e);
	took = s->rtt * 2.2 + 5 + (e->d1_us == US_UNKNOWN ? 0 : e->d1_us / 1e3) +
	       (e->dstar_us == US_UNKNOWN ? 0 : e->dstar_us / 1e3);
	if (s->traits & FROZEN) {
		e->has_order = true;
		e->order = s->order;
	} else if (k->permutes) {
		e->has_order = true;
		e->order = (uint32_t)bits(&s->rng);
	}
	e->n_exchanges = visit(w, s, t);
	for (uint32_t i = 0; i < e->n_exchanges; i++)
		w->exchanges[i].dt_ms += took;
	if (w->c.blind)
		e->d1_us = e->d2_us = e->dstar_us = US_UNKNOWN;
}

int sim_next(struct sim *sim, struct event_conn *e, struct sim_truth *t)
{
	struct world *w = &sim->w;
	uint32_t i = sim->now;

	sim->now = UINT32_MAX;
	if (i != UINT32_MAX && calendar_add(w, i))
		return -ENOMEM;
	while ((i = calendar_next(w)) != UINT32_MAX) {
		struct source *s = &w->sources[i];
		double now = s->next / 1e6;

		if (now >= w->c.length)
			return 0;
		if (now >= s->until || s->traits & DORMANT)
			continue;
		if (in_outage(w, s, now)) {
			if (calendar_add(w, i))
				return -ENOMEM;
			continue;
		}
		if (s->traits & MOVES && now >= s->until_addr) {
			farm_move(w, s);
			s->traits &= ~KNOWN;
			s->until_addr = now + w->c.life;
		}
		connection(sim, s, now, e);
		sim->now = i;
		*t = (struct sim_truth){ i, e->hello, s->role, sim_names[s->name] };
		return 1;
	}
	return 0;
}

void sim_blocked(struct sim *sim, const struct sim_truth *t)
{
	struct source *s = &sim->w.sources[t->source];

	if (s->role == FARM)
		farm_blocked(&sim->w, s);
}

/* ---- questions ---------------------------------------------------------------------- */

const struct stack *sim_stack(const struct sim *s, uint32_t stack)
{
	return &s->w.stacks.stack[stack];
}

const struct tcp_shape *sim_tcp(const struct sim *s, uint32_t source)
{
	return &tcp_shapes[s->w.sources[source].tcp];
}

uint32_t sim_farm_stack(const struct sim *s)
{
	return s->w.farm_stack;
}

bool sim_is_farm_stack(const struct sim *s, uint32_t stack)
{
	return s->w.farm_stack != UINT32_MAX && stack >= s->w.farm_stack &&
	       stack - s->w.farm_stack < s->w.farm.stacks;
}

uint32_t sim_stack_sources(const struct sim *s, uint32_t stack)
{
	return s->w.stack_sources[stack];
}

uint32_t sim_accounts(const struct sim *s)
{
	return s->w.farm.n;
}

uint32_t sim_copies(const struct sim *s)
{
	return s->w.copies;
}
