/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "export/metrics.h"

static void a_text_is_as_prometheus_describes_it(void **state)
{
	struct metrics m = {};
	_cleanup_(freep) char *text = NULL;
	size_t len;

	(void)state;
	metric(&m, METRIC_PANIC, 0, NULL);
	metric(&m, METRIC_FARMS, 3, "state", "flag", NULL);
	metric(&m, METRIC_FARMS, 0.25, "state", "watch", NULL);
	metric(&m, METRIC_RULES, 9007199254740991.0, "action", "drop", "origin", "farm", NULL);
	text = metrics_end(&m, &len);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text,
			    "# HELP winnow_panic 1 while panic lets everything pass.\n"
			    "# TYPE winnow_panic gauge\n"
			    "winnow_panic 0\n"
			    "# HELP winnow_farms Farms by state.\n"
			    "# TYPE winnow_farms gauge\n"
			    "winnow_farms{state=\"flag\"} 3\n"
			    "winnow_farms{state=\"watch\"} 0.25\n"
			    "# HELP winnow_rules Rules by action and origin.\n"
			    "# TYPE winnow_rules gauge\n"
			    "winnow_rules{action=\"drop\",origin=\"farm\"} 9.00719925474099e+15\n");
}

/* One label value as written. */
static void written_as(const char *value, const char *want)
{
	struct metrics m = {};
	_cleanup_(freep) char *text = NULL;
	char line[256];
	size_t len;

	metric(&m, METRIC_INTERFACE_UP, 1, "interface", value, NULL);
	text = metrics_end(&m, &len);
	snprintf(line, sizeof(line), "\nwinnow_interface_up{interface=\"%s\"} 1\n", want);
	if (!strstr(text, line))
		fail_msg("%s: not in\n%s", line, text);
}

/* Fault 92. */
static void a_label_cannot_write_another_series(void **state)
{
	(void)state;
	written_as("eth0", "eth0");
	written_as("a\"} 1\nwinnow_panic 1", "a\\\"} 1\\nwinnow_panic 1");
	written_as("a\\", "a\\\\");
	written_as("caf\xc3\xa9", "caf\xc3\xa9");
	written_as("\xff\xc3", "\\\\xff\\\\xc3");
	written_as("\xc0\xaf", "\\\\xc0\\\\xaf");            /* overlong */
	written_as("\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80"); /* a surrogate */
	written_as(NULL, "");
}

/* Fault 92. Others' series first, so that an attacker of one family cannot push out
 * what says so. */
static void series_are_capped_and_the_missing_are_counted(void **state)
{
	struct metrics m = {};
	_cleanup_(freep) char *text = NULL;
	size_t len, series = 0;
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "eth%d", i);
		metric(&m, METRIC_INTERFACE_UP, 1, "interface", name, NULL);
	}
	metrics_process(&m);
	text = metrics_end(&m, &len);
	for (char *line = text; line && *line; line = strchr(line, '\n') + 1)
		series += *line != '#';
	assert_int_equal(series, METRICS_SERIES_MAX);
	assert_non_null(strstr(text, "\nwinnow_metrics_dropped_series 508\n"));
	assert_non_null(strstr(text, "\nprocess_start_time_seconds "));
}

static double value_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtod(at + strlen(name), NULL);
}

static double heap_bytes(void)
{
	struct metrics m = {};
	_cleanup_(freep) char *text = NULL;
	size_t len;

	metrics_process(&m);
	text = metrics_end(&m, &len);
	return value_of(text, "\nwinnow_heap_bytes ");
}

static void a_process_knows_itself(void **state)
{
	struct metrics m = {};
	_cleanup_(freep) char *text = NULL;
	size_t len;
	double fds;

	(void)state;
	metrics_process(&m);
	text = metrics_end(&m, &len);
	fds = value_of(text, "\nprocess_open_fds ");
	assert_true(fds >= 3);
	assert_true(value_of(text, "\nprocess_resident_memory_bytes ") > 100000);
	assert_true(value_of(text, "\nprocess_start_time_seconds ") > time(NULL) - 3600);
	assert_true(value_of(text, "\nprocess_start_time_seconds ") < time(NULL) + 2);
	free(text);
	assert_int_equal(dup(0) >= 0, 1);
	metrics_process(&m);
	text = metrics_end(&m, &len);
	assert_int_equal(value_of(text, "\nprocess_open_fds "), fds + 1);
}

/* Large and small: mapped by itself, and a piece of the heap. */
static void what_is_allocated_is_said_and_no_more(void **state)
{
	static const size_t lens[] = { 8 << 20, 5000 };
	double before, with, after;
	void *more;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	puts("skipped: mallinfo2() knows nothing of ASan's allocator");
	skip();
#endif
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		before = heap_bytes();
		more = malloc(lens[i]);
		assert_non_null(more);
		with = heap_bytes();
		free(more);
		after = heap_bytes();
		assert_true(with >= before + lens[i] && with < before + lens[i] + 5000);
		assert_true(after < with);
	}
}

static void names_follow_the_conventions(void **state)
{
	(void)state;
	for (int f = 0; f < METRIC_FAMILY_MAX; f++) {
		const struct metric_family_info *i = &metric_families[f];
		size_t len = strlen(i->name);

		assert_true(!strncmp(i->name, "winnow_", 7) || !strncmp(i->name, "process_", 8));
		for (size_t k = 0; k < len; k++)
			assert_true(islower(i->name[k]) || i->name[k] == '_');
		assert_int_equal(!strcmp(i->type, "counter"),
				 len > 6 && !strcmp(i->name + len - 6, "_total"));
		assert_null(strpbrk(i->help, "\n\\"));
		/* Nothing that names a person or grows with the traffic. */
		assert_null(strstr(i->labels, "src"));
		assert_null(strstr(i->labels, "address"));
		assert_null(strstr(i->labels, "stack"));
		assert_null(strstr(i->labels, "ja"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_as_prometheus_describes_it),
		cmocka_unit_test(a_label_cannot_write_another_series),
		cmocka_unit_test(series_are_capped_and_the_missing_are_counted),
		cmocka_unit_test(a_process_knows_itself),
		cmocka_unit_test(what_is_allocated_is_said_and_no_more),
		cmocka_unit_test(names_follow_the_conventions),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
