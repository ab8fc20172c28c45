/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs that change what is dropped, and those that say why. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/call.h"
#include "daemon/capture.h"
#include "daemon/check.h"
#include "daemon/commit.h"
#include "daemon/farms.h"
#include "daemon/locks.h"
#include "model/rule_json.h"

/* ---- rules --------------------------------------------------------------------------- */

/* All of them, or as many as {"limit"} says of those behind the handle {"after"}; then
 * "next" is where to go on, null at the end. */
void verb_rule_list(struct call *c)
{
	const struct rulebook *b = &c->d->rules;
	json_t *after = json_object_get(c->args, "after"),
	       *limit = json_object_get(c->args, "limit");
	json_int_t from = json_integer_value(after), most = json_integer_value(limit);
	size_t i = 0, n = b->n;
	json_t *doc;

	if ((after && !json_is_integer(after)) || from < 0 || from >= UINT32_MAX ||
	    (limit && most < 1)) {
		fail(c, EXIT_USAGE, "after, limit: expected a handle and a number from 1");
		return;
	}
	if (from)
		i = rulebook_place(b, from + 1);
	if (limit && (size_t)most < n - i)
		n = i + most;
	doc = document_rules(c->d, (const struct rule_entry *const *)b->at + i, n - i);
	json_object_set_new(doc, "next",
			    n < b->n && n > i ? json_integer(b->at[n - 1]->handle) : json_null());
	answer(c, doc);
}

/* {"words": [...]} as typed, or {"rule": "text"}. */
static int spec_arg(struct call *c, struct rule_spec *out)
{
	const char *word[RULE_WORDS_MAX], *text = text_arg(c, "rule");
	json_t *words = json_object_get(c->args, "words"), *v;
	size_t i;

	if (text)
		return rule_parse(text, out, &c->a->error);
	if (json_array_size(words) > RULE_WORDS_MAX)
		return reason_set(&c->a->error, -EINVAL, "a rule of more than %d words",
				  RULE_WORDS_MAX);
	json_array_foreach(words, i, v) {
		word[i] = json_string_value(v);
		if (!word[i])
			return reason_set(&c->a->error, -EINVAL, "word %zu is no text", i + 1);
	}
	return rule_parse_words(word, json_array_size(words), out, &c->a->error);
}

/* How a rule that is asked for comes into force. */
struct how {
	bool dry, enforce, count;
	uint64_t within; /* ns to confirm it; 0: for good */
};

static bool how_arg(struct call *c, struct how *h)
{
	const char *within = text_arg(c, "confirm_within");

	*h = (struct how){
		.dry = json_is_true(json_object_get(c->args, "dry_run")),
		.enforce = json_is_true(json_object_get(c->args, "enforce")),
		.count = json_is_true(json_object_get(c->args, "count")),
	};
	if (h->enforce && h->count) {
		fail(c, EXIT_USAGE, "enforce and count: only one of them");
		return false;
	}
	if (within && (duration_parse(within, &h->within) || h->within < COMMIT_LEAST ||
		       h->within > COMMIT_MOST)) {
		fail(c, EXIT_USAGE,
		     "confirm_within: \"%.40s\" is no duration from 2s to 24h, like 5m", within);
		return false;
	}
	return true;
}

static bool only_counts(const struct daemon *d, const struct how *h)
{
	return h->count || (d->cfg.enforce == ENFORCE_EACH && !h->enforce);
}

/* Asks the locks; counts and answers a refusal. */
static bool is_safe(struct call *c, const struct rule_entry *e, bool acts,
		    const struct blast_view *view)
{
	struct protect guard = {};
	int err;

	protect_collect(&guard, text_arg(c, "ssh_connection"));
	err = locks_check(c->d, e, acts, &guard, view, &c->a->error);
	protect_clear(&guard);
	if (err) {
		c->a->exit = EXIT_REFUSED;
		c->d->refused++;
	}
	return !err;
}

/* "; in the last day 3 sources of a farm (40 exchanges) and 0.02 others, at most 1" */
static json_t *dry_text(const struct blast_view *v, const struct rule_entry *e)
{
	char past[256] = "";
	struct blast_past p;
	struct blast b;

	blast_of(v, e, BLAST_DAY, &b);
	if (!blast_past_of(v, e, &p) && p.days)
		snprintf(past, sizeof(past),
			 " On %u stored days: %llu sources, %llu exchanges; %.1f of a farm, %.1f "
			 "benign (at most %.0f), %.1f of them on the worst day.",
			 p.days, (unsigned long long)p.sum.sources,
			 (unsigned long long)p.sum.exchanges, p.sum.farm_sources,
			 p.sum.benign_sources, p.sum.upper95, p.worst_day);
	return json_sprintf(
		"Dry run: nothing was changed. Of %llu sources tallied in the last day, %llu match, "
		"with at most %llu connections and %llu exchanges: %.1f of a farm, %.1f benign (at "
		"most %.0f, 95%%), %llu on the allow list and so spared, %llu in protected networks.%s",
		(unsigned long long)b.all_sources, (unsigned long long)b.sources,
		(unsigned long long)b.connections, (unsigned long long)b.exchanges, b.farm_sources,
		b.benign_sources, b.upper95, (unsigned long long)b.allowed,
		(unsigned long long)b.protected, past);
}

static void dry_run(struct call *c, const struct rule_entry *e, const struct blast_view *view,
		    bool safe)
{
	const struct rule_entry *list[] = { e };
	json_t *doc = document_rules(c->d, list, 1), *rule;
	struct blast b;

	blast_of(view, e, BLAST_DAY, &b);
	rule = json_array_get(json_object_get(doc, "rules"), 0);
	json_object_set_new(rule, "collateral", blast_json(view, e));
	if (doc)
		json_object_update_new(doc,
				       json_pack("{s:o, s:o, s:{s:I, s:I, s:I}}", "text",
						 dry_text(view, e), "refused",
						 safe ? json_null() : json_string(c->a->error.text),
						 "would_match", "sources", (json_int_t)b.sources,
						 "connections", (json_int_t)b.connections,
						 "exchanges", (json_int_t)b.exchanges));
	c->audited = true; /* nothing happened */
	if (doc)
		c->a->data = doc;
	else
		fail(c, EXIT_NO, "out of memory");
}

static void add_rule(struct call *c, struct rule_entry *e, const struct how *h)
{
	struct clock now = clock_now();
	const struct rule_entry *kept;
	uint64_t deadline;
	uint32_t handle;

	e->created = now.real;
	e->expires = e->spec.lifetime ? now.real + e->spec.lifetime : 0;
	e->shadow = only_counts(c->d, h);
	if (h->within) {
		if (commit_begin(c->d, &now, h->within, c->peer->uid, &deadline, &c->a->error)) {
			c->a->exit = EXIT_NO;
			return;
		}
		e->pending = RULE_ADDED;
		e->then = e->expires;
		if (!e->expires || deadline < e->expires)
			e->expires = deadline;
	}
	if (rulebook_add(&c->d->rules, &now, e, 1, &c->audit, &c->a->error)) {
		c->a->exit = EXIT_NO;
		return;
	}
	c->audited = true;
	/* The book has the newest handle last. */
	kept = c->d->rules.at[c->d->rules.n - 1];
	handle = kept->handle;
	log_note("rule %u added by uid %u%s: %s", handle, c->peer->uid,
		 kept->shadow ? ", only counting" : "", kept->spec.reason);
	answer(c, document_rules(c->d, &kept, 1));
}

/* Keys of names that are known; a rule whose names are not waits and hits nothing. */
static void known_keys(struct daemon *d, struct rule_entry *e)
{
	const struct {
		enum name_kind kind;
		const char *word;
		uint64_t *key;
	} parts[] = {
		{ NAME_JA4, e->spec.ja4, &e->ja4_key },
		{ NAME_STACK, e->spec.stack, &e->stack_key },
		{ NAME_ORDER, e->spec.order, &e->order_key },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].word &&
		    namebook_key(&d->names, parts[i].kind, parts[i].word, parts[i].key))
			*parts[i].key = 0;
}

void verb_rule_add(struct call *c)
{
	_cleanup_(rule_entry_clear) struct rule_entry e = { .uid = c->peer->uid,
							    .canary = 10000,
							    .origin = strdup("operator") };
	struct blast_view view;
	struct how how;
	bool safe;
	int err;

	if (!how_arg(c, &how))
		return;
	err = e.origin ? spec_arg(c, &e.spec) : -ENOMEM;
	if (err) {
		c->a->exit = err == -EINVAL ? EXIT_USAGE : EXIT_NO;
		return;
	}
	if (blast_look(c->d, &view)) {
		fail(c, EXIT_NO, "out of memory");
		return;
	}
	known_keys(c->d, &e);
	safe = is_safe(c, &e, !only_counts(c->d, &how), &view);
	if (how.dry) {
		blast_look_back(&view);
		dry_run(c, &e, &view, safe);
	} else if (safe)
		add_rule(c, &e, &how);
	blast_clear(&view);
}

/* All of {"rules": ["text", ...]} or none. */
static bool import_list(struct call *c, const struct how *h, struct rule_entry *list, size_t n)
{
	json_t *texts = json_object_get(c->args, "rules"), *v;
	bool acts = !only_counts(c->d, h), safe = true;
	struct protect guard = {};
	struct blast_view view;
	char why[400];
	size_t i;

	if (blast_look(c->d, &view)) {
		fail(c, EXIT_NO, "out of memory");
		return false;
	}
	protect_collect(&guard, text_arg(c, "ssh_connection"));
	json_array_foreach(texts, i, v) {
		struct rule_entry *e = &list[i];

		*e = (struct rule_entry){ .uid = c->peer->uid,
					  .canary = 10000,
					  .origin = strdup("operator"),
					  .shadow = !acts };
		c->a->exit = EXIT_USAGE;
		safe = e->origin && json_is_string(v) &&
		       !rule_parse(json_string_value(v), &e->spec, &c->a->error);
		if (!safe)
			break;
		known_keys(c->d, e);
		c->a->exit = EXIT_REFUSED;
		safe = !locks_check(c->d, e, acts, &guard, &view, &c->a->error);
		if (!safe)
			break;
	}
	protect_clear(&guard);
	blast_clear(&view);
	if (safe) {
		c->a->exit = EXIT_DONE;
		return true;
	}
	c->d->refused += c->a->exit == EXIT_REFUSED;
	snprintf(why, sizeof(why), "%.380s", c->a->error.text[0] ? c->a->error.text : "no text");
	reason_set(&c->a->error, -EINVAL, "rule %zu of them: %s. None was added", i + 1, why);
	return false;
}

void verb_rule_import(struct call *c)
{
	size_t n = json_array_size(json_object_get(c->args, "rules"));
	struct rule_entry *list = calloc(n + 1, sizeof(*list));
	struct clock now = clock_now();
	char args[64];
	struct how how;

	snprintf(args, sizeof(args), "{\"rules\":%zu}", n);
	if (!list || !n || !how_arg(c, &how) || how.within) {
		fail(c, EXIT_USAGE, "rules: expected a list of rules, for good");
		free(list);
		return;
	}
	if (import_list(c, &how, list, n)) {
		for (size_t i = 0; i < n; i++) {
			list[i].created = now.real;
			list[i].expires =
				list[i].spec.lifetime ? now.real + list[i].spec.lifetime : 0;
		}
		c->audit.args = args; /* not a megabyte */
		if (rulebook_add(&c->d->rules, &now, list, n, &c->audit, &c->a->error)) {
			c->a->exit = EXIT_NO;
		} else {
			c->audited = true;
			answer(c, json_pack("{s:s, s:I, s:I}", "schema", "winnow.imported/1",
					    "rules", (json_int_t)n, "last",
					    (json_int_t)c->d->rules.at[c->d->rules.n - 1]->handle));
		}
	}
	for (size_t i = 0; i < n; i++)
		rule_entry_clear(&list[i]);
	free(list);
	c->audit.args = "{}";
}

static bool handle_arg(struct call *c, uint32_t *out)
{
	json_t *arg = json_object_get(c->args, "handle");
	json_int_t n = json_integer_value(arg);

	if (!json_is_integer(arg) || n < 1 || n > UINT32_MAX) {
		fail(c, EXIT_USAGE, "handle: expected a number");
		return false;
	}
	*out = n;
	if (!rulebook_find(&c->d->rules, *out)) {
		fail(c, EXIT_NO, "there is no rule %u", *out);
		return false;
	}
	return true;
}

void verb_rule_enforce(struct call *c)
{
	struct rule_change change = { .what = CHANGE_ENFORCE };
	struct clock now = clock_now();
	const struct rule_entry *e;
	struct blast_view view;
	uint32_t handle;
	struct how how;
	bool safe;

	if (!how_arg(c, &how) || !handle_arg(c, &handle))
		return;
	e = rulebook_find(&c->d->rules, handle);
	if (how.count) {
		change.what = CHANGE_COUNT;
	} else if (blast_look(c->d, &view)) {
		fail(c, EXIT_NO, "out of memory");
		return;
	} else {
		safe = is_safe(c, e, true, &view);
		if (how.dry)
			dry_run(c, e, &view, safe);
		blast_clear(&view);
		if (!safe || how.dry)
			return;
	}
	if (how.within && !how.count &&
	    commit_begin(c->d, &now, how.within, c->peer->uid, &change.deadline, &c->a->error)) {
		c->a->exit = EXIT_NO;
		return;
	}
	if (rulebook_change(&c->d->rules, &now, &handle, 1, &change, &c->audit, &c->a->error)) {
		c->a->exit = EXIT_NO;
		return;
	}
	c->audited = true;
	answer(c, document_rules(c->d, &e, 1));
}

static void remove_rules(struct call *c, const uint32_t *handle, size_t n, const char *why)
{
	struct clock now = clock_now();
	int err = rulebook_remove(&c->d->rules, &now, handle, n, why, &c->audit, &c->a->error);

	c->audited = !err;
	if (err)
		c->a->exit = err == -EREMOTEIO ? EXIT_PARTIAL : EXIT_NO;
}

void verb_rule_del(struct call *c)
{
	uint32_t handle;

	if (handle_arg(c, &handle))
		remove_rules(c, &handle, 1, "deleted");
}

void verb_rule_flush(struct call *c)
{
	struct rulebook *b = &c->d->rules;
	_cleanup_(freep) uint32_t *handle = calloc(b->n ? b->n : 1, sizeof(*handle));
	size_t n = b->n;

	if (!handle) {
		fail(c, EXIT_NO, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++)
		handle[i] = b->at[i]->handle;
	if (n)
		remove_rules(c, handle, n, "flushed");
	answer(c, json_pack("{s:s, s:I}", "schema", "winnow.flushed/1", "rules", (json_int_t)n));
}

void verb_rule_check(struct call *c)
{
	const char *name = text_arg(c, "stack");
	bool dropped = false;
	uint64_t stack = 0;
	struct addr a;

	if (!addr_arg(c, &a))
		return;
	if (name && fp_form(name) == FP_NONE) {
		fail(c, EXIT_USAGE, "stack: \"%.100s\" is no name of a stack", name);
		return;
	}
	if (name && namebook_key(&c->d->names, NAME_STACK, name, &stack)) {
		fail(c, EXIT_NO, "stack %.100s was never seen", name);
		return;
	}
	answer(c, check_source(c->d, a, stack, &dropped));
	if (c->a->data)
		c->a->exit = dropped ? EXIT_DONE : EXIT_NO;
}

/* ---- allowed networks, panic --------------------------------------------------------- */

void verb_allow_list(struct call *c)
{
	answer(c, document_allows(c->d));
}

static bool cidr_arg(struct call *c, struct cidr *out)
{
	const char *text = text_arg(c, "cidr");
	int err = text ? cidr_parse(text, out) : -EINVAL;

	if (err == -EDOM)
		fail(c, EXIT_USAGE, "cidr: %.60s has bits set behind its prefix length", text);
	else if (err)
		fail(c, EXIT_USAGE, "cidr: expected an address or network");
	return !err;
}

static int allow_exit(int err)
{
	return err == -EREMOTEIO ? EXIT_PARTIAL : err ? EXIT_NO : EXIT_DONE;
}

void verb_allow_add(struct call *c)
{
	const char *reason = text_arg(c, "reason");
	struct allow_row row = { .reason = reason,
				 .origin = "operator",
				 .uid = c->peer->uid,
				 .created = clock_now().real };
	int err;

	if (!cidr_arg(c, &row.net))
		return;
	if (!reason || !*reason) {
		fail(c, EXIT_USAGE, "reason: an allowed network needs one");
		return;
	}
	if (strlen(reason) > RULE_REASON_MAX) {
		fail(c, EXIT_USAGE, "reason: longer than %d bytes", RULE_REASON_MAX);
		return;
	}
	err = allowbook_add(&c->d->allows, &row, &c->audit, &c->a->error);
	c->audited = !err;
	c->a->exit = allow_exit(err);
}

void verb_allow_del(struct call *c)
{
	struct clock now = clock_now();
	uint64_t deadline;
	struct cidr net;
	struct how how;
	int err;

	if (!how_arg(c, &how) || !cidr_arg(c, &net))
		return;
	if (!how.within)
		err = allowbook_remove(&c->d->allows, &net, &c->audit, &c->a->error);
	else
		err = commit_begin(c->d, &now, how.within, c->peer->uid, &deadline, &c->a->error)
			      ?: allowbook_suspend(&c->d->allows, &now, &net, deadline, &c->audit,
						   &c->a->error);
	c->audited = !err;
	c->a->exit = allow_exit(err);
}

/* ---- plans, panic ----------------------------------------------------------------------- */

void verb_plan_show(struct call *c)
{
	answer(c, document_plan(c->d));
}

void verb_plan_apply(struct call *c)
{
	struct how how;
	struct apply_how as = { .uid = c->peer->uid };

	if (!how_arg(c, &how))
		return;
	as.dry_run = how.dry;
	as.count = only_counts(c->d, &how);
	as.within = how.within;
	as.canary = json_is_true(json_object_get(c->args, "canary"));
	as.follow = json_is_true(json_object_get(c->args, "follow"));
	as.ids = json_object_get(c->args, "ids");
	farms_apply(c->d, &as, &c->audit, c->a);
	c->audited = c->a->exit == EXIT_DONE; /* each farm's rules with their own row */
	if (c->a->exit == EXIT_REFUSED)
		c->d->refused++;
}

/* ---- commit, panic ------------------------------------------------------------------------ */

static void commit_answer(struct call *c, int err)
{
	c->audited = !err;
	if (!err)
		return;
	c->a->exit = err == -EACCES ? EXIT_REFUSED : err == -EREMOTEIO ? EXIT_PARTIAL : EXIT_NO;
	if (err == -EACCES)
		c->d->refused++;
}

void verb_commit_confirm(struct call *c)
{
	commit_answer(c, commit_confirm(c->d, c->peer->pid, &c->audit, &c->a->error));
}

void verb_commit_rollback(struct call *c)
{
	commit_answer(c, commit_rollback(c->d, "rolled back", &c->audit, &c->a->error));
}

void verb_panic(struct call *c)
{
	struct control *k = kern_control(c->d->kern);
	json_t *on = json_object_get(c->args, "on");

	if (!json_is_boolean(on)) {
		fail(c, EXIT_USAGE, "on: expected true or false");
		return;
	}
	__atomic_store_n(&k->panic, json_is_true(on), __ATOMIC_SEQ_CST);
	log_warn("panic %s by uid %u", json_is_true(on) ? "on: nothing is dropped" : "off",
		 c->peer->uid);
}

/* ---- audit ------------------------------------------------------------------------------- */

#define AUDIT_DEFAULT 100
#define AUDIT_MAX     50000

static bool has_database(struct call *c)
{
	if (!c->d->store)
		fail(c, EXIT_NO, "audit: there is no state database now; `winnow status` says why");
	return c->d->store;
}

void verb_audit(struct call *c)
{
	json_t *arg = json_object_get(c->args, "limit");
	json_int_t limit = json_is_integer(arg) ? json_integer_value(arg) : AUDIT_DEFAULT;

	if (limit < 1 || limit > AUDIT_MAX) {
		fail(c, EXIT_USAGE, "limit: expected a number from 1 to %d", AUDIT_MAX);
		return;
	}
	if (!has_database(c))
		return;
	c->a->data = document_audit(c->d, limit);
	if (!c->a->data)
		fail(c, EXIT_NO, "audit: %s", store_error(c->d->store));
}

void verb_audit_verify(struct call *c)
{
	struct reason r = {};
	uint64_t rows = 0;
	int err;

	if (!has_database(c))
		return;
	err = store_audit_verify(c->d->store, &rows, &r);
	if (err == -EBADMSG)
		fail(c, EXIT_NO, "%s. Try: an older copy of the state database tells since when",
		     r.text);
	else if (err)
		fail(c, EXIT_NO, "audit: %s", store_error(c->d->store));
	else
		answer(c, json_pack("{s:s, s:I}", "schema", "winnow.audit_verified/1", "rows",
				    (json_int_t)rows));
}

/* ---- capture ------------------------------------------------------------------------------- */

void verb_capture_start(struct call *c)
{
	json_int_t rule = json_integer_value(json_object_get(c->args, "rule"));
	json_int_t rate = json_integer_value(json_object_get(c->args, "rate"));
	struct capture_wish w = { .farm = text_arg(c, "farm"), .rule = rule, .rate = rate };
	uint64_t id;

	if (rate < 1 || rate > CAPTURE_RATE_MAX) {
		fail(c, EXIT_USAGE, "rate: expected a number from 1 to %d", CAPTURE_RATE_MAX);
		return;
	}
	if (rule && !rulebook_find(&c->d->rules, w.rule)) {
		fail(c, EXIT_NO, "there is no rule %lld", (long long)rule);
		return;
	}
	if (w.farm && !farm_known(c->d, w.farm)) {
		fail(c, EXIT_NO, "there is no farm %.40s", w.farm);
		return;
	}
	if (capture_start(c->d, &w, &id, &c->a->error))
		c->a->exit = EXIT_NO;
	else
		answer(c, json_pack("{s:s, s:I}", "schema", "winnow.capture_started/1", "id",
				    (json_int_t)id));
}

void verb_capture_fetch(struct call *c)
{
	c->audited = true; /* its start is in the audit */
	c->a->data = capture_fetch(c->d, json_integer_value(json_object_get(c->args, "id")));
	if (!c->a->data)
		fail(c, EXIT_NO, "the capture has ended: nobody had read it for 10 s");
}

void verb_capture_stop(struct call *c)
{
	c->audited = true;
	c->a->data = capture_fetch(c->d, json_integer_value(json_object_get(c->args, "id")));
	if (c->a->data)
		capture_stop(c->d);
}
