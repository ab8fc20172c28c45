/* SPDX-License-Identifier: BSD-2-Clause */
/* winnow.hello/1 where a capture cannot reach it. Faults 34, 85. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/addr.h"
#include "model/hello_json.h"

#define bytes(s)                                  \
	{                                         \
		(const uint8_t *)s, sizeof(s) - 1 \
	}

static const struct event_hello event = { .head = { .src = { .lo = ADDR_V4_MARK | 0x0a000001 } },
					  .hello = { .transport = 't' } };

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
	json_t *o = hello_json(0, &event, NULL, &none);

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
	json_t *o = hello_json(0, &event, &h, &none);

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
	o = hello_json(0, &event, &h, &none);
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
		json_t *o = hello_json(0, &event, NULL, &t);
		char *line = json_dumps(o, JSON_ENSURE_ASCII);
		json_t *list = json_object_get(o, "alpn");

		assert_string_equal(text_at(o, "sni"), names[i].want);
		assert_string_equal(json_string_value(json_array_get(list, 1)), "\\x80");
		assert_null(strchr(line, '\033'));
		free(line);
		json_decref(o);
	}
}

static void a_nul_in_a_server_name_is_kept(void **state)
{
	struct hello_text t = { .sni = bytes("a\0b") };
	json_t *o = hello_json(0, &event, NULL, &t);

	(void)state;
	assert_int_equal(json_string_length(json_object_get(o, "sni")), 3);
	json_decref(o);
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
		cmocka_unit_test(a_nul_in_a_server_name_is_kept),
		cmocka_unit_test(every_result_and_proof_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
