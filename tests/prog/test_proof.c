/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Only proved connections count: what a spoofer sends moves nobody's tally, flow or
 * verdict. Faults 29-31, 42, 43. The proof by socket state needs real sockets and is
 * shown in tests/e2e.
 */
#include <string.h>

#include "lib_bench.h"

static struct bytes msg, wire;

static void prepared(struct bench *b)
{
	b->c->emit_all = 0; /* as on a live host */
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
}

static const struct tally_row *proved_once(struct bench *b, const struct path *p)
{
	const struct tally_row *t = bench_tally(b, p, bench_keys(b, &msg).stack_key);

	assert_non_null(t);
	assert_int_equal(t->connections, 1);
	return t;
}

/* 43 */
static void a_spoofed_handshake_without_the_servers_number_counts_nothing(void **state)
{
	struct bench *b = bench_of(state);
	uint64_t before = bench_digest(b), seed = 43;
	struct path p;
	struct conn c;

	prepared(b);
	/* Nothing but a hello. */
	p = path_v4(1, 1);
	conn_new(&c, b, &p);
	conn_hello(&c, &msg);
	conn_finish(&c);
	/* A SYN that the server never answered, and all that follows. */
	p.sport++;
	conn_new(&c, b, &p);
	conn_syn(&c);
	conn_ack(&c);
	conn_hello(&c, &msg);
	conn_finish(&c);
	/* An answered one, acknowledged by guesses; and by one off. */
	p.sport++;
	for (int i = 0; i < 200; i++) {
		uint32_t isn_s;

		p.sport++;
		conn_new(&c, b, &p);
		conn_syn(&c);
		conn_synack(&c);
		isn_s = c.isn_s;
		c.rcv = i < 2 ? isn_s + i * 2 : (uint32_t)draw(&seed);
		assert_int_not_equal(c.rcv, isn_s + 1);
		conn_ack(&c);
		conn_hello(&c, &msg);
		conn_finish(&c);
	}
	expect_count(b, CONN_PROVED, 0);
	expect_count(b, HELLO_PROVED, 0);
	assert_int_equal(bench_digest(b), before);
	assert_int_equal(bench_tallies(b) + bench_flows(b), 0);
}

static void a_hello_before_the_servers_number_proves_nothing(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_syn(&c);
	conn_hello(&c, &msg);
	assert_int_equal(bench_count(b, COUNTER_CONN_PROVED), 0);
	conn_synack(&c);
	assert_int_equal(bench_tallies(b), 0);
	/* The client itself sends it again, after the answer. */
	conn_send_at(&c, 0, wire.b, wire.len);
	conn_finish(&c);
	proved_once(b, &p);
}

static void a_hello_that_carries_the_handshake_ack_is_proved(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v6(1, 1);
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_syn(&c);
	conn_synack(&c);
	conn_hello(&c, &msg);
	expect_count(b, CONN_PROVED, 1);
	assert_int_equal(bench_tallies(b), 0); /* the server has not answered it yet */
	conn_finish(&c);
	assert_int_equal(proved_once(b, &p)->rtt_min, 0);
}

static void a_hello_in_the_same_batch_as_the_ack_is_proved(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_hello(&c, &msg);
	conn_finish(&c);
	assert_int_equal(proved_once(b, &p)->rtt_min, 200);
}

static void a_syn_cookie_proves_without_a_record_of_the_syn(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	const struct tally_row *t;
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_synack(&c);
	bench_after(b, 20 * MSEC);
	conn_ack(&c);
	conn_hello(&c, &msg);
	conn_finish(&c);
	t = proved_once(b, &p);
	assert_int_equal(t->rtt_min, 0); /* no SYN, no times, no signature */
	assert_int_equal(t->tcp_key, 0);
	assert_int_equal(t->bytes_in, wire.len + 64);
	assert_int_equal(t->bytes_out, 3000);
}

static void a_proof_needs_the_servers_answer_to_the_hello(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_hello(&c, &msg);
	conn_ack(&c);                                  /* nothing new acknowledged */
	conn_send(&c, flight_two, sizeof(flight_two)); /* early, for all we know */
	assert_int_equal(bench_tallies(b), 0);
	conn_close(&c, RST);
	assert_int_equal(bench_tallies(b), 0);
	expect_count(b, HELLO_UNPROVED, 1);
}

/* What a spoofer who knows addresses and ports can send at a victim. */
static void spoofed_at(struct bench *b, const struct path *p, uint64_t seed, int n)
{
	static const uint8_t flags[] = { SYN,       ACK,       ACK | PSH, RST,       RST | ACK,
					 FIN | ACK, ACK | URG, SYN | ACK, SYN | FIN, 0 };
	static struct bytes evil, evil_wire;
	struct conn c;

	hello_build(&evil, &(struct hello_spec){ .variant = 9 });
	record_wrap(&evil_wire, &evil);
	conn_new(&c, b, p);
	for (int i = 0; i < n; i++) {
		uint8_t f = flags[i % sizeof(flags)];
		bool data = !(f & (SYN | RST)) && i & 16;

		conn_segment(&c, &(struct segment){ .seq = draw(&seed),
						    .ack = draw(&seed),
						    .flags = f,
						    .options = "\2\4\2\30",
						    .options_len = f == SYN ? 4 : 0,
						    .data = evil_wire.b,
						    .len = data ? evil_wire.len : 0 });
	}
}

/* 43: with random numbers, of which one in 2^18 fits a live connection's windows. */
static void spoofed_segments_move_nothing_of_a_live_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct path p[2] = { path_v4(1, 1), path_v6(1, 1) };
	struct bytes evil;

	prepared(b);
	hello_build(&evil, &(struct hello_spec){ .variant = 9 });
	for (int i = 0; i < 2; i++) {
		uint32_t rule =
			bench_rule(b, &(struct rule){ .action = RULE_DROP },
				   &(struct rule_match){ .stack = bench_keys(b, &evil).stack_key });
		uint64_t before;
		struct conn c;

		conn_whole(&c, b, &p[i], &msg);
		conn_send(&c, wire.b, 200);
		before = bench_digest(b);
		spoofed_at(b, &p[i], 7, 2000);
		assert_int_equal(bench_digest(b), before);
		assert_true(bench_count(b, COUNTER_OUT_OF_WINDOW) > 500);
		assert_int_equal(bench_rule_at(b, rule)->hits, 0);
		assert_int_equal(bench_rule_at(b, rule)->would_hit, 0);
		/* The victim goes on, and is counted to the byte. */
		conn_send(&c, wire.b, 300);
		conn_acks(&c, 5000);
		assert_int_equal(c.verdict, XDP_PASS);
		assert_int_equal(proved_once(b, &p[i])->bytes_in, wire.len + 64 + 500);
		assert_int_equal(proved_once(b, &p[i])->bytes_out, 8000);
	}
}

/* 43: the window of a flow, exactly. */
static void a_segment_moves_a_flow_only_inside_its_window(void **state)
{
	static const struct {
		int32_t seq, ack;
		bool moves;
	} cases[] = {
		{ 0, 0, true },          { 1 << 20, 0, true },         { (1 << 20) + 1, 0, false },
		{ -(1 << 20), 0, true }, { -(1 << 20) - 1, 0, false }, { 0, (1 << 24) - 1, true },
		{ 0, 1 << 24, false },   { 0, -(1 << 24), true },      { 0, -(1 << 24) - 1, false },
	};
	struct bench *b = bench_of(state);

	prepared(b);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(i, 1);
		struct conn c;
		uint64_t before;

		conn_whole(&c, b, &p, &msg);
		bench_after(b, 1 * SEC);
		bench_mark(b);
		before = bench_digest(b);
		conn_segment(&c, &(struct segment){ .seq = c.snd + cases[i].seq,
						    .ack = c.rcv + cases[i].ack,
						    .flags = ACK,
						    .data = wire.b,
						    .len = 100 });
		assert_int_equal(bench_digest(b) != before, cases[i].moves);
		expect_count(b, OUT_OF_WINDOW, !cases[i].moves);
	}
}

/* 43: as RFC 5961 has it, a RST counts at the next expected byte alone. */
static void a_reset_beside_the_next_byte_closes_nothing(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c, spoof;

	prepared(b);
	conn_whole(&c, b, &p, &msg);
	spoof = c;
	spoof.snd += 5000;
	conn_close(&spoof, RST);
	assert_int_equal(bench_flow(b, &p)->flags & FLOW_CLOSED, 0);
	/* ... and a SYN behind it does not make the row forgotten. */
	spoof.isn_c += 77777;
	conn_syn(&spoof);
	assert_non_null(bench_flow(b, &p));
	conn_send(&c, wire.b, 300);
	assert_int_equal(proved_once(b, &p)->bytes_in, wire.len + 64 + 300);
	conn_close(&c, RST);
	assert_true(bench_flow(b, &p)->flags & FLOW_CLOSED);
}

/* 30, 43: at each moment of a handshake, a SYN with other options and numbers. */
static void a_spoofed_syn_at_any_moment_costs_the_victim_nothing(void **state)
{
	struct bench *b = bench_of(state);
	uint32_t tcp_key = 0;

	prepared(b);
	for (int when = 0; when < 7; when++) {
		struct path p = path_v4(when, 1);
		struct conn c;
		int at = 0;

#define MOMENT                                      \
	do {                                        \
		if (at++ == when)                   \
			spoofed_at(b, &p, when, 1); \
	} while (0)
		conn_new(&c, b, &p);
		MOMENT;
		conn_syn(&c);
		MOMENT;
		conn_synack(&c);
		MOMENT;
		bench_after(b, 20 * MSEC);
		conn_ack(&c);
		MOMENT;
		conn_hello(&c, &msg);
		MOMENT;
		bench_after(b, 20 * MSEC);
		conn_acks(&c, 3000);
		MOMENT;
		conn_send(&c, flight_two, sizeof(flight_two));
		MOMENT;
		conn_send(&c, wire.b, 100);
		assert_int_equal(proved_once(b, &p)->bytes_in, wire.len + 64 + 100);
		/* Between SYN and answer its own record is lost, no more. */
		if (when == 1)
			continue;
		if (!tcp_key)
			tcp_key = proved_once(b, &p)->tcp_key;
		assert_int_not_equal(tcp_key, 0);
		assert_int_equal(proved_once(b, &p)->tcp_key, tcp_key);
		assert_int_equal(proved_once(b, &p)->rtt_min, 200);
	}
}

/* 30 */
static void a_reused_port_is_a_new_connection_and_the_newest_wins(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	prepared(b);
	for (int closed = 0; closed < 2; closed++)
		for (uint32_t i = 1; i <= 3; i++) {
			const struct tally_row *t;

			conn_new(&c, b, &p);
			c.isn_c += i * 100000000 + closed;
			c.isn_s += i * 200000000;
			c.snd = c.isn_c + 1;
			c.rcv = c.isn_s + 1;
			conn_open(&c);
			conn_hello(&c, &msg);
			conn_finish(&c);
			conn_send(&c, wire.b, 100);
			if (closed)
				conn_close(&c, FIN | ACK);
			t = bench_tally(b, &p, 0);
			assert_int_equal(t->connections, closed * 3 + i);
			assert_int_equal(t->bytes_in, t->connections * (wire.len + 164));
			assert_int_equal(t->bytes_out, t->connections * 3000);
			assert_int_equal(bench_flows(b), 1);
		}
}

static void a_syn_sent_again_with_other_options_is_one_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct handshake h;
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_syn(&c);
	bench_after(b, 1 * SEC);
	conn_segment(&c, &(struct segment){ .seq = c.isn_c,
					    .flags = SYN,
					    .options = "\2\4\2\30",
					    .options_len = 4 });
	conn_synack(&c);
	conn_ack(&c);
	assert_int_equal(bench_handshake(b, &p, &h), 0);
	assert_int_equal(h.mss, 1460);
	assert_true(h.flags & HS_SYN_RETX);
	conn_hello(&c, &msg);
	conn_finish(&c);
	assert_int_equal(proved_once(b, &p)->rtt_min, 0);
}

/* 30. A server that dials out from its protected port while the peer dials in: both SYNs
 * are a SYN, each is answered by SYN|ACK. */
static void a_simultaneous_open_is_one_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct frame f;
	struct conn c;

	prepared(b);
	conn_new(&c, b, &p);
	conn_syn(&c);
	frame_tcp(&f, &p, true, &(struct segment){ .seq = c.isn_s, .flags = SYN });
	bench_out(b, &f);
	conn_segment(&c, &(struct segment){ .seq = c.isn_c, .ack = c.rcv, .flags = SYN | ACK });
	assert_int_equal(c.verdict, XDP_PASS);
	conn_synack(&c);
	conn_ack(&c);
	conn_hello(&c, &msg);
	conn_finish(&c);
	proved_once(b, &p);
}

/* 31 */
static void data_of_a_connection_that_began_before_us_is_no_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	prepared(b);
	for (int replay = 0; replay < 2; replay++) {
		b->c->emit_all = replay;
		p.sport++;
		conn_new(&c, b, &p);
		conn_send(&c, flight_two, 64);
		conn_send(&c, (uint8_t[300]){ 23, 3, 3, 1 }, 300);
		conn_acks(&c, 5000);
		conn_close(&c, FIN | ACK);
		assert_int_equal(bench_tallies(b) + bench_flows(b), 0);
	}
	/* Live, a hello whose SYN and SYN|ACK nobody saw neither. */
	b->c->emit_all = 0;
	p.sport++;
	conn_new(&c, b, &p);
	conn_hello(&c, &msg);
	conn_finish(&c);
	assert_int_equal(bench_tallies(b) + bench_flows(b), 0);
}

/* 29 */
static void a_whole_hello_in_the_syn_is_named_and_proved(void **state)
{
	struct bench *b = bench_of(state);

	prepared(b);
	for (int data_acked = 0; data_acked < 2; data_acked++) {
		struct path p = path_v4(data_acked, 1);
		static struct frame f;
		const struct tally_row *t;
		struct conn c;

		conn_new(&c, b, &p);
		conn_segment(&c, &(struct segment){ .seq = c.isn_c,
						    .flags = SYN,
						    .data = wire.b,
						    .len = wire.len });
		frame_tcp(&f, &p, true,
			  &(struct segment){ .seq = c.isn_s,
					     .ack = c.isn_c + 1 + (data_acked ? wire.len : 0),
					     .flags = SYN | ACK });
		bench_out(b, &f);
		bench_after(b, 20 * MSEC);
		if (data_acked) {
			c.snd += wire.len;
			conn_ack(&c);
		} else {
			conn_ack(&c); /* the server did not take it: sent again */
			conn_send(&c, wire.b, wire.len);
		}
		conn_finish(&c);
		t = proved_once(b, &p);
		assert_int_equal(t->rtt_min, 0);
		assert_int_equal(t->bytes_in, wire.len + 64);
		assert_int_equal(t->bytes_out, 3000);
	}
}

/* 29, 30 */
static void odd_flags_pass_and_begin_nothing(void **state)
{
	static const uint8_t odd[] = {
		SYN | ACK, SYN | FIN, SYN | RST,       SYN | FIN | RST | ACK | PSH | URG,
		0,         FIN,       FIN | PSH | URG, URG,
		RST,       RST | ACK, ACK | URG
	};
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct handshake h;

	prepared(b);
	for (int replay = 0; replay < 2; replay++) {
		b->c->emit_all = replay;
		for (size_t i = 0; i < sizeof(odd); i++) {
			struct conn c;

			p.sport++;
			conn_new(&c, b, &p);
			conn_segment(&c, &(struct segment){
						 .seq = c.isn_c, .ack = 1, .flags = odd[i] });
			assert_int_equal(c.verdict, XDP_PASS);
			assert_int_not_equal(bench_handshake(b, &p, &h), 0);
		}
	}
	expect_count(b, SYN, 0);
	assert_int_equal(bench_tallies(b) + bench_flows(b), 0);
}

static void only_answers_of_protected_ports_are_learnt(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1), q = path_v6(1, 1);
	struct handshake h;
	struct conn c;

	p.dport = 8443;
	conn_new(&c, b, &p);
	conn_synack(&c);
	expect_count(b, SYNACK, 0);
	assert_int_not_equal(bench_handshake(b, &p, &h), 0);
	q.tags = 2;
	conn_new(&c, b, &q);
	conn_synack(&c);
	expect_count(b, SYNACK, 1);
	assert_int_equal(bench_handshake(b, &q, &h), 0);
	assert_int_equal(h.isn_s, c.isn_s);
}

/* The proof of a capture that holds one direction. */
static void replay_of_one_direction_proves_by_the_clients_numbers(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 1);
	struct conn c;

	b->c->proof = PROOF_INGRESS;
	hello_build(&msg, &(struct hello_spec){});
	conn_new(&c, b, &p);
	conn_syn(&c);
	bench_after(b, 20 * MSEC);
	conn_ack(&c);
	conn_hello(&c, &msg);
	conn_finish(&c);
	assert_int_equal(proved_once(b, &p)->rtt_min, 200);
	bench_events(b);
	assert_int_equal(b->handshake.e.proof, PROOF_INGRESS);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(a_spoofed_handshake_without_the_servers_number_counts_nothing),
		BENCH(a_hello_before_the_servers_number_proves_nothing),
		BENCH(a_hello_that_carries_the_handshake_ack_is_proved),
		BENCH(a_hello_in_the_same_batch_as_the_ack_is_proved),
		BENCH(a_syn_cookie_proves_without_a_record_of_the_syn),
		BENCH(a_proof_needs_the_servers_answer_to_the_hello),
		BENCH(spoofed_segments_move_nothing_of_a_live_connection),
		BENCH(a_segment_moves_a_flow_only_inside_its_window),
		BENCH(a_reset_beside_the_next_byte_closes_nothing),
		BENCH(a_spoofed_syn_at_any_moment_costs_the_victim_nothing),
		BENCH(a_reused_port_is_a_new_connection_and_the_newest_wins),
		BENCH(a_syn_sent_again_with_other_options_is_one_connection),
		BENCH(a_simultaneous_open_is_one_connection),
		BENCH(data_of_a_connection_that_began_before_us_is_no_connection),
		BENCH(a_whole_hello_in_the_syn_is_named_and_proved),
		BENCH(odd_flags_pass_and_begin_nothing),
		BENCH(only_answers_of_protected_ports_are_learnt),
		BENCH(replay_of_one_direction_proves_by_the_clients_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
