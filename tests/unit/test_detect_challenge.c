/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/challenge.h and how it is told: what a farm that moves fast has in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "detect/challenge.h"
#include "detect/features.h"

#define FARM   20
#define OTHERS 100 /* that the stack had when clean */
#define HOUR   3600.0

static struct record records[FARM + OTHERS];
static struct cohort_member them[FARM + OTHERS];
static struct windows windows = { .records = records, .n = FARM + OTHERS };

/* Twenty members over legs of 60 to 79 ms, who came four times and never resumed; of a
 * hundred others the first eight are as far, and every other one resumed. */
static void site(void)
{
	for (size_t i = 0; i < FARM + OTHERS; i++) {
		bool member = i < FARM;

		records[i].connections = 4;
		records[i].in_clean = !member;
		records[i].resumed = !member && i % 2;
		them[i] = (struct cohort_member){
			.split = member ? DELAY_SPLIT : DELAY_DIRECT,
			.weight = member ? .9F : 0,
			.dstar = member         ? 600 + 10 * i
				 : i < FARM + 8 ? 700
						: 15,
			.record = i,
		};
	}
}

static struct farm_challenge asked(double life)
{
	struct cohort all = { .members = them, .n = FARM + OTHERS };
	struct cohort members = { .members = them, .n = FARM };

	return challenge_of(&windows, &all, &members, life);
}

/* The tenth of the twenty legs lies between 61 and 62 ms: three quarters are 46 ms. */
static void stack_and_state_are_what_the_members_share(void **state)
{
	struct farm_challenge c;

	(void)state;
	site();
	c = asked(3 * HOUR);
	assert_true(c.due);
	assert_int_equal(c.dstar_min, 460);
	assert_true(c.not_resumed);
	assert_int_equal(c.members, FARM);
	assert_int_equal(c.of, FARM);
	assert_int_equal(c.known, 4); /* as far, and never resumed */
	assert_int_equal(c.of_known, OTHERS);
}

static void members_that_resume_are_not_told_by_it(void **state)
{
	struct farm_challenge c;

	(void)state;
	site();
	records[0].resumed = records[1].resumed = 2;
	c = asked(3 * HOUR);
	assert_false(c.not_resumed);
	assert_int_equal(c.known, 8);
}

static void who_stays_for_days_is_convicted_instead(void **state)
{
	(void)state;
	site();
	assert_false(asked(7 * 24 * HOUR).due);
	assert_false(asked(-1).due);
}

static void it_is_told_in_the_words_of_a_rule(void **state)
{
	struct farm_challenge c;
	json_t *o;

	(void)state;
	site();
	c = asked(3 * HOUR);
	o = challenge_json(&c, "t13d1516h2_8daaf6152771_d8a2da3f94cd");
	assert_string_equal(json_string_value(json_object_get(o, "match")),
			    "stack t13d1516h2_8daaf6152771_d8a2da3f94cd state resumed=0 state "
			    "dstar>=46ms");
	assert_non_null(
		strstr(json_string_value(json_object_get(o, "text")),
		       "lately 20 of its 20 sources, and 4 of 100 that the stack had when"));
	json_decref(o);
	c.due = false;
	o = challenge_json(&c, "any");
	assert_true(json_is_null(o));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stack_and_state_are_what_the_members_share),
		cmocka_unit_test(members_that_resume_are_not_told_by_it),
		cmocka_unit_test(who_stays_for_days_is_convicted_instead),
		cmocka_unit_test(it_is_told_in_the_words_of_a_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
