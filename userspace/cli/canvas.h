/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canvas.h - a page of character cells: drawn once, shown on a terminal or printed.
 *
 * Each cell holds one character (UTF-8) and a look. What is drawn past the right or
 * the lower edge is cut; whoever wants everything makes the page large enough.
 * Strings of strangers must have gone through text_safe() before.
 */
#ifndef WINNOW_CLI_CANVAS_H
#define WINNOW_CLI_CANVAS_H

#include <stdbool.h>
#include <stdio.h>

enum look {
	LOOK_PLAIN = 0,
	LOOK_BOLD = 1 << 0,
	LOOK_DIM = 1 << 1,
	LOOK_REVERSE = 1 << 2,
	LOOK_RED = 1 << 4, /* one colour at a time */
	LOOK_GREEN = 2 << 4,
	LOOK_YELLOW = 3 << 4,
	LOOK_CYAN = 4 << 4,
};
#define LOOK_COLOR(look) ((look) >> 4 & 7)

struct cell {
	char text[5]; /* UTF-8, empty: a blank */
	unsigned char look;
};

struct canvas {
	int rows, cols;
	struct cell *cell;
};

/* Blank. False: no memory. */
bool canvas_new(struct canvas *c, int rows, int cols);
void canvas_free(struct canvas *c);

/* From (y, x) on, at most `width` columns (-1: to the edge); returns the column behind. */
int canvas_put(struct canvas *c, int y, int x, int width, unsigned int look, const char *text);
int canvas_printf(struct canvas *c, int y, int x, unsigned int look, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Right-aligned in `width` columns. */
int canvas_right(struct canvas *c, int y, int x, int width, unsigned int look, const char *text);
/* Adds to the look of a whole row. */
void canvas_row(struct canvas *c, int y, unsigned int look);

/* v[n], each 0 or more, scaled to the largest. `utf8`: eighths of blocks, else ASCII. */
int canvas_spark(struct canvas *c, int y, int x, const double *v, int n, bool utf8);

/* Lines without blanks at their ends, nor empty ones at the page's. */
void canvas_print(const struct canvas *c, bool color, FILE *out);

#endif
