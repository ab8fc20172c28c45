/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/rotation.h: a farm that takes another /64 of its own network. Fault 53. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "detect/rotation.h"
#include "model/rule.h"
#include "model/rule_json.h"

#define RULES 400
#define HOME  0x20010db800010000ULL /* 2001:db8:1::/48 */

static struct plan_rule rules[RULES + ROTATION_MOST];

/* A member whose rule asks for delays. */
static struct plan_rule member(uint64_t src, uint16_t dstar)
{
	return (struct plan_rule){ .src = src,
				   .family = 6,
				   .stack = 7,
				   .d1_min = dstar - 50,
				   .dstar_min = dstar,
				   .holdout = 200,
				   .expires = 1000,
				   .seen = dstar };
}

static void a_home_whose_sources_are_all_members_is_named(void **state)
{
	struct rule_entry e;
	char text[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < 8; i++) /* backwards: the order is nobody's promise */
		rules[i] = member(HOME | 0x100 | (9 * (7 - i)), 300 + 10 * i);
	assert_int_equal(rotation_rules(rules, 8, NULL, 0), 1);
	assert_int_equal(rules[8].src, HOME | 0x100);
	assert_int_equal(rules[8].plen, 56);
	assert_int_equal(rules[8].dstar_min, 300); /* the least that one of them asks for */
	assert_int_equal(rules[8].d1_min, 250);
	assert_int_equal(rules[8].seen, 370);
	assert_true(rules[8].doubt == .1);
	assert_int_equal(plan_rule_entry(&rules[8], "f1", "t13d", &e), 0);
	assert_string_equal(cidr_text(&e.spec.src, text), "2001:db8:1:100::/56");
	assert_true(rule_asks_state(&e.spec) && !rule_names_source(&e.spec));
	rule_entry_clear(&e);
}

static void nobody_else_may_be_there(void **state)
{
	uint64_t inside[] = { 5, HOME | 0x1fe, UINT64_MAX },
		 outside[] = { HOME | 0xff, HOME | 0x200 };

	(void)state;
	for (size_t i = 0; i < 20; i++)
		rules[i] = member(HOME | 0x100 | i, 300);
	assert_int_equal(rotation_rules(rules, 20, inside, 3), 0);
	assert_int_equal(rotation_rules(rules, 20, outside, 2), 1);
	assert_int_equal(rules[20].plen, 56);
	/* nor somebody whose rule cannot tell what waits from what does not */
	rules[3].dstar_min = 0;
	assert_int_equal(rotation_rules(rules, 20, outside, 2), 0);
	/* nor do few say anything about the others */
	assert_int_equal(rotation_rules(rules + 4, 7, NULL, 0), 0);
	assert_int_equal(rotation_rules(rules, 0, NULL, 0), 0);
}

static void many_homes_of_one_network_are_the_network(void **state)
{
	size_t n = 0;

	(void)state;
	for (uint64_t i = 0; i < 8; i++)
		rules[n++] = member(HOME | i << 8, 300);
	assert_int_equal(rotation_rules(rules, n, NULL, 0), 1);
	assert_int_equal(rules[n].plen, 48);
	assert_int_equal(rules[n].src, HOME);
	/* seven /56s, one of them full: that one */
	for (uint64_t i = 0; i < 8; i++)
		rules[i] = member(HOME | i, 300);
	for (uint64_t i = 1; i < 7; i++)
		rules[7 + i] = member(HOME | i << 8, 300);
	assert_int_equal(rotation_rules(rules, 14, NULL, 0), 1);
	assert_int_equal(rules[14].plen, 56);
	assert_int_equal(rules[14].src, HOME);
	/* a stranger in one home of a whole network: the homes without him */
	n = 0;
	for (uint64_t i = 0; i < 9; i++)
		for (uint64_t k = 0; k < 8 + (i == 5); k++)
			rules[n++] = member(HOME | i << 8 | k, 300);
	assert_int_equal(rotation_rules(rules, n, (uint64_t[]){ HOME | 0x7f0 }, 1), ROTATION_MOST);
	assert_int_equal(rules[n].src, HOME | 0x500); /* most members first */
	for (size_t i = 0; i < ROTATION_MOST; i++)
		assert_true(rules[n + i].plen == 56 && rules[n + i].src != (HOME | 0x700));
}

static void ipv4_has_no_such_networks(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 50; i++) {
		rules[i] = member(0x0a000000 + i, 300);
		rules[i].family = 4;
	}
	assert_int_equal(rotation_rules(rules, 50, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_home_whose_sources_are_all_members_is_named),
		cmocka_unit_test(nobody_else_may_be_there),
		cmocka_unit_test(many_homes_of_one_network_are_the_network),
		cmocka_unit_test(ipv4_has_no_such_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
