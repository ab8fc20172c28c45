/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/replacements.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/dispersion.h"
#include "detect/kinds.h"
#include "detect/members.h"
#include "detect/verdict.h"
#include "tally.h"

#define SHARED_EXITS 0.1 /* whose owners use the same stack */
#define LEG_MOST     4.0
#define JAM          0.1
#define SHARE_MOST   0.98
#define ROUNDS       30
#define KNOWN_LEAST  20 /* clean sources, for a crowd of them */
#define USUAL        4  /* handshakes of a source's, taken to be as most are */
#define LEGS         3  /* of D*, split: levels 2 to 4 of features.h */

/* Of one birth. */
struct birth {
	size_t member;
	double farm, honest; /* P_f, P_h */
	double posterior;
};

static int leg_of(uint32_t dstar)
{
	return dstar < 300 ? 0 : dstar < 1000 ? 1 : 2;
}

static bool is_born(const struct replacements_in *in, const struct cohort_member *m)
{
	return !in->windows->records[m->record].in_clean && m->first_seen > in->since;
}

static bool was_split_here(const struct baseline *b, const struct cohort_member *m)
{
	return (baseline_source(b, m->src, m->family) | baseline_prefix(b, m->src, m->family)) &
	       SITE_SPLIT;
}

/* Without what jammed windows made of them. */
static struct kinds unjammed(struct kinds k, const struct record *r)
{
	if (r->in_noise || r->jammed)
		k.n[SPLIT] = 0;
	k.n[WAITS] = fmax(0, k.n[WAITS] - r->jammed);
	return k;
}

/* What counts of a birth's handshakes. */
static struct kinds counted(const struct replacements_in *in, const struct cohort_member *m)
{
	return unjammed(kinds_of(m), &in->windows->records[m->record]);
}

static bool is_measured(const struct replacements_in *in, const struct cohort_member *m)
{
	struct kinds k = counted(in, m);

	return kinds_all(&k) + m->direct_waiting > 0;
}

/* Two measurements. */
static bool is_split_twice(const struct replacements_in *in, const struct cohort_member *m)
{
	struct kinds k = counted(in, m);

	return 2 * k.n[WAITS] + k.n[SPLIT] >= 2;
}

struct place {
	uint64_t net, family;
};

/* How many were counted in its network, to count it or to look. NULL: no memory. */
static uint32_t *count_at(struct table *nets, const struct cohort_member *m)
{
	struct place net = { network_of(m->src, m->family, NETWORK_SMALL), m->family };

	return table_add(nets, &net, NULL);
}

struct model {
	struct kinds farm, shared;
	struct crowd honest; /* who was there when clean, as they are now */
	bool waits;          /* the farm: more often than not */
	double leg[LEGS];    /* P(bin | a relay's) / P(bin | the farm's) */
};

static const struct kinds even = { { 1.0 / KINDS, 1.0 / KINDS, 1.0 / KINDS } };

/* Of one source: when clean and lately. */
struct known {
	struct kinds clean, now;
	bool direct; /* when clean, more often than not */
};

static bool is_far(const struct model *m, const struct known *k)
{
	return 2 * (k->clean.n[WAITS] + (m->waits ? 0 : k->clean.n[SPLIT])) > kinds_all(&k->clean);
}

/* Of the sources that were far when clean, how many there are in each network. */
static int count_far(const struct model *m, const struct cohort *all, const struct known *known,
		     struct table *nets)
{
	for (size_t i = 0; i < all->n; i++) {
		uint32_t *n;

		if (!is_far(m, &known[i]))
			continue;
		n = count_at(nets, &all->members[i]);
		if (!n)
			return -ENOMEM;
		++*n;
	}
	return 0;
}

static double share_split(const struct baseline *b, uint64_t stack)
{
	double share = baseline_split_share(b, stack);

	return baseline_stack(b, stack) ? share : fmax(share, 0.02);
}

/* The stack's sources of the clean time. Of those that were far, the only ones of their
 * network: who comes where others were split is judged by nobody here. */
static int learn_honest(const struct replacements_in *in, const struct cohort *all,
			const struct known *known, struct model *m)
{
	_cleanup_(table_clearp) struct table nets;
	struct kinds sum = {}, usual;
	double n = 0, far;

	table_init(&nets, sizeof(struct place), sizeof(uint32_t));
	if (count_far(m, all, known, &nets))
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++) {
		n += kinds_all(&known[i].clean) > 0;
		if (known[i].direct)
			kinds_add(&sum, &known[i].now);
	}
	usual = kinds_shares(&sum, &even, KINDS);
	for (size_t i = 0; n >= KNOWN_LEAST && i < all->n; i++) {
		const struct known *k = &known[i];
		bool apart = is_far(m, k);
		struct kinds p;

		if (!kinds_all(&k->clean) || (apart && *count_at(&nets, &all->members[i]) > 1))
			continue;
		p = kinds_shares(kinds_all(&k->now) ? &k->now : &k->clean,
				 apart ? &m->farm : &usual, USUAL);
		crowd_add(&m->honest, &p, 1);
	}
	/* Half a source that is as the farm's, whatever is known. */
	far = n < KNOWN_LEAST ? share_split(in->baseline, all->stack) : 0.5;
	if (n < KNOWN_LEAST)
		crowd_add(&m->honest, &usual, 1 - far);
	crowd_add(&m->honest, &m->farm, far);
	crowd_done(&m->honest);
	return 0;
}

/* What the farm's members, and sources that were there when clean, do now. */
static int learn(const struct replacements_in *in, const struct cohort *all, struct model *m)
{
	_cleanup_(freep) struct known *known = calloc(all->n + 1, sizeof(*known));
	double legs[LEGS] = { 1, 1, 1 }, sum = LEGS;
	struct kinds farm = {};

	*m = (struct model){};
	if (!known)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++) {
		const struct cohort_member *c = &all->members[i];
		struct counts counts;
		struct view lately;

		if (is_born(in, c))
			continue;
		record_counts(in->windows, c->record, &counts);
		lately = counts_lately(&counts);
		known[i] = (struct known){ kinds_in(counts.clean.d1dstar),
					   unjammed(kinds_in(lately.d1dstar),
						    &in->windows->records[c->record]),
					   counts.clean.direct > counts.clean.split };
		if (known[i].direct || !member_is(c) || c->first_seen > in->since)
			continue;
		kinds_add(&farm, &known[i].now);
		legs[leg_of(c->dstar)]++;
		sum++;
	}
	m->farm = kinds_shares(&farm, &even, KINDS);
	m->waits = farm.n[WAITS] > farm.n[SPLIT];
	m->shared = m->farm;
	m->shared.n[DIRECT] = 0.5;
	for (int i = WAITS; i <= SPLIT; i++)
		m->shared.n[i] *= 0.5 / (m->farm.n[WAITS] + m->farm.n[SPLIT]);
	for (int i = 0; i < LEGS; i++) {
		double relay =
			in->baseline->learnt ? in->baseline->pool_split[1][i + 2] : 1.0 / LEGS;
		double ratio = relay / (legs[i] / sum);

		m->leg[i] = fmax(1 / LEG_MOST, fmin(LEG_MOST, ratio));
	}
	return learn_honest(in, all, known, m);
}

static void likelihoods(const struct replacements_in *in, const struct model *m,
			const struct cohort_member *c, struct birth *b)
{
	struct kinds x = counted(in, c);

	b->farm = (1 - SHARED_EXITS) * kinds_likelihood(&m->farm, &x) +
		  SHARED_EXITS * kinds_likelihood(&m->shared, &x);
	b->honest = crowd_likelihood(&m->honest, &x, m->waits, m->leg[leg_of(c->dstar)]);
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

/* Of the split births, those with more than TOGETHER in one network. */
static int together(const struct replacements_in *in, struct cohort *all)
{
	_cleanup_(table_clearp) struct table nets;

	table_init(&nets, sizeof(struct place), sizeof(uint32_t));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < all->n; i++) {
			struct cohort_member *m = &all->members[i];
			uint32_t *n;

			if (!is_born(in, m) || !is_split_twice(in, m))
				continue;
			n = count_at(&nets, m);
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
	return !is_split_twice(in, m) || (farm->waits && counted(in, m).n[WAITS] < 1);
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
	if (!err)
		err = learn(in, all, &m);
	if (err)
		return err;
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *c = &all->members[i];

		if (!is_born(in, c))
			continue;
		if (!is_measured(in, c) || c->together || was_split_here(in->baseline, c))
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
