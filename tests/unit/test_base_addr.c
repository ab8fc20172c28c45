/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"

static struct cidr cidr(const char *text)
{
	struct cidr c = {};
	int err = cidr_parse(text, &c);

	if (err)
		fail_msg("%s: %d", text, err);
	return c;
}

static struct addr addr(const char *text)
{
	struct addr a = {};

	if (addr_parse(text, &a))
		fail_msg("%s is no address", text);
	return a;
}

/* RFC 5952 section 4, each rule once. */
static void addresses_are_written_as_rfc_5952_says(void **state)
{
	static const char *const pair[][2] = {
		{ "2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:DB8::ABCD", "2001:db8::abcd" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "192.0.2.1", "192.0.2.1" },
	};
	char out[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++)
		assert_string_equal(addr_text(addr(pair[i][0]), out), pair[i][1]);
}

/* Fault 12. 6to4, Teredo and NAT64 are other hosts' addresses: they stay apart. */
static void a_mapped_address_is_the_ipv4_address(void **state)
{
	struct addr a = addr("::ffff:192.0.2.1"), b = addr("192.0.2.1");
	char out[ADDR_TEXT];

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(addr_is_v4(a));
	assert_string_equal(addr_text(a, out), "192.0.2.1");
	assert_false(addr_is_v4(addr("64:ff9b::192.0.2.1")));
	assert_false(addr_is_v4(addr("2002:c000:201::")));
	assert_false(addr_is_v4(addr("2001:0:c000:201::")));
	assert_false(addr_is_v4(addr("::192.0.2.1")));
}

static void bytes_go_out_in_network_order_and_come_back(void **state)
{
	static const uint8_t want[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
					  0,    0,    0,    0,    0, 0, 0, 0x5a };
	struct addr a = addr("2001:db8::5a"), b;
	uint8_t got[16];

	(void)state;
	addr_to_bytes(a, got);
	assert_memory_equal(got, want, 16);
	b = addr_from_bytes(got);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void prefixes_are_written_as_they_were_read(void **state)
{
	static const char *const text[] = {
		"0.0.0.0/0",     "10.0.0.0/8",        "192.0.2.0/31",   "192.0.2.1",   "::/0",
		"2001:db8::/32", "2001:db8:0:1::/64", "2001:db8::/127", "2001:db8::1", "::/1",
	};
	char out[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		struct cidr c = cidr(text[i]);

		assert_string_equal(cidr_text(&c, out), text[i]);
	}
}

static void the_longest_text_fits(void **state)
{
	struct cidr c = { addr("1111:2222:3333:4444:5555:6666:7777:8888"), 127 };
	char out[ADDR_TEXT];

	(void)state;
	assert_string_equal(cidr_text(&c, out), "1111:2222:3333:4444:5555:6666:7777:8888/127");
}

static void a_host_is_its_own_prefix(void **state)
{
	(void)state;
	assert_int_equal(cidr("192.0.2.1").plen, 128);
	assert_int_equal(cidr("192.0.2.1/32").plen, 128);
	assert_int_equal(cidr("2001:db8::1/128").plen, 128);
	assert_int_equal(cidr("0.0.0.0/0").plen, 96);
	assert_int_equal(cidr("::/0").plen, 0);
	assert_int_equal(cidr("::ffff:10.0.0.0/104").plen, cidr("10.0.0.0/8").plen);
}

static void host_bits_beyond_the_prefix_are_a_domain_error(void **state)
{
	static const char *const bad[] = {
		"10.0.0.1/8",    "10.0.0.1/31",   "128.0.0.0/0",    "2001:db8::1/32",
		"2001:db8::/28", "2001:db8::1/0", "2001:db8::1/64", "2001:db8::1/127",
	};
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cidr_parse(bad[i], &c) != -EDOM)
			fail_msg("%s was taken", bad[i]);
}

/* Fault 80: a bad CIDR. */
static void garbage_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/8",
		"example.org",
		"10",
		"10.0.0",
		"10.0.0.256",
		"10.0.0.0.0",
		"010.0.0.1",
		"0x0a.0.0.1",
		" 10.0.0.1",
		"10.0.0.1 ",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0/8x",
		"10.0.0.0/8/8",
		"10.0.0.0/99999999999999999999",
		"10.0.0.0/255.0.0.0",
		"::/129",
		":::",
		"1::2::3",
		"2001:db8::g",
		"fe80::1%eth0",
		"[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"00000000000000000000000000000000000000000000000000000000001",
	};
	struct cidr c = { .plen = 77 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cidr_parse(bad[i], &c) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(c.plen, 77);
}

/* Bit by bit against the definition, for all 129 lengths. */
static void a_mask_keeps_exactly_the_first_bits(void **state)
{
	struct addr ones = { ~0ULL, ~0ULL };

	(void)state;
	for (int plen = 0; plen <= 128; plen++) {
		struct addr m = addr_mask(ones, plen);

		for (int bit = 0; bit < 128; bit++) {
			uint64_t word = bit < 64 ? m.hi : m.lo;

			assert_int_equal(word >> (63 - bit % 64) & 1, bit < plen);
		}
	}
}

static void a_prefix_has_its_first_and_last_address_and_no_neighbour(void **state)
{
	struct cidr four = cidr("192.0.2.64/26"), six = cidr("2001:db8:0:40::/58");

	(void)state;
	assert_true(cidr_has(&four, addr("192.0.2.64")));
	assert_true(cidr_has(&four, addr("192.0.2.127")));
	assert_false(cidr_has(&four, addr("192.0.2.63")));
	assert_false(cidr_has(&four, addr("192.0.2.128")));
	assert_true(cidr_has(&six, addr("2001:db8:0:40::")));
	assert_true(cidr_has(&six, addr("2001:db8:0:7f:ffff:ffff:ffff:ffff")));
	assert_false(cidr_has(&six, addr("2001:db8:0:3f:ffff:ffff:ffff:ffff")));
	assert_false(cidr_has(&six, addr("2001:db8:0:80::")));
}

/* Lock-out checks stand on this: ::/0 covers IPv4 as well, 0.0.0.0/0 only IPv4. */
static void everything_covers_both_families_and_v4_everything_only_v4(void **state)
{
	struct cidr all = cidr("::/0"), v4 = cidr("0.0.0.0/0");
	struct cidr ten = cidr("10.0.0.0/8"), six = cidr("2001:db8::/32");

	(void)state;
	assert_true(cidr_covers(&all, &ten));
	assert_true(cidr_covers(&all, &six));
	assert_true(cidr_covers(&all, &v4));
	assert_true(cidr_covers(&v4, &ten));
	assert_false(cidr_covers(&v4, &six));
	assert_false(cidr_covers(&v4, &all));
	assert_true(cidr_covers(&ten, &ten));
}

static void overlap_is_covering_either_way(void **state)
{
	struct cidr wide = cidr("10.0.0.0/8"), narrow = cidr("10.1.2.0/24");
	struct cidr other = cidr("11.0.0.0/8");

	(void)state;
	assert_true(cidr_overlaps(&wide, &narrow));
	assert_true(cidr_overlaps(&narrow, &wide));
	assert_false(cidr_covers(&narrow, &wide));
	assert_false(cidr_overlaps(&other, &narrow));
}

/* Fault 53. */
static void a_source_is_a_v4_host_or_a_v6_half(void **state)
{
	char out[ADDR_TEXT];
	uint8_t family;
	uint64_t src;

	(void)state;
	src = source_of(addr("192.0.2.1"), &family);
	assert_int_equal(family, 4);
	assert_int_equal(src, 0xc0000201);
	assert_string_equal(source_text(src, family, out), "192.0.2.1");
	src = source_of(addr("2001:db8:0:5:1:2:3:4"), &family);
	assert_int_equal(family, 6);
	assert_string_equal(source_text(src, family, out), "2001:db8:0:5::/64");
	assert_int_equal(source_of(source_addr(src, 6), &family), src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_rfc_5952_says),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
		cmocka_unit_test(bytes_go_out_in_network_order_and_come_back),
		cmocka_unit_test(prefixes_are_written_as_they_were_read),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(a_host_is_its_own_prefix),
		cmocka_unit_test(host_bits_beyond_the_prefix_are_a_domain_error),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(a_mask_keeps_exactly_the_first_bits),
		cmocka_unit_test(a_prefix_has_its_first_and_last_address_and_no_neighbour),
		cmocka_unit_test(everything_covers_both_families_and_v4_everything_only_v4),
		cmocka_unit_test(overlap_is_covering_either_way),
		cmocka_unit_test(a_source_is_a_v4_host_or_a_v6_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
