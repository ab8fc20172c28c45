/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h - the rules a farm would get, what they would cost, and what was left
 * out and why; winnow.plan/1. Applying a plan is somebody else's act.
 */
#ifndef WINNOW_MODEL_PLAN_H
#define WINNOW_MODEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "abi.h"
#include "model/farm.h"

#define PLAN_REASON 160

/* One wanted rule: always a source, or a network of them, and a stack. Zero: no such
 * predicate. */
struct plan_rule {
	uint64_t src;
	uint64_t stack;
	uint8_t family;
	uint8_t plen;         /* 48 or 56: all of that IPv6 network; 0: the source */
	uint8_t split_min;    /* state split>=N */
	uint16_t d1_min;      /* state d1>=T, 0.1 ms */
	uint16_t dstar_min;   /* state dstar>=T, 0.1 ms */
	uint16_t split_dstar; /* what counts as split, 0.1 ms */
	bool not_resumed;     /* state resumed=0 */
	uint8_t action;       /* enum rule_action */
	uint16_t holdout;     /* per 10,000 */
	uint64_t expires;     /* ns since 1970 */
	uint64_t seen;        /* the newest evidence is no older, ns since 1970; 0: none lately */
	size_t farm;          /* index into farms.farm */
	uint32_t handle;      /* 0: not installed */
	double posterior;
	double doubt;       /* that it is innocent, as the model has it; the posterior is held */
	uint32_t exchanges; /* of that source and stack, so far */
	char reason[PLAN_REASON];
};

/* A member that gets none. */
struct plan_spared {
	uint64_t src;
	uint64_t stack;
	uint8_t family;
	size_t farm;
	char why[PLAN_REASON];
};

/* What a farm must meet before its rules may be applied without a person. */
struct plan_gate {
	size_t farm;
	const char *name;
	bool met;
	char text[PLAN_REASON];
};

struct plan_collateral {
	double sources, exchanges; /* expected innocent among those ruled */
	double upper95;            /* of sources */
	double precision;          /* lower 95% bound over the ruled sources */
	double share_all;          /* upper95 of innocent exchanges over all benign ones */
	double share_stack;
};

struct plan_farm {
	struct plan_collateral collateral;
	size_t rules, spared;
	double stops; /* exchanges of the members ruled */
	double life;  /* median of its sources, seconds, rules live twice that; 0 or less: not known
		       */
};

struct plan {
	uint64_t time;
	struct plan_rule *rules;
	size_t n_rules;
	struct plan_spared *spared;
	size_t n_spared;
	struct plan_gate *gates;
	size_t n_gates;
	struct plan_farm *farms; /* as many as farms.n */
	size_t n_farms;
};

void plan_clear(struct plan *p);
static inline void plan_clearp(struct plan *p)
{
	plan_clear(p);
}

struct rule_entry;

/* What it names. */
struct cidr plan_rule_net(const struct plan_rule *r);
/* The rule as the rule book takes it: for a farm of that number, on a stack of that
 * name. -ENOMEM, else `out` is the caller's to clear. */
int plan_rule_entry(const struct plan_rule *r, const char *farm, const char *stack,
		    struct rule_entry *out);

/* Whether the rule that is in force, `e`, lives on as long as this one: the source
 * itself has shown evidence since it was made or renewed. */
bool plan_renews(const struct plan_rule *r, const struct rule_entry *e);

/* The rule object of winnow.rules/1, and what the rule would cost: `collateral`. */
json_t *plan_rule_json(const struct plan_rule *r, const struct farms *f,
		       const struct farm_names *names);
/* winnow.plan/1 */
json_t *plan_json(const struct plan *p, const struct farms *f, const struct farm_names *names);

#endif
