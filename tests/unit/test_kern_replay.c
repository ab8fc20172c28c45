/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a replay that need no kernel: clock, direction, joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "kern/join.h"
#include "kern/replay.h"
#include "kern/replay_clock.h"
#include "kern/unfinished.h"

#define S 1000000000ULL
#define T 1700000000000000000ULL

/* ---- clock ---- */

static void virtual_time_starts_small_and_reads_back_exactly(void **state)
{
	static struct replay_clock c;
	uint64_t v = replay_clock_at(&c, T + 123);

	(void)state;
	assert_in_range(v, 3600 * S, 7200 * S);
	assert_int_equal((T + 123 - v) % (3600 * S), 0);
	assert_int_equal(replay_clock_real(&c, v), T + 123);
	assert_int_equal(replay_clock_at(&c, T + 5 * S) - v, 5 * S - 123);
}

/* Synthetic captures begin at zero. */
static void a_capture_that_starts_in_1970_works(void **state)
{
	static struct replay_clock c;
	uint64_t v = replay_clock_at(&c, 0);

	(void)state;
	assert_int_equal(v, 3600 * S);
	assert_int_equal(replay_clock_real(&c, v), 0);
	v = replay_clock_at(&c, T); /* and then somebody set the clock */
	assert_int_equal(v, 3660 * S);
	assert_int_equal(replay_clock_real(&c, v + 7), T + 7);
	assert_int_equal(replay_clock_real(&c, 3600 * S + 1), 1);
}

static void a_small_step_back_stands_still(void **state)
{
	static struct replay_clock c;
	uint64_t v = replay_clock_at(&c, T);

	(void)state;
	assert_int_equal(replay_clock_at(&c, T - S), v);
	assert_int_equal(replay_clock_at(&c, T - 1), v);
	assert_int_equal(c.n, 1);
	assert_int_equal(replay_clock_at(&c, T + 1), v + 1);
}

/* Captures appended to each other out of order. */
static void a_large_step_back_begins_another_epoch(void **state)
{
	static struct replay_clock c;
	uint64_t a = replay_clock_at(&c, T), b = replay_clock_at(&c, T - 100 * S);

	(void)state;
	assert_int_equal(b, a + 60 * S);
	assert_int_equal(replay_clock_real(&c, a), T);
	assert_int_equal(replay_clock_real(&c, b), T - 100 * S);
	assert_int_equal(replay_clock_at(&c, T - 99 * S), b + S);
}

static void hostile_times_never_turn_the_clock_back(void **state)
{
	static struct replay_clock c;
	uint64_t last = 0, v, x = 88172645463325252ULL;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v = replay_clock_at(&c, x >> 3);
		assert_true(v >= last);
		last = v;
	}
	assert_int_equal(c.n, REPLAY_EPOCHS_MAX);
}

/* ---- direction ---- */

static struct ports ports;

static void protect(uint16_t port)
{
	ports.tcp[port / 64] |= 1ULL << port % 64;
	ports.udp[port / 64] |= 1ULL << port % 64;
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

static size_t frame(uint8_t *f, bool six, int tags, uint8_t proto, uint16_t sport, uint16_t dport,
		    uint8_t flags)
{
	size_t at = 12, ip, len;

	memset(f, 0, 128);
	while (tags--) {
		f[at] = 0x81;
		at += 4;
	}
	f[at++] = six ? 0x86 : 0x08;
	f[at++] = six ? 0xdd : 0x00;
	ip = at;
	if (six) {
		f[at] = 0x60;
		f[at + 6] = 0; /* hop-by-hop, 8 bytes */
		f[at + 40] = proto;
		at += 48;
	} else {
		f[at] = 0x46; /* one option word */
		f[at + 9] = proto;
		at += 24;
	}
	f[at] = sport >> 8;
	f[at + 1] = sport;
	f[at + 2] = dport >> 8;
	f[at + 3] = dport;
	f[at + (proto == 6 ? 13 : 8)] = flags; /* or a datagram's one byte */
	len = at + (proto == 6 ? 20 : 9);
	put16(f + ip + (six ? 4 : 2), len - ip - (six ? 40 : 0));
	return len;
}

static void frames_go_to_the_program_that_would_see_them(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t sport, dport;
		uint8_t flags;
		int way;
	} cases[] = {
		{ 6, 50000, 443, 0x02, REPLAY_INGRESS },
		{ 6, 50000, 443, 0x12, REPLAY_INGRESS },
		{ 6, 443, 50000, 0x12, REPLAY_EGRESS },
		{ 6, 443, 50000, 0x52, REPLAY_EGRESS }, /* with ECE */
		{ 6, 443, 50000, 0x10, 0 },
		{ 6, 443, 50000, 0x02, 0 },
		{ 6, 443, 443, 0x12, REPLAY_EGRESS | REPLAY_INGRESS },
		{ 6, 443, 443, 0x10, REPLAY_INGRESS },
		{ 6, 50000, 80, 0x02, REPLAY_INGRESS }, /* counted as not ours */
		{ 17, 50000, 443, 0xc0, REPLAY_INGRESS },
		{ 17, 443, 50000, 0xc0, REPLAY_EGRESS },
		{ 17, 443, 50000, 0x40, 0 },
		{ 1, 443, 50000, 0, REPLAY_INGRESS },
	};
	uint8_t f[128];
	struct segment s;

	(void)state;
	memset(&ports, 0, sizeof(ports));
	protect(443);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int six = 0; six < 2; six++)
			for (int tags = 0; tags < 3; tags++) {
				s = segment_read(f,
						 frame(f, six, tags, cases[i].proto, cases[i].sport,
						       cases[i].dport, cases[i].flags));
				assert_int_equal(replay_direction(&ports, &s), cases[i].way);
			}
}

static void unreadable_frames_go_in_and_nothing_is_read_past_the_end(void **state)
{
	uint8_t whole[128];
	struct segment s;
	size_t len;

	(void)state;
	memset(&ports, 0, sizeof(ports));
	protect(443);
	for (int six = 0; six < 2; six++) {
		len = frame(whole, six, 2, 6, 443, 50000, 0x10);
		for (size_t n = 0; n < len; n++) {
			uint8_t *cut = malloc(n ? n : 1); /* ASan sees a read past it */

			memcpy(cut, whole, n);
			s = segment_read(cut, n);
			assert_int_equal(s.proto, 0);
			assert_int_equal(replay_direction(&ports, &s), REPLAY_INGRESS);
			free(cut);
		}
	}
	len = frame(whole, false, 0, 6, 443, 50000, 0x10);
	whole[14 + 7] = 1; /* a later fragment has no ports */
	s = segment_read(whole, len);
	assert_int_equal(s.proto, 0);
}

/* ---- what the capture leaves open ---- */

/* A client segment with `payload` bytes by its IP header; the first of them are there. */
static struct segment client(uint8_t *f, bool six, uint16_t sport, uint32_t seq, uint8_t flags,
			     uint16_t payload)
{
	size_t len = frame(f, six, 1, 6, sport, 443, flags);
	uint8_t *tcp = f + len - 20, *ip = f + 18;

	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	tcp[12] = 0x50;
	tcp[20] = 22;
	tcp[25] = 1;
	put16(ip + (six ? 4 : 2), len - 18 - (six ? 40 : 0) + payload);
	return segment_read(f, len + 6);
}

/* Captured above segmentation offload: as the programs do, the frame is believed. */
static void a_segment_of_no_declared_length_fills_its_frame(void **state)
{
	(void)state;
	for (int six = 0; six < 2; six++) {
		uint8_t f[256] = {};
		size_t len = frame(f, six, 1, 6, 50000, 443, 0x10), ip = 18;
		struct segment s;

		f[len - 8] = 5 << 4;
		put16(f + ip + (six ? 4 : 2), 0);
		f[len] = 22;
		s = segment_read(f, len + 100);
		assert_int_equal(s.payload, 100);
		assert_int_equal(s.first, 22);
	}
}

static void a_segment_is_read_by_its_ip_header(void **state)
{
	uint8_t f[128];

	(void)state;
	for (int six = 0; six < 2; six++) {
		struct segment s = client(f, six, 50000, 0xfffffff0, 0x18, 1200);

		assert_int_equal(s.payload, 1200);
		assert_int_equal(s.seq, 0xfffffff0);
		assert_int_equal(s.first, 22);
		assert_int_equal(s.message, 1);
		assert_int_equal(s.six, six);
		assert_int_equal(client(f, six, 50000, 1, 0x10, 0).first, 0); /* padding */
	}
}

static void an_open_connection_is_ended_behind_its_last_byte(void **state)
{
	struct unfinished u;
	uint8_t f[128], out[SEGMENT_HEAD];
	struct segment s;
	size_t len;

	(void)state;
	for (int six = 0; six < 2; six++) {
		unfinished_init(&u);
		s = client(f, six, 50000, 0xfffffff0, 0x02, 0);
		assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
		s = client(f, six, 50000, 0xfffffff1, 0x18, 100);
		assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
		s = client(f, six, 50000, 0xfffffff1, 0x18, 50); /* a retransmission */
		assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
		len = unfinished_take(&u, out);
		s = segment_read(out, len);
		assert_int_equal(s.flags, 0x04);
		assert_int_equal(s.seq, 0xfffffff1 + 100);
		assert_int_equal(s.payload, 0);
		assert_int_equal(s.key.sport, 50000);
		assert_int_equal(unfinished_take(&u, out), 0);
		unfinished_free(&u);
	}
}

static void a_told_end_and_data_midstream_leave_nothing_open(void **state)
{
	struct event_head e = { .type = EVENT_HANDSHAKE };
	uint8_t f[128], out[SEGMENT_HEAD];
	struct unfinished u;
	struct segment s;

	(void)state;
	unfinished_init(&u);
	s = client(f, false, 50000, 1, 0x02, 0);
	assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
	e.src = s.key.src;
	e.dst = s.key.dst;
	e.sport = s.key.sport;
	e.dport = s.key.dport;
	unfinished_end(&u, &e);
	s = client(f, false, 50001, 1, 0x18, 100);
	s.message = 16; /* a ClientKeyExchange */
	assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
	assert_int_equal(unfinished_take(&u, out), 0);
	unfinished_free(&u);
}

/* A SYN flood in a capture: bounded, and the old make room for the new. */
static void open_connections_are_bounded(void **state)
{
	uint8_t f[128], out[SEGMENT_HEAD];
	struct unfinished u;
	struct segment s;

	(void)state;
	unfinished_init(&u);
	s = client(f, false, 0, 1, 0x02, 0);
	for (uint32_t i = 0; i < UNFINISHED_MAX + 10; i++) {
		s.key.src = addr_v4(i);
		assert_int_equal(unfinished_segment(&u, &s, f, S), 0);
	}
	assert_int_equal(u.open.n, UNFINISHED_MAX);
	assert_int_equal(unfinished_segment(&u, &s, f, 12 * S), 0);
	assert_int_equal(u.open.n, 1);
	assert_true(unfinished_take(&u, out));
	unfinished_free(&u);
}

/* ---- joining ---- */

static char told[256];

static void tell(void *ctx, const struct event_hello *h, const struct event_handshake *hs)
{
	char *end = told + strlen(told);

	snprintf(end, sizeof(told) - (end - told), "%llu%s ", (unsigned long long)h->head.conn,
		 hs ? "+" : "");
}

static void hello(struct join *j, uint64_t conn, uint64_t time)
{
	struct event_hello h = {
		.head = { .type = EVENT_HELLO, .len = sizeof(h), .conn = conn, .time = time }
	};

	assert_int_equal(join_event(j, &h.head), 0);
}

static void handshake(struct join *j, uint64_t conn)
{
	struct event_handshake h = {
		.head = { .type = EVENT_HANDSHAKE, .len = sizeof(h), .conn = conn }
	};

	assert_int_equal(join_event(j, &h.head), 0);
}

static void hellos_come_out_in_order_of_time_with_their_handshakes(void **state)
{
	struct join *j = join_new(tell, NULL);

	(void)state;
	told[0] = '\0';
	hello(j, 1, 1 * S);
	hello(j, 2, 2 * S);
	handshake(j, 2);
	handshake(j, 7); /* no hello: nothing to say */
	join_advance(j, 3 * S);
	assert_string_equal(told, ""); /* 2 waits behind 1 */
	handshake(j, 1);
	join_advance(j, 3 * S);
	assert_string_equal(told, "1+ 2+ ");
	join_free(j);
}

static void a_hello_waits_ten_seconds_or_to_the_end(void **state)
{
	struct join *j = join_new(tell, NULL);

	(void)state;
	told[0] = '\0';
	hello(j, 1, 1 * S);
	hello(j, 2, 2 * S);
	join_advance(j, 11 * S);
	assert_string_equal(told, "");
	join_advance(j, 11 * S + 1);
	assert_string_equal(told, "1 ");
	handshake(j, 1); /* too late */
	join_finish(j);
	assert_string_equal(told, "1 2 ");
	join_free(j);
}

static void both_hellos_around_a_retry_request_get_the_handshake(void **state)
{
	struct join *j = join_new(tell, NULL);

	(void)state;
	told[0] = '\0';
	hello(j, 1, 1 * S);
	hello(j, 1, 2 * S);
	handshake(j, 1);
	hello(j, 1, 3 * S); /* another connection with the same number */
	join_finish(j);
	assert_string_equal(told, "1+ 1+ 1 ");
	join_free(j);
}

static void a_hello_given_up_late_is_told_where_its_time_is(void **state)
{
	struct join *j = join_new(tell, NULL);

	(void)state;
	told[0] = '\0';
	hello(j, 2, 2 * S);
	hello(j, 3, 3 * S);
	hello(j, 1, 1 * S);
	hello(j, 4, 2 * S);
	join_finish(j);
	assert_string_equal(told, "1 2 4 3 ");
	join_free(j);
}

static size_t n_told;

static void tally_up(void *ctx, const struct event_hello *h, const struct event_handshake *hs)
{
	n_told++;
}

static void no_more_than_the_bound_wait(void **state)
{
	struct join *j = join_new(tally_up, NULL);

	(void)state;
	n_told = 0;
	for (uint64_t i = 0; i < JOIN_MAX + 5; i++) {
		hello(j, i / 2, S);
		join_advance(j, S);
	}
	assert_int_equal(n_told, 5);
	for (uint64_t i = 0; i < 10; i++)
		handshake(j, i); /* some are gone; none may be touched */
	join_free(j);
}

static void malformed_events_are_ignored(void **state)
{
	struct join *j = join_new(tell, NULL);
	struct event_hello h = { .head = { .type = EVENT_HELLO, .len = sizeof(h) },
				 .hello_len = 1 };

	(void)state;
	told[0] = '\0';
	assert_int_equal(join_event(j, &h.head), 0);
	h.head.len = sizeof(h.head);
	assert_int_equal(join_event(j, &h.head), 0);
	h.head.type = EVENT_HANDSHAKE;
	assert_int_equal(join_event(j, &h.head), 0);
	h.head.type = 99;
	assert_int_equal(join_event(j, &h.head), 0);
	join_finish(j);
	assert_string_equal(told, "");
	join_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(virtual_time_starts_small_and_reads_back_exactly),
		cmocka_unit_test(a_capture_that_starts_in_1970_works),
		cmocka_unit_test(a_small_step_back_stands_still),
		cmocka_unit_test(a_large_step_back_begins_another_epoch),
		cmocka_unit_test(hostile_times_never_turn_the_clock_back),
		cmocka_unit_test(frames_go_to_the_program_that_would_see_them),
		cmocka_unit_test(unreadable_frames_go_in_and_nothing_is_read_past_the_end),
		cmocka_unit_test(a_segment_is_read_by_its_ip_header),
		cmocka_unit_test(a_segment_of_no_declared_length_fills_its_frame),
		cmocka_unit_test(an_open_connection_is_ended_behind_its_last_byte),
		cmocka_unit_test(a_told_end_and_data_midstream_leave_nothing_open),
		cmocka_unit_test(open_connections_are_bounded),
		cmocka_unit_test(hellos_come_out_in_order_of_time_with_their_handshakes),
		cmocka_unit_test(a_hello_waits_ten_seconds_or_to_the_end),
		cmocka_unit_test(both_hellos_around_a_retry_request_get_the_handshake),
		cmocka_unit_test(a_hello_given_up_late_is_told_where_its_time_is),
		cmocka_unit_test(no_more_than_the_bound_wait),
		cmocka_unit_test(malformed_events_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
