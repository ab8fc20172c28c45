/* SPDX-License-Identifier: BSD-2-Clause */
/* A plan comes into force: asked for, or because a farm is followed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/blast.h"
#include "daemon/commit.h"
#include "daemon/farms_internal.h"
#include "model/json.h"
#include "model/rule_json.h"

struct apply {
	struct daemon *d;
	const struct apply_how *how;
	struct audit_row *audit;
	struct answer *a;
	struct clock clock;
	uint64_t deadline; /* 0: for good */
	uint32_t epoch;
	bool crowded;
	struct blast_crowd crowd;
	json_t *farms, *rules;
	size_t added, enforced, failed, refused;
};

static bool wanted(const json_t *ids, const char *id)
{
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)ids, i, v)
		if (json_is_string(v) && !strcmp(json_string_value(v), id))
			return true;
	return false;
}

static void say_farm(struct apply *p, const struct farm *f, const char *what, size_t rules,
		     size_t in_force, const char *why)
{
	json_array_append_new(p->farms, json_pack("{s:s, s:s, s:I, s:I, s:s?}", "farm", f->id,
						  "result", what, "rules", (json_int_t)rules,
						  "already", (json_int_t)in_force, "why", why));
}

static void farm_fails(struct apply *p, const struct farm *f, size_t n, const struct reason *r,
		       bool refused)
{
	if (refused)
		p->refused++;
	else
		p->failed++;
	p->a->error = *r;
	say_farm(p, f, refused ? "refused" : "failed", 0, n, r->text);
}

static size_t rules_of_all_farms(const struct rulebook *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += rule_farm(b->at[i]) != NULL;
	return n;
}

static void dress(struct apply *p, const char *farm, struct rule_entry *e)
{
	e->uid = p->how->uid;
	e->created = p->clock.real;
	e->handle = 0;
	e->shadow = p->how->count;
	e->epoch = p->epoch;
	e->canary = p->how->canary ? CANARY_FIRST : canary_stage(p->d, farm);
	if (e->canary < 10000 && e->holdout < CANARY_HOLDOUT)
		e->holdout = CANARY_HOLDOUT;
	if (p->deadline) {
		e->pending = RULE_ADDED;
		e->then = e->expires;
		if (!e->expires || p->deadline < e->expires)
			e->expires = p->deadline;
	}
}

static int add_rules(struct apply *p, const char *farm, struct rule_entry *list, size_t n,
		     struct reason *r)
{
	struct rulebook *b = &p->d->rules;
	json_t *doc;
	int err;

	for (size_t i = 0; i < n; i++)
		dress(p, farm, &list[i]);
	err = p->how->dry_run || !n ? 0 : rulebook_add(b, &p->clock, list, n, p->audit, r);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		/* The book has the newest last. */
		const struct rule_entry *e = p->how->dry_run ? &list[i] : b->at[b->n - n + i];

		doc = document_rules(p->d, &e, 1);
		json_array_append(p->rules, json_array_get(json_object_get(doc, "rules"), 0));
		json_decref(doc);
	}
	p->added += n;
	return 0;
}

/* Rules of the farm that only counted so far. */
static int enforce_rules(struct apply *p, const uint32_t *handle, size_t n, struct reason *r)
{
	struct rule_change change = { .what = CHANGE_ENFORCE, .deadline = p->deadline };
	uint16_t holdout = p->d->cfg.detect.config.holdout;

	if (!n || p->how->dry_run)
		return 0;
	if (p->how->canary) {
		change.epoch = p->epoch;
		change.canary = CANARY_FIRST;
		change.holdout = holdout > CANARY_HOLDOUT ? holdout : CANARY_HOLDOUT;
	}
	p->enforced += n;
	return rulebook_change(&p->d->rules, &p->clock, handle, n, &change, p->audit, r);
}

/* What of the plan is new (list, n) and what only counts so far (handle, n_count). */
struct todo {
	struct rule_entry *list;
	uint32_t *handle;
	size_t n, n_count, already;
};

static bool is_crowd(const struct apply *p, const struct plan_rule *rule)
{
	struct cidr net = plan_rule_net(rule);

	return cidr_has(&net, p->crowd.addr);
}

static int look(struct apply *p, size_t index, struct todo *t)
{
	struct verdicts *v = p->d->verdicts;
	struct farm *f = &v->farms.farm[index];
	struct farm_names names = farm_names_of(p->d);
	char stack[STACK_TEXT];
	int err = 0;

	*t = (struct todo){ .list = calloc(v->plan.n_rules + 1, sizeof(*t->list)),
			    .handle = calloc(v->plan.n_rules + 1, sizeof(*t->handle)) };
	if (!t->list || !t->handle)
		return -ENOMEM;
	for (size_t i = 0; !err && i < v->plan.n_rules; i++) {
		const struct plan_rule *rule = &v->plan.rules[i];
		const struct rule_entry *e;

		if (rule->farm != index)
			continue;
		e = rule->handle ? rulebook_find(&p->d->rules, rule->handle) : NULL;
		if (p->crowded && is_crowd(p, rule))
			continue;
		t->already += e && (!e->shadow || p->how->count);
		if (e && e->shadow && !p->how->count)
			t->handle[t->n_count++] = e->handle;
		if (!e)
			err = plan_rule_entry(rule, f->id, stack_text(f->stack, &names, stack),
					      &t->list[t->n++]);
	}
	return err;
}

static void todo_clear(struct todo *t)
{
	for (size_t i = 0; t->list && i < t->n; i++)
		rule_entry_clear(&t->list[i]);
	free(t->list);
	free(t->handle);
}

/* NULL: it may; else why not. */
static const char *held_back(struct apply *p, const struct farm *f, const struct todo *t,
			     struct reason *r)
{
	size_t have = rules_of_all_farms(&p->d->rules);
	const struct plan_gate *gate =
		farms_gate(&p->d->verdicts->plan, f - p->d->verdicts->farms.farm, GATE_PROTECTED);

	if (labels_dismissed(p->d, f->id))
		reason_set(r, 0, "farm %s is dismissed. Try: winnow farm confirm %s REASON", f->id,
			   f->id);
	else if (f->state != FARM_PROPOSE && f->state != FARM_ENFORCE)
		reason_set(r, 0, "farm %s is in state %s, nothing is proposed%s%s", f->id,
			   farm_state_name[f->state], f->gate[0] ? ": " : "", f->gate);
	else if (!t->n && !t->n_count && !t->already)
		reason_set(r, 0, "farm %s: every member is spared; `winnow plan show` says why",
			   f->id);
	else if (!p->how->count && gate && !gate->met)
		reason_set(r, 0,
			   "farm %s: %s. Try: winnow plan show; max_protected, or --count to see "
			   "what they would hit",
			   f->id, gate->text);
	else if (have + t->n > p->d->cfg.max_rules)
		reason_set(r, 0, "farm %s: %zu rules more would be %zu for farms, max_rules is %u",
			   f->id, t->n, have + t->n, p->d->cfg.max_rules);
	else
		return NULL;
	return r->text;
}

static void follow_key(const char *farm, char out[32])
{
	snprintf(out, 32, "follow.%s", farm);
}

bool farm_followed(struct daemon *d, const char *farm)
{
	uint64_t on = 0;
	char key[32];

	follow_key(farm, key);
	return d->store && !store_number(d->store, key, &on) && on;
}

static void follow(struct daemon *d, const char *farm, bool on)
{
	char key[32];

	follow_key(farm, key);
	if (d->store && store_number_set(d->store, key, on))
		trouble_set(d, "farms", "farm %s: not written whether it is followed: %s", farm,
			    store_error(d->store));
}

void farm_unfollow(struct daemon *d, const char *farm)
{
	if (!farm_followed(d, farm))
		return;
	follow(d, farm, false);
	log_note("farm %s: no longer followed, none of its rules acts any more", farm);
}

static void remember(struct apply *p, size_t index)
{
	const struct verdicts *v = p->d->verdicts;
	const char *id = v->farms.farm[index].id;

	if (p->how->canary)
		canary_begin(p->d, id, v->plan.farms[index].collateral.upper95, &p->clock);
	if (p->how->follow)
		follow(p->d, id, true);
}

static void apply_farm(struct apply *p, size_t index)
{
	struct farm *f = &p->d->verdicts->farms.farm[index];
	struct reason r = {};
	struct todo t;

	if (look(p, index, &t)) {
		reason_set(&r, -ENOMEM, "out of memory");
		farm_fails(p, f, 0, &r, false);
	} else if (held_back(p, f, &t, &r)) {
		farm_fails(p, f, t.already, &r, true);
	} else if (add_rules(p, f->id, t.list, t.n, &r) ||
		   enforce_rules(p, t.handle, t.n_count, &r)) {
		farm_fails(p, f, t.already, &r, false);
	} else {
		say_farm(p, f,
			 p->how->dry_run ? "would apply"
			 : p->how->count ? "counts"
					 : "applied",
			 t.n + t.n_count, t.already, NULL);
		if (!p->how->dry_run && !p->how->count)
			remember(p, index);
	}
	todo_clear(&t);
}

static int apply_exit(const struct apply *p)
{
	if (p->failed || p->refused) {
		if (p->added || p->enforced)
			return EXIT_PARTIAL;
		return p->refused ? EXIT_REFUSED : EXIT_NO;
	}
	return EXIT_DONE;
}

static void find_crowd(struct apply *p)
{
	struct blast_view view;

	if (p->how->count)
		return;
	if (blast_look(p->d, &view)) {
		p->a->exit = EXIT_NO;
		reason_set(&p->a->error, 0, "out of memory");
		return;
	}
	p->crowded = view.crowded;
	p->crowd = view.crowd;
	blast_clear(&view);
}

static bool known_farms(struct apply *p)
{
	json_t *id;
	size_t i;

	json_array_foreach((json_t *)p->how->ids, i, id) {
		if (json_is_string(id) && farm_find(p->d->verdicts, json_string_value(id)))
			continue;
		p->a->exit = EXIT_NO;
		reason_set(&p->a->error, 0, "there is no farm %.40s",
			   json_is_string(id) ? json_string_value(id) : "of that kind");
		return false;
	}
	return true;
}

static bool open_commit(struct apply *p)
{
	if (!p->how->within || p->how->dry_run ||
	    !commit_begin(p->d, &p->clock, p->how->within, p->how->uid, &p->deadline, &p->a->error))
		return true;
	p->a->exit = EXIT_NO;
	return false;
}

void farms_apply(struct daemon *d, const struct apply_how *how, struct audit_row *audit,
		 struct answer *a)
{
	struct apply p = { .d = d, .how = how, .audit = audit, .a = a, .clock = clock_now() };
	struct verdicts *v = d->verdicts;
	bool all = !json_array_size(how->ids);

	if (!known_farms(&p) || !open_commit(&p))
		return;
	p.farms = json_array();
	p.rules = json_array();
	p.epoch = p.clock.real / NSEC_PER_SEC;
	/* Allowed since the window ended, or an address of ours since then. */
	if (farms_settle_plan(d, v)) {
		a->exit = EXIT_NO;
		reason_set(&a->error, 0, "out of memory");
	}
	find_crowd(&p);
	for (size_t i = 0; !a->exit && i < v->farms.n; i++) {
		const struct farm *f = &v->farms.farm[i];
		bool proposed = f->state == FARM_PROPOSE || f->state == FARM_ENFORCE;

		if (all && proposed && labels_dismissed(d, f->id))
			say_farm(&p, f, "left out", 0, 0, "dismissed");
		else if (all ? proposed : wanted(how->ids, f->id))
			apply_farm(&p, i);
	}
	a->exit = a->exit ?: apply_exit(&p);
	if ((p.added || p.enforced) && !how->dry_run) {
		log_note("plan: %zu rules added, %zu enforced%s, by uid %u", p.added, p.enforced,
			 how->count ? ", only counting" : "", how->uid);
		farms_settle_plan(d, v);
		farms_settle_states(d, v);
		farms_keep(d);
	}
	a->data = json_pack("{s:s, s:b, s:b, s:I, s:I, s:o, s:f, s:o, s:o}", "schema",
			    "winnow.applied/1", "dry_run", how->dry_run, "only_counts", how->count,
			    "added", (json_int_t)p.added, "enforced", (json_int_t)p.enforced,
			    "confirm_before", time_json(p.deadline), "holdout",
			    d->cfg.detect.config.holdout / 10000.0, "farms", p.farms, "rules",
			    p.rules);
}

/* ---- after each window --------------------------------------------------------------------- */

static bool all_gates(const struct plan *p, size_t farm)
{
	size_t met = 0;

	for (size_t i = 0; i < p->n_gates; i++) {
		if (p->gates[i].farm != farm)
			continue;
		if (!p->gates[i].met)
			return false;
		met++;
	}
	return met > 0;
}

static bool has_new(const struct plan *p, size_t farm)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].farm == farm && !p->rules[i].handle)
			return true;
	return false;
}

static void apply_by_itself(struct daemon *d, const struct farm *f, const char *verb, bool first)
{
	json_t *ids = json_pack("[s]", f->id), *args = json_pack("{s:s}", "farm", f->id);
	_cleanup_(freep) char *text = json_dumps(args, JSON_COMPACT);
	struct apply_how how = { .uid = geteuid(), .ids = ids, .canary = first, .follow = first };
	struct audit_row audit = {
		.time = clock_now().real, .uid = geteuid(), .verb = verb, .args = text ? text : "{}"
	};
	struct answer a = {};

	farms_apply(d, &how, &audit, &a);
	if (a.exit)
		log_warn("%s %s: %s", verb, f->id, a.error.text);
	json_decref(a.data);
	json_decref(ids);
	json_decref(args);
}

/* Rules live on where the source itself has shown evidence since they were made or
 * renewed: what was let through - holdout, canary, counting - and judged again. */
static void renew(struct daemon *d, size_t farm)
{
	const struct plan *p = &d->verdicts->plan;
	_cleanup_(freep) uint32_t *handle = calloc(p->n_rules + 1, sizeof(*handle));
	struct rule_change change = { .what = CHANGE_RENEW };
	struct clock c = clock_now();
	struct reason r = {};
	size_t n = 0;

	for (size_t i = 0; handle && i < p->n_rules; i++) {
		const struct plan_rule *rule = &p->rules[i];
		struct rule_entry *e = rule->handle ? rulebook_find(&d->rules, rule->handle) : NULL;

		if (rule->farm != farm || !e || !plan_renews(rule, e))
			continue;
		e->renewed = rule->seen;
		change.expires = rule->expires; /* of one farm, one for all */
		handle[n++] = rule->handle;
	}
	if (n && rulebook_change(&d->rules, &c, handle, n, &change, NULL, &r))
		trouble_set(d, "rules", "not renewed: %s", r.text);
}

/* More than a fifth apart. */
static bool far_apart(uint16_t have, uint16_t want)
{
	return 5 * abs(want - have) > have;
}

/* What a rule asks of the delays is what its source has shown in all its connections: those
 * that it acts on are measured, too. The first one, which it was made by, may have been
 * late by itself: the next window that ends knows better if the source came again. */
static void retune(struct daemon *d, size_t farm)
{
	const struct plan *p = &d->verdicts->plan;
	_cleanup_(freep) uint32_t *handle = calloc(p->n_rules + 1, sizeof(*handle));
	_cleanup_(freep) struct rule_delays *delays = calloc(p->n_rules + 1, sizeof(*delays));
	struct rule_change change = { .what = CHANGE_DELAYS, .delays = delays };
	struct clock c = clock_now();
	char args[80];
	struct audit_row audit = {
		.time = c.real, .uid = geteuid(), .verb = "plan.retune", .args = args
	};
	struct reason r = {};
	size_t n = 0;

	for (size_t i = 0; handle && delays && i < p->n_rules; i++) {
		const struct plan_rule *rule = &p->rules[i];
		struct rule_entry *e = rule->handle ? rulebook_find(&d->rules, rule->handle) : NULL;

		if (rule->farm != farm || !e || !rule_farm(e) || !rule->seen ||
		    d->verdicts->farms.time <= e->created || !e->spec.d1_min ||
		    !e->spec.dstar_min || !rule->d1_min || !rule->dstar_min ||
		    (!far_apart(e->spec.d1_min, rule->d1_min) &&
		     !far_apart(e->spec.dstar_min, rule->dstar_min)))
			continue;
		delays[n] = (struct rule_delays){ rule->d1_min, rule->dstar_min };
		handle[n++] = rule->handle;
	}
	if (!n)
		return;
	snprintf(args, sizeof(args), "{\"farm\":\"%s\",\"rules\":%zu}",
		 d->verdicts->farms.farm[farm].id, n);
	if (rulebook_change(&d->rules, &c, handle, n, &change, &audit, &r))
		trouble_set(d, "rules", "not made to ask for other delays: %s", r.text);
}

void farms_follow(struct daemon *d)
{
	struct verdicts *v = d->verdicts;

	for (size_t i = 0; i < v->farms.n && i < v->plan.n_farms; i++) {
		renew(d, i);
		retune(d, i);
	}
	if (d->cfg.enforce == ENFORCE_NO)
		return;
	for (size_t i = 0; i < v->farms.n && i < v->plan.n_farms; i++) {
		const struct farm *f = &v->farms.farm[i];

		if (!has_new(&v->plan, i) || labels_dismissed(d, f->id))
			continue;
		if (f->state == FARM_ENFORCE && farm_followed(d, f->id))
			apply_by_itself(d, f, "plan.follow", false);
		else if (d->cfg.apply_by_itself && f->state == FARM_PROPOSE &&
			 all_gates(&v->plan, i))
			apply_by_itself(d, f, "plan.by_itself", true);
	}
}
