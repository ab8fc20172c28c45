/* SPDX-License-Identifier: BSD-2-Clause */
/* top_list.h - the lists of `winnow top`: their columns, order, filter and rows. */
#ifndef WINNOW_CLI_TOP_LIST_H
#define WINNOW_CLI_TOP_LIST_H

#include <stddef.h>

#include "cli/top_view.h"

enum top_kind { TOP_TEXT, TOP_COUNT, TOP_RATE, TOP_BYTES, TOP_SHARE, TOP_MS, TOP_AGE, TOP_LINE };

struct top_column {
	const char *head;
	const char *key; /* path in the row */
	enum top_kind kind;
	int width;    /* of text: at least */
	int rank;     /* narrow screens drop the highest first; 0: never */
	bool elastic; /* takes the room that is left */
};

#define TOP_COLUMNS_MAX 12

struct top_list {
	const char *name, *key; /* in the page */
	const char *none;       /* said when it is empty */
	int sort;               /* column it is sorted by unless told otherwise */
	struct top_column column[TOP_COLUMNS_MAX];
};

extern const struct top_list top_lists[PANE_MAX];

/* The rows as they are shown: filtered and sorted. *n of them; free() the array, the
 * rows stay the page's. NULL with *n 0: none, or no memory. */
const json_t **top_rows(const struct top_view *v, const json_t *page, size_t *n);
int top_sort_column(const struct top_view *v);
/* The cell's text: malloc'ed, safe for a terminal, ASCII. */
char *top_cell(const struct top_column *col, const json_t *row);
/* Numbers stand right. */
bool top_right(enum top_kind kind);

#endif
