/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/window.h: what changed between two cumulative rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "detect/window.h"
#include "tally.h"

static struct windows w;
static struct detect_config config;
static uint64_t now;

static uint32_t ten_ms(const void *ctx, uint64_t stack, uint16_t rtt_min)
{
	return 100;
}

static int set_up(void **state)
{
	windows_init(&w);
	config = detect_config_default();
	config.horizon = 4;
	now = 1000 * NSEC_PER_SEC;
	return 0;
}

static int tear_down(void **state)
{
	windows_clear(&w);
	return 0;
}

static struct tally row(void)
{
	struct tally t = { .src = 1, .stack = 2, .service = 443, .family = 4, .proto = 6 };

	t.last_seen = now >> STAMP_SHIFT;
	tally_begin(&t.row, t.last_seen);
	return t;
}

static struct counts counts;

static const struct slice *look(const struct tally *t, bool clean)
{
	struct snapshot *s = snapshot_new(now, 0);

	assert_non_null(s);
	assert_int_equal(snapshot_add(s, t), 0);
	assert_int_equal(windows_update(&w, s, &config, clean, ten_ms, NULL), 0);
	snapshot_free(s);
	now += config.window;
	record_counts(&w, 0, &counts);
	return &counts.slice[w.newest];
}

static void only_what_is_new_counts(void **state)
{
	struct tally t = row();
	const struct slice *r;

	tally_connection(&t.row, 7, 0);
	tally_exchange(&t.row, 1);
	look(&t, false);
	tally_connection(&t.row, 7, 1);
	tally_handshake(&t.row, 100, 5, 400, HS_RESUMED);
	r = look(&t, false);
	assert_int_equal(r->connections, 2);
	assert_int_equal(r->resumed, 1);
	assert_int_equal(r->split, 1);
	assert_int_equal(r->direct, 0);
	assert_int_equal(w.records[0].moved, 0);
}

/* 255 in one bin and one more: the row holds 128; the difference is 1. */
static void a_halved_histogram_gives_the_excess(void **state)
{
	struct tally t = row();
	const struct slice *r;

	for (int i = 0; i < 255; i++) {
		tally_connection(&t.row, 7, 0);
		tally_handshake(&t.row, 100, 5, 5, 0);
	}
	look(&t, false);
	tally_connection(&t.row, 7, 0);
	tally_handshake(&t.row, 100, 5, 5, 0);
	r = look(&t, false);
	assert_int_equal(t.d1dstar[0], 128);
	assert_int_equal(counts_lately(&counts).connections, 256);
	/* The slice is halved, too: 255 and one more. */
	assert_int_equal(r->d1dstar[0], 128);
}

static void a_row_that_went_backwards_was_evicted_and_is_all_new(void **state)
{
	struct tally t = row();

	for (int i = 0; i < 9; i++)
		tally_connection(&t.row, 7, 0);
	look(&t, false);
	t = row();
	tally_connection(&t.row, 7, 0);
	assert_int_equal(look(&t, false)->connections, 10);
}

/* Seven handshakes since the last look: five D* are kept, five are classed. */
static void more_handshakes_than_are_kept_are_classed_by_those_kept(void **state)
{
	struct tally t = row();
	const struct slice *r;

	look(&t, false);
	for (int i = 0; i < 7; i++) {
		tally_connection(&t.row, 7, 0);
		tally_handshake(&t.row, 100, 5, i < 4 ? 5 : 400, 0);
	}
	r = look(&t, false);
	assert_int_equal(r->direct, 2);
	assert_int_equal(r->split, 3);
}

static void clean_time_is_history_and_not_lately(void **state)
{
	struct tally t = row();

	tally_connection(&t.row, 7, 0);
	look(&t, true);
	tally_connection(&t.row, 7, 0);
	look(&t, false);
	assert_int_equal(counts.clean.connections, 1);
	assert_int_equal(counts_lately(&counts).connections, 1);
	assert_true(w.records[0].in_clean);
}

/* A horizon of 4 windows: four generations of one. */
static void what_is_older_than_the_horizon_is_forgotten(void **state)
{
	struct tally t = row();

	tally_connection(&t.row, 7, 0);
	for (int i = 0; i < 9; i++)
		look(&t, false);
	assert_int_equal(counts_lately(&counts).connections, 0);
	assert_int_equal(counts.row.connections, 1);
}

static struct counts many_counts(uint64_t seed)
{
	struct counts c = {};
	uint8_t *at = (uint8_t *)&c;

	for (size_t i = 0; i < offsetof(struct counts, zero); i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		if (seed >> 62 == 0)
			at[i] = seed >> 40;
	}
	for (int k = 0; k < SLICES; k++)
		c.slice[k].zero = 0;
	return c;
}

/* Everything of the views; of the row what is said to be kept. */
static void packed_counts_are_the_same_counts(void **state)
{
	uint8_t packed[COUNTS_MOST];

	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct counts c = many_counts(seed), back;
		size_t len = counts_pack(&c, packed);

		assert_true(counts_whole(packed, len));
		assert_false(counts_whole(packed, len - 1));
		counts_unpack(packed, &back);
		assert_memory_equal(&back.clean, &c.clean, sizeof(c.clean));
		assert_memory_equal(back.slice, c.slice, sizeof(c.slice));
		assert_memory_equal(back.row.d1dstar, c.row.d1dstar, sizeof(c.row.d1dstar));
		assert_memory_equal(back.row.gaps, c.row.gaps, sizeof(c.row.gaps));
		assert_memory_equal(back.row.dstar, c.row.dstar, sizeof(c.row.dstar));
		assert_int_equal(back.row.state, c.row.state);
		assert_int_equal(back.row.tcp_key, c.row.tcp_key);
	}
}

/* Full to the last byte they still have room. */
static void counts_without_a_zero_fit(void **state)
{
	uint8_t packed[COUNTS_MOST];
	struct counts c, back;

	memset(&c, 0x5a, sizeof(c));
	assert_in_range(counts_pack(&c, packed), 400, COUNTS_MOST - COUNTS_SLACK);
	counts_unpack(packed, &back);
	assert_memory_equal(&back.clean, &c.clean, sizeof(c.clean));
}

/* A generation that comes round again begins empty, though its slice was never cleared.
 * Generations turn with each window but the first. */
static void a_generation_that_comes_round_is_empty(void **state)
{
	struct tally t = row();

	for (uint32_t i = 0; i < 3 * SLICES; i++) {
		tally_connection(&t.row, 7, 0);
		tally_exchange(&t.row, i);
		assert_int_equal(look(&t, false)->connections, i == 1 ? 2 : 1);
	}
	assert_int_equal(counts_lately(&counts).connections, SLICES);
	assert_true(record_active(&w.records[0]));
}

static void median_takes_resumed_and_full_handshakes_apart(void **state)
{
	struct tally t = row();
	uint32_t n;

	tally_handshake(&t.row, 1, 1, 500, 0);
	tally_handshake(&t.row, 1, 1, 520, 0);
	tally_handshake(&t.row, 1, 1, 10, HS_RESUMED);
	tally_handshake(&t.row, 1, 1, 540, 0);
	tally_handshake(&t.row, 1, 1, 12, HS_RESUMED);
	assert_int_equal(record_dstar(&t, 3, &n), 520);
	assert_int_equal(n, 3);
}

/* 45: made-up hellos, each a stack of its own, from one address: no more are kept than
 * a large NAT shows, the rest is counted, and others are kept as before. */
static void an_address_that_makes_up_stacks_fills_no_table(void **state)
{
	struct snapshot *s = snapshot_new(now, 0);
	struct randomiser told[2];
	struct tally t = row();

	for (uint64_t i = 0; i < 100000; i++) {
		t.stack = 1000 + i;
		assert_int_equal(snapshot_add(s, &t), 0);
	}
	t = row();
	t.src = 2;
	assert_int_equal(snapshot_add(s, &t), 0);
	assert_int_equal(windows_update(&w, s, &config, false, ten_ms, NULL), 0);
	assert_int_equal(w.n, RANDOM_STACKS + 1);
	assert_int_equal(w.cohorts.n, RANDOM_STACKS + 1);
	assert_int_equal(w.random_hellos, 100000 - RANDOM_STACKS);
	assert_int_equal(record_id(&w, w.n - 1)->src, 2);
	assert_int_equal(windows_randomisers(&w, told, 2), 1);
	assert_int_equal(told[0].src, row().src);
	assert_int_equal(told[0].stacks, RANDOM_STACKS);
	snapshot_free(s);
}

/* Three horizons after it last did anything a record is gone, and the last one has its
 * number, its cohort and its values. */
static void a_record_that_is_still_for_long_is_forgotten_whole(void **state)
{
	struct tally still = row(), busy = row();

	look(&still, false);
	busy.src = 7;
	busy.stack = 9;
	for (int i = 0; i < 4 * 3 + 4; i++) {
		tally_connection(&busy.row, 7, 0);
		busy.last_seen = now >> STAMP_SHIFT;
		look(&busy, false);
	}
	assert_int_equal(w.n, 1);
	assert_int_equal(record_id(&w, 0)->src, 7);
	record_counts(&w, 0, &counts);
	assert_int_equal(counts.row.src, 7);
	assert_int_equal(w.cohorts.n, 1);
	assert_int_equal(w.cohort[0], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(only_what_is_new_counts),
		T(a_halved_histogram_gives_the_excess),
		T(a_row_that_went_backwards_was_evicted_and_is_all_new),
		T(more_handshakes_than_are_kept_are_classed_by_those_kept),
		T(clean_time_is_history_and_not_lately),
		T(what_is_older_than_the_horizon_is_forgotten),
		T(median_takes_resumed_and_full_handshakes_apart),
		cmocka_unit_test_setup_teardown(an_address_that_makes_up_stacks_fills_no_table,
						set_up, tear_down),
		cmocka_unit_test(packed_counts_are_the_same_counts),
		cmocka_unit_test(counts_without_a_zero_fit),
		cmocka_unit_test_setup_teardown(a_generation_that_comes_round_is_empty, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_record_that_is_still_for_long_is_forgotten_whole,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
