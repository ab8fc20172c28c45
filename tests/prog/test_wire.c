/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The corpus over a wire, with the programs attached natively and generically: every
 * recorded hello in every layout of test_layout.c, with verdicts of rules, and every
 * capture of tests/replay. Each way has the answers of the host's own parser, or those of
 * test runs: frame by frame, counter by counter, and in what the tables hold. Fault 20.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/lib_kern.h"
#include "kern/capture.h"
#include "lib_layout.h"
#include "lib_wire.h"

#define CAPTURES "tests/replay"
#define LAYOUTS  25 /* of each hello, unless $WIRE_LAYOUTS says otherwise */
#define SCRIPT   96
#define FRAMES   100000

enum way { TEST_RUN, NATIVE, GENERIC, WAYS_TO_RUN };

static struct bench *opened(enum way way, const struct bench_sizes *s)
{
	struct bench *b = bench_open(s);

	b->c->secret = (struct secret){ { 1, 2, 3, 4 } }; /* the same rows in the same places */
	if (way == NATIVE)
		wire_attach(b, ATTACH_NATIVE);
	if (way == GENERIC)
		wire_attach(b, ATTACH_GENERIC);
	return b;
}

static void closed(struct bench *b)
{
	if (b->wire)
		wire_release(b);
	bench_free(b);
}

/* ---- names --------------------------------------------------------------------------------- */

static void try_layouts(enum way way)
{
	const char *said = getenv("WIRE_LAYOUTS");
	size_t layouts = said ? strtoul(said, NULL, 10) : LAYOUTS;
	static struct layout l;
	static struct layout_answer a;
	struct bench *b = opened(way, &(struct bench_sizes){ .reassembly = 1 });
	uint8_t script[SCRIPT];
	uint64_t seed = 22;
	size_t tried = 0, named = 0, n;
	struct bytes *all;

	n = hellos_recorded(&all);
	for (size_t i = 0; i < n * layouts; i++) {
		const struct bytes *msg = &all[i / layouts];
		const char *wrong;

		for (size_t k = 0; k < sizeof(script); k++)
			script[k] = draw(&seed) >> 24;
		script[0] &= 0x7f;
		layout_make(&l, script, sizeof(script), msg->b, msg->len);
		wrong = layout_check(b, &l, &a);
		if (wrong)
			fail_msg("hello %zu, layout %zu: %s", i / layouts, i % layouts, wrong);
		named += a.result == HELLO_OK;
		tried++;
	}
	print_message("%zu layouts, %zu named\n", tried, named);
	assert_true(n >= 30 && named >= tried / 4);
	free(all);
	closed(b);
}

static void every_layout_has_the_hosts_answer_natively(void **state)
{
	need_lab();
	try_layouts(NATIVE);
}

static void every_layout_has_the_hosts_answer_generically(void **state)
{
	need_lab();
	try_layouts(GENERIC);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* What one way of running the program answered. */
struct answers {
	uint8_t verdict[FRAMES];
	size_t n;
	uint64_t counters[COUNTER_MAX];
	uint64_t digest;
	size_t hellos;
};

static void answer(struct answers *a, uint32_t verdict)
{
	assert_true(a->n < FRAMES);
	a->verdict[a->n++] = verdict;
}

/* Whether a client whose server was reset has been told is each mode's own. */
static void forget_told(struct bench *b)
{
	size_t n;
	struct flow_set *sets = kern_flows(b->k, &n);

	for (size_t i = 0; i < n * WAYS; i++)
		sets[i / WAYS].slot[i % WAYS].flags &= ~FLOW_REJECT;
}

static void finish(struct answers *a, struct bench *b)
{
	bench_events(b);
	forget_told(b);
	assert_int_equal(kern_counters(b->k, a->counters), 0);
	a->digest = bench_digest(b);
	a->hellos = b->hello.n;
	closed(b);
}

static void same_answers(const struct answers *one, const struct answers *other)
{
	static const char *const name[] = {
#define X(id, name, text) name,
		PARSE_RESULTS(X) HELLO_RESULTS(X) COUNTERS(X)
#undef X
	};

	assert_int_equal(one->n, other->n);
	for (size_t i = 0; i < one->n; i++)
		if (one->verdict[i] != other->verdict[i])
			fail_msg("frame %zu: %u and %u", i, one->verdict[i], other->verdict[i]);
	for (int i = 0; i < COUNTER_MAX; i++)
		if (one->counters[i] != other->counters[i])
			fail_msg("%s: %lu and %lu", name[i], one->counters[i], other->counters[i]);
	assert_int_equal(one->hellos, other->hellos);
	assert_true(one->digest == other->digest);
}

/* Of three recorded stacks one is reset, one dropped; a source meets a rule of its own. */
static void add_rules(struct bench *b, const struct bytes *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (i % 3)
			bench_rule(b,
				   &(struct rule){ .action = i % 3 == 1 ? RULE_RESET : RULE_DROP },
				   &(struct rule_match){
					   .stack = bench_keys(b, &all[i]).stack_key });
	bench_rule(b, &(struct rule){ .action = RULE_DROP },
		   &(struct rule_match){ .src = cidr_of("198.51.100.7") });
}

/* Every recorded hello, whole and in two, from both families, with another connection of
 * the same source behind it, so that what a rule did to the flow shows. */
static void visit(struct answers *a, struct bench *b, const struct bytes *msg, size_t i)
{
	static struct bytes wire;

	for (unsigned int kind = 0; kind < 4; kind++) {
		struct path p = kind & 1 ? path_v6(i, 2000 + kind) : path_v4(i % 250, 2000 + kind);
		size_t half;
		struct conn c;

		record_wrap(&wire, msg);
		half = kind & 2 ? wire.len / 2 : wire.len;
		conn_new(&c, b, &p);
		conn_syn(&c);
		answer(a, c.verdict);
		conn_synack(&c);
		bench_after(b, 20 * MSEC);
		conn_ack(&c);
		answer(a, c.verdict);
		for (size_t at = 0; at < wire.len; at += half) {
			conn_send(&c, wire.b + at, at + half > wire.len ? wire.len - at : half);
			answer(a, c.verdict);
		}
		bench_after(b, 20 * MSEC);
		conn_acks(&c, 3000);
		answer(a, c.verdict);
		conn_send(&c, flight_two, sizeof(flight_two));
		answer(a, c.verdict);
		conn_send(&c, flight_two, sizeof(flight_two));
		answer(a, c.verdict);
		bench_events(b);
	}
}

static void visits(enum way way, struct answers *a)
{
	struct bench *b = opened(way, NULL);
	struct bytes *all;
	size_t n = hellos_recorded(&all);

	memset(a, 0, sizeof(*a));
	add_rules(b, all, n);
	for (size_t i = 0; i < n; i++)
		visit(a, b, &all[i], i);
	free(all);
	finish(a, b);
}

static struct answers list[WAYS_TO_RUN];

static void rules_give_each_frame_the_same_verdict(void **state)
{
	need_lab();
	for (int way = 0; way < WAYS_TO_RUN; way++)
		visits(way, &list[way]);
	print_message("%zu frames, %lu hellos reset, %lu frames dropped\n", list[0].n,
		      list[0].counters[COUNTER_RESET], list[0].counters[COUNTER_DROP]);
	assert_true(list[0].counters[COUNTER_RESET] >= 20);
	assert_true(list[0].counters[COUNTER_DROP] >= 20);
	same_answers(&list[TEST_RUN], &list[NATIVE]);
	same_answers(&list[TEST_RUN], &list[GENERIC]);
}

/* ---- captures ---------------------------------------------------------------------------------
 */

static void feed(struct answers *a, struct bench *b, const struct capture_frame *c)
{
	static struct frame f;

	if (c->len < 14 || c->len > WIRE_MTU) /* no device sends those */
		return;
	f.len = c->len;
	memcpy(f.b, c->data, c->len);
	answer(a, bench_in(b, &f));
	bench_after(b, MSEC);
}

static void play(enum way way, const char *path, struct answers *a)
{
	struct bench *b = opened(way, NULL);
	struct capture *c = NULL;
	struct capture_frame f;
	struct reason r;

	memset(a, 0, sizeof(*a));
	if (capture_open(path, &c, &r))
		fail_msg("%s", r.text);
	while (capture_next(c, &f, &r) == CAPTURE_FRAME)
		feed(a, b, &f);
	capture_free(c);
	finish(a, b);
}

static void captures_give_the_same_counters_and_tables(void **state)
{
	struct dirent **names;
	size_t frames = 0, files = 0;
	int n;

	need_lab();
	n = scandir(CAPTURES, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", CAPTURES, names[i]->d_name);
		if (strstr(path, ".pcap")) {
			for (int way = 0; way < WAYS_TO_RUN; way++)
				play(way, path, &list[way]);
			same_answers(&list[TEST_RUN], &list[NATIVE]);
			same_answers(&list[TEST_RUN], &list[GENERIC]);
			frames += list[0].n;
			files++;
		}
		free(names[i]);
	}
	free(names);
	print_message("%zu frames of %zu captures\n", frames, files);
	assert_true(files >= 18 && frames >= 300);
}

#define ON_WIRES(t) cmocka_unit_test_setup_teardown(t, lab_wires, lab_no_wires)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_WIRES(every_layout_has_the_hosts_answer_natively),
		ON_WIRES(every_layout_has_the_hosts_answer_generically),
		ON_WIRES(rules_give_each_frame_the_same_verdict),
		ON_WIRES(captures_give_the_same_counters_and_tables),
	};

	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
