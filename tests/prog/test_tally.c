/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection leaves in its row: connections once, bytes both ways, exchanges,
 * gaps; and what eviction does to rows and flows. Fault 42 for the tables' bounds.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "lib_bench.h"

static struct bytes msg, wire;
static uint8_t bulk[65536];

static const struct path *one(struct path p)
{
	static struct path kept;

	kept = p;
	return &kept;
}

static const struct tally_row *opened(struct bench *b, struct conn *c, struct path p)
{
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	conn_whole(c, b, &p, &msg);
	bench_after(b, 100 * MSEC);
	return bench_tally(b, &p, 0);
}

static void connections_of_one_source_and_stack_are_one_row(void **state)
{
	struct bench *b = bench_of(state);
	const struct tally_row *t = NULL;
	struct bytes other;
	struct conn c;

	for (int i = 1; i <= 20; i++) {
		t = opened(b, &c, path_v4(1, 5000 + i));
		assert_int_equal(t->connections, i);
	}
	assert_int_equal(t->service, 443);
	assert_int_equal(t->proto, 6);
	assert_int_equal(bench_tallies(b), 1);
	/* An IPv6 source is a /64. */
	for (int i = 1; i <= 3; i++) {
		struct path p = path_v6(1, 5000);

		p.client.lo = i * 0x123456789abcULL;
		assert_int_equal(opened(b, &c, p)->connections, i);
	}
	assert_int_equal(bench_tallies(b), 2);
	/* Another stack is another row; another order of the same is not. */
	hello_build(&other, &(struct hello_spec){ .variant = 5 });
	conn_whole(&c, b, one(path_v4(1, 6000)), &other);
	assert_int_equal(bench_tallies(b), 3);
	hello_build(&other, &(struct hello_spec){ .shuffled = true });
	assert_int_equal(bench_keys(b, &other).stack_key, bench_keys(b, &msg).stack_key);
	assert_int_not_equal(bench_keys(b, &other).order_hash, bench_keys(b, &msg).order_hash);
	conn_whole(&c, b, one(path_v4(1, 6001)), &other);
	assert_int_equal(bench_tallies(b), 3);
}

static void orders_count_their_distinct_sources(void **state)
{
	struct bench *b = bench_of(state);
	const struct order_tally *o = NULL;
	struct hello h;
	struct conn c;

	for (int i = 0; i < 200; i++) {
		struct path p = path_v4(i / 2, 5000 + i);

		opened(b, &c, p);
		h = bench_keys(b, &msg);
		o = bench_order(b, h.stack_key, h.order_hash);
		assert_non_null(o);
		assert_int_equal(o->connections, i + 1);
		if (i < 4)
			assert_int_equal(o->distinct, i / 2 + 1);
	}
	assert_int_equal(o->first[0], 0xc6336400);
	assert_int_equal(o->first[1], 0xc6336401);
	assert_in_range(o->distinct, 40, 64); /* saturates at 64 */
}

static void bytes_are_exact_where_sequence_numbers_wrap(void **state)
{
	static const uint32_t isn[] = { 0xffffffff, 0xfffffff0, 0xffff0000, 0x7fffffff, 0 };
	struct bench *b = bench_of(state);

	for (size_t i = 0; i < 5; i++) {
		struct path p = path_v4(i, 9);
		const struct tally_row *t;
		struct conn c;

		hello_build(&msg, &(struct hello_spec){});
		conn_new(&c, b, &p);
		c.isn_c = isn[i];
		c.isn_s = isn[(i + 1) % 5];
		c.snd = c.isn_c + 1;
		c.rcv = c.isn_s + 1;
		conn_open(&c);
		conn_hello(&c, &msg);
		conn_finish(&c);
		for (int n = 0; n < 20; n++) {
			conn_send(&c, bulk, 10000);
			conn_acks(&c, 123457);
		}
		t = bench_tally(b, &p, 0);
		assert_int_equal(t->bytes_in, msg.len + 5 + 64 + 20 * 10000);
		assert_int_equal(t->bytes_out, 3000 + 20 * 123457);
		assert_int_equal(t->connections, 1);
	}
}

static void retransmissions_and_old_acks_add_no_bytes(void **state)
{
	struct bench *b = bench_of(state);
	const struct tally_row *t;
	struct conn c;

	t = opened(b, &c, path_v4(1, 9));
	bench_mark(b);
	conn_send(&c, bulk, 1000);
	conn_acks(&c, 5000);
	c.snd -= 1000;
	conn_send(&c, bulk, 1000);
	c.snd -= 500;
	conn_send(&c, bulk, 800); /* 300 new ones */
	c.rcv -= 2000;
	conn_ack(&c);
	assert_int_equal(t->bytes_in, wire.len + 64 + 1300);
	assert_int_equal(t->bytes_out, 8000);
	expect_count(b, OUT_OF_WINDOW, 0);
}

/* ---- exchanges ------------------------------------------------------------------------ */

enum act { DONE, SEND, GET, WAIT };

struct exchange_case {
	const char *name;
	struct {
		enum act act;
		uint32_t n; /* bytes; ms */
	} step[24];
	uint32_t exchanges;
};

/* clang-format off */
static const struct exchange_case exchange_cases[] = {
	{ "a request and its answer", { { SEND, 400 }, { GET, 9000 } }, 1 },
	{ "three of them", { { SEND, 400 }, { GET, 900 }, { SEND, 400 }, { GET, 900 },
			     { SEND, 400 }, { GET, 900 } }, 3 },
	{ "no answer yet", { { SEND, 400 } }, 1 },
	{ "too small to tell", { { SEND, 63 }, { GET, 900 }, { SEND, 99 }, { GET, 900 } }, 0 },
	{ "exactly large enough", { { SEND, 100 }, { GET, 64 }, { SEND, 100 } }, 2 },
	{ "an answer of 63 bytes is none", { { SEND, 100 }, { GET, 63 }, { SEND, 100 } }, 1 },
	/* head and body of a small POST */
	{ "a small POST in two segments", { { SEND, 70 }, { SEND, 64 }, { GET, 900 } }, 1 },
	{ "two of those", { { SEND, 70 }, { SEND, 64 }, { GET, 900 }, { SEND, 70 }, { SEND, 64 },
			    { GET, 900 } }, 2 },
	/* HTTP/2: 13 + 22 bytes each */
	{ "window updates and pings", { { SEND, 35 }, { GET, 60000 }, { SEND, 35 }, { GET, 60000 },
					{ SEND, 39 }, { GET, 60000 }, { SEND, 39 } }, 0 },
	{ "2 MB of answer with window updates", { { SEND, 400 }, { GET, 500000 }, { SEND, 35 },
		{ GET, 500000 }, { SEND, 35 }, { GET, 500000 }, { SEND, 35 }, { GET, 500000 } }, 1 },
	/* the server acknowledges nothing but its window updates of 35 bytes */
	{ "an upload with the server's window updates between", { { SEND, 60000 }, { GET, 35 },
		{ SEND, 60000 }, { GET, 35 }, { SEND, 60000 }, { GET, 35 }, { SEND, 60000 },
		{ GET, 900 } }, 1 },
	{ "pipelined requests merge", { { SEND, 400 }, { SEND, 400 }, { SEND, 400 }, { GET, 9000 } },
	  1 },
	{ "pipelined behind a first answer", { { SEND, 400 }, { GET, 900 }, { SEND, 400 },
		{ SEND, 400 }, { GET, 9000 }, { SEND, 400 } }, 3 },
	{ "an answer in many pieces", { { SEND, 400 }, { GET, 30 }, { GET, 30 }, { GET, 30 },
		{ SEND, 400 } }, 2 },
};
/* clang-format on */

static void an_exchange_is_a_request_of_a_hundred_bytes_and_what_follows(void **state)
{
	struct bench *b = bench_of(state);

	for (size_t i = 0; i < sizeof(exchange_cases) / sizeof(exchange_cases[0]); i++) {
		const struct exchange_case *e = &exchange_cases[i];
		struct conn c;
		const struct tally_row *t = opened(b, &c, path_v4(i, 9));

		assert_int_equal(t->exchanges, 0);
		for (int k = 0; e->step[k].act; k++) {
			bench_after(b, 10 * MSEC);
			if (e->step[k].act == SEND)
				conn_send(&c, bulk, e->step[k].n);
			else if (e->step[k].act == GET)
				conn_acks(&c, e->step[k].n);
		}
		if (t->exchanges != e->exchanges)
			fail_msg("%s: %u, not %u", e->name, t->exchanges, e->exchanges);
	}
}

/* A request behind the Finished, in its segment or in the next, with or without the
 * ChangeCipherSpec. */
static void a_request_that_rides_with_the_finished_counts(void **state)
{
	struct bench *b = bench_of(state);

	for (int i = 0; i < 3; i++) {
		struct path p = path_v4(i, 9);
		uint8_t both[64 + 400];
		const struct tally_row *t;
		struct conn c;
		size_t skip = i == 2 ? 6 : 0;

		hello_build(&msg, &(struct hello_spec){});
		memset(both, 0, sizeof(both));
		memcpy(both, flight_two, 64);
		conn_new(&c, b, &p);
		conn_open(&c);
		conn_hello(&c, &msg);
		conn_acks(&c, 3000);
		conn_send(&c, both + skip, (i == 1 ? 64 : sizeof(both)) - skip);
		if (i == 1)
			conn_send(&c, both + 64, 400);
		t = bench_tally(b, &p, 0);
		assert_int_equal(t->exchanges, 1);
		assert_int_equal(t->bytes_in, msg.len + 5 + sizeof(both) - skip);
		b->t += 10000; /* sooner, it would be session tickets */
		conn_acks(&c, 900);
		conn_send(&c, both, 400);
		assert_int_equal(t->exchanges, 2);
	}
}

/* What the server says of itself crosses the first request, all of it or the rest: no
 * answer. After a pause it has come, and the next answer is one. The clock of a segment
 * may be behind that of the handshake. */
static void tickets_are_no_answer_and_the_answer_is_one(void **state)
{
	static const struct {
		int pause_us; /* between handshake and request */
		bool before, crossing;
	} cases[] = { { 0, false, true },    { 500, false, true },  { 500, true, true },
		      { -3000, true, true }, { 9000, true, false }, { 70000, true, false } };
	struct bench *b = bench_of(state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(i, 9);
		const struct tally_row *t;
		struct conn c;

		hello_build(&msg, &(struct hello_spec){});
		conn_whole(&c, b, &p, &msg);
		t = bench_tally(b, &p, 0);
		if (cases[i].before)
			conn_acks(&c, 300);
		b->t += cases[i].pause_us;
		conn_send(&c, bulk, 400);
		if (cases[i].crossing) {
			conn_acks(&c, 300);
			conn_send(&c, bulk, 400);
			if (t->exchanges != 1)
				fail_msg("case %zu: %u exchanges, not 1", i, t->exchanges);
		}
		for (uint32_t k = 2; k < 5; k++) {
			bench_after(b, 1 * MSEC);
			conn_acks(&c, 900);
			bench_after(b, 1 * MSEC);
			conn_send(&c, bulk, 400);
			assert_int_equal(t->exchanges, k);
		}
	}
}

/* min(17, floor(log2(seconds + 1))) */
static void gaps_between_exchanges_go_into_octaves_of_seconds(void **state)
{
	static const struct {
		uint64_t ms;
		int bin;
	} gaps[] = { { 500, 0 },        { 1100, 1 },      { 2900, 1 },     { 3100, 2 },
		     { 7100, 3 },       { 60000, 5 },     { 3600000, 11 }, { 86400000, 16 },
		     { 131072000, 17 }, { 900000000, 17 } };
	struct bench *b = bench_of(state);
	uint8_t bins[GAP_BINS] = {};
	const struct tally_row *t;
	struct conn c;

	t = opened(b, &c, path_v4(1, 9));
	conn_send(&c, bulk, 400);
	conn_acks(&c, 900);
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		bench_after(b, gaps[i].ms * MSEC);
		conn_send(&c, bulk, 400);
		conn_acks(&c, 900);
		bins[gaps[i].bin]++;
		assert_memory_equal(t->gaps, bins, sizeof(bins));
	}
	assert_int_equal(t->exchanges, 11);
	/* A full bin halves all of them. */
	for (int i = 0; i < 255; i++) {
		conn_send(&c, bulk, 400);
		conn_acks(&c, 900);
	}
	assert_int_equal(t->gaps[0], 128); /* 255, halved to 127, and one */
	assert_int_equal(t->gaps[1], 1);
	assert_int_equal(t->gaps[17], 1);
	assert_int_equal(t->gaps[2], 0);
}

/* ---- eviction --------------------------------------------------------------------------- */

static struct bench *resized(void **state, const struct bench_sizes *s)
{
	bench_of(state);
	bench_free(*state);
	*state = bench_open(s);
	return *state;
}

/* Fault 66. */
static void seventeen_rows_in_one_set_of_eight_are_nine_evictions(void **state)
{
	struct bench *b = resized(state, &(struct bench_sizes){ .tallies = 8 });
	uint32_t gens = 0;
	struct conn c;
	size_t n_sets;
	const struct tally_set *set;

	for (int i = 0; i < 17; i++) {
		opened(b, &c, path_v4(i, 9));
		expect_count(b, TALLY_EVICTED, i < 8 ? 0 : i - 7);
		assert_int_equal(bench_tallies(b), i < 8 ? i + 1 : 8);
	}
	/* The coldest went: the newest eight are there, each once. */
	set = kern_tallies(b->k, &n_sets);
	assert_int_equal(n_sets, 1);
	for (int i = 9; i < 17; i++)
		assert_non_null(bench_tally(b, one(path_v4(i, 9)), 0));
	for (int w = 0; w < WAYS; w++) {
		assert_int_equal(set->slot[w].gen & 1, 0);
		gens += set->slot[w].gen;
	}
	assert_int_equal(gens, 17 * 2);
}

static void an_evicted_row_is_rejoined_as_no_new_connection(void **state)
{
	struct bench *b = resized(state, &(struct bench_sizes){ .tallies = 8 });
	struct path p = path_v4(200, 9);
	const struct tally_row *t;
	struct conn c, other;

	opened(b, &c, p);
	conn_send(&c, bulk, 400);
	conn_acks(&c, 900);
	bench_after(b, 1 * SEC);
	for (int i = 0; i < 8; i++)
		opened(b, &other, path_v4(i, 9));
	assert_null(bench_tally(b, &p, 0));
	conn_send(&c, bulk, 500);
	t = bench_tally(b, &p, bench_keys(b, &msg).stack_key);
	assert_non_null(t);
	assert_int_equal(t->connections, 0);
	assert_int_equal(t->exchanges, 1);
	assert_int_equal(t->bytes_in, 500);
	conn_acks(&c, 700);
	conn_send(&c, bulk, 300);
	assert_int_equal(t->bytes_in, 800);
	assert_int_equal(t->bytes_out, 700);
	assert_int_equal(t->exchanges, 2);
}

static void an_evicted_flow_moves_no_tally_and_is_counted(void **state)
{
	struct bench *b = resized(state, &(struct bench_sizes){ .flows = 8 });
	const struct tally_row *t;
	struct conn c, other;

	t = opened(b, &c, path_v4(200, 9));
	bench_after(b, 1 * SEC);
	for (int i = 0; i < 8; i++)
		opened(b, &other, path_v4(i, 9));
	expect_count(b, FLOW_EVICTED, 1);
	conn_send(&c, bulk, 500);
	assert_int_equal(c.verdict, XDP_PASS);
	assert_int_equal(t->bytes_in, wire.len + 64);
	assert_int_equal(t->connections, 1);
	/* Closed ones go first, and are no loss. */
	conn_close(&other, FIN | ACK);
	opened(b, &c, path_v4(201, 9));
	expect_count(b, FLOW_EVICTED, 1);
}

static void live_handshakes_lost_to_newer_ones_are_counted(void **state)
{
	struct bench *b = resized(state, &(struct bench_sizes){ .handshakes = 8 });
	struct conn c;

	for (int i = 0; i < 20; i++) {
		conn_new(&c, b, one(path_v4(i, 9)));
		conn_syn(&c);
		expect_count(b, HANDSHAKE_EVICTED, i < 8 ? 0 : i - 7);
	}
	/* Past their ten seconds they are no loss. */
	bench_after(b, 11 * SEC);
	for (int i = 0; i < 8; i++) {
		conn_new(&c, b, one(path_v6(i, 9)));
		conn_syn(&c);
	}
	expect_count(b, HANDSHAKE_EVICTED, 12);
}

/* ---- two CPUs ------------------------------------------------------------------------------ */

#define ROUNDS 20000

struct worker {
	pthread_t thread;
	struct conn c;
	int cpu;
};

static void *works(void *arg)
{
	struct worker *w = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	for (int i = 0; i < ROUNDS; i++) {
		conn_send(&w->c, bulk, 100);
		conn_acks(&w->c, 77);
	}
	return NULL;
}

static void two_cpus_on_one_row_lose_nothing(void **state)
{
	struct bench *b = bench_of(state);
	const struct tally_row *t = NULL;
	struct worker w[2] = { { .cpu = 0 }, { .cpu = 1 } };
	uint32_t gaps = 0;

	for (int i = 0; i < 2; i++)
		t = opened(b, &w[i].c, path_v4(1, 100 + i));
	for (int i = 0; i < 2; i++) { /* the clock stands still from here */
		conn_send(&w[i].c, bulk, 100);
		b->t += 10000;
		conn_acks(&w[i].c, 77);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, works, &w[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(t->connections, 2);
	assert_int_equal(t->exchanges, 2 * (ROUNDS + 1));
	assert_int_equal(t->bytes_in, 2 * (wire.len + 64 + (ROUNDS + 1) * 100ULL));
	assert_int_equal(t->bytes_out, 2 * (3000 + (ROUNDS + 1) * 77ULL));
	for (int i = 0; i < GAP_BINS; i++)
		gaps += t->gaps[i];
	assert_in_range(gaps, 1, 255);
	expect_count(b, OUT_OF_WINDOW, 0);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(connections_of_one_source_and_stack_are_one_row),
		BENCH(orders_count_their_distinct_sources),
		BENCH(bytes_are_exact_where_sequence_numbers_wrap),
		BENCH(retransmissions_and_old_acks_add_no_bytes),
		BENCH(an_exchange_is_a_request_of_a_hundred_bytes_and_what_follows),
		BENCH(a_request_that_rides_with_the_finished_counts),
		BENCH(tickets_are_no_answer_and_the_answer_is_one),
		BENCH(gaps_between_exchanges_go_into_octaves_of_seconds),
		BENCH(seventeen_rows_in_one_set_of_eight_are_nine_evictions),
		BENCH(an_evicted_row_is_rejoined_as_no_new_connection),
		BENCH(an_evicted_flow_moves_no_tally_and_is_counted),
		BENCH(live_handshakes_lost_to_newer_ones_are_counted),
		BENCH(two_cpus_on_one_row_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
