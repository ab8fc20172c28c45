/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/state.h and settings.h: a detector over a restart, and its numbers by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "detect/state.h"
#include "detect/stats.h"
#include "model/tallies.h"

#define SECOND NSEC_PER_SEC
#define START  (1767225600ULL * SECOND)
#define SDK    2

static struct detect_config config;
static struct tallies *tallies;
static uint64_t seed, at;

static int set_up(void **state)
{
	seed = 5;
	at = START;
	config = detect_config_default();
	config.window = 10 * SECOND;
	config.baseline_until = START + 300 * SECOND;
	tallies = tallies_new();
	return tallies ? 0 : -1;
}

static int tear_down(void **state)
{
	tallies_free(tallies);
	return 0;
}

static double chance(void)
{
	return ((stats_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
}

static void visit(uint64_t t, struct addr src, double leg)
{
	static const struct tallies_name name = { .stack = SDK, .order = 1 };
	static const struct event_exchange one = { 20, 300, 4000 };
	struct event_conn e = {
		.t = t,
		.src = src,
		.dport = 443,
		.tcp_key = 5,
		.rtt_us = 20000 + 5000 * chance(),
		.d1_us = 1000 * (leg + 0.5 + chance()),
		.d2_us = US_UNKNOWN,
		.dstar_us = 1000 * (leg + 0.5 + chance()),
		.exchanges = &one,
		.n_exchanges = 1,
	};

	assert_int_equal(tallies_connection(tallies, &e, &name), 0);
}

/* One window: 60 honest sources, and from 320 s on 300 exits, each once in 30 s. */
static struct snapshot *window(void)
{
	uint64_t from = at - START;
	struct snapshot *s;

	at += config.window;
	for (uint64_t ms = 0; ms < 10000; ms += 50) {
		uint64_t t = START + from + ms * NSEC_PER_MSEC;

		if (chance() < 0.2)
			visit(t, addr_v4(0x0b000000 + 65536 * (uint32_t)(60 * chance())), 0);
		for (int k = 0; k < 300 && from >= 320 * SECOND; k++)
			if ((from / SECOND * 1000 + ms) % 30000 / 50 == (uint64_t)k * 2)
				visit(t, addr_v4(0x60000000 + ((uint32_t)k * 13 << 16)),
				      30 + k % 40);
	}
	assert_int_equal(tallies_advance(tallies, at), 0);
	assert_int_equal(tallies_snapshot(tallies, false, &s), 0);
	return s;
}

static char *step(struct detect *d, const struct snapshot *s)
{
	_cleanup_(farms_clearp) struct farms farms = {};
	_cleanup_(plan_clearp) struct plan plan = {};
	json_t *doc;
	char *text;

	assert_int_equal(detect_step(d, s, &farms, &plan), 0);
	doc = farms_json(&farms, &plan, NULL);
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	assert_non_null(text);
	return text;
}

static struct detect *copy_of(struct detect *d)
{
	_cleanup_(freep) void *bytes = NULL;
	struct detect *c = detect_new(&config);
	size_t len;

	assert_non_null(c);
	assert_int_equal(detect_save(d, &bytes, &len), 0);
	assert_int_equal(detect_restore(c, bytes, len), 0);
	return c;
}

/* At every window the copy says what the original says: records, baseline, farms. */
static void a_restored_detector_says_what_the_old_one_would_have_said(void **state)
{
	_cleanup_(detect_freep) struct detect *d = detect_new(&config);
	_cleanup_(detect_freep) struct detect *other = detect_new(&config);
	bool flagged = false;

	for (int i = 0; i < 60; i++) {
		_cleanup_(snapshot_freep) struct snapshot *s = window();
		struct detect *fresh = copy_of(other);
		_cleanup_(freep) char *a = NULL, *b = NULL;

		detect_free(other);
		other = fresh;
		a = step(d, s);
		b = step(other, s);
		assert_string_equal(a, b);
		flagged |= strstr(a, "\"flag\"") || strstr(a, "\"propose\"");
	}
	assert_true(flagged);
}

static void damaged_bytes_leave_the_detector_as_new(void **state)
{
	_cleanup_(detect_freep) struct detect *d = detect_new(&config);
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t len;

	for (int i = 0; i < 34; i++) {
		_cleanup_(snapshot_freep) struct snapshot *s = window();

		free(step(d, s));
	}
	assert_int_equal(detect_save(d, (void **)&bytes, &len), 0);
	assert_true(detect_records(d) > 60);
	for (size_t cut = 0; cut < len; cut += 1 + len / 97) {
		assert_int_not_equal(detect_restore(d, bytes, cut), 0);
		assert_int_equal(detect_records(d), 0);
	}
	for (size_t i = 0; i < len; i += 1 + len / 97) {
		bytes[i] ^= 0x40;
		assert_int_not_equal(detect_restore(d, bytes, len), 0);
		assert_int_equal(detect_records(d), 0);
		bytes[i] ^= 0x40;
	}
	bytes[24]++; /* a size in the head: another layout */
	assert_int_equal(detect_restore(d, bytes, len), -EPROTO);
	bytes[24]--;
	assert_int_equal(detect_restore(d, bytes, len), 0);
	assert_true(detect_records(d) > 60);
}

/* The bytes are lost, the database is not: number and times of the farm come back. */
static void a_recalled_farm_keeps_its_number_and_times(void **state)
{
	struct farm was = { .id = "f7",
			    .state = FARM_ENFORCE,
			    .stack = SDK,
			    .service = 443,
			    .watched_at = 11,
			    .flagged_at = 12,
			    .proposed_at = 13,
			    .onset = 10 };
	_cleanup_(detect_freep) struct detect *d = detect_new(&config);
	_cleanup_(farms_clearp) struct farms farms = {};

	assert_int_equal(detect_recall(d, &was), 0);
	for (int i = 0; i < 50; i++) {
		_cleanup_(snapshot_freep) struct snapshot *s = window();

		farms_clear(&farms);
		assert_int_equal(detect_step(d, s, &farms, NULL), 0);
	}
	assert_int_equal(farms.n, 1);
	assert_string_equal(farms.farm[0].id, "f7");
	assert_int_equal(farms.farm[0].state, FARM_ENFORCE);
	assert_int_equal(farms.farm[0].flagged_at, 12);
	assert_int_equal(farms.farm[0].onset, 10);
	assert_true(farms.farm[0].n_members > 250);

	detect_enforced(d, SDK, 443, false);
	farms_clear(&farms);
	{
		_cleanup_(snapshot_freep) struct snapshot *s = window();

		assert_int_equal(detect_step(d, s, &farms, NULL), 0);
	}
	/* It decays, and is flagged again at once while it is still there. */
	assert_true(farms.farm[0].state == FARM_FLAG || farms.farm[0].state == FARM_PROPOSE);
}

static void numbers_of_farms_that_are_gone_do_not_come_back(void **state)
{
	_cleanup_(detect_freep) struct detect *d = detect_new(&config);
	_cleanup_(farms_clearp) struct farms farms = {};

	detect_numbers_above(d, 41);
	for (int i = 0; i < 50; i++) {
		_cleanup_(snapshot_freep) struct snapshot *s = window();

		farms_clear(&farms);
		assert_int_equal(detect_step(d, s, &farms, NULL), 0);
	}
	assert_int_equal(farms.n, 1);
	assert_string_equal(farms.farm[0].id, "f42");
}

/* ---- settings ------------------------------------------------------------------- */

static int set(struct detect_settings *s, const char *key, const char *value)
{
	char why[SETTING_WHY] = "";
	int err = detect_setting(s, key, value, why);

	if (err == -EINVAL)
		assert_int_not_equal(strlen(why), 0);
	return err;
}

static void every_number_has_its_name(void **state)
{
	struct detect_settings s, was;

	detect_settings_default(&s);
	assert_int_equal(s.baseline, 24 * 3600 * SECOND);
	assert_int_equal(set(&s, "window", "10s"), 0);
	assert_int_equal(s.config.window, 10 * SECOND);
	assert_int_equal(set(&s, "baseline", "45s"), 0);
	assert_int_equal(s.baseline, 45 * SECOND);
	assert_int_equal(set(&s, "baseline_until", "2026-01-01T00:00:00Z"), 0);
	assert_int_equal(s.config.baseline_until, START);
	assert_int_equal(set(&s, "min_members", "25"), 0);
	assert_int_equal(s.config.min_members, 25);
	assert_int_equal(set(&s, "spread", "0.7"), 0);
	assert_true(s.config.spread == 0.7);
	assert_int_equal(set(&s, "holdout", "0.02"), 0);
	assert_int_equal(s.config.holdout, 200);
	was = s;
	assert_int_equal(set(&s, "window", "10"), -EINVAL);
	assert_int_equal(set(&s, "window", "0s"), -EINVAL);
	assert_int_equal(set(&s, "min_members", "2.5"), -EINVAL);
	assert_int_equal(set(&s, "min_members", "-3"), -EINVAL);
	assert_int_equal(set(&s, "spread", "nan"), -EINVAL);
	assert_int_equal(set(&s, "spread", ""), -EINVAL);
	assert_int_equal(set(&s, "baseline_until", "soon"), -EINVAL);
	assert_int_equal(set(&s, "windw", "10s"), -ENOENT);
	assert_memory_equal(&s, &was, sizeof(s));
	for (size_t i = 0; detect_setting_name(i); i++)
		assert_int_equal(set(&s, detect_setting_name(i), "?"), -EINVAL);
}

static void clean_time_begins_with_the_oldest_tally(void **state)
{
	struct tally row = { .src = 1, .stack = SDK, .first_seen = 1000, .last_seen = 1000 };
	uint64_t now = (1000ULL << STAMP_SHIFT) + 4 * SECOND, epoch = START;
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(now, epoch);
	struct detect_settings set_to;
	uint64_t began;

	detect_settings_default(&set_to);
	set_to.config.window = 10 * SECOND;
	set_to.baseline = 45 * SECOND;
	assert_int_equal(detect_clean_until(&set_to, s), 0);
	assert_int_equal(snapshot_add(s, &row), 0);
	began = snapshot_ns(s, row.first_seen);
	assert_true(now + epoch - began >= 3 * SECOND && now + epoch - began <= 5 * SECOND);
	assert_int_equal(detect_clean_until(&set_to, s), began + 45 * SECOND);
	/* Tallies from long before are no sign that traffic was clean then. */
	s->time += 60 * SECOND;
	assert_int_equal(detect_clean_until(&set_to, s), s->time + epoch + 45 * SECOND);
	set_to.config.baseline_until = 77;
	assert_int_equal(detect_clean_until(&set_to, s), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_restored_detector_says_what_the_old_one_would_have_said, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(damaged_bytes_leave_the_detector_as_new, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_recalled_farm_keeps_its_number_and_times, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(numbers_of_farms_that_are_gone_do_not_come_back,
						set_up, tear_down),
		cmocka_unit_test(every_number_has_its_name),
		cmocka_unit_test(clean_time_begins_with_the_oldest_tally),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
