/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keys of `winnow top` do. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/rows.h"
#include "cli/top_list.h"
#include "cli/top_view.h"

#define FASTEST 0.5 /* seconds between pages */
#define SLOWEST 60.0

const json_t *top_selected(const struct top_view *v, const json_t *page)
{
	_cleanup_(freep) const json_t **rows = NULL;
	size_t n;

	rows = top_rows(v, page, &n);
	return v->selected >= 0 && (size_t)v->selected < n ? rows[v->selected] : NULL;
}

void top_close(struct top_view *v)
{
	if (v->lines)
		free(v->lines[0]);
	free(v->lines);
	v->lines = NULL;
	v->n_lines = v->top_line = 0;
}

void top_open(struct top_view *v, const char *title, char *text)
{
	int n = 1;

	top_close(v);
	for (const char *p = text; *p; p++)
		n += *p == '\n';
	v->lines = calloc(n, sizeof(*v->lines));
	if (!v->lines) {
		free(text);
		return;
	}
	/* The first line begins where the memory does; see top_close(). */
	for (char *p = text; p; v->n_lines++) {
		char *end = strchr(p, '\n');

		v->lines[v->n_lines] = p;
		if (end)
			*end++ = '\0';
		p = end;
	}
	snprintf(v->title, sizeof(v->title), "%s", title);
}

static void to_pane(struct top_view *v, int pane)
{
	v->pane = pane;
	v->selected = v->first = 0;
	v->filter[0] = '\0';
	v->stack[0] = '\0';
}

static void sort_by(struct top_view *v, int step)
{
	int n = 0;

	while (n < TOP_COLUMNS_MAX && top_lists[v->pane].column[n].head)
		n++;
	v->sort[v->pane] = (top_sort_column(v) + step + n) % n;
}

static enum top_wish type(struct top_view *v, int key)
{
	size_t len = strlen(v->filter);

	if (key == TOP_ENTER) {
		v->typing = false;
	} else if (key == TOP_ESCAPE) {
		v->typing = false;
		v->filter[0] = '\0';
	} else if (key == TOP_ERASE && len) {
		v->filter[len - 1] = '\0';
	} else if (key >= ' ' && key < 127 && len + 1 < sizeof(v->filter)) {
		v->filter[len] = (char)key;
		v->filter[len + 1] = '\0';
	}
	v->selected = v->first = 0;
	return TOP_STAY;
}

/* By how far a key moves; 0: it does not. */
static int movement(int key, int rows)
{
	int page = rows > 12 ? rows - 10 : 1;

	switch (key) {
	case TOP_UP:
	case 'k':
		return -1;
	case TOP_DOWN:
	case 'j':
		return 1;
	case TOP_PAGE_UP:
		return -page;
	case TOP_PAGE_DOWN:
		return page;
	case TOP_HOME:
		return -1000000;
	case TOP_END:
		return 1000000;
	default:
		return 0;
	}
}

static enum top_wish read_lines(struct top_view *v, int key, int rows)
{
	if (key == 'q')
		return TOP_QUIT;
	if (movement(key, rows)) {
		v->top_line += movement(key, rows);
		if (v->top_line < 0)
			v->top_line = 0;
		return TOP_STAY;
	}
	if (key == TOP_ESCAPE || key == TOP_LEFT || key == TOP_ERASE || key == TOP_ENTER)
		top_close(v);
	return TOP_STAY;
}

static enum top_wish enter(struct top_view *v, const json_t *page)
{
	const json_t *row = top_selected(v, page);

	if (!row || v->pane == PANE_LOSSES)
		return TOP_STAY;
	if (v->pane != PANE_STACKS)
		return TOP_OPEN;
	to_pane(v, PANE_SOURCES);
	snprintf(v->stack, sizeof(v->stack), "%s", json_text_at(row, "stack", "?"));
	return TOP_FETCH;
}

static enum top_wish back(struct top_view *v)
{
	if (v->filter[0]) {
		v->filter[0] = '\0';
	} else if (v->stack[0]) {
		to_pane(v, PANE_STACKS);
		return TOP_FETCH;
	}
	return TOP_STAY;
}

enum top_wish top_key(struct top_view *v, const json_t *page, int key, int rows)
{
	if (v->help) {
		v->help = false;
		return key == 'q' ? TOP_QUIT : TOP_STAY;
	}
	if (v->typing)
		return type(v, key);
	if (v->lines)
		return read_lines(v, key, rows);
	if (movement(key, rows)) {
		v->selected += movement(key, rows);
		return TOP_STAY; /* top_draw() keeps it inside */
	}
	if (key >= '1' && key < '1' + PANE_MAX) {
		to_pane(v, key - '1');
		return TOP_FETCH;
	}
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case '\t':
	case TOP_RIGHT:
		to_pane(v, (v->pane + 1) % PANE_MAX);
		return TOP_FETCH;
	case 'h':
	case '?':
		v->help = true;
		return TOP_STAY;
	case 's':
	case 'S':
		sort_by(v, key == 's' ? 1 : -1);
		return TOP_STAY;
	case 'r':
		v->upside_down[v->pane] = !v->upside_down[v->pane];
		return TOP_STAY;
	case ' ':
		v->paused = !v->paused;
		return v->paused ? TOP_STAY : TOP_FETCH;
	case '/':
		v->typing = true;
		return TOP_STAY;
	case '+':
		v->every = v->every / 2 < FASTEST ? FASTEST : v->every / 2;
		return TOP_STAY;
	case '-':
		v->every = v->every * 2 > SLOWEST ? SLOWEST : v->every * 2;
		return TOP_STAY;
	case TOP_ENTER:
		return enter(v, page);
	case TOP_ESCAPE:
	case TOP_LEFT:
	case TOP_ERASE:
		return back(v);
	default:
		return TOP_STAY;
	}
}
