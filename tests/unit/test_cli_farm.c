/* SPDX-License-Identifier: BSD-2-Clause */
/* cli/farm_report.h: one farm told to a person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/farm_report.h"

static json_t *farm(const char *stack)
{
	return json_pack(
		"{s:s, s:s, s:s, s:i, s:[s], s:s, s:s, s:s, s:n, s:i, s:f, s:[f,f], s:{s:f, s:f},"
		" s:f, s:f, s:{s:f}, s:s, s:s, s:{s:i, s:i, s:i}, s:[{s:s, s:s, s:f, s:f, s:f, s:f,"
		" s:f, s:s}], s:[{s:i, s:i}, {s:i, s:i}]}",
		"id", "f1", "state", "flag", "stack", stack, "service", 443, "ja4", "t13d_a",
		"onset", "2026-01-01T00:00:00Z", "watched_at", "2026-01-01T00:01:00Z", "flagged_at",
		"2026-01-01T00:02:00Z", "proposed_at", "exchanges_before_flag", 77, "share", 0.892,
		"share_ci", 0.857, 0.926, "evidence", "concealment", 1.5, "coordination", 11.25,
		"bits", 9.75, "prior", -3.0, "without", "coordination", -1.5, "nearest_benign",
		"a fleet", "gate", "spread 0.5, needs 0.6", "stack_sources", "lately", 335, "split",
		300, "when_clean", 40, "explanation", "family", "coordination", "fact", "even",
		"value", 0.25, "error", 0.125, "farm", 0.5, "benign", 1.75, "bits", 11.25, "counts",
		"2112 exchanges of 298 sources", "members", "connections", 3, "exchanges", 7,
		"connections", 4, "exchanges", 9);
}

static char *told(const json_t *f, const json_t *plan)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(f);
	farm_report(out, f, plan);
	fclose(out);
	return text;
}

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void every_number_of_the_verdict_is_in_the_report(void **state)
{
	json_t *f = farm("t13d_stack"),
	       *plan = json_pack(
		       "{s:s, s:[{s:s, s:b, s:s}, {s:s, s:b, s:s}], s:[{s:i, s:s, s:s, s:f}, {s:n, s:s,"
		       " s:s, s:f}], s:[{}], s:{s:f, s:f}, s:f}",
		       "farm", "f1", "gates", "gate", "history", "met", 0, "text",
		       "days: 0, needs 7", "gate", "losses", "met", 1, "text", "losses: 0", "rules",
		       "handle", 5, "action", "reset", "expires", "2026-01-02T00:00:00Z", "holdout",
		       0.02, "handle", "action", "reset", "expires", "2026-01-02T00:00:00Z",
		       "holdout", 0.02, "spared", "collateral", "sources", 0.41, "upper95", 2.0,
		       "stops_exchanges", 2007.0);
	_cleanup_(freep) char *text = told(f, plan);

	(void)state;
	has(text, "Farm f1 - flag");
	has(text, "t13d_stack, port 443");
	has(text, "2 of the 335 sources");
	has(text, "share 89.2%, 95%: 85.7-92.6%");
	has(text, "40 sources when traffic was clean");
	has(text, "7 connections, 16 exchanges of members; 77 exchanges before the flag");
	has(text, "flagged   2026-01-01T00:02:00Z");
	has(text, "proposed  not yet");
	has(text, "even       +11.2  2112 exchanges of 298 sources");
	has(text, "measured 0.25 +- 0.12; a farm 0.50, a fleet 1.75");
	has(text, "decision       +9.8");
	has(text, "What rules out a fleet: 2112 exchanges of 298 sources");
	has(text, "no coordination  it would be -1.5 bits");
	has(text, "2 rules, each on a source with this stack (1 in force); 1 members spared");
	has(text, "until 2026-01-02T00:00:00Z, holdout 2.0%");
	has(text, "stops 2007 of the exchanges so far; innocents among the sources: 0.41 expected, "
		  "at most 2");
	has(text, "held back: spread 0.5, needs 0.6");
	has(text, "not by itself: days: 0, needs 7");
	assert_null(strstr(text, "losses: 0"));
	json_decref(f);
	json_decref(plan);
}

/* 78: names come from the network; a terminal must not obey them. */
static void a_name_cannot_command_the_terminal(void **state)
{
	json_t *f = farm("\x1b]0;owned\x07\nFarm f2");
	_cleanup_(freep) char *text = told(f, NULL);

	(void)state;
	assert_null(strchr(text, 0x1b));
	assert_null(strchr(text, 0x07));
	assert_null(strstr(text, "\nFarm f2"));
	json_decref(f);
}

static void what_is_missing_is_said_not_invented(void **state)
{
	json_t *f = json_object();
	_cleanup_(freep) char *text = told(f, NULL);

	(void)state;
	has(text, "flagged   not yet");
	assert_null(strstr(text, "rules out"));
	assert_null(strstr(text, "in force"));
	json_decref(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_of_the_verdict_is_in_the_report),
		cmocka_unit_test(a_name_cannot_command_the_terminal),
		cmocka_unit_test(what_is_missing_is_said_not_invented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
