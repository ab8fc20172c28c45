/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/time.h"

#define SEC NSEC_PER_SEC

static void reads_as(const char *text, uint64_t want)
{
	uint64_t ns = 1;

	if (time_parse(text, &ns) || ns != want)
		fail_msg("%s: %llu ns, not %llu", text, (unsigned long long)ns,
			 (unsigned long long)want);
}

/* The examples of RFC 3339 5.8; seconds from `date -u -d ... +%s`. */
static void the_examples_of_rfc_3339_are_read(void **state)
{
	(void)state;
	reads_as("1985-04-12T23:20:50.52Z", 482196050 * SEC + 520000000);
	reads_as("1996-12-19T16:39:57-08:00", 851042397 * SEC);
	reads_as("1990-12-31T23:59:60Z", 662688000 * SEC);
	reads_as("1990-12-31T15:59:60-08:00", 662688000 * SEC);
	reads_as("1970-01-01T00:20:00.87+00:20", 870000000);
}

static void case_space_and_long_fractions_are_read(void **state)
{
	(void)state;
	reads_as("2026-03-01t12:00:00z", 1772366400 * SEC);
	reads_as("2026-03-01 12:00:00Z", 1772366400 * SEC);
	reads_as("2026-03-01T12:00:00.1234567899Z", 1772366400 * SEC + 123456789);
	reads_as("2024-02-29T00:00:00Z", 1709164800 * SEC);
	reads_as("2000-02-29T00:00:00Z", 951782400 * SEC);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"now",
		"2026",
		"2026-03-01",
		"2026-03-01T12:00Z",
		"2026-03-01T12:00:00",
		"2026-03-01T12:00:00.Z",
		"2026-03-01T12:00:00Zx",
		"2026-03-01T12:00:00Z ",
		" 2026-03-01T12:00:00Z",
		"2026-13-01T12:00:00Z",
		"2026-00-01T12:00:00Z",
		"2026-02-29T12:00:00Z",
		"2100-02-29T12:00:00Z",
		"2026-04-31T12:00:00Z",
		"2026-03-00T12:00:00Z",
		"2026-03-01T24:00:00Z",
		"2026-03-01T12:60:00Z",
		"2026-03-01T12:00:61Z",
		"2026-03-01T12:00:00+0100",
		"2026-03-01T12:00:00+24:00",
		"2026-3-1T12:00:00Z",
		"2026-03-01T12:00:00,5Z",
		"+026-03-01T12:00:00Z",
	};
	uint64_t ns = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (time_parse(bad[i], &ns) != -EINVAL)
			fail_msg("\"%s\" was read", bad[i]);
	assert_int_equal(ns, 99);
}

static void times_that_do_not_fit_are_refused(void **state)
{
	uint64_t ns;

	(void)state;
	assert_int_equal(time_parse("1969-12-31T23:59:59Z", &ns), -ERANGE);
	assert_int_equal(time_parse("1970-01-01T00:00:00+00:01", &ns), -ERANGE);
	assert_int_equal(time_parse("2555-01-01T00:00:00Z", &ns), -ERANGE);
	assert_int_equal(time_parse("9999-12-31T23:59:59Z", &ns), -ERANGE);
	assert_int_equal(time_parse("2554-07-21T23:34:32.999999999Z", &ns), 0);
}

static void fractions_are_cut_and_never_rounded_up(void **state)
{
	char out[TIME_TEXT];

	(void)state;
	assert_string_equal(time_text(0, 0, out), "1970-01-01T00:00:00Z");
	assert_string_equal(time_text(1772366400 * SEC + 999999999, 3, out),
			    "2026-03-01T12:00:00.999Z");
	assert_string_equal(time_text(1772366400 * SEC + 1, 9, out),
			    "2026-03-01T12:00:00.000000001Z");
	assert_string_equal(time_text(1772366400 * SEC + 1, 99, out),
			    "2026-03-01T12:00:00.000000001Z");
	assert_string_equal(time_text(UINT64_MAX, 9, out), "2554-07-21T23:34:33.709551615Z");
}

static void every_time_written_is_read_back(void **state)
{
	char out[TIME_TEXT];

	(void)state;
	for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns = 3 * ns + 7)
		reads_as(time_text(ns, 9, out), ns);
}

static void lasts(const char *text, uint64_t want)
{
	uint64_t ns = 1;

	if (duration_parse(text, &ns) || ns != want)
		fail_msg("%s: %llu ns, not %llu", text, (unsigned long long)ns,
			 (unsigned long long)want);
}

static void durations_are_read_with_their_units(void **state)
{
	(void)state;
	lasts("250ms", 250000000);
	lasts("90s", 90 * SEC);
	lasts("5m", 300 * SEC);
	lasts("24h", 86400 * SEC);
	lasts("7d", 7 * 86400 * SEC);
	lasts("2w", 14 * 86400 * SEC);
	lasts("1h30m", 5400 * SEC);
	lasts("1m5ms", 60 * SEC + 5000000);
	lasts("0s", 0);
}

static void a_duration_without_a_clear_unit_is_refused(void **state)
{
	static const char *const bad[] = {
		"",    "5",   "m",   "5 m",   "5M",   "5min", "-5m", "+5m",  "1.5h",
		"5m ", " 5m", "5m5", "30m1h", "1h1h", "5mm",  "inf", "0x5s", "5s\n",
	};
	uint64_t ns = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (duration_parse(bad[i], &ns) != -EINVAL)
			fail_msg("\"%s\" was read", bad[i]);
	assert_int_equal(ns, 99);
}

static void durations_that_overflow_are_refused(void **state)
{
	uint64_t ns;

	(void)state;
	assert_int_equal(duration_parse("99999999999999999999s", &ns), -ERANGE);
	assert_int_equal(duration_parse("18446744074s", &ns), -ERANGE);
	assert_int_equal(duration_parse("30500w3d", &ns), 0);
	assert_int_equal(duration_parse("30500w4d", &ns), -ERANGE);
	assert_int_equal(duration_parse("213503d23h34m34s", &ns), -ERANGE);
}

static void durations_are_written_in_their_largest_units(void **state)
{
	char out[DURATION_TEXT];

	(void)state;
	assert_string_equal(duration_text(0, 0, out), "0s");
	assert_string_equal(duration_text(999999, 0, out), "0s");
	assert_string_equal(duration_text(90 * SEC, 0, out), "1m30s");
	assert_string_equal(duration_text(86400 * SEC, 0, out), "1d");
	assert_string_equal(duration_text(86400 * SEC + 1, 2, out), "1d");
	assert_string_equal(duration_text((86400 + 3661) * SEC, 2, out), "1d1h");
	assert_string_equal(duration_text(86400 * SEC + 59 * SEC, 2, out), "1d");
	assert_string_equal(duration_text(UINT64_MAX, 0, out), "213503d23h34m33s709ms");
}

static void every_duration_written_is_read_back(void **state)
{
	char out[DURATION_TEXT];

	(void)state;
	for (uint64_t ms = 1; ms < UINT64_MAX / NSEC_PER_MSEC / 3; ms = 3 * ms + 7)
		lasts(duration_text(ms * NSEC_PER_MSEC, 0, out), ms * NSEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_rfc_3339_are_read),
		cmocka_unit_test(case_space_and_long_fractions_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(times_that_do_not_fit_are_refused),
		cmocka_unit_test(fractions_are_cut_and_never_rounded_up),
		cmocka_unit_test(every_time_written_is_read_back),
		cmocka_unit_test(durations_are_read_with_their_units),
		cmocka_unit_test(a_duration_without_a_clear_unit_is_refused),
		cmocka_unit_test(durations_that_overflow_are_refused),
		cmocka_unit_test(durations_are_written_in_their_largest_units),
		cmocka_unit_test(every_duration_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
