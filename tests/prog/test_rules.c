/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which rule speaks, when it may act, and what it counts. Faults 44, 58, 72;
 * 43 for what spoofed packets may not count.
 */
#include <stdio.h>
#include <string.h>

#include "lib_bench.h"

static struct bytes msg, other;
static struct hello keys, other_keys;
static uint16_t port = 2000;

static struct bench *prepared(void **state)
{
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){ .variant = 1 });
	hello_build(&other, &(struct hello_spec){ .variant = 2 });
	keys = bench_keys(b, &msg);
	other_keys = bench_keys(b, &other);
	return b;
}

static const struct path *one(struct path p)
{
	static struct path kept;

	kept = p;
	return &kept;
}

/* The verdict of a proved connection's hello. */
static int tried(struct bench *b, struct path p, const struct bytes *hello)
{
	struct conn c;

	p.sport = ++port;
	conn_new(&c, b, &p);
	conn_open(&c);
	bench_after(b, 1 * MSEC);
	conn_hello(&c, hello);
	return c.verdict;
}

/* ... and one that goes through to its second flight, for the tally's sake. */
static void seen(struct bench *b, struct path p, const struct bytes *hello, uint32_t dstar_us)
{
	struct conn c;

	p.sport = ++port;
	conn_new(&c, b, &p);
	conn_open(&c);
	bench_after(b, 1 * MSEC);
	conn_hello(&c, hello);
	bench_after(b, 20 * MSEC);
	conn_acks(&c, 3000);
	bench_after(b, dstar_us);
	conn_send(&c, flight_two, sizeof(flight_two));
	assert_int_equal(c.verdict, XDP_PASS);
}

#define expect_drop(b, p, hello) assert_int_equal(tried(b, p, hello), XDP_DROP)
#define expect_pass(b, p, hello) assert_int_equal(tried(b, p, hello), XDP_PASS)

static void removed(struct bench *b, uint32_t index, const struct rule_match *m)
{
	assert_int_equal(kern_rule_remove(b->k, index, m), 0);
}

/* 44: each kind of match acts on what it names and on nobody beside it. */
static void each_kind_of_match_acts_on_what_it_names_alone(void **state)
{
	struct bench *b = prepared(state);
	struct path p4 = path_v4(7, 0), near4 = path_v4(8, 0), p6 = path_v6(7, 0);
	struct path near6 = p6, far6 = path_v6(8, 0);
	const struct rule_match none = {};

	near6.client.lo = 99; /* the same /64 */
	for (unsigned int part = 1; part < 8; part++)
		for (int src = 0; src < 4; src++) {
			static const char *const nets[] = { NULL, "198.51.100.7",
							    "2001:db8:0:7::/64",
							    "2001:db8:0:7::1" };
			struct rule_match m = none;
			uint32_t i;

			m.ja4 = part & 1 ? keys.ja4_key : 0;
			m.stack = part & 2 ? keys.stack_key : 0;
			m.order = part & 4 ? keys.order_hash : 0;
			if (src)
				m.src = cidr_of(nets[src]);
			i = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
			assert_int_equal(tried(b, p4, &msg), src < 2 ? XDP_DROP : XDP_PASS);
			assert_int_equal(tried(b, near4, &msg), !src ? XDP_DROP : XDP_PASS);
			assert_int_equal(tried(b, p6, &msg), src == 1 ? XDP_PASS : XDP_DROP);
			assert_int_equal(tried(b, near6, &msg),
					 src == 0 || src == 2 ? XDP_DROP : XDP_PASS);
			assert_int_equal(tried(b, far6, &msg), !src ? XDP_DROP : XDP_PASS);
			/* The order of extensions is shared by stacks that differ in ciphers. */
			if (part != 4) {
				expect_pass(b, p4, &other);
				expect_pass(b, p6, &other);
			}
			removed(b, i, &m);
			expect_pass(b, p4, &msg);
			expect_pass(b, p6, &msg);
		}
}

static void a_prefix_and_a_stack_are_both_needed(void **state)
{
	static const struct {
		const char *net;
		bool v4, v4_far, v6, v6_far;
	} cases[] = {
		{ "198.51.100.0/24", true, true, false, false },
		{ "198.51.100.0/29", true, false, false, false },
		{ "198.51.100.6/31", true, false, false, false },
		{ "0.0.0.0/0", true, true, false, false },
		{ "2001:db8::/32", false, false, true, true },
		{ "2001:db8:0:6::/63", false, false, true, false },
		{ "2001:db8:0:7::/80", false, false, true, false },
		{ "2001:db8:0:7::/127", false, false, true, false },
		{ "2001:db8:0:7:8000::/65", false, false, false, false },
	};
	struct bench *b = prepared(state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rule_match m = { .src = cidr_of(cases[i].net), .stack = keys.stack_key };
		uint32_t at = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);

		assert_int_equal(tried(b, path_v4(7, 0), &msg) == XDP_DROP, cases[i].v4);
		assert_int_equal(tried(b, path_v4(77, 0), &msg) == XDP_DROP, cases[i].v4_far);
		assert_int_equal(tried(b, path_v6(7, 0), &msg) == XDP_DROP, cases[i].v6);
		assert_int_equal(tried(b, path_v6(77, 0), &msg) == XDP_DROP, cases[i].v6_far);
		expect_pass(b, path_v4(7, 0), &other);
		expect_pass(b, path_v6(7, 0), &other);
		removed(b, at, &m);
	}
}

/* ---- actions ------------------------------------------------------------------------- */

static void each_action_does_what_it_says_and_counts_it(void **state)
{
	struct bench *b = prepared(state);
	const struct rule_match m = { .stack = keys.stack_key };

	for (int action = RULE_PASS; action < RULE_ACTION_MAX; action++) {
		uint32_t i = bench_rule(b, &(struct rule){ .action = action }, &m);
		struct rule *r = bench_rule_at(b, i);
		bool acts = action >= RULE_LIMIT; /* a limit of no tokens */
		int verdict;

		bench_mark(b);
		verdict = tried(b, path_v4(7, 0), &msg);
		assert_int_equal(verdict, action == RULE_DROP ? XDP_DROP : XDP_PASS);
		assert_int_equal(r->hits, acts || action == RULE_PASS);
		assert_int_equal(r->would_hit, action == RULE_COUNT);
		assert_int_equal(r->unproved, 0);
		expect_count(b, WOULD_DROP, action == RULE_COUNT);
		expect_count(b, DROP, action == RULE_DROP);
		expect_count(b, RESET, action == RULE_RESET || action == RULE_LIMIT);
		expect_count(b, REJECT, action == RULE_REJECT);
		removed(b, i, &m);
	}
}

static void a_shadow_rule_counts_what_it_would_have_done(void **state)
{
	struct bench *b = prepared(state);
	uint32_t i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_SHADOW },
				&(struct rule_match){ .stack = keys.stack_key });

	for (int n = 0; n < 5; n++)
		expect_pass(b, path_v4(n, 0), &msg);
	assert_int_equal(bench_rule_at(b, i)->would_hit, 5);
	assert_int_equal(bench_rule_at(b, i)->hits, 0);
}

/* One token a second, three at once, for each source. */
static void a_limit_is_a_bucket_of_each_source_unless_it_says_otherwise(void **state)
{
	struct bench *b = prepared(state);
	const struct rule_match m = { .stack = keys.stack_key };
	struct rule limit = { .action = RULE_LIMIT, .rate = 1000, .burst = 3000 };

	for (int all = 0; all < 2; all++) {
		uint32_t i;

		limit.flags = all ? RULE_LIMIT_ALL : 0;
		i = bench_rule(b, &limit, &m);
		for (int host = 0; host < 2; host++) {
			bench_mark(b);
			for (int n = 0; n < 5; n++)
				expect_pass(b, path_v4(host, 0), &msg);
			/* 105 ms go by in five openings: no token. */
			expect_count(b, RESET, all && host ? 5 : 2);
		}
		bench_after(b, 1 * SEC);
		bench_mark(b);
		expect_pass(b, path_v4(0, 0), &msg);
		expect_count(b, RESET, 0);
		expect_pass(b, path_v4(0, 0), &msg);
		expect_count(b, RESET, 1);
		/* An hour fills it to its three. */
		bench_after(b, 3600 * SEC);
		bench_mark(b);
		for (int n = 0; n < 5; n++)
			expect_pass(b, path_v4(0, 0), &msg);
		expect_count(b, RESET, 2);
		assert_int_equal(bench_rule_at(b, i)->hits, all ? 10 : 7);
		removed(b, i, &m);
	}
}

static void pass_wins_then_the_severest_then_the_older(void **state)
{
	struct bench *b = prepared(state);
	const struct rule_match m = { .stack = keys.stack_key };
	const struct rule_match wide = { .ja4 = keys.ja4_key };
	uint32_t count, drop, drop2, pass;

	count = bench_rule(b, &(struct rule){ .action = RULE_COUNT }, &m);
	expect_pass(b, path_v4(1, 0), &msg);
	drop = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &wide);
	expect_drop(b, path_v4(1, 0), &msg);
	drop2 = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &wide);
	expect_drop(b, path_v4(1, 0), &msg);
	assert_int_equal(bench_rule_at(b, count)->would_hit, 1);
	assert_int_equal(bench_rule_at(b, drop)->hits, 2);
	assert_int_equal(bench_rule_at(b, drop2)->hits, 0);
	pass = bench_rule(b, &(struct rule){ .action = RULE_PASS }, &m);
	expect_pass(b, path_v4(1, 0), &msg);
	assert_int_equal(bench_rule_at(b, pass)->hits, 1);
	removed(b, pass, &m);
	/* A pass rule on the source stands above rules on its stacks. */
	bench_rule(b, &(struct rule){ .action = RULE_PASS },
		   &(struct rule_match){ .src = cidr_of("198.51.100.0/24") });
	expect_pass(b, path_v4(1, 0), &msg);
	expect_drop(b, path_v6(1, 0), &msg);
}

static void sixteen_rules_of_one_key_are_all_looked_at(void **state)
{
	struct bench *b = prepared(state);
	char net[32];

	for (int i = 0; i < 16; i++) {
		snprintf(net, sizeof(net), "198.51.100.%d/31", i * 2);
		bench_rule(b, &(struct rule){ .action = RULE_DROP },
			   &(struct rule_match){ .src = cidr_of(net), .stack = keys.stack_key });
	}
	for (int i = 0; i < 32; i++)
		expect_drop(b, path_v4(i, 0), &msg);
	expect_pass(b, path_v4(32, 0), &msg);
}

/* ---- when a rule may not act ------------------------------------------------------------ */

/* 58, 72: by the clock, with nobody running. */
static void a_rule_expires_by_the_clock_alone(void **state)
{
	struct bench *b = prepared(state);
	struct rule r = { .action = RULE_DROP, .expires = (b->t + 60 * SEC) * 1000 };
	struct conn c, alive;
	struct path p = path_v4(9, 9);

	conn_whole(&alive, b, &p, &msg);
	bench_rule(b, &r, &(struct rule_match){ .stack = keys.stack_key });
	bench_rule(b, &r, &(struct rule_match){ .src = cidr_of("198.51.100.200") });
	bench_after(b, 59 * SEC);
	expect_drop(b, path_v4(1, 0), &msg);
	conn_new(&c, b, one(path_v4(200, 9)));
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_DROP);
	bench_after(b, 1 * SEC);
	expect_pass(b, path_v4(1, 0), &msg);
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_PASS);
}

/* 58 */
static void allow_panic_and_the_dead_man_prevent_every_drop(void **state)
{
	struct bench *b = prepared(state);
	struct cidr allowed = cidr_of("198.51.100.0/28"), allowed6 = cidr_of("2001:db8:0:7::/64");
	struct reason why;
	struct conn c;

	bench_rule(b, &(struct rule){ .action = RULE_DROP },
		   &(struct rule_match){ .stack = keys.stack_key });
	bench_rule(b, &(struct rule){ .action = RULE_DROP },
		   &(struct rule_match){ .src = cidr_of("198.51.100.3") });
	expect_drop(b, path_v4(1, 0), &msg);
	bench_mark(b);
	assert_int_equal(kern_allow_put(b->k, &allowed, &why), 0);
	assert_int_equal(kern_allow_put(b->k, &allowed6, &why), 0);
	expect_pass(b, path_v4(1, 0), &msg);
	expect_pass(b, path_v6(7, 0), &msg);
	expect_drop(b, path_v4(16, 0), &msg);
	expect_drop(b, path_v6(8, 0), &msg);
	conn_new(&c, b, one(path_v4(3, 9)));
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_PASS);
	expect_count(b, SAVED_ALLOW, 3);
	assert_int_equal(kern_allow_remove(b->k, &allowed), 0);

	b->c->panic = 1;
	expect_pass(b, path_v4(1, 0), &msg);
	expect_count(b, SAVED_PANIC, 1);
	b->c->panic = 0;
	b->c->max_unattended = 900 * SEC * 1000;
	b->c->heartbeat = b->t * 1000;
	bench_after(b, 899 * SEC);
	expect_drop(b, path_v4(1, 0), &msg);
	bench_after(b, 2 * SEC);
	expect_pass(b, path_v4(1, 0), &msg);
	expect_count(b, SAVED_UNATTENDED, 1);
	b->c->heartbeat = b->t * 1000;
	expect_drop(b, path_v4(1, 0), &msg);
}

static void holdout_and_canary_are_whole_sources_at_their_rate(void **state)
{
	static const struct {
		uint16_t holdout, canary;
		int low, high; /* of 1,000, 4 standard deviations */
	} cases[] = { { 0, 10000, 1000, 1000 },
		      { 1000, 10000, 862, 938 },
		      { 0, 500, 22, 78 },
		      { 2000, 5000, 437, 563 },
		      { 10000, 10000, 0, 0 } };
	struct bench *b = prepared(state);

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		const struct rule_match m = { .stack = keys.stack_key };
		uint32_t i = bench_rule(b,
					&(struct rule){ .action = RULE_DROP,
							.epoch = k,
							.holdout = cases[k].holdout,
							.canary = cases[k].canary },
					&m);
		int acted = 0;

		for (int n = 0; n < 1000; n++) {
			int first = tried(b, path_v6(n, 0), &msg);

			acted += first == XDP_DROP;
			/* Trying again does not walk through. */
			if (n % 10 == 0)
				assert_int_equal(tried(b, path_v6(n, 0), &msg), first);
		}
		assert_in_range(acted, cases[k].low, cases[k].high);
		assert_int_equal(bench_rule_at(b, i)->hits + bench_rule_at(b, i)->would_hit, 1100);
		removed(b, i, &m);
	}
}

/* ---- state predicates ---------------------------------------------------------------------- */

static void a_predicate_reads_earlier_connections_of_the_pair(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 0);
	struct bytes psk;
	struct rule_match m = { .stack = keys.stack_key };
	uint32_t i;

	/* seen>=2 */
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .seen_min = 2 }, &m);
	seen(b, p, &msg, 1000);
	expect_pass(b, p, &msg);
	seen(b, p, &msg, 1000);
	expect_drop(b, p, &msg);
	expect_pass(b, path_v4(2, 0), &msg); /* another source */
	expect_pass(b, p, &other);
	removed(b, i, &m);

	/* age<=10 s, of the first connection */
	i = bench_rule(b,
		       &(struct rule){ .action = RULE_DROP,
				       .flags = RULE_HAS_AGE,
				       .age_max = STAMP_PER_SECOND(10) },
		       &m);
	expect_drop(b, p, &msg);
	bench_after(b, 11 * SEC);
	expect_pass(b, p, &msg);
	removed(b, i, &m);

	/* split>=2, D* from 30 ms on */
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .split_min = 2, .split_dstar = 300 },
		       &m);
	seen(b, p, &msg, 30 * MSEC);
	seen(b, p, &msg, 29 * MSEC);
	expect_pass(b, p, &msg);
	seen(b, p, &msg, 31 * MSEC);
	expect_drop(b, p, &msg);
	removed(b, i, &m);
	for (int n = 0; n < 4; n++) /* of the last five */
		seen(b, p, &msg, 1 * MSEC);
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .split_min = 2, .split_dstar = 300 },
		       &m);
	expect_pass(b, p, &msg);
	removed(b, i, &m);

	/* d1>=5 ms, of this hello (always 1 ms here) */
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_HAS_D1, .d1_min = 11 },
		       &m);
	expect_pass(b, p, &msg);
	removed(b, i, &m);
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_HAS_D1, .d1_min = 10 },
		       &m);
	expect_drop(b, p, &msg);
	removed(b, i, &m);

	/* resumed=0: neither this hello nor an earlier one offered a session */
	hello_build(&psk, &(struct hello_spec){ .variant = 1, .psk = true });
	assert_int_equal(bench_keys(b, &psk).stack_key, keys.stack_key);
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_NOT_RESUMED }, &m);
	expect_drop(b, p, &msg);
	seen(b, p, &psk, 1000);
	expect_pass(b, p, &msg);
	expect_drop(b, path_v4(3, 0), &msg);
	removed(b, i, &m);
}

/* An unknown D1 is no large one. */
static void an_unknown_d1_holds_no_rule(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);
	struct conn c;

	bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_HAS_D1, .d1_min = 0 },
		   &(struct rule_match){ .stack = keys.stack_key });
	conn_new(&c, b, &p);
	conn_syn(&c);
	conn_synack(&c);
	conn_hello(&c, &msg); /* carries the handshake ACK */
	assert_int_equal(c.verdict, XDP_PASS);
	expect_drop(b, p, &msg);
}

/* A connection whose hello was late by d1_us and its second flight by dstar_us: the
 * verdict of the flight, after the hello has passed. */
static int late(struct conn *c, struct bench *b, struct path p, const struct bytes *hello,
		uint32_t d1_us, uint32_t dstar_us)
{
	p.sport = ++port;
	conn_new(c, b, &p);
	conn_open(c);
	bench_after(b, d1_us);
	conn_hello(c, hello);
	assert_int_equal(c->verdict, XDP_PASS);
	bench_after(b, 20 * MSEC);
	conn_acks(c, 3000);
	bench_after(b, dstar_us);
	conn_send(c, flight_two, sizeof(flight_two));
	return c->verdict;
}

static const struct rule waits = {
	.action = RULE_DROP, .flags = RULE_HAS_D1 | RULE_HAS_DSTAR, .d1_min = 100, .dstar_min = 300
};

/* 44: late for the hello or for the flight is anybody on a busy machine; for both, a far
 * end. The server sees no request, the tally what was measured. */
/* As detect/rotation.h names them. Fault 53. */
static void a_rule_on_a_network_and_delays_meets_a_source_never_seen(void **state)
{
	struct bench *b = prepared(state);
	struct rule_match m = { .src = cidr_of("2001:db8:0:100::/56"), .stack = keys.stack_key };
	uint32_t i = bench_rule(b, &waits, &m);
	struct conn c;

	/* Each from a /64 of its own. */
	assert_int_equal(late(&c, b, path_v6(0x101, 5), &msg, 1 * MSEC, 2 * MSEC), XDP_PASS);
	assert_int_equal(late(&c, b, path_v6(0x102, 5), &msg, 11 * MSEC, 31 * MSEC), XDP_DROP);
	assert_int_equal(late(&c, b, path_v6(0x1fe, 5), &msg, 11 * MSEC, 31 * MSEC), XDP_DROP);
	assert_int_equal(late(&c, b, path_v6(0x103, 5), &other, 11 * MSEC, 31 * MSEC), XDP_PASS);
	assert_int_equal(late(&c, b, path_v6(0x200, 5), &msg, 11 * MSEC, 31 * MSEC), XDP_PASS);
	assert_int_equal(bench_rule_at(b, i)->hits, 2);
}

static void a_rule_on_both_delays_acts_on_the_second_flight(void **state)
{
	static const uint8_t request[200] = { 23, 3, 3, 0, 195 };
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);
	struct rule_match m = { .src = cidr_of("198.51.100.1"), .stack = keys.stack_key };
	uint32_t i = bench_rule(b, &waits, &m);
	const struct tally_row *t;
	struct conn c;

	assert_int_equal(late(&c, b, p, &msg, 1 * MSEC, 31 * MSEC), XDP_PASS);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 29 * MSEC), XDP_PASS);
	conn_send(&c, request, sizeof(request));
	assert_int_equal(c.verdict, XDP_PASS);
	assert_int_equal(bench_rule_at(b, i)->hits, 0);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 31 * MSEC), XDP_DROP);
	conn_send(&c, request, sizeof(request));
	assert_int_equal(c.verdict, XDP_DROP);
	assert_int_equal(bench_rule_at(b, i)->hits, 1);
	assert_int_equal(late(&c, b, p, &other, 11 * MSEC, 31 * MSEC), XDP_PASS);
	assert_int_equal(late(&c, b, path_v4(2, 5), &msg, 11 * MSEC, 31 * MSEC), XDP_PASS);
	t = bench_tally(b, &p, keys.stack_key);
	assert_int_equal(t->connections, 3);
	assert_int_equal(t->exchanges, 1);
	assert_int_equal(t->dstar[2], 310);
	removed(b, i, &m);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 31 * MSEC), XDP_PASS);
}

static void a_request_behind_the_flight_that_is_stopped_is_no_exchange(void **state)
{
	uint8_t both[300] = { 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53 };
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);
	struct rule_match m = { .stack = keys.stack_key };
	uint32_t i = bench_rule(b, &waits, &m);

	for (int stopped = 1; stopped >= 0; stopped--) {
		struct conn c;

		p.sport = ++port;
		conn_new(&c, b, &p);
		conn_open(&c);
		bench_after(b, 11 * MSEC);
		conn_hello(&c, &msg);
		conn_acks(&c, 3000);
		bench_after(b, stopped ? 31 * MSEC : 1 * MSEC);
		conn_send(&c, both, sizeof(both));
		assert_int_equal(c.verdict, stopped ? XDP_DROP : XDP_PASS);
		assert_int_equal(bench_tally(b, &p, keys.stack_key)->exchanges, !stopped);
	}
	removed(b, i, &m);
}

/* Whatever else is said of the hello holds as ever: pass before it, the severest of
 * them, and what is stopped at the hello never has a flight. */
static void a_rule_that_waits_takes_its_place_among_the_others(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);
	struct rule_match m = { .stack = keys.stack_key };
	struct rule count = { .action = RULE_COUNT }, pass = { .action = RULE_PASS };
	uint32_t waiting = bench_rule(b, &waits, &m), i;
	struct conn c;

	i = bench_rule(b, &count, &m);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 1 * MSEC), XDP_PASS);
	assert_int_equal(bench_rule_at(b, i)->would_hit, 1);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 31 * MSEC), XDP_DROP);
	assert_int_equal(bench_rule_at(b, i)->would_hit, 2);
	assert_int_equal(bench_rule_at(b, waiting)->hits, 1);
	removed(b, i, &m);

	i = bench_rule(b, &pass, &m);
	assert_int_equal(late(&c, b, p, &msg, 11 * MSEC, 31 * MSEC), XDP_PASS);
	removed(b, i, &m);

	i = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
	expect_drop(b, p, &msg);
	assert_int_equal(bench_rule_at(b, i)->hits, 1);
	removed(b, i, &m);
	assert_int_equal(bench_rule_at(b, waiting)->hits, 1);
}

/* Early data reach the server before the second flight. */
static void early_data_are_not_waited_for(void **state)
{
	struct bench *b = prepared(state);
	struct bytes early;

	hello_build(&early, &(struct hello_spec){ .variant = 1, .early_data = true });
	assert_int_equal(bench_keys(b, &early).stack_key, keys.stack_key);
	bench_rule(b,
		   &(struct rule){ .action = RULE_DROP,
				   .flags = RULE_HAS_D1 | RULE_HAS_DSTAR,
				   .d1_min = 10,
				   .dstar_min = 300 },
		   &(struct rule_match){ .stack = keys.stack_key });
	expect_drop(b, path_v4(1, 5), &early);
	expect_pass(b, path_v4(1, 5), &msg);
}

/* ---- connections that are there ----------------------------------------------------------------
 */

static void a_verdict_is_obeyed_only_while_its_rule_lives(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);
	const struct rule_match m = { .src = cidr_of("198.51.100.1"), .stack = keys.stack_key };
	uint32_t i;
	struct conn c;

	conn_whole(&c, b, &p, &msg);
	i = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
	conn_send(&c, flight_two, 64);
	assert_int_equal(c.verdict, XDP_PASS); /* nobody swept */
	assert_int_equal(kern_rule_sweep(b->k, i, &m), 1);
	conn_send(&c, flight_two, 64);
	assert_int_equal(c.verdict, XDP_DROP);
	removed(b, i, &m);
	conn_send(&c, flight_two, 64);
	assert_int_equal(c.verdict, XDP_PASS);
	/* The same slot, another rule: another generation. */
	assert_int_equal(bench_rule(b, &(struct rule){ .action = RULE_DROP },
				    &(struct rule_match){ .stack = other_keys.stack_key }),
			 i);
	conn_send(&c, flight_two, 64);
	assert_int_equal(c.verdict, XDP_PASS);
}

/* 43: a farm's hello from a victim's address is dropped, and counts apart. */
static void unproved_matches_are_counted_apart(void **state)
{
	struct bench *b = prepared(state);
	uint32_t i = bench_rule(b, &(struct rule){ .action = RULE_LIMIT, .burst = 1000 },
				&(struct rule_match){ .stack = keys.stack_key });
	struct conn c;

	b->c->emit_all = 0;
	b->c->proof = PROOF_SOCKET; /* nothing proves a hello here */
	for (int n = 0; n < 10; n++) {
		conn_new(&c, b, one(path_v4(1, 100 + n)));
		conn_syn(&c);
		conn_ack(&c);
		conn_hello(&c, &msg);
		assert_int_equal(c.verdict, XDP_PASS);
	}
	assert_int_equal(kern_rule_unproved(b->k, i), 10);
	assert_int_equal(bench_rule_at(b, i)->hits, 0);
	/* No spoofed hello took the victim's token. */
	b->c->proof = PROOF_EGRESS;
	bench_mark(b);
	expect_pass(b, path_v4(1, 0), &msg);
	expect_count(b, RESET, 0);
	expect_pass(b, path_v4(1, 0), &msg);
	expect_count(b, RESET, 1);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(each_kind_of_match_acts_on_what_it_names_alone),
		BENCH(a_prefix_and_a_stack_are_both_needed),
		BENCH(each_action_does_what_it_says_and_counts_it),
		BENCH(a_shadow_rule_counts_what_it_would_have_done),
		BENCH(a_limit_is_a_bucket_of_each_source_unless_it_says_otherwise),
		BENCH(pass_wins_then_the_severest_then_the_older),
		BENCH(sixteen_rules_of_one_key_are_all_looked_at),
		BENCH(a_rule_expires_by_the_clock_alone),
		BENCH(allow_panic_and_the_dead_man_prevent_every_drop),
		BENCH(holdout_and_canary_are_whole_sources_at_their_rate),
		BENCH(a_predicate_reads_earlier_connections_of_the_pair),
		BENCH(an_unknown_d1_holds_no_rule),
		BENCH(a_rule_on_both_delays_acts_on_the_second_flight),
		BENCH(a_rule_on_a_network_and_delays_meets_a_source_never_seen),
		BENCH(a_request_behind_the_flight_that_is_stopped_is_no_exchange),
		BENCH(a_rule_that_waits_takes_its_place_among_the_others),
		BENCH(early_data_are_not_waited_for),
		BENCH(a_verdict_is_obeyed_only_while_its_rule_lives),
		BENCH(unproved_matches_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
