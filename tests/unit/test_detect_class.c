/* SPDX-License-Identifier: BSD-2-Clause */
/* class.h: what its facts say a cohort is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/class.h"
#include "detect/config.h"

static struct detect_config config;

static int set_up(void **state)
{
	config = detect_config_default();
	return 0;
}

#define KNOWN(v, e)                                      \
	{                                                \
		.known = true, .x = v, .se = e, .n = 300 \
	}

/* What a farm behind 300 exits shows; 20 exchanges a source. */
static const struct fact farm_facts[FACT_MAX] = {
	[FACT_SPLIT] = KNOWN(6, 1),      [FACT_WAITING] = KNOWN(.9, .02),
	[FACT_LEG] = KNOWN(.5, .03),     [FACT_TCP] = KNOWN(.8, .1),
	[FACT_EVEN] = KNOWN(0, .15),     [FACT_GAPS] = KNOWN(.5, .1),
	[FACT_SPREAD] = KNOWN(.98, .03), [FACT_NETS] = KNOWN(4.5, .06),
	[FACT_SHARED] = KNOWN(0, .01),   [FACT_ORIGIN] = KNOWN(2, .15),
};

static struct judgement with(enum fact_id id, double x)
{
	struct fact f[FACT_MAX];

	memcpy(f, farm_facts, sizeof(f));
	f[id].x = x;
	return class_judge(f, 20, 0);
}

/* The same sources with uneven counts, human gaps, legs of their own. */
static void paced_by_each(struct fact f[FACT_MAX])
{
	memcpy(f, farm_facts, sizeof(farm_facts));
	f[FACT_EVEN].x = 3;
	f[FACT_GAPS].x = -.5;
	f[FACT_ORIGIN].x = 0;
}

static void a_farm_stands_against_every_benign_kind(void **state)
{
	struct judgement j = class_judge(farm_facts, 20, 0);

	assert_true(j.bits > config.propose_bits);
	assert_true(j.conceal > config.conceal_bits);
	assert_true(j.coordinate > config.coordinate_bits);
}

/* A farm of 327 exits that end TLS, of a stack that many systems run. NATs: tcp
 * 2.75 bits, and half of the mix's and the split's 1.7, 3.6, where 4 are asked; but 2.3 behind
 * monitoring, in all, for these sources are even. */
static void an_unlikely_kind_is_no_obstacle(void **state)
{
	struct fact f[FACT_MAX] = {
		[FACT_SPLIT] = KNOWN(-6.49, 1.42), [FACT_WAITING] = KNOWN(0, .01),
		[FACT_TCP] = KNOWN(1.49, .06),     [FACT_MIX] = KNOWN(2.92, .09),
		[FACT_EVEN] = KNOWN(.64, .14),     [FACT_GAPS] = KNOWN(.45, .03),
		[FACT_TOTAL] = KNOWN(.17, .13),    [FACT_ORIGIN] = KNOWN(-.08, .34),
		[FACT_SPREAD] = KNOWN(.98, .03),   [FACT_NETS] = KNOWN(4.29, .06),
		[FACT_SHARED] = KNOWN(0, .01),
	};
	struct judgement j = class_judge(f, 23, 0);

	assert_int_equal(j.nearest, CLASS_MONITORING);
	assert_true(j.bits > 7 && j.bits < 8);
	assert_true(j.conceal > 5.5 && j.conceal < 6.5);
	f[FACT_EVEN].x = 2; /* as uneven as people: a NAT's it may be */
	f[FACT_GAPS].x = -.3;
	f[FACT_TOTAL].x = 1.5;
	j = class_judge(f, 23, 0);
	assert_true(j.conceal < config.conceal_bits);
}

/* 46 probes of a monitoring service whose hellos' acknowledgements were long (N7): nothing
 * like people, but like a slow client program, whoever runs it. */
static void a_slow_program_may_be_anybodys(void **state)
{
	struct fact f[FACT_MAX] = {
		[FACT_SPLIT] = KNOWN(4.53, 1.42), [FACT_WAITING] = KNOWN(0, .01),
		[FACT_LEG] = KNOWN(.39, .07),     [FACT_TCP] = KNOWN(1.11, .38),
		[FACT_EVEN] = KNOWN(-6.91, .36),  [FACT_GAPS] = KNOWN(1.93, .09),
		[FACT_TOTAL] = KNOWN(-.12, .13),  [FACT_SPREAD] = KNOWN(1, .07),
		[FACT_NETS] = KNOWN(3.83, .15),   [FACT_SHARED] = KNOWN(0, .01),
	};
	struct judgement j = class_judge(f, 1251, 0);

	assert_int_equal(j.nearest, CLASS_MONITORING);
	assert_true(j.bits > config.flag_bits);
	assert_true(j.conceal < 1);
}

/* Direct, even, spread over people's networks, on people's machines that never ran this
 * stack: TLS ends at the exits. One system on all of them: somebody's own probes. Systems as
 * the stack has them: its own users. */
static void tls_that_ends_at_the_exits_is_known_by_whose_machines_they_are(void **state)
{
	struct fact f[FACT_MAX] = {
		[FACT_SPLIT] = KNOWN(-6, 1.4), [FACT_WAITING] = KNOWN(0, .01),
		[FACT_TCP] = KNOWN(2.2, .06),  [FACT_MIX] = KNOWN(2, .06),
		[FACT_EVEN] = KNOWN(.1, .14),  [FACT_GAPS] = KNOWN(.7, .04),
		[FACT_TOTAL] = KNOWN(0, .2),   [FACT_SPREAD] = KNOWN(.98, .03),
		[FACT_NETS] = KNOWN(4.2, .06), [FACT_SHARED] = KNOWN(0, .01),
	};
	struct judgement j = class_judge(f, 20, 0);

	assert_true(j.bits > config.flag_bits);
	assert_true(j.conceal > config.conceal_bits);
	assert_true(j.coordinate > config.coordinate_bits);
	f[FACT_MIX].x = .1;
	j = class_judge(f, 20, 0);
	assert_true(j.bits < config.flag_bits && j.conceal < 0);
	assert_int_equal(j.nearest, CLASS_MONITORING);
	f[FACT_MIX].x = 1.6;
	f[FACT_TCP].x = .05;
	j = class_judge(f, 20, 0);
	assert_true(j.conceal < 0);
}

static void a_farm_paced_like_people_is_known_by_its_one_place(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	memcpy(f, farm_facts, sizeof(f));
	f[FACT_EVEN].x = 3;
	f[FACT_GAPS].x = -.4;
	j = class_judge(f, 20, 0);
	assert_true(j.coordinate < config.coordinate_bits);
	assert_true(j.one_operator > config.operator_bits);
	assert_true(j.bits > config.flag_bits);
}

/* Identical pods: even, of one operator, in three networks, nothing hidden. */
static void pods_are_a_fleet(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	memcpy(f, farm_facts, sizeof(f));
	f[FACT_SPLIT].x = -5;
	f[FACT_WAITING].x = 0;
	f[FACT_SPREAD].x = .2;
	f[FACT_NETS].x = 0;
	j = class_judge(f, 20, 0);
	assert_true(j.bits < 0);
	assert_int_equal(j.nearest, CLASS_FLEET);
	assert_true(j.conceal < config.conceal_bits);
}

static void people_with_far_ends_of_their_own_are_no_farm(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	paced_by_each(f);
	j = class_judge(f, 20, 0);
	assert_true(j.bits < 0);
	assert_int_equal(j.nearest, CLASS_TUNNELS);
	assert_true(j.coordinate < config.coordinate_bits);
}

static void people_behind_shared_relays_are_no_farm(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	paced_by_each(f);
	f[FACT_SPREAD].x = .5;
	f[FACT_NETS].x = 2;
	f[FACT_SHARED].x = .6;
	j = class_judge(f, 20, 0);
	assert_true(j.bits < -5);
	assert_int_equal(j.nearest, CLASS_RELAY);
}

/* timing.md rule 11: a certificate check is the program's, a leg is the source's. */
static void a_slow_program_is_no_farm(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	paced_by_each(f);
	f[FACT_WAITING].x = 0;
	f[FACT_LEG].x = .05;
	f[FACT_TCP].x = 0;
	j = class_judge(f, 20, 0);
	assert_true(j.bits < 0);
	assert_int_equal(j.nearest, CLASS_SLOW_CLIENT);
}

static void no_family_gives_more_than_its_cap(void **state)
{
	struct judgement j = with(FACT_ORIGIN, 50);

	for (int f = 0; f < FAMILY_MAX; f++)
		assert_true(fabs(j.family[f]) <= 20);
	j = class_judge(farm_facts, 20, 500);
	assert_true(j.family[FAMILY_OPERATOR] <= 20);
}

static void being_more_even_than_a_queue_does_not_acquit(void **state)
{
	assert_true(with(FACT_EVEN, -4).coordinate >= with(FACT_EVEN, 0).coordinate);
}

static void nothing_known_is_no_farm(void **state)
{
	static const struct fact nothing[FACT_MAX];

	assert_true(class_judge(nothing, 0, 0).bits < 0);
}

static void lines_of_a_family_add_up_to_it(void **state)
{
	struct judgement j = class_judge(farm_facts, 20, 0);
	double sum = j.prior;

	for (int f = 0; f < FAMILY_MAX; f++)
		sum += j.family[f];
	assert_true(fabs(sum - j.bits) < 1e-9);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(a_farm_stands_against_every_benign_kind),
		T(tls_that_ends_at_the_exits_is_known_by_whose_machines_they_are),
		T(an_unlikely_kind_is_no_obstacle),
		T(a_slow_program_may_be_anybodys),
		T(a_farm_paced_like_people_is_known_by_its_one_place),
		T(pods_are_a_fleet),
		T(people_with_far_ends_of_their_own_are_no_farm),
		T(people_behind_shared_relays_are_no_farm),
		T(a_slow_program_is_no_farm),
		T(no_family_gives_more_than_its_cap),
		T(being_more_even_than_a_queue_does_not_acquit),
		T(nothing_known_is_no_farm),
		T(lines_of_a_family_add_up_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
