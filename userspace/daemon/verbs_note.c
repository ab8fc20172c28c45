/* SPDX-License-Identifier: BSD-2-Clause */
/* What operators write down, and the configuration. */
#include <errno.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/detector.h"
#include "daemon/farms.h"
#include "export/journal.h"

void verb_config_show(struct call *c)
{
	answer(c, config_json(&c->d->cfg));
}

void verb_config_reload(struct call *c)
{
	if (settings_reload(c->d, &c->a->error))
		c->a->exit = EXIT_NO;
}

/* {stack, label}; label null: taken away. */
void verb_fp_label(struct call *c)
{
	const char *name = text_arg(c, "stack"), *label = text_arg(c, "label");
	const struct name_entry *e;
	uint64_t key;

	if (!name || fp_form(name) == FP_NONE) {
		fail(c, EXIT_USAGE, "stack: \"%.100s\" is no name of a stack", name ? name : "");
		return;
	}
	if (label && (!*label || strlen(label) > LABEL_MAX)) {
		fail(c, EXIT_USAGE, "label: expected 1 to %d bytes", LABEL_MAX);
		return;
	}
	if (namebook_key(&c->d->names, NAME_STACK, name, &key) ||
	    !(e = namebook_get(&c->d->names, NAME_STACK, key))) {
		fail(c, EXIT_NO, "stack %.100s was never seen. Try: winnow fp list", name);
		return;
	}
	if (labels_note(c->d, "stack", e->name, "label", label, c->peer->uid, &c->a->error))
		c->a->exit = EXIT_NO;
}

/* {id, mark: confirmed|dismissed|null, reason} */
void verb_farm_mark(struct call *c)
{
	const char *id = text_arg(c, "id"), *mark = text_arg(c, "mark"),
		   *reason = text_arg(c, "reason");
	bool known = false;

	for (size_t i = 0; id && i < c->d->verdicts->farms.n; i++)
		known |= !strcmp(c->d->verdicts->farms.farm[i].id, id);
	if (mark && strcmp(mark, "confirmed") && strcmp(mark, "dismissed")) {
		fail(c, EXIT_USAGE, "mark: neither confirmed nor dismissed");
		return;
	}
	if (mark && (!reason || !*reason || strlen(reason) > RULE_REASON_MAX)) {
		fail(c, EXIT_USAGE, "reason: expected 1 to %d bytes", RULE_REASON_MAX);
		return;
	}
	if (!known) {
		fail(c, EXIT_NO, "there is no farm %.40s. Try: winnow farm list", id ? id : "");
		return;
	}
	if (labels_note(c->d, "farm", id, mark, mark ? reason : NULL, c->peer->uid, &c->a->error))
		c->a->exit = EXIT_NO;
}

/* {after} or {last}: what was said since. */
void verb_events(struct call *c)
{
	json_t *after = json_object_get(c->args, "after"), *last = json_object_get(c->args, "last");
	struct journal *j = c->d->journal;

	if (!j || json_integer_value(after) < 0 || json_integer_value(last) < 0) {
		fail(c, EXIT_USAGE, "events: expected after or last, a number");
		return;
	}
	answer(c,
	       journal_json(j, json_is_integer(after) ? (uint64_t)json_integer_value(after)
						      : journal_last(j, json_integer_value(last))));
}
