/* SPDX-License-Identifier: BSD-2-Clause */
/* winnow.hello/1 where a capture cannot reach it. Faults 34, 39, 85. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/addr.h"
#include "model/hello_json.h"

#define bytes(s)                                  \
	{                                         \
		(const uint8_t *)s, sizeof(s) - 1 \
	}

static const struct event_hello event = { .head = { .src = { .lo = ADDR_V4_MARK | 0x0a000001 } },
					  .hello = { .transport = 't' } };

static struct hello_line line;

/* As a reader takes it. What jansson writes of that is what was written: the bytes are
 * the same as if it had written them in the first place. */
static json_t *hello_object(uint64_t time_ns, const struct event_hello *e,
			    const struct event_handshake *h, const struct hello_text *t)
{
	json_error_t why;
	json_t *o;
	char *again;

	assert_int_equal(hello_json(&line, time_ns, e, h, t), 0);
	o = json_loadb(line.text, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (!o)
		fail_msg("%s: %.*s", why.text, (int)line.len, line.text);
	again = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	assert_int_equal(strlen(again), line.len);
	assert_memory_equal(again, line.text, line.len);
	free(again);
	return o;
}

static const char *text_at(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void unknown_is_null(void **state)
{
	static const char *const keys[] = { "ja4",    "ja4_r", "ja3",   "stack",
					    "order",  "sni",   "tcp",   "resumed",
					    "rtt_us", "d1_us", "d2_us", "dstar_us",
					    "flight", "piggy", "ccs",   "proof" };
	struct hello_text none = {};
	json_t *o = hello_object(0, &event, NULL, &none);

	(void)state;
	assert_non_null(o);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_true(json_is_null(json_object_get(o, keys[i])));
	assert_int_equal(json_array_size(json_object_get(o, "alpn")), 0);
	assert_string_equal(text_at(o, "src"), "10.0.0.1");
	assert_string_equal(text_at(o, "time"), "1970-01-01T00:00:00.000000Z");
	json_decref(o);
}

static void every_timing_of_the_handshake_stands_for_itself(void **state)
{
	struct event_handshake h = { .rtt_us = 0,
				     .d1_us = US_UNKNOWN,
				     .d2_us = 7,
				     .dstar_us = 9,
				     .flight = 1800,
				     .flags = HS_PIGGY | HS_CCS_TWICE,
				     .proof = PROOF_SOCKET };
	struct hello_text none = {};
	json_t *o = hello_object(0, &event, &h, &none);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(o, "rtt_us")), 0);
	assert_true(json_is_integer(json_object_get(o, "rtt_us"))); /* 0 is not unknown */
	assert_true(json_is_null(json_object_get(o, "d1_us")));
	assert_int_equal(json_integer_value(json_object_get(o, "dstar_us")), 9);
	assert_true(json_is_true(json_object_get(o, "piggy")));
	assert_string_equal(text_at(o, "ccs"), "twice");
	assert_string_equal(text_at(o, "proof"), "socket");
	json_decref(o);

	h.flags = HS_NOF2; /* the second flight never came: nothing to say of it */
	o = hello_object(0, &event, &h, &none);
	assert_true(json_is_null(json_object_get(o, "ccs")));
	json_decref(o);
}

static void a_server_name_is_utf8_or_escaped_and_always_valid_json(void **state)
{
	static const struct {
		struct hello_bytes sni;
		const char *want;
	} names[] = {
		{ bytes("b\xc3\xbc"
			"cher.example"),
		  "b\xc3\xbc"
		  "cher.example" },
		{ bytes("\xff\xfe"), "\\xff\\xfe" },
		{ bytes("\x1b[2J"), "\x1b[2J" }, /* UTF-8; JSON escapes it on the way out */
		{ bytes(""), "" },
	};
	static const struct hello_bytes alpn[] = { bytes("h2"), bytes("\x80") };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct hello_text t = { .sni = names[i].sni, .alpn = alpn, .n_alpn = 2 };
		json_t *o = hello_object(0, &event, NULL, &t);
		char *ascii = json_dumps(o, JSON_ENSURE_ASCII);
		json_t *list = json_object_get(o, "alpn");

		assert_string_equal(text_at(o, "sni"), names[i].want);
		assert_string_equal(json_string_value(json_array_get(list, 1)), "\\x80");
		assert_null(strchr(ascii, '\033'));
		free(ascii);
		json_decref(o);
	}
}

/* Fault 39. */
static void an_outer_hello_is_marked_and_no_other(void **state)
{
	struct hello_text none = {};

	(void)state;
	for (int outer = 0; outer < 2; outer++) {
		struct event_hello e = { .hello = { .transport = 't' } };
		json_t *o;

		e.hello.flags = HELLO_HAS_SNI | (outer ? HELLO_HAS_ECH : 0);
		o = hello_object(0, &e, NULL, &none);
		assert_int_equal(json_is_true(json_object_get(o, "ech")), outer);
		json_decref(o);
	}
}

static void a_nul_in_a_server_name_is_kept(void **state)
{
	struct hello_text t = { .sni = bytes("a\0b") };
	json_t *o = hello_object(0, &event, NULL, &t);

	(void)state;
	assert_int_equal(json_string_length(json_object_get(o, "sni")), 3);
	json_decref(o);
}

/* Each state of each field, in one object after the other of one line. */
static void the_bytes_are_those_that_jansson_writes(void **state)
{
	static const struct hello_bytes odd[] = {
		bytes(""),
		bytes("\""),
		bytes("\\"),
		bytes("/"),
		bytes("\x7f"),
		bytes("\x1f"),
		bytes("\xf0\x9f\x98\x80"),
		bytes("\b\f\n\r\t"),
		bytes("h2"),
	};
	static char long_text[40000];
	uint64_t x = 88172645463325252ULL;

	(void)state;
	memset(long_text, 'a', sizeof(long_text) - 1);
	for (int i = 0; i < 5000; i++) {
		struct event_hello e = event;
		struct event_handshake h = {};
		struct hello_text t = {};
		uint8_t random[300];
		json_t *o;

		for (size_t k = 0; k < sizeof(random); k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			random[k] = x >> 32;
		}
		e.head.src.hi = x & 1 ? x * 3 : 0;
		e.head.src.lo = x & 1 ? x * 5 : ADDR_V4_MARK | (uint32_t)(x >> 8);
		e.head.dst = e.head.src;
		e.head.sport = x >> 16;
		e.hello.transport = x & 2 ? 'q' : 't';
		e.segments = x >> 24;
		e.records = x >> 32;
		e.result = random[0] % (HELLO_RESULT_MAX + 1);
		e.place = random[1] % (HELLO_LATER + 1);
		e.proof = random[2] % 5;
		h.rtt_us = random[3] % 2 ? US_UNKNOWN : x >> 33;
		h.d1_us = random[4] % 2 ? US_UNKNOWN : 0;
		h.dstar_us = x >> 40;
		h.flight = random[5] % 2 ? x >> 50 : 0;
		h.flags = x >> 20;
		h.proof = random[6] % 5;
		t.ja4 = random[7] % 3 ? "t13d1516h2_8daaf6152771_e5627efa2ab1" : NULL;
		t.ja4_r = random[8] % 7 ? "t13d1516h2" : random[8] % 2 ? long_text : NULL;
		t.tcp = random[9] % 2 ? "4:60+4:0:1460:mss*44,7:mss,nop,ws:df,id+:0" : NULL;
		t.resumed = random[10] & 1;
		if (random[11] % 3)
			t.sni = (struct hello_bytes){ random, random[12] };
		t.alpn = odd;
		t.n_alpn = random[13] % (sizeof(odd) / sizeof(odd[0]) + 1);
		o = hello_object(x >> random[14] % 8, &e, random[15] % 4 ? &h : NULL, &t);
		json_decref(o);
	}
	hello_line_clear(&line);
}

static void every_result_and_proof_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(hello_result_name(HELLO_OK), "ok");
	for (unsigned int i = 0; i < HELLO_RESULT_MAX; i++)
		assert_true(hello_result_name(i)[0]);
	assert_string_equal(hello_result_name(HELLO_RESULT_MAX), "unknown");
	assert_null(proof_name(0));
	assert_string_equal(proof_name(PROOF_EGRESS), "egress");
	assert_string_equal(proof_name(PROOF_INGRESS), "ingress");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_is_null),
		cmocka_unit_test(every_timing_of_the_handshake_stands_for_itself),
		cmocka_unit_test(a_server_name_is_utf8_or_escaped_and_always_valid_json),
		cmocka_unit_test(an_outer_hello_is_marked_and_no_other),
		cmocka_unit_test(a_nul_in_a_server_name_is_kept),
		cmocka_unit_test(the_bytes_are_those_that_jansson_writes),
		cmocka_unit_test(every_result_and_proof_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
