/* SPDX-License-Identifier: BSD-2-Clause */
/* The segment that becomes a RST, byte by byte. Fault 17. */
#include <netinet/in.h>
#include <string.h>

#include "lib_bench.h"

static struct frame f, out;
static struct bytes msg, wire;

/* What was made of f: a RST for the server, and nothing else of it changed. */
static void expect_reset(const struct path *p)
{
	uint8_t *was = f.b + f.l4, *is = out.b + out.l4;
	bool v4 = path_is_v4(p);
	size_t head = f.data - f.l4, total = v4 ? f.l3 + 2 : f.l3 + 4;

	assert_int_equal(out.len, f.data);
	assert_memory_equal(out.b, f.b, total);
	assert_int_equal(get16(out.b + total), f.data - f.l3 - (v4 ? 0 : 40));
	assert_memory_equal(out.b + f.l3 + 12, f.b + f.l3 + 12, f.l4 - f.l3 - 12);
	if (v4)
		assert_int_equal(frame_ip_error(&out), 0);
	assert_memory_equal(is, was, 12); /* ports, sequence, acknowledgement */
	assert_int_equal(is[12] >> 4, head / 4);
	assert_int_equal(is[13], RST | ACK);
	assert_memory_equal(is + 20, was + 20, head - 20);
	assert_int_equal(frame_tcp_error(&out, p, false), 0);
}

static void the_hello_of_each_path_becomes_a_whole_reset(void **state)
{
	static const size_t lens[] = { 0, 301, 1500, 9000 };
	struct bench *b = bench_of(state);
	uint8_t chain[24] = { IPPROTO_DSTOPTS, 0 };
	uint32_t verdict;
	uint16_t port = 1;

	chain[8] = IPPROTO_TCP;
	chain[9] = 1;
	for (int kind = 0; kind < 12; kind++)
		for (size_t i = 0; i < 4; i++) {
			struct path p = kind & 1 ? path_v6(1, ++port) : path_v4(1, ++port);
			struct rule_match m = {};
			uint32_t rule;
			struct conn c;

			p.tags = kind / 2 % 3;
			if (kind >= 6 && kind & 1) {
				p.first_extension = IPPROTO_DSTOPTS;
				p.extensions = chain;
				p.extensions_len = 24;
			} else if (kind >= 6) {
				p.ip_options = 4 * (kind - 5);
			}
			hello_build(&msg, &(struct hello_spec){ .len = lens[i] });
			record_wrap(&wire, &msg);
			m.stack = bench_keys(b, &msg).stack_key;
			rule = bench_rule(b, &(struct rule){ .action = RULE_RESET }, &m);
			conn_new(&c, b, &p);
			conn_open(&c);
			bench_mark(b);
			frame_tcp(&f, &p, false,
				  &(struct segment){ .seq = c.snd,
						     .ack = c.rcv,
						     .flags = ACK | PSH,
						     .options = "\1\1\10\12\0\1\2\3\4\5\6\7",
						     .options_len = kind % 4 ? 12 : 0,
						     .data = wire.b,
						     .len = wire.len });
			assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
			assert_int_equal(verdict, XDP_PASS);
			expect_reset(&p);
			expect_count(b, RESET, 1);
			assert_int_equal(bench_rule_at(b, rule)->hits, 1);
			assert_int_equal(kern_rule_remove(b->k, rule, &m), 0);
		}
	assert_int_equal(bench_tallies(b), 0);
}

/* The piece that completes the hello is at the server's next byte: in order its own,
 * out of order the first. */
static void a_split_hello_is_reset_by_the_piece_that_completes_it(void **state)
{
	struct bench *b = bench_of(state);
	uint32_t verdict;

	hello_build(&msg, &(struct hello_spec){ .len = 900 });
	record_wrap(&wire, &msg);
	bench_rule(b, &(struct rule){ .action = RULE_RESET },
		   &(struct rule_match){ .stack = bench_keys(b, &msg).stack_key });
	for (int first = 0; first < 2; first++) {
		struct path p = path_v4(1, 10 + first);
		size_t at = first ? 0 : 500;
		struct conn c;

		conn_new(&c, b, &p);
		conn_open(&c);
		conn_send_at(&c, 500 - at, wire.b + 500 - at, first ? wire.len - 500 : 500);
		assert_int_equal(c.verdict, XDP_PASS);
		frame_tcp(&f, &p, false,
			  &(struct segment){ .seq = c.isn_c + 1 + at,
					     .ack = c.rcv,
					     .flags = ACK,
					     .data = wire.b + at,
					     .len = first ? 500 : wire.len - 500 });
		assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
		assert_int_equal(verdict, XDP_PASS);
		expect_reset(&p);
	}
}

/* Ethernet padding goes with the payload. */
static void padding_is_trimmed_too(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);
	uint32_t verdict;
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	bench_rule(b, &(struct rule){ .action = RULE_RESET },
		   &(struct rule_match){ .stack = bench_keys(b, &msg).stack_key });
	conn_new(&c, b, &p);
	conn_open(&c);
	frame_tcp(&f, &p, false,
		  &(struct segment){ .seq = c.snd,
				     .ack = c.rcv,
				     .flags = ACK,
				     .data = wire.b,
				     .len = wire.len });
	memset(f.b + f.len, 0xee, 77);
	f.len += 77;
	assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
	expect_reset(&p);
}

/* `reject` of a source: the SYN is answered to the client, from the server's side. */
static void a_rejected_syn_is_answered_with_a_reset(void **state)
{
	struct bench *b = bench_of(state);
	uint32_t verdict;

	bench_rule(b, &(struct rule){ .action = RULE_REJECT },
		   &(struct rule_match){ .src = cidr_of("198.51.100.0/24") });
	bench_rule(b, &(struct rule){ .action = RULE_REJECT },
		   &(struct rule_match){ .src = cidr_of("2001:db8::/32") });
	for (int kind = 0; kind < 6; kind++) {
		struct path p = kind & 1 ? path_v6(1, 9) : path_v4(1, 9);

		p.tags = kind / 2;
		frame_tcp(&f, &p, false,
			  &(struct segment){ .seq = 0xfffffff0,
					     .flags = SYN,
					     .options = "\2\4\5\264",
					     .options_len = 4,
					     .data = "abcde",
					     .len = kind % 5 });
		assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
		assert_int_equal(verdict, XDP_TX);
		assert_int_equal(out.len, f.l4 + 20);
		assert_memory_equal(out.b, f.b + 6, 6);
		assert_memory_equal(out.b + 6, f.b, 6);
		assert_memory_equal(out.b + 12, f.b + 12, f.l3 - 12);
		if (!(kind & 1))
			assert_int_equal(frame_ip_error(&out), 0);
		assert_int_equal(frame_tcp_error(&out, &p, true), 0);
		assert_int_equal(get16(out.b + f.l4), p.dport);
		assert_int_equal(get16(out.b + f.l4 + 2), p.sport);
		assert_int_equal(get32(out.b + f.l4 + 4), 0);
		assert_int_equal(get32(out.b + f.l4 + 8), 0xfffffff1 + kind % 5);
		assert_int_equal(out.b[f.l4 + 13], RST | ACK);
	}
}

/* Who sends a million SYNs from an address that is not his gets no million answers sent
 * there; what the server itself is told is not counted. */
static void answers_to_clients_are_only_so_many_a_second(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);
	uint32_t sent = 0;

	bench_rule(b, &(struct rule){ .action = RULE_REJECT },
		   &(struct rule_match){ .src = cidr_of("198.51.100.0/24") });
	b->c->reply_budget = 50;
	bench_mark(b);
	for (int second = 0; second < 2; second++) {
		bench_after(b, 1 * SEC);
		for (int i = 0; i < 400; i++) {
			uint32_t verdict;

			frame_tcp(&f, &p, false, &(struct segment){ .seq = i, .flags = SYN });
			assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
			assert_true(verdict == XDP_TX || verdict == XDP_DROP);
			sent += verdict == XDP_TX;
		}
		assert_int_equal(sent, 50 * (second + 1));
	}
	expect_count(b, REJECT, 100);
	expect_count(b, REPLY_CAPPED, 700);
	frame_tcp(&f, &p, false,
		  &(struct segment){ .seq = 1, .flags = ACK, .data = "x", .len = 1 });
	assert_int_equal(bench_in(b, &f), XDP_PASS); /* a RST for the server */
	expect_count(b, REJECT, 101);
}

static void a_reset_is_never_answered(void **state)
{
	static const uint8_t flags[] = { RST, RST | ACK, RST | SYN, RST | FIN | ACK };
	struct bench *b = bench_of(state);
	uint32_t verdict;

	for (int action = RULE_RESET; action <= RULE_REJECT; action++) {
		struct rule_match m = { .src = cidr_of("198.51.100.0/24") };
		uint32_t i = bench_rule(b, &(struct rule){ .action = action }, &m);

		for (size_t k = 0; k < sizeof(flags); k++) {
			struct path p = path_v4(1, 9);

			frame_tcp(&f, &p, false, &(struct segment){ .seq = 1, .flags = flags[k] });
			assert_int_equal(bench_in_out(b, &f, 0, &out, &verdict), 0);
			assert_int_equal(verdict, XDP_DROP);
		}
		assert_int_equal(kern_rule_remove(b->k, i, &m), 0);
	}
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(the_hello_of_each_path_becomes_a_whole_reset),
		BENCH(a_split_hello_is_reset_by_the_piece_that_completes_it),
		BENCH(padding_is_trimmed_too),
		BENCH(a_rejected_syn_is_answered_with_a_reset),
		BENCH(answers_to_clients_are_only_so_many_a_second),
		BENCH(a_reset_is_never_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
