/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/json.h"
#include "model/rule_json.h"

void plan_clear(struct plan *p)
{
	free(p->rules);
	free(p->spared);
	free(p->gates);
	free(p->farms);
	memset(p, 0, sizeof(*p));
}

struct cidr plan_rule_net(const struct plan_rule *r)
{
	return (struct cidr){ source_addr(r->src, r->family), r->plen          ? r->plen
							      : r->family == 4 ? 128
									       : 64 };
}

int plan_rule_entry(const struct plan_rule *r, const char *farm, const char *stack,
		    struct rule_entry *out)
{
	*out = (struct rule_entry){
		.handle = r->handle,
		.expires = r->expires,
		.stack_key = r->stack,
		.holdout = r->holdout,
		.canary = 10000,
		.spec = {
			.has_src = true,
			.src = plan_rule_net(r),
			.stack = strdup(stack),
			.split_min = r->split_min,
			.split_dstar = r->split_min ? r->split_dstar : 0,
			.not_resumed = r->not_resumed,
			.d1_min = r->d1_min,
			.dstar_min = r->dstar_min,
			.action = r->action,
			.reason = strdup(r->reason),
		},
	};
	out->spec.existing_keep = !rule_can_sweep(&out->spec);
	if (asprintf(&out->origin, "farm:%s", farm) < 0)
		out->origin = NULL;
	if (out->spec.stack && out->spec.reason && out->origin)
		return 0;
	rule_entry_clear(out);
	return -ENOMEM;
}

bool plan_renews(const struct plan_rule *r, const struct rule_entry *e)
{
	return r->seen && r->seen > e->created && r->seen > e->renewed && r->expires > e->expires;
}

json_t *plan_rule_json(const struct plan_rule *r, const struct farms *f,
		       const struct farm_names *names)
{
	char stack[STACK_TEXT];
	struct rule_entry e;
	json_t *rule;

	if (plan_rule_entry(r, f->farm[r->farm].id, stack_text(r->stack, names, stack), &e)) {
		json_miss();
		return NULL;
	}
	rule = rule_json(&e, NULL);
	rule_entry_clear(&e);
	if (!r->handle)
		json_object_set_new(rule, "handle", json_null());
	json_object_set_new(rule, "created", json_null());
	json_object_set_new(rule, "collateral",
			    json_pack("{so sI}", "sources", json_round(1 - r->posterior),
				      "stops_exchanges", (json_int_t)r->exchanges));
	return rule;
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
	char stack[STACK_TEXT];
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
	return json_pack("{ss ss so sb so so so so so so so}", "farm", f->farm[i].id, "state",
			 farm_state_name[f->farm[i].state], "stack",
			 json_stack(f->farm[i].stack, names), "by_itself", (int)by_itself, "gates",
			 gates, "rules", rules, "spared", spared, "collateral",
			 collateral_json(&p->farms[i]), "stops_exchanges",
			 json_round(p->farms[i].stops), "source_life_seconds",
			 p->farms[i].life > 0 ? json_round(p->farms[i].life) : json_null(),
			 "challenge",
			 challenge_json(&f->farm[i].challenge,
					stack_text(f->farm[i].stack, names, stack)));
}

json_t *plan_json(const struct plan *p, const struct farms *f, const struct farm_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n_farms && i < f->n; i++)
		json_array_append_new(list, farm_json(p, f, i, names));
	return json_pack("{ss so so so}", "schema", "winnow.plan/1", "time", json_time(p->time),
			 "farms", list, "not_decidable", farm_not_decidable_json());
}
