/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules on an address alone: from the first packet on, on the ports they are for, and
 * never on what keeps a link alive. Faults 5, 7, 11, 14, 72. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib_bench.h"

static struct bytes msg;
static struct frame f;

static const struct path *one(struct path p)
{
	static struct path kept;

	kept = p;
	return &kept;
}

static struct bench *prepared(void **state)
{
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){ .variant = 1 });
	return b;
}

static void removed(struct bench *b, uint32_t index, const struct rule_match *m)
{
	assert_int_equal(kern_rule_remove(b->k, index, m), 0);
}

/* Source rules speak at the SYN, without a hello; a tag that the network card took off
 * changes nothing (fault 10). */
static void source_rules_drop_the_first_packet(void **state)
{
	static const char *const nets[] = { "198.51.100.7", "198.51.100.0/25", "2001:db8:0:7::/64",
					    "2001:db8:0:7::1", "2001:db8::/48" };
	struct bench *b = prepared(state);

	for (size_t i = 0; i < 5; i++) {
		struct rule_match m = { .src = cidr_of(nets[i]) };
		uint32_t at = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
		struct conn c;
		bool v4 = addr_is_v4(m.src.net);

		conn_new(&c, b, v4 ? one(path_v4(7, 9)) : one(path_v6(7, 9)));
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_DROP);
		assert_int_equal(kern_rule_unproved(b->k, at), 1);
		assert_int_equal(bench_rule_at(b, at)->hits, 0);
		conn_new(&c, b, v4 ? one(path_v4(207, 9)) : one(path_v6(0, 9)));
		c.p.client.hi += v4 ? 0 : 0x10000;
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_PASS);
		removed(b, at, &m);
	}
}

static void existing_keep_lets_proved_connections_go_on(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v4(1, 5);

	for (int keep = 0; keep < 2; keep++) {
		const struct rule_match m = { .src = cidr_of("198.51.100.1") };
		struct conn c, later;
		uint32_t i;

		p.sport++;
		conn_whole(&c, b, &p, &msg);
		i = bench_rule(b,
			       &(struct rule){ .action = RULE_DROP,
					       .flags = keep ? RULE_EXISTING_KEEP : 0 },
			       &m);
		conn_send(&c, flight_two, 64);
		assert_int_equal(c.verdict, keep ? XDP_PASS : XDP_DROP);
		assert_int_equal(bench_rule_at(b, i)->hits, !keep);
		conn_new(&later, b, one(path_v4(1, 99)));
		conn_syn(&later);
		assert_int_equal(later.verdict, XDP_DROP);
		removed(b, i, &m);
	}
}

static void an_address_rule_is_for_protected_ports_unless_it_says_any(void **state)
{
	struct bench *b = prepared(state);
	const struct rule_match m = { .src = cidr_of("198.51.100.1") };
	struct path p = path_v4(1, 5);
	uint8_t udp[8] = { 0, 9, 0, 53, 0, 8 };

	p.dport = 22;
	for (int any = 0; any < 2; any++) {
		int want = any ? XDP_DROP : XDP_PASS;
		uint32_t i = bench_rule(b,
					&(struct rule){ .action = RULE_DROP,
							.flags = any ? RULE_PORTS_ANY : 0 },
					&m);

		frame_tcp(&f, &p, false, &(struct segment){ .flags = SYN });
		assert_int_equal(bench_in(b, &f), want);
		frame_ip(&f, &p, false, IPPROTO_UDP, udp, sizeof(udp));
		assert_int_equal(bench_in(b, &f), want);
		frame_ip(&f, &p, false, IPPROTO_ICMP, "\10\0\0\0", 4);
		assert_int_equal(bench_in(b, &f), want);
		/* 14: fragmentation needed */
		frame_ip(&f, &p, false, IPPROTO_ICMP, "\3\4\0\0", 4);
		assert_int_equal(bench_in(b, &f), XDP_PASS);
		removed(b, i, &m);
	}
}

/* 11, 14 */
static void neighbour_discovery_and_packet_too_big_are_never_touched(void **state)
{
	struct bench *b = prepared(state);
	struct path p = path_v6(1, 5);
	uint8_t icmp[8] = {};

	bench_rule(b, &(struct rule){ .action = RULE_DROP, .flags = RULE_PORTS_ANY },
		   &(struct rule_match){ .src = cidr_of("2001:db8::/32") });
	for (int type = 0; type < 256; type++) {
		bool kept = type == 2 || (type >= 133 && type <= 137);

		icmp[0] = type;
		frame_ip(&f, &p, false, IPPROTO_ICMPV6, icmp, sizeof(icmp));
		assert_int_equal(bench_in(b, &f), kept ? XDP_PASS : XDP_DROP);
	}
}

/* 5, 7: where ports cannot be read, an address rule still holds. */
static void an_address_rule_holds_behind_headers_that_we_do_not_follow(void **state)
{
	struct bench *b = prepared(state);
	struct path p4 = path_v4(1, 5), p6 = path_v6(1, 5);
	uint8_t chain[300] = {};

	bench_rule(b, &(struct rule){ .action = RULE_DROP },
		   &(struct rule_match){ .src = cidr_of("198.51.100.1") });
	bench_rule(b, &(struct rule){ .action = RULE_DROP },
		   &(struct rule_match){ .src = cidr_of("2001:db8:0:1::/64") });
	frame_tcp(&f, &p4, false, &(struct segment){ .flags = ACK, .data = msg.b, .len = 100 });
	for (int i = 0; i < 3; i++) {
		put16(f.b + f.l3 + 6, (const uint16_t[]){ 0x2000, 0x2001, 0x0009 }[i]);
		frame_fix_ip(&f);
		assert_int_equal(bench_in(b, &f), XDP_DROP);
	}
	/* Nine headers, and one that is longer than what we look at. */
	p6.first_extension = IPPROTO_DSTOPTS;
	p6.extensions = chain;
	p6.extensions_len = 72;
	for (int i = 0; i < 9; i++)
		chain[i * 8] = i == 8 ? IPPROTO_TCP : IPPROTO_DSTOPTS;
	frame_tcp(&f, &p6, false, &(struct segment){ .flags = SYN });
	assert_int_equal(bench_in(b, &f), XDP_DROP);
	memset(chain, 0, sizeof(chain));
	chain[0] = IPPROTO_TCP;
	chain[1] = 31;
	p6.extensions_len = 256;
	frame_tcp(&f, &p6, false, &(struct segment){ .flags = SYN });
	assert_int_equal(bench_in(b, &f), XDP_DROP);
}

static void two_rules_on_one_source_are_both_heard(void **state)
{
	struct bench *b = prepared(state);
	const struct rule_match m = { .src = cidr_of("198.51.100.1") };
	struct rule expired = { .action = RULE_DROP, .expires = (b->t - SEC) * 1000 };
	struct conn c;

	bench_rule(b, &(struct rule){ .action = RULE_COUNT }, &m);
	bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
	conn_new(&c, b, one(path_v4(1, 9)));
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_DROP);
	bench_rule(b, &expired, &m);
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_DROP);
	bench_rule(b, &(struct rule){ .action = RULE_PASS }, &m);
	conn_syn(&c);
	assert_int_equal(c.verdict, XDP_PASS);
}

/* The first of a chain ends before the others do, with nobody there to take it away. */
static void an_expired_rule_hides_no_other_on_its_source(void **state)
{
	struct bench *b = prepared(state);
	const char *const nets[] = { "198.51.100.1", "198.51.100.0/24" };

	for (int i = 0; i < 2; i++) {
		const struct rule_match m = { .src = cidr_of(nets[i]) };
		struct rule brief = { .action = RULE_DROP, .expires = (b->t + 2 * SEC) * 1000 };
		struct rule longer = { .action = RULE_DROP, .expires = (b->t + 9 * SEC) * 1000 };
		struct conn c;

		conn_new(&c, b, one(path_v4(i ? 7 : 1, 9)));
		bench_rule(b, &brief, &m);
		bench_rule(b, &brief, &m);
		bench_rule(b, &longer, &m);
		bench_after(b, 3 * SEC);
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_DROP);
		bench_after(b, 7 * SEC);
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_PASS);
	}
}

/* ---- the short way and the long way ------------------------------------------------- */

struct outcome {
	int verdict;
	uint64_t count[COUNTER_MAX];
	uint64_t hits, packets, bytes, would_hit, unproved;
};

/* Frames with two VLAN tags take the long way. What came of one, less the tags' bytes. */
static void taken(struct bench *b, uint32_t at, const struct path *p, bool tags,
		  const struct segment *s, struct outcome *out)
{
	const struct rule *r = bench_rule_at(b, at);
	struct path way = *p;

	way.tags = tags ? 2 : 0;
	if (s)
		frame_tcp(&f, &way, false, s);
	else
		frame_ip(&f, &way, false, IPPROTO_UDP, (uint8_t[8]){ 0, 9, 1, 187, 0, 8 }, 8);
	*out = (struct outcome){ .hits = -r->hits,
				 .packets = -r->hit_packets,
				 .bytes = -r->hit_bytes,
				 .would_hit = -r->would_hit,
				 .unproved = -kern_rule_unproved(b->k, at) };
	bench_mark(b);
	out->verdict = bench_in(b, &f);
	for (int i = 0; i < COUNTER_MAX; i++)
		out->count[i] = bench_count(b, i);
	out->hits += r->hits;
	out->packets += r->hit_packets;
	out->bytes += r->hit_bytes;
	out->would_hit += r->would_hit;
	out->unproved += kern_rule_unproved(b->k, at);
	out->bytes -= tags && out->packets ? 8 : 0;
	out->count[COUNTER_BYTES] -= tags ? 8 : 0;
	out->count[COUNTER_DROP_BYTES] -= tags && out->count[COUNTER_DROP] ? 8 : 0;
}

/* Every segment of a proved connection and of one that is not, and a datagram. */
static void ways_agree(struct bench *b, uint32_t rule, struct conn known[2])
{
	struct segment s[] = {
		{ .flags = SYN },
		{ .flags = ACK },
		{ .flags = ACK | PSH, .data = msg.b, .len = 64 },
		{ .flags = ACK | FIN },
		{ .flags = RST },
		{ .flags = SYN | ACK },
	};

	for (size_t i = 0; i <= 2 * sizeof(s) / sizeof(s[0]); i++) {
		bool udp = !i, is_known = i % 2;
		struct segment *at = udp ? NULL : &s[(i - 1) / 2];
		struct outcome way[2];

		for (int tags = 0; tags < 2; tags++) {
			struct path p = known[tags].p;

			p.sport += is_known ? 0 : 100;
			if (at) {
				at->seq = known[tags].snd;
				at->ack = known[tags].rcv;
			}
			taken(b, rule, &p, tags, at, &way[tags]);
		}
		assert_memory_equal(&way[0], &way[1], sizeof(way[0]));
	}
}

static void the_short_way_drops_as_the_long_way_does(void **state)
{
	struct bench *b = prepared(state);
	const struct cidr from[] = { cidr_of("198.51.100.1"), cidr_of("2001:db8:0:1::/64") };
	struct rule rules[] = {
		{ .action = RULE_DROP },
		{ .action = RULE_DROP, .expires = (b->t + 3600 * SEC) * 1000 },
		{ .action = RULE_DROP, .expires = (b->t - SEC) * 1000 },
		{ .action = RULE_DROP, .flags = RULE_EXISTING_KEEP },
		{ .action = RULE_DROP, .flags = RULE_SHADOW },
		{ .action = RULE_DROP, .holdout = 10000 },
		{ .action = RULE_DROP, .holdout = 5000 },
		{ .action = RULE_RESET },
		{ .action = RULE_REJECT },
		{ .action = RULE_COUNT },
		{ .action = RULE_PASS },
	};
	enum { NOTHING, ALLOWED, PANIC, AWAY, CAPTURED, DOUBTS };

	kern_ports(b->k)->udp[443 / 64] |= 1ULL << 443 % 64;
	for (size_t n = 0; n < 2 * DOUBTS * sizeof(rules) / sizeof(rules[0]); n++) {
		bool six = n & 1;
		int doubt = n / 2 % DOUBTS;
		struct rule_match m = { .src = from[six] };
		struct path p = six ? path_v6(1, 5) : path_v4(1, 5);
		struct conn known[2];
		uint32_t at;

		for (int i = 0; i < 2; i++) {
			p.sport = 1000 + 2 * n + i;
			conn_whole(&known[i], b, &p, &msg);
		}
		at = bench_rule(b, &rules[n / 2 / DOUBTS], &m);
		if (doubt == ALLOWED)
			assert_int_equal(kern_allow_put(b->k, &m.src, NULL), 0);
		b->c->panic = doubt == PANIC;
		b->c->max_unattended = doubt == AWAY ? 1 : 0;
		b->c->capture = doubt == CAPTURED ? CAPTURE_ANY : 0;
		b->c->capture_budget = 1000;
		ways_agree(b, at, known);
		b->c->panic = b->c->max_unattended = b->c->capture = 0;
		kern_allow_remove(b->k, &m.src);
		removed(b, at, &m);
	}
}

/* A few drops are counted in a byte of their CPU and carried over when it is full. */
static void each_drop_is_counted_however_many_there_are(void **state)
{
	static const char *const nets[] = { "198.51.100.7", "2001:db8:0:7::/64" };
	struct bench *b = prepared(state);

	for (size_t i = 0; i < 2; i++) {
		struct rule_match m = { .src = cidr_of(nets[i]) };
		uint32_t at = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
		struct conn c;

		conn_new(&c, b, i ? one(path_v6(7, 9)) : one(path_v4(7, 9)));
		for (uint64_t n = 1; n <= 600; n++) {
			conn_syn(&c);
			assert_int_equal(c.verdict, XDP_DROP);
			assert_int_equal(kern_rule_unproved(b->k, at), n);
		}
		removed(b, at, &m);
		at = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
		assert_int_equal(kern_rule_unproved(b->k, at), 0);
		removed(b, at, &m);
	}
}

/* A rule that is changed where it is, as by enforce, count and a new expiry, says so at the
 * next packet, and its neighbours in the table go on as they were. */
static void a_rule_that_is_changed_acts_as_changed(void **state)
{
	static const char *const nets[] = { "198.51.100.7", "2001:db8:0:7::/64" };
	struct bench *b = prepared(state);

	for (size_t i = 0; i < 2; i++) {
		struct rule_match m = { .src = cidr_of(nets[i]) };
		struct rule_match beside = { .src = cidr_of(i ? "2001:db8:0:8::/64"
							      : "198.51.100.8") };
		uint32_t at = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &m);
		uint32_t next = bench_rule(b, &(struct rule){ .action = RULE_DROP }, &beside);
		struct conn c, d;
		struct rule *r;
		size_t n;

		r = &kern_rules(b->k, &n)[at];
		conn_new(&c, b, i ? one(path_v6(7, 9)) : one(path_v4(7, 9)));
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_DROP);
		r->flags |= RULE_SHADOW;
		kern_rule_changed(b->k, at);
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_PASS);
		r->flags &= (uint8_t)~RULE_SHADOW;
		r->expires = (b->t + 5 * SEC) * 1000;
		kern_rule_changed(b->k, at);
		bench_after(b, 5 * SEC - 1000);
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_DROP);
		bench_after(b, 1000);
		conn_syn(&c);
		assert_int_equal(c.verdict, XDP_PASS);
		conn_new(&d, b, i ? one(path_v6(8, 9)) : one(path_v4(8, 9)));
		conn_syn(&d);
		assert_int_equal(d.verdict, XDP_DROP);
		removed(b, at, &m);
		removed(b, next, &beside);
	}
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(source_rules_drop_the_first_packet),
		BENCH(existing_keep_lets_proved_connections_go_on),
		BENCH(an_address_rule_is_for_protected_ports_unless_it_says_any),
		BENCH(neighbour_discovery_and_packet_too_big_are_never_touched),
		BENCH(an_address_rule_holds_behind_headers_that_we_do_not_follow),
		BENCH(two_rules_on_one_source_are_both_heard),
		BENCH(an_expired_rule_hides_no_other_on_its_source),
		BENCH(the_short_way_drops_as_the_long_way_does),
		BENCH(each_drop_is_counted_however_many_there_are),
		BENCH(a_rule_that_is_changed_acts_as_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
