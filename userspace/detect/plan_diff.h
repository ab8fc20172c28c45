/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_diff.h - what to add and what to take away, so that a plan is in force.
 *
 * Two rules are the same when source, stack, predicates and action are; a later
 * expiry alone is a renewal.
 *
 * In:     want: rules of the plan; have: rules in force that came from farms.
 * Out:    one entry for each rule of either side, in order of (stack, source).
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_DETECT_PLAN_DIFF_H
#define WINNOW_DETECT_PLAN_DIFF_H

#include <stddef.h>

#include "model/plan.h"

enum plan_change { PLAN_KEEP, PLAN_ADD, PLAN_REMOVE, PLAN_RENEW };

struct plan_step {
	enum plan_change change;
	const struct plan_rule *want; /* NULL for PLAN_REMOVE */
	const struct plan_rule *have; /* NULL for PLAN_ADD */
};

int plan_diff(const struct plan_rule *want, size_t n_want, const struct plan_rule *have,
	      size_t n_have, struct plan_step **out, size_t *n);

#endif
