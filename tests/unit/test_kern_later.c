/* SPDX-License-Identifier: BSD-2-Clause */
/* Hellos behind other bytes of their connection. Faults 25, 31, 32, 36. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kern/later.h"
#include "lib_hello.h"

#define SEC   1000000000ULL
#define HEADS (14 + 20 + 20)
#define SYN   0x02
#define ACK   0x10
#define ISN   0xfffffff0U /* the numbers wrap in the hello */

static struct {
	size_t n, named;
	struct event_hello e;
	uint8_t bytes[HELLO_MAX];
} got;

static struct later *l;
static struct message msg;
static uint64_t clock_ns;

static int on_later(void *ctx, const struct event_hello *e)
{
	(void)ctx;
	got.n++;
	got.named += e->result == HELLO_OK;
	got.e = *e;
	memcpy(got.bytes, e->bytes, e->hello_len);
	assert_int_equal(e->place, HELLO_LATER);
	assert_int_equal(e->head.len, sizeof(*e) + e->hello_len);
	return 0;
}

static int begin(void **state)
{
	static struct spec s;

	(void)state;
	memset(&got, 0, sizeof(got));
	memset(&s, 0, sizeof(s));
	spec_chrome(&s);
	spec_write(&s, &msg);
	clock_ns = 3600 * SEC;
	l = later_new(&test_secret, on_later, NULL);
	return l ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	later_free(l);
	return 0;
}

/* The newest of everything: a segment of which `there` bytes are in the frame. */
static void put_cut(uint16_t sport, uint8_t flags, uint32_t off, const void *data, size_t len,
		    size_t there)
{
	static uint8_t f[HEADS + 65536];
	uint32_t seq = ISN + off;
	struct segment s;

	memset(f, 0, HEADS);
	f[12] = 0x08;
	f[14] = 0x45;
	f[16] = (40 + len) >> 8;
	f[17] = 40 + len;
	f[23] = 6;
	f[26] = 198;
	f[30] = 192;
	f[34] = sport >> 8;
	f[35] = sport;
	f[36] = 25 >> 8;
	f[37] = 25;
	for (int i = 0; i < 4; i++)
		f[38 + i] = seq >> (24 - 8 * i);
	f[46] = 5 << 4;
	f[47] = flags;
	memcpy(f + HEADS, data, there);
	s = segment_read(f, HEADS + there);
	assert_int_equal(s.payload, len);
	clock_ns += SEC / 1000;
	assert_int_equal(later_segment(l, &s, f, HEADS + there, clock_ns), 0);
}

static void put(uint32_t off, const void *data, size_t len)
{
	put_cut(5000, ACK, off, data, len, len);
}

/* The programs' word on the connection's first bytes. */
static void known(enum hello_result result)
{
	struct event_hello e = { .result = result };

	e.head.src = (struct addr){ .lo = ADDR_V4_MARK | 198U << 24 };
	e.head.dst = (struct addr){ .lo = ADDR_V4_MARK | 192U << 24 };
	e.head.sport = 5000;
	e.head.dport = 25;
	assert_int_equal(later_known(l, &e, clock_ns), 0);
}

/* The message in records of `body` bytes. */
static size_t records(uint8_t *out, size_t body)
{
	size_t len = 0;

	for (size_t at = 0; at < msg.len; at += body) {
		size_t n = msg.len - at < body ? msg.len - at : body;
		const uint8_t head[] = { 22, 3, 1, n >> 8, n };

		memcpy(out + len, head, 5);
		memcpy(out + len + 5, msg.b + at, n);
		len += 5 + n;
	}
	return len;
}

static void expect_named(size_t n)
{
	struct hello h;

	assert_int_equal(got.n, n);
	assert_int_equal(got.e.result, HELLO_OK);
	assert_int_equal(got.e.hello_len, msg.len);
	assert_memory_equal(got.bytes, msg.b, msg.len);
	named(&msg, &h);
	assert_int_equal(got.e.hello.ja4_key, h.ja4_key);
	assert_int_equal(got.e.hello.stack_key, h.stack_key);
	assert_int_equal(got.e.head.sport, 5000);
	assert_int_equal(got.e.head.dport, 25);
}

static void a_hello_behind_starttls_is_named_once(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	put(1, "STARTTLS\r\n", 10);
	known(HELLO_NOT_TLS);
	put(11, wire, len);
	expect_named(1);
	assert_int_equal(got.e.segments, 1);
	assert_int_equal(got.e.records, 1);
	put(11, wire, len); /* again */
	put(11 + len, "\x16\x03\x03\x00\x20\x01", 6);
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.n, 1);
}

/* 25, 32: halves at every place, in either order, the first one twice. */
static void any_split_order_and_record_gives_the_same_bytes(void **state)
{
	uint8_t wire[8192];

	(void)state;
	for (size_t body = 300; body < 2000; body += 800) {
		size_t len = records(wire, body);

		for (size_t cut = 11; cut < len; cut += 7) {
			size_t n = got.n, late = (len - cut) / 2;

			put_cut(5000, SYN, 0, "", 0, 0);
			known(HELLO_NOT_TLS);
			put(1, wire, cut);
			put(1 + cut + late, wire + cut + late, len - cut - late);
			put(1, wire, cut);
			assert_int_equal(got.n, n);
			put(1 + cut, wire + cut, late);
			if (late)
				expect_named(n + 1);
		}
	}
}

/* What the programs named, refused or still have is theirs. */
static void a_hello_of_the_programs_is_not_handed_out_again(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	known(HELLO_OK);
	put(1, wire, len);
	put_cut(5000, SYN, 0, "", 0, 0);
	known(HELLO_OVERLAP);
	put(1, wire, len);
	put_cut(5000, SYN, 0, "", 0, 0);
	put(1, wire, 100);
	put(101, wire + 100, len - 100);
	known(HELLO_OK); /* their word comes with the last segment */
	put(1 + len, "more", 4);
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.n, 0);
}

/* A server that speaks first: the programs say nothing at all. */
/* Data in the SYN: the hello is theirs, however often SYN and hello come again. */
static void a_hello_in_the_syn_is_not_handed_out_again(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	clock_ns += SEC / 1000;
	known(HELLO_OK);
	clock_ns -= SEC / 1000;
	put_cut(5000, SYN, 0, wire, len, len);
	put_cut(5000, SYN, 0, "", 0, 0);
	put(1, wire, len);
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.n, 0);
}

/* Databases ask for TLS first; their HelloRetryRequest leads to CCS and hello. */
static void a_second_hello_behind_a_ccs_is_named_too(void **state)
{
	uint8_t wire[4096] = { 20, 3, 3, 0, 1, 1 };
	size_t len = records(wire + 6, HELLO_MAX);

	(void)state;
	known(HELLO_NOT_TLS);
	put(9, wire + 6, len);
	expect_named(1);
	put(9 + len, wire, 6 + len);
	expect_named(2);
	put(9 + len, wire, 6 + len);
	assert_int_equal(got.n, 2);
}

static void a_hello_nobody_spoke_of_is_named_when_the_client_goes_on(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	put(1, wire, len);
	assert_int_equal(got.n, 0);
	put(1 + len, "more", 4);
	expect_named(1);
}

static void port_reuse_and_the_end_hand_out_what_waits(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	put(1, wire, len);
	put_cut(5000, SYN, 0, "", 0, 0);
	expect_named(1);
	put(1, wire, len);
	assert_int_equal(later_finish(l), 0);
	expect_named(2);
}

static void what_is_missing_or_cut_is_said(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	known(HELLO_NOT_TLS);
	put(1, wire, len / 2);
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.e.result, HELLO_INCOMPLETE);
	assert_int_equal(got.e.hello_len, 0);
	known(HELLO_NOT_TLS);
	put_cut(5000, ACK, 1, wire, len, 96);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.e.result, HELLO_TRUNCATED);
}

/* Nor does a record of something else, a lie about lengths, or random bytes. */
static void what_does_not_parse_was_data(void **state)
{
	uint8_t wire[4096], bad[4096];
	size_t len = records(wire, HELLO_MAX);
	uint64_t seed = 7;

	(void)state;
	known(HELLO_NOT_TLS);
	for (size_t i = 0; i < 11; i++) {
		memcpy(bad, wire, len);
		bad[i] ^= i == 4 ? 0 : 0xff; /* a record may be longer than the message */
		bad[0] = i == 4 ? 23 : bad[0];
		put(1 + i * 10000, bad, len);
	}
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.named, 0);
	known(HELLO_NOT_TLS);
	memcpy(bad, wire, len);
	bad[5 + 4 + 2 + 32] = 33; /* a session id longer than there is */
	put(1, bad, len);
	for (size_t i = 0; i < 1000; i++) {
		size_t n = next_random(&seed) % sizeof(bad);

		memcpy(bad, wire, 11);
		for (size_t k = 11; k < n; k++)
			bad[k] = next_random(&seed);
		put(next_random(&seed), bad, n);
	}
	assert_int_equal(later_finish(l), 0);
	assert_int_equal(got.named, 0);
}

/* Memory stays flat, and a silent connection makes room. */
static void ten_times_too_many_connections_stay_within_the_bound(void **state)
{
	uint8_t wire[4096];
	size_t len = records(wire, HELLO_MAX);

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < LATER_MAX; i++)
			put_cut(10000 + i, ACK, 1 + round, wire, i % 50 ? len : 100,
				i % 50 ? len : 100);
		clock_ns += 20 * SEC;
	}
	known(HELLO_NOT_TLS);
	put(1, wire, len);
	assert_int_equal(got.e.head.sport, 5000);
	assert_int_equal(later_finish(l), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hello_behind_starttls_is_named_once),
		TEST(any_split_order_and_record_gives_the_same_bytes),
		TEST(a_hello_of_the_programs_is_not_handed_out_again),
		TEST(a_hello_in_the_syn_is_not_handed_out_again),
		TEST(a_second_hello_behind_a_ccs_is_named_too),
		TEST(a_hello_nobody_spoke_of_is_named_when_the_client_goes_on),
		TEST(port_reuse_and_the_end_hand_out_what_waits),
		TEST(what_is_missing_or_cut_is_said),
		TEST(what_does_not_parse_was_data),
		TEST(ten_times_too_many_connections_stay_within_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
