/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/rows.h"
#include "cli/top_data.h"
#include "cli/top_list.h"
#include "cli/units.h"

#define HEADER_ROWS 7 /* and the heads of the list */
#define WIDE        100

void top_view_init(struct top_view *v)
{
	*v = (struct top_view){ .every = 2 };
	for (int p = 0; p < PANE_MAX; p++)
		v->sort[p] = -1;
}

/* ---- the upper part: who, how much, what was lost ------------------------------- */

static double per_s(const json_t *page, const char *name)
{
	const json_t *v = json_object_get(json_object_get(page, "rates"), name);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *rate_text(double r, char out[UNIT_TEXT])
{
	if (isnan(r))
		return strcpy(out, "-");
	if (r >= 999.5)
		return bytes_text((uint64_t)r, out);
	snprintf(out, UNIT_TEXT, r > 0 && r < 9.95 ? "%.1f" : "%.0f", r);
	return out;
}

static int put_rate(struct canvas *c, int y, int x, const char *name, double r, unsigned int look)
{
	char s[UNIT_TEXT];

	x = canvas_printf(c, y, x, LOOK_DIM, "%s ", name);
	x = canvas_put(c, y, x, -1, r > 0 ? look : LOOK_PLAIN, rate_text(r, s));
	return canvas_put(c, y, x, -1, LOOK_DIM, "/s  ");
}

static int put_spark(struct canvas *c, int y, int x, const json_t *list, bool utf8)
{
	double v[TOP_SPARK];
	const json_t *e;
	size_t i;
	int n = 0;

	json_array_foreach((json_t *)list, i, e)
		if (n < TOP_SPARK)
			v[n++] = json_number_value(e);
	return canvas_spark(c, y, x, v, n, utf8);
}

static void put_state(struct canvas *c, const struct top_view *v, const json_t *status)
{
	int x = canvas_put(c, 0, 0, -1, LOOK_BOLD, "winnow");
	char up[DURATION_TEXT];

	x = canvas_printf(c, 0, x + 1, LOOK_PLAIN, "%s  ", v->host ? v->host : "");
	if (status)
		x = canvas_printf(c, 0, x, LOOK_DIM, "up %s  ",
				  duration_text((uint64_t)json_number_value(
							json_at(status, "uptime")) *
							NSEC_PER_SEC,
						2, up));
	if (json_is_true(json_at(status, "panic")))
		x = canvas_put(c, 0, x, -1, LOOK_RED | LOOK_BOLD, "PANIC: nothing is dropped  ");
	else if (json_is_false(json_at(status, "enforce")))
		x = canvas_put(c, 0, x, -1, LOOK_YELLOW, "shadow: rules only count  ");
	else if (status)
		x = canvas_put(c, 0, x, -1, LOOK_GREEN, "enforcing  ");
	if (v->paused)
		x = canvas_put(c, 0, x, -1, LOOK_YELLOW | LOOK_BOLD, "paused  ");
	if (v->trouble && v->stale > 0)
		canvas_printf(c, 0, x, LOOK_RED | LOOK_BOLD, "stale %.0f s  ", v->stale);
	if (v->clock && !v->batch && x + (int)strlen(v->clock) <= c->cols)
		canvas_put(c, 0, c->cols - (int)strlen(v->clock), -1, LOOK_DIM, v->clock);
	else if (v->clock && v->batch)
		canvas_put(c, 0, x, -1, LOOK_DIM, v->clock);
}

static void put_devices(struct canvas *c, const json_t *status)
{
	const json_t *list = json_object_get(status, "devices"), *d;
	const json_t *farms = json_at(status, "detector.farms"), *n;
	const char *proof = json_text_at(status, "proof", "none"), *state;
	int x = 0;
	size_t i;

	if (!json_array_size(list))
		x = canvas_put(c, 1, x, -1, LOOK_YELLOW, "no device attached  ");
	json_array_foreach((json_t *)list, i, d) {
		_cleanup_(freep) char *name = text_safe(json_text_at(d, "device", "?"));
		bool gone = json_is_false(json_at(d, "alive"));

		x = canvas_printf(c, 1, x, gone ? LOOK_RED : LOOK_PLAIN, "%s %s%s  ",
				  name ? name : "?", json_text_at(d, "mode", "?"),
				  gone ? ", gone" : "");
	}
	x = canvas_printf(c, 1, x, LOOK_DIM, "proof ");
	x = canvas_printf(c, 1, x, strcmp(proof, "none") ? LOOK_PLAIN : LOOK_RED, "%s  ", proof);
	x = canvas_printf(c, 1, x, LOOK_DIM, "farms ");
	if (json_is_true(json_at(status, "detector.learning")))
		x = canvas_put(c, 1, x, -1, LOOK_YELLOW, "learning what is ordinary  ");
	i = 0;
	json_object_foreach((json_t *)farms, state, n) {
		if (!json_integer_value(n))
			continue;
		x = canvas_printf(c, 1, x,
				  !strcmp(state, "watch") || !strcmp(state, "decay") ? LOOK_CYAN
										     : LOOK_RED,
				  "%s%lld %s", i++ ? ", " : "", (long long)json_integer_value(n),
				  state);
	}
	if (!i && json_is_false(json_at(status, "detector.learning")))
		canvas_put(c, 1, x, -1, LOOK_PLAIN, "none");
}

static void put_traffic(struct canvas *c, const struct top_view *v, const json_t *page)
{
	const json_t *lines = json_object_get(page, "spark");
	int x;

	x = put_rate(c, 2, 0, "packets", per_s(page, "packets"), LOOK_PLAIN);
	x = put_rate(c, 2, x, "bytes", per_s(page, "bytes"), LOOK_PLAIN);
	if (c->cols >= WIDE)
		x = put_spark(c, 2, x, json_object_get(lines, "packets"), v->utf8) + 2;
	x = put_rate(c, 2, x, "connections", per_s(page, "conn_proved"), LOOK_PLAIN);
	put_spark(c, 2, x, json_object_get(lines, "connections"), v->utf8);
	x = put_rate(c, 3, 0, "dropped", per_s(page, "verdict_drop"), LOOK_RED);
	x = put_rate(c, 3, x, "reset", per_s(page, "verdict_reset"), LOOK_RED);
	x = put_rate(c, 3, x, "rejected", per_s(page, "verdict_reject"), LOOK_RED);
	x = put_rate(c, 3, x, "would drop", per_s(page, "would_drop"), LOOK_YELLOW);
	put_spark(c, 3, x, json_object_get(lines, "dropped"), v->utf8);
}

/* "tallies 23%  flows 1%": how full what may become full is. */
static void put_tables(struct canvas *c, const json_t *status)
{
	int x = canvas_put(c, 4, 0, -1, LOOK_DIM, "full    ");
	const json_t *list = json_object_get(status, "tables"), *t;
	size_t i;

	json_array_foreach((json_t *)list, i, t) {
		double capacity = json_number_value(json_object_get(t, "capacity"));
		double share =
			capacity > 0 ? json_number_value(json_object_get(t, "used")) / capacity : 0;

		x = canvas_printf(c, 4, x, LOOK_DIM, "%s ", json_text_at(t, "name", "?"));
		x = canvas_printf(c, 4, x,
				  share > .8   ? LOOK_RED
				  : share > .6 ? LOOK_YELLOW
					       : 0,
				  share > 0 && share < .01 ? "%.1f%%  " : "%.0f%%  ", 100 * share);
	}
}

static void put_losses(struct canvas *c, const struct top_view *v, const json_t *page)
{
	int x = canvas_put(c, 5, 0, -1, LOOK_DIM, "lost    ");
	const json_t *list = json_object_get(page, "losses"), *l;
	const json_t *troubles = json_at(page, "status.troubles");
	char s[UNIT_TEXT];
	size_t i, n = 0;

	if (v->trouble) {
		_cleanup_(freep) char *safe = text_safe(v->trouble);

		canvas_put(c, 5, 0, -1, LOOK_RED, safe);
		return;
	}
	json_array_foreach((json_t *)list, i, l) {
		json_int_t count = json_int_at(l, "count");

		if (!count)
			continue;
		x = canvas_printf(c, 5, x,
				  json_number_value(json_at(l, "per_s")) > 0 ? LOOK_RED
									     : LOOK_YELLOW,
				  "%s%s %s", n++ ? ", " : "", json_text_at(l, "name", "?"),
				  bytes_text((uint64_t)count, s));
	}
	if (!n)
		x = canvas_put(c, 5, x, -1, LOOK_GREEN, "nothing");
	if (json_array_size(troubles)) {
		_cleanup_(freep) char *safe = text_safe(
			json_text_at(json_array_get(troubles, 0), "text", "see winnow status"));

		canvas_printf(c, 5, x, LOOK_RED, "  trouble: %s", safe);
	}
}

/* ---- the list --------------------------------------------------------------------- */

static void put_tabs(struct canvas *c, const struct top_view *v, size_t shown)
{
	const struct top_list *l = &top_lists[v->pane];
	int x = 0;

	for (int p = 0; p < PANE_MAX; p++) {
		x = canvas_printf(c, HEADER_ROWS - 1, x, LOOK_DIM, "%d", p + 1);
		x = canvas_put(c, HEADER_ROWS - 1, x, -1,
			       p == (int)v->pane ? LOOK_BOLD | LOOK_CYAN : LOOK_PLAIN,
			       top_lists[p].name);
		x = canvas_put(c, HEADER_ROWS - 1, x, -1, 0, p == (int)v->pane ? "* " : "  ");
	}
	if (v->pane == PANE_SOURCES && v->stack[0])
		x = canvas_printf(c, HEADER_ROWS - 1, x, LOOK_YELLOW, "of %.24s  ", v->stack);
	if (v->typing || v->filter[0])
		x = canvas_printf(c, HEADER_ROWS - 1, x, LOOK_YELLOW, "/%s%s  ", v->filter,
				  v->typing ? "_" : "");
	canvas_printf(c, HEADER_ROWS - 1, x, LOOK_DIM, "%zu by %s%s", shown,
		      l->column[top_sort_column(v)].head,
		      v->upside_down[v->pane] ? ", upside down" : "");
}

struct layout {
	int width[TOP_COLUMNS_MAX]; /* 0: not shown */
	int n;
};

static int total(const struct layout *l)
{
	int sum = 0;

	for (int i = 0; i < l->n; i++)
		sum += l->width[i] ? l->width[i] + 1 : 0;
	return sum - 1;
}

static int least(const struct top_column *c)
{
	int head = (int)strlen(c->head);

	return c->width > head ? c->width : head;
}

/* Columns of the highest rank go until the rest fits; what is left over is the
 * elastic one's. `cells` (n rows of them) may ask for more than the least width. */
static struct layout lay_out(const struct top_list *list, char **cells, size_t n, int cols)
{
	struct layout l = { 0 };
	int elastic = 0, wish = 0;

	while (l.n < TOP_COLUMNS_MAX && list->column[l.n].head)
		l.n++;
	for (int i = 0; i < l.n; i++) {
		int most = least(&list->column[i]);

		for (size_t r = 0; r < n; r++) {
			int len = cells[r * l.n + i] ? (int)strlen(cells[r * l.n + i]) : 0;

			most = len > most ? len : most;
		}
		l.width[i] = most;
		if (list->column[i].elastic) {
			elastic = i;
			wish = most;
			l.width[i] = least(&list->column[i]);
		}
	}
	for (int rank = 9; rank && total(&l) > cols; rank--)
		for (int i = 0; i < l.n; i++)
			if (list->column[i].rank == rank)
				l.width[i] = 0;
	if (total(&l) < cols)
		l.width[elastic] += cols - total(&l);
	if (l.width[elastic] > wish && wish)
		l.width[elastic] =
			wish > least(&list->column[elastic]) ? wish : least(&list->column[elastic]);
	return l;
}

static unsigned int look_of(const struct top_column *col, const char *text, const json_t *row)
{
	if (!strcmp(col->key, "state"))
		return !strcmp(text, "watch") || !strcmp(text, "decay") ? LOOK_CYAN
		       : !strcmp(text, "enforce")                       ? LOOK_GREEN
									: LOOK_RED | LOOK_BOLD;
	if (!strcmp(col->key, "count") || !strcmp(col->key, "per_s"))
		return json_number_value(json_at(row, col->key)) > 0 ? LOOK_YELLOW : LOOK_PLAIN;
	if (!strcmp(col->key, "hits_s"))
		return json_number_value(json_at(row, "hits_s")) > 0 ? LOOK_RED : LOOK_PLAIN;
	return LOOK_PLAIN;
}

static void put_cell(struct canvas *c, int y, int x, int width, const struct top_column *col,
		     const json_t *row, const char *text, bool utf8)
{
	unsigned int look = look_of(col, text, row);

	if (col->kind == TOP_LINE)
		put_spark(c, y, x, json_at(row, col->key), utf8);
	else if (top_right(col->kind))
		canvas_right(c, y, x, width, look, text);
	else
		canvas_put(c, y, x, width, look, text);
}

static char **cells_of(const struct top_list *l, const json_t **rows, size_t n, int *cols)
{
	char **cells;

	*cols = 0;
	while (*cols < TOP_COLUMNS_MAX && l->column[*cols].head)
		++*cols;
	cells = calloc(n * *cols + 1, sizeof(*cells));
	for (size_t r = 0; cells && r < n; r++)
		for (int i = 0; i < *cols; i++)
			cells[r * *cols + i] = top_cell(&l->column[i], rows[r]);
	return cells;
}

static void cells_free(char **cells, size_t n)
{
	for (size_t i = 0; cells && i < n; i++)
		free(cells[i]);
	free(cells);
}

static int room_for_list(int rows)
{
	int room = rows - HEADER_ROWS - 2; /* the heads, the keys */

	return room > 0 ? room : 0;
}

/* Keeps the selected row on the screen. */
static void settle(struct top_view *v, int n, int room)
{
	if (v->selected >= n)
		v->selected = n - 1;
	if (v->selected < 0)
		v->selected = 0;
	if (v->first > v->selected)
		v->first = v->selected;
	if (room > 0 && v->selected >= v->first + room)
		v->first = v->selected - room + 1;
	if (v->first > n - room)
		v->first = n - room;
	if (v->first < 0)
		v->first = 0;
}

static void put_list(struct canvas *c, struct top_view *v, const json_t *page)
{
	const struct top_list *l = &top_lists[v->pane];
	_cleanup_(freep) const json_t **rows = NULL;
	int room = v->batch ? c->rows : room_for_list(c->rows), cols, y = HEADER_ROWS, x;
	struct layout at;
	size_t n, shown;
	char **cells;

	rows = top_rows(v, page, &n);
	put_tabs(c, v, n);
	if (v->batch)
		v->first = 0;
	else
		settle(v, (int)n, room);
	shown = n - v->first < (size_t)room ? n - v->first : (size_t)room;
	cells = cells_of(l, rows + v->first, shown, &cols);
	if (!cells)
		return;
	at = lay_out(l, cells, shown, c->cols);
	x = 0;
	for (int i = 0; i < at.n; i++) {
		unsigned int look = LOOK_BOLD | (i == top_sort_column(v) ? LOOK_CYAN : 0);

		if (!at.width[i])
			continue;
		if (top_right(l->column[i].kind))
			canvas_right(c, y, x, at.width[i], look, l->column[i].head);
		else
			canvas_put(c, y, x, at.width[i], look, l->column[i].head);
		x += at.width[i] + 1;
	}
	for (size_t r = 0; r < shown; r++) {
		y++;
		x = 0;
		for (int i = 0; i < at.n; i++) {
			const char *text = cells[r * cols + i];

			if (!at.width[i])
				continue;
			put_cell(c, y, x, at.width[i], &l->column[i], rows[v->first + r],
				 text ? text : "?", v->utf8);
			x += at.width[i] + 1;
		}
		if (!v->batch && v->first + (int)r == v->selected)
			canvas_row(c, y, LOOK_REVERSE);
	}
	if (!n)
		canvas_put(c, y + 1, 0, -1, LOOK_DIM,
			   v->filter[0] || v->stack[0]
				   ? "Nothing fits the filter. Esc takes it away."
				   : l->none);
	cells_free(cells, shown * cols);
}

/* ---- help, an opened row ------------------------------------------------------------ */

static const char *const help_lines[] = {
	"winnow top: the lists and their keys",
	"",
	"  1 2 3 4 5, Tab   stacks, farms, sources, rules, losses",
	"  up down          move; Page Up, Page Down, Home, End, too",
	"  Enter            open: a stack's sources, a farm's evidence, a source, a rule",
	"  Esc, left        back; takes the filter away",
	"  s, S             sort by the next column, the one before",
	"  r                upside down",
	"  /                show only rows with this text; Enter keeps it, Esc takes it away",
	"  space            pause: the page stands still",
	"  + -              ask the daemon more or less often",
	"  q                quit",
	"",
	"  D* is what timing knows of a hidden leg behind the source: large where a",
	"  proxy's exit answers TCP and somebody further away answers TLS.",
	"  `would` counts what a rule that only counts would have stopped.",
	NULL,
};

static void put_help(struct canvas *c)
{
	for (int i = 0; help_lines[i]; i++)
		canvas_put(c, i, 0, -1, i ? LOOK_PLAIN : LOOK_BOLD, help_lines[i]);
}

static void put_lines(struct canvas *c, struct top_view *v)
{
	int room = c->rows - 2;

	if (v->top_line > v->n_lines - room)
		v->top_line = v->n_lines - room;
	if (v->top_line < 0)
		v->top_line = 0;
	canvas_put(c, 0, 0, -1, LOOK_BOLD, v->title);
	for (int i = 0; i < room && v->top_line + i < v->n_lines; i++)
		canvas_put(c, i + 1, 0, -1, LOOK_PLAIN, v->lines[v->top_line + i]);
}

static void put_keys(struct canvas *c, const struct top_view *v)
{
	const char *keys = "q quit  h help  1-5 list  s sort  / filter  space pause  Enter open";
	int y = c->rows - 1;

	if (v->lines)
		keys = "Esc back  up down scroll  q quit";
	if (v->help)
		keys = "any key: back";
	if (v->typing)
		keys = "Enter keep  Esc take away";
	canvas_row(c, y, LOOK_PLAIN);
	canvas_put(c, y, 0, -1, LOOK_DIM, keys);
	if (v->lines && v->n_lines > c->rows - 2)
		canvas_printf(c, y, 40, LOOK_DIM, "line %d of %d", v->top_line + 1, v->n_lines);
}

void top_draw(struct canvas *c, struct top_view *v, const json_t *page)
{
	const json_t *status = json_object_get(page, "status");

	if (v->help) {
		put_help(c);
	} else if (v->lines) {
		put_lines(c, v);
	} else {
		put_state(c, v, status);
		if (page) {
			put_devices(c, status);
			put_traffic(c, v, page);
			put_tables(c, status);
			put_list(c, v, page);
		} else {
			canvas_put(c, 2, 0, -1, LOOK_DIM, "Asking winnowd ...");
		}
		put_losses(c, v, page);
	}
	if (!v->batch)
		put_keys(c, v);
}

void top_size(const struct top_view *v, const json_t *page, int *rows, int *cols)
{
	const struct top_list *l = &top_lists[v->pane];
	_cleanup_(freep) const json_t **list = NULL;
	size_t n;
	int n_cols, wide = 0;
	char **cells;

	list = top_rows(v, page, &n);
	cells = cells_of(l, list, n, &n_cols);
	for (int i = 0; cells && i < n_cols; i++) {
		int most = least(&l->column[i]);

		for (size_t r = 0; r < n; r++) {
			int len = cells[r * n_cols + i] ? (int)strlen(cells[r * n_cols + i]) : 0;

			most = len > most ? len : most;
		}
		wide += most + 1;
	}
	cells_free(cells, n * n_cols);
	*rows = HEADER_ROWS + 2 + (int)n;
	*cols = wide > 200 ? wide : 200;
}
