/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon knows, as the documents its clients print. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "base/version.h"
#include "daemon/commit.h"
#include "daemon/daemon.h"
#include "daemon/farms.h"
#include "daemon/json_read.h"
#include "model/json.h"
#include "model/rule_json.h"
#include "model/source.h"

static struct snapshot *snapshot_now(void)
{
	struct clock c = clock_now();

	return snapshot_new(c.mono, c.real - c.mono);
}

struct snapshot *daemon_newest(struct daemon *d, size_t limit, size_t *total)
{
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_now();
	const struct tally_set *sets;
	size_t n;
	int err;

	sets = kern_tallies(d->kern, &n);
	err = !s || !sets ? -ENOMEM : snapshot_add_newest(s, sets, n, limit, total);
	kern_tables_release(d->kern);
	return err ? NULL : take_ptr(s);
}

struct snapshot *daemon_snapshot(struct daemon *d)
{
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_now();

	if (!s || kern_read_tables(d->kern, s, false))
		return NULL;
	return take_ptr(s);
}

json_t *source_row(struct daemon *d, const struct snapshot *s, const struct tally *t)
{
	json_t *row = source_json(s, t, namebook_name(&d->names, NAME_STACK, t->stack),
				  namebook_name(&d->names, NAME_TCP, t->tcp_key));

	if (row)
		labels_source(d, row, t);
	return row;
}

/* ---- status --------------------------------------------------------------------- */

static json_t *devices_json(struct daemon *d)
{
	_cleanup_(freep) struct attachment *list = NULL;
	json_t *out = json_array();
	size_t n = 0;
	int err = kern_attachments(d->kern, &list, &n);

	if (err == -ENOMEM)
		json_miss();
	if (err)
		n = 0;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out,
				      json_pack("{s:s, s:i, s:s, s:b, s:b}", "device",
						list[i].device, "ifindex", (int)list[i].ifindex,
						"mode",
						list[i].mode == ATTACH_GENERIC ? "generic"
									       : "native",
						"egress", list[i].egress, "alive", list[i].alive));
	return out;
}

static json_t *ports_json(struct daemon *d)
{
	json_t *out = json_array();

	for (size_t i = 0; i < d->cfg.n_ports; i++)
		json_array_append_new(out, json_integer(d->cfg.ports[i]));
	return out;
}

static json_t *counters_json(const uint64_t *n)
{
	/* Parse and hello results share names ("short"), so those say what of. */
	static const char *const names[] = {
#define X(id, name, text) "parse_" name,
		PARSE_RESULTS(X)
#undef X
#define X(id, name, text) "hello_result_" name,
			HELLO_RESULTS(X)
#undef X
#define X(id, name, text) name,
				COUNTERS(X)
#undef X
	};
	json_t *out = json_object();

	_Static_assert(sizeof(names) / sizeof(names[0]) == COUNTER_MAX, "a name each");
	for (int i = 0; i < COUNTER_MAX; i++)
		json_object_set_new(out, names[i], json_integer(n[i]));
	return out;
}

static json_t *losses_json(struct daemon *d, const uint64_t *n)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tally_evicted",
			 (json_int_t)n[COUNTER_TALLY_EVICTED], "order_evicted",
			 (json_int_t)n[COUNTER_ORDER_EVICTED], "flow_evicted",
			 (json_int_t)n[COUNTER_FLOW_EVICTED], "handshake_evicted",
			 (json_int_t)n[COUNTER_HANDSHAKE_EVICTED], "ring_lost",
			 (json_int_t)n[COUNTER_RING_LOST], "name_budget",
			 (json_int_t)n[COUNTER_NAME_BUDGET], "hello_unproved",
			 (json_int_t)n[COUNTER_HELLO_UNPROVED], "names_dropped",
			 (json_int_t)d->names.dropped, "name_mismatches",
			 (json_int_t)d->names.mismatches);
}

size_t daemon_tables(struct daemon *d, const uint64_t *counters, struct table_fill out[TABLE_FILLS])
{
	static const struct {
		const char *name;
		enum kern_table table;
		int evicted;
	} sets[] = {
		{ "tallies", KERN_TALLIES, COUNTER_TALLY_EVICTED },
		{ "orders", KERN_ORDERS, COUNTER_ORDER_EVICTED },
		{ "flows", KERN_FLOWS, COUNTER_FLOW_EVICTED },
	};
	size_t n;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		size_t used, rows;

		kern_table_fill(d->kern, sets[i].table, &used, &rows);
		out[i] = (struct table_fill){ sets[i].name, used, rows, counters[sets[i].evicted] };
	}
	kern_rules(d->kern, &n);
	out[3] = (struct table_fill){ "rules", n - 1 - d->rules.n_free, n - 1, 0 };
	out[4] = (struct table_fill){ "names", d->names.names.n, 2 * NAMEBOOK_MAX,
				      d->names.dropped };
	return TABLE_FILLS;
}

static json_t *tables_json(struct daemon *d, const uint64_t *counters)
{
	struct table_fill fill[TABLE_FILLS];
	size_t n = daemon_tables(d, counters, fill);
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_pack("{s:s, s:I, s:I, s:I}", "name", fill[i].name,
						     "used", (json_int_t)fill[i].used, "capacity",
						     (json_int_t)fill[i].capacity, "evicted",
						     (json_int_t)fill[i].evicted));
	return out;
}

static json_t *rules_count_json(struct daemon *d)
{
	json_t *out = json_pack("{s:I, s:I, s:I}", "total", (json_int_t)d->rules.n, "unbound",
				(json_int_t)d->rules.n_unbound, "waiting",
				(json_int_t)d->rules.n_waiting);
	uint64_t by[RULE_ACTION_MAX] = {};

	for (size_t i = 0; i < d->rules.n; i++)
		by[d->rules.at[i]->spec.action]++;
	for (int a = RULE_PASS; a < RULE_ACTION_MAX; a++)
		json_object_set_new(out, rule_action_text(a), json_integer(by[a]));
	return out;
}

static json_t *troubles_json(struct daemon *d)
{
	json_t *out = json_array();

	for (size_t i = 0; i < d->n_troubles; i++)
		json_array_append_new(out, json_pack("{s:s, s:s}", "about", d->troubles[i].about,
						     "text", d->troubles[i].text));
	return out;
}

static json_t *clients_json(struct daemon *d)
{
	struct server_counts c;

	server_counts(d->server, &c);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "now", (json_int_t)c.clients,
			 "requests", (json_int_t)c.requests, "bad", (json_int_t)c.bad, "pushed_out",
			 (json_int_t)c.pushed_out, "timed_out", (json_int_t)c.timed_out, "denied",
			 (json_int_t)d->denied, "refused", (json_int_t)d->refused);
}

json_t *document_status(struct daemon *d)
{
	static const char *const mode[] = { "no", "each", "yes" };
	struct control *k = kern_control(d->kern);
	uint64_t n[COUNTER_MAX] = {};
	struct clock c = clock_now();

	kern_counters(d->kern, n);
	return json_pack(
		"{s:s, s:s, s:i, s:o, s:f, s:b, s:b, s:b, s:o, s:s?, s:o, s:o, s:o, s:o, s:o,"
		" s:f, s:o, s:s, s:o, s:o, s:o, s:o, s:s}",
		"schema", "winnow.status/1", "version", WINNOW_VERSION, "pid", (int)getpid(),
		"started", time_json(d->started.real), "uptime",
		(double)((c.boot - d->started.boot) / NSEC_PER_SEC), "adopted",
		kern_adopted(d->kern), "panic", k->panic != 0, "enforce",
		d->cfg.enforce != ENFORCE_NO, "devices", devices_json(d), "proof",
		proof_text(k->proof), "ports", ports_json(d), "counters", counters_json(n),
		"tables", tables_json(d, n), "rules", rules_count_json(d), "losses",
		losses_json(d, n), "max_unattended", (double)(k->max_unattended / NSEC_PER_SEC),
		"heartbeat", time_json(clock_real_of_boot(&c, k->heartbeat)), "database",
		d->store ? d->db_lost ? "new" : "ok" : "none", "troubles", troubles_json(d),
		"clients", clients_json(d), "detector", document_detector(d), "commit",
		commit_json(d), "enforce_mode", mode[d->cfg.enforce]);
}

/* ---- rules and allowed networks ---------------------------------------------------- */

json_t *document_rules(struct daemon *d, const struct rule_entry *const *list, size_t n)
{
	struct clock c = clock_now();
	json_t *rules = json_array();

	for (size_t i = 0; i < n; i++) {
		struct rule_entry e = *list[i]; /* borrowed, with the time of today's clock */
		struct rule_hits hits = rulebook_hits(&d->rules, &c, list[i]);
		json_t *row;

		e.expires = rulebook_expires(&d->rules, &c, list[i]);
		row = rule_json(&e, &hits);
		json_object_set_new(row, "in_force", json_boolean(e.index != 0));
		json_array_append_new(rules, row);
	}
	return json_pack("{s:s, s:o}", "schema", "winnow.rules/1", "rules", rules);
}

json_t *document_allows(struct daemon *d)
{
	json_t *rows = json_array();
	char net[ADDR_TEXT];

	for (size_t i = 0; i < d->allows.n; i++) {
		const struct allow_entry *e = &d->allows.at[i];

		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:o}", "cidr",
						      cidr_text(&e->net, net), "reason", e->reason,
						      "origin", e->origin, "created",
						      time_json(e->created)));
	}
	return json_pack("{s:s, s:o}", "schema", "winnow.allows/1", "allows", rows);
}

/* ---- audit ----------------------------------------------------------------------------- */

static void audit_row_json(void *ctx, const struct audit_row *row)
{
	json_error_t e;
	json_t *args = json_read(row->args, strlen(row->args), &e);

	if (!args && !strcmp(e.text, "out of memory"))
		json_miss();
	json_array_append_new(ctx,
			      json_pack("{s:s, s:I, s:o, s:I, s:s, s:o, s:i, s:s?}", "schema",
					"winnow.audit_row/1", "seq", (json_int_t)row->seq, "time",
					time_json(row->time), "uid", (json_int_t)row->uid, "verb",
					row->verb, "args", args ? args : json_string(row->args),
					"result", row->result, "detail", row->detail));
}

json_t *document_audit(struct daemon *d, uint64_t most)
{
	json_t *rows = json_array();

	if (d->store && !store_audit_rows(d->store, most, audit_row_json, rows))
		return json_pack("{s:s, s:o}", "schema", "winnow.audit/1", "audit", rows);
	json_decref(rows);
	return NULL;
}

/* ---- fingerprints -------------------------------------------------------------------- */

/* A stack over all its tallies. */
struct stack_sum {
	uint64_t sources, connections, exchanges;
	uint64_t first_seen, last_seen;
	json_t *ja4, *ja4_r, *ja3;
};

struct stack_source {
	uint64_t stack, src, family;
};

static int sum_tallies(struct daemon *d, struct table *sums)
{
	_cleanup_(snapshot_freep) struct snapshot *s = daemon_snapshot(d);
	_cleanup_(table_clearp) struct table sources;

	table_init(&sources, sizeof(struct stack_source), 0);
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct tally *t = &s->rows[i];
		struct stack_source id = { t->stack, t->src, t->family };
		struct stack_sum *sum;
		bool first;

		if (!t->stack)
			continue;
		sum = table_add(sums, &t->stack, NULL);
		if (!sum || !table_add(&sources, &id, &first))
			return -ENOMEM;
		sum->sources += first;
		sum->connections += t->connections;
		sum->exchanges += t->exchanges;
	}
	return 0;
}

/* The names of hellos of each stack. */
static int sum_names(struct daemon *d, struct table *sums)
{
	for (size_t i = 0; i < d->names.names.n; i++) {
		const struct name_id *id = table_key(&d->names.names, i);
		const struct name_entry *e = table_value(&d->names.names, i);
		const uint64_t *stack = id->kind == NAME_STACK ? &id->key : &e->stack;
		struct stack_sum *sum;

		if (id->kind != NAME_JA4 && id->kind != NAME_STACK)
			continue;
		sum = table_add(sums, stack, NULL);
		if (!sum)
			return -ENOMEM;
		if (!sum->first_seen || e->first_seen < sum->first_seen)
			sum->first_seen = e->first_seen;
		if (e->last_seen > sum->last_seen)
			sum->last_seen = e->last_seen;
		if (id->kind == NAME_STACK)
			continue;
		if (!sum->ja4) {
			sum->ja4 = json_array();
			sum->ja4_r = json_array();
			sum->ja3 = json_array();
		}
		json_array_append_new(sum->ja4, json_string(e->name));
		json_array_append_new(sum->ja4_r, json_string(e->raw));
		json_array_append_new(sum->ja3, e->ja3 ? json_string(e->ja3) : json_null());
	}
	return 0;
}

static bool has_text(const json_t *list, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v)
		if (json_is_string(v) && !strcmp(json_string_value(v), text))
			return true;
	return false;
}

static json_t *stack_row(struct daemon *d, uint64_t key, const struct stack_sum *sum,
			 const char *name)
{
	const struct name_entry *e = namebook_get(&d->names, NAME_STACK, key);
	char unnamed[24];

	snprintf(unnamed, sizeof(unnamed), "key:%016llx", (unsigned long long)key);
	if (name && strcmp(name, unnamed) &&
	    (!e || (strcmp(name, e->name) && strcmp(name, e->raw))) && !has_text(sum->ja4, name) &&
	    !has_text(sum->ja4_r, name) && !has_text(sum->ja3, name))
		return NULL;
	return json_pack("{s:s, s:s, s:s?, s:s?, s:O?, s:O?, s:O?, s:I, s:I, s:I, s:o, s:o}",
			 "schema", "winnow.fingerprint/1", "stack", e ? e->name : unnamed, "label",
			 labels_stack(d, e ? e->name : NULL), "stack_r", e ? e->raw : NULL, "ja4",
			 sum->ja4, "ja4_r", sum->ja4_r, "ja3", sum->ja3, "sources",
			 (json_int_t)sum->sources, "connections", (json_int_t)sum->connections,
			 "exchanges", (json_int_t)sum->exchanges, "first_seen",
			 time_json(sum->first_seen), "last_seen", time_json(sum->last_seen));
}

json_t *document_fingerprints(struct daemon *d, const char *name)
{
	_cleanup_(table_clearp) struct table sums;
	json_t *rows = json_array();
	int err;

	table_init(&sums, sizeof(uint64_t), sizeof(struct stack_sum));
	err = sum_tallies(d, &sums);
	if (!err)
		err = sum_names(d, &sums);
	for (size_t i = 0; i < sums.n; i++) {
		struct stack_sum *sum = table_value(&sums, i);
		json_t *row = err ? NULL
				  : stack_row(d, *(const uint64_t *)table_key(&sums, i), sum, name);

		if (row)
			json_array_append_new(rows, row);
		json_decref(sum->ja4);
		json_decref(sum->ja4_r);
		json_decref(sum->ja3);
	}
	if (err) {
		json_decref(rows);
		return NULL;
	}
	return json_pack("{s:s, s:o}", "schema", "winnow.fingerprints/1", "fingerprints", rows);
}
