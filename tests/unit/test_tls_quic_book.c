/* SPDX-License-Identifier: BSD-2-Clause */
/* QUIC connections under way: named once, linked by their keys, ended in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "lib_quic.h"
#include "tls/names.h"
#include "tls/quic_book.h"

static const struct secret secret = { { 1, 2, 3, 4 } };
static struct quic_book *book;
static struct quic_news news;

static int begin(void **state)
{
	return quic_book_new(&secret, &book);
}

static int end(void **state)
{
	quic_book_free(book);
	return 0;
}

static struct event_quic event(const char *file, uint64_t name, uint64_t time)
{
	struct event_quic e = { .head = { .type = EVENT_QUIC, .conn = name, .time = time },
				.tuple = 77 };
	_cleanup_(fclosep) FILE *f = NULL;
	char path[100];

	snprintf(path, sizeof(path), "tests/data/quic/%s", file);
	f = fopen(path, "rb");
	assert_non_null(f);
	e.len = fread(e.bytes, 1, sizeof(e.bytes), f);
	assert_true(e.len > 1000);
	return e;
}

/* The first part of a hello under the keys of rfc9001-a2.bin: more has to come. */
static struct event_quic beginning(uint64_t name, uint64_t time)
{
	struct event_quic e = event("rfc9001-a2.bin", name, time);
	_cleanup_(quic_opener_freep) struct quic_opener *o = NULL;
	static struct quic_hello keys;
	struct datagram d = {};
	struct frames f = {};

	memset(&keys, 0, sizeof(keys));
	assert_int_equal(quic_opener_new(&o), 0);
	assert_int_equal(quic_hello_add(o, &keys, e.bytes, e.len), QUIC_COMPLETE);
	frames_crypto(&f, 0, keys.bytes, 100);
	frames_fill(&f, 0, 1000);
	initial_append(&d, &keys, 1, "", &f);
	assert_true(d.len <= sizeof(e.bytes));
	memcpy(e.bytes, d.b, d.len);
	e.len = d.len;
	return e;
}

static void a_hello_is_handed_out_once_and_its_keys_whenever_asked(void **state)
{
	struct event_quic e = event("ngtcp2-v1.bin", 5, 1);
	_cleanup_(namer_freep) struct namer *n = NULL;
	struct hello h;

	assert_int_equal(namer_new(&n), 0);
	assert_int_equal(quic_book_event(book, &e, &news), 0);
	assert_non_null(news.hello);
	assert_int_equal(news.hello->result, HELLO_OK);
	assert_int_equal(news.hello->head.conn, 5);
	assert_int_equal(news.hello->hello.transport, 'q');
	assert_int_equal(namer_parse(n, news.hello->bytes, news.hello->hello_len, &secret, 'q', &h),
			 HELLO_OK);
	assert_true(h.stack_key == news.hello->hello.stack_key);
	assert_true(news.keys->stack_key == h.stack_key && news.name == 5 && !news.id);

	assert_int_equal(quic_book_event(book, &e, &news), 0);
	assert_null(news.hello);
	assert_true(news.keys && news.keys->stack_key == h.stack_key && news.name == 5);
}

/* Two hellos from one 4-tuple: only the keys tell whose connection an answer is of. */
static void an_answer_belongs_to_the_hello_whose_keys_open_it(void **state)
{
	struct event_quic mine = event("ngtcp2-v1.bin", 5, 1);
	struct event_quic other = event("rfc9001-a2.bin", 6, 2), answer;
	struct event_quic stranger = event("ngtcp2-d29.bin", 0, 3);

	assert_int_equal(quic_book_event(book, &mine, &news), 0);
	assert_int_equal(quic_book_event(book, &other, &news), 0);
	answer = other;
	answer.head.conn = 0;
	answer.id = 99;
	assert_int_equal(quic_book_event(book, &answer, &news), 0);
	assert_true(news.id == 99 && news.name == 6 && news.keys && !news.hello);

	stranger.id = 100;
	assert_int_equal(quic_book_event(book, &stranger, &news), 0);
	assert_true(!news.id && !news.name && !news.keys && !news.hello);
	answer.tuple = 78; /* another 4-tuple never answers for this one */
	assert_int_equal(quic_book_event(book, &answer, &news), 0);
	assert_true(!news.id);
}

/* The same bytes of the handshake, twice and not the same: no name, said once. */
static void a_hello_that_contradicts_itself_is_refused_by_name(void **state)
{
	struct event_quic half = beginning(6, 1000), lie = half;
	_cleanup_(quic_opener_freep) struct quic_opener *o = NULL;
	static struct quic_hello keys;
	struct datagram d = {};
	struct frames f = {};

	assert_int_equal(quic_book_event(book, &half, &news), 0);
	memset(&keys, 0, sizeof(keys));
	assert_int_equal(quic_opener_new(&o), 0);
	lie = event("rfc9001-a2.bin", 6, 1000);
	assert_int_equal(quic_hello_add(o, &keys, lie.bytes, lie.len), QUIC_COMPLETE);
	keys.bytes[50] ^= 1;
	frames_crypto(&f, 0, keys.bytes, 100);
	frames_fill(&f, 0, 1000);
	initial_append(&d, &keys, 2, "", &f);
	memcpy(lie.bytes, d.b, d.len);
	lie.len = d.len;
	assert_int_equal(quic_book_event(book, &lie, &news), 0);
	assert_non_null(news.hello);
	assert_int_equal(news.hello->result, HELLO_OVERLAP);
	assert_int_equal(news.hello->hello_len, 0);
	assert_null(news.keys);
	assert_int_equal(quic_book_event(book, &lie, &news), 0);
	assert_true(!news.hello && !news.keys);
}

/* A client that gives up in the same packet has said its hello all the same. */
static void what_follows_a_close_does_not_matter(void **state)
{
	struct event_quic e = event("rfc9001-a2.bin", 6, 1000);
	_cleanup_(quic_opener_freep) struct quic_opener *o = NULL;
	static struct quic_hello keys;
	struct datagram d = {};
	struct frames f = {};

	memset(&keys, 0, sizeof(keys));
	assert_int_equal(quic_opener_new(&o), 0);
	assert_int_equal(quic_hello_add(o, &keys, e.bytes, e.len), QUIC_COMPLETE);
	frames_crypto(&f, 0, keys.bytes, keys.len);
	frames_fill(&f, 0x1c, 1);
	frames_fill(&f, 0xff, 600);
	initial_append(&d, &keys, 2, "", &f);
	memcpy(e.bytes, d.b, d.len);
	e.len = d.len;
	assert_int_equal(quic_book_event(book, &e, &news), 0);
	assert_true(news.hello && news.hello->result == HELLO_OK);
}

static void half_a_hello_ends_as_incomplete_after_ten_seconds(void **state)
{
	struct event_quic half = beginning(6, 1000), whole = event("ngtcp2-v1.bin", 5, 2000);
	const struct event_hello *h;

	assert_int_equal(quic_book_event(book, &half, &news), 0);
	assert_true(!news.hello && !news.keys);
	assert_int_equal(quic_book_event(book, &whole, &news), 0);
	assert_false(quic_book_expire(book, 1000 + QUIC_BOOK_LIFE, &h));
	assert_true(quic_book_expire(book, 1001 + QUIC_BOOK_LIFE, &h));
	assert_non_null(h);
	assert_int_equal(h->result, HELLO_INCOMPLETE);
	assert_int_equal(h->head.conn, 6);
	assert_false(quic_book_expire(book, 1001 + QUIC_BOOK_LIFE, &h));
	assert_true(quic_book_expire(book, UINT64_MAX, &h)); /* named: nothing to tell */
	assert_null(h);
	assert_false(quic_book_expire(book, UINT64_MAX, &h));
}

static void a_flood_of_beginnings_stays_within_the_bound(void **state)
{
	struct event_quic half = beginning(0, 1000);
	const struct event_hello *h;
	unsigned int gone = 0;

	for (uint64_t i = 1; i <= 3 * QUIC_BOOK_MAX; i++) {
		half.head.conn = i;
		half.tuple = i / 2;
		assert_int_equal(quic_book_event(book, &half, &news), 0);
		while (quic_book_expire(book, half.head.time, &h))
			gone++;
	}
	assert_int_equal(gone, 2 * QUIC_BOOK_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_hello_is_handed_out_once_and_its_keys_whenever_asked),
		T(an_answer_belongs_to_the_hello_whose_keys_open_it),
		T(a_hello_that_contradicts_itself_is_refused_by_name),
		T(what_follows_a_close_does_not_matter),
		T(half_a_hello_ends_as_incomplete_after_ten_seconds),
		T(a_flood_of_beginnings_stays_within_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
