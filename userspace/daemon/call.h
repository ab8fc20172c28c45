/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - one request while it is answered; what the files of verbs share.
 */
#ifndef WINNOW_DAEMON_CALL_H
#define WINNOW_DAEMON_CALL_H

#include <stdarg.h>
#include <stdio.h>

#include "daemon/daemon.h"

struct call {
	struct daemon *d;
	const struct peer *peer;
	json_t *args;
	struct answer *a;
	struct audit_row audit;
	bool audited; /* with the change, in one transaction */
};

static inline void fail(struct call *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline void fail(struct call *c, int code, const char *fmt, ...)
{
	va_list ap;

	c->a->exit = code;
	va_start(ap, fmt);
	vsnprintf(c->a->error.text, sizeof(c->a->error.text), fmt, ap);
	va_end(ap);
}

static inline void answer(struct call *c, json_t *data)
{
	if (data)
		c->a->data = data;
	else
		fail(c, EXIT_NO, "out of memory");
}

static inline const char *text_arg(struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->args, name));
}

static inline bool addr_arg(struct call *c, struct addr *out)
{
	const char *text = text_arg(c, "addr");

	if (text && !addr_parse(text, out))
		return true;
	fail(c, EXIT_USAGE, "addr: expected an IPv4 or IPv6 address");
	return false;
}

/* ---- verbs_rule.c ---- */
void verb_rule_list(struct call *c);
void verb_rule_add(struct call *c);
void verb_rule_import(struct call *c);
void verb_rule_enforce(struct call *c);
void verb_rule_del(struct call *c);
void verb_rule_flush(struct call *c);
void verb_rule_check(struct call *c);
void verb_allow_list(struct call *c);
void verb_allow_add(struct call *c);
void verb_allow_del(struct call *c);
void verb_plan_show(struct call *c);
void verb_plan_apply(struct call *c);
void verb_commit_confirm(struct call *c);
void verb_commit_rollback(struct call *c);
void verb_panic(struct call *c);
void verb_capture_start(struct call *c);
void verb_capture_fetch(struct call *c);
void verb_capture_stop(struct call *c);
void verb_audit(struct call *c);
void verb_audit_verify(struct call *c);

/* ---- verbs_note.c ---- */
void verb_fp_label(struct call *c);
void verb_farm_mark(struct call *c);
void verb_events(struct call *c);
void verb_config_show(struct call *c);
void verb_config_reload(struct call *c);

#endif
