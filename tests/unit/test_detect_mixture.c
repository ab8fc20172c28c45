/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/mixture.h: one more kind of source is found when there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "detect/mixture.h"
#include "detect/stats.h"

#define N 1000

static struct mixture_row rows[N];
static float posterior[N];
static struct mixture base;

static double chance(uint64_t *seed)
{
	return (stats_random(seed) >> 11) / 9007199254740992.0;
}

/* Old kind: D* direct 97%, usual TCP 90%. New kind: D* split, any TCP. */
static void make(size_t new_kind, uint64_t seed)
{
	double theta[FEATURES][FEATURE_LEVELS] = {};

	memset(rows, 0, sizeof(rows));
	for (size_t i = 0; i < N; i++) {
		if (i < new_kind) {
			rows[i].x[1] = 3;
			rows[i].x[2] = 1 + (uint8_t)(chance(&seed) * 3);
		} else {
			rows[i].x[1] = chance(&seed) < 0.97 ? 1 : 3;
			rows[i].x[2] = chance(&seed) < 0.9 ? 1 : 2;
		}
		if (chance(&seed) < 0.2)
			rows[i].x[1] = 0; /* not known */
	}
	for (int f = 0; f < FEATURES; f++) {
		theta[f][0] = 1;
		for (int x = 1; x <= feature_levels[f]; x++)
			theta[f][x] = 1.0 / feature_levels[f];
	}
	theta[1][1] = 0.96, theta[1][2] = 0.01, theta[1][3] = 0.02, theta[1][4] = 0.01;
	theta[2][1] = 0.88, theta[2][2] = 0.10, theta[2][3] = 0.01, theta[2][4] = 0.01;
	memset(&base, 0, sizeof(base));
	base.n = 1;
	base.class[0].weight = base.class[0].cap = 1;
	memcpy(base.class[0].theta, theta, sizeof(theta));
}

static struct mixture_component find(const uint8_t *held)
{
	double start[FEATURES][FEATURE_LEVELS];
	struct mixture_component c;
	float w[N];

	for (size_t i = 0; i < N; i++)
		w[i] = rows[i].x[1] >= 2;
	mixture_count(rows, w, N, 1, NULL, start);
	mixture_fit(&base, rows, held, NULL, N, start, &c, posterior);
	return c;
}

static void share_of_the_new_kind_is_within_its_interval(void **state)
{
	struct mixture_component c;

	(void)state;
	make(100, 5);
	c = find(NULL);
	assert_true(c.gain > 50);
	assert_true(c.lo < 0.1 && c.hi > 0.1);
	for (size_t i = 0; i < 100; i++)
		assert_true(rows[i].x[1] == 0 || posterior[i] > 0.5);
}

static void nothing_new_gains_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		make(0, seed);
		assert_true(find(NULL).gain < 6);
	}
}

static void a_row_that_is_held_is_never_of_the_new_kind(void **state)
{
	uint8_t held[N] = {};

	(void)state;
	make(100, 5);
	held[7] = 1;
	find(held);
	assert_true(posterior[7] == 0);
}

/* The product over all features of a row that knows none is 1. */
static void a_row_of_which_nothing_is_known_says_nothing(void **state)
{
	struct mixture_row row = {};

	(void)state;
	make(0, 1);
	assert_true(mixture_ln(base.class[0].theta, &row) == 0);
}

/* By hand: 3 of 4 in level 1, half a flat row each of 3 levels... kappa 3: (3+1)/7. */
static void counting_adds_the_prior(void **state)
{
	struct mixture_row four[4] = { { .x = { [3] = 1 } },
				       { .x = { [3] = 1 } },
				       { .x = { [3] = 1 } },
				       { .x = { [3] = 2 } } };
	double theta[FEATURES][FEATURE_LEVELS];

	(void)state;
	mixture_count(four, NULL, 4, 3, NULL, theta);
	assert_true(fabs(theta[3][1] - (0.98 * 4 / 7 + 0.02 / 3)) < 1e-12);
	assert_true(fabs(theta[3][1] + theta[3][2] + theta[3][3] - 1) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(share_of_the_new_kind_is_within_its_interval),
		cmocka_unit_test(nothing_new_gains_nothing),
		cmocka_unit_test(a_row_that_is_held_is_never_of_the_new_kind),
		cmocka_unit_test(a_row_of_which_nothing_is_known_says_nothing),
		cmocka_unit_test(counting_adds_the_prior),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
