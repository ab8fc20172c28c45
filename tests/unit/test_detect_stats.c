/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/stats.h against values worked out elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include <cmocka.h>

#include "detect/stats.h"

#define near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

static void incomplete_beta_matches_closed_forms(void **state)
{
	(void)state;
	near(stats_beta(2, 2, 0.5), 0.5, 1e-12);
	near(stats_beta(1, 3, 0.2), 1 - pow(0.8, 3), 1e-12);
	near(stats_beta(5, 1, 0.9), pow(0.9, 5), 1e-12);
	near(stats_beta(3, 3, -1), 0, 0);
	near(stats_beta(3, 3, 2), 1, 0);
}

/* Tables of F: 161.45 and 4.96 at 5%. */
static void f_tail_matches_the_table(void **state)
{
	(void)state;
	near(stats_f_tail(161.4476, 1, 1), 0.05, 1e-6);
	near(stats_f_tail(4.9646, 1, 10), 0.05, 1e-5);
	near(stats_f_tail(2.9782, 10, 10), 0.05, 1e-5);
	near(stats_f_tail(0, 3, 3), 1, 0);
}

/* By hand: Gamma(3) / (Gamma(2.5) sqrt(5 pi)) = 0.379607; at z^2 = 5, over 2^3. */
static void t5_falls_as_the_cube(void **state)
{
	(void)state;
	near(stats_t5_bits(7, 7, 1), log2(0.3796067), 1e-6);
	near(stats_t5_bits(7 + sqrt(5), 7, 1), log2(0.3796067) - 3, 1e-6);
	near(stats_t5_bits(7, 7, 2), log2(0.3796067) - 1, 1e-6);
}

/* 0 of 10: 1 - 0.025^(1/10). */
static void share_of_nothing_has_an_upper_bound(void **state)
{
	double lo, hi;

	(void)state;
	stats_share(0, 10, 0.95, &lo, &hi);
	near(lo, 0, 0);
	near(hi, 0.308497, 1e-5);
	stats_share(5, 10, 0.95, &lo, &hi);
	near(lo, 0.187086, 1e-5);
	near(hi, 0.812914, 1e-5);
}

/* exp(-0.05) = 0.951 keeps to 0, exp(-0.06) = 0.942 does not; Poisson(3): 6. */
static void upper_bound_of_rare_events_is_the_poisson_quantile(void **state)
{
	(void)state;
	near(stats_upper95(0.05, 1), 0, 0);
	near(stats_upper95(0.06, 1), 1, 0);
	near(stats_upper95(3, 1), 6, 0);
	near(stats_upper95(3, 3), 9, 0);
	near(stats_upper95(10000, 1), 10164.5, 1);
}

static void quantile_lies_between_ranks(void **state)
{
	double v[] = { 4, 1, 3, 2 };

	(void)state;
	near(stats_quantile(v, 4, 0.5), 2.5, 1e-12);
	near(stats_quantile(v, 4, 1), 4, 0);
	near(stats_quantile(v, 0, 0.5), 0, 0);
	near(stats_mad_sorted(v, 4, 2.5), 1.4826, 1e-9);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void mad_is_the_median_of_distances(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		double v[40], apart[40], median;

		for (size_t i = 0; i < n; i++)
			v[i] = (double)(stats_random(&seed) % 9); /* some are equal */
		qsort(v, n, sizeof(*v), by_value);
		median = stats_quantile_sorted(v, n, 0.5);
		for (size_t i = 0; i < n; i++)
			apart[i] = fabs(v[i] - median);
		near(stats_mad_sorted(v, n, median), 1.4826 * stats_quantile(apart, n, 0.5), 1e-12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(incomplete_beta_matches_closed_forms),
		cmocka_unit_test(f_tail_matches_the_table),
		cmocka_unit_test(t5_falls_as_the_cube),
		cmocka_unit_test(share_of_nothing_has_an_upper_bound),
		cmocka_unit_test(upper_bound_of_rare_events_is_the_poisson_quantile),
		cmocka_unit_test(quantile_lies_between_ranks),
		cmocka_unit_test(mad_is_the_median_of_distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
