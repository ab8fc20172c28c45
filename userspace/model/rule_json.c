/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/rule_json.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "model/json.h"

json_t *time_json(uint64_t ns)
{
	char t[TIME_TEXT];

	return ns ? json_string(time_text(ns, 3, t)) : json_null();
}

static json_t *match_json(const struct rule_spec *s)
{
	char src[ADDR_TEXT];

	return json_pack("{s:s?, s:s?, s:s?, s:s?}", "src",
			 s->has_src ? cidr_text(&s->src, src) : NULL, "ja4", s->ja4, "stack",
			 s->stack, "order", s->order);
}

static json_t *state_json(const struct rule_spec *s)
{
	char state[RULE_STATE_TEXT];
	json_t *list = json_array();

	for (unsigned int i = 0; rule_state_text(s, i, state); i++)
		json_array_append_new(list, json_string(state));
	return list;
}

static json_t *flags_json(const struct rule_spec *s)
{
	json_t *list = json_array();

	if (s->ports_any)
		json_array_append_new(list, json_string("ports any"));
	if (s->existing_keep)
		json_array_append_new(list, json_string("existing keep"));
	if (s->limit_all)
		json_array_append_new(list, json_string("limit all"));
	return list;
}

json_t *rule_json(const struct rule_entry *e, const struct rule_hits *hits)
{
	static const struct rule_hits none;
	const struct rule_spec *s = &e->spec;
	_cleanup_(freep) char *text = rule_format(s);
	const struct rule_hits *h = hits ? hits : &none;

	if (!text) {
		json_miss();
		return NULL;
	}
	return json_pack("{s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:b,"
			 " s:{s:I, s:I, s:I}, s:{s:I}, s:I, s:o, s:f, s:f, s:s, s:b, s:s?}",
			 "handle", (json_int_t)e->handle, "match", match_json(s), "state",
			 state_json(s), "action", rule_action_text(s->action), "rate",
			 s->action == RULE_LIMIT ? json_real(s->rate / 1000.0) : json_null(),
			 "flags", flags_json(s), "expires", time_json(e->expires), "created",
			 time_json(e->created), "origin", e->origin ? e->origin : "operator",
			 "reason", s->reason, "bound", rule_bound(e), "hits", "connections",
			 (json_int_t)h->connections, "packets", (json_int_t)h->packets, "bytes",
			 (json_int_t)h->bytes, "would_hit", "connections", (json_int_t)h->would,
			 "unproved", (json_int_t)h->unproved, "last_hit", time_json(h->last),
			 "holdout", e->holdout / 10000.0, "canary", e->canary / 10000.0, "text",
			 text, "only_counts", (int)e->shadow, "pending",
			 e->pending == RULE_ADDED      ? "added"
			 : e->pending == RULE_ENFORCED ? "enforced"
						       : NULL);
}
