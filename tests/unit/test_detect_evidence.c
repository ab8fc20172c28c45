/* SPDX-License-Identifier: BSD-2-Clause */
/* The facts of detect/: origin, coordination, concealment, dispersion, fidelity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "detect/concealment.h"
#include "detect/coordination.h"
#include "detect/dispersion.h"
#include "detect/fidelity.h"
#include "detect/origin.h"
#include "detect/stats.h"

#define near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

static uint64_t seed = 42;

static double chance(void)
{
	return ((stats_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(chance())) * cos(2 * M_PI * chance());
}

/* By hand: ranks 0 1 | 2 3 | 4 5. Between 2 * (4 + 0 + 4) = 16, within 3 * 0.5 = 1.5;
 * F = 8 / 0.5 = 16, n0 = 2, ICC = 7.5 / 8.5. */
static void anova_of_ranks_by_hand(void **state)
{
	double y[] = { 1, 2, 10, 11, 100, 101 };
	uint64_t group[] = { 1, 1, 2, 2, 3, 3 };
	struct origin o = origin_anova(y, group, 6);

	(void)state;
	near(o.f, 16, 1e-9);
	near(o.icc, 7.5 / 8.5, 1e-9);
	assert_int_equal(o.groups, 3);
	/* 6! / (2! 2! 2!) = 90 ways, 6 of them as good: p = 1/15. */
	near(o.p, 1.0 / 15, 0.025);
}

static void legs_of_one_place_agree_within_networks_others_do_not(void **state)
{
	struct cohort_member m[180] = {};
	struct cohort c = { .members = m, .n = 180 };
	struct origin o;
	struct fact f;

	(void)state;
	for (int one = 1; one >= 0; one--) {
		double leg = 0;

		for (int i = 0; i < 180; i++) {
			if (i % 6 == 0 || !one)
				leg = 400 * exp(0.6 * normal());
			m[i] = (struct cohort_member){ .src = 0x0a000000 + (i / 6 << 12) + i % 6,
						       .family = 4,
						       .split = 2,
						       .dstar = leg * (1 + 0.03 * normal()) };
		}
		f = origin_common(&c, &o);
		assert_true(f.known);
		assert_int_equal(o.groups, 30);
		if (one)
			assert_true(o.icc > 0.8 && o.p < 1e-6);
		else
			assert_true(fabs(o.icc) < 0.25 && o.p > 0.005);
	}
}

/* 36 exits in pairs, one leg each network; 60 newcomers with far ends of their own in the
 * same networks, two beside each pair and more. */
static void newcomers_who_are_unlike_the_farm_do_not_hide_its_origin(void **state)
{
	struct cohort_member m[96] = {};
	struct cohort c = { .members = m, .n = 96 };
	struct origin o;
	struct fact f;

	(void)state;
	for (int alike = 1; alike >= 0; alike--) {
		for (int i = 0; i < 96; i++) {
			double leg = 400 * exp(0.6 * (i < 36 ? sin(1 + i / 2 * 7) : normal()));

			m[i] = (struct cohort_member){
				.src = 0x0a000000 + (i < 36 ? i / 2 : i % 18) * 0x10000 + i,
				.family = 4,
				.split = 2,
				.dstar = leg * (1 + 0.03 * normal()),
				.alone = alike && i >= 36 ? 0.1 : 0.9
			};
		}
		f = origin_common(&c, &o);
		assert_true(f.known);
		assert_int_equal(o.alike, alike);
		assert_int_equal(o.groups, 18);
		assert_int_equal(o.n, alike ? 36 : 96);
		if (alike)
			assert_true(o.icc > 0.9 && o.p < 1e-6);
		else
			assert_true(o.icc < 0.5);
	}
}

/* 2, 4, 6 exchanges in equal time: (4 + 0 + 4) / 4 / 2 = 1. With 20 of each the
 * denominator is 59: 160 / 4 / 59. */
static void variance_over_mean_by_hand(void **state)
{
	struct cohort_member m[60] = {};
	struct cohort c = { .members = m, .n = 60 };
	struct fact f;
	double mean;

	(void)state;
	for (int i = 0; i < 60; i++)
		m[i] = (struct cohort_member){ .exchanges = 2 + 2 * (i % 3), .seconds = 100 };
	f = coordination_even(&c, &mean);
	near(mean, 4, 1e-9);
	near(f.x, log(160.0 / 4 / 59), 1e-9);
}

/* Half the sources came half as long ago: their counts are not uneven for it. */
static void a_late_source_is_measured_by_its_own_time(void **state)
{
	struct cohort_member m[60] = {};
	struct cohort c = { .members = m, .n = 60 };
	double mean;

	(void)state;
	for (int i = 0; i < 60; i++)
		m[i] = (struct cohort_member){ .exchanges = i % 2 ? 20 : 10,
					       .seconds = i % 2 ? 200 : 100 };
	assert_true(coordination_even(&c, &mean).x < log(0.01));
}

static void add_gap(struct cohort_member *m, double seconds)
{
	int bin = 0;

	while (bin < GAP_BINS - 1 && seconds + 1 >= 2 << bin)
		bin++;
	m->gaps[bin]++;
}

static void gaps_of_a_queue_and_of_people_fall_on_their_sides(void **state)
{
	struct cohort_member m[200] = {};
	struct cohort c = { .members = m, .n = 200 };

	(void)state;
	for (int queue = 0; queue < 2; queue++) {
		memset(m, 0, sizeof(m));
		for (int i = 0; i < 200; i++) {
			m[i].seconds = 86400;
			for (int g = 0; g < 8; g++)
				add_gap(&m[i], queue            ? -3000 * log(chance())
					       : chance() < 0.8 ? 30 * exp(1.3 * normal())
								: 10000 * exp(1.2 * normal()));
		}
		if (queue)
			assert_true(coordination_gaps(&c).x > 0.3);
		else
			assert_true(coordination_gaps(&c).x < -0.05);
	}
}

/* A total that is the same in each window has no variance at all; twelve is enough. */
static void a_regulated_total_has_little_variance(void **state)
{
	double totals[20], random[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		totals[i] = 100 + i % 2;
		random[i] = i % 2 ? 150 : 50;
	}
	assert_true(coordination_total(totals, 20).x < log(0.1));
	assert_true(coordination_total(random, 20).x > log(10));
	assert_false(coordination_total(totals, 11).known);
}

static void log_odds_of_split_sources_by_hand(void **state)
{
	struct cohort_member m[30] = {};
	struct cohort c = { .members = m, .n = 30 };
	struct fact f;

	(void)state;
	for (int i = 0; i < 20; i++)
		m[i].split = i < 15 ? 2 : 1;
	f = concealment_split(&c);
	near(f.x, log(15.5 / 5.5), 1e-9);
	assert_int_equal(f.n, 20);
	assert_string_equal(f.text, "15 of 20 sources with 3 handshakes or more are split");
}

static void pods_lie_in_few_networks_and_exits_in_many(void **state)
{
	struct cohort_member m[300] = {};
	struct cohort c = { .members = m, .n = 300 };

	(void)state;
	for (int i = 0; i < 300; i++)
		m[i] = (struct cohort_member){ .src = 0x0a010000 + (i % 3 << 8) + i / 3,
					       .family = 4 };
	near(dispersion_spread(&c).x, log(3) / log(300), 1e-9);
	near(dispersion_nets(&c).x, 0, 1e-9);
	for (int i = 0; i < 300; i++)
		m[i].src = 0x0a000000 + (i << 16);
	near(dispersion_spread(&c).x, 1, 1e-9);
	near(dispersion_nets(&c).x, log(300), 1e-9);
	assert_int_equal(dispersion_prefixes(&c), 300);
}

/* One in ten of a fleet of 300 in 30 networks looks like a member: 30 sources in 30 networks,
 * and yet they lie as close together as the fleet does. Who is direct, was split when clean, or
 * lives elsewhere does not count. */
static void a_few_of_a_fleet_lie_as_close_as_the_fleet(void **state)
{
	struct cohort_member m[330] = {}, few[30];
	struct cohort all = { .members = m, .n = 330 }, members = { .members = few, .n = 30 };

	(void)state;
	for (int i = 0; i < 330; i++)
		m[i] = (struct cohort_member){ .src = 0x0a000000 + (i % 30 << 16) + i / 30,
					       .family = 4,
					       .split = 2,
					       .weight = i < 30 ? 0.999 : 0.1 };
	for (int i = 300; i < 310; i++)
		m[i].split = 1;
	for (int i = 310; i < 320; i++)
		m[i].held = 1;
	for (int i = 320; i < 330; i++)
		m[i].src = 0x0b000000 + (i << 16);
	memcpy(few, m, sizeof(few));
	near(dispersion_spread(&members).x, 1, 1e-9);
	near(dispersion_around(&members, &all).x, log(30) / log(300), 1e-9);
	assert_int_equal(dispersion_around(&members, &all).n, 300);
	near(dispersion_around(&members, &members).x, 1, 1e-9);
}

/* An IPv6 /48 stands for as many homes as an IPv4 /24 does addresses. */
static void an_ipv6_48_counts_as_one_small_network(void **state)
{
	struct cohort_member m[100] = {};
	struct cohort c = { .members = m, .n = 100 };

	(void)state;
	for (int i = 0; i < 100; i++)
		m[i] = (struct cohort_member){ .src = 0x20010db800010000ULL + i, .family = 6 };
	near(dispersion_spread(&c).x, 0, 1e-9);
}

/* Half of them one system, two quarters others: 1.5 bits, and 2 / (200 ln 2) for the bias. */
static void direct_members_run_what_exits_run(void **state)
{
	static struct cohort_member m[100];
	struct cohort c = { .members = m, .n = 100 };

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		m[i] = (struct cohort_member){ .tcp_key = 1 + (i % 4) * (i % 2), .unsplit = true };
	near(concealment_mix(&c).x, 1.5 + 1 / (100 * M_LN2), 1e-9);
	for (int i = 0; i < 100; i++)
		m[i].tcp_key = 1;
	near(concealment_mix(&c).x, 0, 1e-9);
	assert_true(concealment_mix(&c).se >= .1); /* of 100, never certain */
	for (int i = 0; i < 100; i++)
		m[i].unsplit = false; /* behind a far end its legs say more */
	assert_false(concealment_mix(&c).known);
}

static void see(struct fidelity *f, uint64_t order, uint32_t connections, int sources, bool clean)
{
	struct snapshot *s = snapshot_new(NSEC_PER_SEC, 0);
	struct order_tally o = { .stack = 9,
				 .order = order,
				 .connections = connections,
				 .distinct = sources,
				 .sketch = (1ULL << sources) - 1 };

	assert_int_equal(snapshot_add_order(s, &o), 0);
	assert_int_equal(fidelity_update(f, s, clean), 0);
	snapshot_free(s);
}

static void one_order_from_five_sources_shows_under_a_permuting_stack(void **state)
{
	struct fidelity f;

	(void)state;
	fidelity_init(&f);
	for (int i = 0; i < 30; i++)
		see(&f, 100 + i, 1, 1, true);
	assert_true(fidelity_permutes(fidelity_stack(&f, 9)));
	assert_true(fidelity_stack(&f, 9)->shared_sources < ORDER_SOURCES);
	see(&f, 7, 6, 6, false);
	assert_true(fidelity_stack(&f, 9)->shared_sources >= ORDER_SOURCES);
	assert_int_equal(fidelity_stack(&f, 9)->shared, 7);
	fidelity_clear(&f);
}

static void a_stack_with_one_order_does_not_permute(void **state)
{
	struct fidelity f;

	(void)state;
	fidelity_init(&f);
	for (int i = 1; i < 60; i++)
		see(&f, 7, i, i < 20 ? i : 20, true);
	assert_false(fidelity_permutes(fidelity_stack(&f, 9)));
	fidelity_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anova_of_ranks_by_hand),
		cmocka_unit_test(legs_of_one_place_agree_within_networks_others_do_not),
		cmocka_unit_test(newcomers_who_are_unlike_the_farm_do_not_hide_its_origin),
		cmocka_unit_test(variance_over_mean_by_hand),
		cmocka_unit_test(a_late_source_is_measured_by_its_own_time),
		cmocka_unit_test(gaps_of_a_queue_and_of_people_fall_on_their_sides),
		cmocka_unit_test(a_regulated_total_has_little_variance),
		cmocka_unit_test(log_odds_of_split_sources_by_hand),
		cmocka_unit_test(pods_lie_in_few_networks_and_exits_in_many),
		cmocka_unit_test(a_few_of_a_fleet_lie_as_close_as_the_fleet),
		cmocka_unit_test(an_ipv6_48_counts_as_one_small_network),
		cmocka_unit_test(direct_members_run_what_exits_run),
		cmocka_unit_test(one_order_from_five_sources_shows_under_a_permuting_stack),
		cmocka_unit_test(a_stack_with_one_order_does_not_permute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
