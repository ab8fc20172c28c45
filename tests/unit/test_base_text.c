/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void plain_names_stay_as_they_are(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(text_escape("api.example.org", 15, out, sizeof(out)), 15);
	assert_string_equal(out, "api.example.org");
}

/* Fault 85: escape codes in a server name. */
static void escape_codes_and_nuls_do_not_reach_the_terminal(void **state)
{
	char out[64];

	(void)state;
	text_escape("a\x1b[2J\0\n\x7f\xc2\x9b", 10, out, sizeof(out));
	assert_string_equal(out, "a\\x1b[2J\\x00\\x0a\\x7f\\xc2\\x9b");
}

static void a_written_escape_differs_from_the_byte_itself(void **state)
{
	char one[16], two[16];

	(void)state;
	text_escape("\x1b", 1, one, sizeof(one));
	text_escape("\\x1b", 4, two, sizeof(two));
	assert_string_equal(one, "\\x1b");
	assert_string_equal(two, "\\\\x1b");
}

static void every_byte_comes_out_printable(void **state)
{
	char out[TEXT_ESCAPED(256)];
	unsigned char all[256];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = i;
	n = text_escape(all, sizeof(all), out, sizeof(out));
	assert_int_equal(n, strlen(out));
	/* 94 as they are, the backslash doubled, 161 as \xNN */
	assert_int_equal(n, 94 + 2 + 161 * 4);
	for (size_t i = 0; i < n; i++)
		assert_in_range(out[i], ' ', '~');
}

static void little_room_cuts_between_escapes(void **state)
{
	static const char *const want[] = { NULL, "", "a", "a", "a", "a", "a\\x00" };
	char out[8];

	(void)state;
	for (size_t size = 1; size <= 6; size++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(text_escape("a\0b", 3, out, size), strlen(want[size]));
		assert_string_equal(out, want[size]);
		assert_int_equal(out[size], '#');
	}
	assert_int_equal(text_escape("a", 1, out, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_names_stay_as_they_are),
		cmocka_unit_test(escape_codes_and_nuls_do_not_reach_the_terminal),
		cmocka_unit_test(a_written_escape_differs_from_the_byte_itself),
		cmocka_unit_test(every_byte_comes_out_printable),
		cmocka_unit_test(little_room_cuts_between_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
