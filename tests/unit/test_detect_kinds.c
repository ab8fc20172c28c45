/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/kinds.h: handshakes by their delays, and a crowd of sources that differ. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "detect/kinds.h"

static void a_handshake_waits_is_split_or_direct(void **state)
{
	uint16_t n[D_BINS * D_BINS] = {};
	struct kinds k;

	n[1 * D_BINS + 1] = 7; /* answers at once */
	n[1 * D_BINS + 3] = 5; /* only D* is large */
	n[3 * D_BINS + 3] = 3; /* both */
	n[3 * D_BINS + 2] = 1; /* D1 may stand one bin higher */
	n[3 * D_BINS + 1] = 2; /* a hello that was late by itself */
	k = kinds_in(n);
	assert_float_equal(k.n[WAITS], 4, 0);
	assert_float_equal(k.n[SPLIT], 5, 0);
	assert_float_equal(k.n[DIRECT], 9, 0);
	assert_float_equal(kinds_all(&k), 18, 0);
}

static void a_busy_source_counts_once(void **state)
{
	const struct kinds busy = { { 0, 0, 10000 } }, quiet = { { 1, 0, 0 } }, none = {};
	const struct kinds even = { { .2, .3, .5 } };
	struct kinds sum = {}, p;

	kinds_add(&sum, &busy);
	kinds_add(&sum, &quiet);
	kinds_add(&sum, &none);
	assert_float_equal(sum.n[WAITS], 1, 1e-12);
	assert_float_equal(sum.n[DIRECT], 1, 1e-12);
	p = kinds_shares(&sum, &even, 2);
	assert_float_equal(p.n[WAITS], 1.4 / 4, 1e-12);
	assert_float_equal(p.n[SPLIT], .6 / 4, 1e-12);
	assert_float_equal(p.n[DIRECT], 2.0 / 4, 1e-12);
}

/* Some are late now and then, some always: two late ones in a row are of the latter. */
static void a_crowd_is_the_mean_of_its_sources(void **state)
{
	static struct crowd c;
	const struct kinds x[] = { { { 1, 0, 0 } }, { { 2, 0, 0 } }, { { 1, 1, 3 } }, { {} } };

	for (int i = 0; i < 990; i++) {
		double late = .004 * (i % 3) + .001;
		struct kinds p = { { late, .01, .99 - late } };

		crowd_add(&c, &p, 1);
	}
	crowd_add(&c, &(struct kinds){ { .9, .05, .05 } }, 10);
	crowd_done(&c);
	assert_true(c.n <= 2 * 2);
	assert_float_equal(c.all, 1000, 1e-9);
	for (int i = 0; i < 4; i++) {
		double rare = .005, sum = 0, far;

		for (int k = 0; k < 3; k++) {
			struct kinds p = { { .004 * k + .001, .01, .99 - .004 * k - .001 } };

			sum += 330 * kinds_likelihood(&p, &x[i]);
		}
		sum += 10 * kinds_likelihood(&(struct kinds){ { .9, .05, .05 } }, &x[i]);
		/* Those of a cell stand for one of their mean, which no count of one tells. */
		assert_float_equal(crowd_likelihood(&c, &x[i], true, 1), sum / 1000,
				   i == 1 ? 1e-4 : 2e-5);
		far = crowd_likelihood(&c, &x[i], true, 3) - crowd_likelihood(&c, &x[i], true, 1);
		assert_float_equal(far,
				   2 * .01 *
					   kinds_likelihood(&(struct kinds){ { .9, .05, .05 } },
							    &x[i]),
				   1e-12);
		if (i == 1)
			assert_true(sum / 1000 > 100 * rare * rare);
	}
}

static void no_shares_are_more_than_a_crowd_holds(void **state)
{
	static struct crowd c;

	for (int w = 0; w <= 160; w++)
		for (int s = 0; s <= 160 - w; s++)
			crowd_add(&c, &(struct kinds){ { w / 160., s / 160., 1 - (w + s) / 160. } },
				  1);
	assert_int_equal(c.n, CROWD_CELLS);
	crowd_done(&c);
	for (size_t i = 0; i < c.n; i++)
		assert_float_equal(kinds_all(&c.cell[i].shares), 1, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_waits_is_split_or_direct),
		cmocka_unit_test(a_busy_source_counts_once),
		cmocka_unit_test(a_crowd_is_the_mean_of_its_sources),
		cmocka_unit_test(no_shares_are_more_than_a_crowd_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
