/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * collateral.h - how many innocents are expected among those a plan would hit.
 *
 * C = sum (1 - posterior) over the sources ruled, as if their doubts were
 * independent, plus `strangers`: how many sources of the stack that clean traffic
 * never saw would be split by the clean share of split ones; nothing but their number
 * is known about those. upper95 is the smallest count a Poisson sum of mean C keeps to in 95%
 * of cases. The sources under upper95 are taken to be as busy as the ruled ones are
 * on average. precision = 1 - upper95 / sources ruled.
 *
 * `before`: as many as stood in the ruled cells on the worst clean day, a fifth more; the
 * larger claim wins. Then there are no strangers: days know them.
 *
 * Weak: the posterior comes from the model the plan rests on. A holdout and the
 * shadow count are the check that does not.
 * Source: detection.md 6.
 */
#ifndef WINNOW_DETECT_COLLATERAL_H
#define WINNOW_DETECT_COLLATERAL_H

#include <stddef.h>

#include "model/plan.h"

/* The rules of one farm, one after the other; exchanges of everybody who is not
 * ruled, at the site and in the stack. */
struct plan_collateral collateral_of(const struct plan_rule *rules, size_t n, double strangers,
				     double before, double others, double others_in_stack);

#endif
