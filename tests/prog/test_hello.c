/* SPDX-License-Identifier: BSD-2-Clause */
/* ClientHellos in pieces: any split, order and repetition gives the keys that the
 * host's parser gives the whole message, or gives up by name. Faults 22-25, 28, 32,
 * 36. */
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "lib_bench.h"

static struct bytes msg, wire;
static uint16_t port = 1024;

struct piece {
	size_t off, len;
};

/* One connection of `host` with the wire's bytes in these pieces; the result. */
static enum hello_result sent_in(struct bench *b, struct path *p, const struct piece *pieces,
				 size_t n)
{
	size_t before, end = 0;
	struct conn c;

	p->sport = ++port;
	conn_new(&c, b, p);
	bench_events(b);
	before = b->hello.n;
	conn_open(&c);
	bench_after(b, 1 * MSEC);
	for (size_t i = 0; i < n; i++) {
		conn_send_at(&c, pieces[i].off, wire.b + pieces[i].off, pieces[i].len);
		assert_int_equal(c.verdict, XDP_PASS);
		if (pieces[i].off + pieces[i].len > end)
			end = pieces[i].off + pieces[i].len;
	}
	c.snd += end;
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.n, before + 1);
	return b->hello.e.result;
}

static void expect_named(struct bench *b, struct path *p, const struct piece *pieces, size_t n)
{
	struct hello h = bench_keys(b, &msg);

	assert_int_not_equal(h.ja4_key, 0);
	assert_int_equal(sent_in(b, p, pieces, n), HELLO_OK);
	assert_int_equal(b->hello.e.hello.ja4_key, h.ja4_key);
	assert_int_equal(b->hello.e.hello.stack_key, h.stack_key);
	assert_int_equal(b->hello.e.hello.order_hash, h.order_hash);
	assert_memory_equal(&b->hello.e.hello, &h, sizeof(h));
	assert_int_equal(b->hello.e.hello_len, msg.len);
	assert_non_null(bench_tally(b, p, h.stack_key));
}

/* The whole wire in one segment, and in two cut in the middle. */
static enum hello_result sent(struct bench *b, struct path *p)
{
	size_t half = wire.len / 2;
	enum hello_result r = sent_in(b, p, &(struct piece){ 0, wire.len }, 1);

	assert_int_equal(sent_in(b, p, (struct piece[]){ { 0, half }, { half, wire.len - half } },
				 2),
			 r);
	assert_int_equal(sent_in(b, p, (struct piece[]){ { half, wire.len - half }, { 0, half } },
				 2),
			 r);
	return r;
}

/* 22, 23 */
static void recorded_hellos_have_the_hosts_keys_whole_and_in_two_segments(void **state)
{
	struct bench *b = bench_of(state);
	struct bytes *all;
	size_t n = hellos_recorded(&all);

	if (!n) {
		print_message("skipped: no recorded hellos\n");
		skip();
	}
	for (size_t i = 0; i < n; i++) {
		struct path p = path_v4(i, 0);
		size_t cut;

		msg = all[i];
		record_wrap(&wire, &msg);
		cut = wire.len > 1460 ? 1448 : wire.len / 3;
		expect_named(b, &p, &(struct piece){ 0, wire.len }, 1);
		expect_named(b, &p, (struct piece[]){ { 0, cut }, { cut, wire.len - cut } }, 2);
		expect_named(b, &p, (struct piece[]){ { cut, wire.len - cut }, { 0, cut } }, 2);
		assert_int_equal(b->handshake.e.d1_us, US_UNKNOWN);
	}
	print_message("%zu recorded hellos\n", n);
	free(all);
}

/* 24 */
static void a_split_at_every_byte_gives_the_same_keys(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 0);

	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	for (size_t at = 1; at < wire.len; at++) {
		expect_named(b, &p, (struct piece[]){ { 0, at }, { at, wire.len - at } }, 2);
		expect_named(b, &p, (struct piece[]){ { at, wire.len - at }, { 0, at } }, 2);
	}
	assert_int_equal(bench_tally(b, &p, 0)->connections, 2 * (wire.len - 1));
	expect_count(b, HELLO_OK, 2 * (wire.len - 1));
}

/* 25: all orders of three segments, each of them once more at any place. */
static void orders_duplicates_and_retransmissions_give_the_same_keys(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct bench *b = bench_of(state);
	struct path p = path_v6(1, 0);
	size_t third;

	hello_build(&msg, &(struct hello_spec){ .len = 1900 });
	record_wrap(&wire, &msg);
	third = wire.len / 3;
	for (int o = 0; o < 6; o++) {
		struct piece in[3], with[4];

		for (int i = 0; i < 3; i++) {
			int k = orders[o][i];

			in[i] = (struct piece){ k * third, k == 2 ? wire.len - 2 * third : third };
		}
		expect_named(b, &p, in, 3);
		for (int again = 0; again < 3; again++)
			for (int at = again + 1; at <= 3; at++) {
				memcpy(with, in, at * sizeof(in[0]));
				with[at] = in[again];
				memcpy(with + at + 1, in + at, (3 - at) * sizeof(in[0]));
				expect_named(b, &p, with, 4);
			}
	}
	/* Overlaps with the same bytes, as a repacketised retransmission has them. */
	expect_named(b, &p, (struct piece[]){ { 0, 800 }, { 500, 900 }, { 200, wire.len - 200 } },
		     3);
	expect_named(b, &p,
		     (struct piece[]){ { 900, wire.len - 900 }, { 300, 700 }, { 0, wire.len } }, 3);
}

/* 26 */
static void overlaps_with_other_bytes_are_refused_by_name(void **state)
{
	static const struct piece cases[][3] = {
		{ { 0, 300 }, { 200, 200 }, { 400, 0 } }, /* the end of what is known */
		{ { 0, 300 }, { 0, 300 }, { 300, 0 } },   /* all of it */
		{ { 300, 200 }, { 100, 250 }, { 0, 0 } }, /* out of order */
		{ { 300, 200 }, { 450, 100 }, { 0, 0 } },
	};
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){ .len = 700 });
	for (size_t i = 0; i < 4; i++) {
		struct path p = path_v4(i, 0);
		struct conn c;

		record_wrap(&wire, &msg);
		p.sport = ++port;
		conn_new(&c, b, &p);
		conn_open(&c);
		conn_send_at(&c, cases[i][0].off, wire.b + cases[i][0].off, cases[i][0].len);
		for (size_t k = 0; k < wire.len; k++)
			wire.b[k] ^= 1;
		conn_send_at(&c, cases[i][1].off, wire.b + cases[i][1].off, cases[i][1].len);
		record_wrap(&wire, &msg);
		conn_send_at(&c, 0, wire.b, wire.len);
		c.snd += wire.len;
		conn_finish(&c);
		bench_events(b);
		assert_int_equal(b->hello.e.result, HELLO_OVERLAP);
		assert_int_equal(b->hello.e.hello.ja4_key, 0);
		assert_int_equal(bench_tally(b, &p, 0)->stack, 0);
		assert_int_equal(bench_tally(b, &p, 0)->connections, 1);
	}
	expect_count(b, HELLO_OVERLAP, 4);
}

/* 84: a short snaplen is said of hellos, not of what is none. */
static void a_cut_frame_is_a_truncated_hello_only_if_it_begins_as_one(void **state)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: example.test\r\nAccept: */*\r\n\r\n";
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	for (int tls = 0; tls < 2; tls++) {
		static struct frame f;
		struct path p = path_v4(tls, ++port);
		struct conn c;

		conn_new(&c, b, &p);
		conn_open(&c);
		frame_tcp(&f, &p, false,
			  &(struct segment){ .seq = c.snd,
					     .ack = c.rcv,
					     .flags = ACK,
					     .window = 1000,
					     .data = tls ? (const void *)wire.b : get,
					     .len = tls ? wire.len : sizeof(get) - 1 });
		f.len = f.data + 40;
		bench_in(b, &f);
		bench_events(b);
		assert_int_equal(b->hello.e.result, tls ? HELLO_TRUNCATED : HELLO_HTTP);
	}
}

/* 28 */
static void one_byte_segments_in_order_and_shuffled_give_the_same_keys(void **state)
{
	static struct piece in[1024];
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 0);
	uint64_t seed = 28;

	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	for (size_t i = 0; i < wire.len; i++)
		in[i] = (struct piece){ i, 1 };
	expect_named(b, &p, in, wire.len);
	for (int round = 0; round < 5; round++) {
		for (size_t i = wire.len - 1; i > 0; i--) {
			size_t k = draw(&seed) % (i + 1);
			struct piece swap = in[i];

			in[i] = in[k];
			in[k] = swap;
		}
		expect_named(b, &p, in, wire.len);
	}
}

/* 32 */
static void a_hello_over_one_to_eight_records_is_named_and_over_nine_is_not(void **state)
{
	struct bench *b = bench_of(state);
	size_t tiny[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 },
	       even[] = { 20, 20, 20, 20, 20, 20, 20, 20, 20 };
	size_t empty[] = { 0, 5, 0, 40, 0, 7, 0, 0 };

	hello_build(&msg, &(struct hello_spec){});
	for (size_t n = 1; n <= 9; n++) {
		struct path p = path_v4(n, 0);
		enum hello_result r = n <= 8 ? HELLO_OK : HELLO_TOO_MANY_RECORDS;

		wire.len = 0;
		records_wrap(&wire, &msg, even, n);
		assert_int_equal(sent(b, &p), r);
		wire.len = 0;
		records_wrap(&wire, &msg, tiny, n);
		assert_int_equal(sent(b, &p), r);
		if (n == 9) {
			assert_int_equal(bench_tally(b, &p, 0)->stack, 0);
			continue;
		}
		assert_int_equal(b->hello.e.records, n);
		assert_int_equal(bench_tally(b, &p, 0)->stack, bench_keys(b, &msg).stack_key);
		wire.len = 0;
		records_wrap(&wire, &msg, empty, n);
		assert_int_equal(sent(b, &p), HELLO_OK);
	}
}

/* 32 */
static void what_stands_before_the_hello_record_is_stepped_over_or_named(void **state)
{
	static const struct {
		const char *b;
		size_t len;
		enum hello_result r;
	} cases[] = {
		{ "\24\3\3\0\1\1", 6, HELLO_OK },   /* ChangeCipherSpec */
		{ "\25\3\1\0\2\1\0", 7, HELLO_OK }, /* a warning alert */
		{ "\24\3\3\0\1\1\24\3\3\0\1\1", 12, HELLO_OK },
		{ "\26\3\0\0\0", 5, HELLO_OK },  /* an empty record of SSL 3.0 */
		{ "\26\3\11\0\0", 5, HELLO_OK }, /* version 3.9 */
		{ "\26\2\0\0\0", 5, HELLO_NOT_TLS },
		{ "\26\376\375\0\0", 5, HELLO_DTLS },
		{ "\27\3\3\0\1\1", 6, HELLO_NOT_TLS },        /* application data */
		{ "\26\3\1\0\4\0\0\0\0", 9, HELLO_BAD_TYPE }, /* a HelloRequest */
		{ "\26\3\1\0\4\2\0\0\0", 9, HELLO_BAD_TYPE }, /* a ServerHello */
		{ "\26\3\1\377\377", 5, HELLO_NOT_TLS },      /* a record of 64 KiB */
	};
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(i, 0);

		wire.len = 0;
		bytes_add(&wire, cases[i].b, cases[i].len);
		records_wrap(&wire, &msg, NULL, 1);
		assert_int_equal(sent(b, &p), cases[i].r);
		assert_int_equal(bench_tally(b, &p, 0)->stack,
				 cases[i].r == HELLO_OK ? bench_keys(b, &msg).stack_key : 0);
	}
	/* Between two records of the hello nothing else may stand. */
	for (size_t i = 0; i < 2; i++) {
		struct path p = path_v4(100 + i, 0);

		wire.len = 0;
		bytes_add(&wire, "\26\3\1\0\50", 5);
		bytes_add(&wire, msg.b, 40);
		bytes_add(&wire, i ? "\24\3\3\0\1\1" : "\27\3\3\0\1\1", 6);
		bytes_add(&wire, msg.b + 40, msg.len - 40);
		assert_int_equal(sent(b, &p), HELLO_BAD_RECORD);
	}
}

/* 33 */
static void more_than_sixteen_kib_is_too_long(void **state)
{
	static struct piece in[32];
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 0);
	size_t n = 0, sizes[] = { 16000 };

	/* The limit is the stream's, so that no split and no record decides it. */
	hello_build(&msg, &(struct hello_spec){ .len = 16384 - 5 });
	record_wrap(&wire, &msg);
	expect_named(b, &p, &(struct piece){ 0, wire.len }, 1);
	expect_named(b, &p, (struct piece[]){ { 0, 9000 }, { 9000, wire.len - 9000 } }, 2);
	hello_build(&msg, &(struct hello_spec){ .len = 16384 - 4 });
	record_wrap(&wire, &msg);
	assert_int_equal(sent(b, &p), HELLO_TOO_LONG);
	hello_build(&msg, &(struct hello_spec){ .len = 16385 });
	wire.len = 0;
	records_wrap(&wire, &msg, sizes, 2);
	for (size_t at = 0; at < wire.len; at += 1400)
		in[n++] = (struct piece){ at, wire.len - at < 1400 ? wire.len - at : 1400 };
	assert_int_equal(sent_in(b, &p, in, n), HELLO_TOO_LONG);
	/* A handshake length of 16 MiB is known by its first bytes. */
	wire.len = 0;
	bytes_add(&wire, "\26\3\1\2\0\1\377\377\377", 9);
	wire.len = 100;
	assert_int_equal(sent_in(b, &p, &(struct piece){ 0, 100 }, 1), HELLO_TOO_LONG);
}

/* Fault 36: SSLv2, DTLS, HTTP, SSH, PROXY. SSLv3 and TLS 1.0-1.3 are in test_tls_names.c,
 * QUIC in e2e/21. Cut anywhere, they are the same. */
static void other_protocols_are_named_by_their_first_bytes(void **state)
{
	static const struct {
		const char *b;
		size_t len;
		enum hello_result r;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, HELLO_HTTP },
		{ "POST / HTTP/1.1\r\n\r\n", 19, HELLO_HTTP },
		{ "PUT / HTTP/1.1\r\n\r\n", 18, HELLO_HTTP },
		{ "HEAD / HTTP/1.1\r\n\r\n", 19, HELLO_HTTP },
		{ "DELETE / HTTP/1.1\r\n\r\n", 21, HELLO_HTTP },
		{ "OPTIONS * HTTP/1.1\r\n\r\n", 22, HELLO_HTTP },
		{ "PATCH / HTTP/1.1\r\n\r\n", 20, HELLO_HTTP },
		{ "TRACE / HTTP/1.1\r\n\r\n", 20, HELLO_HTTP },
		{ "CONNECT a:443 HTTP/1.1\r\n\r\n", 26, HELLO_HTTP },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, HELLO_HTTP },
		{ "SSH-2.0-OpenSSH_9.2\r\n", 21, HELLO_SSH },
		{ "STARTTLS\r\n", 10, HELLO_NOT_TLS },
		{ "HELO example.net\r\n", 18, HELLO_NOT_TLS },
		{ "get / http/1.1\r\n\r\n", 18, HELLO_NOT_TLS },
		{ "\26\376\375\0\0\0\0\0\0\0\0\0\4\1\0\0\0", 17, HELLO_DTLS },
		{ "\26\376\377\0\0\0\0\0\0\0\0\0\4\1\0\0\0", 17, HELLO_DTLS },
		{ "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 32, HELLO_UNEXPECTED_PROXY },
		{ "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\14", 16, HELLO_UNEXPECTED_PROXY },
		{ "\200\56\1\0\2\0\25\0\0\0\20", 11, HELLO_SSLV2 },
		{ "\0\0\0\0\0\0\0\0\0\0\0\0", 12, HELLO_NOT_TLS },
	};
	struct bench *b = bench_of(state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path p = path_v4(i, 0);

		wire.len = 0;
		bytes_add(&wire, cases[i].b, cases[i].len);
		assert_int_equal(sent_in(b, &p, &(struct piece){ 0, wire.len }, 1), cases[i].r);
		for (size_t at = 1; at < 12 && at < wire.len; at++)
			assert_int_equal(sent_in(b, &p,
						 (struct piece[]){ { 0, at },
								   { at, wire.len - at } },
						 2),
					 cases[i].r);
		/* One row without a name; a stranger's PROXY header is nobody's. */
		assert_int_equal(!bench_tally(b, &p, 0), cases[i].r == HELLO_UNEXPECTED_PROXY);
	}
}

/* Fault 36: over UDP a DTLS hello is counted by name; what else comes there is not. */
static void a_dtls_hello_over_udp_is_counted(void **state)
{
	static const struct {
		uint8_t first, major, message;
		uint64_t dtls;
	} cases[] = {
		{ 22, 0xfe, 1, 1 },  /* ClientHello */
		{ 22, 0xfe, 16, 0 }, /* ClientKeyExchange */
		{ 23, 0xfe, 1, 0 },   { 22, 3, 1, 0 },
		{ 0x56, 0xfe, 1, 0 }, /* QUIC with a short header */
	};
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 4000);
	static struct frame f;

	kern_ports(b->k)->udp[443 / 64] |= 1ULL << 443 % 64;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t udp[8 + 60] = { 0 };

		put16(udp, p.sport);
		put16(udp + 2, p.dport);
		put16(udp + 4, sizeof(udp));
		udp[8] = cases[i].first;
		udp[9] = cases[i].major;
		udp[10] = 0xfd;
		udp[8 + 13] = cases[i].message;
		frame_ip(&f, &p, false, 17, udp, sizeof(udp));
		bench_mark(b);
		assert_int_equal(bench_in(b, &f), XDP_PASS);
		expect_count(b, UDP, 1);
		expect_count(b, HELLO_DTLS, cases[i].dtls);
	}
}

/* ---- slots: bounded, and nobody takes another's ------------------------------------- */

/* A hello of which only the first 100 bytes come. */
static void begun(struct bench *b, struct conn *c, struct path *p)
{
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	p->sport = ++port;
	conn_new(c, b, p);
	conn_open(c);
	conn_send(c, wire.b, 100);
}

static void ended(struct conn *c)
{
	conn_send(c, wire.b + 100, wire.len - 100);
	conn_finish(c);
}

/* 28 */
static void a_source_has_four_slots_and_others_are_not_touched(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 0), other = path_v4(2, 0);
	struct conn c[5], o;

	for (int i = 0; i < 5; i++)
		begun(b, &c[i], &p);
	begun(b, &o, &other);
	expect_count(b, HELLO_SOURCE_SLOTS, 1);
	for (int i = 0; i < 5; i++)
		ended(&c[i]);
	ended(&o);
	expect_count(b, HELLO_OK, 5);
	/* The fifth is a connection all the same, without a name. */
	assert_int_equal(bench_tallies(b), 3);
	/* Its slots are free again. */
	begun(b, &c[0], &p);
	ended(&c[0]);
	expect_count(b, HELLO_OK, 6);
}

/* Two sources whose hash begins alike, so that their claims lie in one line. */
static void two_of_one_line(const struct bench *b, struct path two[2])
{
	static uint16_t seen[1 << 16]; /* source + 1 */

	memset(seen, 0, sizeof(seen));
	for (uint16_t i = 0; i < 4000; i++) {
		struct path p = path_v6(i, 0);
		uint16_t low = (uint16_t)key_pair(&b->c->secret, p.client.hi, 0x5c06);

		if (seen[low]) {
			two[0] = path_v6(seen[low] - 1, 0);
			two[1] = p;
			return;
		}
		seen[low] = i + 1;
	}
	fail_msg("no two of 4,000 sources share 16 bits");
}

/* 28: whoever shares a line takes nothing, and gets no more. */
static void sources_of_one_line_have_four_slots_each(void **state)
{
	struct bench *b = bench_of(state);
	struct path two[2];
	struct conn c;

	two_of_one_line(b, two);
	for (int i = 0; i < 16; i++)
		begun(b, &c, &two[i % 2]);
	expect_count(b, HELLO_SOURCE_SLOTS, 8);
	expect_count(b, HELLO_CONTENDED, 0);
}

/* 28 */
static void hellos_untouched_for_ten_seconds_give_way_and_are_counted(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 0);
	struct conn c[4], late;

	for (int i = 0; i < 4; i++)
		begun(b, &c[i], &p);
	bench_after(b, 9 * SEC);
	begun(b, &late, &p);
	expect_count(b, HELLO_SOURCE_SLOTS, 1);
	expect_count(b, HELLO_TIMEOUT, 0);
	bench_after(b, 2 * SEC);
	for (int i = 0; i < 400; i++) { /* each takes one of 64 slots */
		begun(b, &late, &p);
		ended(&late);
	}
	expect_count(b, HELLO_SOURCE_SLOTS, 1);
	expect_count(b, HELLO_OK, 400);
	assert_in_range(bench_count(b, COUNTER_HELLO_TIMEOUT), 1, 4);
	/* What comes too late names nothing. */
	conn_send(&c[0], wire.b + 100, wire.len - 100);
	expect_count(b, HELLO_OK, 400);
}

/* Fault 28: 2,000 hellos that never end, from 50 sources, and 1,000 others in two pieces. */
static void drips_from_fifty_sources_do_not_starve_the_others(void **state)
{
	struct bench *b = bench_of(state);
	struct path p;
	struct conn c;

	bench_free(b);
	*state = b = bench_open(&(struct bench_sizes){
		.reassembly = 1024, .handshakes = 16384, .tallies = 8192, .flows = 8192 });
	for (int i = 0; i < 2000; i++) {
		p = path_v4(i % 50, 0);
		begun(b, &c, &p);
	}
	bench_mark(b);
	for (int i = 0; i < 1000; i++) {
		p = path_v6(i, 0);
		begun(b, &c, &p);
		ended(&c);
	}
	print_message("%u of 1000 named\n", (unsigned int)bench_count(b, COUNTER_HELLO_OK));
	assert_true(bench_count(b, COUNTER_HELLO_OK) >= 990);
	assert_int_equal(bench_count(b, COUNTER_HELLO_OK) + bench_count(b, COUNTER_HELLO_CONTENDED),
			 1000);
}

/* Fault 28: 100,000 one-byte segments of 50 sources that drip on and on, while 1,000
 * others send theirs in two pieces. */
static void a_hundred_thousand_one_byte_segments_starve_nobody(void **state)
{
	static struct conn drip[500];
	struct bench *b = bench_of(state);
	struct path p;
	struct conn c;

	bench_free(b);
	*state = b = bench_open(&(struct bench_sizes){
		.reassembly = 1024, .handshakes = 16384, .tallies = 8192, .flows = 8192 });
	hello_build(&msg, &(struct hello_spec){});
	record_wrap(&wire, &msg);
	assert_true(wire.len > 200);
	for (int i = 0; i < 500; i++) {
		p = path_v4(i % 50, 0);
		p.sport = ++port;
		conn_new(&drip[i], b, &p);
		conn_open(&drip[i]);
	}
	bench_mark(b);
	for (int i = 0; i < 100000; i++) {
		conn_send(&drip[i % 500], wire.b + i / 500, 1);
		if (i % 100)
			continue;
		p = path_v6(i / 100, 0);
		begun(b, &c, &p);
		ended(&c);
	}
	print_message("%u of 1000 named\n", (unsigned int)bench_count(b, COUNTER_HELLO_OK));
	assert_true(bench_count(b, COUNTER_HELLO_OK) >= 990);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(recorded_hellos_have_the_hosts_keys_whole_and_in_two_segments),
		BENCH(a_split_at_every_byte_gives_the_same_keys),
		BENCH(orders_duplicates_and_retransmissions_give_the_same_keys),
		BENCH(overlaps_with_other_bytes_are_refused_by_name),
		BENCH(a_cut_frame_is_a_truncated_hello_only_if_it_begins_as_one),
		BENCH(one_byte_segments_in_order_and_shuffled_give_the_same_keys),
		BENCH(a_hello_over_one_to_eight_records_is_named_and_over_nine_is_not),
		BENCH(what_stands_before_the_hello_record_is_stepped_over_or_named),
		BENCH(more_than_sixteen_kib_is_too_long),
		BENCH(other_protocols_are_named_by_their_first_bytes),
		BENCH(a_dtls_hello_over_udp_is_counted),
		BENCH(a_source_has_four_slots_and_others_are_not_touched),
		BENCH(sources_of_one_line_have_four_slots_each),
		BENCH(hellos_untouched_for_ten_seconds_give_way_and_are_counted),
		BENCH(drips_from_fifty_sources_do_not_starve_the_others),
		BENCH(a_hundred_thousand_one_byte_segments_starve_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
