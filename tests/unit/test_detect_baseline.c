/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/baseline.h and features.h: thresholds and what delays say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "detect/baseline.h"
#include "detect/features.h"
#include "tally.h"

static struct detect_config config;
static struct windows w;
static struct baseline b;

static int set_up(void **state)
{
	config = detect_config_default();
	windows_init(&w);
	baseline_init(&b);
	return 0;
}

static int tear_down(void **state)
{
	windows_clear(&w);
	baseline_clear(&b);
	return 0;
}

static uint32_t any(const void *ctx, uint64_t stack, uint16_t rtt_min)
{
	return 100;
}

/* One source with five equal handshakes. Tenths of a millisecond. */
static struct tally source(uint64_t src, uint64_t stack, uint32_t rtt, uint32_t d1, uint32_t dstar)
{
	struct tally t = { .src = src, .stack = stack, .service = 443, .family = 4, .proto = 6 };

	tally_begin(&t.row, 100);
	for (int i = 0; i < 5; i++) {
		tally_connection(&t.row, 77, 0);
		tally_handshake(&t.row, rtt, d1, dstar, 0);
	}
	return t;
}

static void learn(struct snapshot *s)
{
	s->time = 1000 * NSEC_PER_SEC;
	assert_int_equal(windows_update(&w, s, &config, true, any, NULL), 0);
	assert_int_equal(baseline_learn(&b, &w, &config), 0);
	snapshot_free(s);
}

static struct delays delays(const struct tally *t)
{
	struct view v = {};

	for (int i = 0; i < D_BINS * D_BINS; i++)
		v.d1dstar[i] = t->d1dstar[i];
	return delays_of(&b, &config, t, &v);
}

/* 100 medians of 1.0 to 2.0 ms and 20 people behind relays at 60 ms. */
static void people_behind_relays_do_not_lift_the_threshold(void **state)
{
	double v[120];

	for (int i = 0; i < 100; i++)
		v[i] = 10 + i / 10.0;
	for (int i = 100; i < 120; i++)
		v[i] = 600;
	assert_true(baseline_body(v, 120) < 21);
}

/* Below 1 ms: the least is 5 ms. */
static void a_fast_stack_gets_the_least_threshold(void **state)
{
	struct snapshot *s = snapshot_new(0, 0);

	for (int i = 0; i < 30; i++) {
		struct tally t = source(i, 5, 200, 5, 8 + i % 3);

		snapshot_add(s, &t);
	}
	learn(s);
	assert_int_equal(baseline_threshold(&b, 5, 200), 50);
}

/* curl parses its CA store behind the hello: 33 ms at R 1, 14 at R 20 (timing.md).
 * 30 sources a bin: a quarter more than the q99 of 33 ms is 41. */
static void a_slow_program_gets_a_threshold_for_each_distance(void **state)
{
	struct snapshot *s = snapshot_new(0, 0);

	for (int i = 0; i < 60; i++) {
		struct tally t = source(i, 5, i < 30 ? 10 : 200, 5, i < 30 ? 330 : 140);

		snapshot_add(s, &t);
	}
	learn(s);
	assert_int_equal(baseline_threshold(&b, 5, 10), 412);
	assert_int_equal(baseline_threshold(&b, 5, 200), 175);
	assert_int_equal(baseline_threshold(&b, 5, 900), 412);
}

static void an_unknown_stack_is_taken_for_a_script_unless_it_greases(void **state)
{
	assert_int_equal(baseline_threshold(&b, 5, 200), 400);
	assert_int_equal(baseline_flags(&b, 5, HELLO_GREASE_EXT), 0);
	assert_int_equal(baseline_threshold(&b, 5, 200), 100);
}

static void learn_plain(void)
{
	struct snapshot *s = snapshot_new(0, 0);

	for (int i = 0; i < 30; i++) {
		struct tally t = source(i, 5, 200, 5, 10);

		snapshot_add(s, &t);
	}
	learn(s);
}

static void two_handshakes_say_nothing(void **state)
{
	struct tally t = { .stack = 5 };

	learn_plain();
	tally_begin(&t.row, 1);
	tally_handshake(&t.row, 200, 420, 410, 0);
	tally_handshake(&t.row, 200, 420, 410, 0);
	assert_int_equal(delays(&t).state, DELAY_UNKNOWN);
}

static void a_relayed_source_is_split_with_and_without_waiting(void **state)
{
	struct tally waits = source(100, 5, 200, 425, 410), forwarder = source(101, 5, 200, 1, 410);

	learn_plain();
	assert_int_equal(delays(&waits).state, DELAY_SPLIT);
	assert_int_equal(delays(&waits).waiting, 5);
	assert_int_equal(delays(&forwarder).state, DELAY_SPLIT);
	assert_int_equal(delays(&forwarder).waiting, 0);
}

/* python requests: D1 36 ms, D* 1 ms. Preconnect: D1 754 ms, D* 1.4 ms (timing.md). */
static void a_late_hello_alone_is_direct(void **state)
{
	struct tally requests = source(100, 5, 200, 360, 10);
	struct tally preconnect = source(101, 5, 200, 7540, 14);

	learn_plain();
	assert_int_equal(delays(&requests).state, DELAY_DIRECT);
	assert_int_equal(delays(&preconnect).state, DELAY_DIRECT);
}

/* A leg of 35 ms under curl's 41 ms at R 1: D1 follows D*, and curl's own never does. */
static void waiting_shows_a_leg_below_a_slow_programs_threshold(void **state)
{
	struct snapshot *s = snapshot_new(0, 0);
	struct tally t = source(100, 5, 10, 375, 370), own = source(101, 5, 10, 5, 340);

	for (int i = 0; i < 30; i++) {
		struct tally c = source(i, 5, 10, 5, 330);

		snapshot_add(s, &c);
	}
	learn(s);
	assert_true(t.dstar[0] < baseline_threshold(&b, 5, 10));
	assert_int_equal(delays(&t).state, DELAY_SPLIT);
	assert_int_equal(delays(&own).state, DELAY_DIRECT);
}

/* D1 is 2.5 ms over the leg, D* is the leg: between them lies an edge of the bins. */
static void a_leg_just_below_an_edge_waits_as_its_neighbours_do(void **state)
{
	static const uint32_t legs[] = { 260, 280, 290, 299, 310, 980, 990, 1010 };
	struct tally early = source(100, 5, 200, 450, 90);

	learn_plain();
	for (size_t i = 0; i < sizeof(legs) / sizeof(legs[0]); i++) {
		struct tally t = source(100, 5, 200, legs[i] + 25, legs[i]);

		assert_int_equal(delays(&t).waiting, 5);
	}
	assert_int_equal(delays(&early).waiting, 0);
}

static void features_name_what_is_unusual_for_the_stack(void **state)
{
	struct tally t = source(100, 5, 200, 425, 410);
	struct view v = { .connections = 5, .exchanges = 60 };
	struct mixture_row x;
	struct delays d;

	learn_plain();
	memcpy(v.gaps, (uint16_t[GAP_BINS]){ [5] = 50, [9] = 3 }, sizeof(v.gaps));
	for (int i = 0; i < D_BINS * D_BINS; i++)
		v.d1dstar[i] = t.d1dstar[i];
	t.tcp_key = 99;
	d = delays_of(&b, &config, &t, &v);
	x = features_of(&b, &t, &v, &d, 3600);
	assert_int_equal(x.x[0], 4); /* waits, 30-100 ms */
	assert_int_equal(x.x[1], 3); /* split, 30-100 ms */
	assert_int_equal(x.x[2], 4); /* never seen at the site */
	assert_int_equal(x.x[3], 1); /* never resumed */
	assert_int_equal(x.x[4], 4); /* 16 to 64 an hour */
	assert_int_equal(x.x[5], 1); /* regular, below a minute */
}

static void networks_are_of_equal_worth_in_both_families(void **state)
{
	assert_int_equal(network_of(0x0a0b0c0d, 4, NETWORK_SMALL), 0x0a0b0c);
	assert_int_equal(network_of(0x0a0b0c0d, 4, NETWORK_LARGE), 0x0a0b);
	assert_true(network_of(0x20010db812345678ULL, 6, NETWORK_SMALL) == 0x20010db81234ULL);
	assert_true(network_of(0x20010db812345678ULL, 6, NETWORK_LARGE) == 0x20010db812ULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(people_behind_relays_do_not_lift_the_threshold),
		T(a_fast_stack_gets_the_least_threshold),
		T(a_slow_program_gets_a_threshold_for_each_distance),
		T(an_unknown_stack_is_taken_for_a_script_unless_it_greases),
		T(two_handshakes_say_nothing),
		T(a_relayed_source_is_split_with_and_without_waiting),
		T(a_late_hello_alone_is_direct),
		T(waiting_shows_a_leg_below_a_slow_programs_threshold),
		T(a_leg_just_below_an_edge_waits_as_its_neighbours_do),
		T(features_name_what_is_unusual_for_the_stack),
		T(networks_are_of_equal_worth_in_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
