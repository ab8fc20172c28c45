/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf/tally.h: the arithmetic of one row, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tally.h"

static struct tally_row fresh(void)
{
	struct tally_row t = {};

	tally_begin(&t, 100);
	return t;
}

static void delay_bins_change_exactly_at_the_edges(void **state)
{
	static const uint32_t edge[] = D_EDGES_TENTH_MS;

	(void)state;
	assert_int_equal(tally_delay_bin(0), 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(tally_delay_bin(edge[i] - 1), i);
		assert_int_equal(tally_delay_bin(edge[i]), i + 1);
	}
}

/* Against the definition, written the slow way. */
static void gap_bin_is_the_floor_of_log2_of_seconds_plus_one(void **state)
{
	(void)state;
	for (uint64_t stamps = 0; stamps < UINT32_MAX; stamps += 1 + stamps / 7) {
		uint64_t seconds = (stamps << STAMP_SHIFT) / 1000000000ULL;
		uint32_t bin = 0;

		while (bin < 17 && (2ULL << bin) <= seconds + 1)
			bin++;
		assert_int_equal(tally_gap_bin(stamps), bin);
	}
}

static void unknown_d1_is_not_a_small_d1(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	tally_handshake(&t, TALLY_UNKNOWN, TALLY_UNKNOWN, 412, 0);
	for (int i = 0; i < D_BINS * D_BINS; i++)
		assert_int_equal(t.d1dstar[i], 0);
	assert_int_equal(t.dstar[0], 412);
	assert_int_equal(t.rtt_min, 0);
}

static void no_dstar_leaves_ring_and_histogram_alone(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	tally_handshake(&t, 200, 5, TALLY_UNKNOWN, HS_CCS_TWICE);
	assert_int_equal(t.dstar[0], DSTAR_NONE);
	assert_int_equal(t.d1dstar[0], 0);
	assert_int_equal(t.rtt_min, 200);
	assert_true(t.state & TALLY_CCS_TWICE);
	assert_int_equal(t.state & TALLY_RING_MASK, 0);
}

static void ring_keeps_the_last_five_with_their_resumed_bit(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	for (uint32_t i = 1; i <= 7; i++)
		tally_handshake(&t, 200, 5, i, i % 2 ? HS_RESUMED : 0);
	assert_int_equal(t.dstar[0], 6);
	assert_int_equal(t.dstar[1], 7 | DSTAR_RESUMED);
	assert_int_equal(t.dstar[2], 3 | DSTAR_RESUMED);
	assert_int_equal(t.dstar[3], 4);
	assert_int_equal(t.dstar[4], 5 | DSTAR_RESUMED);
}

static void the_longest_resumed_dstar_is_not_an_empty_slot(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	tally_handshake(&t, 200, 5, 1000000, HS_RESUMED);
	assert_int_not_equal(t.dstar[0], DSTAR_NONE);
	assert_int_equal(t.dstar[0] & ~DSTAR_RESUMED, DSTAR_MAX);
}

static void full_histogram_is_halved_and_keeps_its_shape(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	for (int i = 0; i < 100; i++)
		tally_handshake(&t, 200, 5, 5, 0);
	for (int i = 0; i < 256; i++)
		tally_handshake(&t, 200, 150, 400, 0);
	assert_int_equal(t.d1dstar[0], 50);
	assert_int_equal(t.d1dstar[2 * D_BINS + 3], 128);
}

static void exchanges_count_gaps_between_them(void **state)
{
	struct tally_row t = fresh();
	uint32_t now = 1000;

	(void)state;
	tally_exchange(&t, now);
	for (int i = 0; i < 300; i++) {
		now += STAMP_PER_SECOND(4) + 1;
		tally_exchange(&t, now);
	}
	assert_int_equal(t.exchanges, 301);
	assert_int_equal(t.gaps[2], 127 + 300 - 255);
	assert_int_equal(t.exchange_seen, now);
}

static void an_earlier_stamp_is_a_gap_of_nothing(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	tally_exchange(&t, 5000);
	tally_exchange(&t, 4000);
	assert_int_equal(t.gaps[0], 1);
	assert_int_equal(t.exchange_seen, 5000);
}

static void gaps_survive_the_wrap_of_the_stamp(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	tally_exchange(&t, UINT32_MAX - 10);
	tally_exchange(&t, STAMP_PER_SECOND(1000) - 11);
	assert_int_equal(t.gaps[9], 1);
}

static void bytes_that_were_held_do_not_move_when_it_was_seen_back(void **state)
{
	(void)state;
	assert_int_equal(tally_seen(1000, 1001), 1001);
	assert_int_equal(tally_seen(1001, 1000), 1001);
	assert_int_equal(tally_seen(UINT32_MAX, 3), 3);
	assert_int_equal(tally_seen(3, UINT32_MAX), 3);
}

static void small_counters_saturate(void **state)
{
	struct tally_row t = fresh();

	(void)state;
	for (int i = 0; i < 70000; i++) {
		tally_connection(&t, 7, 1);
		tally_handshake(&t, 0, 1, 1, HS_PIGGY);
	}
	assert_int_equal(t.connections, 70000);
	assert_int_equal(t.resumed, 0xffff);
	assert_int_equal(t.piggy, 0xffff);
	assert_int_equal(t.rtt_min, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delay_bins_change_exactly_at_the_edges),
		cmocka_unit_test(gap_bin_is_the_floor_of_log2_of_seconds_plus_one),
		cmocka_unit_test(unknown_d1_is_not_a_small_d1),
		cmocka_unit_test(no_dstar_leaves_ring_and_histogram_alone),
		cmocka_unit_test(ring_keeps_the_last_five_with_their_resumed_bit),
		cmocka_unit_test(the_longest_resumed_dstar_is_not_an_empty_slot),
		cmocka_unit_test(full_histogram_is_halved_and_keeps_its_shape),
		cmocka_unit_test(exchanges_count_gaps_between_them),
		cmocka_unit_test(an_earlier_stamp_is_a_gap_of_nothing),
		cmocka_unit_test(gaps_survive_the_wrap_of_the_stamp),
		cmocka_unit_test(bytes_that_were_held_do_not_move_when_it_was_seen_back),
		cmocka_unit_test(small_counters_saturate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
