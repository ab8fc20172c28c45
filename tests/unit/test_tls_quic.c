/* SPDX-License-Identifier: BSD-2-Clause */
/* ClientHellos out of QUIC Initials: published vectors, a real client, and all orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "lib_hello.h"
#include "lib_quic.h"

static struct quic_opener *opener;
static struct namer *namer;
static struct quic_hello hello;

static int open_all(void **state)
{
	(void)state;
	memset(&hello, 0, sizeof(hello));
	if (opener)
		return 0;
	return quic_opener_new(&opener) || namer_new(&namer);
}

static int close_all(void **state)
{
	(void)state;
	quic_opener_free(opener);
	namer_free(namer);
	return 0;
}

static size_t load(const char *name, uint8_t out[4096])
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[100];

	snprintf(path, sizeof(path), "tests/data/quic/%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	return fread(out, 1, 4096, f);
}

static const struct names *hello_names(void)
{
	const struct names *names;
	struct hello h;

	assert_int_equal(namer_parse(namer, hello.bytes, hello.len, &test_secret, 'q', &h),
			 HELLO_OK);
	assert_int_equal(namer_name(namer, hello.bytes, hello.len, &h, &names), 0);
	return names;
}

/* RFC 9001 A.2 and RFC 9369 A.2: the same ClientHello under two versions. JA3 is
 * what tshark says of it; ngtcp2's are recorded, its JA3 tshark's too. */
static void published_and_recorded_initials_give_their_hello(void **state)
{
	static const struct {
		const char *file;
		uint32_t version;
		const char *sni, *ja3;
	} cases[] = {
		{ "rfc9001-a2.bin", QUIC_V1, "example.com", "41bc9ae914d6cb3bd0bd0a5453ab7d7f" },
		{ "rfc9369-a2.bin", QUIC_V2, "example.com", "41bc9ae914d6cb3bd0bd0a5453ab7d7f" },
		{ "ngtcp2-v1.bin", QUIC_V1, "localhost", "4e2f39e9839276fe7bfd283b657fb9db" },
		{ "ngtcp2-d29.bin", QUIC_DRAFT(29), "localhost",
		  "4e2f39e9839276fe7bfd283b657fb9db" },
		{ "ngtcp2-v2draft.bin", QUIC_V2_DRAFT, "localhost",
		  "4e2f39e9839276fe7bfd283b657fb9db" },
	};
	uint8_t datagram[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = load(cases[i].file, datagram);
		const struct names *names;

		memset(&hello, 0, sizeof(hello));
		assert_int_equal(quic_hello_add(opener, &hello, datagram, len), QUIC_COMPLETE);
		assert_int_equal(hello.version, cases[i].version);
		names = hello_names();
		assert_int_equal(names->ja4[0], 'q');
		assert_string_equal(names->ja3, cases[i].ja3);
		assert_int_equal(names->sni.len, strlen(cases[i].sni));
		assert_memory_equal(names->sni.at, cases[i].sni, names->sni.len);
	}
}

/* T051 numbers CRYPTO frames 8; no other version does. */
static void googles_t051_has_crypto_frames_of_its_own_number(void **state)
{
	static const uint32_t versions[] = { QUIC_T051, QUIC_V1 };
	static struct message msg;
	static struct spec spec;

	(void)state;
	spec_chrome(&spec);
	spec_write(&spec, &msg);
	for (int i = 0; i < 2; i++) {
		struct datagram d = { 0 };
		struct frames f = { 0 };
		enum quic_result r;

		frames_crypto(&f, 0, msg.b, msg.len);
		f.b[0] = 8;
		memset(&hello, 0, sizeof(hello));
		hello.keyed = true; /* keys of nobody: zeros */
		hello.version = versions[i];
		initial_append(&d, &hello, 0, "", &f);
		r = quic_hello_add(opener, &hello, d.b, d.len);
		assert_int_equal(r, i ? QUIC_BAD_FRAME : QUIC_COMPLETE);
		if (!i)
			assert_string_equal(hello_names()->ja4,
					    "q13d1517h2_8daaf6152771_cb7bf5808d99");
	}
}

static void the_header_is_read_without_keys(void **state)
{
	uint8_t datagram[4096];
	size_t len = load("rfc9001-a2.bin", datagram);
	struct quic_header h;

	(void)state;
	assert_true(quic_header_read(datagram, len, &h));
	assert_true(h.initial);
	assert_int_equal(h.version, QUIC_V1);
	assert_int_equal(h.dcid_len, 8);
	assert_memory_equal(h.dcid, "\x83\x94\xc8\xf0\x3e\x51\x57\x08", 8);
	assert_int_equal(h.scid_len, 0);
	for (size_t n = 0; n < 15; n++)
		assert_false(quic_header_read(datagram, n, &h));
	assert_true(quic_header_read(datagram, 15, &h));
	datagram[5] = 21; /* a connection id too long for any version here */
	assert_false(quic_header_read(datagram, len, &h));
	datagram[0] = 0x40;
	assert_false(quic_header_read(datagram, len, &h));
}

static void a_damaged_initial_changes_nothing(void **state)
{
	static const struct quic_hello untouched;
	uint8_t datagram[4096];
	size_t len = load("rfc9001-a2.bin", datagram);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		datagram[i] ^= 0x10;
		assert_true(quic_hello_add(opener, &hello, datagram, len) > QUIC_MORE);
		assert_false(hello.keyed);
		assert_int_equal(hello.datagrams, 0);
		assert_memory_equal(hello.seen, untouched.seen, sizeof(hello.seen));
		datagram[i] ^= 0x10;
	}
	for (size_t n = 0; n < len; n++)
		assert_true(quic_hello_add(opener, &hello, datagram, n) > QUIC_MORE);
	assert_int_equal(quic_hello_add(opener, &hello, datagram, len), QUIC_COMPLETE);
}

/* The keys of the published connection; the hello itself is begun again. */
static void begin_again(struct quic_hello *keys, uint32_t version)
{
	uint8_t datagram[4096];
	size_t len = load(version == QUIC_V2 ? "rfc9369-a2.bin" : "rfc9001-a2.bin", datagram);

	memset(keys, 0, sizeof(*keys));
	assert_int_equal(quic_hello_add(opener, keys, datagram, len), QUIC_COMPLETE);
	memset(&hello, 0, sizeof(hello));
}

struct piece {
	uint32_t off, len;
};

/* Faults 23-25, as QUIC has them: a post-quantum hello in two datagrams, in pieces of
 * any size, shuffled, some sent twice and overlapping, PING and PADDING between. */
static void crypto_frames_in_any_order_give_the_same_hello(void **state)
{
	static struct message msg;
	static struct spec spec;
	static struct quic_hello keys;
	uint64_t seed = 24;

	(void)state;
	spec_chrome(&spec);
	for (int i = 0; i < 5; i++) /* 1.7 kB, as a post-quantum share makes it */
		spec_bytes(spec_add(&spec, 0x5000 + i), msg.b, 280);
	spec_write(&spec, &msg);
	for (int round = 0; round < 300; round++) {
		struct piece pieces[300];
		struct frames frames[2] = { 0 };
		static uint8_t covered[HELLO_MAX];
		size_t n = 0, last;
		enum quic_result first, second;

		memset(covered, 0, sizeof(covered));
		for (uint32_t off = 0; off < msg.len;) {
			uint32_t len = 1 + next_random(&seed) % (round % 3 ? 90 : 900);
			uint32_t more = next_random(&seed) % 3 ? 0 : next_random(&seed) % 40;

			if (off + len > msg.len)
				len = msg.len - off;
			if (off + len + more > msg.len)
				more = 0;
			pieces[n++] = (struct piece){ off, len + more };
			off += len;
		}
		for (size_t i = n; i > 1; i--) {
			size_t j = next_random(&seed) % i;
			struct piece p = pieces[j];

			pieces[j] = pieces[i - 1];
			pieces[i - 1] = p;
		}
		last = n > 1 ? 1 + next_random(&seed) % (n - 1) : n;
		for (size_t i = 0; i < n; i++) {
			struct frames *f = &frames[i >= last];

			memset(covered + pieces[i].off, i < last, i < last ? pieces[i].len : 0);
			frames_crypto(f, pieces[i].off, msg.b + pieces[i].off, pieces[i].len);
			frames_fill(f, next_random(&seed) % 2, next_random(&seed) % 3);
		}
		frames_fill(&frames[0], 0, 16);
		frames_fill(&frames[1], 0, 16);

		begin_again(&keys, round & 1 ? QUIC_V2 : QUIC_V1);
		{
			struct datagram a = { 0 }, b = { 0 };

			initial_append(&a, &keys, 0, round % 5 ? "" : "a token of a Retry",
				       &frames[0]);
			initial_append(&b, &keys, 70000, "", &frames[1]);
			if (round % 7 == 0)
				b.b[b.len++] = 0; /* filled up behind the Initial */
			first = quic_hello_add(opener, &hello, a.b, a.len);
			second = quic_hello_add(opener, &hello, b.b, b.len);
		}
		assert_int_equal(first, memchr(covered, 0, msg.len) ? QUIC_MORE : QUIC_COMPLETE);
		assert_int_equal(second, QUIC_COMPLETE);
		assert_int_equal(hello.len, msg.len);
		assert_memory_equal(hello.bytes, msg.b, msg.len);
		assert_string_equal(hello_names()->ja4 + 10, "_8daaf6152771_51b78fcfcd00");
	}
}

static enum quic_result add_frames(const struct quic_hello *keys, const struct frames *f)
{
	struct datagram d = { 0 };

	initial_append(&d, keys, 1, "", f);
	return quic_hello_add(opener, &hello, d.b, d.len);
}

/* Two Initials in one datagram, and what else may be coalesced. */
static void coalesced_initials_are_all_read(void **state)
{
	static struct quic_hello keys;
	struct frames first = { 0 }, second = { 0 };
	struct datagram d = { 0 };

	(void)state;
	begin_again(&keys, QUIC_V1);
	frames_crypto(&first, 100, keys.bytes + 100, keys.len - 100);
	frames_crypto(&second, 0, keys.bytes, 100);
	initial_append(&d, &keys, 0, "", &first);
	initial_append(&d, &keys, 1, "", &second);
	assert_int_equal(quic_hello_add(opener, &hello, d.b, d.len), QUIC_COMPLETE);
	assert_memory_equal(hello.bytes, keys.bytes, keys.len);

	/* behind the first a 0-RTT packet: not ours, and no harm */
	begin_again(&keys, QUIC_V1);
	d.len = 0;
	initial_append(&d, &keys, 0, "", &first);
	memcpy(d.b + d.len, "\xd0\0\0\0\1\0\0", 7);
	d.len += 7;
	assert_int_equal(quic_hello_add(opener, &hello, d.b, d.len), QUIC_MORE);
}

/* Fault 26, as QUIC has it. */
static void overlapping_bytes_that_differ_are_refused(void **state)
{
	static struct quic_hello keys;
	struct frames f = { 0 }, g = { 0 };

	(void)state;
	begin_again(&keys, QUIC_V1);
	frames_crypto(&f, 50, keys.bytes + 50, 100);
	assert_int_equal(add_frames(&keys, &f), QUIC_MORE);
	keys.bytes[149] ^= 1;
	frames_crypto(&g, 149, keys.bytes + 149, 10);
	assert_int_equal(add_frames(&keys, &g), QUIC_DIFFERS);
	assert_int_equal(hello.bytes[149], keys.bytes[149] ^ 1);
}

static void frames_that_may_not_be_there_and_excess_are_refused(void **state)
{
	static struct quic_hello keys;
	struct frames f = { 0 };

	(void)state;
	begin_again(&keys, QUIC_V1);
	frames_fill(&f, 0x08, 20); /* STREAM */
	assert_int_equal(add_frames(&keys, &f), QUIC_BAD_FRAME);

	f.len = 0;
	frames_crypto(&f, HELLO_MAX - 10, keys.bytes, 11);
	assert_int_equal(add_frames(&keys, &f), QUIC_TOO_LONG);

	f.len = 0;
	frames_crypto(&f, 0, (const uint8_t *)"\1\1\0\0", 4); /* says 64 KiB */
	assert_int_equal(add_frames(&keys, &f), QUIC_TOO_LONG);

	begin_again(&keys, QUIC_V1);
	f.len = 0;
	frames_fill(&f, 1, 20);
	for (int i = 0; i < QUIC_DATAGRAMS_MAX; i++)
		assert_int_equal(add_frames(&keys, &f), QUIC_MORE);
	assert_int_equal(add_frames(&keys, &f), QUIC_TOO_LONG);
}

/* An ACK with ranges and ECN counts before the CRYPTO frame is stepped over. */
static void acknowledgements_are_stepped_over(void **state)
{
	static const uint8_t ack[] = { 3, 9, 0x40, 5, 2, 1, 0, 1, 1, 2, 7, 8, 9 };
	static struct quic_hello keys;
	struct frames f = { 0 };

	(void)state;
	begin_again(&keys, QUIC_V1);
	memcpy(f.b, ack, sizeof(ack));
	f.len = sizeof(ack);
	frames_crypto(&f, 0, keys.bytes, keys.len);
	assert_int_equal(add_frames(&keys, &f), QUIC_COMPLETE);

	begin_again(&keys, QUIC_V1);
	f.b[4] = 0x3f; /* more ranges than there are bytes for */
	assert_int_equal(add_frames(&keys, &f), QUIC_BAD_FRAME);
}

#define test(fn) cmocka_unit_test_setup(fn, open_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(published_and_recorded_initials_give_their_hello),
		test(googles_t051_has_crypto_frames_of_its_own_number),
		test(the_header_is_read_without_keys),
		test(a_damaged_initial_changes_nothing),
		test(crypto_frames_in_any_order_give_the_same_hello),
		test(coalesced_initials_are_all_read),
		test(overlapping_bytes_that_differ_are_refused),
		test(frames_that_may_not_be_there_and_excess_are_refused),
		test(acknowledgements_are_stepped_over),
	};

	return cmocka_run_group_tests(tests, NULL, close_all);
}
