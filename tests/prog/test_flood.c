/* SPDX-License-Identifier: BSD-2-Clause */
/* A million spoofed SYNs in a second of the clock, and a thousand sources at work in
 * the midst of them. Fault 42. */
#include <string.h>

#include "lib_bench.h"

#define SOURCES 1000
#define BATCH   100
#define FLOOD   20000 /* SYNs in one round trip of 20 ms */
#define LINE(n) path_v6(n, 7000)

static struct frame syn4, syn6;
static uint64_t seed = 42, flooded;

static void flood(struct bench *b)
{
	for (int i = 0; i < FLOOD; i++) {
		struct frame *f = i & 1 ? &syn4 : &syn6;
		uint64_t r = draw(&seed);

		put32(f->b + f->l3 + (i & 1 ? 12 : 10), 0x0b000000 | (r & 0xffffff));
		put16(f->b + f->l4, r >> 24);
		put32(f->b + f->l4 + 4, r >> 32);
		assert_int_equal(bench_in(b, f), XDP_PASS);
		bench_after(b, 1);
		flooded++;
	}
}

static void a_flood_of_spoofed_syns_costs_the_others_under_one_percent(void **state)
{
	struct bench *b = bench_of(state);
	static struct conn c[BATCH], before[SOURCES];
	static uint8_t request[300];
	uint64_t in = 0, out = 0, connections = 0, exchanges = 0, want_in;
	struct path p4 = path_v4(1, 1), p6 = path_v6(1, 1);
	struct bytes msg;

	bench_free(b);
	*state = b = bench_open(
		&(struct bench_sizes){ .tallies = 8192, .flows = 65536, .handshakes = 65536 });
	b->c->emit_all = 0;
	hello_build(&msg, &(struct hello_spec){});
	frame_tcp(&syn4, &p4, false, &(struct segment){ .flags = SYN });
	frame_tcp(&syn6, &p6, false, &(struct segment){ .flags = SYN });
	/* Each has a connection from before, and opens another in the flood. */
	for (int i = 0; i < SOURCES; i++) {
		struct path p = LINE(i);

		p.sport++;
		conn_whole(&before[i], b, &p, &msg);
	}
	bench_mark(b);
	for (int at = 0; at < SOURCES; at += BATCH) {
		for (int i = 0; i < BATCH; i++) {
			struct path p = LINE(at + i);

			conn_new(&c[i], b, &p);
			conn_syn(&c[i]);
			conn_synack(&c[i]);
		}
		flood(b);
		for (int i = 0; i < BATCH; i++) {
			conn_ack(&c[i]);
			conn_hello(&c[i], &msg);
		}
		flood(b);
		for (int i = 0; i < BATCH; i++)
			conn_send(&before[at + i], request, sizeof(request));
		for (int i = 0; i < BATCH; i++) {
			conn_acks(&c[i], 3000);
			conn_send(&c[i], flight_two, sizeof(flight_two));
			conn_send(&c[i], request, sizeof(request));
		}
		for (int more = 0; more < 3; more++) {
			flood(b);
			for (int i = 0; i < BATCH; i++) {
				conn_acks(&c[i], 1000);
				conn_send(&c[i], request, sizeof(request));
			}
		}
	}
	for (int i = 0; i < SOURCES; i++) {
		struct path p = LINE(i);
		const struct tally_row *t = bench_tally(b, &p, 0);

		if (!t)
			continue;
		connections += t->connections;
		exchanges += t->exchanges;
		in += t->bytes_in;
		out += t->bytes_out;
		assert_int_equal(t->stack, bench_keys(b, &msg).stack_key);
	}
	want_in = SOURCES * (2 * (msg.len + 5 + 64) + 5 * sizeof(request));
	print_message("%lu SYNs: %lu of %d new connections, %lu of %d exchanges, %lu of %lu bytes; "
		      "%lu handshakes evicted\n",
		      flooded, connections - SOURCES, SOURCES, exchanges, 5 * SOURCES, in, want_in,
		      bench_count(b, COUNTER_HANDSHAKE_EVICTED));
	assert_int_equal(flooded, 1000000);
	/* 65,536 records turn over in 65 ms: some handshakes of 40 ms are lost. */
	assert_in_range(connections, SOURCES + SOURCES * 98 / 100, 2 * SOURCES);
	assert_in_range(connections, 2 * SOURCES * 99 / 100, 2 * SOURCES);
	assert_in_range(exchanges, 5 * SOURCES * 99 / 100, 5 * SOURCES);
	assert_in_range(in, want_in * 99 / 100, want_in);
	assert_in_range(out, SOURCES * 9000 * 99 / 100, SOURCES * 9000);
	/* And nobody else is in the tables of proved connections. */
	assert_int_equal(bench_tallies(b), SOURCES);
	assert_int_equal(bench_flows(b), connections);
	expect_count(b, TALLY_EVICTED, 0);
	expect_count(b, FLOW_EVICTED, 0);
	expect_count(b, SYN, flooded + SOURCES);
}

/* What a SYN leaves is overwritten by the 1,024th behind it; whoever has answered has a record
 * of their own. A SYN|ACK begins anew what is lost. */
static void a_flood_overwrites_syns_and_no_answered_ones(void **state)
{
	struct bench *b = bench_of(state);
	struct conn waits, answered, late;
	struct path p = path_v4(9, 9);
	struct handshake h;
	struct bytes msg;

	hello_build(&msg, &(struct hello_spec){});
	frame_tcp(&syn4, &p, false, &(struct segment){ .flags = SYN });
	conn_new(&waits, b, (struct path[]){ path_v4(1, 1) });
	conn_new(&answered, b, (struct path[]){ path_v4(2, 1) });
	conn_new(&late, b, (struct path[]){ path_v4(3, 1) });
	conn_syn(&waits);
	conn_synack(&waits);
	conn_syn(&late);
	conn_open(&answered);
	bench_mark(b);
	for (int i = 0; i < 1100; i++) {
		put32(syn4.b + syn4.l3 + 12, 0x0b000000 | i);
		assert_int_equal(bench_in(b, &syn4), XDP_PASS);
	}
	assert_int_not_equal(bench_handshake(b, &waits.p, &h), 0);
	assert_int_equal(bench_handshake(b, &answered.p, &h), 0);
	conn_ack(&waits);
	expect_count(b, NO_RECORD, 1);
	conn_synack(&late);
	conn_ack(&late);
	expect_count(b, NO_RECORD, 1);
	conn_hello(&answered, &msg);
	conn_finish(&answered);
	conn_hello(&late, &msg);
	conn_finish(&late);
	assert_int_equal(bench_tally(b, &answered.p, 0)->connections, 1);
	assert_int_equal(bench_tally(b, &late.p, 0)->connections, 1);
	assert_null(bench_tally(b, &waits.p, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_flood_of_spoofed_syns_costs_the_others_under_one_percent, bench_setup,
			bench_teardown),
		cmocka_unit_test_setup_teardown(a_flood_overwrites_syns_and_no_answered_ones,
						bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
