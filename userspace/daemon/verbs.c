/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One row a verb. A verb reads its args, does one thing and fills the answer;
 * who may, and the audit, are looked after here once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/check.h"
#include "daemon/daemon.h"
#include "daemon/farms.h"
#include "daemon/protect.h"
#include "model/rule_json.h"

#define SOURCES_DEFAULT 10000
#define SOURCES_MAX     50000
#define ARGS_AUDITED    4096 /* bytes of a request that the audit keeps */

struct call {
	struct daemon *d;
	const struct peer *peer;
	json_t *args;
	struct answer *a;
	struct audit_row audit;
	bool audited; /* with the change, in one transaction */
};

static void fail(struct call *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void fail(struct call *c, int code, const char *fmt, ...)
{
	va_list ap;

	c->a->exit = code;
	va_start(ap, fmt);
	vsnprintf(c->a->error.text, sizeof(c->a->error.text), fmt, ap);
	va_end(ap);
}

static void answer(struct call *c, json_t *data)
{
	if (data)
		c->a->data = data;
	else
		fail(c, EXIT_NO, "out of memory");
}

static const char *text_arg(struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->args, name));
}

/* ---- status, devices ---------------------------------------------------------------- */

static void verb_status(struct call *c)
{
	answer(c, document_status(c->d));
}

static const char *device_arg(struct call *c)
{
	const char *device = text_arg(c, "device");

	if (device && *device && strlen(device) < 16 && !strchr(device, '/'))
		return device;
	fail(c, EXIT_USAGE, "device: expected the name of a network device");
	return NULL;
}

static void verb_attach(struct call *c)
{
	const char *device = device_arg(c), *mode = text_arg(c, "mode");
	_cleanup_(freep) struct attachment *list = NULL;
	size_t n = 0;

	if (!device)
		return;
	if (mode && strcmp(mode, "native") && strcmp(mode, "generic")) {
		fail(c, EXIT_USAGE, "mode: \"%s\" is neither native nor generic", mode);
		return;
	}
	if (!mode)
		mode = c->d->cfg.mode == ATTACH_GENERIC ? "generic" : "native";
	if (kern_attach(c->d->kern, device,
			strcmp(mode, "generic") ? ATTACH_NATIVE : ATTACH_GENERIC, &c->a->error)) {
		c->a->exit = EXIT_NO;
		return;
	}
	devices_let_go(c->d, device, false);
	devices_choose_proof(c->d);
	if (kern_attachments(c->d->kern, &list, &n))
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].device, device))
			answer(c, json_pack("{s:s, s:s, s:b}", "device", device, "mode", mode,
					    "egress", list[i].egress));
}

static void verb_detach(struct call *c)
{
	const char *device = device_arg(c);

	if (!device)
		return;
	if (kern_detach(c->d->kern, device, &c->a->error)) {
		c->a->exit = EXIT_NO;
		return;
	}
	devices_let_go(c->d, device, true);
	devices_choose_proof(c->d);
}

/* ---- sources, fingerprints ------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;
	int32_t later = (int32_t)(y->last_seen - x->last_seen); /* stamps wrap */

	return later > 0 ? 1 : later < 0 ? -1 : 0;
}

static json_t *sources(struct call *c, const struct snapshot *s, size_t limit, bool one,
		       uint64_t src, uint8_t family)
{
	json_t *rows = json_array();
	size_t total = 0;

	for (size_t i = 0; i < s->n_rows; i++) {
		const struct tally *t = &s->rows[i];

		if (one && (t->src != src || t->family != family))
			continue;
		if (total++ < limit)
			json_array_append_new(rows, source_row(c->d, s, t));
	}
	return json_pack("{s:s, s:o, s:I, s:b, s:I}", "schema", "winnow.sources/1", "sources", rows,
			 "total", (json_int_t)total, "truncated", total > limit, "torn",
			 (json_int_t)s->losses.rows_skipped);
}

static void verb_source_list(struct call *c)
{
	_cleanup_(snapshot_freep) struct snapshot *s = daemon_snapshot(c->d);
	json_t *arg = json_object_get(c->args, "limit");
	json_int_t limit = json_is_integer(arg) ? json_integer_value(arg) : SOURCES_DEFAULT;

	if (limit < 1 || limit > SOURCES_MAX) {
		fail(c, EXIT_USAGE, "limit: expected a number from 1 to %d", SOURCES_MAX);
		return;
	}
	if (s)
		qsort(s->rows, s->n_rows, sizeof(s->rows[0]), newest_first);
	answer(c, s ? sources(c, s, limit, false, 0, 0) : NULL);
}

static bool addr_arg(struct call *c, struct addr *out)
{
	const char *text = text_arg(c, "addr");

	if (text && !addr_parse(text, out))
		return true;
	fail(c, EXIT_USAGE, "addr: expected an IPv4 or IPv6 address");
	return false;
}

static void verb_source_show(struct call *c)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	char text[ADDR_TEXT];
	struct addr a;
	uint8_t family;
	uint64_t src;

	if (!addr_arg(c, &a))
		return;
	src = source_of(a, &family);
	s = daemon_snapshot(c->d);
	answer(c, s ? sources(c, s, SOURCES_MAX, true, src, family) : NULL);
	if (s && !json_array_size(json_object_get(c->a->data, "sources")))
		fail(c, EXIT_NO, "%s was never seen, or its row has been evicted",
		     addr_text(a, text));
}

static void verb_fp_list(struct call *c)
{
	answer(c, document_fingerprints(c->d, NULL));
}

static void verb_fp_show(struct call *c)
{
	const char *name = text_arg(c, "name");

	if (!name || !*name) {
		fail(c, EXIT_USAGE, "name: expected a stack, JA4, JA4_r or JA3");
		return;
	}
	answer(c, document_fingerprints(c->d, name));
	if (c->a->data && !json_array_size(json_object_get(c->a->data, "fingerprints")))
		fail(c, EXIT_NO, "%.100s was never seen", name);
}

/* ---- rules --------------------------------------------------------------------------- */

static void verb_rule_list(struct call *c)
{
	const struct rulebook *b = &c->d->rules;

	answer(c, document_rules(c->d, (const struct rule_entry *const *)b->at, b->n));
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

/* What no rule may do, whoever asks. */
static int check_safe(struct call *c, const struct rule_spec *s)
{
	const struct allow_entry *allow = NULL;
	char rule[ADDR_TEXT], net[ADDR_TEXT];
	struct protect p = {};
	int err;

	if (s->has_src && s->action != RULE_PASS)
		allow = allowbook_overlap(&c->d->allows, &s->src);
	if (allow)
		return reason_set(&c->a->error, -EACCES,
				  "src %s covers %s, which is on the allow list%s%s",
				  cidr_text(&s->src, rule), cidr_text(&allow->net, net),
				  *allow->reason ? ": " : "", allow->reason);
	protect_collect(&p, text_arg(c, "ssh_connection"));
	err = protect_check(&p, s, &c->a->error);
	protect_clear(&p);
	return err;
}

static void dry_run(struct call *c, const struct rule_entry *e)
{
	const struct rule_entry *list[] = { e };
	struct check_reach reach;
	json_t *doc;

	if (check_reach(c->d, e, &reach)) {
		fail(c, EXIT_NO, "out of memory");
		return;
	}
	doc = document_rules(c->d, list, 1);
	if (doc)
		json_object_update_new(
			doc,
			json_pack("{s:o, s:{s:I, s:I, s:I}}", "text",
				  json_sprintf("Dry run: nothing was changed. Of %llu sources "
					       "tallied now, %llu match, with %llu connections "
					       "and %llu exchanges.",
					       (unsigned long long)reach.all_sources,
					       (unsigned long long)reach.sources,
					       (unsigned long long)reach.connections,
					       (unsigned long long)reach.exchanges),
				  "would_match", "sources", (json_int_t)reach.sources,
				  "connections", (json_int_t)reach.connections, "exchanges",
				  (json_int_t)reach.exchanges));
	answer(c, doc);
}

static void add_rule(struct call *c, struct rule_entry *e)
{
	struct clock now = clock_now();
	const struct rule_entry *kept;
	uint32_t handle;
	int err;

	e->created = now.real;
	e->expires = e->spec.lifetime ? now.real + e->spec.lifetime : 0;
	err = rulebook_add(&c->d->rules, &now, e, 1, &c->audit, &c->a->error);
	if (err) {
		c->a->exit = EXIT_NO;
		return;
	}
	c->audited = true;
	/* The book has the newest handle last. */
	kept = c->d->rules.at[c->d->rules.n - 1];
	handle = kept->handle;
	log_note("rule %u added by uid %u: %s", handle, c->peer->uid, kept->spec.reason);
	answer(c, document_rules(c->d, &kept, 1));
}

static void verb_rule_add(struct call *c)
{
	_cleanup_(rule_entry_clear) struct rule_entry e = { .uid = c->peer->uid,
							    .canary = 10000,
							    .origin = strdup("operator") };
	struct reason ignored;
	int err = e.origin ? spec_arg(c, &e.spec) : -ENOMEM;

	if (err) {
		c->a->exit = err == -EINVAL ? EXIT_USAGE : EXIT_NO;
		return;
	}
	if (check_safe(c, &e.spec)) {
		c->a->exit = EXIT_REFUSED;
		return;
	}
	if (!json_is_true(json_object_get(c->args, "dry_run"))) {
		add_rule(c, &e);
		return;
	}
	if (e.spec.ja4)
		namebook_key(&c->d->names, NAME_JA4, e.spec.ja4, &e.ja4_key);
	if (e.spec.stack)
		namebook_key(&c->d->names, NAME_STACK, e.spec.stack, &e.stack_key);
	if (e.spec.order)
		namebook_key(&c->d->names, NAME_ORDER, e.spec.order, &e.order_key);
	(void)ignored;
	c->audited = true; /* nothing happened */
	dry_run(c, &e);
}

static void remove_rules(struct call *c, const uint32_t *handle, size_t n, const char *why)
{
	struct clock now = clock_now();
	int err = rulebook_remove(&c->d->rules, &now, handle, n, why, &c->audit, &c->a->error);

	c->audited = !err;
	if (err)
		c->a->exit = err == -EREMOTEIO ? EXIT_PARTIAL : EXIT_NO;
}

static void verb_rule_del(struct call *c)
{
	json_t *arg = json_object_get(c->args, "handle");
	json_int_t n = json_integer_value(arg);
	uint32_t handle = n;

	if (!json_is_integer(arg) || n < 1 || n > UINT32_MAX) {
		fail(c, EXIT_USAGE, "handle: expected a number");
		return;
	}
	if (!rulebook_find(&c->d->rules, handle)) {
		fail(c, EXIT_NO, "there is no rule %u", handle);
		return;
	}
	remove_rules(c, &handle, 1, "deleted");
}

static void verb_rule_flush(struct call *c)
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
	verb_rule_list(c);
	if (json_is_true(json_object_get(c->args, "dry_run")))
		c->audited = true;
	else if (n)
		remove_rules(c, handle, n, "flushed");
}

static void verb_rule_check(struct call *c)
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

static void verb_allow_list(struct call *c)
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

static void verb_allow_add(struct call *c)
{
	const char *reason = text_arg(c, "reason");
	struct allow_row row = { .reason = reason,
				 .origin = "operator",
				 .uid = c->peer->uid,
				 .created = clock_now().real };
	int err;

	if (!cidr_arg(c, &row.net))
		return;
	if (reason && strlen(reason) > RULE_REASON_MAX) {
		fail(c, EXIT_USAGE, "reason: longer than %d bytes", RULE_REASON_MAX);
		return;
	}
	err = allowbook_add(&c->d->allows, &row, &c->audit, &c->a->error);
	c->audited = !err;
	c->a->exit = allow_exit(err);
}

static void verb_allow_del(struct call *c)
{
	struct cidr net;
	int err;

	if (!cidr_arg(c, &net))
		return;
	err = allowbook_remove(&c->d->allows, &net, &c->audit, &c->a->error);
	c->audited = !err;
	c->a->exit = allow_exit(err);
}

/* ---- farms ------------------------------------------------------------------------------ */

static void verb_farm_list(struct call *c)
{
	answer(c, document_farms(c->d, NULL));
}

static void verb_farm_show(struct call *c)
{
	const char *id = text_arg(c, "id");

	if (!id || !*id) {
		fail(c, EXIT_USAGE, "id: expected a farm, like f1");
		return;
	}
	answer(c, document_farms(c->d, id));
	if (c->a->data && !json_array_size(json_object_get(c->a->data, "farms")))
		fail(c, EXIT_NO, "there is no farm %.40s", id);
}

static void verb_plan_show(struct call *c)
{
	answer(c, document_plan(c->d));
}

static void verb_plan_apply(struct call *c)
{
	farms_apply(c->d, c->peer->uid, json_object_get(c->args, "ids"),
		    json_is_true(json_object_get(c->args, "dry_run")), &c->audit, c->a);
	c->audited = c->a->exit == EXIT_DONE; /* each farm's rules with their own row */
}

static void verb_panic(struct call *c)
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

/* ---- the table ------------------------------------------------------------------------- */

static const struct verb {
	const char *name;
	bool writes;
	void (*run)(struct call *c);
} verbs[] = {
	{ "status", false, verb_status },
	{ "attach", true, verb_attach },
	{ "detach", true, verb_detach },
	{ "source.list", false, verb_source_list },
	{ "source.show", false, verb_source_show },
	{ "fp.list", false, verb_fp_list },
	{ "fp.show", false, verb_fp_show },
	{ "rule.list", false, verb_rule_list },
	{ "rule.add", true, verb_rule_add },
	{ "rule.del", true, verb_rule_del },
	{ "rule.check", false, verb_rule_check },
	{ "rule.flush", true, verb_rule_flush },
	{ "allow.list", false, verb_allow_list },
	{ "allow.add", true, verb_allow_add },
	{ "allow.del", true, verb_allow_del },
	{ "farm.list", false, verb_farm_list },
	{ "farm.show", false, verb_farm_show },
	{ "plan.show", false, verb_plan_show },
	{ "plan.apply", true, verb_plan_apply },
	{ "panic", true, verb_panic },
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void audit(struct call *c)
{
	struct daemon *d = c->d;

	c->audit.result = c->a->exit;
	c->audit.detail = c->a->error.text[0] ? c->a->error.text : NULL;
	if (d->store && store_audit(d->store, &c->audit))
		trouble_set(d, "state database", "%s", store_error(d->store));
}

/* A denied peer can ask as often as it likes; the audit takes 10 a second. */
static bool audit_denial(struct daemon *d, uint64_t now)
{
	d->denied++;
	if (now / NSEC_PER_SEC != d->denials_at) {
		d->denials_at = now / NSEC_PER_SEC;
		d->denials = 0;
	}
	return d->denials++ < 10;
}

void verbs_answer(void *ctx, const struct peer *p, const struct request *q, struct answer *a)
{
	struct daemon *d = ctx;
	const struct verb *v = verb_find(q->verb);
	_cleanup_(freep) char *args = json_dumps(q->args, JSON_COMPACT | JSON_SORT_KEYS);
	struct call c = { .d = d, .peer = p, .args = q->args, .a = a };

	if (args && strlen(args) > ARGS_AUDITED)
		args[ARGS_AUDITED] = '\0';
	c.audit = (struct audit_row){ .time = clock_now().real,
				      .uid = p->uid,
				      .verb = v ? v->name : "?",
				      .args = args ? args : "{}" };
	if (!p->reads || (v && v->writes && !p->writes)) {
		fail(&c, EXIT_DENIED, "%.40s: not permitted for uid %u. Try: as root", q->verb,
		     p->uid);
		if (audit_denial(d, c.audit.time))
			audit(&c);
		return;
	}
	if (!v) {
		fail(&c, EXIT_USAGE, "this winnowd knows no \"%.40s\"", q->verb);
		return;
	}
	v->run(&c);
	if (v->writes && !c.audited)
		audit(&c);
}
