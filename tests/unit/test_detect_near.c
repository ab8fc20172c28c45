/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/near.h: what the networks of a farm's members say of one more source. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "detect/features.h"
#include "detect/near.h"

#define NETS     30
#define FARM     (3 * NETS)
#define HONEST   600
#define SURE     0.99
#define ASKED    (FARM + HONEST) /* the one asked about is the last */
#define SLASH_20 4096

static struct cohort_member them[ASKED + 1];

static struct cohort_member farm(uint32_t net, uint32_t dstar)
{
	static uint32_t host;

	return (struct cohort_member){ .src = net * SLASH_20 + ++host % SLASH_20,
				       .family = 4,
				       .split = DELAY_SPLIT,
				       .weight = .999F,
				       .dstar = dstar };
}

/* Three members in each of 30 networks, or each in its own; the leg a network's or one's
 * own; direct people in 200 other ones and two in each of the farm's. */
static void site(bool together, bool leg_of_net)
{
	for (uint32_t i = 0; i < FARM; i++) {
		uint32_t net = together ? i / 3 : 1000 + i;

		them[i] = farm(net, 300 + 97 * (leg_of_net ? i / 3 : i * 37 % FARM / 3) + i % 3);
	}
	for (uint32_t i = 0; i < HONEST; i++) {
		them[FARM + i] = farm(i < 2 * NETS ? i / 2 : 100 + i % 200, 20);
		them[FARM + i].split = DELAY_DIRECT;
		them[FARM + i].weight = 0;
	}
}

static double asked(struct cohort_member m)
{
	struct cohort all = { .members = them, .n = ASKED + 1 };
	struct near *near;
	double nats;

	m.weight = .7F;
	them[ASKED] = m;
	assert_int_equal(near_new(&all, SURE, &near), 0);
	nats = near_nats(near, &them[ASKED]);
	near_free(near);
	return nats;
}

/* Ten draws that are all in one network scatter least, all apart most. 100 draws of
 * A = 50: 50 ln 3 = 54.9. */
static void scatter_is_ewens(void **state)
{
	(void)state;
	assert_true(near_scatter(10, 1) < .5);
	assert_true(near_scatter(10, 10) > 1000);
	assert_true(fabs(near_scatter(100, 50 * log(3)) - 50) < .01);
}

static void beside_members_on_their_leg_is_one_of_them(void **state)
{
	(void)state;
	site(true, true);
	assert_true(asked(farm(3, 300 + 97 * 3)) > 4);
	/* On another's leg he lives there; on no network of the farm's it says the same
	 * whatever the leg. */
	assert_true(asked(farm(3, 3000)) < asked(farm(3, 300 + 97 * 3)) - 3);
	assert_true(asked(farm(500, 600)) < 0);
	assert_true(asked(farm(500, 600)) == asked(farm(500, 3000)));
}

static void legs_that_are_everybodys_own_say_nothing(void **state)
{
	(void)state;
	site(true, false);
	assert_true(fabs(asked(farm(3, 600)) - asked(farm(3, 2000))) < 1.5);
}

static void exits_that_lie_apart_say_nothing_of_a_place(void **state)
{
	(void)state;
	site(false, true);
	assert_true(fabs(asked(farm(500, 600))) < .1);
}

/* Many that were split when clean are beside him: a relay grows. */
static void a_relay_is_no_place_of_the_farm(void **state)
{
	double alone;

	(void)state;
	site(true, true);
	alone = asked(farm(3, 300 + 97 * 3));
	for (uint32_t i = 0; i < 60; i++) {
		them[FARM + HONEST - 1 - i] = farm(3, 400);
		them[FARM + HONEST - 1 - i].held = 1;
	}
	assert_true(asked(farm(3, 300 + 97 * 3)) < alone - 2);
}

/* Those in doubt are no anchors: they cannot make each other sure. */
static void who_is_in_doubt_vouches_for_nobody(void **state)
{
	(void)state;
	site(true, true);
	for (uint32_t i = 0; i < FARM; i++)
		them[i].weight = .9F;
	assert_true(asked(farm(3, 300 + 97 * 3)) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scatter_is_ewens),
		cmocka_unit_test(beside_members_on_their_leg_is_one_of_them),
		cmocka_unit_test(legs_that_are_everybodys_own_say_nothing),
		cmocka_unit_test(exits_that_lie_apart_say_nothing_of_a_place),
		cmocka_unit_test(a_relay_is_no_place_of_the_farm),
		cmocka_unit_test(who_is_in_doubt_vouches_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
