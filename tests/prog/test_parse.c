/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of every shape: what is passed, what is counted, what is read. Faults 1-13,
 * 18, 21. Live parsing unless a connection needs the virtual clock. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lib_bench.h"

static struct frame f;
static struct bytes msg, wire;

/* One parse counter moves, and the frame passes. */
static enum parse_result parsed_as(struct bench *b, const struct frame *frame)
{
	enum parse_result r = PARSE_RESULT_MAX;

	bench_mark(b);
	assert_int_equal(bench_in(b, frame), XDP_PASS);
	expect_count(b, PACKETS, 1);
	expect_count(b, PASS, 1);
	for (unsigned int i = 0; i < PARSE_RESULT_MAX; i++) {
		uint64_t n = bench_count(b, COUNTER_PARSE_OK + i);

		if (!n || i == PARSE_BAD_OPTION)
			continue;
		assert_int_equal(n, 1);
		assert_int_equal(r, PARSE_RESULT_MAX);
		r = i;
	}
	return r;
}

static void hello_frame(const struct path *p)
{
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	frame_tcp(&f, p, false,
		  &(struct segment){ .seq = 1,
				     .ack = 1,
				     .flags = ACK,
				     .data = wire.b,
				     .len = wire.len,
				     .options = "\1\1\1",
				     .options_len = 3 });
}

static void set_ip_len(size_t len)
{
	if (f.b[f.l3] >> 4 == 4) {
		put16(f.b + f.l3 + 2, len - f.l3);
		frame_fix_ip(&f);
	} else {
		put16(f.b + f.l3 + 4, len - f.l3 - 40);
	}
}

/* 1, 2, 8: the IP header promises more than there is. */
static void every_prefix_of_a_hello_frame_passes_and_is_counted_by_reason(void **state)
{
	struct bench *b = bench_of(state);
	struct path paths[] = { path_v4(1, 9), path_v6(1, 9), path_v4(1, 9), path_v6(1, 9) };

	paths[2].tags = 2;
	paths[2].ip_options = 24;
	paths[3].tags = 1;
	paths[3].first_extension = IPPROTO_HOPOPTS;
	paths[3].extensions = (const uint8_t *)"\6\0\1\4\0\0\0\0";
	paths[3].extensions_len = 8;
	for (size_t i = 0; i < 4; i++) {
		size_t whole, ip;

		hello_frame(&paths[i]);
		whole = f.len;
		ip = f.l3 + (path_is_v4(&paths[i]) ? 20 : 40);
		for (f.len = 0; f.len <= whole; f.len++) {
			enum parse_result r = parsed_as(b, &f);

			if (f.len < ip)
				assert_int_equal(r, PARSE_SHORT);
			else
				assert_int_equal(r, f.len < whole ? PARSE_BAD_IP : PARSE_OK);
		}
	}
}

/* 1, 4, 8: the IP header tells the truth about what is there. */
static void every_honest_prefix_ends_in_the_header_that_it_cuts(void **state)
{
	struct bench *b = bench_of(state);
	struct path paths[] = { path_v4(1, 9), path_v6(1, 9), path_v6(1, 9) };

	paths[2].first_extension = IPPROTO_HOPOPTS;
	paths[2].extensions = (const uint8_t *)"\6\0\1\4\0\0\0\0";
	paths[2].extensions_len = 8;
	for (size_t i = 0; i < 3; i++) {
		size_t whole, ip;

		hello_frame(&paths[i]);
		whole = f.len;
		ip = f.l3 + (path_is_v4(&paths[i]) ? 20 : 40);
		for (f.len = ip; f.len <= whole; f.len++) {
			enum parse_result r;

			set_ip_len(f.len);
			r = parsed_as(b, &f);
			if (f.len < f.l4 + 20)
				assert_int_equal(r, PARSE_SHORT);
			else if (f.len < f.data)
				assert_int_equal(r, PARSE_BAD_TCP);
			else
				assert_int_equal(r, PARSE_OK);
		}
	}
}

/* 2 */
static void impossible_ipv4_lengths_are_bad_ip(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);

	for (int ihl = 0; ihl < 5; ihl++) {
		hello_frame(&p);
		f.b[f.l3] = 0x40 | ihl;
		assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
	}
	hello_frame(&p);
	f.b[f.l3] = 0x55; /* version 5 under type 0x0800 */
	assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
	for (size_t total = 0; total < 20; total++) {
		hello_frame(&p);
		put16(f.b + f.l3 + 2, total);
		assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
	}
	hello_frame(&p);
	f.b[f.l3] = 0x4f;
	f.len = f.l3 + 40; /* options past the end */
	put16(f.b + f.l3 + 2, 40);
	assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
	hello_frame(&p);
	put16(f.b + f.l3 + 2, f.len - f.l3 + 1);
	assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
}

/* 4 */
static void impossible_tcp_header_lengths_are_bad_tcp(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);

	for (int doff = 0; doff < 5; doff++) {
		hello_frame(&p);
		f.b[f.l4 + 12] = doff << 4;
		assert_int_equal(parsed_as(b, &f), PARSE_BAD_TCP);
	}
	hello_frame(&p);
	f.b[f.l4 + 12] = 15 << 4;
	f.len = f.l4 + 40;
	set_ip_len(f.len);
	assert_int_equal(parsed_as(b, &f), PARSE_BAD_TCP);
}

/* 7, 8: fixed list, at most 8, what is unknown ends the walk. */
static void ipv6_chains_are_walked_to_their_end_or_given_up_by_name(void **state)
{
	static const uint8_t kinds[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
					 IPPROTO_AH };
	struct bench *b = bench_of(state);
	struct path p = path_v6(1, 9);
	uint8_t chain[256];

	for (size_t kind = 0; kind < 4; kind++) {
		bool ah = kinds[kind] == IPPROTO_AH;
		size_t each = ah ? 24 : 8;

		for (size_t n = 0; n <= (ah ? 7 : 12); n++) {
			memset(chain, 0, sizeof(chain));
			for (size_t i = 0; i < n; i++) {
				chain[i * each] = i + 1 == n ? IPPROTO_TCP : kinds[kind];
				chain[i * each + 1] = ah ? 4 : 0;
			}
			p.first_extension = n ? kinds[kind] : 0;
			p.extensions = chain;
			p.extensions_len = n * each;
			hello_frame(&p);
			assert_int_equal(parsed_as(b, &f), n <= 8 ? PARSE_OK : PARSE_EXTENSION);
		}
	}
	/* 139: Host Identity Protocol, on nobody's list. */
	p.first_extension = 139;
	p.extensions = (const uint8_t *)"\6\0\0\0\0\0\0\0";
	p.extensions_len = 8;
	hello_frame(&p);
	assert_int_equal(parsed_as(b, &f), PARSE_NOT_TCP);
	p.first_extension = IPPROTO_NONE;
	hello_frame(&p);
	assert_int_equal(parsed_as(b, &f), PARSE_NOT_TCP);
}

/* 8 */
static void an_extension_header_longer_than_the_packet_is_bad(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v6(1, 9);
	uint8_t ext[8] = { IPPROTO_TCP, 255 };

	p.first_extension = IPPROTO_DSTOPTS;
	p.extensions = ext;
	p.extensions_len = 8;
	frame_ip(&f, &p, false, IPPROTO_TCP, "abcd", 4);
	assert_int_equal(parsed_as(b, &f), PARSE_BAD_IP);
	f.len = f.l3 + 44;
	put16(f.b + f.l3 + 4, 4);
	assert_int_equal(parsed_as(b, &f), PARSE_SHORT);
}

/* 5, 6 */
static void ports_of_fragments_are_never_read(void **state)
{
	static const struct {
		uint16_t v4, v6;
		enum parse_result r;
	} cases[] = {
		{ 0x2000, 0x0001, PARSE_FRAGMENT }, /* the first, with ports in it */
		{ 0x2005, 0x0029, PARSE_FRAGMENT },
		{ 0x0005, 0x0028, PARSE_FRAGMENT }, /* the last */
		{ 0x0000, 0x0000, PARSE_OK },       /* atomic */
		{ 0x4000, 0x0006, PARSE_OK },       /* reserved bits say nothing */
	};
	struct bench *b = bench_of(state);
	struct path p4 = path_v4(1, 9), p6 = path_v6(1, 9);
	uint8_t ext[8] = { IPPROTO_TCP };

	p6.first_extension = IPPROTO_FRAGMENT;
	p6.extensions = ext;
	p6.extensions_len = 8;
	for (size_t i = 0; i < 5; i++) {
		uint64_t before = bench_digest(b);

		hello_frame(&p4);
		put16(f.b + f.l3 + 6, cases[i].v4);
		frame_fix_ip(&f);
		assert_int_equal(parsed_as(b, &f), cases[i].r);
		put16(ext + 2, cases[i].v6);
		hello_frame(&p6);
		assert_int_equal(parsed_as(b, &f), cases[i].r);
		assert_int_equal(bench_digest(b), before);
	}
	/* A tiny first fragment: 8 bytes of TCP, ports and no more. */
	hello_frame(&p4);
	put16(f.b + f.l3 + 6, 0x2000);
	f.len = f.l4 + 8;
	set_ip_len(f.len);
	assert_int_equal(parsed_as(b, &f), PARSE_FRAGMENT);
}

/* 9 */
static void three_vlan_tags_and_tags_without_payload_pass(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);

	p.tags = 3;
	hello_frame(&p);
	assert_int_equal(parsed_as(b, &f), PARSE_TOO_MANY_TAGS);
	p.tags = 2;
	hello_frame(&p);
	for (f.len = 14; f.len < 22; f.len++)
		assert_int_equal(parsed_as(b, &f), PARSE_SHORT);
	hello_frame(&p);
	put16(f.b + 14, 0xe000); /* a priority tag: no VLAN, class 7 */
	assert_int_equal(parsed_as(b, &f), PARSE_OK);
}

/* 11: with a rule on everybody, on every port. */
static void what_is_not_ip_always_passes(void **state)
{
	static const uint16_t types[] = { 0x0806, 0x88cc, 0x8864, 0x8863, 0x8847,
					  0x8848, 0x0026, 0x9000, 0x0000, 0xffff };
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);

	bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_PORTS_ANY },
		   &(struct rule_match){ .src = cidr_of("::ffff:128.0.0.0/97") });
	for (size_t i = 0; i < sizeof(types) / 2; i++) {
		hello_frame(&p);
		put16(f.b + 12, types[i]);
		assert_int_equal(parsed_as(b, &f), PARSE_NOT_IP);
	}
	hello_frame(&p);
	assert_int_equal(bench_in(b, &f), XDP_DROP);
}

/* 11 */
static void other_protocols_are_not_ours(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_ICMP, IPPROTO_GRE, IPPROTO_ESP, IPPROTO_SCTP,
					     IPPROTO_IPIP, 112,         255 };
	struct bench *b = bench_of(state);
	struct path p4 = path_v4(1, 9), p6 = path_v6(1, 9);
	uint8_t udp[12] = { 0, 9, 1, 187, 0, 12 };

	for (size_t i = 0; i < sizeof(protocols); i++) {
		frame_ip(&f, &p4, false, protocols[i], "\0\11\1\273", 4);
		assert_int_equal(parsed_as(b, &f), PARSE_NOT_TCP);
		frame_ip(&f, &p6, false, protocols[i], "\0\11\1\273", 4);
		assert_int_equal(parsed_as(b, &f),
				 protocols[i] == IPPROTO_AH ? PARSE_SHORT : PARSE_NOT_TCP);
	}
	frame_ip(&f, &p4, false, IPPROTO_UDP, udp, sizeof(udp));
	assert_int_equal(parsed_as(b, &f), PARSE_NOT_OURS); /* UDP 443 is not protected */
	frame_ip(&f, &p4, false, IPPROTO_UDP, udp, 7);
	assert_int_equal(parsed_as(b, &f), PARSE_SHORT);
	p4.dport = 80;
	hello_frame(&p4);
	assert_int_equal(parsed_as(b, &f), PARSE_NOT_OURS);
}

/* ---- whole connections, on the virtual clock --------------------------------------- */

/* 3, 7, 9: headers of every length are stepped over. */
static void a_hello_is_named_behind_every_header_we_walk(void **state)
{
	struct bench *b = bench_of(state);
	uint8_t chain[8 * 8] = {};
	uint64_t stack;
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	stack = bench_keys(b, &msg).stack_key;
	for (int ihl = 5; ihl <= 15; ihl++)
		for (int tags = 0; tags <= 2; tags++) {
			struct path p = path_v4(ihl * 3 + tags, 9);

			p.ip_options = ihl * 4 - 20;
			p.tags = tags;
			conn_whole(&c, b, &p, &msg);
			assert_int_equal(c.verdict, XDP_PASS);
			assert_non_null(bench_tally(b, &p, stack));
			assert_int_equal(bench_tally(b, &p, stack)->bytes_in, msg.len + 5 + 64);
		}
	for (size_t n = 0; n <= 8; n++) {
		struct path p = path_v6(n, 9);

		for (size_t i = 0; i < n; i++)
			chain[i * 8] = i + 1 == n ? IPPROTO_TCP : IPPROTO_DSTOPTS;
		p.first_extension = n ? IPPROTO_DSTOPTS : 0;
		p.extensions = chain;
		p.extensions_len = n * 8;
		p.tags = n % 3;
		conn_whole(&c, b, &p, &msg);
		assert_non_null(bench_tally(b, &p, stack));
		assert_int_equal(bench_tally(b, &p, stack)->bytes_in, msg.len + 5 + 64);
	}
}

/* 2: Ethernet pads an ACK of 40 bytes to 60. */
static void padding_is_no_payload(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);
	const struct tally_row *t;
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	conn_new(&c, b, &p);
	conn_syn(&c);
	conn_synack(&c);
	bench_after(b, 20 * MSEC);
	frame_tcp(&f, &p, false, &(struct segment){ .seq = c.snd, .ack = c.rcv, .flags = ACK });
	memset(f.b + f.len, 0x16, 46); /* handshake records, had they been payload */
	f.len += 46;
	bench_in(b, &f);
	bench_after(b, 1 * MSEC);
	record_wrap(&wire, &msg);
	frame_tcp(&f, &p, false,
		  &(struct segment){ .seq = c.snd,
				     .ack = c.rcv,
				     .flags = ACK,
				     .data = wire.b,
				     .len = wire.len });
	f.len += 200;
	bench_in(b, &f);
	c.snd += wire.len;
	conn_finish(&c);
	t = bench_tally(b, &p, 0);
	assert_non_null(t);
	assert_int_equal(t->rtt_min, 200);
	assert_int_equal(t->bytes_in, wire.len + 64);
}

/* 12, 13 */
static void impossible_sources_are_passed_and_never_tallied(void **state)
{
	static const char *const bad[] = {
		"0.0.0.0",   "0.1.2.3",   "127.0.0.1",       "127.255.0.9", "224.0.0.1",
		"239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",   "::",
		"::1",       "ff02::1",   "2001:db8:ff::1"
	};
	struct bench *b = bench_of(state);
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	for (int all = 0; all < 2; all++) {
		b->c->emit_all = all; /* replay names them, and still keeps no row */
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct addr a;
			struct path p;

			assert_int_equal(addr_parse(bad[i], &a), 0);
			p = addr_is_v4(a) ? path_v4(1, 100 + i) : path_v6(1, 100 + i);
			p.client = a;
			bench_mark(b);
			conn_whole(&c, b, &p, &msg);
			assert_int_equal(c.verdict, XDP_PASS);
			expect_count(b, PARSE_BAD_SOURCE, 5);
			expect_count(b, PASS, 5);
		}
	}
	assert_int_equal(bench_tallies(b), 0);
}

/* 12: an IPv4 address inside an IPv6 one is no IPv4 source. */
static void transition_addresses_are_ipv6_sources_and_mapped_ones_none(void **state)
{
	static const char *const odd[] = { "2002:c633:6401::1", "2001:0:c633:6401::1",
					   "64:ff9b::c633:6401" };
	struct bench *b = bench_of(state);
	struct path p = path_v6(1, 9);
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(addr_parse(odd[i], &p.client), 0);
		conn_whole(&c, b, &p, &msg);
		assert_int_equal(bench_tally(b, &p, 0)->family, 6);
		assert_int_equal(bench_tally(b, &p, 0)->src, p.client.hi);
	}
	assert_int_equal(bench_tallies(b), 3);
	/* ::ffff:198.51.100.1 in an IPv6 header. */
	p = path_v6(1, 10);
	frame_tcp(&f, &p, false, &(struct segment){ .seq = 1, .flags = SYN });
	memset(f.b + f.l3 + 8, 0, 10);
	put16(f.b + f.l3 + 18, 0xffff);
	put32(f.b + f.l3 + 20, 0xc6336401);
	assert_int_equal(bench_in(b, &f), XDP_PASS);
	expect_count(b, PARSE_BAD_SOURCE, 1);
}

/* 4 */
static void odd_tcp_options_are_counted_and_cost_no_connection(void **state)
{
	static const struct {
		const char *b;
		size_t len;
		bool bad;
		uint16_t mss;
	} cases[] = {
		{ "\2\4\5\264", 4, false, 1460 },
		{ "\2\0\5\264", 4, true, 0 },              /* length 0 */
		{ "\2\1\5\264", 4, true, 0 },              /* length 1 */
		{ "\2\4\5\264\10\12\0\0", 8, true, 1460 }, /* past the end */
		{ "\2\4\5\264\1\1\1\10", 8, true, 1460 },  /* a kind, and no length */
		{ "\0\2\4\5", 4, false, 0 },               /* nothing behind the end counts */
		{ "\2\4\5\264\2\4\2\30", 8, false, 1460 }, /* twice: the first */
		{ "\2\3\5\1", 4, false, 0 },               /* a length that is not its own */
		{ "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1",
		  40, false, 0 },
		{ "\376\50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		  40, false, 0 },
	};
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(i, 9);
		struct handshake h;
		struct conn c;

		bench_mark(b);
		conn_new(&c, b, &p);
		conn_segment(&c, &(struct segment){ .seq = c.isn_c,
						    .flags = SYN,
						    .options = cases[i].b,
						    .options_len = cases[i].len });
		assert_int_equal(c.verdict, XDP_PASS);
		expect_count(b, PARSE_BAD_OPTION, cases[i].bad);
		assert_int_equal(bench_handshake(b, &p, &h), 0);
		assert_int_equal(h.mss, cases[i].mss);
		conn_synack(&c);
		conn_ack(&c);
		conn_hello(&c, &msg);
		conn_finish(&c);
		assert_non_null(bench_tally(b, &p, 0));
	}
}

/* 18: a driver may leave as little as the Ethernet header in the linear part. */
static void headers_in_fragments_are_read_all_the_same(void **state)
{
	struct bench *b = bench_of(state);
	uint8_t chain[64] = { IPPROTO_TCP, 7 };
	size_t n = 0;

	hello_build(&msg, &(struct hello_spec){ .len = 1800 });
	record_wrap(&wire, &msg);
	for (size_t linear = 14; linear <= 300; linear += linear < 140 ? 1 : 20, n++) {
		struct path p = n & 1 ? path_v4(n, 9) : path_v6(n, 9);
		uint32_t verdict;
		struct conn c;
		int err;

		p.tags = n % 3;
		if (!(n & 3)) {
			p.first_extension = IPPROTO_DSTOPTS;
			p.extensions = chain;
			p.extensions_len = 64;
		}
		conn_new(&c, b, &p);
		conn_open(&c);
		frame_tcp(&f, &p, false,
			  &(struct segment){ .seq = c.snd,
					     .ack = c.rcv,
					     .flags = ACK,
					     .data = wire.b,
					     .len = wire.len });
		err = bench_in_out(b, &f, linear, NULL, &verdict);
		if (err == -EINVAL) {
			print_message("skipped: test runs of this kernel are all linear\n");
			skip();
		}
		assert_int_equal(err, 0);
		assert_int_equal(verdict, XDP_PASS);
		c.snd += wire.len;
		conn_finish(&c);
		assert_non_null(bench_tally(b, &p, bench_keys(b, &msg).stack_key));
	}
}

/* 18, 21: jumbo frames and merged segments, beyond one page and beyond 16 bits of
 * anything but the IP length. */
static void frames_larger_than_a_page_are_named(void **state)
{
	static const size_t sizes[] = { 1500, 3000, 4200, 9000, 15000, 16379 };
	struct bench *b = bench_of(state);
	static uint8_t bulk[60000];
	struct conn c;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct path p = path_v4(i, 9);

		hello_build(&msg, &(struct hello_spec){ .len = sizes[i] });
		conn_whole(&c, b, &p, &msg);
		assert_non_null(bench_tally(b, &p, bench_keys(b, &msg).stack_key));
		conn_send(&c, bulk, sizeof(bulk));
		assert_int_equal(bench_tally(b, &p, 0)->bytes_in, sizes[i] + 5 + 64 + sizeof(bulk));
	}
}

#define LIVE(t)    cmocka_unit_test_setup_teardown(t, bench_setup_live, bench_teardown)
#define VIRTUAL(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(every_prefix_of_a_hello_frame_passes_and_is_counted_by_reason),
		LIVE(every_honest_prefix_ends_in_the_header_that_it_cuts),
		LIVE(impossible_ipv4_lengths_are_bad_ip),
		LIVE(impossible_tcp_header_lengths_are_bad_tcp),
		LIVE(ipv6_chains_are_walked_to_their_end_or_given_up_by_name),
		LIVE(an_extension_header_longer_than_the_packet_is_bad),
		LIVE(ports_of_fragments_are_never_read),
		LIVE(three_vlan_tags_and_tags_without_payload_pass),
		LIVE(what_is_not_ip_always_passes),
		LIVE(other_protocols_are_not_ours),
		VIRTUAL(a_hello_is_named_behind_every_header_we_walk),
		VIRTUAL(padding_is_no_payload),
		VIRTUAL(impossible_sources_are_passed_and_never_tallied),
		VIRTUAL(transition_addresses_are_ipv6_sources_and_mapped_ones_none),
		VIRTUAL(odd_tcp_options_are_counted_and_cost_no_connection),
		VIRTUAL(headers_in_fragments_are_read_all_the_same),
		VIRTUAL(frames_larger_than_a_page_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
