/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/farms_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "daemon/blast.h"
#include "daemon/detector.h"
#include "daemon/protect.h"
#include "daemon/timeline.h"
#include "model/json.h"
#include "model/rule_json.h"
#include "store/secret.h"

/* ---- names ------------------------------------------------------------------- */

/* Two stacks of one short name are told apart by their raw form. */
static const char *name_stack(void *ctx, uint64_t stack)
{
	const struct name_entry *e = namebook_get(ctx, NAME_STACK, stack);
	uint64_t key;

	if (!e)
		return NULL;
	return namebook_key(ctx, NAME_STACK, e->name, &key) == -EEXIST ? e->raw : e->name;
}

static size_t name_ja4(void *ctx, uint64_t stack, const char **out, size_t max)
{
	const struct namebook *b = ctx;
	size_t n = 0;

	for (size_t i = 0; i < b->names.n && n < max; i++) {
		const struct name_id *id = table_key(&b->names, i);
		const struct name_entry *e = table_value(&b->names, i);

		if (id->kind == NAME_JA4 && e->stack == stack)
			out[n++] = e->name;
	}
	return n;
}

struct farm_names farm_names_of(struct daemon *d)
{
	return (struct farm_names){ &d->names, name_stack, name_ja4 };
}

/* ---- beside the rules in force ------------------------------------------------------ */

struct rule_key {
	uint64_t hi, lo, plen, stack, d1;
};

static struct rule_key key_of(const struct rule_spec *s, uint64_t stack)
{
	return (struct rule_key){ s->src.net.hi, s->src.net.lo, s->src.plen, stack,
				  s->d1_min != 0 };
}

/* In force already, or a wider one: it does not ask for D1. */
static uint32_t in_force(const struct table *have, struct rule_key key)
{
	const uint32_t *handle = table_find(have, &key);

	key.d1 = 0;
	if (!handle)
		handle = table_find(have, &key);
	return handle ? *handle : 0;
}

const char *rule_farm(const struct rule_entry *e)
{
	return e->origin && !strncmp(e->origin, "farm:", 5) ? e->origin + 5 : NULL;
}

/* Rules that came from farms: key -> handle. */
static int rules_of_farms(const struct rulebook *b, struct table *out)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct rule_entry *e = b->at[i];
		struct rule_key key = key_of(&e->spec, e->stack_key);
		uint32_t *handle;

		if (!rule_farm(e))
			continue;
		handle = table_add(out, &key, NULL);
		if (!handle)
			return -ENOMEM;
		*handle = e->handle;
	}
	return 0;
}

/* Those that do more than count. */
static size_t rules_that_act(const struct rulebook *b, const char *farm)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const char *of = rule_farm(b->at[i]);

		n += of && !b->at[i]->shadow && !strcmp(of, farm);
	}
	return n;
}

/* True: no rule may name this source; `why` has the reason. */
static bool is_protected(struct daemon *d, const struct protect *p, const struct rule_entry *e,
			 char why[PLAN_REASON])
{
	const struct allow_entry *allow = allowbook_overlap(&d->allows, &e->spec.src);
	char net[ADDR_TEXT];
	struct reason r;

	if (allow)
		snprintf(why, PLAN_REASON, "on the allow list (%s)%s%.80s",
			 cidr_text(&allow->net, net), *allow->reason ? ": " : "", allow->reason);
	else if (protect_check(p, &e->spec, &r))
		snprintf(why, PLAN_REASON, "%.*s", PLAN_REASON - 1, r.text);
	else
		return false;
	return true;
}

int farms_spare(struct plan *p, const struct plan_rule *r, const char *why)
{
	struct plan_spared *more = reallocarray(p->spared, p->n_spared + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->spared = more;
	more += p->n_spared++;
	*more = (struct plan_spared){
		.src = r->src, .stack = r->stack, .family = r->family, .farm = r->farm
	};
	snprintf(more->why, sizeof(more->why), "%s", why);
	p->farms[r->farm].spared++;
	p->farms[r->farm].rules--;
	p->farms[r->farm].stops -= r->exchanges;
	return 0;
}

struct plan_gate *farms_gate(struct plan *p, size_t farm, const char *name)
{
	for (size_t i = 0; i < p->n_gates; i++)
		if (p->gates[i].farm == farm && !strcmp(p->gates[i].name, name))
			return &p->gates[i];
	return NULL;
}

static bool names_protected(const struct daemon *d, const struct plan_rule *r)
{
	struct cidr net = plan_rule_net(r);

	for (size_t i = 0; i < d->cfg.n_protected; i++)
		if (cidr_overlaps(&d->cfg.protected[i], &net))
			return true;
	return false;
}

/* Whether a farm's rules name no more protected sources than they may. One that holds
 * many of those for its own is wrong, or is to be looked at. */
static int settle_gate(const struct daemon *d, struct plan *p, size_t farm)
{
	struct plan_gate *g = farms_gate(p, farm, GATE_PROTECTED);
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		n += p->rules[i].farm == farm && names_protected(d, &p->rules[i]);
	if (!g && !d->cfg.n_protected)
		return 0;
	if (!g) {
		g = reallocarray(p->gates, p->n_gates + 1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		p->gates = g;
		g += p->n_gates++;
	}
	*g = (struct plan_gate){ .farm = farm,
				 .name = GATE_PROTECTED,
				 .met = n <= d->cfg.max_protected };
	snprintf(g->text, sizeof(g->text), "sources of protected networks: %zu, may be %u", n,
		 d->cfg.max_protected);
	return 0;
}

int farms_settle_plan(struct daemon *d, struct verdicts *v)
{
	_cleanup_(table_clearp) struct table have;
	struct protect guard = {};
	char why[PLAN_REASON];
	size_t kept = 0;
	int err;

	table_init(&have, sizeof(struct rule_key), sizeof(uint32_t));
	err = rules_of_farms(&d->rules, &have);
	protect_collect(&guard, NULL);
	for (size_t i = 0; !err && i < v->plan.n_rules; i++) {
		struct plan_rule *r = &v->plan.rules[i];
		struct rule_entry e;
		struct rule_key key;

		err = plan_rule_entry(r, "", "", &e);
		if (err)
			break;
		key = key_of(&e.spec, r->stack);
		r->handle = in_force(&have, key);
		if (r->handle ||
		    (!is_protected(d, &guard, &e, why) && !(r->plen && names_protected(d, r))))
			v->plan.rules[kept++] = *r;
		else if (r->plen)
			v->plan.farms[r->farm].rules--; /* its members have theirs */
		else
			err = farms_spare(&v->plan, r, why);
		rule_entry_clear(&e);
	}
	v->plan.n_rules = err ? 0 : kept;
	for (size_t i = 0; !err && i < v->plan.n_farms; i++)
		err = settle_gate(d, &v->plan, i);
	protect_clear(&guard);
	return err;
}

void farms_settle_states(struct daemon *d, struct verdicts *v)
{
	for (size_t i = 0; i < v->farms.n; i++) {
		struct farm *f = &v->farms.farm[i];
		bool ruled = rules_that_act(&d->rules, f->id) != 0;

		if (ruled && (f->state == FARM_FLAG || f->state == FARM_PROPOSE))
			f->state = FARM_ENFORCE;
		else if (!ruled && f->state == FARM_ENFORCE)
			f->state = FARM_DECAY;
		else
			continue;
		if (!ruled)
			farm_unfollow(d, f->id);
		if (d->detector)
			detector_enforced(d->detector, f->stack, f->service, ruled);
	}
}

const struct farm *farm_find(const struct verdicts *v, const char *id)
{
	for (size_t i = 0; v && i < v->farms.n; i++)
		if (!strcmp(v->farms.farm[i].id, id))
			return &v->farms.farm[i];
	return NULL;
}

bool farm_known(struct daemon *d, const char *id)
{
	return farm_find(d->verdicts, id) != NULL;
}

/* Whether a state has changed; says so. */
static bool say_changes(struct daemon *d, const struct verdicts *was, const struct verdicts *v)
{
	struct farm_names names = farm_names_of(d);
	bool changed = false;

	for (size_t i = 0; i < v->farms.n; i++) {
		const struct farm *f = &v->farms.farm[i], *before = farm_find(was, f->id);
		char stack[STACK_TEXT];

		if (before && before->state == f->state)
			continue;
		changed = true;
		log_note("farm %s: %s%s%s, %zu members of stack %s, %.1f bits", f->id,
			 before ? farm_state_name[before->state] : "", before ? " -> " : "",
			 farm_state_name[f->state], f->n_members,
			 stack_text(f->stack, &names, stack), f->bits);
	}
	for (size_t i = 0; was && i < was->farms.n; i++)
		if (!farm_find(v, was->farms.farm[i].id)) {
			changed = true;
			log_note("farm %s: over", was->farms.farm[i].id);
		}
	return changed;
}

void farms_keep(struct daemon *d)
{
	uint64_t t = clock_read(CLOCK_MONOTONIC);

	if (!d->store)
		return;
	if (store_farms_put(d->store, &d->verdicts->farms, &d->verdicts->plan) ||
	    store_forget(d->store, d->verdicts->farms.time))
		trouble_set(d, "farms", "not written to the state database: %s",
			    store_error(d->store));
	else {
		trouble_set(d, "farms", NULL);
		d->farms_kept = d->verdicts->farms.time;
	}
	d->farms_store_ns = clock_read(CLOCK_MONOTONIC) - t;
}

/* ---- life -------------------------------------------------------------------------------- */

/* Farms of another secret are nobody's: their keys mean nothing. */
static int recall(struct daemon *d, uint64_t secret, struct verdicts *v, uint32_t *last)
{
	uint64_t was;
	int err;

	if (!d->store)
		return 0;
	err = store_number(d->store, "farms_secret", &was);
	if (err == -ENOENT || (!err && was != secret)) {
		if (!err)
			log_warn("farms: keyed with another secret, forgotten");
		err = store_farms_clear(d->store);
		if (!err)
			err = store_number_set(d->store, "farms_secret", secret);
	}
	if (!err)
		err = store_farms(d->store, &v->farms, &v->plan);
	return err ? err : store_farm_last(d->store, last);
}

int farms_begin(struct daemon *d)
{
	uint64_t secret = secret_id(&kern_control(d->kern)->secret);
	struct detector_start start = { .kern = d->kern,
					.settings = &d->cfg.detect,
					.file = d->detector_file,
					.secret = secret };
	struct verdicts *v = calloc(1, sizeof(*v));
	struct reason r = {};
	int err;

	if (!v)
		return log_fail(-ENOMEM, "begin to look for farms");
	if (recall(d, secret, v, &start.last))
		trouble_set(d, "farms", "not read from the state database: %s",
			    store_error(d->store));
	start.farms = &v->farms;
	farms_settle_states(d, v);
	farms_settle_plan(d, v);
	d->verdicts = v;
	d->farms_kept = v->farms.time;
	if (v->farms.n)
		log_note("farms: %zu remembered", v->farms.n);
	err = detector_new(&start, &d->detector, &r);
	if (err)
		return log_fail(err, "%s", r.text);
	if (r.text[0])
		log_warn("%s", r.text);
	return 0;
}

static void swap_farms(struct verdicts *a, struct verdicts *b)
{
	struct farms farms = a->farms;
	struct plan plan = a->plan;

	a->farms = b->farms;
	a->plan = b->plan;
	b->farms = farms;
	b->plan = plan;
}

void farms_ready(struct daemon *d)
{
	struct verdicts *v = detector_take(d->detector), *was = d->verdicts;
	bool changed;

	if (!v)
		return;
	if (v->err)
		trouble_set(d, "detector", "%s", v->reason.text);
	else
		trouble_set(d, "detector", NULL);
	if (!v->judged && was) /* what was known stands until there is something new */
		swap_farms(v, was);
	farms_settle_states(d, v);
	if (farms_settle_plan(d, v))
		trouble_set(d, "detector", "no memory for the plan");
	d->verdicts = v;
	changed = v->judged && say_changes(d, was, v);
	verdicts_free(was);
	if (v->judged)
		farms_follow(d);
	if (v->judged && (changed || v->saved))
		farms_keep(d);
	if (v->judged)
		timeline_note(d);
}

/* ---- documents ------------------------------------------------------------------------------ */

json_t *document_detector(struct daemon *d)
{
	const struct verdicts *v = d->verdicts;
	json_t *states = json_object();
	uint64_t n[FARM_STATE_MAX] = {};

	for (size_t i = 0; i < v->farms.n; i++)
		n[v->farms.farm[i].state]++;
	for (int s = FARM_WATCH; s < FARM_STATE_MAX; s++)
		json_object_set_new(states, farm_state_name[s], json_integer(n[s]));
	return json_pack("{s:f, s:o, s:o, s:o, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:o}",
			 "window", d->cfg.detect.config.window / 1e9, "baseline_until",
			 time_json(v->baseline_until), "judged_at", time_json(v->farms.time),
			 "kept_at", time_json(d->farms_kept), "learning", !v->judged, "rows",
			 (json_int_t)v->rows, "records", (json_int_t)v->records, "read_ms",
			 v->read_ns / 1e6, "judge_ms", v->judge_ns / 1e6, "save_ms",
			 v->save_ns / 1e6, "store_ms", d->farms_store_ns / 1e6, "late",
			 (json_int_t)detector_late(d->detector), "randomisers",
			 (json_int_t)v->farms.n_randomisers, "farms", states);
}

json_t *document_farms(struct daemon *d, const char *id)
{
	struct farm_names names = farm_names_of(d);
	json_t *doc = farms_json(&d->verdicts->farms, &d->verdicts->plan, &names);
	json_t *farms = json_object_get(doc, "farms");

	for (size_t i = json_array_size(farms); id && i--;)
		if (strcmp(json_string_value(json_object_get(json_array_get(farms, i), "id")), id))
			json_array_remove(farms, i);
	if (!doc)
		return NULL;
	if (id && json_array_size(farms)) {
		json_object_set_new(json_array_get(farms, 0), "hydra", hydra_json(d, id));
		json_object_set_new(json_array_get(farms, 0), "canary", canary_json(d, id));
	}
	labels_farms(d, doc);
	json_object_set_new(doc, "detector", document_detector(d));
	return doc;
}

/* What each rule would have hit, and all of the farm's together. */
static void add_blast(const struct plan *p, size_t farm, json_t *doc, const struct blast_view *view)
{
	static const char *const period_name[] = { "minutes", "day" };
	json_t *rules = json_object_get(doc, "rules"), *all = json_object();
	struct blast sum[BLAST_PERIODS] = {}, b;
	struct blast_past past = {}, one;
	struct rule_entry e;
	size_t k = 0;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct plan_rule *r = &p->rules[i];
		json_t *rule;

		if (r->farm != farm)
			continue;
		if (plan_rule_entry(r, "", "-", &e)) {
			json_miss();
			continue;
		}
		e.stack_key = r->stack;
		rule = json_object_get(json_array_get(rules, k++), "collateral");
		if (rule)
			json_object_update_new(rule, blast_json(view, &e));
		for (int q = 0; q < BLAST_PERIODS; q++) {
			blast_of(view, &e, q, &b);
			blast_add(&sum[q], &b);
		}
		blast_past_of(view, &e, &one);
		blast_past_add(&past, &one);
		rule_entry_clear(&e);
	}
	for (int q = 0; q < BLAST_PERIODS; q++)
		json_object_set_new(all, period_name[q], blast_period_json(&sum[q]));
	json_object_set_new(all, "days", blast_past_json(&past));
	json_object_set_new(doc, "would_hit", all);
}

json_t *document_plan(struct daemon *d)
{
	struct farm_names names = farm_names_of(d);

	const struct plan *p = &d->verdicts->plan;
	json_t *doc = plan_json(p, &d->verdicts->farms, &names), *farm;
	struct blast_view view;
	size_t i;

	if (!doc || blast_look(d, &view)) {
		json_decref(doc);
		return NULL;
	}
	blast_look_back(&view);
	json_array_foreach(json_object_get(doc, "farms"), i, farm) {
		add_blast(p, i, farm, &view);
		json_object_set_new(farm, "canary", canary_json(d, d->verdicts->farms.farm[i].id));
		json_object_set_new(farm, "followed",
				    json_boolean(farm_followed(d, d->verdicts->farms.farm[i].id)));
	}
	blast_clear(&view);
	return doc;
}
