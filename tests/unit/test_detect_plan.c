/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/collateral.h, sessions.h, newcomers.h: how sure a plan is, by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "detect/collateral.h"
#include "detect/features.h"
#include "detect/newcomers.h"
#include "detect/sessions.h"
#include "detect/standing.h"
#include "detect/stats.h"

#define RULES 200

static const struct collateral_traffic site = { 1e6, 1e5, NULL };

static void doubts(struct plan_rule *rules, size_t n, double doubt)
{
	memset(rules, 0, n * sizeof(*rules));
	for (size_t i = 0; i < n; i++)
		rules[i] = (struct plan_rule){ .src = i, .doubt = doubt, .exchanges = 10 };
}

/* By hand: mean .05 and shape 4: P(0) = (4 / 4.05)^4 = .951; mean .1: .906, then
 * P(1) = .906 * 4 * .1 / 4.1 = .0884, of which half is needed: .4976. */
static void one_factor_over_all_widens_a_count(void **state)
{
	(void)state;
	assert_true(stats_upper95_shared(0, 4) == 0);
	assert_true(stats_upper95_shared(.05, 4) == 0);
	assert_true(fabs(stats_upper95_shared(.1, 4) - .4976) < 1e-3);
	assert_true(stats_upper95_shared(20, 4) > stats_upper95(20, 1));
	assert_true(ceil(stats_upper95_shared(20, 1e9)) == stats_upper95(20, 1));
}

static void sixty_sure_members_are_a_plan(void **state)
{
	struct plan_rule rules[RULES];
	struct plan_collateral c;

	(void)state;
	doubts(rules, 30, 5e-4); /* mean .03: P(0) = .971 */
	c = collateral_of(rules, 30, 0, 0, &site);
	assert_true(c.upper95 == 1 && c.precision == 1); /* nobody is promised to be spared */
	doubts(rules, 60, 5e-4); /* .06: P(0) = .942, P(1) = .0557, of which a seventh is needed */
	c = collateral_of(rules, 60, 0, 0, &site);
	assert_true(c.upper95 == 1 && fabs(c.precision - (1 - .1397 / 60)) < 1e-4);
	doubts(rules, 60, 2e-3); /* one may be innocent, half a one is not expected */
	c = collateral_of(rules, 60, 0, 0, &site);
	assert_true(c.upper95 == 1 && c.precision > .99 && c.precision < .991);
	doubts(rules, 60, 3e-3);
	assert_true(collateral_of(rules, 60, 0, 0, &site).precision < .99);
	doubts(rules, 60, 0); /* nobody is that sure */
	c = collateral_of(rules, 60, 0, 0, &site);
	assert_true(fabs(c.sources - 60 * DOUBT_LEAST) < 1e-9);
	c = collateral_of(rules, 60, 0, 1.2, &site); /* the larger claim */
	assert_true(c.upper95 == 1.2);
}

/* Mean .1 of 100 rules: one is hit with p = .0940, and more than the bound in .05 / p of
 * those cases: of 41 sources that made 0 to 40 exchanges the quantile .468 made 18.73. Of 200,
 * mean .2: p = .1773, the quantile .718, 28.72. Members and who is not known are left aside. */
static void an_innocent_is_one_of_the_stacks_others(void **state)
{
	struct cohort_member them[44];
	struct cohort all = { .members = them, .n = 44 };
	struct collateral_traffic t = { 1e6, 1e5, &all };
	struct plan_rule rules[RULES];
	struct plan_collateral c;

	(void)state;
	for (uint32_t i = 0; i < 44; i++)
		them[i] = (struct cohort_member){
			.split = DELAY_DIRECT,
			.exchanges = i,
		};
	them[41].split = them[42].split = DELAY_SPLIT;
	them[41].weight = them[42].weight = .9F;
	them[43].split = DELAY_UNKNOWN;
	assert_true(collateral_busy(&all, .95) == 38);
	doubts(rules, 100, 1e-3);
	c = collateral_of(rules, 100, 0, 0, &t);
	assert_true(c.upper95 == 1 && fabs(c.share_all - 18.734 / 1e6) < 1e-8);
	assert_true(fabs(c.share_stack - 18.734 / 1e5) < 1e-7);
	doubts(rules, 200, 1e-3);
	c = collateral_of(rules, 200, 0, 0, &t);
	assert_true(c.upper95 == 1 && fabs(c.share_all - 28.720 / 1e6) < 1e-8);
	all.n = 0;
	assert_true(collateral_busy(&all, .95) == 0);
}

static void who_is_in_doubt_is_left_out_of_a_plan(void **state)
{
	struct plan_rule rules[RULES];

	(void)state;
	/* 60 rules hold .122 innocent: 58 * .0018 + .009 = .1134, but not another .009 + .009. */
	doubts(rules, 60, 1.8e-3);
	rules[7].doubt = rules[30].doubt = .009;
	assert_int_equal(collateral_keep(rules, 60, 0, 0, .99), 59);
	assert_true(rules[58].doubt == .009 && rules[59].doubt == .009);
	/* In doubt as a whole: no number holds, and nobody is left out. */
	doubts(rules, 60, .009);
	assert_int_equal(collateral_keep(rules, 60, 2, 0, .99), 60);
	assert_int_equal(collateral_keep(rules, 0, 2, 0, .99), 0);
}

/* A stack whose clients all resume every other time, and one where half of them never
 * do: ten connections without a session mean much and little. */
static void who_never_resumes_is_judged_by_who_else_does_not(void **state)
{
	struct sessions_sum alike = {}, differ = {};
	struct sessions farm = { .1, 30, 0 }, a, b;
	struct sessions_seen none = {}, ten = sessions_seen(11, 0), two = sessions_seen(3, 0);

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct sessions_seen half = { 20, i & 1 ? 9 : 11 };
		struct sessions_seen all = { 20, i & 1 ? 20 : 0 };

		sessions_add(&alike, &half);
		sessions_add(&differ, &all);
	}
	a = sessions_of(&alike);
	b = sessions_of(&differ);
	assert_true(fabs(a.a / (a.a + a.b) - .5) < .01 && fabs(b.a / (b.a + b.b) - .5) < .01);
	assert_true(sessions_nats(&farm, &a, &ten, &none) > 4);
	assert_true(sessions_nats(&farm, &b, &ten, &none) < 1.2);
	/* What today has shown is told once. */
	assert_true(sessions_nats(&farm, &a, &two, &two) == 0);
	assert_true(sessions_nats(&farm, &b, &ten, &two) < sessions_nats(&farm, &b, &ten, &none));
	assert_true(sessions_nats(&farm, &a, &ten, &none) <= SESSIONS_NATS);
}

/* Beta(1, 1): P(none of n) = 1 / (n + 1). */
static void few_clean_sources_leave_every_share_as_likely(void **state)
{
	struct sessions_sum few = {};
	struct sessions_seen x = { 10, 5 }, none = {}, nine = sessions_seen(10, 0);
	struct sessions flat, farm = { 1e-6, 1e3, 0 };

	(void)state;
	for (int i = 0; i < SESSIONS_LEAST - 1; i++)
		sessions_add(&few, &x);
	flat = sessions_of(&few);
	assert_true(flat.a == 1 && flat.b == 1);
	assert_true(fabs(sessions_nats(&farm, &flat, &nine, &none) - log(10)) < 1e-3);
}

/* Ten split newcomers where one honest one is expected, of one kind, equal in all else. */
static void a_newcomer_is_worth_what_came_with_him(void **state)
{
	struct newcomers n = { .farm = 9, .honest = 1 };
	struct mixture kinds = { .n = 1 };
	struct mixture_row row = { .x = { 4, 3, 1, 0, 0, 3 } };
	double q[FEATURES][FEATURE_LEVELS];

	(void)state;
	mixture_count(NULL, NULL, 0, 1, NULL, q);
	kinds.class[0].weight = 1;
	memcpy(kinds.class[0].theta, q, sizeof(q));
	/* A kind that is direct in one of four gives what is split a quarter less room. */
	assert_true(fabs(newcomers_nats(&n, &kinds, q, &row) - log(9 * .75)) < 1e-6);
	q[FEATURE_TCP][1] = .5; /* twice as usual */
	assert_true(fabs(newcomers_nats(&n, &kinds, q, &row) - log(9 * .75 * 2)) < 1e-6);
}

/* Of three that were ruled one is in view and judged by it, one's rule has expired. */
static void who_is_quiet_keeps_his_rule_until_it_expires(void **state)
{
	struct plan_rule before[3], rules[4] = { { .src = 100 } };
	struct cohort_member there = { .src = 0 };
	struct cohort all = { .members = &there, .n = 1 };
	size_t n = 1;

	(void)state;
	doubts(before, 3, 1e-3);
	before[0].expires = before[1].expires = 2000;
	before[2].expires = 1000;
	assert_int_equal(standing_add(before, 3, &all, 1000, rules, &n), 0);
	assert_int_equal(n, 2);
	assert_true(rules[1].src == 1 && rules[1].expires == 2000 && rules[1].exchanges == 0);
	assert_int_equal(standing_add(before, 3, &all, 2000, rules, &n), 0);
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_factor_over_all_widens_a_count),
		cmocka_unit_test(sixty_sure_members_are_a_plan),
		cmocka_unit_test(an_innocent_is_one_of_the_stacks_others),
		cmocka_unit_test(who_is_in_doubt_is_left_out_of_a_plan),
		cmocka_unit_test(who_never_resumes_is_judged_by_who_else_does_not),
		cmocka_unit_test(few_clean_sources_leave_every_share_as_likely),
		cmocka_unit_test(a_newcomer_is_worth_what_came_with_him),
		cmocka_unit_test(who_is_quiet_keeps_his_rule_until_it_expires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
