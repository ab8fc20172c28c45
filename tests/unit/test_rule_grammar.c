/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "model/rule.h"
#include "model/rule_json.h"

#define JA4   "t13d1516h2_8daaf6152771_02713d6af862"
#define RAW   "t13d0302h2_1301,1302,1303_0005,000a_0403,0804"
#define STACK "t13d1515h2_8daaf6152771_aaaaaaaaaaaa"

static void reads_as(const char *text, const char *canonical)
{
	_cleanup_(rule_spec_clear) struct rule_spec a = {}, b = {};
	_cleanup_(freep) char *out = NULL;
	struct reason r = {};

	if (rule_parse(text, &a, &r))
		fail_msg("%s: %s", text, r.text);
	out = rule_format(&a);
	assert_string_equal(out, canonical);
	assert_int_equal(rule_parse(out, &b, &r), 0);
	assert_true(rule_spec_equal(&a, &b));
}

static void refused(const char *text, const char *says)
{
	_cleanup_(rule_spec_clear) struct rule_spec s = {};
	struct reason r = {};

	if (rule_parse(text, &s, &r) != -EINVAL)
		fail_msg("taken: %s", text);
	if (!strstr(r.text, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, r.text, says);
	assert_null(s.reason);
}

static void each_clause_reads_back_as_it_was_written(void **state)
{
	(void)state;
	reads_as("src 203.0.113.9 action drop reason ticket 4711",
		 "src 203.0.113.9 action drop reason ticket 4711");
	reads_as("src 2001:DB8::/64 stack " STACK " action reset for 90m reason x",
		 "src 2001:db8::/64 stack " STACK " action reset for 1h30m reason x");
	reads_as("ja4 " RAW " order 00ff00ff00ff action reject reason x",
		 "ja4 " RAW " order 00ff00ff00ff action reject reason x");
	reads_as("stack " STACK " state d1>=3ms state split>=3 state resumed=0 state seen>=7 "
		 "state age<=2d action count reason x",
		 "stack " STACK " state split>=3 state resumed=0 state seen>=7 state age<=2d "
		 "state d1>=3ms action count reason x");
	reads_as("stack " STACK " state dstar>=34ms state d1>=34ms action reset reason x",
		 "stack " STACK " state d1>=34ms state dstar>=34ms action reset reason x");
	reads_as("ja4 " JA4 " state split>=2@40ms action drop reason x",
		 "ja4 " JA4 " state split>=2@40ms action drop reason x");
	reads_as("action limit 0.25/s all src 10.1.0.0/16 reason x",
		 "src 10.1.0.0/16 action limit 0.250/s all reason x");
	reads_as("src 10.1.2.3 ports any action drop for 7d existing keep reason x",
		 "src 10.1.2.3 action drop ports any for 7d existing keep reason x");
}

static void the_reason_keeps_its_words_and_needs_them(void **state)
{
	(void)state;
	reads_as("src 10.0.0.1 action drop reason   two  words of caf\xc3\xa9  ",
		 "src 10.0.0.1 action drop reason two  words of caf\xc3\xa9");
	reads_as("src 10.0.0.1 action drop reason action drop reason",
		 "src 10.0.0.1 action drop reason action drop reason");
	refused("src 10.0.0.1 action drop", "reason is missing");
	refused("src 10.0.0.1 action drop reason", "a text that says why");
	refused("src 10.0.0.1 action drop reason   ", "a text that says why");
	refused("src 10.0.0.1 action drop reason bell\a", "at byte 5");
	refused("src 10.0.0.1 action drop reason \xff\xfe", "no UTF-8");
	refused("src 10.0.0.1 action drop reason \xed\xa0\x80", "no UTF-8");
}

static void an_error_names_the_word_and_what_was_expected(void **state)
{
	(void)state;
	refused("", "matches everything");
	refused("action drop reason x", "expected src, ja4, stack or order");
	refused("source 10.0.0.1 action drop reason x", "word 1 is \"source\", expected src,");
	refused("src 10.0.0.1/8 action drop reason x", "word 2 is \"10.0.0.1/8\"");
	refused("src 10.0.0.1/8 action drop reason x", "without bits behind its prefix");
	refused("src 300.0.0.1 action drop reason x", "expected an address or network");
	refused("src", "the rule ends here");
	refused("src 10.0.0.1 src 10.0.0.2 action drop reason x", "each clause but state once");
	refused("src 10.0.0.1 reason x", "action is missing");
	refused("src 10.0.0.1 action explode reason x", "word 4 is \"explode\"");
	refused("src 10.0.0.1 action none reason x", "expected pass, count");
	refused("src 10.0.0.1 action limit drop reason x", "a rate like 10/s");
	refused("src 10.0.0.1 action limit 0/s reason x", "a rate");
	refused("src 10.0.0.1 action limit 0.0001/s reason x", "a rate");
	refused("src 10.0.0.1 action limit 1000001/s reason x", "a rate");
	refused("src 10.0.0.1 action limit 99999999999999999999/s reason x", "a rate");
	refused("src 10.0.0.1 action drop for 5 reason x", "expected a duration");
	refused("src 10.0.0.1 action drop for 500ms reason x", "expected a duration");
	refused("src 10.0.0.1 action drop ports 443 reason x", "expected any");
	refused("stack " STACK " action drop ports any reason x", "src alone");
	refused("src 10.0.0.1 action drop existing maybe reason x", "keep or drop");
	refused("ja4 " JA4 " action drop existing drop reason x", "src and stack alone");
	refused("stack x action drop reason x", "word 2 is \"x\"");
	refused("order 0 action drop reason x", "12 hex digits");
	refused("order 001b,grease action drop reason x", "12 hex digits");
	refused("src 10.0.0.1 state split>=6 action drop reason x", "1 to 5");
	refused("src 10.0.0.1 state split>=3 state split>=2 action drop reason x", "once");
	refused("src 10.0.0.1 state seen>=0 action drop reason x", "N from 1");
	refused("src 10.0.0.1 state seen>=4294967296 action drop reason x", "N from 1");
	refused("src 10.0.0.1 state age<=400d action drop reason x", "365d");
	refused("src 10.0.0.1 state d1>=4s action drop reason x", "3276ms");
	refused("src 10.0.0.1 state dstar>=0s action drop reason x", "3276ms");
	refused("src 10.0.0.1 state resumed=1 action drop reason x", "resumed=0");
}

static void names_and_raw_forms_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(fp_form(JA4), FP_SHORT);
	assert_int_equal(fp_form(RAW), FP_RAW);
	assert_int_equal(fp_form("t13i0000"
				 "00_000000000000_000000000000"),
			 FP_SHORT);
	assert_int_equal(fp_form("t10i010000_002f_"), FP_RAW);
	assert_int_equal(fp_form("t10i000000__"), FP_RAW);
	assert_int_equal(fp_form("t13d0302h2_1301,_0005"), FP_NONE);
	assert_int_equal(fp_form("t13d0302h2_1301_0005_"), FP_NONE);
	assert_int_equal(fp_form("t13d0302h2_1301_0005_0403_0403"), FP_NONE);
	assert_int_equal(fp_form("t13d0302h2_1301"), FP_NONE);
	assert_int_equal(fp_form("t13d0302h2"), FP_NONE);
	assert_int_equal(fp_form("x13d0302h2_1301_0005"), FP_NONE);
	assert_int_equal(fp_form("key:00ff00ff00ff00ff"), FP_KEY);
	assert_int_equal(fp_form("key:0000000000000000"), FP_NONE);
	assert_int_equal(fp_form("key:00ff00ff00ff00f"), FP_NONE);
	assert_int_equal(order_form("GREASE,001b,0000"), FP_RAW);
	assert_int_equal(order_form("00ff00ff00ff"), FP_SHORT);
	assert_int_equal(order_form("GREASE,"), FP_NONE);
	assert_int_equal(fp_form(""), FP_NONE);
	assert_int_equal(fp_form("t13d1516h2_8DAAF6152771_02713d6af862"), FP_NONE);
}

/* xorshift: the same rules in every run. */
static uint64_t seed = 88172645463325252ULL;
static uint64_t any(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static struct rule_spec any_spec(void)
{
	struct rule_spec s = { .action = 1 + any(RULE_ACTION_MAX - 1),
			       .reason = strdup("why not") };
	bool fp = any(2);

	if (any(2) || !fp) {
		s.has_src = true;
		s.src.plen = any(2) ? 96 + any(33) : any(129);
		s.src.net = s.src.plen >= 96 && any(2)
				    ? addr_v4(any(1ULL << 32))
				    : (struct addr){ any(UINT64_MAX), any(UINT64_MAX) };
		s.src.net = addr_mask(s.src.net, s.src.plen);
	}
	if (fp && any(2))
		s.ja4 = strdup(any(2) ? JA4 : RAW);
	if (fp && any(2))
		s.stack = strdup(any(2) ? STACK : RAW);
	if (fp && (any(2) || (!s.ja4 && !s.stack)))
		s.order = strdup(any(2) ? "00ff00ff00ff" : "GREASE,001b,0000,GREASE");
	if (any(2)) {
		s.split_min = 1 + any(5);
		s.split_dstar = any(2) ? RULE_SPLIT_DEFAULT : 10 * (1 + any(3276));
	}
	s.not_resumed = any(2);
	s.seen_min = any(2) ? any(UINT32_MAX) : 0;
	s.age_max = any(2) ? NSEC_PER_SEC + any(1000000) * NSEC_PER_MSEC : 0;
	s.d1_min = any(2) ? 10 * any(3276) : 0;
	s.dstar_min = any(2) ? 10 * any(3276) : 0;
	if (s.action == RULE_LIMIT) {
		s.rate = 1 + any(RULE_RATE_MAX);
		s.limit_all = any(2);
	}
	s.ports_any = !fp && !rule_asks_state(&s) && any(2);
	s.existing_keep = !rule_can_sweep(&s) || any(2);
	s.lifetime = any(2) ? NSEC_PER_SEC + any(100000000) * NSEC_PER_MSEC : 0;
	return s;
}

static void any_rule_survives_its_own_text(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		_cleanup_(rule_spec_clear) struct rule_spec a = any_spec(), b = {};
		_cleanup_(freep) char *text = rule_format(&a);
		struct reason r = {};

		if (rule_parse(text, &b, &r))
			fail_msg("%s: %s", text, r.text);
		if (!rule_spec_equal(&a, &b))
			fail_msg("changed: %s", text);
	}
}

/* Any mangled rule is taken whole or refused with a sentence; under SAN=1 this
 * also shows that no byte outside it is read. */
static void a_mangled_rule_is_a_rule_or_an_error(void **state)
{
	int taken = 0, errors = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		_cleanup_(rule_spec_clear) struct rule_spec a = any_spec(), b = {};
		_cleanup_(freep) char *text = rule_format(&a);
		struct reason r = {};
		size_t n = strlen(text);

		for (int k = 0; k < 2; k++)
			text[any(n)] = any(4) ? ' ' + any(95) : any(256);
		if (rule_parse(text, &b, &r)) {
			assert_true(r.text[0]);
			assert_null(b.reason);
			errors++;
		} else {
			_cleanup_(freep) char *again = rule_format(&b);
			_cleanup_(rule_spec_clear) struct rule_spec c = {};

			assert_int_equal(rule_parse(again, &c, &r), 0);
			assert_true(rule_spec_equal(&b, &c));
			taken++;
		}
	}
	assert_true(taken > 100 && errors > 100);
}

static void words_of_a_command_line_are_taken_as_they_are(void **state)
{
	const char *const word[] = { "src", "10.0.0.1", "action", "drop", "reason", "a b", "c" };
	_cleanup_(rule_spec_clear) struct rule_spec s = {};
	struct reason r;

	(void)state;
	assert_int_equal(rule_parse_words(word, 7, &s, &r), 0);
	assert_string_equal(s.reason, "a b c");
}

static void a_slot_says_what_the_rule_said(void **state)
{
	struct rule_entry e = { .handle = 7, .gen = 9, .canary = 10000 };
	struct rule out;
	struct reason r;

	(void)state;
	assert_int_equal(
		rule_parse(
			"src 10.1.0.0/16 stack " STACK " state age<=10s state d1>=4ms "
			"state split>=2 state resumed=0 state seen>=3 state dstar>=7ms action limit 2.5/s "
			"all reason x",
			&e.spec, &r),
		0);
	e.expires_boot = 123456789;
	rule_slot(&e, true, &out);
	assert_int_equal(out.handle, 7);
	assert_int_equal(out.gen, 9);
	assert_int_equal(out.expires, 123456789);
	assert_int_equal(out.plen, 112);
	assert_int_equal(out.age_max, STAMP_PER_SECOND(10));
	assert_int_equal(out.d1_min, 40);
	assert_int_equal(out.dstar_min, 70);
	assert_int_equal(out.split_min, 2);
	assert_int_equal(out.split_dstar, 100);
	assert_int_equal(out.seen_min, 3);
	assert_int_equal(out.rate, 2500);
	assert_int_equal(out.burst, 2500);
	assert_int_equal(out.flags, RULE_EXISTING_KEEP | RULE_SHADOW | RULE_NOT_RESUMED |
					    RULE_HAS_D1 | RULE_HAS_AGE | RULE_LIMIT_ALL |
					    RULE_HAS_DSTAR);
	rule_entry_clear(&e);
}

static void a_rule_prints_as_the_contract_says(void **state)
{
	struct rule_entry e = {
		.handle = 42, .canary = 10000, .holdout = 200, .expires = 1772366400123000000ULL
	};
	struct rule_hits hits = { .connections = 3, .packets = 5, .bytes = 700, .would = 2 };
	struct reason r;
	json_t *j, *m;

	(void)state;
	assert_int_equal(rule_parse("src 10.0.0.1 stack " STACK
				    " state seen>=2 action reset for 1h "
				    "reason \"quoted\"",
				    &e.spec, &r),
			 0);
	j = rule_json(&e, &hits);
	assert_non_null(j);
	m = json_object_get(j, "match");
	assert_int_equal(json_integer_value(json_object_get(j, "handle")), 42);
	assert_string_equal(json_string_value(json_object_get(m, "src")), "10.0.0.1");
	assert_string_equal(json_string_value(json_object_get(m, "stack")), STACK);
	assert_true(json_is_null(json_object_get(m, "ja4")));
	assert_string_equal(json_string_value(json_object_get(j, "action")), "reset");
	assert_string_equal(json_string_value(json_object_get(j, "expires")),
			    "2026-03-01T12:00:00.123Z");
	assert_string_equal(json_string_value(json_object_get(j, "origin")), "operator");
	assert_string_equal(json_string_value(json_object_get(j, "reason")), "\"quoted\"");
	assert_true(json_is_false(json_object_get(j, "bound")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "hits"), "bytes")),
			 700);
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(j, "would_hit"), "connections")),
			 2);
	assert_true(json_real_value(json_object_get(j, "holdout")) == 0.02);
	json_decref(j);
	rule_entry_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_clause_reads_back_as_it_was_written),
		cmocka_unit_test(the_reason_keeps_its_words_and_needs_them),
		cmocka_unit_test(an_error_names_the_word_and_what_was_expected),
		cmocka_unit_test(names_and_raw_forms_are_told_apart),
		cmocka_unit_test(any_rule_survives_its_own_text),
		cmocka_unit_test(a_mangled_rule_is_a_rule_or_an_error),
		cmocka_unit_test(words_of_a_command_line_are_taken_as_they_are),
		cmocka_unit_test(a_slot_says_what_the_rule_said),
		cmocka_unit_test(a_rule_prints_as_the_contract_says),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
