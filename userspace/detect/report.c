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
#include "detect/lifetime.h"
#include "detect/rotation.h"
#include "detect/standing.h"
#include "detect/stats.h"

void report_clear(struct report *r)
{
	free(r->rules);
	free(r->spared);
	memset(r, 0, sizeof(*r));
}

void report_freep(struct kept_report **k)
{
	if (!*k)
		return;
	free((*k)->farm.members);
	report_clear(&(*k)->rules);
	free((*k)->gates);
	free(*k);
	*k = NULL;
}

/* A source is gone when it was still for GONE of its own pauses, or of the usual ones
 * where it made none, and for GONE windows. Of what is ruled nothing is known since. */
#define GONE 5

static double pause_of(const struct record *r)
{
	uint32_t n = r->connections + r->exchanges;

	return n > 1 ? (double)(r->last_moved - r->first_seen) / (n - 1) : 0;
}

static double usual_pause(const struct detect *d, const struct cohort *members)
{
	_cleanup_(freep) double *v = malloc((members->n + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; v && i < members->n; i++) {
		double pause = pause_of(&d->windows.records[members->members[i].record]);

		if (pause > 0)
			v[n++] = pause;
	}
	return n ? stats_quantile(v, n, 0.5) : 0;
}

/* Seconds; below 0: not known. */
static double source_life(const struct detect *d, const struct cohort_state *state,
			  const struct cohort *members)
{
	_cleanup_(freep) struct lifetime *v = malloc((members->n + 1) * sizeof(*v));
	uint64_t until = state->ruled_at ? state->ruled_at : d->windows.now;
	double usual = usual_pause(d, members);

	for (size_t i = 0; v && i < members->n; i++) {
		const struct record *r = &d->windows.records[members->members[i].record];
		double still = until > r->last_moved ? until - r->last_moved : 0;

		v[i] = (struct lifetime){
			.seconds = (r->last_moved - fmin(r->first_seen, r->last_moved)) / 1e9,
			.ended = still > GONE * fmax(fmax(pause_of(r), usual), d->config.window),
		};
	}
	return v ? lifetime_median(v, members->n) : -1;
}

/* Twice the median life; a window at least, as rules are made once in one. */
static uint64_t expiry(const struct detect *d, double life)
{
	double ttl = life < 0 ? d->config.rule_ttl : fmax(2e9 * life, d->config.window);

	return d->windows.now + (uint64_t)fmin(ttl, d->config.rule_ttl);
}

/* Of the stack's sources that are no members and were not there when clean, how many
 * would be split if they are as the clean ones were. */
static double strangers(const struct detect *d, const struct cohort *all)
{
	double fresh = 0;

	for (size_t i = 0; i < all->n; i++)
		fresh += !member_is(&all->members[i]) &&
			 !d->windows.records[all->members[i].record].in_clean;
	return fresh * baseline_split_share(&d->baseline, all->stack);
}

static void reason_of(const struct cohort_state *state, const struct cohort_member *m,
		      struct plan_rule *rule)
{
	int n = snprintf(rule->reason, sizeof(rule->reason),
			 "posterior %.3f: %u of %u handshakes split, median %.1f ms",
			 rule->posterior, m->split_handshakes,
			 m->split_handshakes + m->direct_handshakes, m->dstar / 10.0);

	if (m->reborn)
		snprintf(rule->reason + n, sizeof(rule->reason) - n,
			 "; of %zu sources new since the farm is dropped %.0f%% are its own",
			 state->replacements.n, 100 * state->replacements.share);
}

/* Rules from `n` on would break the bound of those before. */
static void leave_out(struct report *r, size_t n)
{
	for (size_t i = n; i < r->n_rules; i++) {
		struct plan_spared *spared = &r->spared[r->n_spared++];

		spared->src = r->rules[i].src;
		spared->family = r->rules[i].family;
		spared->stack = r->rules[i].stack;
		snprintf(spared->why, sizeof(spared->why),
			 "posterior %.4f, but with it the plan's precision bound does not hold",
			 1 - r->rules[i].doubt);
	}
	r->n_rules = n;
}

int report_rules(const struct detect *d, const struct cohort_state *state, const struct cohort *all,
		 const struct cohort *members, const struct kept_report *before,
		 double exchanges_in_stack, struct report *r)
{
	bool in_plan = state->verdict.state == FARM_PROPOSE || state->verdict.state == FARM_ENFORCE;
	size_t standing = before && in_plan ? before->rules.n_rules : 0;
	const struct cohort *judged = state->nobody ? members : all;
	double unknown = state->before < 0 ? strangers(d, all) : 0;
	struct collateral_traffic traffic;
	uint64_t expires;
	int err;

	r->life = source_life(d, state, members);
	r->challenge = challenge_of(&d->windows, all, members, r->life);
	expires = expiry(d, r->life);
	r->rules = calloc(members->n + standing + 1 + ROTATION_MOST, sizeof(*r->rules));
	r->spared = calloc(members->n + standing + 1, sizeof(*r->spared));
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
			.doubt = 1 - m->weight,
			.exchanges = m->exchanges,
			.seen = record->moved && record_moved(&d->windows, record)
					? d->windows.now - d->config.window
					: 0,
		};
		if (!member_rule(m, &d->config,
				 baseline_threshold(&d->baseline, members->stack, record->rtt_min),
				 rule, spared->why)) {
			spared->src = m->src;
			spared->family = m->family;
			spared->stack = members->stack;
			r->n_spared++;
			continue;
		}
		reason_of(state, m, rule);
		r->n_rules++;
	}
	err = standing ? standing_add(before->rules.rules, standing, judged, d->windows.now,
				      r->rules, &r->n_rules)
		       : 0;
	if (err)
		return err;
	leave_out(r, collateral_keep(r->rules, r->n_rules, unknown, state->before,
				     d->config.precision));
	if (report_networks(d, members->stack, unknown, state->before, r))
		return -ENOMEM;
	for (size_t i = 0; i < r->n_rules; i++)
		r->stops += r->rules[i].exchanges;
	traffic = (struct collateral_traffic){ d->survey.exchanges - r->stops,
					       exchanges_in_stack - r->stops, all };
	r->collateral = collateral_of(r->rules, r->n_rules, unknown, state->before, &traffic);
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
			.replaces = m->reborn,
		};
	}
	qsort(f->members, f->n_members, sizeof(*f->members), by_posterior);
	return 0;
}

static void add_gate(struct kept_report *k, const char *name, bool met, double have, double need,
		     const char *unit)
{
	struct plan_gate *g = &k->gates[k->n_gates++];

	*g = (struct plan_gate){ .name = name, .met = met };
	snprintf(g->text, sizeof(g->text), "%s: %.4g, needs %.4g", unit, have, need);
}

#define GATES 7

static int gates(const struct detect *d, const struct cohort_id *key,
		 const struct cohort_state *state, struct kept_report *out)
{
	const struct detect_config *c = &d->config;
	double history = fmax((double)(d->windows.now - d->windows.begun) / NSEC_PER_DAY,
			      days_known(d, key));
	const struct plan_collateral *k = &out->rules.collateral;
	double lost = d->losses.tally_evicted + d->losses.rows_skipped;
	double share = lost / (lost + d->windows.n + 1);

	out->gates = calloc(GATES, sizeof(*out->gates));
	if (!out->gates)
		return -ENOMEM;
	add_gate(out, "history", history >= c->history_days, floor(10 * history) / 10,
		 c->history_days, "days of history");
	add_gate(out, "persistence", state->verdict.windows >= c->own_windows,
		 state->verdict.windows, c->own_windows, "windows since it was first seen");
	add_gate(out, "evidence", state->judgement.bits >= c->propose_bits, state->judgement.bits,
		 c->propose_bits, "decision bits");
	add_gate(out, "precision", k->precision >= c->precision, k->precision, c->precision,
		 "lower 95% bound of precision");
	add_gate(out, "collateral_all", k->share_all <= c->collateral_all, k->share_all,
		 c->collateral_all, "upper 95% share of all benign exchanges");
	add_gate(out, "collateral_stack", k->share_stack <= c->collateral_stack, k->share_stack,
		 c->collateral_stack, "upper 95% share of the stack's benign exchanges");
	add_gate(out, "losses", share <= 1e-3, share, 1e-3, "share of rows lost or skipped");
	return 0;
}

/* Evidence that would have to come from elsewhere. */
static const char *undecided(const struct detect *d, const struct cohort_state *state)
{
	const struct fact *spread = &state->fact[FACT_SPREAD];
	enum benign_class nearest = state->judgement.nearest;

	if (state->verdict.state != FARM_WATCH)
		return NULL;
	if (!state->fact[FACT_SPLIT].known)
		return "not decidable from packets: no delays are measured here, so nothing says "
		       "whether its sources hide";
	if (spread->known && spread->x < d->config.spread &&
	    (nearest == CLASS_FLEET || nearest == CLASS_PROXIED_FLEET ||
	     nearest == CLASS_LOAD_TEST))
		return "not decidable from packets: its sources lie in few networks, as a fleet's do; "
		       "only its accounts tell whose it is";
	return NULL;
}

int report_keep(const struct detect *d, const struct cohort_id *key, const struct group *g,
		const struct cohort_state *state, const struct cohort *members, struct report *r,
		struct kept_report **out)
{
	const struct stack_baseline *s = baseline_stack(&d->baseline, key->stack);
	struct kept_report *k = calloc(1, sizeof(*k));
	const struct verdict *v = &state->verdict;
	const struct judgement *j = &state->judgement;
	int err;

	if (!k)
		return -ENOMEM;
	k->farm = (struct farm){
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
		.undecided = undecided(d, state),
		.history = { days_known(d, key), state->scores, state->component.llr, state->p,
			     state->e, state->least },
		.nearest_benign = class_name[j->nearest],
		.sources = g->sources,
		.split = g->split,
		.clean_sources = s ? s->sources : 0,
	};
	if (v->state != FARM_WATCH && v->state != FARM_DECAY)
		k->farm.challenge = r->challenge;
	snprintf(k->farm.id, sizeof(k->farm.id), "f%u", state->id);
	memcpy(k->farm.gate, state->gate, sizeof(k->farm.gate));
	memcpy(k->farm.evidence, j->family, sizeof(k->farm.evidence));
	memcpy(k->farm.without, j->without, sizeof(k->farm.without));
	lines(state, &k->farm);
	if (k->farm.n_lines < FARM_LINES && ban_line(&state->ban, &k->farm.line[k->farm.n_lines]))
		k->farm.n_lines++;
	err = members_of(members, &k->farm);
	if (!err) {
		k->rules = *r;
		memset(r, 0, sizeof(*r));
		err = gates(d, key, state, k);
	}
	if (err)
		report_freep(&k);
	*out = k;
	return err;
}

/* ---- into the lists of a window ------------------------------------------------- */

static int grow(void *rows_p, size_t n, size_t size)
{
	void **rows = rows_p, *more = reallocarray(*rows, n + 1, size);

	if (!more)
		return -ENOMEM;
	*rows = more;
	return 0;
}

static int plan_add(const struct kept_report *k, size_t farm, struct plan *p)
{
	enum farm_state state = k->farm.state;
	/* Nothing is planned against what is only watched. */
	bool some = state != FARM_WATCH && state != FARM_DECAY;
	size_t n = some ? k->rules.n_rules : 0, spared = some ? k->rules.n_spared : 0;

	if (grow(&p->rules, p->n_rules + n, sizeof(*p->rules)) ||
	    grow(&p->spared, p->n_spared + spared, sizeof(*p->spared)) ||
	    grow(&p->farms, farm, sizeof(*p->farms)) ||
	    grow(&p->gates, p->n_gates + k->n_gates, sizeof(*p->gates)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		p->rules[p->n_rules] = k->rules.rules[i];
		p->rules[p->n_rules++].farm = farm;
	}
	for (size_t i = 0; i < spared; i++) {
		p->spared[p->n_spared] = k->rules.spared[i];
		p->spared[p->n_spared++].farm = farm;
	}
	for (size_t i = 0; i < k->n_gates; i++) {
		p->gates[p->n_gates] = k->gates[i];
		p->gates[p->n_gates++].farm = farm;
	}
	p->farms[farm] = (struct plan_farm){ .rules = n, .spared = spared, .life = k->rules.life };
	if (some) {
		p->farms[farm].collateral = k->rules.collateral;
		p->farms[farm].stops = k->rules.stops;
	}
	p->n_farms = farm + 1;
	return 0;
}

int report_farm(const struct kept_report *k, struct farms *farms, struct plan *plan)
{
	struct farm_member *members = calloc(k->farm.n_members + 1, sizeof(*members));
	struct farm *f;

	if (!members || grow(&farms->farm, farms->n, sizeof(*farms->farm))) {
		free(members);
		return -ENOMEM;
	}
	if (k->farm.n_members)
		memcpy(members, k->farm.members, k->farm.n_members * sizeof(*members));
	f = &farms->farm[farms->n++];
	*f = k->farm;
	f->members = members;
	return plan ? plan_add(k, farms->n - 1, plan) : 0;
}
