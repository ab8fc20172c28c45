/* SPDX-License-Identifier: BSD-2-Clause */
/* The judge: hellos and connections in, farms and a plan out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/time.h"
#include "model/judge.h"
#include "tests/unit/lib_hello.h"

#define START (1767225600ULL * NSEC_PER_SEC)

static struct judge *judge;

static int set_up(void **state)
{
	struct judge_config c = { .window = 10 * NSEC_PER_SEC,
				  .baseline_until = START + 600 * NSEC_PER_SEC,
				  .holdout = 500 };
	struct reason r;

	return judge_new(&c, &judge, &r);
}

static int tear_down(void **state)
{
	judge_free(judge);
	return 0;
}

static uint32_t hello(unsigned int ciphers)
{
	struct spec s;
	static struct message m;
	uint32_t index = 99;

	spec_chrome(&s);
	s.n_ciphers -= ciphers;
	spec_write(&s, &m);
	assert_int_equal(judge_hello(judge, m.b, m.len, &index), 0);
	return index;
}

static int visit(uint64_t ms, uint32_t address, uint32_t stack, uint32_t leg_us)
{
	struct event_exchange x = { 50, 400, 4000 };
	struct event_conn e = { .t = START + ms * NSEC_PER_MSEC,
				.src = addr_v4(address),
				.dport = 443,
				.hello = stack,
				.rtt_us = 20000,
				.d1_us = leg_us + 600,
				.d2_us = leg_us + 1000,
				.dstar_us = leg_us + 1000,
				.tcp_key = 5 + address % 3,
				.exchanges = &x,
				.n_exchanges = 1 };

	return judge_event(judge, &e);
}

/* 100 people for ten minutes, then 300 exits beside them, each with its network's leg. */
static void play(uint32_t stack, uint64_t from, uint64_t until)
{
	for (uint64_t s = from; s < until; s++) {
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(visit(1000 * s + i,
					       0x0b000000 + (s * 7 + i * 31) % 100 * 65551, stack,
					       0),
					 0);
		for (uint32_t i = 0; s >= 620 && i < 10; i++) {
			uint32_t n = (s * 10 + i) % 300;

			assert_int_equal(visit(1000 * s + 10 + i,
					       0x60000000 + (n % 60 << 16 | n << 8 | 9), stack,
					       20000 + n % 60 * 1000 + s % 3 * 300),
					 0);
		}
	}
	assert_int_equal(judge_advance(judge, START + until * NSEC_PER_SEC), 0);
}

static void a_farm_in_a_shared_stack_is_judged_planned_and_enforced(void **state)
{
	const struct farms *f;
	struct farm_names names = judge_names(judge);
	uint32_t stack = hello(0);

	play(stack, 0, 1200);
	f = judge_farms(judge);
	assert_int_equal(f->n, 1);
	assert_true(f->farm[0].state >= FARM_FLAG);
	assert_true(f->farm[0].n_members >= 290);
	assert_true(judge_plan(judge)->n_rules >= 290);
	assert_non_null(names.stack(names.ctx, f->farm[0].stack));
	assert_int_equal(judge_enforce(judge, "f9", true), -ENOENT);
	assert_int_equal(judge_enforce(judge, f->farm[0].id, true), 0);
	assert_int_equal(judge_advance(judge, START + 1210 * NSEC_PER_SEC), 0);
	assert_int_equal(judge_farms(judge)->farm[0].state, FARM_ENFORCE);
}

static void person(uint64_t s, uint32_t stack)
{
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(visit(1000 * s + i, 0x0b000000 + (s * 7 + i * 31) % 100 * 65551,
				       stack, 0),
				 0);
}

static const struct farm_line *line(const char *name)
{
	const struct farm *f = judge_farms(judge)->farm;

	for (size_t i = 0; i < f->n_lines; i++)
		if (!strcmp(f->line[i].name, name))
			return &f->line[i];
	return NULL;
}

/* From 1200 s on rules are in force for 300 exits but the 15 held out. Five minutes of
 * people beside it; with `replaced`, 285 exits in other networks that take over, each
 * with two connections a window apart. */
static void ban(uint32_t stack, bool replaced)
{
	uint32_t n = 0;

	assert_int_equal(judge_enforce(judge, judge_farms(judge)->farm[0].id, true), 0);
	for (uint64_t s = 1200; s < 1500; s++) {
		person(s, stack);
		if (s % 2 == 0) {
			uint32_t h = s / 2 % 15;

			assert_int_equal(visit(1000 * s + 10, 0x60000000 + (h << 16 | h << 8 | 9),
					       stack, 20000 + h * 1000),
					 0);
		}
		for (uint32_t i = 0; replaced && s >= 1230 && s < 1420 && i < 3; i++, n++) {
			uint32_t k = n / 60 * 30 + n % 30; /* and again 10 s later */

			assert_int_equal(visit(1000 * s + 20 + i,
					       0x70000000 + (k % 60 << 16 | k << 8 | 5), stack,
					       20000 + k % 60 * 1000),
					 0);
		}
	}
	assert_int_equal(judge_advance(judge, START + 1500 * NSEC_PER_SEC), 0);
}

static size_t ruled(uint64_t from, uint64_t until)
{
	const struct plan *p = judge_plan(judge);
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		n += p->rules[i].src >= from && p->rules[i].src < until;
	return n;
}

static void replacements_are_evidence_and_ruled_after_two_connections(void **state)
{
	uint32_t stack = hello(0);

	play(stack, 0, 1200);
	assert_null(line("regrowth"));
	ban(stack, true);
	assert_non_null(line("regrowth"));
	assert_true(line("regrowth")->bits > 12);
	assert_true(line("regrowth")->value > 0.8); /* one for one */
	assert_non_null(strstr(line("regrowth")->text, "held out: "));
	assert_true(ruled(0x70000000, 0x80000000) >= 285 * 95 / 100);
	assert_int_equal(ruled(0x0b000000, 0x20000000), 0);
}

static void a_ban_that_nobody_answers_is_no_evidence(void **state)
{
	uint32_t stack = hello(0);

	play(stack, 0, 1200);
	ban(stack, false);
	assert_true(line("regrowth")->bits < 0);
	assert_true(line("regrowth")->value < 0.05);
}

static void what_is_wrong_is_refused(void **state)
{
	uint32_t index, stack = hello(0);

	assert_int_equal(judge_hello(judge, (const uint8_t *)"GET / HTTP/1.1", 14, &index),
			 -EINVAL);
	assert_int_equal(hello(1), stack + 1); /* the refused one took no number */
	assert_int_equal(visit(5000, 0x0b000001, 7, 0), -EINVAL);
	assert_int_equal(visit(5000, 0x0b000001, stack, 0), 0);
	assert_int_equal(visit(2000, 0x0b000001, stack, 0), -ERANGE);
}

/* In three pieces, each with a judge of its own, as well as in one. */
static void a_state_directory_carries_history_from_stream_to_stream(void **state)
{
	static const uint64_t cut[] = { 0, 400, 900, 1200 };
	char dir[] = "/tmp/winnow-judge-XXXXXX", command[64];
	struct judge_config c = { .window = 10 * NSEC_PER_SEC, .state_dir = mkdtemp(dir) };
	struct farm one, pieces;
	struct reason r = {};

	play(hello(0), 0, 1200);
	one = judge_farms(judge)->farm[0];
	for (int i = 0; i < 3; i++) {
		judge_free(judge);
		judge = NULL;
		c.baseline_until = i ? 0 : START + 600 * NSEC_PER_SEC; /* said once */
		assert_int_equal(judge_new(&c, &judge, &r), 0);
		play(hello(0), cut[i], cut[i + 1]);
	}
	assert_int_equal(judge_farms(judge)->n, 1);
	pieces = judge_farms(judge)->farm[0];
	assert_string_equal(pieces.id, "f1");
	assert_int_equal(pieces.state, FARM_PROPOSE);
	assert_int_equal(pieces.flagged_at / NSEC_PER_SEC, one.flagged_at / NSEC_PER_SEC);
	assert_true(pieces.n_members >= 290);
	judge_free(judge);
	judge = NULL;
	snprintf(command, sizeof(command), "echo broken >%s/detector", dir);
	assert_int_equal(system(command), 0);
	assert_int_not_equal(judge_new(&c, &judge, &r), 0);
	assert_non_null(strstr(r.text, "detector"));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	set_up(NULL);
}

/* ---- days ------------------------------------------------------------------------------- */

#define HOUR 3600

/* 100 people all the time; from the 30th hour on 300 exits, each once in 20 minutes. */
static void play_hours(uint32_t stack, uint64_t from, uint64_t until)
{
	for (uint64_t s = from * HOUR; s < until * HOUR; s += 4) {
		uint32_t n = s / 4 % 300;

		person(s, stack);
		if (s >= 30 * HOUR)
			assert_int_equal(visit(1000 * s + 10,
					       0x60000000 + (n % 60 << 16 | n << 8 | 9), stack,
					       20000 + n % 60 * 1000 + s % 3 * 300),
					 0);
	}
	assert_int_equal(judge_advance(judge, START + until * HOUR * NSEC_PER_SEC), 0);
}

static void restart(const char *dir)
{
	struct judge_config c = { .window = 600 * NSEC_PER_SEC,
				  .baseline_until = START + 24 * HOUR * NSEC_PER_SEC,
				  .state_dir = dir };
	struct reason r;

	judge_free(judge);
	judge = NULL;
	assert_int_equal(judge_new(&c, &judge, &r), 0);
}

static void two_runs_of_a_day_each_are_one_run_of_two_days(void **state)
{
	char dir[] = "/tmp/winnow-judge-XXXXXX", command[160];
	struct farm one, two;
	double posterior = 0;
	size_t rules;

	assert_non_null(mkdtemp(dir));
	restart(NULL);
	play_hours(hello(0), 0, 36);
	assert_int_equal(judge_farms(judge)->n, 1);
	one = judge_farms(judge)->farm[0];
	rules = judge_plan(judge)->n_rules;
	for (size_t i = 0; i < one.n_members; i++)
		posterior += one.members[i].posterior;
	assert_int_equal(one.state, FARM_PROPOSE);

	restart(dir);
	play_hours(hello(0), 0, 24);
	restart(dir);
	play_hours(hello(0), 24, 36);
	assert_int_equal(judge_farms(judge)->n, 1);
	two = judge_farms(judge)->farm[0];
	assert_string_equal(one.id, two.id);
	assert_int_equal(one.state, two.state);
	assert_int_equal(one.onset, two.onset);
	assert_int_equal(one.watched_at, two.watched_at);
	assert_int_equal(one.flagged_at, two.flagged_at);
	assert_int_equal(one.proposed_at, two.proposed_at);
	assert_int_equal(one.n_members, two.n_members);
	assert_true(one.bits == two.bits && one.share == two.share);
	for (size_t i = 0; i < two.n_members; i++)
		posterior -= two.members[i].posterior;
	assert_true(posterior > -1e-6 && posterior < 1e-6);
	assert_int_equal(judge_plan(judge)->n_rules, rules);

	judge_free(judge);
	judge = NULL;
	snprintf(command, sizeof(command), "test -s %s/2026-01-01.days", dir);
	assert_int_equal(system(command), 0);
	restart(NULL);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_farm_in_a_shared_stack_is_judged_planned_and_enforced),
		T(replacements_are_evidence_and_ruled_after_two_connections),
		T(a_ban_that_nobody_answers_is_no_evidence),
		T(what_is_wrong_is_refused),
		T(two_runs_of_a_day_each_are_one_run_of_two_days),
		T(a_state_directory_carries_history_from_stream_to_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
