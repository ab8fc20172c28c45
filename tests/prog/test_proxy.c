/* SPDX-License-Identifier: BSD-2-Clause */
/* A PROXY header in front of the hello: believed of `proxy_from` alone. Faults 36, 43. */
#include <stdlib.h>
#include <string.h>

#include "kern/internal.h"
#include "lib_bench.h"

static struct bytes msg, wire, stream;

/* The header's client and another one; the proxy is 198.51.100.1. */
#define V1_TEXT "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n"
static const uint8_t v2_head[] = {
	13, 10, 13,  10, 0,   13, 10,  'Q', 'U', 'I', 'T', 10, 0x21, 17,
	0,  12, 203, 0,  113, 7,  192, 0,   2,   1,   156, 64, 1,    187
};

static struct path victim(void)
{
	struct path p = path_v4(0, 40000);

	p.client.lo = ADDR_V4_MARK | 0xcb007107;
	return p;
}

static void believe(struct bench *b)
{
	struct cidr net = cidr_of("198.51.100.0/24");
	struct reason r = {};

	assert_int_equal(kern_proxies_set(b->k, &net, 1, &r), 0);
}

static void set_stream(const void *head, size_t len)
{
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	stream.len = 0;
	bytes_add(&stream, head, len);
	bytes_add(&stream, wire.b, wire.len);
}

/* The stream in segments that end at each of `cut`, the rest in one. */
static void send_cut(struct bench *b, struct conn *c, const struct path *p, const size_t *cut,
		     size_t n)
{
	size_t at = 0;

	conn_new(c, b, p);
	conn_open(c);
	bench_after(b, MSEC);
	for (size_t i = 0; i <= n; i++) {
		size_t end = i < n ? cut[i] : stream.len;

		conn_send(c, stream.b + at, end - at);
		at = end;
	}
}

static void is_the_victims(struct bench *b, uint64_t connections)
{
	struct path who = victim(), proxy = path_v4(1, 0);
	const struct tally_row *t = bench_tally(b, &who, 0);
	struct hello keys = bench_keys(b, &msg);

	bench_events(b);
	assert_int_equal(b->hello.e.result, HELLO_OK);
	assert_int_equal(b->hello.e.head.src.lo, who.client.lo);
	assert_int_equal(b->hello.e.head.sport, 40000);
	assert_int_equal(b->hello.e.hello.ja4_key, keys.ja4_key);
	assert_int_equal(b->hello.e.syn.present, 0);
	assert_int_equal(b->handshake.e.rtt_us, US_UNKNOWN);
	assert_int_equal(b->handshake.e.d1_us, US_UNKNOWN);
	assert_int_equal(b->handshake.e.d2_us, US_UNKNOWN);
	assert_int_equal(b->handshake.e.dstar_us, US_UNKNOWN);
	assert_non_null(t);
	assert_int_equal(t->stack, keys.stack_key);
	assert_int_equal(t->connections, connections);
	assert_int_equal(t->rtt_min, 0);
	assert_int_equal(t->tcp_key, 0);
	assert_int_equal(t->piggy, 0);
	for (int i = 0; i < D_BINS * D_BINS; i++)
		assert_int_equal(t->d1dstar[i], 0);
	for (int i = 0; i < DSTAR_KEPT; i++)
		assert_int_equal(t->dstar[i], DSTAR_NONE);
	assert_null(bench_tally(b, &proxy, 0));
	assert_int_equal(bench_tallies(b), 1);
}

static void the_source_is_the_headers_and_the_times_are_null(void **state)
{
	static const struct {
		const void *b;
		size_t len;
	} heads[] = { { V1_TEXT, sizeof(V1_TEXT) - 1 }, { v2_head, sizeof(v2_head) } };
	struct bench *b = bench_of(state);
	struct path p;
	struct conn c;
	uint64_t n = 0;

	believe(b);
	for (size_t i = 0; i < 2; i++) {
		const size_t len = heads[i].len;
		const size_t cuts[][3] = { { len, len + 50, 0 },
					   { 1, 2, len + 9 },
					   { 5, len, len + 1 },
					   { len - 1, len + 1, len + 100 } };

		set_stream(heads[i].b, len);
		p = path_v4(1, 1000 + 10 * i);
		send_cut(b, &c, &p, NULL, 0); /* in one segment */
		conn_finish(&c);
		is_the_victims(b, ++n);
		p.sport++;
		send_cut(b, &c, &p, &len, 1); /* the header alone */
		conn_finish(&c);
		is_the_victims(b, ++n);
		for (size_t k = 0; k < 4; k++) {
			p.sport++;
			send_cut(b, &c, &p, cuts[k], cuts[k][2] ? 3 : 2);
			conn_finish(&c);
			is_the_victims(b, ++n);
		}
	}
}

static void a_header_in_single_bytes_or_out_of_order_is_read(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 2000);
	struct conn c;

	believe(b);
	set_stream(V1_TEXT, sizeof(V1_TEXT) - 1);
	conn_new(&c, b, &p);
	conn_open(&c);
	for (size_t i = 0; i < stream.len; i++)
		conn_send(&c, stream.b + i, 1);
	conn_finish(&c);
	is_the_victims(b, 1);
	p.sport++;
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_send_at(&c, 20, stream.b + 20, stream.len - 20);
	conn_send_at(&c, 0, stream.b, 20);
	c.snd += stream.len;
	conn_finish(&c);
	is_the_victims(b, 2);
	/* Header alone, then both again in one segment. */
	p.sport++;
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_send(&c, stream.b, sizeof(V1_TEXT) - 1);
	conn_send_at(&c, 0, stream.b, stream.len);
	conn_send_at(&c, 0, stream.b, stream.len);
	c.snd = c.isn_c + 1 + stream.len;
	conn_finish(&c);
	is_the_victims(b, 3);
}

static void addresses_of_both_versions_are_read(void **state)
{
	static const struct {
		const char *head, *src; /* NULL: malformed; "": nobody's */
	} cases[] = {
		{ "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7" },
		{ "PROXY TCP6 2001:DB8:1:2:3:4:5:6 :: 65535 443\r\n", "2001:db8:1:2:3:4:5:6" },
		{ "PROXY TCP6 fe80:: ::1 1 2\r\n", "fe80::" },
		{ "PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", "203.0.113.9" },
		{ "PROXY TCP6 1:2:3:4:5:6:203.0.113.9 ::1 1 2\r\n", "1:2:3:4:5:6:cb00:7109" },
		{ "PROXY TCP4 255.0.0.1 1.2.3.4 1 2\r\n", "" },
		{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "1.2.3.4" },
		{ "PROXY UNKNOWN\r\n", "" },
		{ "PROXY UNKNOWN ff::1 junk\r\n", "" },
		{ "PROXY TCP4 256.2.3.4 5.6.7.8 1 2\r\n", NULL },
		{ "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", NULL },
		{ "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n", NULL },
		{ "PROXY TCP4 1..3.4 5.6.7.8 1 2\r\n", NULL },
		{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", NULL },
		{ "PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n", NULL },
		{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\n", NULL },
		{ "PROXY TCP4 ::1 ::1 1 2\r\n", NULL },
		{ "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", NULL },
		{ "PROXY TCP6 1::2::3 ::1 1 2\r\n", NULL },
		{ "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", NULL },
		{ "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", NULL },
		{ "PROXY TCP6 12345::1 ::1 1 2\r\n", NULL },
		{ "PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n", NULL },
		{ "PROXY TCP6 :1:2:3:4:5:6:7 ::1 1 2\r\n", NULL },
	};
	struct bench *b = bench_of(state);
	struct conn c;

	believe(b);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(1, 3000 + i);
		size_t had = bench_tallies(b);

		set_stream(cases[i].head, strlen(cases[i].head));
		send_cut(b, &c, &p, NULL, 0);
		conn_finish(&c);
		bench_events(b);
		if (b->hello.e.result != (cases[i].src ? HELLO_OK : HELLO_BAD_PROXY))
			fail_msg("%s: %u", cases[i].head, b->hello.e.result);
		if (!cases[i].src || !*cases[i].src) {
			assert_int_equal(bench_tallies(b), had);
			continue;
		}
		if (b->hello.e.head.src.hi != cidr_of(cases[i].src).net.hi ||
		    b->hello.e.head.src.lo != cidr_of(cases[i].src).net.lo)
			fail_msg("%s: another address", cases[i].head);
		assert_int_equal(bench_tallies(b), had + 1);
	}
}

static void version_two_has_local_unspec_and_tlvs(void **state)
{
	static const struct {
		uint8_t command, kind;
		uint16_t len;
		int tallied; /* 0: nobody's, 1: the header's, 2: the proxy's */
		enum hello_result r;
	} cases[] = {
		{ 0x21, 0x11, 12, 1, HELLO_OK },
		{ 0x21, 0x11, 300, 1, HELLO_OK },
		{ 0x20, 0, 0, 2, HELLO_OK },
		{ 0x20, 0x11, 12, 2, HELLO_OK },
		{ 0x21, 0, 0, 0, HELLO_OK },
		{ 0x21, 0x31, 216, 0, HELLO_OK },
		{ 0x21, 0x12, 12, 0, HELLO_OK },
		{ 0x21, 0x11, 11, 0, HELLO_BAD_PROXY },
		{ 0x21, 0x21, 12, 0, HELLO_BAD_PROXY },
		{ 0x22, 0x11, 12, 0, HELLO_BAD_PROXY },
		{ 0x31, 0x11, 12, 0, HELLO_BAD_PROXY },
		{ 0x21, 0x41, 12, 0, HELLO_BAD_PROXY },
		{ 0x21, 0x11, 5000, 0, HELLO_BAD_PROXY },
	};
	struct bench *b = bench_of(state);
	uint8_t head[5100] = {};
	struct conn c;

	believe(b);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(1, 4000 + i), who = victim(), proxy = path_v4(1, 0);
		const struct tally_row *t = bench_tally(b, &who, 0), *q = bench_tally(b, &proxy, 0);
		uint32_t hers = t ? t->connections : 0, its = q ? q->connections : 0;

		memcpy(head, v2_head, sizeof(v2_head));
		head[12] = cases[i].command;
		head[13] = cases[i].kind;
		put16(head + 14, cases[i].len);
		set_stream(head, 16 + cases[i].len);
		send_cut(b, &c, &p, NULL, 0);
		conn_finish(&c);
		bench_events(b);
		if (b->hello.e.result != cases[i].r)
			fail_msg("case %zu: %u", i, b->hello.e.result);
		t = bench_tally(b, &who, 0);
		q = bench_tally(b, &proxy, 0);
		assert_int_equal((t ? t->connections : 0) - hers, cases[i].tallied == 1);
		assert_int_equal((q ? q->connections : 0) - its, cases[i].tallied == 2);
	}
}

/* Fault 43. */
static void a_strangers_header_moves_nothing_of_the_victims(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v6(9, 5000), who = victim();
	struct rule drop = { .action = RULE_RESET, .canary = 10000 };
	struct rule_match m = { .src = cidr_of("203.0.113.7") };
	struct conn c;
	uint32_t at;

	believe(b);
	at = bench_rule(b, &drop, &m);
	set_stream(V1_TEXT, sizeof(V1_TEXT) - 1);
	send_cut(b, &c, &p, NULL, 0);
	assert_int_equal(c.verdict, XDP_PASS);
	conn_finish(&c);
	conn_send(&c, stream.b, 300);
	bench_events(b);
	assert_int_equal(b->hello.e.result, HELLO_UNEXPECTED_PROXY);
	p.sport++;
	send_cut(b, &c, &p, (size_t[]){ 3, sizeof(V1_TEXT) - 1 }, 2);
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.e.result, HELLO_UNEXPECTED_PROXY);
	assert_null(bench_tally(b, &who, 0));
	assert_int_equal(bench_tallies(b), 0);
	assert_int_equal(bench_rule_at(b, at)->hits, 0);
	assert_int_equal(kern_rule_unproved(b->k, at), 0);
	assert_int_equal(bench_rule_at(b, at)->would_hit, 0);
}

static void rules_on_the_headers_source_act_on_its_flow_alone(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 6000);
	struct rule drop = { .action = RULE_DROP, .canary = 10000 };
	struct rule_match m = { .src = cidr_of("203.0.113.7") };
	struct conn c, other;
	uint32_t at;

	believe(b);
	at = bench_rule(b, &drop, &m);
	set_stream("PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n", 38);
	send_cut(b, &other, &p, NULL, 0);
	assert_int_equal(other.verdict, XDP_PASS);
	p.sport++;
	set_stream(V1_TEXT, sizeof(V1_TEXT) - 1);
	send_cut(b, &c, &p, (size_t[]){ sizeof(V1_TEXT) - 1 }, 1);
	assert_int_equal(c.verdict, XDP_DROP);
	assert_int_equal(bench_rule_at(b, at)->hits, 1);
	conn_finish(&other);
	conn_send(&other, stream.b, 200);
	assert_int_equal(other.verdict, XDP_PASS);
}

/* The map is an LRU: what it forgets passes, moves nothing and is counted. */
static void a_forgotten_header_is_counted_and_nobodys(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 6500), who = victim();
	struct tally_row before;
	struct conn c;
	uint64_t key = 0;
	int fd = kern_map_fd(b->k, "proxied");

	believe(b);
	set_stream(V1_TEXT, sizeof(V1_TEXT) - 1);
	send_cut(b, &c, &p, NULL, 0);
	conn_finish(&c);
	conn_send(&c, stream.b, 200);
	expect_count(b, PROXIED_LOST, 0);
	before = *bench_tally(b, &who, 0);
	assert_int_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	conn_send(&c, stream.b, 200);
	assert_int_equal(c.verdict, XDP_PASS);
	expect_count(b, PROXIED_LOST, 1);
	assert_memory_equal(bench_tally(b, &who, 0), &before, sizeof(before));
	assert_int_equal(bench_tallies(b), 1);
}

static void without_proxy_from_nobody_is_believed(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 7000);
	struct reason r = {};
	struct conn c;

	believe(b);
	assert_int_equal(kern_proxies_set(b->k, NULL, 0, &r), 0);
	set_stream(v2_head, sizeof(v2_head));
	send_cut(b, &c, &p, NULL, 0);
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.e.result, HELLO_UNEXPECTED_PROXY);
	assert_int_equal(bench_tallies(b), 0);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(the_source_is_the_headers_and_the_times_are_null),
		BENCH(a_header_in_single_bytes_or_out_of_order_is_read),
		BENCH(addresses_of_both_versions_are_read),
		BENCH(version_two_has_local_unspec_and_tlvs),
		BENCH(a_strangers_header_moves_nothing_of_the_victims),
		BENCH(rules_on_the_headers_source_act_on_its_flow_alone),
		BENCH(a_forgotten_header_is_counted_and_nobodys),
		BENCH(without_proxy_from_nobody_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
