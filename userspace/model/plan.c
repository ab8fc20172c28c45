/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/json.h"

void plan_clear(struct plan *p)
{
	free(p->rules);
	free(p->spared);
	free(p->gates);
	free(p->farms);
	memset(p, 0, sizeof(*p));
}

static json_t *match_json(const struct plan_rule *r, const struct farm_names *names)
{
	json_t *match = json_object(), *state = json_array();
	char text[32];

	json_object_set_new(match, "src", json_source(r->src, r->family));
	json_object_set_new(match, "stack", json_stack(r->stack, names));
	if (r->split_min) {
		snprintf(text, sizeof(text), "split>=%u", r->split_min);
		json_array_append_new(state, json_string(text));
	}
	if (r->d1_min) {
		snprintf(text, sizeof(text), "d1>=%gms", r->d1_min / 10.0);
		json_array_append_new(state, json_string(text));
	}
	if (r->not_resumed)
		json_array_append_new(state, json_string("resumed=0"));
	json_object_set_new(match, "state", state);
	return match;
}

json_t *plan_rule_json(const struct plan_rule *r, const struct farms *f,
		       const struct farm_names *names)
{
	static const char *const action[] = {
#define X(id, name) [RULE_##id] = name,
		RULE_ACTIONS(X)
#undef X
	};
	char origin[32];

	snprintf(origin, sizeof(origin), "farm:%s", f->farm[r->farm].id);
	return json_pack("{so so ss so ss ss s{} s{} sI}", "handle",
			 r->handle ? json_integer(r->handle) : json_null(), "match",
			 match_json(r, names), "action", action[r->action], "expires",
			 json_time(r->expires), "origin", origin, "reason", r->reason, "hits",
			 "would_hit", "holdout", (json_int_t)r->holdout);
}

static json_t *collateral_json(const struct plan_farm *p)
{
	return json_pack("{so so so so so so}", "sources", json_round(p->collateral.sources),
			 "exchanges", json_round(p->collateral.exchanges), "upper95",
			 json_round(p->collateral.upper95), "precision",
			 json_round(p->collateral.precision), "share_all",
			 json_real(p->collateral.share_all), "share_stack",
			 json_real(p->collateral.share_stack));
}

static json_t *farm_json(const struct plan *p, const struct farms *f, size_t i,
			 const struct farm_names *names)
{
	json_t *rules = json_array(), *spared = json_array(), *gates = json_array();
	bool by_itself = true;

	for (size_t k = 0; k < p->n_rules; k++) {
		if (p->rules[k].farm == i)
			json_array_append_new(rules, plan_rule_json(&p->rules[k], f, names));
	}
	for (size_t k = 0; k < p->n_spared; k++) {
		const struct plan_spared *s = &p->spared[k];

		if (s->farm == i)
			json_array_append_new(spared, json_pack("{so ss}", "src",
								json_source(s->src, s->family),
								"why", s->why));
	}
	for (size_t k = 0; k < p->n_gates; k++) {
		const struct plan_gate *g = &p->gates[k];

		if (g->farm != i)
			continue;
		by_itself &= g->met;
		json_array_append_new(gates, json_pack("{ss sb ss}", "gate", g->name, "met",
						       (int)g->met, "text", g->text));
	}
	return json_pack("{ss ss so sb so so so so so}", "farm", f->farm[i].id, "state",
			 farm_state_name[f->farm[i].state], "stack",
			 json_stack(f->farm[i].stack, names), "by_itself", (int)by_itself, "gates",
			 gates, "rules", rules, "spared", spared, "collateral",
			 collateral_json(&p->farms[i]), "stops_exchanges",
			 json_round(p->farms[i].stops));
}

json_t *plan_json(const struct plan *p, const struct farms *f, const struct farm_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n_farms && i < f->n; i++)
		json_array_append_new(list, farm_json(p, f, i, names));
	return json_pack("{ss so so}", "schema", "winnow.plan/1", "time", json_time(p->time),
			 "farms", list);
}
