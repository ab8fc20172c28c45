/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/farms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "daemon/detector.h"
#include "daemon/protect.h"
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

static struct farm_names names_of(struct daemon *d)
{
	return (struct farm_names){ &d->names, name_stack, name_ja4 };
}

/* ---- beside the rules in force ------------------------------------------------------ */

struct rule_key {
	uint64_t hi, lo, plen, stack;
};

static struct rule_key key_of(const struct rule_spec *s, uint64_t stack)
{
	return (struct rule_key){ s->src.net.hi, s->src.net.lo, s->src.plen, stack };
}

static const char *origin_farm(const struct rule_entry *e)
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

		if (!origin_farm(e))
			continue;
		handle = table_add(out, &key, NULL);
		if (!handle)
			return -ENOMEM;
		*handle = e->handle;
	}
	return 0;
}

static size_t rules_in_force(const struct rulebook *b, const char *farm)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const char *of = origin_farm(b->at[i]);

		n += of && !strcmp(of, farm);
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

static int spare(struct plan *p, const struct plan_rule *r, const char *why)
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

static int settle_plan(struct daemon *d, struct verdicts *v)
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
		uint32_t *handle;

		err = plan_rule_entry(r, "", "", &e);
		if (err)
			break;
		key = key_of(&e.spec, r->stack);
		handle = table_find(&have, &key);
		r->handle = handle ? *handle : 0;
		if (!handle && is_protected(d, &guard, &e, why))
			err = spare(&v->plan, r, why);
		else
			v->plan.rules[kept++] = *r;
		rule_entry_clear(&e);
	}
	v->plan.n_rules = err ? 0 : kept;
	protect_clear(&guard);
	return err;
}

static void settle_states(struct daemon *d, struct verdicts *v)
{
	for (size_t i = 0; i < v->farms.n; i++) {
		struct farm *f = &v->farms.farm[i];
		bool ruled = rules_in_force(&d->rules, f->id) != 0;

		if (ruled && (f->state == FARM_FLAG || f->state == FARM_PROPOSE))
			f->state = FARM_ENFORCE;
		else if (!ruled && f->state == FARM_ENFORCE)
			f->state = FARM_DECAY;
		else
			continue;
		if (d->detector)
			detector_enforced(d->detector, f->stack, f->service, ruled);
	}
}

static const struct farm *farm_find(const struct verdicts *v, const char *id)
{
	for (size_t i = 0; v && i < v->farms.n; i++)
		if (!strcmp(v->farms.farm[i].id, id))
			return &v->farms.farm[i];
	return NULL;
}

/* Whether a state has changed; says so. */
static bool say_changes(struct daemon *d, const struct verdicts *was, const struct verdicts *v)
{
	struct farm_names names = names_of(d);
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

static void keep(struct daemon *d)
{
	uint64_t t = clock_read(CLOCK_MONOTONIC);

	if (!d->store)
		return;
	if (store_farms_put(d->store, &d->verdicts->farms, &d->verdicts->plan))
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
	settle_states(d, v);
	settle_plan(d, v);
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
	settle_states(d, v);
	if (settle_plan(d, v))
		trouble_set(d, "detector", "no memory for the plan");
	d->verdicts = v;
	changed = v->judged && say_changes(d, was, v);
	verdicts_free(was);
	if (v->judged && (changed || v->saved))
		keep(d);
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
	return json_pack("{s:f, s:o, s:o, s:o, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:o}",
			 "window", d->cfg.detect.config.window / 1e9, "baseline_until",
			 time_json(v->baseline_until), "judged_at", time_json(v->farms.time),
			 "kept_at", time_json(d->farms_kept), "learning", !v->judged, "rows",
			 (json_int_t)v->rows, "records", (json_int_t)v->records, "read_ms",
			 v->read_ns / 1e6, "judge_ms", v->judge_ns / 1e6, "save_ms",
			 v->save_ns / 1e6, "store_ms", d->farms_store_ns / 1e6, "late",
			 (json_int_t)detector_late(d->detector), "farms", states);
}

json_t *document_farms(struct daemon *d, const char *id)
{
	struct farm_names names = names_of(d);
	json_t *doc = farms_json(&d->verdicts->farms, &d->verdicts->plan, &names);
	json_t *farms = json_object_get(doc, "farms");

	for (size_t i = json_array_size(farms); id && i--;)
		if (strcmp(json_string_value(json_object_get(json_array_get(farms, i), "id")), id))
			json_array_remove(farms, i);
	if (doc)
		json_object_set_new(doc, "detector", document_detector(d));
	return doc;
}

json_t *document_plan(struct daemon *d)
{
	struct farm_names names = names_of(d);

	return plan_json(&d->verdicts->plan, &d->verdicts->farms, &names);
}

/* ---- applying ------------------------------------------------------------------------------- */

struct apply {
	struct daemon *d;
	uint32_t uid;
	bool dry_run;
	struct audit_row *audit;
	struct answer *a;
	json_t *farms, *rules;
	size_t added, failed, refused;
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

static int add_rules(struct apply *p, struct rule_entry *list, size_t n, struct reason *r)
{
	struct rulebook *b = &p->d->rules;
	struct clock c = clock_now();
	json_t *doc;
	int err;

	for (size_t i = 0; i < n; i++) {
		list[i].uid = p->uid;
		list[i].created = c.real;
		list[i].handle = 0;
	}
	err = p->dry_run ? 0 : rulebook_add(b, &c, list, n, p->audit, r);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		/* The book has the newest last. */
		const struct rule_entry *e = p->dry_run ? &list[i] : b->at[b->n - n + i];

		doc = document_rules(p->d, &e, 1);
		json_array_append(p->rules, json_array_get(json_object_get(doc, "rules"), 0));
		json_decref(doc);
	}
	return 0;
}

static void apply_farm(struct apply *p, size_t index)
{
	struct verdicts *v = p->d->verdicts;
	struct farm *f = &v->farms.farm[index];
	struct farm_names names = names_of(p->d);
	struct rule_entry *list;
	size_t n = 0, already = 0;
	char stack[STACK_TEXT];
	struct reason r = {};
	int err = 0;

	if (f->state != FARM_PROPOSE && f->state != FARM_ENFORCE) {
		reason_set(&r, 0, "farm %s is in state %s, nothing is proposed%s%s", f->id,
			   farm_state_name[f->state], f->gate[0] ? ": " : "", f->gate);
		farm_fails(p, f, 0, &r, true);
		return;
	}
	list = calloc(v->plan.n_rules + 1, sizeof(*list));
	for (size_t i = 0; list && !err && i < v->plan.n_rules; i++) {
		const struct plan_rule *rule = &v->plan.rules[i];

		if (rule->farm != index)
			continue;
		already += rule->handle != 0;
		if (!rule->handle)
			err = plan_rule_entry(rule, f->id, stack_text(f->stack, &names, stack),
					      &list[n++]);
	}
	if (!list || err) {
		reason_set(&r, -ENOMEM, "out of memory");
		farm_fails(p, f, already, &r, false);
	} else if (!n && !already) {
		reason_set(&r, 0, "farm %s: every member is spared; `winnow plan show` says why",
			   f->id);
		farm_fails(p, f, 0, &r, true);
	} else if (n && add_rules(p, list, n, &r)) {
		farm_fails(p, f, already, &r, false);
	} else {
		p->added += n;
		say_farm(p, f, p->dry_run ? "would apply" : "applied", n, already, NULL);
	}
	for (size_t i = 0; list && i < n; i++)
		rule_entry_clear(&list[i]);
	free(list);
}

static int apply_exit(const struct apply *p)
{
	if (p->failed || p->refused) {
		if (p->added)
			return EXIT_PARTIAL;
		return p->refused ? EXIT_REFUSED : EXIT_NO;
	}
	return EXIT_DONE;
}

void farms_apply(struct daemon *d, uint32_t uid, const json_t *ids, bool dry_run,
		 struct audit_row *audit, struct answer *a)
{
	struct apply p = { d, uid, dry_run, audit, a, json_array(), json_array(), 0, 0, 0 };
	struct verdicts *v = d->verdicts;
	bool all = !json_array_size(ids);
	json_t *id;
	size_t i;

	json_array_foreach((json_t *)ids, i, id) {
		if (json_is_string(id) && farm_find(v, json_string_value(id)))
			continue;
		a->exit = EXIT_NO;
		reason_set(&a->error, 0, "there is no farm %.40s",
			   json_is_string(id) ? json_string_value(id) : "of that kind");
		json_decref(p.farms);
		json_decref(p.rules);
		return;
	}
	/* Allowed since the window ended, or an address of ours since then. */
	if (settle_plan(d, v)) {
		a->exit = EXIT_NO;
		reason_set(&a->error, 0, "out of memory");
	}
	for (i = 0; !a->exit && i < v->farms.n; i++) {
		enum farm_state state = v->farms.farm[i].state;

		if (all ? state == FARM_PROPOSE || state == FARM_ENFORCE
			: wanted(ids, v->farms.farm[i].id))
			apply_farm(&p, i);
	}
	a->exit = a->exit ?: apply_exit(&p);
	if (p.added && !dry_run) {
		log_note("plan: %zu rules added by uid %u", p.added, uid);
		settle_plan(d, v);
		settle_states(d, v);
		keep(d);
	}
	a->data = json_pack("{s:s, s:b, s:I, s:f, s:o, s:o}", "schema", "winnow.applied/1",
			    "dry_run", dry_run, "added", (json_int_t)p.added, "holdout",
			    d->cfg.detect.config.holdout / 10000.0, "farms", p.farms, "rules",
			    p.rules);
}
