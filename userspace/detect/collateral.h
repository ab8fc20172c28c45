/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * collateral.h - how many innocents are expected among those a plan would hit.
 *
 * C = sum of the doubts in the sources ruled, each DOUBT_LEAST at least, plus
 * `strangers`: how many sources of the stack that clean traffic never saw would be split
 * by the clean share of split ones; nothing but their number is known about those.
 *
 * A posterior says how sure the model is, not how good the model is: those of a hundred
 * members that lie side by side in the farm's networks promised .015 innocent ones
 * between them. So no doubt counts less than what the posterior is held at (members.h).
 *
 * Doubts share a model, so they are wrong together: all are times one factor, a Gamma of
 * mean 1 and shape DOUBT_SHAPE. The innocent among the ruled are then a negative
 * binomial. upper95 is the smallest count it keeps to in 95% of cases, and UPPER_LEAST at
 * least: no model can promise that nobody innocent is among its members. (Of 27 plans on
 * made sites that broke their bound, 24 had 9 to 59 rules, a bound of 0 and one innocent:
 * few members describe their farm poorly, which is a doubt they share and none of them
 * has.) Neither precision nor the exchanges rest on this least count. precision is
 * 1 - U / rules, U its 95% quantile between whole counts: with whole ones a plan of fewer
 * than 100 rules held a bound of .99 only if none was innocent, one of 100 if one was, and
 * 99 good members were a worse plan than 100. At a bound of .99 the expected share of
 * innocent rules is below .004 whatever the size (30 rules: .0024, 60: .0020, 100: .0033,
 * 300: .0039).
 *
 * Exchanges: the farm's rate says nothing of an innocent's, so he is taken for one of the
 * stack's other sources, which differ in that by orders of magnitude. One is hit at all with
 * probability p = 1 - P(0), and more than the bound in 5% of cases, so each of those under
 * that count is taken to be as busy as the quantile 1 - .05 / p of the others.
 *
 * collateral_keep(): as many of the surest rules as still hold the bound. A farm of 60
 * whose last three members are in doubt is proposed without these three.
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

#include "detect/members.h"
#include "model/plan.h"

#define DOUBT_LEAST (1 - POSTERIOR_MAX)
#define DOUBT_SHAPE 4.0
#define UPPER_LEAST 1.0

struct collateral_traffic {
	double others, others_in_stack; /* exchanges lately of everybody who is not ruled */
	const struct cohort *all;       /* of the stack; NULL: nothing is asked of exchanges */
};

/* Exchanges of one source: a quantile of those that are no members and of which delays
 * are known; without memory the greatest of them. */
double collateral_busy(const struct cohort *all, double quantile);

/* The rules of one farm, one after the other. */
struct plan_collateral collateral_of(const struct plan_rule *rules, size_t n, double strangers,
				     double before, const struct collateral_traffic *t);

/* Sorts the rules, the surest first. How many of them hold `precision`; all of them where
 * no number does. */
size_t collateral_keep(struct plan_rule *rules, size_t n, double strangers, double before,
		       double precision);

#endif
