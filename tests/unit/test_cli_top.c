/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow top` without a terminal: what a page says, and that drawing it stays inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/rows.h"
#include "cli/top_data.h"
#include "cli/top_view.h"

#define SECOND 1000000000ULL

static json_t *doc(const char *text)
{
	json_t *d = json_loads(text, 0, NULL);

	assert_non_null(d);
	return d;
}

/* A daemon of process `pid` that has counted so much. */
static json_t *page(struct top_history *h, uint64_t at, int pid, int packets, int exchanges)
{
	struct top_documents d = {
		.status = json_pack("{s:i, s:b, s:b, s:{s:i, s:i}, s:{s:i}, s:[{s:s, s:i, s:i}]}",
				    "pid", pid, "panic", 0, "enforce", 0, "counters", "packets",
				    packets, "verdict_drop", packets / 10, "losses", "ring_lost",
				    packets / 100, "tables", "name", "tallies", "used", 7,
				    "capacity", 10),
		.fingerprints =
			json_pack("{s:[{s:s, s:i, s:i, s:i}, {s:s, s:i, s:i, s:i}]}",
				  "fingerprints", "stack", "t13d_big", "sources", 3, "connections",
				  5, "exchanges", exchanges, "stack", "t13d_\x1b[2Jsmall",
				  "sources", 400, "connections", 500, "exchanges", 1),
		.farms = doc("{\"farms\":[{\"id\":\"f1\",\"state\":\"flag\",\"share\":0.015,"
			     "\"bits\":12.5,\"members\":[{\"exchanges\":7},{\"exchanges\":5}],"
			     "\"rules\":[{\"handle\":4},{\"handle\":null}]}]}"),
	};
	json_t *p = top_page(h, &d, at);

	top_documents_clear(&d);
	assert_non_null(p);
	return p;
}

static char *drawn(struct top_view *v, const json_t *p, int rows, int cols)
{
	char *text = NULL;
	struct canvas c;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_true(canvas_new(&c, rows, cols));
	top_draw(&c, v, p);
	canvas_print(&c, false, f);
	fclose(f);
	canvas_free(&c);
	return text;
}

static void rates_are_differences_over_seconds(void **state)
{
	struct top_history *h = top_history_new();
	json_t *p = page(h, 10 * SECOND, 1, 1000, 40);

	(void)state;
	assert_true(json_is_null(json_at(p, "rates.packets")));
	assert_true(json_is_null(json_at(p, "seconds")));
	json_decref(p);
	p = page(h, 14 * SECOND, 1, 3000, 60);
	assert_int_equal(json_number_value(json_at(p, "rates.packets")), 500);
	assert_int_equal(json_number_value(json_at(p, "rates.dropped")), 50);
	assert_int_equal(json_number_value(
				 json_object_get(json_array_get(json_object_get(p, "stacks"), 0),
						 "exchanges_s")),
			 5);
	assert_int_equal(json_array_size(json_at(p, "spark.packets")), 1);
	json_decref(p);
	top_history_free(h);
}

/* Else a daemon that was restarted would show a rate of minus a million. */
static void a_new_daemon_begins_anew(void **state)
{
	struct top_history *h = top_history_new();
	json_t *p;

	(void)state;
	json_decref(page(h, SECOND, 1, 100000, 40));
	p = page(h, 2 * SECOND, 2, 100, 1);
	assert_true(json_is_null(json_at(p, "rates.packets")));
	json_decref(p);
	p = page(h, 3 * SECOND, 2, 300, 1);
	assert_int_equal(json_number_value(json_at(p, "rates.packets")), 200);
	json_decref(p);
	top_history_free(h);
}

static void farms_are_summed_and_lose_their_members(void **state)
{
	struct top_history *h = top_history_new();
	json_t *p = page(h, SECOND, 1, 100, 40);
	const json_t *f = json_array_get(json_object_get(p, "farms"), 0);

	(void)state;
	assert_int_equal(json_int_at(f, "members_n"), 2);
	assert_int_equal(json_int_at(f, "exchanges"), 12);
	assert_int_equal(json_int_at(f, "in_force"), 1);
	assert_int_equal(json_int_at(f, "proposed"), 2);
	assert_null(json_object_get(f, "members"));
	json_decref(p);
	top_history_free(h);
}

/* Fault 85. Every size, every list, opened rows and help: never past an edge, and no
 * escape code of a stranger's name. */
static void it_draws_inside_any_screen(void **state)
{
	struct top_history *h = top_history_new();
	json_t *p = page(h, SECOND, 1, 100, 40);
	struct top_view v;

	(void)state;
	top_view_init(&v);
	v.host = "edge1";
	v.clock = "00:00:00Z";
	for (int rows = 1; rows < 40; rows += 3)
		for (int cols = 1; cols < 130; cols += 7)
			for (int pane = 0; pane < PANE_MAX + 3; pane++) {
				_cleanup_(freep) char *text = NULL;

				v.help = pane == PANE_MAX;
				if (pane == PANE_MAX + 1)
					top_open(&v, "a title", strdup("one\ntwo\n"));
				v.pane = pane < PANE_MAX ? pane : PANE_STACKS;
				text = drawn(&v, pane == PANE_MAX + 2 ? NULL : p, rows, cols);
				assert_null(strchr(text, '\x1b'));
				for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n"))
					assert_true(strlen(l) <= (size_t)cols);
				top_close(&v);
			}
	json_decref(p);
	top_history_free(h);
}

static const char *first_row(struct top_view *v, const json_t *p, char **text)
{
	char *line;

	free(*text);
	*text = drawn(v, p, 24, 80);
	line = *text;
	for (int i = 0; i < 8; i++)
		line = strchr(line, '\n') + 1;
	return line;
}

static void keys_sort_filter_and_open(void **state)
{
	struct top_history *h = top_history_new();
	json_t *p = page(h, SECOND, 1, 100, 40);
	_cleanup_(freep) char *text = NULL;
	struct top_view v;

	(void)state;
	top_view_init(&v);
	assert_memory_equal(first_row(&v, p, &text), "t13d_big", 8);
	top_key(&v, p, 'S', 24); /* by sources */
	assert_memory_equal(first_row(&v, p, &text), "t13d_\\x1b", 9);
	top_key(&v, p, 'r', 24);
	assert_memory_equal(first_row(&v, p, &text), "t13d_big", 8);
	top_key(&v, p, '/', 24);
	top_key(&v, p, 's', 24);
	top_key(&v, p, 'm', 24);
	assert_memory_equal(first_row(&v, p, &text), "t13d_\\x1b", 9);
	assert_null(strstr(text, "t13d_big"));
	top_key(&v, p, TOP_ENTER, 24);
	assert_int_equal(top_key(&v, p, TOP_ENTER, 24), TOP_FETCH); /* its sources */
	assert_int_equal(v.pane, PANE_SOURCES);
	assert_string_equal(v.stack, "t13d_\x1b[2Jsmall");
	assert_int_equal(top_key(&v, p, TOP_ESCAPE, 24), TOP_FETCH);
	assert_int_equal(v.pane, PANE_STACKS);
	top_key(&v, p, '2', 24);
	assert_int_equal(top_key(&v, p, TOP_ENTER, 24), TOP_OPEN);
	assert_string_equal(json_text_at(top_selected(&v, p), "id", ""), "f1");
	assert_int_equal(top_key(&v, p, 'q', 24), TOP_QUIT);
	json_decref(p);
	top_history_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_differences_over_seconds),
		cmocka_unit_test(a_new_daemon_begins_anew),
		cmocka_unit_test(farms_are_summed_and_lose_their_members),
		cmocka_unit_test(it_draws_inside_any_screen),
		cmocka_unit_test(keys_sort_filter_and_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
