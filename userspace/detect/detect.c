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
	table_init(&d->reports, sizeof(struct cohort_id), sizeof(struct kept_report *));
	survey_init(&d->survey);
	ledger_init(&d->ledger);
	table_init(&d->closed, sizeof(struct cohort_id), 0);
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
	detect_forget_reports(d);
	survey_clear(&d->survey);
	ledger_clear(&d->ledger);
	table_clear(&d->closed);
	free(d->day_rows);
	free(d);
}

void detect_forget_reports(struct detect *d)
{
	for (size_t i = 0; i < d->reports.n; i++)
		report_freep(table_value(&d->reports, i));
	table_clear(&d->reports);
}

void detect_freep(struct detect **d)
{
	detect_free(*d);
}

size_t detect_records(const struct detect *d)
{
	return d->windows.n;
}

uint64_t detect_now(const struct detect *d)
{
	return d->windows.now;
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

static void facts_of(const struct detect *d, const struct cohort *c, const struct cohort *all,
		     struct cohort_state *state, struct fact fact[FACT_MAX], double *mean,
		     struct origin *origin)
{
	fact[FACT_SPLIT] = concealment_split(c);
	fact[FACT_WAITING] = concealment_waiting(c);
	fact[FACT_LEG] = concealment_leg(c);
	fact[FACT_TCP] = concealment_tcp(c, &d->baseline);
	fact[FACT_MIX] = concealment_mix(c);
	fact[FACT_EVEN] = coordination_even(c, mean);
	fact[FACT_GAPS] = coordination_gaps(c);
	fact[FACT_TOTAL] = coordination_total(state->totals, state->n_totals);
	fact[FACT_ORIGIN] = origin_common(all, origin);
	fact[FACT_SPREAD] = dispersion_around(c, all);
	fact[FACT_NETS] = dispersion_nets(c);
	fact[FACT_SHARED] = dispersion_shared(c);
}

/* Of fewer, how many there are says more than what they do. */
#define TOTALS_MEMBERS 20

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

/* What points at one operator by itself, in bits: an order that a permuting stack never
 * repeats, from several sources; or a hidden origin. Permuting the labels of networks is
 * an experiment, so its p gives an e-value, kappa p^(kappa - 1), of which 10 bits count.
 * Many networks, and legs that are told by the network (ICC 0.3 or more). Or a ban that
 * was answered (ban.h). */
#define ORIGIN_GROUPS 8
#define ORIGIN_ICC    0.3
#define ORIGIN_BITS   10.0

static double operator_bits(const struct detect *d, const struct cohort_state *state,
			    uint64_t stack)
{
	const struct stack_orders *o = fidelity_stack(&d->fidelity, stack);
	const struct origin *common = &state->origin;
	double regrowth = fmax(0, ban_bits(&state->ban));

	if (fidelity_permutes(o) && o->shared_sources >= ORDER_SOURCES)
		return 20;
	if (!state->fact[FACT_ORIGIN].known || common->groups < ORIGIN_GROUPS ||
	    common->icc < ORIGIN_ICC)
		return regrowth;
	return fmax(regrowth, fmin(ORIGIN_BITS, log2(0.25) - 0.75 * log2(fmax(common->p, 1e-30))));
}

/* Since the farm's rules act: the weights of who is new. */
static int replacements_of(struct detect *d, struct cohort_state *state, struct cohort *all)
{
	struct replacements_in in = { &d->baseline, &d->windows, &d->config, state->ruled_at };

	state->replacements = (struct replacements){};
	if (state->verdict.state != FARM_ENFORCE)
		return 0;
	if (!state->ruled_at) /* they do by now */
		in.since = state->ruled_at = d->windows.now;
	return replacements_weigh(&in, all, &state->replacements);
}

/* Of whom too little was measured to be a fact of the farm: behind its members. */
static void take_replacements(struct cohort *all, struct cohort *members)
{
	for (size_t i = 0; i < all->n; i++) {
		struct cohort_member *m = &all->members[i];

		if (!m->reborn || m->split == DELAY_SPLIT)
			continue;
		m->split = DELAY_SPLIT;
		if (member_is(m))
			members->members[members->n++] = *m;
	}
}

static int judge(struct detect *d, const struct cohort_id *key, const struct group *g,
		 struct cohort_state *state, struct verdict_input *in, struct cohort *all,
		 struct cohort *members)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	_cleanup_(freep) struct mixture_row *rows = NULL;
	_cleanup_(freep) uint8_t *holds = NULL;
	double total = 0;
	int err;

	err = survey_cohort(d, key, g, all, &rows, &holds);
	if (err)
		return err;
	err = days_settle(d, key);
	if (err)
		return err;
	err = fit_cohort(d, state, all, rows, holds);
	if (err)
		return err;
	err = ban_step(d, state, all);
	if (err)
		return err;
	err = replacements_of(d, state, all);
	if (err)
		return err;
	err = pick(all, members);
	if (err)
		return err;
	for (size_t i = 0; i < members->n; i++)
		total += members->members[i].moved;
	if (members->n >= TOTALS_MEMBERS)
		total_add(state, total);
	facts_of(d, members, all, state, state->fact, &state->mean, &state->origin);
	state->judgement =
		class_judge(state->fact, state->mean, operator_bits(d, state, key->stack));
	*in = (struct verdict_input){
		.now = d->windows.now,
		.gain = state->component.gain,
		.members = members->n,
		.sources = all->n,
		.prefixes = dispersion_prefixes(members),
		.conceal = state->judgement.conceal,
		.coordinate = state->judgement.coordinate,
		.one_operator = state->judgement.one_operator,
		.bits = state->judgement.bits,
		.spread = state->fact[FACT_SPREAD].known ? state->fact[FACT_SPREAD].x : 0,
		.own = !s || s->sources < POOL_SOURCES,
		.unsplit = all->n && all->members[0].unsplit,
		.calibrated = state->scores >= SCORES_LEAST,
		.p = state->p,
	};
	members_stay(&d->windows, members, d->config.window, &in->early, &in->stayed);
	fdr_reject(d, state, in);
	take_replacements(all, members);
	return 0;
}

/* ---- a window -------------------------------------------------------------- */

/* Large cohorts change slowly and cost much: one of n sources is judged once in
 * n / 500 minutes, at least once in 30; of an own stack, where minutes count, and of one
 * whose farm is being replaced, ten times as often. One in which nothing was found is
 * looked at again in 60, or when a tenth more of its sources, and five, are split; one
 * whose plan waits for an operator once in 60 at least. Windows shorter than a minute count
 * as one (a lab). */
#define LOOK_SOURCES 500
#define LOOK_MINUTES 30
#define LOOK_LATEST  60
#define QUIET_MORE   5

static bool is_quiet(const struct cohort_state *state, const struct group *g)
{
	return state && state->verdict.state == FARM_NONE &&
	       g->split < state->split_then + fmax(QUIET_MORE, 0.1 * state->split_then);
}

static bool is_due(const struct detect *d, const struct cohort_id *key,
		   const struct cohort_state *state, const struct group *g)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	bool own = !s || s->sources < POOL_SOURCES;
	bool banned = state && state->verdict.state == FARM_ENFORCE;
	bool waits = state && state->verdict.state == FARM_PROPOSE, quiet = is_quiet(state, g);
	uint64_t minute = 60 * NSEC_PER_SEC, window = d->config.window;
	uint64_t every = 1 + g->sources / (own || banned ? 10 * LOOK_SOURCES : LOOK_SOURCES);
	uint64_t latest = quiet || waits ? LOOK_LATEST : LOOK_MINUTES;

	if (every > latest || quiet)
		every = latest;
	if (window > minute)
		every = (every * minute + window - 1) / window;
	return !state || !state->looked_at || d->windows.number - state->looked_at >= every;
}

/* As many as make a farm, and half of its members: where most cannot be told from others,
 * the few that seem to be are chance (F6: 1 of 9 rules was wrong). */
static bool plan_holds(const struct detect *d, const struct report *r, size_t members)
{
	return r->n_rules >= d->config.min_members && 2 * r->n_rules >= members &&
	       r->collateral.precision >= d->config.precision;
}

/* A farm whose TLS ends at its exits is not split. A stack that has days to compare with and
 * is large enough to hide one is looked at whatever its delays: one more of them a window, so
 * that they do not come at once. */
#define LARGE 2000

static bool is_large(const struct detect *d, const struct group *g, const struct cohort_id *key)
{
	return g->sources >= LARGE && fit_has_days(d, key);
}

static int judge_group(struct detect *d, const struct cohort_id *key, const struct group *g)
{
	struct cohort_state *state = table_find(&d->cohorts, key);
	struct verdict_input in = { .now = d->windows.now };
	struct cohort all = {}, members = {};
	struct kept_report **kept;
	enum farm_state before;
	struct report r = { 0 };
	bool worth = g->split >= d->config.min_members || is_large(d, g, key);
	int err = 0;

	/* Cheap first: nothing is fitted where too few are split to be a farm. */
	if (!state && !worth)
		return 0;
	if (!is_due(d, key, state, g) && table_find(&d->reports, key))
		return 0;
	if (!state) {
		state = table_add(&d->cohorts, key, NULL);
		if (!state)
			return -ENOMEM;
	}
	kept = table_add(&d->reports, key, NULL);
	if (!kept)
		return -ENOMEM;
	in.windows = state->looked_at ? d->windows.number - state->looked_at : 1;
	state->looked_at = d->windows.number;
	state->split_then = g->split;
	if (worth)
		err = judge(d, key, g, state, &in, &all, &members);
	if (!err)
		err = report_rules(d, state, &all, &members, *kept, g->exchanges, &r);
	if (!err) {
		before = state->verdict.state;
		in.plan_holds = plan_holds(d, &r, members.n);
		verdict_step(&state->verdict, &in, &d->config, state->gate, sizeof(state->gate));
		if (state->verdict.state != FARM_NONE && !state->id)
			state->id = ++d->ids;
		if (state->verdict.state == FARM_WATCH || before == FARM_WATCH)
			state->onset = onset_of(&members);
		if (before == FARM_WATCH && state->verdict.state >= FARM_FLAG) {
			state->hides = !in.unsplit;
			for (size_t i = 0; i < members.n; i++)
				state->exchanges_before_flag += members.members[i].exchanges;
		}
		report_freep(kept);
		if (state->verdict.state != FARM_NONE)
			err = report_keep(d, key, g, state, &members, &r, kept);
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

/* Worth a look: enough of it is split, or it was looked at before. */
static bool is_candidate(const struct detect *d, const struct group *g, const struct cohort_id *key)
{
	return g->sources && (g->split >= d->config.min_members || table_find(&d->cohorts, key));
}

static int judge_all(struct detect *d, struct farms *farms, struct plan *plan)
{
	_cleanup_(freep) struct cohort_id *keys = NULL;
	const struct table *cohorts = &d->windows.cohorts;
	struct farms unused = {};
	bool one_more = true;
	size_t n = 0;
	int err;

	err = survey_take(d);
	if (err)
		return err;
	keys = calloc(cohorts->n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < cohorts->n; i++) {
		const struct cohort_id *key = table_key(cohorts, i);

		if (is_candidate(d, &d->survey.groups[i], key)) {
			keys[n++] = *key;
		} else if (one_more && is_large(d, &d->survey.groups[i], key)) {
			keys[n++] = *key;
			one_more = false;
		}
	}
	qsort(keys, n, sizeof(*keys), by_group_key);
	for (size_t i = 0; i < n && !err; i++) {
		const void *at = table_find(cohorts, &keys[i]);
		struct kept_report **k;

		err = judge_group(d, &keys[i], &d->survey.groups[table_row(cohorts, at)]);
		k = table_find(&d->reports, &keys[i]);
		if (!err && k && *k && (farms || plan))
			err = report_farm(*k, farms ? farms : &unused, plan);
	}
	farms_clear(&unused);
	return err;
}

/* All clean time so far, from the beginning: what was learnt of it before goes. */
static int relearn(struct detect *d)
{
	struct table flags = d->baseline.flags;
	int err;

	table_init(&d->baseline.flags, sizeof(uint64_t), sizeof(uint32_t));
	baseline_clear(&d->baseline);
	baseline_init(&d->baseline);
	d->baseline.flags = flags;
	err = baseline_learn(&d->baseline, &d->windows, &d->config);
	d->windows.shape++;
	return err;
}

/* The clean time is over. Half a day of it or more that no midnight ended is a day. */
static int learn(struct detect *d)
{
	int err = relearn(d);

	d->learnt_clean = true;
	if (!err && !d->day && d->windows.begun &&
	    d->windows.now - d->windows.begun >= 12 * 3600 * NSEC_PER_SEC)
		err = days_close(d, days_of(d->windows.now) - 1, SIZE_MAX);
	return err;
}

/* A day is closed by and by, so that no window takes seconds longer than others. While
 * traffic is clean nobody waits for an answer. */
#define CLOSE_SOURCES 50000

int detect_step(struct detect *d, const struct snapshot *s, struct farms *farms, struct plan *plan)
{
	uint64_t now = s->time + s->epoch;
	bool clean = d->config.baseline_until ? now <= d->config.baseline_until
					      : d->windows.number < d->config.baseline_windows;
	uint32_t over;
	int err = 0;

	if (farms)
		*farms = (struct farms){ .time = now };
	if (plan)
		*plan = (struct plan){ .time = now };
	for (size_t i = 0; i < s->n_stacks && !err; i++)
		err = baseline_flags(&d->baseline, s->stacks[i].stack, s->stacks[i].hello_flags);
	if (!clean && !d->learnt_clean && !err)
		err = learn(d);
	if (!err)
		err = fidelity_update(&d->fidelity, s, clean);
	if (!err)
		err = windows_update(&d->windows, s, &d->config, clean, threshold_of, &d->baseline);
	d->losses = s->losses; /* reading rows may have added to them */
	if (farms)
		farms->losses = s->losses;
	over = days_of(now + 1) - 1;
	if (!err && d->closing) {
		err = days_go_on(d, CLOSE_SOURCES);
	} else if (!err && over > (d->day ? d->day : days_of(d->windows.begun) - 1)) {
		/* A day of clean time is not judged, but by the next day it is ordinary. */
		if (clean)
			err = relearn(d);
		if (!err)
			err = days_close(d, over, clean ? SIZE_MAX : CLOSE_SOURCES);
	}
	if (!err && !clean)
		err = baseline_drift(&d->baseline, &d->windows, &d->config);
	if (!err && !clean)
		err = judge_all(d, farms, plan);
	if (farms)
		farms->n_randomisers =
			windows_randomisers(&d->windows, farms->randomiser, RANDOMISERS_TOLD);
	return err;
}
