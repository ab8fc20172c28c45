/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two different hellos at the same place: one reached the server, the other was made
 * to be seen here only (a short TTL, a bad checksum). What the client goes on with
 * tells them apart; where it cannot, there is no name. Faults 26, 27.
 */
#include <string.h>

#include "lib_bench.h"

/* One hello as the wire has it, and where it is cut in two (0: it is not). */
struct part {
	struct bytes msg, wire;
	size_t cut;
};

static struct part real, decoy;

static void made(struct part *p, const struct hello_spec *s, size_t cut)
{
	hello_build(&p->msg, s);
	record_wrap(&p->wire, &p->msg);
	p->cut = cut;
}

static void put(struct conn *c, const struct part *p)
{
	if (!p->cut) {
		conn_send_at(c, 0, p->wire.b, p->wire.len);
		return;
	}
	conn_send_at(c, 0, p->wire.b, p->cut);
	conn_send_at(c, p->cut, p->wire.b + p->cut, p->wire.len - p->cut);
}

/* The client goes on behind the real one. */
static void go_on(struct conn *c)
{
	c->snd = c->isn_c + 1 + real.wire.len;
	conn_finish(c);
	bench_after(c->b, 20 * MSEC);
	conn_acks(c, 500);
}

/* The name the connection was tallied under: it must be one connection. */
static uint64_t name_of(struct bench *b, const struct path *p)
{
	const struct tally_row *t = bench_tally(b, p, 0);

	assert_non_null(t);
	assert_int_equal(t->connections, 1);
	return t->stack;
}

/* All lengths of the two, whole and in two, in either order. `named`: at least this
 * share of them must have the real name, the others none. */
static void try_all(struct bench *b, bool decoy_first, bool cut_real, bool cut_decoy, int *named,
		    int *of)
{
	static const size_t lens[] = { 400, 404, 480, 900, 396, 300 };
	static uint16_t net;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct path p = path_v6(++net, 5000);
		struct conn c;
		uint64_t stack;

		made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, cut_real ? 350 : 0);
		made(&decoy, &(struct hello_spec){ .variant = 2, .len = lens[i] },
		     cut_decoy ? 250 : 0);
		conn_new(&c, b, &p);
		conn_open(&c);
		put(&c, decoy_first ? &decoy : &real);
		put(&c, decoy_first ? &real : &decoy);
		go_on(&c);
		stack = name_of(b, &p);
		if (stack == bench_keys(b, &decoy.msg).stack_key)
			fail_msg("the decoy's name: %zu bytes, first %d, cut %d %d", lens[i],
				 decoy_first, cut_real, cut_decoy);
		if (stack) {
			assert_int_equal(stack, bench_keys(b, &real.msg).stack_key);
			(*named)++;
		}
		(*of)++;
	}
}

/* 27 */
static void a_whole_decoy_of_another_length_is_settled_by_what_follows(void **state)
{
	struct bench *b = bench_of(state);
	int named = 0, of = 0;

	try_all(b, true, false, false, &named, &of);
	try_all(b, false, false, false, &named, &of);
	/* The two of the same length cannot be told apart. */
	assert_int_equal(named, of - 2);
	expect_count(b, HELLO_OVERLAP, 2);
}

/* 26, 27 */
static void no_decoy_ever_gives_its_name(void **state)
{
	struct bench *b = bench_of(state);
	int named = 0, of = 0;

	for (int i = 0; i < 8; i++)
		try_all(b, i & 1, i & 2, i & 4, &named, &of);
	print_message("%d of %d named, none wrongly\n", named, of);
}

/* 27: between the pieces of the real one. */
static void a_decoy_between_the_pieces_never_gives_its_name(void **state)
{
	static const size_t lens[] = { 400, 480, 300 };
	struct bench *b = bench_of(state);

	for (int half = 0; half < 2; half++)
		for (size_t i = 0; i < 3; i++) {
			struct path p = path_v4(half * 3 + i, 5000);
			struct conn c;

			made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, 200);
			made(&decoy, &(struct hello_spec){ .variant = 2, .len = lens[i] }, 0);
			conn_new(&c, b, &p);
			conn_open(&c);
			conn_send_at(&c, half ? 200 : 0, real.wire.b + half * 200,
				     half ? real.wire.len - 200 : 200);
			put(&c, &decoy);
			conn_send_at(&c, half ? 0 : 200, real.wire.b + (half ? 0 : 200),
				     half ? 200 : real.wire.len - 200);
			go_on(&c);
			assert_int_not_equal(name_of(b, &p), bench_keys(b, &decoy.msg).stack_key);
		}
}

/* 27: a decoy that says it will send early data may be shorter than what follows. */
static void early_data_covers_no_decoy(void **state)
{
	struct bench *b = bench_of(state);

	for (int cut = 0; cut < 2; cut++) {
		struct path p = path_v4(1 + cut, 5000);
		struct conn c;

		made(&real, &(struct hello_spec){ .variant = 1, .len = 900 }, cut ? 500 : 0);
		made(&decoy, &(struct hello_spec){ .variant = 2, .early_data = true, .len = 450 },
		     0);
		conn_new(&c, b, &p);
		conn_open(&c);
		put(&c, &decoy);
		put(&c, &real);
		go_on(&c);
		assert_int_not_equal(name_of(b, &p), bench_keys(b, &decoy.msg).stack_key);
	}
}

static void real_early_data_costs_no_name(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 5000);
	static uint8_t early[900] = { 23, 3, 3, 3, 0x7f };
	struct conn c;

	made(&real, &(struct hello_spec){ .variant = 1, .early_data = true }, 0);
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_send(&c, real.wire.b, real.wire.len);
	conn_send(&c, early, sizeof(early));
	conn_finish(&c);
	assert_int_equal(name_of(b, &p), bench_keys(b, &real.msg).stack_key);
	expect_count(b, EARLY_DATA, 1);
}

/* 27: something else than a hello first, the hello in whatever pieces. */
static void junk_before_the_hello_never_gives_a_wrong_name(void **state)
{
	static const size_t lens[] = { 10, 100, 405, 800 };
	struct bench *b = bench_of(state);
	uint8_t junk[800];

	memset(junk, 'x', sizeof(junk));
	for (size_t i = 0; i < 8; i++) {
		struct path p = path_v4(i, 5000);
		struct conn c;

		made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, i & 1 ? 200 : 0);
		conn_new(&c, b, &p);
		conn_open(&c);
		conn_send_at(&c, 0, junk, lens[i / 2]);
		put(&c, &real);
		go_on(&c);
		if (name_of(b, &p))
			assert_int_equal(name_of(b, &p), bench_keys(b, &real.msg).stack_key);
	}
}

/* 26, 40: a decoy behind the server's flight, at the hello's place or as if there had
 * been a HelloRetryRequest. */
static void a_late_decoy_never_gives_its_name(void **state)
{
	struct bench *b = bench_of(state);

	for (int kind = 0; kind < 4; kind++) {
		struct path p = path_v4(kind, 5000);
		uint64_t name;
		struct conn c;

		made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, kind & 1 ? 200 : 0);
		made(&decoy, &(struct hello_spec){ .variant = 2, .len = 400 }, 0);
		conn_new(&c, b, &p);
		conn_open(&c);
		if (kind == 3) /* ambiguous from the beginning */
			put(&c, &decoy);
		put(&c, &real);
		c.snd = c.isn_c + 1 + real.wire.len;
		c.rcv += 3000;
		if (kind & 2)
			conn_send_at(&c, 0, decoy.wire.b, decoy.wire.len);
		else
			conn_send_at(&c, real.wire.len, decoy.wire.b, decoy.wire.len);
		conn_send(&c, flight_two, sizeof(flight_two));
		conn_send(&c, decoy.wire.b, 300);
		for (int i = 0; i < 3; i++) {
			conn_acks(&c, 500);
			conn_send(&c, flight_two + 6, 58);
		}
		name = name_of(b, &p);
		if (name == bench_keys(b, &decoy.msg).stack_key)
			fail_msg("the decoy's name, kind %d", kind);
	}
}

/* 27: a RST or FIN that the server never took (a bad checksum, say) ends nothing: before
 * the hello, between its pieces, behind it, and all of these. */
static void an_end_that_was_none_hides_nothing(void **state)
{
	static const uint8_t ends[] = { RST, RST | ACK, FIN | ACK };
	struct bench *b = bench_of(state);
	uint16_t port = 5000;

	for (size_t e = 0; e < sizeof(ends); e++)
		for (int where = 1; where < 8; where++) {
			struct path p = path_v4(e * 8 + where, ++port);
			struct conn c;

			made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, 200);
			conn_new(&c, b, &p);
			conn_open(&c);
			if (where & 1)
				conn_close(&c, ends[e]);
			c.snd = c.isn_c + 1;
			conn_send(&c, real.wire.b, 200);
			if (where & 2)
				conn_close(&c, ends[e]);
			c.snd = c.isn_c + 1 + 200;
			conn_send(&c, real.wire.b + 200, real.wire.len - 200);
			if (where & 4)
				conn_close(&c, ends[e]);
			go_on(&c);
			assert_int_equal(name_of(b, &p), bench_keys(b, &real.msg).stack_key);
		}
}

/* 27, 36: what is no TLS at all does not become a hello by a decoy over its bytes. */
static void a_decoy_over_other_protocols_never_gives_its_name(void **state)
{
	struct bench *b = bench_of(state);
	uint8_t ssh[405] = "SSH-2.0-x\r\n";

	for (int first = 0; first < 3; first++) {
		struct path p = path_v4(first, 5000);
		struct conn c;

		made(&real, &(struct hello_spec){ .len = 400 }, 0);
		made(&decoy, &(struct hello_spec){ .variant = 2, .len = 400 }, 0);
		conn_new(&c, b, &p);
		conn_open(&c);
		if (first == 0)
			put(&c, &decoy);
		conn_send_at(&c, 0, ssh, 11);
		if (first == 1)
			put(&c, &decoy);
		conn_send_at(&c, 11, ssh + 11, sizeof(ssh) - 11);
		if (first == 2)
			put(&c, &decoy);
		go_on(&c);
		assert_int_equal(name_of(b, &p), 0);
	}
}

/* 27: a rule on the real stack is not evaded by a decoy that nobody ruled. */
static void a_rule_holds_for_the_hello_that_reached_the_server(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 5000);
	uint32_t rule;
	struct conn c;

	made(&real, &(struct hello_spec){ .variant = 1, .len = 400 }, 0);
	made(&decoy, &(struct hello_spec){ .variant = 2, .len = 480 }, 0);
	rule = bench_rule(b, &(struct rule){ .action = RULE_DROP },
			  &(struct rule_match){ .stack = bench_keys(b, &real.msg).stack_key });
	conn_new(&c, b, &p);
	conn_open(&c);
	put(&c, &decoy);
	put(&c, &real);
	go_on(&c);
	conn_send(&c, flight_two, 64);
	assert_int_equal(c.verdict, XDP_DROP);
	assert_true(bench_rule_at(b, rule)->hit_packets >= 1);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

/* Clients behind some boxes: pure ACKs that carry two bytes of padding as if they were
 * theirs, before the hello and after it. */
static void padding_that_counts_as_payload_does_not_hide_the_hello(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 5000);
	struct conn c;

	made(&real, &(struct hello_spec){ .variant = 1 }, 0);
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_send_at(&c, 0, "\0", 2);
	put(&c, &real);
	c.snd = c.isn_c + 1 + real.wire.len;
	c.rcv += 2048;
	conn_send_at(&c, real.wire.len, "\0", 2);
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.e.result, HELLO_OK);
	assert_int_equal(name_of(b, &p), bench_keys(b, &real.msg).stack_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(padding_that_counts_as_payload_does_not_hide_the_hello),
		BENCH(a_whole_decoy_of_another_length_is_settled_by_what_follows),
		BENCH(no_decoy_ever_gives_its_name),
		BENCH(a_decoy_between_the_pieces_never_gives_its_name),
		BENCH(early_data_covers_no_decoy),
		BENCH(real_early_data_costs_no_name),
		BENCH(junk_before_the_hello_never_gives_a_wrong_name),
		BENCH(a_late_decoy_never_gives_its_name),
		BENCH(an_end_that_was_none_hides_nothing),
		BENCH(a_decoy_over_other_protocols_never_gives_its_name),
		BENCH(a_rule_holds_for_the_hello_that_reached_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
