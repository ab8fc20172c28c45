/* SPDX-License-Identifier: BSD-2-Clause */
/* report.c - a cohort's state as a farm, its rules and its gates. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "detect/internal.h"
#include "detect/stats.h"

#define DAY_NS (24 * 3600 * NSEC_PER_SEC)

void report_clear(struct report *r)
{
	free(r->rules);
	free(r->spared);
	memset(r, 0, sizeof(*r));
}

/* Twice a member's median life so far, between an hour and rule_ttl: addresses get
 * new tenants. */
static uint64_t expiry(const struct detect *d, const struct cohort *members)
{
	_cleanup_(freep) double *life = malloc((members->n + 1) * sizeof(*life));
	double ttl = 3600;

	if (life) {
		for (size_t i = 0; i < members->n; i++)
			life[i] = members->members[i].seconds;
		ttl = fmax(ttl, 2 * stats_quantile(life, members->n, 0.5));
	}
	return d->windows.now + (uint64_t)fmin(ttl * 1e9, d->config.rule_ttl);
}

static bool direct_when_clean(const struct detect *d, const struct cohort_member *m)
{
	const struct record *r = &d->windows.records[m->record];

	return r->clean.direct > 0;
}

/* Of the stack's sources that are no members and were not there when clean, how many
 * would be split if they are as the clean ones were. */
static double strangers(const struct detect *d, const struct cohort *all)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, all->stack);
	double fresh = 0, share = s ? (s->split + 0.5) / (s->sources + 1) : d->baseline.split_share;

	for (size_t i = 0; i < all->n; i++)
		fresh += !member_is(&all->members[i]) &&
			 !d->windows.records[all->members[i].record].in_clean;
	return fresh * share;
}

int report_rules(const struct detect *d, const struct cohort *all, const struct cohort *members,
		 double exchanges, double exchanges_in_stack, struct report *r)
{
	uint64_t expires = expiry(d, members);

	r->rules = calloc(members->n + 1, sizeof(*r->rules));
	r->spared = calloc(members->n + 1, sizeof(*r->spared));
	if (!r->rules || !r->spared)
		return -ENOMEM;
	for (size_t i = 0; i < members->n; i++) {
		const struct cohort_member *m = &members->members[i];
		const struct record *record = &d->windows.records[m->record];
		struct plan_rule *rule = &r->rules[r->n_rules];
		struct plan_spared *spared = &r->spared[r->n_spared];

		*rule = (struct plan_rule){
			.src = m->src,
			.family = m->family,
			.stack = members->stack,
			.action = RULE_RESET,
			.holdout = d->config.holdout,
			.expires = expires,
			.posterior = member_posterior(m),
			.exchanges = m->exchanges,
		};
		if (!member_rule(m, direct_when_clean(d, m), &d->config,
				 baseline_threshold(&d->baseline, members->stack,
						    record->row.rtt_min),
				 rule, spared->why)) {
			spared->src = m->src;
			spared->family = m->family;
			spared->stack = members->stack;
			r->n_spared++;
			continue;
		}
		snprintf(rule->reason, sizeof(rule->reason),
			 "posterior %.3f: %u of %u handshakes split, median %.1f ms",
			 rule->posterior, m->split_handshakes,
			 m->split_handshakes + m->direct_handshakes, m->dstar / 10.0);
		r->stops += m->exchanges;
		r->n_rules++;
	}
	r->collateral = collateral_of(r->rules, r->n_rules, strangers(d, all), exchanges - r->stops,
				      exchanges_in_stack - r->stops);
	return 0;
}

/* ---- the farm --------------------------------------------------------------- */

static void lines(const struct cohort_state *state, struct farm *f)
{
	const struct judgement *j = &state->judgement;

	for (int i = 0; i < FACT_MAX && f->n_lines < FARM_LINES; i++) {
		struct farm_line *l = &f->line[f->n_lines];

		if (!state->fact[i].known)
			continue;
		*l = (struct farm_line){
			.family = fact_family[i],
			.name = fact_name[i],
			.known = true,
			.value = state->fact[i].x,
			.error = state->fact[i].se,
			.farm = j->farm[i],
			.benign = j->benign[i],
			.bits = j->fact[i],
		};
		memcpy(l->text, state->fact[i].text, sizeof(l->text));
		f->n_lines++;
	}
}

static int by_posterior(const void *a, const void *b)
{
	const struct farm_member *x = a, *y = b;

	if (x->posterior != y->posterior)
		return x->posterior < y->posterior ? 1 : -1;
	return (x->src > y->src) - (x->src < y->src);
}

static int members_of(const struct cohort *c, struct farm *f)
{
	f->members = calloc(c->n + 1, sizeof(*f->members));
	if (!f->members)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		const struct cohort_member *m = &c->members[i];

		f->members[f->n_members++] = (struct farm_member){
			.src = m->src,
			.family = m->family,
			.service = c->service,
			.posterior = member_posterior(m),
			.connections = m->connections,
			.exchanges = m->exchanges,
			.direct = m->direct_handshakes,
			.split = m->split_handshakes,
			.dstar = m->dstar,
			.first_seen = m->first_seen,
		};
	}
	qsort(f->members, f->n_members, sizeof(*f->members), by_posterior);
	return 0;
}

static int add_gate(struct plan *p, size_t farm, const char *name, bool met, double have,
		    double need, const char *unit)
{
	struct plan_gate *more = realloc(p->gates, (p->n_gates + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->gates = more;
	more += p->n_gates++;
	*more = (struct plan_gate){ .farm = farm, .name = name, .met = met };
	snprintf(more->text, sizeof(more->text), "%s: %.4g, needs %.4g", unit, have, need);
	return 0;
}

static int gates(const struct detect *d, const struct cohort_state *state, const struct report *r,
		 size_t farm, struct plan *p)
{
	const struct detect_config *c = &d->config;
	double history = (double)(d->windows.now - d->windows.begun) / DAY_NS;
	const struct plan_collateral *k = &r->collateral;
	double lost = d->losses.tally_evicted + d->losses.rows_skipped;
	double share = lost / (lost + d->windows.n + 1);
	int err = 0;

	err |= add_gate(p, farm, "history", history >= c->history_days, history, c->history_days,
			"days of history");
	err |= add_gate(p, farm, "persistence", state->verdict.windows >= c->own_windows,
			state->verdict.windows, c->own_windows, "windows since it was first seen");
	err |= add_gate(p, farm, "evidence", state->judgement.bits >= c->propose_bits,
			state->judgement.bits, c->propose_bits, "decision bits");
	err |= add_gate(p, farm, "precision", k->precision >= c->precision, k->precision,
			c->precision, "lower 95% bound of precision");
	err |= add_gate(p, farm, "collateral_all", k->share_all <= c->collateral_all, k->share_all,
			c->collateral_all, "upper 95% share of all benign exchanges");
	err |= add_gate(p, farm, "collateral_stack", k->share_stack <= c->collateral_stack,
			k->share_stack, c->collateral_stack,
			"upper 95% share of the stack's benign exchanges");
	err |= add_gate(p, farm, "losses", share <= 1e-3, share, 1e-3,
			"share of rows lost or skipped");
	return err;
}

static int plan_add(const struct detect *d, const struct cohort_state *state,
		    const struct report *r, size_t farm, struct plan *p)
{
	struct plan_rule *rules = realloc(p->rules, (p->n_rules + r->n_rules + 1) * sizeof(*rules));
	struct plan_spared *spared;
	struct plan_farm *farms;

	if (!rules)
		return -ENOMEM;
	p->rules = rules;
	spared = realloc(p->spared, (p->n_spared + r->n_spared + 1) * sizeof(*spared));
	if (!spared)
		return -ENOMEM;
	p->spared = spared;
	farms = realloc(p->farms, (farm + 1) * sizeof(*farms));
	if (!farms)
		return -ENOMEM;
	p->farms = farms;
	for (size_t i = 0; i < r->n_rules; i++) {
		rules[p->n_rules] = r->rules[i];
		rules[p->n_rules++].farm = farm;
	}
	for (size_t i = 0; i < r->n_spared; i++) {
		spared[p->n_spared] = r->spared[i];
		spared[p->n_spared++].farm = farm;
	}
	farms[farm] = (struct plan_farm){ .collateral = r->collateral,
					  .rules = r->n_rules,
					  .spared = r->n_spared,
					  .stops = r->stops };
	p->n_farms = farm + 1;
	return gates(d, state, r, farm, p);
}

int report_farm(const struct detect *d, const struct cohort_id *key, const struct group *g,
		const struct cohort_state *state, const struct cohort *members,
		const struct report *r, struct farms *farms, struct plan *plan)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	const struct verdict *v = &state->verdict;
	const struct judgement *j = &state->judgement;
	struct farm *f = realloc(farms->farm, (farms->n + 1) * sizeof(*f));
	static const struct report none;
	int err;

	if (!f)
		return -ENOMEM;
	farms->farm = f;
	f += farms->n;
	*f = (struct farm){
		.state = v->state,
		.stack = key->stack,
		.service = key->service,
		.onset = state->onset,
		.watched_at = v->watched_at,
		.flagged_at = v->flagged_at,
		.proposed_at = v->proposed_at,
		.exchanges_before_flag = state->exchanges_before_flag,
		.share = state->component.share,
		.share_lo = state->component.lo,
		.share_hi = state->component.hi,
		.gain = state->component.gain,
		.bits = j->bits,
		.prior = j->prior,
		.nearest_benign = class_name[j->nearest],
		.sources = g->sources,
		.split = g->split,
		.clean_sources = s ? s->sources : 0,
	};
	snprintf(f->id, sizeof(f->id), "f%u", state->id);
	memcpy(f->gate, state->gate, sizeof(f->gate));
	memcpy(f->evidence, j->family, sizeof(f->evidence));
	memcpy(f->without, j->without, sizeof(f->without));
	lines(state, f);
	err = members_of(members, f);
	if (err)
		return err;
	farms->n++;
	if (!plan)
		return 0;
	/* Nothing is planned against what is only watched. */
	return plan_add(d, state, v->state == FARM_WATCH || v->state == FARM_DECAY ? &none : r,
			farms->n - 1, plan);
}
