/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/replacements.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/dispersion.h"
#include "detect/members.h"
#include "detect/verdict.h"
#include "tally.h"

#define SHARED_EXITS 0.1 /* whose owners use the same stack */
#define LEG_MOST     4.0
#define JAM          0.1
#define SHARE_MOST   0.98
#define ROUNDS       30
#define LEGS         3 /* of D*, split: levels 2 to 4 of features.h */

enum kind { WAITS, SPLIT, DIRECT, KINDS };

struct kinds {
	double n[KINDS];
};

/* Of one birth. */
struct birth {
	size_t member;
	double farm, honest; /* P_f, P_h */
	double posterior;
};

static struct kinds kinds_of(const struct cohort_member *m)
{
	double split = (double)m->split_handshakes - m->split_waiting;

	return (struct kinds){ { m->split_waiting, fmax(0, split), m->direct_handshakes } };
}

static void add(struct kinds *sum, const struct cohort_member *m)
{
	struct kinds k = kinds_of(m);

	for (int i = 0; i < KINDS; i++)
		sum->n[i] += k.n[i];
}

/* Shares, one of each kind more than were counted. */
static struct kinds shares(const struct kinds *sum)
{
	double all = sum->n[WAITS] + sum->n[SPLIT] + sum->n[DIRECT] + KINDS;
	struct kinds p;

	for (int i = 0; i < KINDS; i++)
		p.n[i] = (sum->n[i] + 1) / all;
	return p;
}

static double likelihood(const struct kinds *p, const struct kinds *x)
{
	double ln = 0;

	for (int i = 0; i < KINDS; i++)
		ln += x->n[i] * log(p->n[i]);
	return exp(ln);
}

static int leg_of(uint32_t dstar)
{
	return dstar < 300 ? 0 : dstar < 1000 ? 1 : 2;
}

struct model {
	struct kinds farm, shared, honest;
	bool waits;       /* the farm: more often than not */
	double relays;    /* share of honest sources that are split */
	double leg[LEGS]; /* P(bin | a relay's) / P(bin | the farm's) */
};

static bool is_born(const struct replacements_in *in, const struct cohort_member *m)
{
	return !in->windows->records[m->record].in_clean && m->first_seen > in->since;
}

static bool was_split_here(const struct baseline *b, const struct cohort_member *m)
{
	return (baseline_source(b, m->src, m->family) | baseline_prefix(b, m->src, m->family)) &
	       SITE_SPLIT;
}

/* What counts of a birth's handshakes. */
static struct kinds counted(const struct replacements_in *in, const struct cohort_member *m)
{
	const struct record *r = &in->windows->records[m->record];
	struct kinds k = kinds_of(m);

	if (r->in_noise || r->jammed)
		k.n[SPLIT] = 0;
	k.n[WAITS] = fmax(0, k.n[WAITS] - r->jammed);
	return k;
}

static bool is_measured(const struct replacements_in *in, const struct cohort_member *m)
{
	struct kinds k = counted(in, m);

	return k.n[WAITS] + k.n[SPLIT] + k.n[DIRECT] + m->direct_waiting > 0;
}

/* Two measurements. */
static bool is_split_twice(const struct replacements_in *in, const struct cohort_member *m)
{
	struct kinds k = counted(in, m);

	return 2 * k.n[WAITS] + k.n[SPLIT] >= 2;
}

static bool was_direct(const struct replacements_in *in, const struct cohort_member *m)
{
	struct counts c;

	if (!in->windows->records[m->record].in_clean)
		return false;
	record_counts(in->windows, m->record, &c);
	return c.clean.direct > c.clean.split;
}

/* What the farm's members, and sources that were direct when clean, do now. */
static void learn(const struct replacements_in *in, const struct cohort *all, struct model *m)
{
	const struct stack_baseline *s = baseline_stack(in->baseline, all->stack);
	struct kinds farm = {}, honest = {};
	double legs[LEGS] = { 1, 1, 1 }, sum = LEGS;

	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *c = &all->members[i];

		if (was_direct(in, c)) {
			add(&honest, c);
		} else if (member_is(c) && c->first_seen <= in->since) {
			add(&farm, c);
			legs[leg_of(c->dstar)]++;
			sum++;
		}
	}
	m->farm = shares(&farm);
	m->waits = farm.n[WAITS] > farm.n[SPLIT];
	m->shared = m->farm;
	m->shared.n[DIRECT] = 0.5;
	for (int i = WAITS; i <= SPLIT; i++)
		m->shared.n[i] *= 0.5 / (m->farm.n[WAITS] + m->farm.n[SPLIT]);
	m->honest = shares(&honest);
	m->relays = s ? (s->split + 0.5) / (s->sources + 1) : fmax(in->baseline->split_share, 0.02);
	for (int i = 0; i < LEGS; i++) {
		double relay =
			in->baseline->learnt ? in->baseline->pool_split[1][i + 2] : 1.0 / LEGS;
		double ratio = relay / (legs[i] / sum);

		m->leg[i] = fmax(1 / LEG_MOST, fmin(LEG_MOST, ratio));
	}
}

static void likelihoods(const struct replacements_in *in, const struct model *m,
			const struct cohort_member *c, struct birth *b)
{
	struct kinds x = counted(in, c);

	b->farm = (1 - SHARED_EXITS) * likelihood(&m->farm, &x) +
		  SHARED_EXITS * likelihood(&m->shared, &x);
	b->honest = (1 - m->relays) * likelihood(&m->honest, &x) +
		    m->relays * b->farm * m->leg[leg_of(c->dstar)];
}

static double fit_share(struct birth *b, size_t n)
{
	double s = 0.5;

	for (int round = 0; round < ROUNDS; round++) {
		double sum = 0;

		for (size_t i = 0; i < n; i++) {
			double f = s * b[i].farm;

			b[i].posterior = f / fmax(f + (1 - s) * b[i].honest, 1e-300);
			sum += b[i].posterior;
		}
		s = fmin(sum / (n + 1), SHARE_MOST);
	}
	return s;
}

struct place {
	uint64_t net, family;
};

/* Of the split births, those with more than TOGETHER in one network. */
static int together(const struct replacements_in *in, struct cohort *all)
{
	_cleanup_(table_clearp) struct table nets;

	table_init(&nets, sizeof(struct place), sizeof(uint32_t));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < all->n; i++) {
			struct cohort_member *m = &all->members[i];
			struct place net = { network_of(m->src, m->family, NETWORK_SMALL),
					     m->family };
			uint32_t *n;

			if (!is_born(in, m) || !is_split_twice(in, m))
				continue;
			n = table_add(&nets, &net, NULL);
			if (!n)
				return -ENOMEM;
			if (!round)
				++*n;
			else
				m->together = *n > TOGETHER ? *n : 0;
		}
	}
	return 0;
}

/* Of the stack's sources that were direct when clean, in the newest window. */
static void look_for_jam(const struct replacements_in *in, const struct cohort *all, bool *jam,
			 bool *noise)
{
	const struct stack_baseline *s = baseline_stack(in->baseline, all->stack);
	double usual = s && s->handshakes ? (double)s->waiting / s->handshakes : 0;
	size_t n = 0, split = 0, fresh = 0, waiting = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct record *r = &in->windows->records[all->members[i].record];
		struct counts c;
		uint16_t newest;

		if (!r->clean_dstar || !record_moved(in->windows, r))
			continue;
		record_counts(in->windows, all->members[i].record, &c);
		newest = c.row.dstar[((c.row.state & TALLY_RING_MASK) + DSTAR_KEPT - 1) %
				     DSTAR_KEPT];
		fresh += r->fresh;
		waiting += r->fresh_waiting;
		n += newest != DSTAR_NONE;
		split += newest != DSTAR_NONE &&
			 (uint32_t)(newest & ~DSTAR_RESUMED) >=
				 baseline_threshold(in->baseline, all->stack, r->rtt_min);
	}
	*jam = waiting >= 2 && waiting > (JAM + usual) * fresh;
	*noise = split >= 2 && split > JAM * n;
}

/* Who came in the newest window remembers what it was: who began in it, when D* said nothing;
 * how often, when waiting did. */
static void remember_jam(const struct replacements_in *in, const struct cohort *all)
{
	uint64_t begun = in->windows->now - in->config->window;
	bool jam, noise;

	look_for_jam(in, all, &jam, &noise);
	for (size_t i = 0; (jam || noise) && i < all->n; i++) {
		struct record *r = &in->windows->records[all->members[i].record];

		r->in_noise |= noise && r->first_seen > begun;
		if (jam && record_moved(in->windows, r))
			r->jammed +=
				r->fresh < UINT8_MAX - r->jammed ? r->fresh : UINT8_MAX - r->jammed;
	}
}

/* As far apart as so many of a farm have to be. */
static bool are_apart(const struct replacements_in *in, const struct cohort *all,
		      const struct birth *b, size_t n, size_t split)
{
	_cleanup_(freep) struct cohort_member *them = calloc(split + 1, sizeof(*them));
	struct cohort c = { .members = them };
	struct fact spread;

	if (!them)
		return false;
	for (size_t i = 0; i < n && c.n < split; i++)
		if (is_split_twice(in, &all->members[b[i].member]))
			them[c.n++] = all->members[b[i].member];
	spread = dispersion_spread(&c);
	return spread.known && spread.x >= verdict_spread(in->config, c.n);
}

/* Of whom the first connections say nothing. */
static bool is_doubtful(const struct replacements_in *in, const struct model *farm,
			const struct cohort_member *m)
{
	return m->together || !is_split_twice(in, m) ||
	       (farm->waits && counted(in, m).n[WAITS] < 1) || was_split_here(in->baseline, m);
}

int replacements_weigh(const struct replacements_in *in, struct cohort *all,
		       struct replacements *out)
{
	_cleanup_(freep) struct birth *b = calloc(all->n + 1, sizeof(*b));
	struct model m;
	int err;

	*out = (struct replacements){};
	if (!b)
		return -ENOMEM;
	remember_jam(in, all);
	err = together(in, all);
	if (err)
		return err;
	learn(in, all, &m);
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *c = &all->members[i];

		if (!is_born(in, c))
			continue;
		if (!is_measured(in, c) || c->together)
			continue;
		b[out->n].member = i;
		likelihoods(in, &m, c, &b[out->n++]);
		out->split += is_split_twice(in, c);
	}
	out->share = fit_share(b, out->n);
	if (out->split < REPLACEMENTS_LEAST || !are_apart(in, all, b, out->n, out->split))
		return 0;
	for (size_t i = 0; i < out->n; i++) {
		struct cohort_member *c = &all->members[b[i].member];

		if (is_doubtful(in, &m, c))
			continue;
		c->reborn = true;
		c->weight = fmax(c->split == DELAY_SPLIT ? c->weight : 0, b[i].posterior);
	}
	return 0;
}
