/* SPDX-License-Identifier: BSD-2-Clause */
/* The ClientHello parser: what it refuses, what it reads, what its keys depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_hello.h"

static struct spec spec;
static struct message msg;

static int chrome(void **state)
{
	(void)state;
	spec_chrome(&spec);
	return 0;
}

static enum hello_result result_of(const struct spec *s)
{
	struct hello h;

	spec_write(s, &msg);
	return parsed(msg.b, msg.len, &h);
}

static void assert_zero(const struct hello *h)
{
	struct hello zero;

	memset(&zero, 0, sizeof(zero));
	zero.transport = h->transport;
	assert_memory_equal(h, &zero, sizeof(zero));
}

/* Faults 1, 33. */
static void every_prefix_is_short_and_leaves_nothing(void **state)
{
	struct hello h;

	(void)state;
	spec_write(&spec, &msg);
	for (size_t len = 0; len < msg.len; len++) {
		assert_int_equal(parsed(msg.b, len, &h), HELLO_SHORT);
		assert_zero(&h);
	}
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_OK);
}

/* Faults 1, 33. */
static void bytes_past_the_end_decide_nothing(void **state)
{
	static struct hello_buf clean, dirty;
	struct hello a, b;

	(void)state;
	spec_write(&spec, &msg);
	for (size_t len = 0; len <= msg.len; len++) {
		memset(&clean, 0, sizeof(clean));
		memset(&dirty, 0xff, sizeof(dirty));
		memcpy(clean.b, msg.b, len);
		memcpy(dirty.b, msg.b, len);
		a = b = (struct hello){ .transport = 't' };
		assert_int_equal(hello_parse(&clean, len, &test_secret, &a),
				 hello_parse(&dirty, len, &test_secret, &b));
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* Fault 33. */
static void a_handshake_length_that_lies_is_refused(void **state)
{
	struct hello h;

	(void)state;
	spec_write(&spec, &msg);
	msg.b[3]++;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_SHORT);
	msg.b[3] -= 2;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_BAD_LENGTH);
	msg.b[1] = 1;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_TOO_LONG);
	msg.b[0] = 2;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_BAD_TYPE);
}

static void a_message_of_16_kib_is_read_and_one_byte_more_is_not(void **state)
{
	static uint8_t big[HELLO_MAX + 1];
	struct hello h;
	size_t tail;

	(void)state;
	spec_write(&spec, &msg);
	tail = HELLO_MAX - msg.len - 4;
	memcpy(big, msg.b, msg.len);
	big[msg.len + 1] = 0x15;
	big[msg.len + 2] = tail >> 8;
	big[msg.len + 3] = tail;
	big[2] = (HELLO_MAX - 4) >> 8;
	big[3] = (HELLO_MAX - 4) & 0xff;
	{
		/* the extensions block: behind 4 + 35 + 32 + 2 + 32 + 2 bytes */
		size_t at = 4 + 35 + 32 + 2 + 2 * spec.n_ciphers + 2;
		size_t n = HELLO_MAX - at - 2;

		big[at] = n >> 8;
		big[at + 1] = n;
	}
	assert_int_equal(parsed(big, HELLO_MAX, &h), HELLO_OK);
	assert_int_equal(h.n_extensions, 18);
	assert_int_equal(h.n_stack_extensions, 16);
	assert_int_equal(parsed(big, HELLO_MAX + 1, &h), HELLO_TOO_LONG);
}

static void a_hello_without_extensions_is_named(void **state)
{
	struct hello h;

	(void)state;
	spec.n_extensions = 0;
	spec.version = 0x0301;
	assert_string_equal(named_spec(&spec, &h)->ja4, "t10i150000_8daaf6152771_000000000000");
	assert_int_equal(h.extensions_off, 0);
}

static void an_unknown_major_version_is_refused(void **state)
{
	(void)state;
	spec.version = 0x0203;
	assert_int_equal(result_of(&spec), HELLO_BAD_VERSION);
	spec.version = 0x0300;
	assert_int_equal(result_of(&spec), HELLO_OK);
}

/* Fault 34. */
static void extension_lengths_that_overrun_or_fall_short_are_refused(void **state)
{
	struct hello h;
	size_t last;

	(void)state;
	spec_write(&spec, &msg);
	last = msg.len - 4; /* the last extension: GREASE, empty */
	msg.b[last + 3] = 1;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_SHORT);

	spec_write(&spec, &msg);
	memset(msg.b + msg.len, 0, 2);
	msg.len += 2;
	msg.b[3] += 2;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_TRAILING);
	assert_zero(&h);
}

/* Fault 34: one extension's own list, with each wrong length. */
static void a_list_that_does_not_fill_its_extension_is_bad_length(void **state)
{
	static const struct {
		uint16_t type;
		const char *data;
		size_t len;
		enum hello_result result;
	} cases[] = {
		{ 0x000d, "", 0, HELLO_OK },
		{ 0x000d, "\0", 1, HELLO_BAD_LENGTH },
		{ 0x000d, "\0\0", 2, HELLO_OK },
		{ 0x000d, "\0\2\4\3", 4, HELLO_OK },
		{ 0x000d, "\0\3\4\3\4", 5, HELLO_BAD_LENGTH },
		{ 0x000d, "\0\4\4\3", 4, HELLO_BAD_LENGTH },
		{ 0x000d, "\0\0\4\3", 4, HELLO_BAD_LENGTH },
		{ 0x002b, "", 0, HELLO_OK },
		{ 0x002b, "\0", 1, HELLO_OK },
		{ 0x002b, "\2\3\4", 3, HELLO_OK },
		{ 0x002b, "\1\3\4", 3, HELLO_BAD_LENGTH },
		{ 0x002b, "\3\3\4\3", 4, HELLO_BAD_LENGTH },
		{ 0x0010, "", 0, HELLO_OK },
		{ 0x0010, "\0", 1, HELLO_BAD_LENGTH },
		{ 0x0010, "\0\0", 2, HELLO_OK },
		{ 0x0010, "\0\1\0", 3, HELLO_OK },
		{ 0x0010, "\0\3\2h2", 5, HELLO_OK },
		{ 0x0010, "\0\3\3h2", 5, HELLO_BAD_LENGTH },
		{ 0x0010, "\0\2\2h2", 5, HELLO_BAD_LENGTH },
		{ 0x0010, "\0\6\2h2\x09xy", 8, HELLO_OK }, /* the second name overruns */
		{ 0x0000, "", 0, HELLO_OK },
		{ 0x0000, "\xff\xff\xff", 3, HELLO_OK },
		{ 0x000a, "\xff", 1, HELLO_OK },
		{ 0x0033, "\0\4\0\x1d\xff\xff", 6, HELLO_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		spec_bytes(spec_get(&spec, cases[i].type), cases[i].data, cases[i].len);
		if (result_of(&spec) != cases[i].result)
			fail_msg("case %zu: got %d", i, result_of(&spec));
		spec_chrome(&spec);
	}
}

static void an_odd_cipher_list_is_bad_length(void **state)
{
	struct hello h;

	(void)state;
	spec_write(&spec, &msg);
	msg.b[4 + 35 + 32 + 1]++;
	assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_BAD_LENGTH);
}

/* Faults 34, 35: at the limit it is named, past it there is a reason. */
static void lists_past_their_bound_are_refused_by_name(void **state)
{
	uint16_t items[129];

	(void)state;
	spec.n_ciphers = HELLO_CIPHERS_MAX;
	assert_int_equal(result_of(&spec), HELLO_OK);
	spec.n_ciphers++;
	assert_int_equal(result_of(&spec), HELLO_TOO_MANY_CIPHERS);

	spec_chrome(&spec);
	while (spec.n_extensions < HELLO_EXTENSIONS_MAX)
		spec_add(&spec, 0x4000 + spec.n_extensions);
	assert_int_equal(result_of(&spec), HELLO_OK);
	spec_add(&spec, GREASE);
	assert_int_equal(result_of(&spec), HELLO_TOO_MANY_EXTENSIONS);

	spec_chrome(&spec);
	memset(items, 4, sizeof(items));
	spec_items(spec_get(&spec, 0x000d), 2, items, HELLO_SIGALGS_MAX);
	assert_int_equal(result_of(&spec), HELLO_OK);
	spec_items(spec_get(&spec, 0x000d), 2, items, HELLO_SIGALGS_MAX + 1);
	assert_int_equal(result_of(&spec), HELLO_TOO_MANY_SIGALGS);
}

/* hello_parse() tells GREASE by a product; all 65,536 types say it does so rightly. */
static void grease_and_nothing_else_is_left_out(void **state)
{
	struct hello h;
	unsigned int n = 0;

	(void)state;
	spec.n_ciphers = 1;
	for (unsigned int v = 0; v < 0x10000; v++) {
		spec.ciphers[0] = v;
		spec_write(&spec, &msg);
		assert_int_equal(parsed(msg.b, msg.len, &h), HELLO_OK);
		assert_int_equal(h.n_ciphers, !hello_is_grease(v));
		assert_int_equal(!!(h.flags & HELLO_GREASE_CIPHER), hello_is_grease(v));
		n += hello_is_grease(v);
	}
	assert_int_equal(n, 16);
}

/* Fault 34. */
static void the_first_of_duplicate_extensions_is_read_and_all_are_counted(void **state)
{
	struct hello h;
	const struct names *names;

	(void)state;
	spec_alpn(spec_add(&spec, 0x0010), "zz", 2);
	names = named_spec(&spec, &h);
	assert_int_equal(h.n_extensions, 18);
	assert_memory_equal(names->ja4, "t13d1518h2_", 11);
	assert_string_equal(names->ja4 + 24, "cb7bf5808d99");
}

static void fidelity_flags_say_what_was_there(void **state)
{
	struct hello h;

	(void)state;
	named_spec(&spec, &h);
	assert_int_equal(h.flags, HELLO_HAS_SNI | HELLO_HAS_ALPN | HELLO_HAS_ECH |
					  HELLO_GREASE_CIPHER | HELLO_GREASE_EXT | HELLO_PQ_SHARE |
					  HELLO_HAS_VERSIONS | HELLO_HAS_SESSION_ID);
	assert_int_equal(h.n_key_shares, 2);
	assert_false(names_resumed(&h));

	spec_bytes(spec_get(&spec, 0x0023), "ticket", 6);
	spec_add(&spec, 0x002a);
	spec_add(&spec, 0x002c);
	spec_add(&spec, 0x0029);
	spec_remove(&spec, 0xfe0d); /* fault 39: no longer an outer hello */
	spec_remove(&spec, 0x0033);
	spec_remove(&spec, 0x1a1a);
	spec_remove(&spec, 0xdada);
	named_spec(&spec, &h);
	assert_int_equal(h.flags, HELLO_HAS_SNI | HELLO_HAS_ALPN | HELLO_HAS_PSK |
					  HELLO_HAS_TICKET | HELLO_HAS_EARLY_DATA |
					  HELLO_HAS_COOKIE | HELLO_GREASE_CIPHER |
					  HELLO_HAS_VERSIONS | HELLO_HAS_SESSION_ID);
	assert_true(names_resumed(&h));
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Fault 38. */
static void a_thousand_shuffles_have_one_key_and_a_thousand_orders(void **state)
{
	uint64_t orders[1000], seed = 38;
	struct hello first, h;

	(void)state;
	named_spec(&spec, &first);
	for (int i = 0; i < 1000; i++) {
		spec_shuffle(&spec, &seed);
		named_spec(&spec, &h);
		assert_int_equal(h.ja4_key, first.ja4_key);
		assert_int_equal(h.stack_key, first.stack_key);
		orders[i] = h.order_hash;
	}
	qsort(orders, 1000, sizeof(orders[0]), by_value);
	for (int i = 1; i < 1000; i++)
		assert_int_not_equal(orders[i], orders[i - 1]);
}

/* Another GREASE value, drawn each time by a browser, is no other order. */
static void the_order_sees_that_grease_is_there_but_not_which(void **state)
{
	struct hello a, b, c;

	(void)state;
	named_spec(&spec, &a);
	spec.extensions[0].type = 0x7a7a;
	named_spec(&spec, &b);
	spec_remove(&spec, 0x7a7a);
	named_spec(&spec, &c);
	assert_int_equal(a.order_hash, b.order_hash);
	assert_int_not_equal(a.order_hash, c.order_hash);
}

/* Fault 37. */
static void what_a_client_remembers_does_not_change_its_stack(void **state)
{
	static const uint16_t types[] = { 0x0015, 0x0023, 0x0029, 0x002a, 0x002c };
	char stack[37], order[13];
	struct hello first, h;
	const struct names *names;

	(void)state;
	names = named_spec(&spec, &first);
	strcpy(stack, names->stack);
	strcpy(order, names->order);
	for (unsigned int set = 0; set < 32; set++) {
		spec_chrome(&spec);
		spec_remove(&spec, 0x0023);
		for (int i = 0; i < 5; i++)
			if (set >> i & 1)
				spec_bytes(spec_add(&spec, types[i]), "state", 5);
		names = named_spec(&spec, &h);
		assert_int_equal(h.stack_key, first.stack_key);
		assert_string_equal(names->stack, stack);
		/* types[1] alone is what the first hello had */
		assert_true((h.ja4_key == first.ja4_key) == (set == 2));
	}
	spec_chrome(&spec);
	spec_bytes(spec_add(&spec, 0x0029), "psk", 3);
	names = named_spec(&spec, &h);
	assert_int_equal(h.order_hash, first.order_hash);
	assert_string_equal(names->order, order);
}

static void another_secret_gives_other_keys(void **state)
{
	struct secret other = test_secret;
	static struct hello_buf buf;
	struct hello a = { .transport = 't' }, b = { .transport = 't' };

	(void)state;
	spec_write(&spec, &msg);
	memcpy(buf.b, msg.b, msg.len);
	for (int i = 0; i < 4; i++)
		other.k[i] ^= 1ULL << i;
	assert_int_equal(hello_parse(&buf, msg.len, &test_secret, &a), HELLO_OK);
	assert_int_equal(hello_parse(&buf, msg.len, &other, &b), HELLO_OK);
	assert_int_not_equal(a.ja4_key, b.ja4_key);
	assert_int_not_equal(a.stack_key, b.stack_key);
	assert_int_not_equal(a.order_hash, b.order_hash);
}

#define test(fn) cmocka_unit_test_setup(fn, chrome)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(every_prefix_is_short_and_leaves_nothing),
		test(bytes_past_the_end_decide_nothing),
		test(a_handshake_length_that_lies_is_refused),
		test(a_message_of_16_kib_is_read_and_one_byte_more_is_not),
		test(a_hello_without_extensions_is_named),
		test(an_unknown_major_version_is_refused),
		test(extension_lengths_that_overrun_or_fall_short_are_refused),
		test(a_list_that_does_not_fill_its_extension_is_bad_length),
		test(an_odd_cipher_list_is_bad_length),
		test(lists_past_their_bound_are_refused_by_name),
		test(grease_and_nothing_else_is_left_out),
		test(the_first_of_duplicate_extensions_is_read_and_all_are_counted),
		test(fidelity_flags_say_what_was_there),
		test(a_thousand_shuffles_have_one_key_and_a_thousand_orders),
		test(the_order_sees_that_grease_is_there_but_not_which),
		test(what_a_client_remembers_does_not_change_its_stack),
		test(another_secret_gives_other_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
