/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/: classes, states, members, collateral and the difference of plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/class.h"
#include "detect/collateral.h"
#include "detect/features.h"
#include "detect/members.h"
#include "detect/plan_diff.h"
#include "detect/verdict.h"

static struct detect_config config;

static int set_up(void **state)
{
	config = detect_config_default();
	return 0;
}

/* ---- classes ---------------------------------------------------------------- */

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

static void a_farm_stands_against_every_benign_kind(void **state)
{
	struct judgement j = class_judge(farm_facts, 20, 0);

	assert_true(j.bits > config.propose_bits);
	assert_true(j.conceal > config.conceal_bits);
	assert_true(j.coordinate > config.coordinate_bits);
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

/* Uneven counts, human gaps, legs of their own. */
static void people_with_far_ends_of_their_own_are_no_farm(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	memcpy(f, farm_facts, sizeof(f));
	f[FACT_EVEN].x = 3;
	f[FACT_GAPS].x = -.5;
	f[FACT_ORIGIN].x = 0;
	j = class_judge(f, 20, 0);
	assert_true(j.bits < 0);
	assert_int_equal(j.nearest, CLASS_TUNNELS);
	assert_true(j.coordinate < config.coordinate_bits);
}

static void people_behind_shared_relays_are_no_farm(void **state)
{
	struct fact f[FACT_MAX];
	struct judgement j;

	memcpy(f, farm_facts, sizeof(f));
	f[FACT_EVEN].x = 3;
	f[FACT_GAPS].x = -.5;
	f[FACT_ORIGIN].x = 0;
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

	memcpy(f, farm_facts, sizeof(f));
	f[FACT_WAITING].x = 0;
	f[FACT_LEG].x = .05;
	f[FACT_TCP].x = 0;
	f[FACT_EVEN].x = 3;
	f[FACT_GAPS].x = -.5;
	f[FACT_ORIGIN].x = 0;
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

/* ---- states ------------------------------------------------------------------ */

static const struct verdict_input good = {
	.gain = 100,
	.members = 300,
	.prefixes = 100,
	.conceal = 10,
	.coordinate = 10,
	.bits = 12,
	.spread = .95,
	.plan_holds = true,
};

static enum farm_state step(struct verdict *v, const struct verdict_input *in)
{
	char gate[256];

	verdict_step(v, in, &config, gate, sizeof(gate));
	return v->state;
}

static void two_of_three_windows_flag_and_propose(void **state)
{
	struct verdict_input bad = good;
	struct verdict v = {};

	bad.coordinate = 0;
	assert_int_equal(step(&v, &good), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &good), FARM_WATCH);
	assert_int_equal(step(&v, &bad), FARM_WATCH);
	assert_int_equal(step(&v, &good), FARM_PROPOSE);
}

/* 49: what no rule can hit with known precision stays a flag. */
static void without_a_plan_that_holds_a_flag_stays_a_flag(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.plan_holds = false;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_FLAG);
	assert_int_equal(step(&v, &in), FARM_FLAG);
	assert_int_equal(step(&v, &good), FARM_PROPOSE);
}

/* A crowd: new, direct, and nothing else in it like a farm. */
static void direct_newcomers_are_watched_where_more_speaks_against_them(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.unsplit = true;
	in.bits = -16;
	assert_int_equal(step(&v, &in), FARM_NONE);
	in.bits = 1;
	assert_int_equal(step(&v, &in), FARM_WATCH);
	in.bits = -1; /* and then as all others are */
	assert_int_equal(step(&v, &in), FARM_WATCH);
}

static void sources_that_never_come_back_get_no_rules(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};
	char gate[256];

	(void)state;
	in.early = 200;
	in.stayed = 3;
	step(&v, &in);
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_int_equal(v.state, FARM_FLAG);
	assert_string_equal(gate, "its sources do not stay (3 of 200): rules on them stop nothing");
	in.stayed = 100;
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* N13: a survey through homes on a stack of its own is only watched. */
static void of_an_own_stack_sources_that_never_come_back_are_no_flag(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	(void)state;
	in.own = true;
	in.early = 200;
	in.stayed = 3;
	for (uint32_t i = 0; i < config.own_windows + 5; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	in.stayed = 100;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

/* F6: a clean day looks as new once in 20, but its legs lead to one place. */
static void one_origin_is_watched_where_a_day_alone_is_not(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	(void)state;
	in.calibrated = true;
	in.p = .05;
	in.e = 2.4;
	assert_int_equal(step(&v, &in), FARM_NONE);
	in.e = 1e4;
	assert_int_equal(step(&v, &in), FARM_WATCH);
	in.rejected = true;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

static void one_origin_of_sources_that_do_not_stay_flags_nothing(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.coordinate = 1;
	in.one_operator = 12;
	in.early = 15;
	for (int i = 0; i < 40; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	in.stayed = 7;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

static void an_own_stack_needs_size_and_age(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.own = true;
	for (uint32_t i = 1; i < config.own_windows; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
	v = (struct verdict){};
	in.members = config.own_sources - 1;
	for (int i = 0; i < 40; i++)
		assert_int_equal(step(&v, &in), FARM_WATCH);
}

static void each_part_of_the_gate_holds_by_itself(void **state)
{
	for (int part = 0; part < 6; part++) {
		struct verdict_input in = good;
		struct verdict v = {};

		in.conceal = part == 0 ? config.conceal_bits - 1 : in.conceal;
		in.coordinate = part == 1 ? config.coordinate_bits - 1 : in.coordinate;
		in.spread = part == 2 ? config.spread - 0.1 : in.spread;
		in.bits = part == 3 ? config.flag_bits - 1 : in.bits;
		in.members = part == 4 ? config.min_members - 1 : in.members;
		in.gain = part == 5 ? config.watch_nats - 1 : in.gain;
		for (int window = 0; window < 5; window++)
			assert_true(step(&v, &in) <= FARM_WATCH);
	}
}

static void one_operator_stands_in_for_coordination(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};

	in.coordinate = 0;
	in.one_operator = config.operator_bits;
	step(&v, &in);
	assert_int_equal(step(&v, &in), FARM_PROPOSE);
}

static void a_flag_is_not_lost_in_a_quiet_window_but_decays(void **state)
{
	static const struct verdict_input quiet;
	struct verdict v = {};

	step(&v, &good);
	step(&v, &good);
	for (uint32_t i = 1; i < config.unflag_windows; i++)
		assert_int_equal(step(&v, &quiet), FARM_PROPOSE);
	assert_int_equal(step(&v, &quiet), FARM_DECAY);
	assert_int_equal(step(&v, &quiet), FARM_NONE);
}

/* Enough bits for the gate, not enough to stay for good: three days at a time, not a window. */
static void a_flag_of_few_bits_is_earned_again_for_days(void **state)
{
	struct verdict_input few = good;
	struct verdict v = {};

	few.bits = (config.flag_bits + config.unflag_bits) / 2;
	step(&v, &few);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < config.unflag_windows; i++)
			assert_int_equal(step(&v, &few), FARM_FLAG);
		assert_int_equal(step(&v, &few), FARM_DECAY);
	}
}

static void a_flag_that_the_facts_turn_against_is_taken_back(void **state)
{
	struct verdict_input wrong = good;
	struct verdict v = {};

	wrong.bits = -3;
	step(&v, &good);
	step(&v, &good);
	for (uint32_t i = 1; i < config.retract_windows; i++)
		assert_int_equal(step(&v, &wrong), FARM_PROPOSE);
	assert_int_equal(step(&v, &wrong), FARM_WATCH);
	assert_true(v.flagged_at == 0);
}

static void the_gate_says_what_is_missing(void **state)
{
	struct verdict_input in = good;
	struct verdict v = {};
	char gate[256];

	in.coordinate = 1;
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_string_equal(gate, "coordination bits 1.00, needs 3.00");
	in.calibrated = true;
	in.p = .1;
	verdict_step(&v, &in, &config, gate, sizeof(gate));
	assert_string_equal(gate, "log10 of P(a clean day) -1.00, needs -3.00");
}

/* ---- members ------------------------------------------------------------------ */

static struct cohort_member member(uint32_t direct, uint32_t split, uint32_t waiting)
{
	return (struct cohort_member){ .split = 2,
				       .weight = 1,
				       .direct_handshakes = direct,
				       .split_handshakes = split,
				       .split_waiting = waiting };
}

/* 44: one address, one stack, honest and farm; the farm's hellos wait. */
static void honest_and_farm_under_one_stack_get_a_predicate(void **state)
{
	struct cohort_member m = member(4, 20, 20);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	assert_true(member_mixed(&m));
	assert_true(member_rule(&m, &config, 50, &rule, why));
	assert_int_equal(rule.d1_min, 100);
	assert_int_equal(rule.dstar_min, 100);
}

/* 44: both delays, under the farm's and over what a busy person's machine makes of them.
 * D* is the leg or twice that, or microsocks' twice that and 45 ms: D1 tells which. */
static void a_predicate_asks_for_half_of_the_leg(void **state)
{
	static const struct {
		uint32_t far;
		int waiting_d1;
		uint16_t d1, dstar;
	} cases[] = {
		{ 800, 3, 400, 400 },   { 800, 2, 100, 400 },  { 500, 2, 120, 250 },
		{ 1600, 3, 400, 800 },  { 890, 2, 110, 440 },  { 240, 2, 120, 120 },
		{ 110, 2, 100, 100 },   { 1200, 4, 600, 600 }, { 9000, 4, 2000, 2000 },
		{ 5000, 2, 100, 2000 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cohort_member m = member(4, 20, 20);
		struct plan_rule rule = {};
		char why[PLAN_REASON];

		m.far = cases[i].far;
		m.nearest = 999999; /* not asked: someone lives there */
		m.waiting_d1 = cases[i].waiting_d1;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.d1_min, cases[i].d1);
		assert_int_equal(rule.dstar_min, cases[i].dstar);
		m = member(0, 20, 20);
		m.far = 999999; /* the exit's own delays, some of them */
		m.nearest = cases[i].far;
		m.waiting_d1 = cases[i].waiting_d1;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.dstar_min, cases[i].dstar);
	}
}

/* 44: on a busy machine one of a newcomer's first two did not wait. Who lives there has yet
 * to come: a rule without a predicate would never let him be measured. */
static void a_newcomer_that_waited_once_gets_a_predicate(void **state)
{
	static const struct {
		uint32_t split, waiting;
		uint16_t dstar;
	} cases[] = { { 2, 1, 240 }, { 4, 1, 240 }, { 5, 1, 0 }, { 2, 0, 0 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cohort_member m = member(0, cases[i].split, cases[i].waiting);
		struct plan_rule rule = {};
		char why[PLAN_REASON];

		m.split_at_once = cases[i].split - cases[i].waiting;
		m.reborn = true;
		m.nearest = 488;
		m.waiting_d1 = 2;
		assert_true(member_rule(&m, &config, 50, &rule, why));
		assert_int_equal(rule.dstar_min, cases[i].dstar);
		assert_int_equal(!rule.d1_min, !cases[i].dstar);
	}
}

/* 49: not even one of whom nothing but earlier days is known. */
static void a_member_without_a_leg_gets_no_rule(void **state)
{
	struct cohort_member m = member(0, 0, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	(void)state;
	m.kept = 100;
	assert_true(member_rule(&m, &config, 50, &rule, why));
	m.unsplit = true;
	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "no delay tells it from who lives there"));
}

/* 44: who lives there is nearer than the farm. */
static void what_is_far_is_the_farms(void **state)
{
	struct tally row = { .dstar = { 22, 19 | DSTAR_RESUMED, 860, 778, 21 } };
	struct view view = {};
	struct baseline baseline;

	baseline_init(&baseline);
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 860);
	row.dstar[4] = 171;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 778);
	assert_int_equal(delays_of(&baseline, &config, &row, &view).nearest, 171);
	row.dstar[4] = 21;
	row.dstar[2] = DSTAR_NONE;
	row.dstar[3] = 444 | DSTAR_RESUMED;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 444);
	row.dstar[3] = DSTAR_NONE;
	assert_int_equal(delays_of(&baseline, &config, &row, &view).far, 0);
	baseline_clear(&baseline);
}

/* 44: the far end answers early, so the hellos look alike. */
static void honest_and_farm_that_look_alike_get_no_rule_and_a_reason(void **state)
{
	struct cohort_member m = member(10, 20, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON] = "";

	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "10 direct and 20 split handshakes"));
	m = member(1, 20, 20);
	m.direct_waiting = 2;
	assert_false(member_rule(&m, &config, 50, &rule, why));
}

static void direct_while_clean_asks_for_a_predicate_however_long_ago(void **state)
{
	struct cohort_member m = member(0, 50, 0);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	assert_true(member_rule(&m, &config, 50, &rule, why));
	m.was_direct = true;
	assert_false(member_rule(&m, &config, 50, &rule, why));
}

/* timing.md: up to a fifth of the D* behind a forwarder are held-up acknowledgements. */
static void held_up_acknowledgements_do_not_make_a_source_mixed(void **state)
{
	struct cohort_member m = member(4, 16, 0);

	assert_false(member_mixed(&m));
}

static void little_known_is_no_member_and_no_certainty(void **state)
{
	struct cohort_member m = member(0, 5, 5);
	struct plan_rule rule = {};
	char why[PLAN_REASON];

	m.split = 0;
	assert_false(member_is(&m));
	m.split = 2;
	m.held = 1;
	assert_false(member_is(&m));
	m.held = 0;
	assert_true(member_posterior(&m) <= POSTERIOR_MAX);
	m.weight = 0.98f;
	assert_false(member_rule(&m, &config, 50, &rule, why));
	assert_non_null(strstr(why, "posterior 0.980"));
}

/* ---- collateral and plans -------------------------------------------------------- */

/* 300 rules with a doubt of 0.001: 0.3 expected, upper95 1; he makes 10 exchanges, as all
 * others do, beside 990. */
static void collateral_by_hand(void **state)
{
	struct cohort_member other = { .split = DELAY_DIRECT, .exchanges = 10 };
	struct cohort all = { .members = &other, .n = 1 };
	const struct collateral_traffic site = { 990, 90, &all };
	struct plan_rule rules[300];
	struct plan_collateral c;

	for (int i = 0; i < 300; i++)
		rules[i] = (struct plan_rule){ .doubt = 0.001, .exchanges = 10 };
	c = collateral_of(rules, 300, 0, 0, &site);
	assert_true(fabs(c.sources - 0.3) < 1e-9);
	assert_true(c.upper95 == 1);
	assert_true(c.precision > 299.0 / 300 && c.precision < 1);
	assert_true(fabs(c.share_all - 0.01) < 1e-9);
	assert_true(fabs(c.share_stack - 0.1) < 1e-9);
	assert_true(collateral_of(rules, 300, 2.7, 0, &site).upper95 == 7);
	assert_true(collateral_of(rules, 300, 0, 7.5, &site).upper95 == 7.5); /* the larger claim */
	assert_true(collateral_of(rules, 0, 5, 7, &site).sources == 0);
}

static void a_diff_adds_removes_keeps_and_renews(void **state)
{
	struct plan_rule want[] = {
		{ .src = 1, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 2, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 20 },
		{ .src = 3, .stack = 9, .family = 4, .action = RULE_RESET, .d1_min = 100 },
	};
	struct plan_rule have[] = {
		{ .src = 4, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 2, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 1, .stack = 9, .family = 4, .action = RULE_RESET, .expires = 10 },
		{ .src = 3, .stack = 9, .family = 4, .action = RULE_RESET },
	};
	static const enum plan_change expect[] = { PLAN_KEEP, PLAN_RENEW, PLAN_REMOVE, PLAN_ADD,
						   PLAN_REMOVE };
	static const uint64_t src[] = { 1, 2, 3, 3, 4 };
	struct plan_step *steps;
	size_t n;

	assert_int_equal(plan_diff(want, 3, have, 4, &steps, &n), 0);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(steps[i].change, expect[i]);
		assert_int_equal((steps[i].want ? steps[i].want : steps[i].have)->src, src[i]);
	}
	free(steps);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(a_farm_stands_against_every_benign_kind),
		T(tls_that_ends_at_the_exits_is_known_by_whose_machines_they_are),
		T(a_farm_paced_like_people_is_known_by_its_one_place),
		T(pods_are_a_fleet),
		T(people_with_far_ends_of_their_own_are_no_farm),
		T(people_behind_shared_relays_are_no_farm),
		T(a_slow_program_is_no_farm),
		T(no_family_gives_more_than_its_cap),
		T(being_more_even_than_a_queue_does_not_acquit),
		T(nothing_known_is_no_farm),
		T(lines_of_a_family_add_up_to_it),
		T(two_of_three_windows_flag_and_propose),
		T(without_a_plan_that_holds_a_flag_stays_a_flag),
		T(of_an_own_stack_sources_that_never_come_back_are_no_flag),
		T(one_origin_is_watched_where_a_day_alone_is_not),
		T(direct_newcomers_are_watched_where_more_speaks_against_them),
		T(sources_that_never_come_back_get_no_rules),
		T(one_origin_of_sources_that_do_not_stay_flags_nothing),
		T(an_own_stack_needs_size_and_age),
		T(each_part_of_the_gate_holds_by_itself),
		T(one_operator_stands_in_for_coordination),
		T(a_flag_is_not_lost_in_a_quiet_window_but_decays),
		T(a_flag_of_few_bits_is_earned_again_for_days),
		T(a_flag_that_the_facts_turn_against_is_taken_back),
		T(the_gate_says_what_is_missing),
		T(honest_and_farm_under_one_stack_get_a_predicate),
		T(a_predicate_asks_for_half_of_the_leg),
		T(a_newcomer_that_waited_once_gets_a_predicate),
		T(a_member_without_a_leg_gets_no_rule),
		T(what_is_far_is_the_farms),
		T(honest_and_farm_that_look_alike_get_no_rule_and_a_reason),
		T(direct_while_clean_asks_for_a_predicate_however_long_ago),
		T(held_up_acknowledgements_do_not_make_a_source_mixed),
		T(little_known_is_no_member_and_no_certainty),
		T(collateral_by_hand),
		T(a_diff_adds_removes_keeps_and_renews),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
