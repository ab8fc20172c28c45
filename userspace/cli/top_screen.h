/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * top_screen.h - a canvas on the terminal, and its keys: the only file that knows
 * ncurses.
 */
#ifndef WINNOW_CLI_TOP_SCREEN_H
#define WINNOW_CLI_TOP_SCREEN_H

#include <stdbool.h>

#include "cli/canvas.h"

#define SCREEN_NONE (-1) /* no key in that time, or the size has changed */
#define SCREEN_GONE (-2) /* the terminal has gone away */

/* -EINVAL: $TERM is not known. */
int screen_open(bool color);
void screen_close(void);

void screen_size(int *rows, int *cols);
void screen_show(const struct canvas *c);

/* A character, an enum top_special, or one of the above. */
int screen_key(int ms);

#endif
