/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * top_view.h - a page of winnow.top/1 on a canvas.
 *
 * The same drawing serves the terminal and `top -b`. Everything that a key changes is
 * in struct top_view; top_key() changes it and says what the loop has to do.
 */
#ifndef WINNOW_CLI_TOP_VIEW_H
#define WINNOW_CLI_TOP_VIEW_H

#include <stdbool.h>

#include <jansson.h>

#include "cli/canvas.h"

enum top_pane { PANE_STACKS, PANE_FARMS, PANE_SOURCES, PANE_RULES, PANE_LOSSES, PANE_MAX };

/* Keys beyond characters. */
enum top_special {
	TOP_UP = 256,
	TOP_DOWN,
	TOP_PAGE_UP,
	TOP_PAGE_DOWN,
	TOP_HOME,
	TOP_END,
	TOP_LEFT,
	TOP_RIGHT,
	TOP_ENTER,
	TOP_ESCAPE,
	TOP_ERASE,
};

enum top_wish { TOP_STAY, TOP_QUIT, TOP_FETCH, TOP_OPEN };

struct top_view {
	enum top_pane pane;
	int sort[PANE_MAX]; /* column; -1: the pane's own */
	bool upside_down[PANE_MAX];
	int selected, first; /* row of the list; first one shown */
	char filter[64];
	char stack[128]; /* sources of this stack alone; empty: all */
	bool typing;     /* the filter */
	bool paused, help, utf8, color;
	bool batch;          /* everything, no selection */
	double stale;        /* seconds since the daemon last answered */
	const char *trouble; /* why it does not; NULL */
	const char *host, *clock;
	double every; /* seconds between pages */
	/* An opened row: its text. */
	char **lines;
	int n_lines, top_line;
	char title[160];
};

void top_view_init(struct top_view *v);

/* `page` may be NULL: nothing has come yet. */
void top_draw(struct canvas *c, struct top_view *v, const json_t *page);
/* How large a canvas must be to hold everything. */
void top_size(const struct top_view *v, const json_t *page, int *rows, int *cols);

/* `rows`: of the screen. TOP_OPEN: the selected row wants to be opened. */
enum top_wish top_key(struct top_view *v, const json_t *page, int key, int rows);
/* The selected row; NULL: there is none. */
const json_t *top_selected(const struct top_view *v, const json_t *page);

/* Shows `text`, cut into lines, until it is closed. Steals it. */
void top_open(struct top_view *v, const char *title, char *text);
void top_close(struct top_view *v);

#endif
