/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * farms_internal.h - what farms.c, apply.c and canary.c share.
 */
#ifndef WINNOW_DAEMON_FARMS_INTERNAL_H
#define WINNOW_DAEMON_FARMS_INTERNAL_H

#include "daemon/detector.h"
#include "daemon/farms.h"

struct farm_names farm_names_of(struct daemon *d);
const struct farm *farm_find(const struct verdicts *v, const char *id);
const char *rule_farm(const struct rule_entry *e); /* NULL: an operator's */

/* Which of the plan's rules are in force, and which may not be. */
int farms_settle_plan(struct daemon *d, struct verdicts *v);

/* A gate of the plan of farm number `farm`, NULL: it has none of that name. */
#define GATE_PROTECTED "protected"
struct plan_gate *farms_gate(struct plan *p, size_t farm, const char *name);
void farms_settle_states(struct daemon *d, struct verdicts *v);
void farms_keep(struct daemon *d);
/* The rule is taken out of the plan; the caller compacts plan.rules. */
int farms_spare(struct plan *p, const struct plan_rule *r, const char *why);

/* ---- apply.c: after each window: new members of followed farms, renewals, and what is
 * applied by itself ---- */
void farms_follow(struct daemon *d);
bool farm_followed(struct daemon *d, const char *farm);
void farm_unfollow(struct daemon *d, const char *farm);

/* ---- canary.c ---- */
#define CANARY_FIRST   100 /* per 10,000: 1% */
#define CANARY_HOLDOUT 200

/* A farm's rules begin with 1% of the sources. */
void canary_begin(struct daemon *d, const char *farm, double bound, const struct clock *c);
/* What new rules of a farm get: 10,000 when it has no canary. */
uint16_t canary_stage(struct daemon *d, const char *farm);

#endif
