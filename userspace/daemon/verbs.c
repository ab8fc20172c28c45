/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One row a verb. A verb reads its args, does one thing and fills the answer;
 * who may, and the audit, are looked after here once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/call.h"
#include "daemon/farms.h"
#include "daemon/timeline.h"

#define SOURCES_DEFAULT 10000
#define SOURCES_MAX     50000
#define ARGS_AUDITED    4096 /* bytes of a request that the audit keeps */

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

/* `total`: of how many these rows are. */
static json_t *sources(const struct snapshot *s, json_t *rows, size_t total)
{
	return json_pack("{s:s, s:o, s:I, s:b, s:I}", "schema", "winnow.sources/1", "sources", rows,
			 "total", (json_int_t)total, "truncated", total > json_array_size(rows),
			 "torn", (json_int_t)s->losses.rows_skipped);
}

static void verb_source_list(struct call *c)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	json_t *arg = json_object_get(c->args, "limit"), *rows;
	json_int_t limit = json_is_integer(arg) ? json_integer_value(arg) : SOURCES_DEFAULT;
	size_t total;

	if (limit < 1 || limit > SOURCES_MAX) {
		fail(c, EXIT_USAGE, "limit: expected a number from 1 to %d", SOURCES_MAX);
		return;
	}
	s = daemon_newest(c->d, limit, &total);
	rows = s ? json_array() : NULL;
	for (size_t i = 0; rows && i < s->n_rows; i++)
		json_array_append_new(rows, source_row(c->d, s, &s->rows[i]));
	answer(c, rows ? sources(s, rows, total - s->losses.rows_skipped) : NULL);
}

static void verb_source_show(struct call *c)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	char text[ADDR_TEXT];
	size_t total = 0;
	uint8_t family;
	json_t *rows;
	struct addr a;
	uint64_t src;

	if (!addr_arg(c, &a))
		return;
	src = source_of(a, &family);
	s = daemon_snapshot(c->d);
	rows = s ? json_array() : NULL;
	for (size_t i = 0; rows && i < s->n_rows; i++)
		if (s->rows[i].src == src && s->rows[i].family == family && total++ < SOURCES_MAX)
			json_array_append_new(rows, source_row(c->d, s, &s->rows[i]));
	answer(c, rows ? sources(s, rows, total) : NULL);
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

static void verb_farm_history(struct call *c)
{
	const char *id = text_arg(c, "id");

	if (!id)
		fail(c, EXIT_USAGE, "id: expected a farm, like f1");
	else
		answer(c, document_history(c->d, id));
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
	{ "rule.import", true, verb_rule_import },
	{ "rule.enforce", true, verb_rule_enforce },
	{ "rule.del", true, verb_rule_del },
	{ "rule.check", false, verb_rule_check },
	{ "rule.flush", true, verb_rule_flush },
	{ "allow.list", false, verb_allow_list },
	{ "allow.add", true, verb_allow_add },
	{ "allow.del", true, verb_allow_del },
	{ "farm.list", false, verb_farm_list },
	{ "farm.show", false, verb_farm_show },
	{ "farm.history", false, verb_farm_history },
	{ "plan.show", false, verb_plan_show },
	{ "plan.apply", true, verb_plan_apply },
	{ "fp.label", true, verb_fp_label },
	{ "farm.mark", true, verb_farm_mark },
	{ "events", false, verb_events },
	{ "config.show", false, verb_config_show },
	{ "config.reload", true, verb_config_reload },
	{ "commit.confirm", true, verb_commit_confirm },
	{ "commit.rollback", true, verb_commit_rollback },
	{ "panic", true, verb_panic },
	{ "capture.start", true, verb_capture_start },
	{ "capture.fetch", true, verb_capture_fetch },
	{ "capture.stop", true, verb_capture_stop },
	{ "audit.list", false, verb_audit },
	{ "audit.verify", false, verb_audit_verify },
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
	if (a->exit != EXIT_DONE && !a->data && !a->error.text[0])
		reason_set(
			&a->error, -ENOMEM,
			"not done: out of memory, or the state database failed. Try: winnow status");
	if (v->writes && !c.audited)
		audit(&c);
}
