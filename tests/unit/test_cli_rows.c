/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "cli/rows.h"
#include "cli/units.h"

static const char *paint(const char *text)
{
	return strcmp(text, "drop") ? NULL : "31";
}

static const struct column columns[] = {
	{ .head = "name", .key = "name", .elastic = true },
	{ .head = "action", .key = "action", .paint = paint, .brief = "act." },
	{ .head = "n", .key = "hits.n", .kind = COL_COUNT },
	{ .head = "in", .key = "bytes", .kind = COL_BYTES },
	{ .head = "seen", .key = "seen", .kind = COL_AGE },
	{ .head = "ends", .key = "ends", .kind = COL_LEFT },
	{ 0 },
};

#define NOW "2026-03-01T12:00:00Z"

static char *text;

static const char *table(const char *rows, int width, bool color)
{
	struct rows_look look = { .width = width, .color = color };
	json_t *list = json_loads(rows, 0, NULL);
	size_t len;
	FILE *f;

	assert_non_null(list);
	assert_int_equal(time_parse(NOW, &look.now), 0);
	free(text);
	f = open_memstream(&text, &len);
	rows_table(f, list, columns, &look);
	fclose(f);
	json_decref(list);
	return text;
}

static const char *csv(const char *rows)
{
	json_t *list = json_loads(rows, 0, NULL);
	size_t len;
	FILE *f;

	assert_non_null(list);
	free(text);
	f = open_memstream(&text, &len);
	rows_csv(f, list, columns);
	fclose(f);
	json_decref(list);
	return text;
}

#define TWO                                                                                       \
	"[{\"name\":\"a-name-of-thirty-two-characters!\",\"action\":\"drop\",\"hits\":{\"n\":7}," \
	"\"bytes\":1500,\"seen\":\"2026-03-01T11:57:59.5Z\",\"ends\":\"2026-03-02T00:00:01Z\"},"  \
	"{\"name\":\"b\",\"action\":\"pass\",\"hits\":{\"n\":12345},\"bytes\":0,\"seen\":null}]"

static void columns_line_up_numbers_to_the_right(void **state)
{
	(void)state;
	assert_string_equal(table(TWO, 0, false),
			    "name                              action      n    in  seen  ends\n"
			    "a-name-of-thirty-two-characters!  drop        7  1.5k    2m  in 12h\n"
			    "b                                 pass    12345     0     -  never\n");
}

static void a_terminal_shrinks_the_elastic_column_and_nothing_else(void **state)
{
	(void)state;
	assert_string_equal(table(TWO, 54, false),
			    "name                 action      n    in  seen  ends\n"
			    "a-name-of-thirty-..  drop        7  1.5k    2m  in 12h\n"
			    "b                    pass    12345     0     -  never\n");
}

static void a_narrow_terminal_gets_short_heads_and_gaps(void **state)
{
	(void)state;
	assert_string_equal(table(TWO, 50, false),
			    "name                   act.     n   in seen ends\n"
			    "a-name-of-thirty-two.. drop     7 1.5k   2m in 12h\n"
			    "b                      pass 12345    0    - never\n");
}

static void what_cannot_shrink_becomes_blocks(void **state)
{
	(void)state;
	assert_string_equal(table(TWO, 20, false), "name    a-name-of-thirty-two-characters!\n"
						   "action  drop\n"
						   "n       7\n"
						   "in      1.5k\n"
						   "seen    2m\n"
						   "ends    in 12h\n"
						   "\n"
						   "name    b\n"
						   "action  pass\n"
						   "n       12345\n"
						   "in      0\n"
						   "seen    -\n"
						   "ends    never\n");
}

static void color_changes_no_width_and_the_word_stays(void **state)
{
	char plain[512];
	const char *p;
	char *q = plain;

	(void)state;
	for (p = table(TWO, 0, true); *p; p++) {
		if (*p == '\x1b')
			p = strchr(p, 'm');
		else
			*q++ = *p;
	}
	*q = '\0';
	assert_non_null(strstr(text, "\x1b[31mdrop\x1b[0m"));
	assert_string_equal(table(TWO, 0, false), plain);
}

/* Faults 85 and 98: the strings below come from a stranger's hello. */
static void no_string_reaches_the_table_with_a_control_character(void **state)
{
	(void)state;
	table("[{\"name\":\"\\u001b]0;owned\\u0007\\r\\n\\u007f\\u0085\\u202egpj\"}]", 0, false);
	for (const char *p = text; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
	/* The header and one row: no line was made by the name. */
	assert_string_equal(strchr(strchr(text, '\n') + 1, '\n'), "\n");
}

static void csv_quotes_what_would_break_a_cell(void **state)
{
	(void)state;
	assert_string_equal(
		csv("[{\"name\":\"a,b\",\"action\":\"say \\\"x\\\"\",\"hits\":{\"n\":-5}}]"),
		"name,action,hits_n,bytes,seen,ends\n"
		"\"a,b\",\"say \"\"x\"\"\",-5,,,\n");
}

/* Fault 98: a spreadsheet runs a cell that begins like a formula. */
static void csv_never_begins_a_cell_with_a_formula(void **state)
{
	static const char *const evil[] = { "=1+1",     "+1+A1", "-1+1",  "-",  "@",
					    "@SUM(A1)", "\\t=1", "\\r=1", " =1" };
	char rows[128];

	(void)state;
	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		const char *cell;

		snprintf(rows, sizeof(rows), "[{\"name\":\"%s\"}]", evil[i]);
		cell = strchr(csv(rows), '\n') + 1;
		cell += *cell == '"';
		assert_null(strchr("=+-@\t\r", *cell));
	}
}

static void csv_lists_are_one_cell(void **state)
{
	(void)state;
	assert_string_equal(csv("[{\"name\":[\"a\",\"b\"],\"hits\":{\"n\":1}}]"),
			    "name,action,hits_n,bytes,seen,ends\na b,,1,,,\n");
}

static void json_holds_nothing_a_terminal_obeys(void **state)
{
	json_t *o = json_pack("{s:s}", "sni", "\x1b[2J\xc2\x9b\xe2\x80\xae");
	size_t len;
	FILE *f;

	(void)state;
	free(text);
	f = open_memstream(&text, &len);
	json_print(f, o, true);
	fclose(f);
	json_decref(o);
	assert_string_equal(text, "{\"sni\":\"\\u001B[2J\\u009B\\u202E\"}\n");
}

static void a_path_finds_what_is_there_and_nothing_else(void **state)
{
	json_t *o = json_pack("{s:{s:i}, s:s}", "hits", "n", 3, "x", "y");

	(void)state;
	assert_int_equal(json_int_at(o, "hits.n"), 3);
	assert_null(json_at(o, "hits.m"));
	assert_null(json_at(o, "x.n"));
	assert_null(json_at(o, "nothing.at.all"));
	assert_string_equal(json_text_at(o, "x", "-"), "y");
	assert_string_equal(json_text_at(o, "hits", "-"), "-");
	json_decref(o);
}

static void amounts_read_as_people_write_them(void **state)
{
	char s[UNIT_TEXT];

	(void)state;
	assert_string_equal(bytes_text(0, s), "0");
	assert_string_equal(bytes_text(999, s), "999");
	assert_string_equal(bytes_text(1000, s), "1.0k");
	assert_string_equal(bytes_text(9949, s), "9.9k");
	assert_string_equal(bytes_text(9950, s), "10k");
	assert_string_equal(bytes_text(999499, s), "999k");
	assert_string_equal(bytes_text(999500, s), "1.0M");
	assert_string_equal(bytes_text(UINT64_MAX, s), "18E");
	assert_string_equal(count_text(0, s), "0");
	assert_string_equal(count_text(999, s), "999");
	assert_string_equal(count_text(1000, s), "1,000");
	assert_string_equal(count_text(UINT64_MAX, s), "18,446,744,073,709,551,615");
	assert_string_equal(ms_text(12345, s), "12.3ms");
	assert_string_equal(ms_text(250000, s), "250ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_line_up_numbers_to_the_right),
		cmocka_unit_test(a_terminal_shrinks_the_elastic_column_and_nothing_else),
		cmocka_unit_test(a_narrow_terminal_gets_short_heads_and_gaps),
		cmocka_unit_test(what_cannot_shrink_becomes_blocks),
		cmocka_unit_test(color_changes_no_width_and_the_word_stays),
		cmocka_unit_test(no_string_reaches_the_table_with_a_control_character),
		cmocka_unit_test(csv_quotes_what_would_break_a_cell),
		cmocka_unit_test(csv_never_begins_a_cell_with_a_formula),
		cmocka_unit_test(csv_lists_are_one_cell),
		cmocka_unit_test(json_holds_nothing_a_terminal_obeys),
		cmocka_unit_test(a_path_finds_what_is_there_and_nothing_else),
		cmocka_unit_test(amounts_read_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
