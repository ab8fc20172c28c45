/* SPDX-License-Identifier: BSD-2-Clause */
/* verdict.h: one cohort through its states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "detect/stats.h"
#include "detect/verdict.h"

static struct detect_config config;

static int set_up(void **state)
{
	config = detect_config_default();
	return 0;
}

static const struct verdict_input good = {
	.gain = 100,
	.members = 300,
	.prefixes = 100,
	.conceal = 10,
	.coordinate = 10,
	.bits = 12,
	.spread = .95,
	.plan_holds = true,
};

static enum farm_state step(struct verdict *v, const struct verdict_input *in)
{
	char gate[256];

	verdict_step(v, in, &config, gate, sizeof(gate));
	return v->state;
}

static void two_of_three_windows_flag_and_propose(void **state)
{
	struct verdict_input bad = good;
	struct verdict v = {};

	bad.coordinate = 0;
	assert_int_equal(step(&v, &good), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &good), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &good), FARM_PROPOSE);
}

/* 49: what no rule can hit with known precision stays a flag. */
static void without_a_plan_that_holds_a_flag_stays_a_flag(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.plan_holds = false;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_FLAG);
	assert_int_equal(step(&v, &in), FARM_FLAG);
	assert_int_equal(step(&v, &good), FARM_PROPOSE);
}

/* A crowd: new, direct, and nothing else in it like a farm. */
static void direct_newcomers_are_watched_where_more_speaks_against_them(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.unsplit = true;
	in.bits = -16;
	assert_int_equal(step(&v, &in), FARM_NONE);
	in.bits = 1;
	assert_int_equal(step(&v, &in), FARM_WATCH);
	in.bits = -1; /* and then as all others are */
	assert_int_equal(step(&v, &in), FARM_WATCH);
}

static void sources_that_never_come_back_get_no_rules(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};
	char gate[256];

	(void)state;
	in.early = 200;
	in.stayed = 3;
	step(&v, &in);
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_int_equal(v.state, FARM_FLAG);
	assert_string_equal(gate, "its sources do not stay (3 of 200): rules on them stop nothing");
	in.stayed = 100;
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* N13: a survey through homes on a stack of its own is only watched. */
static void of_an_own_stack_sources_that_never_come_back_are_no_flag(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	(void)state;
	in.own = true;
	in.early = 200;
	in.stayed = 3;
	for (uint32_t i = 0; i < config.own_windows + 5; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	in.stayed = 100;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* F6: a clean day looks as new once in 20, but its legs lead to one place. */
static void one_origin_is_watched_where_a_day_alone_is_not(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	(void)state;
	in.calibrated = true;
	in.p = .05;
	in.e = 2.4;
	assert_int_equal(step(&v, &in), FARM_NONE);
	in.e = 1e4;
	assert_int_equal(step(&v, &in), FARM_WATCH);
	in.rejected = true;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

static void one_origin_of_sources_that_do_not_stay_flags_nothing(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.coordinate = 1;
	in.one_operator = 12;
	in.early = 15;
	for (int i = 0; i < 40; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	in.stayed = 7;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* Nothing but time is missing: not flagged for so many hours, and then at once. */
static void watched_for(struct verdict_input in, int hours, const char *last)
{
	struct verdict v = {};
	char gate[256];

	in.now = 1000 * NSEC_PER_DAY;
	for (int hour = 0; hour < hours; hour++) {
		verdict_step(&v, &in, &config, gate, sizeof(gate));
		assert_int_equal(v.state, FARM_WATCH);
		in.now += 3600 * NSEC_PER_SEC;
	}
	assert_string_equal(gate, last);
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* N2d: the first of a company whose proxy has 50 exits lie apart like a farm. By the next
 * morning the others lie beside them. */
static void few_are_watched_for_half_a_day(void **state)
{
	struct verdict_input in = good;

	(void)state;
	in.members = in.early = in.stayed = 20;
	in.spread = 1;
	watched_for(in, 12, "so few: hours watched 11.00, needs 12.00");
}

/* N9: a crowd's people are even for the first hours. */
static void direct_ones_are_watched_for_hours(void **state)
{
	struct verdict_input in = good;

	(void)state;
	in.unsplit = true;
	watched_for(in, 6, "direct: hours watched 5.00, needs 6.00");
}

/* N13: of probes of which a dozen are members most came just now. */
static void of_few_it_must_be_known_that_they_stay(void **state)
{
	struct verdict_input in = good;
	struct verdict v = { .state = FARM_WATCH };
	char gate[256];

	(void)state;
	in.now = NSEC_PER_DAY;
	in.members = 15;
	in.spread = 1;
	in.early = in.stayed = 5;
	in.one_operator = 12;
	in.coordinate = 1;
	for (int i = 0; i < 40; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	in.coordinate = 10;
	step(&v, &in);
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_int_equal(v.state, FARM_FLAG);
	assert_string_equal(gate, "whether so few stay is not known: 5 came an hour ago, needs 8");
	in.early = 8;
	in.stayed = 1;
	assert_int_equal(step(&v, &in), FARM_FLAG);
	in.stayed = 2;
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* Fleets of 50 exits, drawn: of 20,000 at most one in 200 lies so far apart as a farm must. */
static void no_fleet_of_fifty_exits_lies_as_far_apart_as_a_farm(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (size_t n = 27; n <= 299; n += n < 50 ? 3 : 50) {
		double need = verdict_spread(&config, n);
		int apart = 0;

		assert_true(need <= 1);
		for (int run = 0; run < 20000; run++) {
			uint64_t seen = 0;

			for (size_t i = 0; i < n; i++)
				seen |= 1ULL << stats_random(&random) % 50;
			apart += log(__builtin_popcountll(seen)) >= need * log(n) - 1e-9;
		}
		assert_true(apart <= 100);
	}
}

static void an_own_stack_needs_size_and_age(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.own = true;
	for (uint32_t i = 1; i < config.own_windows; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
	v = (struct verdict){};
	in.members = config.own_sources - 1;
	for (int i = 0; i < 40; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
}

/* Before anything is learnt every stack is new, also one that 10,000 people have. */
static void a_few_of_a_stack_that_no_day_knows_are_no_own_stack(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};
	char gate[256];

	in.own = true;
	in.sources = 20 * in.members;
	for (uint32_t i = 0; i < config.own_windows + 5; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_string_equal(gate, "own stack: share of its sources 0.05, needs 0.50");
	in.sources = 2 * in.members + 1;
	assert_int_equal(step(&v, &in), FARM_WATCH);
	in.sources = 2 * in.members;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);

	/* A release since: its days are known, and this one is none of them. */
	v = (struct verdict){};
	in.sources = 20 * in.members;
	in.calibrated = in.rejected = true;
	for (uint32_t i = 0; i < config.own_windows + 2; i++)
		step(&v, &in);
	assert_int_equal(v.state, FARM_PROPOSE);
}

static void each_part_of_the_gate_holds_by_itself(void **state)
{
	for (int part = 0; part < 6; part++) {
		struct verdict_input in = good;
		struct verdict v = {};

		in.conceal = part == 0 ? config.conceal_bits - 1 : in.conceal;
		in.coordinate = part == 1 ? config.coordinate_bits - 1 : in.coordinate;
		in.spread = part == 2 ? config.spread - 0.1 : in.spread;
		in.bits = part == 3 ? config.flag_bits - 1 : in.bits;
		in.members = part == 4 ? config.min_members - 1 : in.members;
		in.gain = part == 5 ? config.watch_nats - 1 : in.gain;
		for (int window = 0; window < 5; window++)
			assert_true(step(&v, &in) <= FARM_WATCH);
	}
}

static void one_operator_stands_in_for_coordination(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.coordinate = 0;
	in.one_operator = config.operator_bits;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

static void a_flag_is_not_lost_in_a_quiet_window_but_decays(void **state)
{
	static const struct verdict_input quiet;
	struct verdict v = {};

	step(&v, &good);
	step(&v, &good);
	for (uint32_t i = 1; i < config.unflag_windows; i++)
		assert_int_equal(step(&v, &quiet), FARM_PROPOSE);
	assert_int_equal(step(&v, &quiet), FARM_DECAY);
	assert_int_equal(step(&v, &quiet), FARM_NONE);
}

/* Enough bits for the gate, not enough to stay for good: three days at a time, not a window. */
static void a_flag_of_few_bits_is_earned_again_for_days(void **state)
{
	struct verdict_input few = good;
	struct verdict v = {};

	few.bits = (config.flag_bits + config.unflag_bits) / 2;
	step(&v, &few);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < config.unflag_windows; i++)
			assert_int_equal(step(&v, &few), FARM_FLAG);
		assert_int_equal(step(&v, &few), FARM_DECAY);
	}
}

static void a_flag_that_the_facts_turn_against_is_taken_back(void **state)
{
	struct verdict_input wrong = good;
	struct verdict v = {};

	wrong.bits = -3;
	step(&v, &good);
	step(&v, &good);
	for (uint32_t i = 1; i < config.retract_windows; i++)
		assert_int_equal(step(&v, &wrong), FARM_PROPOSE);
	assert_int_equal(step(&v, &wrong), FARM_WATCH);
	assert_true(v.flagged_at == 0);
}

static void the_gate_says_what_is_missing(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};
	char gate[256];

	in.coordinate = 1;
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_string_equal(gate, "coordination bits 1.00, needs 3.00");
	in.calibrated = true;
	in.p = .1;
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_string_equal(gate, "log10 of P(a clean day) -1.00, needs -3.00");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(two_of_three_windows_flag_and_propose),
		T(without_a_plan_that_holds_a_flag_stays_a_flag),
		T(of_an_own_stack_sources_that_never_come_back_are_no_flag),
		T(one_origin_is_watched_where_a_day_alone_is_not),
		T(direct_newcomers_are_watched_where_more_speaks_against_them),
		T(sources_that_never_come_back_get_no_rules),
		T(one_origin_of_sources_that_do_not_stay_flags_nothing),
		T(few_are_watched_for_half_a_day),
		T(direct_ones_are_watched_for_hours),
		T(of_few_it_must_be_known_that_they_stay),
		T(no_fleet_of_fifty_exits_lies_as_far_apart_as_a_farm),
		T(an_own_stack_needs_size_and_age),
		T(a_few_of_a_stack_that_no_day_knows_are_no_own_stack),
		T(each_part_of_the_gate_holds_by_itself),
		T(one_operator_stands_in_for_coordination),
		T(a_flag_is_not_lost_in_a_quiet_window_but_decays),
		T(a_flag_of_few_bits_is_earned_again_for_days),
		T(a_flag_that_the_facts_turn_against_is_taken_back),
		T(the_gate_says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
