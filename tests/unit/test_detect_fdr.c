/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/fdr.c: e-values of cohorts, and which of them are rejected together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include <cmocka.h>

#include "detect/internal.h"
#include "detect/stats.h"

#define near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

static struct detect *d;

/* A detector with m cohorts worth a look, n of which were fitted. */
static int set_up(void **state)
{
	struct detect_config c = detect_config_default();

	d = detect_new(&c);
	return d ? 0 : -1;
}

static int tear_down(void **state)
{
	detect_free(d);
	return 0;
}

static void groups(size_t m)
{
	d->survey.groups = realloc(d->survey.groups, m * sizeof(*d->survey.groups));
	d->survey.n_groups = m;
	for (size_t i = 0; i < m; i++)
		d->survey.groups[i] = (struct group){ .sources = d->config.min_members };
}

static struct cohort_state *cohort(uint64_t stack, double p)
{
	struct cohort_id key = { stack, 443 };
	struct cohort_state *state = table_add(&d->cohorts, &key, NULL);

	assert_non_null(state);
	state->p = p;
	state->origin.p = 1;
	return state;
}

static struct verdict_input reject(struct cohort_state *state)
{
	struct verdict_input in = {};

	fdr_reject(d, state, &in);
	return in;
}

/* By hand: 1/4 (1e-8)^(-3/4) = 1/4 10^6 = 250,000; of 100 cohorts the first needs 100 / .01. */
static void one_of_a_hundred_by_hand(void **state)
{
	struct verdict_input in;

	groups(100);
	in = reject(cohort(1, 1e-8));
	near(in.e, 250000, 1);
	near(in.e_needed, 5.398, 0.001); /* its own, as it is rejected */
	assert_true(in.rejected);
	in = reject(cohort(2, 1e-5)); /* 1/4 10^3.75 = 1,406; two need 5,000 */
	near(in.e, 1405.9, 0.1);
	assert_false(in.rejected);
	groups(10); /* 2 of 10: 500 */
	assert_true(reject(cohort(2, 1e-5)).rejected);
}

static void what_others_have_makes_it_easier(void **state)
{
	groups(100);
	for (uint64_t i = 1; i <= 8; i++)
		reject(cohort(i, 1e-5));
	/* Each alone fell short of 10,000; eight together need 1,250 each. */
	assert_true(reject(cohort(8, 1e-5)).rejected);
	assert_false(reject(cohort(9, 1e-4)).rejected); /* 250 */
}

static void no_p_no_rejection(void **state)
{
	groups(20);
	near(reject(cohort(1, 1)).e, 0, 0);
	assert_false(reject(cohort(1, 1)).rejected);
}

static void a_hidden_origin_multiplies(void **state)
{
	struct cohort_state *c = cohort(1, 1e-5);
	double alone;

	groups(100);
	alone = reject(c).e;
	c->origin.p = 0.05; /* not below a hundredth: counts for nothing */
	near(reject(c).e, alone, 1e-9);
	c->origin.p = 1e-3; /* 1/4 10^2.25 = 44.46 */
	near(reject(c).e / alone, 44.457, 0.001);
	assert_true(reject(c).rejected);
}

/* 200 days of 50 cohorts that are nothing: the share of days with a rejection, all false,
 * is alpha at most (1%), and a valid p makes a mean e of one. */
static void of_nothing_hardly_ever_anything(void **state)
{
	double days = 0, sum = 0;
	uint64_t seed = 11;

	groups(50);
	for (int day = 0; day < 200; day++) {
		bool any = false;

		for (uint64_t i = 1; i <= 50; i++) {
			double p = ((stats_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
			struct verdict_input in = reject(cohort(i, p));

			any |= in.rejected;
			sum += fmin(in.e, 100);
		}
		days += any;
	}
	assert_true(days <= 5);
	assert_true(sum / 10000 < 1.05);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(one_of_a_hundred_by_hand),
		T(what_others_have_makes_it_easier),
		T(no_p_no_rejection),
		T(a_hidden_origin_multiplies),
		T(of_nothing_hardly_ever_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
