/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * class.h - what else could it be? Evidence against the best benign explanation.
 *
 * Every kind of cohort, the farm and the benign ones, says what it expects of each
 * fact: a middle and a scatter between cohorts of that kind. A fact with standard
 * error se speaks for the farm against kind j with
 *
 *   log2 t5((x - m_farm) / s_farm) / s_farm - the same for j,  s^2 = scatter^2 + se^2
 *
 * (t with 5 degrees of freedom: a surprise in one sensor is worth a few bits, not
 * hundreds). Within a family facts depend on each other: the largest counts whole,
 * the rest half. A family gives 20 bits at most, either way. Families add.
 *
 *   bits = max over two kinds of farms of min over j of
 *          log2(prior_farm / prior_j) + sum of families
 *
 * The prior is of "a new kind of source appeared that clean traffic did not have",
 * not of a cohort in a window: that one is paid for by mixture.h's gain.
 *
 * Evenness is one-sided: what is coordinated may be more even than expected, what is
 * not may be less (in an hour people differ by the length of one session, cv^2 0.7; in
 * a day by much more).
 *
 * The numbers are assumptions (detection.md 8 and 11), chosen on the tuning seeds of
 * tests/sim, to be refitted per site; the table is the place.
 */
#ifndef WINNOW_DETECT_CLASS_H
#define WINNOW_DETECT_CLASS_H

#include "detect/evidence.h"
#include "model/farm.h"

enum fact_id {
	FACT_SPLIT,
	FACT_WAITING,
	FACT_LEG,
	FACT_TCP,
	FACT_EVEN,
	FACT_GAPS,
	FACT_TOTAL,
	FACT_ORIGIN,
	FACT_SPREAD,
	FACT_NETS,
	FACT_SHARED,
	FACT_MIX,
	FACT_MAX
};

enum benign_class {
	CLASS_PEOPLE,
	CLASS_RELAY,
	CLASS_TUNNELS,
	CLASS_SLOW_CLIENT,
	CLASS_FLEET,
	CLASS_PROXIED_FLEET,
	CLASS_NAT,
	CLASS_MONITORING,
	CLASS_LOAD_TEST,
	CLASS_MAX
};

extern const char *const class_name[CLASS_MAX];

struct judgement {
	double bits; /* decision, prior included */
	double prior;
	enum benign_class nearest;
	double family[FAMILY_MAX]; /* against the nearest */
	double fact[FACT_MAX];
	double farm[FACT_MAX], benign[FACT_MAX]; /* expected */
	double conceal;      /* concealment against the best that does not conceal, see below */
	double coordinate;   /* coordination against the best that does not */
	double one_operator; /* and one operator against the best that has none */
	double without[FAMILY_MAX];
};

/*
 * `conceal` has, for people who do not conceal, what they are behind the nearest kind on
 * top: what the other families say against them speaks against them here, too. People behind
 * NATs have nearly as many systems new to a stack as exits of a farm have (3.6 bits where 4
 * are asked), but are not as even, and held farms back whose systems were told from all
 * likelier kinds by 8. Not so a slow client program: that is a property of a program, and
 * even and coordinated ones (probes) have it, too.
 */
/* `mean`: exchanges a source, for FACT_EVEN. `one_operator`: bits that point at one
 * operator whatever else it is: a shared order, a hidden origin. */
struct judgement class_judge(const struct fact fact[FACT_MAX], double mean, double one_operator);

extern const char *const fact_name[FACT_MAX];
extern const enum evidence_family fact_family[FACT_MAX];

#endif
