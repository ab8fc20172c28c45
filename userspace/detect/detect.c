/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/detect.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "detect/baseline.h"
#include "detect/internal.h"

struct detect *detect_new(const struct detect_config *c)
{
	struct detect *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->config = *c;
	windows_init(&d->windows);
	baseline_init(&d->baseline);
	fidelity_init(&d->fidelity);
	table_init(&d->cohorts, sizeof(struct cohort_id), sizeof(struct cohort_state));
	return d;
}

void detect_free(struct detect *d)
{
	if (!d)
		return;
	windows_clear(&d->windows);
	baseline_clear(&d->baseline);
	fidelity_clear(&d->fidelity);
	table_clear(&d->cohorts);
	free(d);
}

void detect_freep(struct detect **d)
{
	detect_free(*d);
}

size_t detect_records(const struct detect *d)
{
	return d->windows.n;
}

uint64_t detect_next(const struct detect *d, uint64_t now)
{
	uint64_t next = now - now % d->config.window + d->config.window;

	if (d->config.baseline_until > now && d->config.baseline_until < next)
		next = d->config.baseline_until;
	return next;
}

static uint32_t threshold_of(const void *ctx, uint64_t stack, uint16_t rtt_min)
{
	return baseline_threshold(ctx, stack, rtt_min);
}

/* ---- one cohort ----------------------------------------------------------- */

/* What this stack is expected to hold; a stack that was not seen clean: the site. */
static void kinds_of(const struct baseline *b, const struct stack_baseline *s, struct mixture *m)
{
	if (s && s->kinds.n) {
		*m = s->kinds;
		return;
	}
	memset(m, 0, sizeof(*m));
	m->n = 2;
	mixture_count(NULL, NULL, 0, 1, NULL, m->class[0].theta);
	mixture_count(NULL, NULL, 0, 1, NULL, m->class[1].theta);
	if (b->learnt) {
		memcpy(m->class[0].theta, b->pool, sizeof(b->pool));
		memcpy(m->class[1].theta, b->pool_split, sizeof(b->pool_split));
	}
	m->class[1].weight = fmax(b->split_share, 0.02);
	m->class[0].weight = 1 - m->class[1].weight;
	m->class[0].cap = 1;
	m->class[1].cap = fmin(1, 3 * m->class[1].weight + 0.05);
}

/* Members only, by weight. */
static int pick(const struct cohort *all, struct cohort *members)
{
	members->stack = all->stack;
	members->service = all->service;
	members->members = calloc(all->n + 1, sizeof(*members->members));
	if (!members->members)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++) {
		if (member_is(&all->members[i]))
			members->members[members->n++] = all->members[i];
	}
	return 0;
}

static void facts_of(const struct detect *d, const struct cohort *c, struct cohort_state *state,
		     struct fact fact[FACT_MAX], double *mean, struct origin *origin)
{
	fact[FACT_SPLIT] = concealment_split(c);
	fact[FACT_WAITING] = concealment_waiting(c);
	fact[FACT_LEG] = concealment_leg(c);
	fact[FACT_TCP] = concealment_tcp(c, &d->baseline);
	fact[FACT_EVEN] = coordination_even(c, mean);
	fact[FACT_GAPS] = coordination_gaps(c);
	fact[FACT_TOTAL] = coordination_total(state->totals, state->n_totals);
	fact[FACT_ORIGIN] = origin_common(c, origin);
	fact[FACT_SPREAD] = dispersion_spread(c);
	fact[FACT_NETS] = dispersion_nets(c);
	fact[FACT_SHARED] = dispersion_shared(c);
}

static void total_add(struct cohort_state *state, double total)
{
	if (state->n_totals == TOTALS_KEPT) {
		memmove(state->totals, state->totals + 1, sizeof(state->totals) - sizeof(double));
		state->n_totals--;
	}
	state->totals[state->n_totals++] = total;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* When the members began: the first twentieth of them aside. */
static uint64_t onset_of(const struct cohort *c)
{
	_cleanup_(freep) uint64_t *t = malloc((c->n + 1) * sizeof(*t));

	if (!t || !c->n)
		return 0;
	for (size_t i = 0; i < c->n; i++)
		t[i] = c->members[i].first_seen;
	qsort(t, c->n, sizeof(*t), by_time);
	return t[c->n / 20];
}

static double replayed_bits(const struct detect *d, uint64_t stack)
{
	const struct stack_orders *o = fidelity_stack(&d->fidelity, stack);

	return fidelity_permutes(o) && o->shared_sources >= ORDER_SOURCES ? 20 : 0;
}

static int judge(struct detect *d, const struct cohort_id *key, const struct group *g,
		 const struct survey *y, struct cohort_state *state, struct verdict_input *in,
		 struct cohort *all, struct cohort *members)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	_cleanup_(freep) struct mixture_row *rows = NULL;
	_cleanup_(freep) uint8_t *holds = NULL;
	_cleanup_(freep) float *w = NULL;
	double start[FEATURES][FEATURE_LEVELS], total = 0;
	struct mixture base;
	int err;

	err = survey_cohort(d, y, key, g, all, &rows, &holds);
	if (err)
		return err;
	w = calloc(all->n + 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++)
		w[i] = all->members[i].split == DELAY_SPLIT && !holds[i];
	mixture_count(rows, w, all->n, 1, NULL, start);
	kinds_of(&d->baseline, s, &base);
	mixture_fit(&base, rows, holds, all->n, start, &state->component, w);
	for (size_t i = 0; i < all->n; i++)
		all->members[i].weight = w[i];
	err = pick(all, members);
	if (err)
		return err;
	for (size_t i = 0; i < members->n; i++)
		total += members->members[i].moved;
	if (members->n >= d->config.min_members)
		total_add(state, total);
	facts_of(d, members, state, state->fact, &state->mean, &state->origin);
	state->judgement = class_judge(state->fact, state->mean, replayed_bits(d, key->stack));
	*in = (struct verdict_input){
		.now = d->windows.now,
		.gain = state->component.gain,
		.members = members->n,
		.prefixes = dispersion_prefixes(members),
		.conceal = state->judgement.conceal,
		.coordinate = state->judgement.coordinate,
		.one_operator = state->judgement.one_operator,
		.bits = state->judgement.bits,
		.spread = state->fact[FACT_SPREAD].known ? state->fact[FACT_SPREAD].x : 0,
		.own = !s || s->sources < POOL_SOURCES,
	};
	return 0;
}

/* ---- a window -------------------------------------------------------------- */

static int judge_group(struct detect *d, const struct cohort_id *key, const struct group *g,
		       const struct survey *y, struct farms *farms, struct plan *plan)
{
	struct cohort_state *state = table_find(&d->cohorts, key);
	struct cohort all = {}, members = {};
	struct verdict_input in = { .now = d->windows.now };
	enum farm_state before;
	struct report r = { 0 };
	int err = 0;

	/* Cheap first: nothing is fitted where too few are split to be a farm. */
	if (!state && g->split < d->config.min_members)
		return 0;
	if (!state) {
		state = table_add(&d->cohorts, key, NULL);
		if (!state)
			return -ENOMEM;
	}
	if (g->split >= d->config.min_members)
		err = judge(d, key, g, y, state, &in, &all, &members);
	if (!err)
		err = report_rules(d, &all, &members, y->exchanges, g->exchanges, &r);
	if (!err) {
		before = state->verdict.state;
		in.plan_holds = r.n_rules && r.collateral.precision >= d->config.precision;
		verdict_step(&state->verdict, &in, &d->config, state->gate, sizeof(state->gate));
		if (state->verdict.state != FARM_NONE && !state->id)
			state->id = ++d->ids;
		if (state->verdict.state == FARM_WATCH || before == FARM_WATCH)
			state->onset = onset_of(&members);
		if (before == FARM_WATCH && state->verdict.state >= FARM_FLAG) {
			for (size_t i = 0; i < members.n; i++)
				state->exchanges_before_flag += members.members[i].exchanges;
		}
		if (state->verdict.state != FARM_NONE && farms)
			err = report_farm(d, key, g, state, &members, &r, farms, plan);
	}
	report_clear(&r);
	free(all.members);
	free(members.members);
	return err;
}

static int by_group_key(const void *a, const void *b)
{
	const struct cohort_id *x = a, *y = b;

	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	return (x->service > y->service) - (x->service < y->service);
}

static int judge_all(struct detect *d, struct farms *farms, struct plan *plan)
{
	_cleanup_(survey_clear) struct survey y;
	_cleanup_(freep) struct cohort_id *keys = NULL;
	int err;

	err = survey_take(d, &y);
	if (err)
		return err;
	keys = calloc(y.groups.n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < y.groups.n; i++)
		keys[i] = *(const struct cohort_id *)table_key(&y.groups, i);
	qsort(keys, y.groups.n, sizeof(*keys), by_group_key);
	for (size_t i = 0; i < y.groups.n && !err; i++)
		err = judge_group(d, &keys[i], table_find(&y.groups, &keys[i]), &y, farms, plan);
	return err;
}

int detect_step(struct detect *d, const struct snapshot *s, struct farms *farms, struct plan *plan)
{
	uint64_t now = s->time + s->epoch;
	bool clean = d->config.baseline_until ? now <= d->config.baseline_until
					      : d->windows.number < d->config.baseline_windows;
	struct farms unused = {};
	int err = 0;

	if (farms)
		*farms = (struct farms){ .time = now, .losses = s->losses };
	if (plan)
		*plan = (struct plan){ .time = now };
	d->losses = s->losses;
	for (size_t i = 0; i < s->n_stacks && !err; i++)
		err = baseline_flags(&d->baseline, s->stacks[i].stack, s->stacks[i].hello_flags);
	if (!clean && !d->baseline.learnt && !err)
		err = baseline_learn(&d->baseline, &d->windows, &d->config);
	if (!err)
		err = fidelity_update(&d->fidelity, s, clean);
	if (!err)
		err = windows_update(&d->windows, s, &d->config, clean, threshold_of, &d->baseline);
	if (!err && !clean)
		err = baseline_drift(&d->baseline, &d->windows, &d->config);
	if (!err && !clean)
		err = judge_all(d, farms ? farms : &unused, plan);
	farms_clear(&unused);
	return err;
}
