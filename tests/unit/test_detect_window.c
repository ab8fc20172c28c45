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

	tally_begin(&t, now >> STAMP_SHIFT);
	return t;
}

static struct record *look(const struct tally *t, bool clean)
{
	struct snapshot *s = snapshot_new(now, 0);

	assert_non_null(s);
	assert_int_equal(snapshot_add(s, t), 0);
	assert_int_equal(windows_update(&w, s, &config, clean, ten_ms, NULL), 0);
	snapshot_free(s);
	now += config.window;
	return &w.records[0];
}

static void only_what_is_new_counts(void **state)
{
	struct tally t = row();
	struct record *r;

	tally_connection(&t, 1, 7, 0);
	tally_exchange(&t, 1);
	look(&t, false);
	tally_connection(&t, 2, 7, 1);
	tally_handshake(&t, 100, 5, 400, HS_RESUMED);
	r = look(&t, false);
	assert_int_equal(r->newer.connections, 2);
	assert_int_equal(r->newer.resumed, 1);
	assert_int_equal(r->newer.split, 1);
	assert_int_equal(r->newer.direct, 0);
	assert_int_equal(r->moved, 0);
}

/* 255 in one bin and one more: the row holds 128; the difference is 1. */
static void a_halved_histogram_gives_the_excess(void **state)
{
	struct tally t = row();
	struct record *r;

	for (int i = 0; i < 255; i++) {
		tally_connection(&t, 1, 7, 0);
		tally_handshake(&t, 100, 5, 5, 0);
	}
	look(&t, false);
	tally_connection(&t, 2, 7, 0);
	tally_handshake(&t, 100, 5, 5, 0);
	r = look(&t, false);
	assert_int_equal(t.d1dstar[0], 128);
	assert_int_equal(r->newer.d1dstar[0], 256);
}

static void a_row_that_went_backwards_was_evicted_and_is_all_new(void **state)
{
	struct tally t = row();

	for (int i = 0; i < 9; i++)
		tally_connection(&t, 1, 7, 0);
	look(&t, false);
	t = row();
	tally_connection(&t, 2, 7, 0);
	assert_int_equal(look(&t, false)->newer.connections, 10);
}

/* Seven handshakes since the last look: five D* are kept, five are classed. */
static void more_handshakes_than_are_kept_are_classed_by_those_kept(void **state)
{
	struct tally t = row();
	struct record *r;

	look(&t, false);
	for (int i = 0; i < 7; i++) {
		tally_connection(&t, 1, 7, 0);
		tally_handshake(&t, 100, 5, i < 4 ? 5 : 400, 0);
	}
	r = look(&t, false);
	assert_int_equal(r->newer.direct, 2);
	assert_int_equal(r->newer.split, 3);
}

static void clean_time_is_history_and_not_lately(void **state)
{
	struct tally t = row();
	struct record *r;

	tally_connection(&t, 1, 7, 0);
	look(&t, true);
	tally_connection(&t, 2, 7, 0);
	r = look(&t, false);
	assert_int_equal(r->clean.connections, 1);
	assert_int_equal(record_lately(r).connections, 1);
	assert_true(r->in_clean);
}

/* A horizon of 4 windows: two generations of 2. */
static void what_is_older_than_the_horizon_is_forgotten(void **state)
{
	struct tally t = row();
	struct record *r = NULL;

	tally_connection(&t, 1, 7, 0);
	for (int i = 0; i < 9; i++)
		r = look(&t, false);
	assert_int_equal(record_lately(r).connections, 0);
	assert_int_equal(r->row.connections, 1);
}

static void median_takes_resumed_and_full_handshakes_apart(void **state)
{
	struct tally t = row();
	uint32_t n;

	tally_handshake(&t, 1, 1, 500, 0);
	tally_handshake(&t, 1, 1, 520, 0);
	tally_handshake(&t, 1, 1, 10, HS_RESUMED);
	tally_handshake(&t, 1, 1, 540, 0);
	tally_handshake(&t, 1, 1, 12, HS_RESUMED);
	assert_int_equal(record_dstar(&t, 3, &n), 520);
	assert_int_equal(n, 3);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
