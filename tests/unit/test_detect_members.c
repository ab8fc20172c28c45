/* SPDX-License-Identifier: BSD-2-Clause */
/* members.h, collateral.h, plan_diff.h: who gets a rule, and what that costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/collateral.h"
#include "detect/features.h"
#include "detect/members.h"
#include "detect/plan_diff.h"

static struct detect_config config;

static int set_up(void **state)
{
	config = detect_config_default();
	return 0;
}

static struct cohort_member member(uint32_t direct, uint32_t split, uint32_t waiting)
{
	return (struct cohort_member){ .split = 2,
				       .weight = 1,
				       .direct_handshakes = direct,
				       .split_handshakes = split,
				       .split_waiting = waiting };
}

/* 44: one address, one stack, honest and farm; the farm's hellos wait. */
static void honest_and_farm_under_one_stack_get_a_predicate(void **state)
{
	struct cohort_member m = member(4, 20, 20);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	assert_true(member_mixed(&m));
	assert_true(member_rule(&m, &config, 50, &rule, why));
	assert_int_equal(rule.d1_min, 100);
	assert_int_equal(rule.dstar_min, 100);
}

/* 44: both delays, under the farm's and over what a busy person's machine makes of them.
 * D* is the leg or twice that, or microsocks' twice that and 45 ms: D1 tells which. */
static void a_predicate_asks_for_half_of_the_leg(void **state)
{
	static const struct {
		uint32_t far;
		int waiting_d1;
		uint16_t d1, dstar;
	} cases[] = {
		{ 800, 3, 400, 400 },   { 800, 2, 100, 400 },  { 500, 2, 120, 250 },
		{ 1600, 3, 400, 800 },  { 890, 2, 110, 440 },  { 240, 2, 120, 120 },
		{ 110, 2, 100, 100 },   { 1200, 4, 600, 600 }, { 9000, 4, 2000, 2000 },
		{ 5000, 2, 100, 2000 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cohort_member m = member(4, 20, 20);
		struct plan_rule rule = {};
		char why[PLAN_REASON];

		m.far = cases[i].far;
		m.nearest = 999999; /* not asked: someone lives there */
		m.waiting_d1 = cases[i].waiting_d1;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.d1_min, cases[i].d1);
		assert_int_equal(rule.dstar_min, cases[i].dstar);
		m = member(0, 20, 20);
		m.far = 999999; /* the exit's own delays, some of them */
		m.nearest = cases[i].far;
		m.waiting_d1 = cases[i].waiting_d1;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.dstar_min, cases[i].dstar);
	}
}

/* 44: on a busy machine one of a newcomer's first two did not wait. Who lives there has yet
 * to come: a rule without a predicate would never let him be measured. */
static void a_newcomer_that_waited_once_gets_a_predicate(void **state)
{
	static const struct {
		uint32_t split, waiting;
		uint16_t dstar;
	} cases[] = { { 2, 1, 240 }, { 4, 1, 240 }, { 5, 1, 0 }, { 2, 0, 0 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cohort_member m = member(0, cases[i].split, cases[i].waiting);
		struct plan_rule rule = {};
		char why[PLAN_REASON];

		m.split_at_once = cases[i].split - cases[i].waiting;
		m.reborn = true;
		m.nearest = 488;
		m.waiting_d1 = 2;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.dstar_min, cases[i].dstar);
		assert_int_equal(!rule.d1_min, !cases[i].dstar);
	}
}

/* 49: not even one of whom nothing but earlier days is known. */
static void a_member_without_a_leg_gets_no_rule(void **state)
{
	struct cohort_member m = member(0, 0, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	(void)state;
	m.kept = 100;
	assert_true(member_rule(&m, &config, 50, &rule, why));
	m.unsplit = true;
	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "no delay tells it from who lives there"));
}

/* 44: who lives there is nearer than the farm. */
static void what_is_far_is_the_farms(void **state)
{
	struct tally row = { .dstar = { 22, 19 | DSTAR_RESUMED, 860, 778, 21 } };
	struct view view = {};
	struct baseline baseline;

	baseline_init(&baseline);
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 860);
	row.dstar[4] = 171;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 778);
	assert_int_equal(delays_of(&baseline, &config, &row, &view).nearest, 171);
	row.dstar[4] = 21;
	row.dstar[2] = DSTAR_NONE;
	row.dstar[3] = 444 | DSTAR_RESUMED;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 444);
	row.dstar[3] = DSTAR_NONE;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 0);
	baseline_clear(&baseline);
}

/* 44: the far end answers early, so the hellos look alike. */
static void honest_and_farm_that_look_alike_get_no_rule_and_a_reason(void **state)
{
	struct cohort_member m = member(10, 20, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON] = "";

	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "10 direct and 20 split handshakes"));
	m = member(1, 20, 20);
	m.direct_waiting = 2;
	assert_false(member_rule(&m, &config, 50, &rule, why));
}

static void direct_while_clean_asks_for_a_predicate_however_long_ago(void **state)
{
	struct cohort_member m = member(0, 50, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	assert_true(member_rule(&m, &config, 50, &rule, why));
	m.was_direct = true;
	assert_false(member_rule(&m, &config, 50, &rule, why));
}

/* timing.md: up to a fifth of the D* behind a forwarder are held-up acknowledgements. */
static void held_up_acknowledgements_do_not_make_a_source_mixed(void **state)
{
	struct cohort_member m = member(4, 16, 0);

	assert_false(member_mixed(&m));
}

static void little_known_is_no_member_and_no_certainty(void **state)
{
	struct cohort_member m = member(0, 5, 5);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	m.split = 0;
	assert_false(member_is(&m));
	m.split = 2;
	m.held = 1;
	assert_false(member_is(&m));
	m.held = 0;
	assert_true(member_posterior(&m) <= POSTERIOR_MAX);
	m.weight = 0.98f;
	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "posterior 0.980"));
}

/* Where TLS ends at the exits, delays do not vouch for the rest. */
static void a_direct_member_needs_more(void **state)
{
	struct cohort_member m = member(5, 0, 0);

	m.unsplit = true;
	m.weight = 0.99f;
	assert_false(member_is(&m)); /* its delays are split, as no member's are */
	m.split = 1;
	assert_true(member_is(&m));
	m.weight = 0.95f;
	assert_false(member_is(&m));
	m.unsplit = false;
	m.split = 2;
	assert_true(member_is(&m));
}

/* ---- collateral and plans -------------------------------------------------------- */

/* 300 rules with a doubt of 0.001: 0.3 expected, upper95 1; he makes 10 exchanges, as all
 * others do, beside 990. */
static void collateral_by_hand(void **state)
{
	struct cohort_member other = { .split = DELAY_DIRECT, .exchanges = 10 };
	struct cohort all = { .members = &other, .n = 1 };
	const struct collateral_traffic site = { 990, 90, &all };
	struct plan_rule rules[300];
	struct plan_collateral c;

	for (int i = 0; i < 300; i++)
		rules[i] = (struct plan_rule){ .doubt = 0.001, .exchanges = 10 };
	c = collateral_of(rules, 300, 0, 0, &site);
	assert_true(fabs(c.sources - 0.3) < 1e-9);
	assert_true(c.upper95 == 1);
	assert_true(c.precision > 299.0 / 300 && c.precision < 1);
	assert_true(fabs(c.share_all - 0.01) < 1e-9);
	assert_true(fabs(c.share_stack - 0.1) < 1e-9);
	assert_true(collateral_of(rules, 300, 2.7, 0, &site).upper95 == 7);
	assert_true(collateral_of(rules, 300, 0, 7.5, &site).upper95 == 7.5); /* the larger claim */
	assert_true(collateral_of(rules, 0, 5, 7, &site).sources == 0);
}

static void a_diff_adds_removes_keeps_and_renews(void **state)
{
	struct plan_rule want[] = {
		{ .src = 1, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 2, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 20 },
		{ .src = 3, .stack = 9, .family = 4, .action = RULE_RESET, .d1_min = 100 },
	};
	struct plan_rule have[] = {
		{ .src = 4, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 2, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 1, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 3, .stack = 9, .family = 4, .action = RULE_RESET },
	};
	static const enum plan_change expect[] = { PLAN_KEEP, PLAN_RENEW, PLAN_REMOVE, PLAN_ADD,
						   PLAN_REMOVE };
	static const uint64_t src[] = { 1, 2, 3, 3, 4 };
	struct plan_step *steps;
	size_t n;

	assert_int_equal(plan_diff(want, 3, have, 4, &steps, &n), 0);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(steps[i].change, expect[i]);
		assert_int_equal((steps[i].want ? steps[i].want : steps[i].have)->src, src[i]);
	}
	free(steps);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(honest_and_farm_under_one_stack_get_a_predicate),
		T(a_predicate_asks_for_half_of_the_leg),
		T(a_newcomer_that_waited_once_gets_a_predicate),
		T(a_member_without_a_leg_gets_no_rule),
		T(what_is_far_is_the_farms),
		T(honest_and_farm_that_look_alike_get_no_rule_and_a_reason),
		T(direct_while_clean_asks_for_a_predicate_however_long_ago),
		T(held_up_acknowledgements_do_not_make_a_source_mixed),
		T(little_known_is_no_member_and_no_certainty),
		T(a_direct_member_needs_more),
		T(collateral_by_hand),
		T(a_diff_adds_removes_keeps_and_renews),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
