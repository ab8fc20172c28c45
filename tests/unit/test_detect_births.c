/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/births.h: the ban experiment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "detect/births.h"
#include "detect/stats.h"

#define near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

static uint64_t seed = 7;

static double chance(void)
{
	return ((stats_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
}

static double poisson(double mean)
{
	double left = exp(-mean), p = 1;
	int n = -1;

	while (p > left) {
		p *= chance();
		n++;
	}
	return n;
}

/* Ten hours with 10 births, 20 minutes with 30: (10 + .5) / 30 = .35 expected. */
static void thirty_for_thirty_is_one_for_one(void **state)
{
	struct births_ban b = { .ruled = 30,
				.held = 10,
				.held_alive = 10,
				.before = 36000,
				.after = 1200,
				.born_before = 10,
				.born = 30 };
	struct births x = births_of(&b);

	near(x.expected, 0.35, 1e-3);
	near(x.displaced, (30 - 0.35) / 30, 1e-3);
	near(x.bits, 20, 1e-9);
	assert_true(x.p < 1e-20);
	/* By hand: one birth of a Poisson .35 is 1 - e^-.35 = .295; a little wider for a rate
	 * known from 10.5. */
	b.born = 1;
	near(births_of(&b).p, 0.295, 0.01);
}

/* 2^20 would be one in a million; the mean of e over bans that displace nobody is one. */
static void without_replacements_e_is_one_on_average(void **state)
{
	double sum = 0, large = 0, bans = 20000;

	for (int i = 0; i < bans; i++) {
		double rate = 12.0 * chance() / 1200;
		struct births_ban b = {
			.ruled = 20, .held = 5, .held_alive = 5, .before = 24000, .after = 1200
		};
		struct births x;

		b.born_before = poisson(rate * b.before);
		b.born = poisson(rate * b.after);
		x = births_of(&b);
		sum += x.e;
		large += x.e >= 20;
	}
	assert_true(sum / bans < 1.1);
	assert_true(large / bans < 0.05); /* Markov: 1 in 20 */
}

static void a_campaign_that_ended_by_itself_is_no_evidence(void **state)
{
	struct births_ban b = { .ruled = 100,
				.held = 20,
				.held_alive = 20,
				.before = 36000,
				.after = 1200,
				.born_before = 30,
				.born = 12 };
	double alive = births_of(&b).bits;

	b.held_alive = 0;
	assert_true(alive > 6);
	near(births_of(&b).bits, 0, 1e-9);
	b.held = b.held_alive = 0; /* no control arm: as if all would still be there */
	near(births_of(&b).bits, alive, 1e-9);
}

static void a_crowd_is_not_one_for_one(void **state)
{
	struct births_ban b = {
		.ruled = 30, .before = 36000, .after = 1200, .born_before = 1000, .born = 33
	};

	assert_true(births_of(&b).bits < 1); /* as many as ever */
	b.phi = 40;                          /* births come in waves */
	b.born = 150;
	assert_true(births_of(&b).bits < 6);
	assert_true(births_of(&b).p > 1e-4);
}

static void nothing_known_is_nothing_said(void **state)
{
	struct births_ban b = { .ruled = 10, .born = 10 };
	struct births x = births_of(&b);

	near(x.bits, 0, 1e-12);
	b.before = 3600;
	b.after = 60;
	b.ruled = 0;
	near(births_of(&b).bits, 0, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thirty_for_thirty_is_one_for_one),
		cmocka_unit_test(without_replacements_e_is_one_on_average),
		cmocka_unit_test(a_campaign_that_ended_by_itself_is_no_evidence),
		cmocka_unit_test(a_crowd_is_not_one_for_one),
		cmocka_unit_test(nothing_known_is_nothing_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
