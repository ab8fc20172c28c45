/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/farm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/time.h"
#include "model/json.h"
#include "model/plan.h"

const char *const farm_state_name[FARM_STATE_MAX] = {
#define X(id, name) [FARM_##id] = name,
	FARM_STATES(X)
#undef X
};

const char *const evidence_family_name[FAMILY_MAX] = {
#define X(id, name) [FAMILY_##id] = name,
	EVIDENCE_FAMILIES(X)
#undef X
};

const char *const farm_not_decidable[FARM_NOT_DECIDABLE] = {
	"TLS ended at the exits by a real client stack that keeps people's pace: its connections "
	"are those of people",
	"a farm inside one cloud: direct, even and in few networks, as a fleet is; its accounts "
	"tell, not its packets",
};

json_t *farm_not_decidable_json(void)
{
	json_t *list = json_array();

	for (int i = 0; i < FARM_NOT_DECIDABLE; i++)
		json_array_append_new(list, json_string(farm_not_decidable[i]));
	return list;
}

void farms_clear(struct farms *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->farm[i].members);
	free(f->farm);
	memset(f, 0, sizeof(*f));
}

static __thread bool missed;

void json_miss(void)
{
	missed = true;
}

bool json_missed(void)
{
	bool was = missed;

	missed = false;
	return was;
}

json_t *json_time(uint64_t ns)
{
	char text[TIME_TEXT];

	return ns ? json_string(time_text(ns, 3, text)) : json_null();
}

/* Three digits behind the point: more would claim to be known. Infinite: null. */
json_t *json_round(double v)
{
	return isfinite(v) ? json_real(round(v * 1000) / 1000) : json_null();
}

json_t *json_source(uint64_t src, uint8_t family)
{
	char text[ADDR_TEXT];

	return json_string(source_text(src, family, text));
}

const char *stack_text(uint64_t stack, const struct farm_names *names, char out[STACK_TEXT])
{
	const char *name = names && names->stack ? names->stack(names->ctx, stack) : NULL;

	if (name)
		return name;
	snprintf(out, STACK_TEXT, "key:%016llx", (unsigned long long)stack);
	return out;
}

json_t *json_stack(uint64_t stack, const struct farm_names *names)
{
	char text[STACK_TEXT];

	return json_string(stack_text(stack, names, text));
}

json_t *json_losses(const struct losses *l)
{
	return json_pack("{sI sI sI sI sI sI sI}", "tally_evicted", (json_int_t)l->tally_evicted,
			 "order_evicted", (json_int_t)l->order_evicted, "flow_evicted",
			 (json_int_t)l->flow_evicted, "handshake_evicted",
			 (json_int_t)l->handshake_evicted, "ring_lost", (json_int_t)l->ring_lost,
			 "hello_unproved", (json_int_t)l->hello_unproved, "rows_skipped",
			 (json_int_t)l->rows_skipped);
}

static json_t *ja4_list(uint64_t stack, const struct farm_names *names)
{
	const char *text[16];
	json_t *list = json_array();
	size_t n = 0;

	if (names && names->ja4)
		n = names->ja4(names->ctx, stack, text, 16);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(text[i]));
	return list;
}

static json_t *families(const double bits[FAMILY_MAX])
{
	json_t *o = json_object();

	for (int i = 0; i < FAMILY_MAX; i++)
		json_object_set_new(o, evidence_family_name[i], json_round(bits[i]));
	return o;
}

static json_t *explanation(const struct farm *f)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < f->n_lines; i++) {
		const struct farm_line *l = &f->line[i];

		json_array_append_new(lines,
				      json_pack("{ss ss so so so so so ss}", "family",
						evidence_family_name[l->family], "fact", l->name,
						"value", json_round(l->value), "error",
						json_round(l->error), "farm", json_round(l->farm),
						"benign", json_round(l->benign), "bits",
						json_round(l->bits), "counts", l->text));
	}
	return lines;
}

static json_t *members(const struct farm *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n_members; i++) {
		const struct farm_member *m = &f->members[i];

		json_array_append_new(list, json_pack("{so so sI sI sI sI so sb}", "src",
						      json_source(m->src, m->family), "posterior",
						      json_round(m->posterior), "connections",
						      (json_int_t)m->connections, "exchanges",
						      (json_int_t)m->exchanges, "direct",
						      (json_int_t)m->direct, "split",
						      (json_int_t)m->split, "dstar_ms",
						      json_round(m->dstar / 10.0), "replaces",
						      (int)m->replaces));
	}
	return list;
}

static json_t *farm_json(const struct farm *f, size_t index, const struct farms *all,
			 const struct plan *plan, const struct farm_names *names)
{
	static const struct plan_farm none;
	const struct plan_farm *p = plan && index < plan->n_farms ? &plan->farms[index] : &none;
	json_t *rules = json_array(), *o;
	char stack[STACK_TEXT];

	for (size_t i = 0; plan && i < plan->n_rules; i++) {
		if (plan->rules[i].farm == index)
			json_array_append_new(rules, plan_rule_json(&plan->rules[i], all, names));
	}
	o = json_pack("{ss ss so sI so so so so so sI}", "id", f->id, "state",
		      farm_state_name[f->state], "stack", json_stack(f->stack, names), "service",
		      (json_int_t)f->service, "ja4", ja4_list(f->stack, names), "onset",
		      json_time(f->onset), "watched_at", json_time(f->watched_at), "flagged_at",
		      json_time(f->flagged_at), "proposed_at", json_time(f->proposed_at),
		      "exchanges_before_flag", (json_int_t)f->exchanges_before_flag);
	json_object_set_new(o, "share", json_round(f->share));
	json_object_set_new(o, "share_ci",
			    json_pack("[oo]", json_round(f->share_lo), json_round(f->share_hi)));
	json_object_set_new(o, "evidence", families(f->evidence));
	json_object_set_new(o, "bits", json_round(f->bits));
	json_object_set_new(o, "prior", json_round(f->prior));
	json_object_set_new(o, "without", families(f->without));
	json_object_set_new(o, "gain_nats", json_round(f->gain));
	json_object_set_new(o, "nearest_benign", json_string(f->nearest_benign));
	json_object_set_new(o, "gate", json_string(f->gate));
	json_object_set_new(o, "history",
			    json_pack("{sI sI sf sf sf sf}", "days", (json_int_t)f->history.days,
				      "scored", (json_int_t)f->history.scored, "llr_nats",
				      f->history.llr, "p", f->history.p, "e", f->history.e,
				      "e_needed", f->history.e_needed));
	json_object_set_new(o, "undecided", f->undecided ? json_string(f->undecided) : json_null());
	json_object_set_new(o, "challenge",
			    challenge_json(&f->challenge, stack_text(f->stack, names, stack)));
	json_object_set_new(o, "stack_sources",
			    json_pack("{sI sI sI}", "lately", (json_int_t)f->sources, "split",
				      (json_int_t)f->split, "when_clean",
				      (json_int_t)f->clean_sources));
	json_object_set_new(o, "explanation", explanation(f));
	json_object_set_new(o, "members", members(f));
	json_object_set_new(o, "rules", rules);
	json_object_set_new(o, "collateral",
			    json_pack("{so so so}", "sources", json_round(p->collateral.sources),
				      "exchanges", json_round(p->collateral.exchanges), "upper95",
				      json_round(p->collateral.upper95)));
	return o;
}

static json_t *randomisers(const struct farms *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n_randomisers && i < RANDOMISERS_TOLD; i++) {
		const struct randomiser *r = &f->randomiser[i];

		json_array_append_new(list,
				      json_pack("{so ss sI}", "src", json_source(r->src, r->family),
						"class", "randomiser", "stacks",
						(json_int_t)r->stacks));
	}
	return json_pack("{sI so}", "total", (json_int_t)f->n_randomisers, "sources", list);
}

json_t *farms_json(const struct farms *f, const struct plan *plan, const struct farm_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(list, farm_json(&f->farm[i], i, f, plan, names));
	return json_pack("{ss so so so so so}", "schema", "winnow.farms/1", "time",
			 json_time(f->time), "farms", list, "losses", json_losses(&f->losses),
			 "randomisers", randomisers(f), "not_decidable", farm_not_decidable_json());
}
