/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "tls/names.h"

#define SNAPS 4 /* at the proposal, a day and five days later, at the end */
#define BINS  10
#define FARMS 256

static const double snap_after[SNAPS] = { 0, 86400, 5 * 86400, INFINITY };

struct identity_key { /* an address on a stack */
	uint64_t src;
	uint32_t stack;
	uint32_t family;
};

struct identity {
	uint64_t first, last;  /* farm connections, ns */
	uint64_t seen;         /* connections of any kind; 0: not looked at, all honest */
	uint64_t named;        /* last called a member */
	uint64_t ruled;        /* first covered by a rule, ns */
	uint64_t expires;      /* of the rule at hand */
	uint32_t farm, benign; /* exchanges */
	uint32_t before;       /* farm connections before it was ruled */
	uint8_t snaps;         /* whose plan has a rule on it */
	bool is_farm, full_only, late;
};

struct snap {
	bool taken;
	uint64_t time;
	uint32_t rules, right, active, found, members, members_right;
	double right_exchanges, wrong_exchanges;
	double expected, upper95, share_all; /* as the plan has them */
	uint64_t all_before;                 /* benign exchanges until then */
	uint64_t hit_after;                  /* since then, by rules of this plan */
};

struct judged { /* one farm of the judge */
	char id[16];
	bool right, proposed;
	uint64_t watched, flagged, proposed_at;
	char gate[256]; /* what it lacked when it was last seen */
};

struct score {
	const struct sim *sim;
	struct sim_config c;
	struct table identities;
	struct table stacks; /* name -> u32 number */
	struct judged farms[FARMS];
	size_t n_farms;
	uint64_t begins, now;
	struct snap snap[SNAPS];
	uint64_t bins[BINS], bins_right[BINS], n_posterior;
	double brier;
	/* exchanges */
	uint64_t farm, farm_passed, farm_hit, benign, benign_hit, benign_blocked, farm_blocked;
	uint64_t *minutes; /* farm exchanges by the end of each minute of the design */
	size_t n_minutes;
	uint64_t watched, flagged, proposed; /* of the right farm, first */
	uint32_t stack_benign, stack_benign_hit;
	uint64_t enforced;
	/* of replacements, until they were under a rule */
	double *caught_hours, *caught_connections;
	double regrowth; /* bits of the ban experiment on the right farm; NAN: none */
	size_t n_caught, room_caught, room_connections;
};

/* ---- life --------------------------------------------------------------------------- */

struct stack_key {
	char name[40];
};

static int name_stacks(struct score *s)
{
	_cleanup_(namer_freep) struct namer *namer = NULL;
	struct secret secret = { { 7 } };
	int err = namer_new(&namer);

	for (uint32_t i = 0; i < STACKS && !err; i++) {
		const struct stack *k = sim_stack(s->sim, i);
		const struct names *names;
		struct stack_key key = {};
		struct hello hello = {};
		uint32_t *number;

		if (!k->hello)
			continue;
		if (namer_parse(namer, k->hello, k->len, &secret, 't', &hello) != HELLO_OK)
			return -EINVAL;
		err = namer_name(namer, k->hello, k->len, &hello, &names);
		if (err)
			break;
		snprintf(key.name, sizeof(key.name), "%s", names->stack);
		number = table_add(&s->stacks, &key, NULL);
		if (!number)
			return -ENOMEM;
		*number = i;
	}
	return err;
}

int score_new(const struct sim *sim, const struct sim_config *c, struct score **out)
{
	_cleanup_(score_freep) struct score *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->sim = sim;
	s->c = *c;
	s->regrowth = NAN;
	s->begins = SIM_START * NSEC_PER_SEC + (uint64_t)(c->history * 1e9);
	table_init(&s->identities, sizeof(struct identity_key), sizeof(struct identity));
	table_init(&s->stacks, sizeof(struct stack_key), sizeof(uint32_t));
	s->n_minutes = (c->length - c->history) / 60 + 1;
	s->minutes = calloc(s->n_minutes, sizeof(*s->minutes));
	err = s->minutes ? name_stacks(s) : -ENOMEM;
	if (err)
		return err;
	*out = take_ptr(s);
	return 0;
}

void score_free(struct score *s)
{
	if (!s)
		return;
	table_clear(&s->identities);
	table_clear(&s->stacks);
	free(s->caught_hours);
	free(s->caught_connections);
	free(s->minutes);
	free(s);
}

void score_freep(struct score **s)
{
	score_free(*s);
}

/* ---- traffic --------------------------------------------------------------------------- */

static struct identity_key key_of(struct addr a, uint32_t stack)
{
	uint8_t family;
	struct identity_key k = { .src = source_of(a, &family), .stack = stack };

	k.family = family;
	return k;
}

bool score_matches(struct score *s, const struct event_conn *e, const struct sim_truth *t)
{
	struct identity_key k = key_of(e->src, t->stack);
	const struct identity *i = table_find(&s->identities, &k);

	return i && i->expires > e->t && !(i->full_only && e->psk);
}

static void count_farm(struct score *s, const struct event_conn *e, bool matched, bool blocked)
{
	uint32_t n = e->n_exchanges;
	size_t minute;

	s->farm += n;
	if (matched)
		s->farm_hit += n;
	if (blocked)
		s->farm_blocked += n;
	else
		s->farm_passed += n;
	minute = e->t < s->begins ? 0 : (e->t - s->begins) / (60 * NSEC_PER_SEC);
	if (minute < s->n_minutes)
		s->minutes[minute] += n;
}

/* A plan answers for its own rules, not for those of later ones. */
static void count_hit(struct score *s, const struct identity *i, uint32_t n)
{
	s->benign_hit += n;
	for (int k = 0; i && k < SNAPS; k++)
		if (i->snaps >> k & 1)
			s->snap[k].hit_after += n;
}

int score_event(struct score *s, const struct event_conn *e, const struct sim_truth *t,
		bool matched, bool blocked)
{
	struct identity_key k = key_of(e->src, t->stack);
	struct identity *i;

	if (t->role == FARM) {
		count_farm(s, e, matched, blocked);
	} else {
		s->benign += e->n_exchanges;
		if (matched)
			count_hit(s, table_find(&s->identities, &k), e->n_exchanges);
		if (blocked)
			s->benign_blocked += e->n_exchanges;
		if (t->stack == sim_farm_stack(s->sim)) {
			s->stack_benign += e->n_exchanges;
			if (matched)
				s->stack_benign_hit += e->n_exchanges;
		}
	}
	if (t->role == ORGANIC && t->stack != sim_farm_stack(s->sim) && !matched)
		return 0;
	i = table_add(&s->identities, &k, NULL);
	if (!i)
		return -ENOMEM;
	i->seen = e->t;
	if (t->role == FARM) {
		if (!i->is_farm) {
			i->is_farm = true;
			i->first = e->t;
			i->late = s->enforced && e->t > s->enforced;
		}
		i->last = e->t;
		i->farm += e->n_exchanges;
		if (!i->ruled && !blocked)
			i->before++;
	} else {
		i->benign += e->n_exchanges;
	}
	return 0;
}

/* ---- verdicts ----------------------------------------------------------------------------- */

/* Number of the stack that the judge calls so, UINT32_MAX: never given. */
static uint32_t stack_of(const struct score *s, const struct judge *j, uint64_t stack)
{
	struct farm_names names = judge_names(j);
	const char *name = names.stack(names.ctx, stack);
	struct stack_key key = {};
	const uint32_t *number;

	if (!name)
		return UINT32_MAX;
	snprintf(key.name, sizeof(key.name), "%s", name);
	number = table_find(&s->stacks, &key);
	return number ? *number : UINT32_MAX;
}

static struct identity *identity(const struct score *s, uint64_t src, uint8_t family,
				 uint32_t stack)
{
	struct identity_key k = { .src = src, .stack = stack, .family = family };

	return table_find(&s->identities, &k);
}

static struct judged *judged(struct score *s, const char *id)
{
	for (size_t i = 0; i < s->n_farms; i++)
		if (!strcmp(s->farms[i].id, id))
			return &s->farms[i];
	if (s->n_farms == FARMS)
		return NULL;
	snprintf(s->farms[s->n_farms].id, sizeof(s->farms[0].id), "%s", id);
	return &s->farms[s->n_farms++];
}

static uint64_t seen_at(const struct score *s, uint64_t said, uint64_t now)
{
	return said > s->now && said <= now ? said : now;
}

static void first(uint64_t *at, uint64_t t)
{
	if (!*at)
		*at = t;
}

/* One farm as it stands: is it right, and what is new about it? */
static void meet(struct score *s, const struct farm *f, uint32_t stack, uint64_t now)
{
	struct judged *d = judged(s, f->id);
	size_t right = 0;

	if (!d)
		return;
	memcpy(d->gate, f->gate, sizeof(d->gate));
	for (size_t i = 0; i < f->n_members; i++) {
		const struct identity *m =
			identity(s, f->members[i].src, f->members[i].family, stack);

		right += m && m->is_farm;
	}
	d->proposed = f->state == FARM_PROPOSE || f->state == FARM_ENFORCE;
	if (f->state >= FARM_WATCH && f->state != FARM_DECAY)
		first(&d->watched, seen_at(s, f->watched_at, now));
	if (f->state >= FARM_FLAG && f->state != FARM_DECAY && !d->flagged) {
		d->flagged = seen_at(s, f->flagged_at, now);
		d->right = 2 * right > f->n_members;
	}
	if (d->proposed && !d->proposed_at) {
		d->proposed_at = seen_at(s, f->proposed_at, now);
		d->right = 2 * right > f->n_members;
	}
	if (!sim_is_farm_stack(s->sim, stack) || (f->n_members && 2 * right <= f->n_members))
		return;
	/* WATCH names a stack, not members. */
	if (d->watched && now >= s->begins)
		first(&s->watched, d->watched);
	if (!d->right)
		return;
	for (size_t i = 0; i < f->n_lines; i++)
		if (!strcmp(f->line[i].name, "regrowth"))
			s->regrowth = f->line[i].bits;
	if (d->flagged)
		first(&s->flagged, d->flagged);
	if (d->proposed_at)
		first(&s->proposed, d->proposed_at);
}

static void calibrate(struct score *s, const struct farm *f, uint32_t stack)
{
	for (size_t i = 0; i < f->n_members; i++) {
		const struct farm_member *m = &f->members[i];
		const struct identity *is = identity(s, m->src, m->family, stack);
		int bin = m->posterior * BINS, truth = is && is->is_farm;

		bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
		s->bins[bin]++;
		s->bins_right[bin] += truth;
		s->brier += pow(m->posterior - truth, 2);
		s->n_posterior++;
	}
}

static void count_rules(struct score *s, struct snap *n, const struct plan *p, size_t farm,
			uint32_t stack)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		struct identity *m;

		if (p->rules[i].farm != farm)
			continue;
		m = identity(s, p->rules[i].src, p->rules[i].family, stack);
		if (m)
			m->snaps |= 1U << (n - s->snap);
		n->rules++;
		if (m && m->is_farm) {
			n->right++;
			n->right_exchanges += m->farm;
			n->found += m->last + 24 * 3600 * NSEC_PER_SEC > n->time;
		} else if (m) {
			n->wrong_exchanges += m->benign;
		}
	}
	if (farm < p->n_farms) {
		n->expected += p->farms[farm].collateral.sources;
		n->upper95 += p->farms[farm].collateral.upper95;
		n->share_all += p->farms[farm].collateral.share_all;
	}
}

/* Who is called a member now, of farms at FLAG and more. */
static int name_members(struct score *s, const struct judge *j, uint64_t now)
{
	const struct farms *fs = judge_farms(j);

	for (size_t i = 0; i < fs->n; i++) {
		const struct farm *f = &fs->farm[i];
		struct identity_key key = { .stack = stack_of(s, j, f->stack) };

		if (f->state < FARM_FLAG || f->state == FARM_DECAY)
			continue;
		for (size_t k = 0; k < f->n_members; k++) {
			const struct farm_member *m = &f->members[k];
			struct identity *is;

			if (m->posterior <= .5)
				continue;
			key.src = m->src;
			key.family = m->family;
			is = table_add(&s->identities, &key, NULL);
			if (!is)
				return -ENOMEM;
			is->named = now;
		}
	}
	return 0;
}

/* The members and rules at one of the times they are reported for. */
static void snap(struct score *s, struct snap *n, const struct judge *j, uint64_t now)
{
	const struct farms *fs = judge_farms(j);

	*n = (struct snap){ .taken = true, .time = now, .all_before = s->benign };
	for (size_t i = 0; i < s->identities.n; i++) {
		const struct identity *m = table_value(&s->identities, i);

		n->active += m->is_farm && m->last + 24 * 3600 * NSEC_PER_SEC > now;
	}
	for (size_t i = 0; i < fs->n; i++) {
		const struct farm *f = &fs->farm[i];
		uint32_t stack = stack_of(s, j, f->stack);

		if (f->state != FARM_PROPOSE && f->state != FARM_ENFORCE)
			continue;
		for (size_t k = 0; k < f->n_members; k++) {
			const struct identity *m =
				identity(s, f->members[k].src, f->members[k].family, stack);

			n->members++;
			n->members_right += m && m->is_farm;
		}
		count_rules(s, n, judge_plan(j), i, stack);
		calibrate(s, f, stack);
	}
}

/* A replacement of somebody banned is under a rule: how long did that take? */
static int caught(struct score *s, const struct identity *m, uint64_t now)
{
	if (array_room(&s->caught_hours, s->n_caught, &s->room_caught, sizeof(double)) ||
	    array_room(&s->caught_connections, s->n_caught, &s->room_connections, sizeof(double)))
		return -ENOMEM;
	s->caught_connections[s->n_caught] = m->before;
	s->caught_hours[s->n_caught++] = (now - m->first) / 3600e9;
	return 0;
}

/* Rules of farms that are proposed: who would be dropped from now on. */
static int take_rules(struct score *s, const struct judge *j, uint64_t now)
{
	const struct farms *fs = judge_farms(j);
	const struct plan *p = judge_plan(j);

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct plan_rule *r = &p->rules[i];
		const struct farm *f = r->farm < fs->n ? &fs->farm[r->farm] : NULL;
		struct identity_key k = { .src = r->src, .family = r->family };
		struct identity *m;

		if (!f || (f->state != FARM_PROPOSE && f->state != FARM_ENFORCE))
			continue;
		k.stack = stack_of(s, j, r->stack);
		m = table_add(&s->identities, &k, NULL);
		if (!m)
			return -ENOMEM;
		m->expires = r->expires;
		m->full_only = r->not_resumed;
		if (m->ruled)
			continue;
		m->ruled = now;
		if (m->is_farm && m->late && caught(s, m, now))
			return -ENOMEM;
	}
	return 0;
}

int score_look(struct score *s, const struct judge *j, uint64_t now, bool last)
{
	const struct farms *fs = judge_farms(j);
	int err;

	for (size_t i = 0; i < fs->n; i++)
		meet(s, &fs->farm[i], stack_of(s, j, fs->farm[i].stack), now);
	err = take_rules(s, j, now);
	for (int i = 0; i < SNAPS; i++)
		if (s->proposed && !s->snap[i].taken &&
		    (snap_after[i] <= (now - s->proposed) / 1e9 || (last && i == SNAPS - 1)))
			snap(s, &s->snap[i], j, now);
	s->now = now;
	return err ? err : name_members(s, j, now);
}

size_t score_proposed(const struct score *s, const char **ids, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_farms && n < max; i++)
		if (s->farms[i].proposed)
			ids[n++] = s->farms[i].id;
	return n;
}

void score_enforced(struct score *s, uint64_t now)
{
	first(&s->enforced, now);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static json_t *hours_after(const struct score *s, uint64_t at)
{
	return at ? json_real((at > s->begins ? at - s->begins : 0) / 3600e9) : json_null();
}

/* Farm exchanges until then; all of them if that never was. */
static json_int_t until(const struct score *s, uint64_t at)
{
	uint64_t sum = 0, last = at > s->begins ? (at - s->begins) / (60 * NSEC_PER_SEC) : 0;

	for (size_t i = 0; i < s->n_minutes && (!at || i < last); i++)
		sum += s->minutes[i];
	return sum;
}

/* All pairs that the farm used, those under a rule once, and those called members by the
 * last word on each: who is gone for long is on no list any more. */
static json_t *pairs_json(const struct score *s)
{
	int farm = 0, ruled = 0, right = 0, named = 0, named_right = 0;

	for (size_t i = 0; i < s->identities.n; i++) {
		const struct identity *m = table_value(&s->identities, i);

		farm += m->is_farm;
		ruled += m->ruled > 0;
		right += m->ruled && m->is_farm;
		named += m->named && m->named >= m->seen;
		named_right += m->named && m->named >= m->seen && m->is_farm;
	}
	return json_pack("{s:i,s:i,s:i,s:i,s:i}", "farm", farm, "ruled", ruled, "ruled_right",
			 right, "named", named, "named_right", named_right);
}

static json_t *snap_json(const struct score *s, const struct snap *n)
{
	if (!n->taken)
		return json_null();
	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:I,s:I}", "rules", n->rules,
			 "right", n->right, "active", n->active, "found", n->found, "members",
			 n->members, "members_right", n->members_right, "right_exchanges",
			 n->right_exchanges, "wrong_exchanges", n->wrong_exchanges,
			 "collateral_sources", n->expected, "collateral_upper95", n->upper95,
			 "collateral_share_all", n->share_all, "benign_after",
			 (json_int_t)(s->benign - n->all_before), "benign_hit_after",
			 (json_int_t)n->hit_after);
}

static json_t *farms_of(const struct score *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->n_farms; i++) {
		const struct judged *d = &s->farms[i];

		json_array_append_new(a,
				      json_pack("{s:s,s:b,s:o,s:o,s:o,s:s}", "id", d->id, "right",
						d->right, "watch", hours_after(s, d->watched),
						"flag", hours_after(s, d->flagged), "propose",
						hours_after(s, d->proposed_at), "gate", d->gate));
	}
	return a;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static json_t *caught_json(struct score *s)
{
	size_t n = s->n_caught, two = 0;
	double sum = 0;

	if (!n)
		return json_null();
	for (size_t i = 0; i < n; i++) {
		sum += s->caught_connections[i];
		two += s->caught_connections[i] <= 2;
	}
	qsort(s->caught_hours, n, sizeof(double), by_size);
	qsort(s->caught_connections, n, sizeof(double), by_size);
	return json_pack("{s:i,s:f,s:f,s:f,s:f,s:f}", "n", (int)n, "median_hours",
			 s->caught_hours[n / 2], "p90_hours", s->caught_hours[n * 9 / 10],
			 "median_connections", s->caught_connections[n / 2], "mean_connections",
			 sum / n, "within_two", (double)two / n);
}

json_t *score_json(struct score *s)
{
	json_t *bins = json_array(), *snaps = json_array();
	uint32_t stack = sim_farm_stack(s->sim);

	for (int i = 0; i < BINS; i++)
		json_array_append_new(bins, json_pack("[I,I]", (json_int_t)s->bins[i],
						      (json_int_t)s->bins_right[i]));
	for (int i = 0; i < SNAPS; i++)
		json_array_append_new(snaps, snap_json(s, &s->snap[i]));
	return json_pack(
		"{s:s,s:i,s:i,s:i,s:o,s:o,s:o,s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I},s:{s:I,s:I,s:I,s:i,s:i},"
		"s:o,s:o,s:o,s:o,s:f,s:I,s:o,s:o}",
		"schema", "winnow.trial/1", "accounts", sim_accounts(s->sim), "copies",
		sim_copies(s->sim), "stack_sources",
		stack == UINT32_MAX ? 0 : sim_stack_sources(s->sim, stack), "watch",
		hours_after(s, s->watched), "flag", hours_after(s, s->flagged), "propose",
		hours_after(s, s->proposed), "farm", "exchanges", (json_int_t)s->farm, "passed",
		(json_int_t)s->farm_passed, "matched", (json_int_t)s->farm_hit, "blocked",
		(json_int_t)s->farm_blocked, "until_watch", until(s, s->watched), "until_flag",
		until(s, s->flagged), "until_propose", until(s, s->proposed), "benign", "exchanges",
		(json_int_t)s->benign, "matched", (json_int_t)s->benign_hit, "blocked",
		(json_int_t)s->benign_blocked, "stack_exchanges", s->stack_benign, "stack_matched",
		s->stack_benign_hit, "farms", farms_of(s), "at", snaps, "pairs", pairs_json(s),
		"calibration", bins, "brier", s->n_posterior ? s->brier / s->n_posterior : 0,
		"posteriors", (json_int_t)s->n_posterior, "replacements", caught_json(s),
		"regrowth_bits", isnan(s->regrowth) ? json_null() : json_real(s->regrowth));
}
