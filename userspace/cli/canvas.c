/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/canvas.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool canvas_new(struct canvas *c, int rows, int cols)
{
	c->rows = rows > 0 ? rows : 1;
	c->cols = cols > 0 ? cols : 1;
	c->cell = calloc((size_t)c->rows * c->cols, sizeof(*c->cell));
	return c->cell;
}

void canvas_free(struct canvas *c)
{
	free(c->cell);
	c->cell = NULL;
}

/* Bytes of the character that begins here. */
static int character(const char *s)
{
	unsigned char b = *s;
	int len = b < 0x80 ? 1 : b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc0 ? 2 : 1;

	for (int i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 1;
	return len;
}

int canvas_put(struct canvas *c, int y, int x, int width, unsigned int look, const char *text)
{
	int end = width < 0 || x + width > c->cols ? c->cols : x + width;

	if (y < 0 || y >= c->rows || x < 0)
		return x;
	while (*text && x < end) {
		struct cell *at = &c->cell[y * c->cols + x++];
		int len = character(text);

		memcpy(at->text, text, len);
		at->text[len] = '\0';
		at->look = look;
		text += len;
	}
	return x;
}

int canvas_printf(struct canvas *c, int y, int x, unsigned int look, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	return len < 0 ? x : canvas_put(c, y, x, -1, look, text);
}

int canvas_right(struct canvas *c, int y, int x, int width, unsigned int look, const char *text)
{
	int len = strlen(text);

	canvas_put(c, y, x + (len < width ? width - len : 0), width, look, text);
	return x + width;
}

void canvas_row(struct canvas *c, int y, unsigned int look)
{
	for (int x = 0; y >= 0 && y < c->rows && x < c->cols; x++)
		c->cell[y * c->cols + x].look |= look;
}

int canvas_spark(struct canvas *c, int y, int x, const double *v, int n, bool utf8)
{
	static const char *const block[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { " ", ".", ".", ":", ":", "-", "=", "+", "#" };
	double most = 0;

	for (int i = 0; i < n; i++)
		most = v[i] > most ? v[i] : most;
	for (int i = 0; i < n; i++) {
		int level = most > 0 ? (int)(8 * v[i] / most + .5) : 0;

		if (v[i] > 0 && !level)
			level = 1;
		x = canvas_put(c, y, x, 1, LOOK_CYAN, (utf8 ? block : ascii)[level]);
	}
	return x;
}

static int row_length(const struct canvas *c, int y)
{
	int len = c->cols;

	while (len && (!c->cell[y * c->cols + len - 1].text[0] ||
		       !strcmp(c->cell[y * c->cols + len - 1].text, " ")))
		len--;
	return len;
}

static void put_look(unsigned int look, FILE *out)
{
	static const int sgr[] = { 0, 31, 32, 33, 36 };

	fputs("\033[0", out);
	if (look & LOOK_BOLD)
		fputs(";1", out);
	if (look & LOOK_DIM)
		fputs(";2", out);
	if (LOOK_COLOR(look))
		fprintf(out, ";%d", sgr[LOOK_COLOR(look)]);
	fputc('m', out);
}

void canvas_print(const struct canvas *c, bool color, FILE *out)
{
	int last = c->rows;

	while (last && !row_length(c, last - 1))
		last--;
	for (int y = 0; y < last; y++) {
		unsigned int look = LOOK_PLAIN;
		int len = row_length(c, y);

		for (int x = 0; x < len; x++) {
			const struct cell *at = &c->cell[y * c->cols + x];

			if (color && (at->look & ~LOOK_REVERSE) != look) {
				look = at->look & ~LOOK_REVERSE;
				put_look(look, out);
			}
			fputs(at->text[0] ? at->text : " ", out);
		}
		fputs(color && look ? "\033[0m\n" : "\n", out);
	}
}
