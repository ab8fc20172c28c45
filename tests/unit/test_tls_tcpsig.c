/* SPDX-License-Identifier: BSD-2-Clause */
/* The TCP signature, against what p0f 3.09b printed. Faults 3, 4. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "lib_hello.h"
#include "tls/tcpsig.h"

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = byte;
	}
	return n;
}

static void every_recorded_syn_is_named_as_p0f_named_it(void **state)
{
	_cleanup_(fclosep) FILE *f = fopen("tests/data/syns/p0f.txt", "r");
	char line[1024], hex[160], theirs[400], ours[TCPSIG_TEXT];
	unsigned int family, ttl, olen, flags, payload;
	int n = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct syn_raw s = { .present = 1 };

		assert_int_equal(sscanf(line, "%u %u %u %u %u %159s %399s", &family, &ttl, &olen,
					&flags, &payload, hex, theirs),
				 7);
		s.family = family;
		s.ttl = ttl;
		s.ip_olen = olen;
		s.ip_flags = flags;
		s.payload = payload;
		assert_true(strlen(hex) <= 2 * sizeof(s.tcp));
		s.tcp_len = from_hex(hex, s.tcp);
		assert_int_equal(tcpsig_text(&s, ours), 0);
		assert_string_equal(ours, theirs);
		n++;
	}
	assert_int_equal(n, 697);
}

static void impossible_lengths_have_no_signature(void **state)
{
	struct syn_raw s = { .present = 1, .family = 4, .ttl = 64, .tcp_len = 20 };
	char text[TCPSIG_TEXT];

	(void)state;
	assert_int_equal(tcpsig_text(&s, text), 0);
	s.tcp_len = 19;
	assert_int_equal(tcpsig_text(&s, text), -EINVAL);
	s.tcp_len = 61;
	assert_int_equal(tcpsig_text(&s, text), -EINVAL);
	s.tcp_len = 20;
	s.family = 5;
	assert_int_equal(tcpsig_text(&s, text), -EINVAL);
	s.family = 6;
	s.present = 0;
	assert_int_equal(tcpsig_text(&s, text), -EINVAL);
}

/* The longest: 40 one-byte options and every quirk a header can have at once. */
static void the_longest_signature_is_whole(void **state)
{
	struct syn_raw s = { .present = 1,
			     .family = 4,
			     .ttl = 255,
			     .ip_olen = 40,
			     .payload = 1,
			     .ip_flags = SYN_DF | SYN_MBZ | SYN_ECN,
			     .tcp_len = 60 };
	char text[TCPSIG_TEXT];

	(void)state;
	memset(s.tcp + 20, 1, 40);
	s.tcp[8] = 1;
	s.tcp[13] = 0xea;
	assert_int_equal(tcpsig_text(&s, text), 0);
	assert_string_equal(text, "4:255+0:40:0:0,0:"
				  "nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,"
				  "nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,"
				  "nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop:"
				  "df,id+,ecn,0+,seq-,ack+,urgf+,pushf+:+");
}

/* Any bytes: a terminated text, and (SAN=1) no read outside the header. */
static void random_options_end_in_a_text(void **state)
{
	uint64_t seed = 4;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct syn_raw s = { .present = 1, .family = i & 1 ? 4 : 6 };
		char text[TCPSIG_TEXT];
		uint64_t r;

		s.tcp_len = 20 + next_random(&seed) % 41;
		for (size_t j = 12; j < s.tcp_len; j++) {
			r = next_random(&seed);
			s.tcp[j] = r & 0x300 ? r % 11 : r;
		}
		memset(text, 'x', sizeof(text));
		assert_int_equal(tcpsig_text(&s, text), 0);
		assert_true(strnlen(text, sizeof(text)) < sizeof(text) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_recorded_syn_is_named_as_p0f_named_it),
		cmocka_unit_test(impossible_lengths_have_no_signature),
		cmocka_unit_test(the_longest_signature_is_whole),
		cmocka_unit_test(random_options_end_in_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
