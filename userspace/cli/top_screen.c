/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_screen.h"

#include <errno.h>
#include <stdlib.h>
#include <poll.h>
#include <unistd.h>

#include <ncurses.h>

#include "cli/top_view.h"

static SCREEN *screen;

int screen_open(bool color)
{
	static const short colors[] = { -1, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_CYAN };

	set_escdelay(25); /* a lone Esc is a key */
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -EINVAL;
	atexit(screen_close); /* whoever ends us */
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, true);
	curs_set(0);
	if (color && has_colors()) {
		start_color();
		use_default_colors();
		for (short i = 1; i < 5; i++)
			init_pair(i, colors[i], -1);
	}
	return 0;
}

void screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

void screen_size(int *rows, int *cols)
{
	getmaxyx(stdscr, *rows, *cols);
}

static attr_t attributes(unsigned int look)
{
	return (look & LOOK_BOLD ? A_BOLD : 0) | (look & LOOK_DIM ? A_DIM : 0) |
	       (look & LOOK_REVERSE ? A_REVERSE : 0);
}

void screen_show(const struct canvas *c)
{
	erase();
	for (int y = 0; y < c->rows; y++) {
		move(y, 0);
		for (int x = 0; x < c->cols; x++) {
			const struct cell *at = &c->cell[y * c->cols + x];

			attr_set(attributes(at->look), (short)LOOK_COLOR(at->look), NULL);
			addstr(at->text[0] ? at->text : " ");
		}
	}
	attr_set(A_NORMAL, 0, NULL);
	refresh();
}

int screen_key(int ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	int key;

	timeout(0);
	key = getch();
	if (key == ERR) {
		/* A terminal that hung up is readable and empty for ever. */
		if (poll(&in, 1, ms) > 0 && in.revents & (POLLHUP | POLLERR | POLLNVAL))
			return SCREEN_GONE;
		key = getch();
	}
	switch (key) {
	case ERR:
	case KEY_RESIZE:
		return SCREEN_NONE;
	case KEY_UP:
		return TOP_UP;
	case KEY_DOWN:
		return TOP_DOWN;
	case KEY_PPAGE:
		return TOP_PAGE_UP;
	case KEY_NPAGE:
		return TOP_PAGE_DOWN;
	case KEY_HOME:
		return TOP_HOME;
	case KEY_END:
		return TOP_END;
	case KEY_LEFT:
		return TOP_LEFT;
	case KEY_RIGHT:
		return TOP_RIGHT;
	case KEY_ENTER:
	case '\r':
	case '\n':
		return TOP_ENTER;
	case KEY_BACKSPACE:
	case 127:
	case '\b':
		return TOP_ERASE;
	case 27:
		return TOP_ESCAPE;
	default:
		return key < 256 ? key : SCREEN_NONE;
	}
}
