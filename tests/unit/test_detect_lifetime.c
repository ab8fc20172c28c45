/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/lifetime.h, and what a rule's life follows from: by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <math.h>

#include <cmocka.h>

#include "base/time.h"
#include "detect/lifetime.h"
#include "model/plan.h"
#include "model/rule.h"

static void all_ended_is_the_plain_median(void **state)
{
	struct lifetime v[] = { { 50, true }, { 10, true }, { 40, true }, { 20, true } };

	(void)state;
	assert_true(lifetime_median(v, 4) == 20);
	assert_true(lifetime_median(v, 3) == 20);
	assert_true(lifetime_median(v, 1) == 10);
}

/* 6, 6, 6, 6+, 7, 9+, 10, 10+, 11+, 13, 16, 17+, 19+, 20+, 22, 23, 25+, 32+, 32+, 34+,
 * 35+: remission under 6-MP (Freireich 1963), the textbook's median is 23. */
static void the_textbook_gives_its_median(void **state)
{
	static const int weeks[] = { 6,   6,   6,   -6, 7,  -9,  -10, -11, 10,  13, 16,
				     -17, -19, -20, 22, 23, -25, -32, -32, -34, -35 };
	struct lifetime v[21];

	(void)state;
	for (int i = 0; i < 21; i++)
		v[i] = (struct lifetime){ abs(weeks[i]), weeks[i] > 0 };
	assert_true(lifetime_median(v, 21) == 23);
}

static void most_of_them_still_there_is_not_known(void **state)
{
	struct lifetime v[] = { { 60, false }, { 60, true }, { 60, false } };

	(void)state;
	assert_true(lifetime_median(v, 3) < 0);
	v[0] = (struct lifetime){ 70, false };
	v[1] = (struct lifetime){ 80, false };
	v[2] = (struct lifetime){ 10, true };
	assert_true(lifetime_median(v, 3) < 0);
	assert_true(lifetime_median(v, 0) < 0);
}

/* Its own evidence, from after it was made and after it was last renewed. */
static void a_rule_is_renewed_by_fresh_evidence_only(void **state)
{
	struct rule_entry e = { .created = 100, .expires = 900 };
	struct plan_rule r = { .expires = 1000, .seen = 0 };

	(void)state;
	assert_false(plan_renews(&r, &e)); /* none */
	r.seen = 100;
	assert_false(plan_renews(&r, &e)); /* from before it */
	r.seen = 101;
	assert_true(plan_renews(&r, &e));
	e.renewed = 101;
	assert_false(plan_renews(&r, &e)); /* the same again */
	r.seen = 200;
	assert_true(plan_renews(&r, &e));
	r.expires = 900;
	assert_false(plan_renews(&r, &e)); /* it lasts as long anyway */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ended_is_the_plain_median),
		cmocka_unit_test(the_textbook_gives_its_median),
		cmocka_unit_test(most_of_them_still_there_is_not_known),
		cmocka_unit_test(a_rule_is_renewed_by_fresh_evidence_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
