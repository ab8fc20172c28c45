/* SPDX-License-Identifier: BSD-2-Clause */
/* detect/detect.h from end to end: small made-up sites, events in, farms and rules out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/time.h"
#include "detect/detect.h"
#include "detect/state.h"
#include "detect/stats.h"
#include "model/tallies.h"

#define SECOND  NSEC_PER_SEC
#define START   (1767225600ULL * SECOND)
#define EVENTS  400000
#define BROWSER 1 /* stacks */
#define SDK     2
#define SCRIPT  3
#define FRESH   9

struct visit {
	double t;
	struct event_conn e;
	uint64_t stack;
};

static double burden; /* ms more on everybody's delays after 620 s */
static struct visit *visits;
static size_t n_visits;
static uint64_t seed;
static struct detect_config config;
static struct farms farms;
static double ruled_at;             /* s: from this window on SDK's farm is dropped; 0: never */
static void (*each_window)(double); /* s, its end; may be NULL */
static struct plan plan;

static int set_up(void **state)
{
	visits = calloc(EVENTS, sizeof(*visits));
	n_visits = 0;
	seed = 11;
	burden = 0;
	ruled_at = 0;
	each_window = NULL;
	config = detect_config_default();
	config.window = 10 * SECOND;
	config.baseline_until = START + 600 * SECOND;
	return visits ? 0 : -1;
}

static int tear_down(void **state)
{
	free(visits);
	plan_clear(&plan);
	farms_clear(&farms);
	return 0;
}

static double chance(void)
{
	return ((stats_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(chance())) * cos(2 * M_PI * chance());
}

static void visit(double t, struct addr src, uint64_t stack, double leg, bool waits)
{
	struct visit *v = &visits[n_visits++];
	double own = exp(0.5 * normal());

	if (t > 620 && burden > 0)
		own -= burden * log(chance());
	assert_true(n_visits < EVENTS);
	v->t = t;
	v->stack = stack;
	v->e = (struct event_conn){
		.t = START + (uint64_t)(t * 1e6) * 1000,
		.src = src,
		.dport = 443,
		.tcp_key = 5 + src.lo % 3,
		.rtt_us = 20000 + 5000 * chance(),
		.d1_us = 1000 * ((waits ? leg + 2 : 0) + 0.6 * own),
		.d2_us = US_UNKNOWN,
		.dstar_us = 1000 * (leg + own),
	};
}

/* Sessions of a few visits, pauses between them; a rate of their own. */
static void person(struct addr src, uint64_t stack, double from, double until, double leg)
{
	double pace = 120 * exp(0.8 * normal());

	for (double t = from + pace * chance(); t < until; t += pace * exp(normal())) {
		for (int n = 1 + (int)(4 * chance()); n && t < until; n--) {
			visit(t, src, stack, leg * (1 + 0.05 * normal()), false);
			t += 8 * exp(1.3 * normal());
		}
	}
}

static void even(struct addr src, uint64_t stack, double every, double from, double until,
		 double leg)
{
	for (double t = from + every * chance(); t < until; t += every * (0.8 + 0.4 * chance()))
		visit(t, src, stack, leg > 0 ? leg * (1 + 0.04 * normal()) : 0, true);
}

static struct addr anywhere(void)
{
	return addr_v4(0x0b000000 + (uint32_t)(chance() * 0x50000000));
}

static void people(int n, uint64_t stack, double from, double until)
{
	for (int i = 0; i < n; i++)
		person(anywhere(), stack, from, until, 0);
}

static void site(double until)
{
	people(60, BROWSER, 0, until);
	people(40, SDK, 0, until);
	people(20, SCRIPT, 0, until);
}

static int by_time(const void *a, const void *b)
{
	double x = ((const struct visit *)a)->t, y = ((const struct visit *)b)->t;

	return (x > y) - (x < y);
}

/* Everything through the inlet and the detector, window by window. */
static void judge(double until)
{
	struct detect *d = detect_new(&config);
	struct tallies *t = tallies_new();
	uint64_t due = detect_next(d, START);
	size_t i = 0;

	assert_true(d && t);
	qsort(visits, n_visits, sizeof(*visits), by_time);
	while (due <= START + (uint64_t)until * SECOND) {
		struct snapshot *s;

		for (; i < n_visits && visits[i].e.t <= due; i++) {
			static const struct event_exchange one = { 20, 300, 4000 };
			struct tallies_name name = { .stack = visits[i].stack, .order = 1 };

			visits[i].e.exchanges = &one;
			visits[i].e.n_exchanges = 1;
			assert_int_equal(tallies_connection(t, &visits[i].e, &name), 0);
		}
		assert_int_equal(tallies_advance(t, due), 0);
		assert_int_equal(tallies_snapshot(t, false, &s), 0);
		plan_clear(&plan);
		farms_clear(&farms);
		if (ruled_at && due > START + (uint64_t)ruled_at * SECOND)
			detect_enforced(d, SDK, 443, true);
		assert_int_equal(detect_step(d, s, &farms, &plan), 0);
		if (each_window)
			each_window((due - START) / 1e9);
		snapshot_free(s);
		due = detect_next(d, due);
	}
	tallies_free(t);
	detect_free(d);
}

static size_t flagged(void)
{
	size_t n = 0;

	for (size_t i = 0; i < farms.n; i++)
		n += farms.farm[i].state == FARM_FLAG || farms.farm[i].state == FARM_PROPOSE;
	return n;
}

/* 300 exits in 300 /24s, twenty exchanges each. */
static void farm(uint64_t stack, struct addr exits[300], double from, double until)
{
	for (int i = 0; i < 300; i++) {
		exits[i] = addr_v4(0x60000000 + ((uint32_t)i * 7919 % 4096 << 16 | i << 8 | 9));
		even(exits[i], stack, 30, from, until, 20 + 60 * chance());
	}
}

static size_t rules_for(const struct addr *a, size_t n)
{
	size_t k = 0;

	for (size_t r = 0; r < plan.n_rules; r++) {
		for (size_t i = 0; i < n; i++) {
			if (plan.rules[r].src == a[i].lo - ADDR_V4_MARK) {
				k++;
				break;
			}
		}
	}
	return k;
}

/* Recall 95%, precision 99% inside a stack that 40 honest sources share. */
static void a_farm_behind_300_exits_is_found_in_a_stack_it_shares(void **state)
{
	struct addr exits[300];

	site(1200);
	farm(SDK, exits, 620, 1200);
	judge(1200);
	assert_int_equal(flagged(), 1);
	assert_true(farms.farm[0].stack == SDK);
	assert_true(rules_for(exits, 300) >= 285);
	assert_int_equal(plan.n_rules, rules_for(exits, 300));
	assert_true(farms.farm[0].flagged_at < START + 800 * SECOND);
	for (size_t i = 0; i < plan.n_rules; i++)
		assert_true(plan.rules[i].stack == SDK && plan.rules[i].src &&
			    plan.rules[i].expires && plan.rules[i].d1_min >= 100 &&
			    plan.rules[i].dstar_min >= plan.rules[i].d1_min);
}

/* Everything is slower while the farm runs: sources that were direct when clean say by
 * how much. */
static void a_burdened_machine_does_not_make_its_clients_split(void **state)
{
	struct addr exits[300];

	burden = 8;
	site(1200);
	farm(SDK, exits, 620, 1200);
	judge(1200);
	assert_int_equal(flagged(), 1);
	assert_true(rules_for(exits, 300) >= 280);
	assert_int_equal(plan.n_rules, rules_for(exits, 300));
	assert_int_equal(farms.n, 1); /* nothing else is even watched */
	assert_true(farms.farm[0].n_members <= 303);
}

/* The gates that so short a history cannot meet are all there, and unmet. */
static void a_short_history_leaves_its_gates_unmet(void **state)
{
	struct addr exits[300];
	bool history = true;

	site(1200);
	farm(SDK, exits, 620, 1200);
	judge(1200);
	for (size_t i = 0; i < plan.n_gates; i++) {
		if (!strcmp(plan.gates[i].name, "history"))
			history = plan.gates[i].met;
	}
	assert_false(history);
}

/* 44: thirty exits are somebody's address, who uses the same stack directly. */
static void residents_of_exits_are_spared_or_told_apart(void **state)
{
	struct addr exits[300];
	size_t bare = 0;

	site(1200);
	farm(SDK, exits, 620, 1200);
	for (int i = 0; i < 30; i++)
		person(exits[i], SDK, 0, 1200, 0);
	judge(1200);
	assert_int_equal(flagged(), 1);
	for (size_t r = 0; r < plan.n_rules; r++) {
		for (int i = 0; i < 30; i++)
			bare += plan.rules[r].src == exits[i].lo - ADDR_V4_MARK &&
				!plan.rules[r].d1_min;
	}
	assert_int_equal(bare, 0);
	assert_true(plan.n_rules >= 260);
}

/* Each exit is used for four minutes, then another one: rules live no longer than twice
 * that. Where exits stay, how long is not known, and rule_ttl stands. */
static void rules_live_twice_as_long_as_exits(void **state)
{
	uint64_t now = START + 1800 * SECOND;

	site(1800);
	for (int i = 0; i < 1200; i++) {
		double from = 620 + i / 200 * 240 + 60 * chance();

		even(addr_v4(0x60000000 + ((uint32_t)i * 7919 % 4096 << 16 | (i & 255) << 8 | 9)),
		     SDK, 15, from, from + 240, 20 + 60 * chance());
	}
	judge(1800);
	assert_int_equal(flagged(), 1);
	assert_true(plan.n_rules > 300);
	assert_true(plan.farms[0].life > 200 && plan.farms[0].life < 260);
	for (size_t i = 0; i < plan.n_rules; i++)
		assert_true(plan.rules[i].expires > now + 400 * SECOND &&
			    plan.rules[i].expires < now + 520 * SECOND);
}

static void rules_live_as_long_as_rule_ttl_where_exits_stay(void **state)
{
	struct addr exits[300];

	config.rule_ttl = 7200 * SECOND;
	site(1200);
	farm(SDK, exits, 620, 1200);
	judge(1200);
	assert_true(plan.n_rules > 280 && plan.farms[0].life < 0);
	assert_true(plan.rules[0].expires == START + 8400 * SECOND);
}

/* ---- a farm that moves when it is dropped ---------------------------------------------- */

static struct addr fresh[300];
static uint32_t before_rule[300]; /* connections until its first rule; 0: none yet */

static uint32_t visits_of(struct addr src, double until)
{
	uint32_t n = 0;

	for (size_t i = 0; i < n_visits; i++)
		n += visits[i].t <= until && visits[i].e.src.lo == src.lo;
	return n;
}

static void note_rules(double now)
{
	for (int i = 0; i < 300; i++)
		if (!before_rule[i] && rules_for(&fresh[i], 1))
			before_rule[i] = visits_of(fresh[i], now);
}

/* A farm in the SDK's stack, dropped at 1,200 s; after that it never comes by its old
 * exits again. */
static void drop_a_farm(void)
{
	struct addr exits[300];

	site(1260);
	farm(SDK, exits, 620, 1200);
	ruled_at = 1200;
	each_window = note_rules;
	memset(before_rule, 0, sizeof(before_rule));
	for (int i = 0; i < 300; i++)
		fresh[i] = addr_v4(0x70000000 + ((uint32_t)i * 6151 % 4096 << 16 | i << 8 | 9));
}

static void move_in(int n)
{
	for (int i = 0; i < n; i++)
		even(fresh[i], SDK, 10, 1205, 1260, 20 + 60 * chance());
}

/* Thirty of the new exits have somebody behind them who uses the stack himself, and
 * there are new people besides: nobody of them is named but by what waits. */
static void replacements_are_known_by_their_first_connections(void **state)
{
	size_t soon = 0, bare = 0;

	drop_a_farm();
	move_in(300);
	for (int i = 0; i < 30; i++)
		for (double t = 1202 + 10 * chance(); t < 1260; t += 8)
			visit(t, fresh[i], SDK, 0, false);
	people(20, SDK, 1200, 1260);
	judge(1260);
	for (int i = 30; i < 300; i++)
		soon += before_rule[i] == 1 || before_rule[i] == 2;
	print_message("# %zu of 270 are ruled within 2 connections\n", soon);
	assert_true(soon >= 257);
	assert_true(rules_for(fresh, 300) >= 285);
	for (size_t r = 0; r < plan.n_rules; r++)
		bare += rules_for(fresh, 300) && !plan.rules[r].d1_min &&
			plan.rules[r].src >= 0x70000000;
	assert_int_equal(bare, 0);
	for (size_t r = 0; r < plan.n_rules; r++)
		assert_true(plan.rules[r].src >= 0x60000000); /* nobody of people() */
}

/* Nine exits among two hundred new people. */
static void among_many_new_people_it_takes_more_than_one_connection(void **state)
{
	size_t ruled = 0;

	drop_a_farm();
	move_in(9);
	for (int i = 0; i < 200; i++)
		even(anywhere(), SDK, 10, 1200, 1260, 0);
	judge(1230); /* two or three connections each */
	for (int i = 0; i < 9; i++)
		ruled += before_rule[i] == 1 || before_rule[i] == 2;
	assert_int_equal(ruled, 0);
}

/* Before anything is dropped, one connection is none. */
static void nobody_replaces_what_was_not_dropped(void **state)
{
	size_t soon = 0;

	drop_a_farm();
	ruled_at = 0;
	move_in(300);
	judge(1220);
	for (int i = 0; i < 300; i++)
		soon += before_rule[i] != 0;
	assert_int_equal(soon, 0);
}

/* A relay that opens after the drop has its exits in few networks. */
static void a_relay_that_opens_after_the_drop_replaces_nobody(void **state)
{
	drop_a_farm();
	for (int i = 0; i < 300; i++)
		fresh[i] = addr_v4(0x70000000 + (i % 3 << 8) + i / 3);
	move_in(300);
	judge(1230);
	assert_int_equal(rules_for(fresh, 300), 0);
}

/* A jammed machine makes waiting ordinary: then the first connections say nothing. */
static void on_a_jammed_machine_nobody_is_a_replacement(void **state)
{
	drop_a_farm();
	for (int i = 0; i < 300; i++)
		even(fresh[i], SDK, 10, 1205, 1260, 0);
	for (size_t i = 0; i < n_visits; i++)
		if (visits[i].t > 1200) {
			visits[i].e.d1_us += 30000;
			visits[i].e.dstar_us += 40000;
		}
	judge(1220);
	assert_int_equal(rules_for(fresh, 300), 0);
}

/* After the jam what comes counts, however one began. People's rules, if they have any, do not
 * meet what they do when nothing is jammed. */
static void after_a_jam_a_replacement_is_known_by_its_next_connection(void **state)
{
	struct addr person[60];
	size_t soon = 0;

	drop_a_farm();
	move_in(300);
	for (int i = 0; i < 60; i++)
		even(person[i] = anywhere(), SDK, 10, 1205, 1260, 0);
	for (size_t i = 0; i < n_visits; i++)
		if (visits[i].t > 1200 && visits[i].t <= 1210) {
			visits[i].e.d1_us += 30000;
			visits[i].e.dstar_us += 40000;
		}
	judge(1240);
	for (int i = 0; i < 300; i++)
		soon += before_rule[i] == 1 || before_rule[i] == 2;
	print_message("# %zu of 300 are ruled within 2 connections\n", soon);
	assert_true(soon >= 285);
	for (size_t r = 0; r < plan.n_rules; r++)
		if (plan.rules[r].src < 0x60000000)
			assert_true(plan.rules[r].d1_min >= 100 && plan.rules[r].dstar_min >= 100);
}

/* 49: the browser's hello, its own delays (TLS ends at the exit), its users' pace. */
static void a_farm_that_mimics_a_browser_exactly_costs_no_user_anything(void **state)
{
	site(1800);
	for (int i = 0; i < 300; i++)
		person(anywhere(), BROWSER, 620, 1800, 0);
	judge(1800);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* 51: an enterprise with identical pods in three prefixes. */
static void identical_pods_get_no_rule(void **state)
{
	site(1800);
	for (int i = 0; i < 1000; i++)
		even(addr_v4(0x34000000 + (i % 3 << 8) + i / 3 % 254 + (i / 762 << 16)), SDK, 30,
		     620, 1800, 0);
	judge(1800);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* 51: a VPN's exits: each shared, every visit of somebody with another distance. */
static void a_vpn_gets_no_rule(void **state)
{
	site(1800);
	for (int i = 0; i < 60; i++) {
		struct addr exit = addr_v4(0x34050000 + (i % 4 << 8) + i);

		for (int p = 0; p < 8; p++)
			person(exit, p % 2 ? BROWSER : SDK, 620, 1800, 10 + 120 * chance());
	}
	judge(1800);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* 51: a monitoring vendor: 200 probes anywhere, one visit every 20 s, like clockwork. */
static void a_monitoring_vendor_gets_no_rule(void **state)
{
	site(1800);
	for (int i = 0; i < 200; i++)
		even(anywhere(), SCRIPT, 20, 620, 1800, 0);
	judge(1800);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* 51: an office NAT of many, and a new version of an SDK everywhere. */
static void an_office_and_a_release_get_no_rule(void **state)
{
	struct addr office = anywhere();

	site(1800);
	for (int i = 0; i < 200; i++)
		person(office, i % 2 ? BROWSER : SCRIPT, 620, 1800, 0);
	people(400, FRESH, 620, 1800);
	judge(1800);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* People who each found a way round: concealed, dispersed, in no step. */
static void people_with_tunnels_of_their_own_get_no_rule(void **state)
{
	site(3000);
	for (int i = 0; i < 200; i++)
		person(anywhere(), SDK, 620, 3000, 10 + 100 * chance());
	judge(3000);
	assert_int_equal(plan.n_rules, 0);
	assert_int_equal(flagged(), 0);
}

/* 52: one request a day from each of 400 exits, windows of an hour. Each day shows
 * too little; the kept D* of five days do not. */
static void one_request_a_day_is_seen_after_some_days(void **state)
{
	double day = 86400;

	config.window = 3600 * SECOND;
	config.baseline_until = START + (uint64_t)(5 * day) * SECOND;
	for (int i = 0; i < 100; i++) {
		struct addr a = anywhere();

		for (double t = day * chance(); t < 12 * day; t += day / 3 * exp(normal()))
			visit(t, a, SDK, 0, false);
	}
	for (int i = 0; i < 400; i++) {
		struct addr a =
			addr_v4(0x60000000 + ((uint32_t)i * 7919 % 4096 << 16 | i << 8 | 9));
		double leg = 20 + 60 * chance();

		for (double t = (5 + chance()) * day; t < 12 * day;
		     t += day * (0.9 + 0.2 * chance()))
			visit(t, a, SDK, leg, true);
	}
	judge(12 * day);
	assert_int_equal(farms.n, 1);
	assert_true(farms.farm[0].n_members >= 380);
	assert_true(flagged() == 1);
}

/* Nothing was said to be clean: a stack nobody knows is not a farm for being new. */
static void without_clean_time_people_are_no_farm(void **state)
{
	config.baseline_until = START;
	site(1800);
	judge(1800);
	assert_int_equal(flagged(), 0);
	assert_int_equal(plan.n_rules, 0);
}

static void the_same_events_give_the_same_answer(void **state)
{
	struct addr exits[300];
	double bits;
	size_t n;

	site(900);
	farm(SDK, exits, 620, 900);
	judge(900);
	assert_int_equal(flagged(), 1);
	bits = farms.farm[0].bits;
	n = plan.n_rules;
	judge(900);
	assert_true(farms.farm[0].bits == bits);
	assert_int_equal(plan.n_rules, n);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_farm_behind_300_exits_is_found_in_a_stack_it_shares),
		T(a_burdened_machine_does_not_make_its_clients_split),
		T(a_short_history_leaves_its_gates_unmet),
		T(residents_of_exits_are_spared_or_told_apart),
		T(rules_live_twice_as_long_as_exits),
		T(rules_live_as_long_as_rule_ttl_where_exits_stay),
		T(replacements_are_known_by_their_first_connections),
		T(among_many_new_people_it_takes_more_than_one_connection),
		T(nobody_replaces_what_was_not_dropped),
		T(a_relay_that_opens_after_the_drop_replaces_nobody),
		T(on_a_jammed_machine_nobody_is_a_replacement),
		T(after_a_jam_a_replacement_is_known_by_its_next_connection),
		T(a_farm_that_mimics_a_browser_exactly_costs_no_user_anything),
		T(identical_pods_get_no_rule),
		T(a_vpn_gets_no_rule),
		T(a_monitoring_vendor_gets_no_rule),
		T(an_office_and_a_release_get_no_rule),
		T(people_with_tunnels_of_their_own_get_no_rule),
		T(one_request_a_day_is_seen_after_some_days),
		T(without_clean_time_people_are_no_farm),
		T(the_same_events_give_the_same_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
