/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/rows.h"
#include "cli/units.h"

const struct top_list top_lists[PANE_MAX] = {
	[PANE_STACKS] = {
		"Stacks", "stacks", "No ClientHello has been named yet.", 2,
		{
			{ "stack", "stack", TOP_TEXT, 16, 0, true },
			{ "sources", "sources", TOP_COUNT, 7, 0, false },
			{ "exch/s", "exchanges_s", TOP_RATE, 7, 0, false },
			{ "conn/s", "connections_s", TOP_RATE, 7, 3, false },
			{ "exchanges", "exchanges", TOP_COUNT, 9, 4, false },
			{ "conns", "connections", TOP_COUNT, 9, 5, false },
			{ "exch/s lately", "spark", TOP_LINE, 20, 2, false },
			{ "label", "label", TOP_TEXT, 5, 6, false },
		},
	},
	[PANE_FARMS] = {
		"Farms", "farms", "No farm.", 2,
		{
			{ "farm", "id", TOP_TEXT, 4, 0, false },
			{ "state", "state", TOP_TEXT, 7, 0, false },
			{ "bits", "bits", TOP_RATE, 6, 3, false },
			{ "share", "share", TOP_SHARE, 6, 0, false },
			{ "members", "members_n", TOP_COUNT, 7, 0, false },
			{ "exchanges", "exchanges", TOP_COUNT, 9, 2, false },
			{ "ruled", "in_force", TOP_COUNT, 5, 4, false },
			{ "planned", "proposed", TOP_COUNT, 7, 5, false },
			{ "flagged", "flagged_at", TOP_AGE, 7, 6, false },
			{ "stack", "stack", TOP_TEXT, 12, 0, true },
		},
	},
	[PANE_SOURCES] = {
		"Sources", "sources", "Nothing has been tallied yet.", 2,
		{
			{ "source", "src", TOP_TEXT, 15, 0, false },
			{ "stack", "stack", TOP_TEXT, 10, 0, true },
			{ "exch/s", "exchanges_s", TOP_RATE, 6, 0, false },
			{ "exch", "exchanges", TOP_COUNT, 7, 0, false },
			{ "conns", "connections", TOP_COUNT, 7, 3, false },
			{ "R ms", "rtt_min_us", TOP_MS, 6, 4, false },
			{ "D* ms", "dstar_us", TOP_MS, 6, 0, false },
			{ "in", "bytes_in", TOP_BYTES, 5, 6, false },
			{ "out", "bytes_out", TOP_BYTES, 5, 5, false },
			{ "seen", "last_seen", TOP_AGE, 5, 2, false },
		},
	},
	[PANE_RULES] = {
		"Rules", "rules", "No rule.", 3,
		{
			{ "rule", "handle", TOP_COUNT, 6, 0, false },
			{ "action", "action", TOP_TEXT, 6, 0, false },
			{ "origin", "origin", TOP_TEXT, 8, 3, false },
			{ "hits/s", "hits_s", TOP_RATE, 6, 0, false },
			{ "hits", "hits_n", TOP_COUNT, 7, 0, false },
			{ "would", "would_hit_n", TOP_COUNT, 6, 4, false },
			{ "expires", "expires", TOP_AGE, 8, 2, false },
			{ "rule", "text", TOP_TEXT, 14, 0, true },
		},
	},
	[PANE_LOSSES] = {
		"Losses", "losses", "Nothing.", 1,
		{
			{ "what was lost", "name", TOP_TEXT, 18, 0, true },
			{ "count", "count", TOP_COUNT, 12, 0, false },
			{ "per second", "per_s", TOP_RATE, 10, 0, false },
		},
	},
};

bool top_right(enum top_kind kind)
{
	return kind != TOP_TEXT && kind != TOP_LINE;
}

static char *age(const char *text)
{
	char d[DURATION_TEXT], *out;
	struct timespec ts;
	uint64_t t, now;

	if (time_parse(text, &t))
		return strdup("-");
	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * NSEC_PER_SEC;
	if (t <= now)
		return strdup(duration_text((now - t) / NSEC_PER_SEC * NSEC_PER_SEC, 1, d));
	return asprintf(&out, "in %s", duration_text(t - now, 1, d)) < 0 ? NULL : out;
}

char *top_cell(const struct top_column *col, const json_t *row)
{
	const json_t *v = json_at(row, col->key);
	double x = json_number_value(v);
	char s[UNIT_TEXT], *out;
	int len = 0;

	if (!v || json_is_null(v) || (col->kind == TOP_LINE))
		return strdup(col->kind == TOP_LINE ? "" : "-");
	switch (col->kind) {
	case TOP_COUNT:
		return strdup(count_text((uint64_t)x, s));
	case TOP_RATE:
		len = asprintf(&out, x < 99.95 && x > -99.95 ? "%.1f" : "%.0f", x);
		break;
	case TOP_BYTES:
		return strdup(bytes_text((uint64_t)x, s));
	case TOP_SHARE:
		len = asprintf(&out, "%.1f%%", 100 * x);
		break;
	case TOP_MS:
		len = asprintf(&out, "%.1f", x / 1000);
		break;
	case TOP_AGE:
		return age(json_is_string(v) ? json_string_value(v) : "");
	default:
		return text_safe(json_is_string(v) ? json_string_value(v) : "?");
	}
	return len < 0 ? NULL : out;
}

int top_sort_column(const struct top_view *v)
{
	return v->sort[v->pane] < 0 ? top_lists[v->pane].sort : v->sort[v->pane];
}

static bool fits(const struct top_view *v, const struct top_list *l, const json_t *row)
{
	if (v->pane == PANE_SOURCES && v->stack[0] &&
	    strcmp(json_text_at(row, "stack", ""), v->stack))
		return false;
	if (!v->filter[0])
		return true;
	for (const struct top_column *c = l->column; c->head; c++) {
		_cleanup_(freep) char *text = top_cell(c, row);

		if (c->kind == TOP_TEXT && text && strcasestr(text, v->filter))
			return true;
	}
	return false;
}

struct order {
	const struct top_column *column;
	bool upside_down;
};

static double value(const json_t *row, const struct top_column *c)
{
	const json_t *v = json_at(row, c->key), *e;
	double most = -1;
	size_t i;

	if (c->kind != TOP_LINE)
		return json_is_number(v) ? json_number_value(v) : -1;
	json_array_foreach((json_t *)v, i, e)
		most = json_number_value(e) > most ? json_number_value(e) : most;
	return most;
}

/* Numbers largest first, texts A first; what is equal by its exchanges, then by its
 * name, so that a list stands still while nothing changes. */
static int compare(const void *a, const void *b, void *ctx)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	const struct order *o = ctx;
	int by = 0;

	if (o->column->kind == TOP_TEXT || o->column->kind == TOP_AGE) {
		by = strcmp(json_text_at(x, o->column->key, ""),
			    json_text_at(y, o->column->key, ""));
		by = o->column->kind == TOP_AGE ? -by : by;
	} else {
		double p = value(x, o->column), q = value(y, o->column);

		by = (q > p) - (q < p);
	}
	if (o->upside_down)
		by = -by;
	if (!by) {
		json_int_t p = json_int_at(x, "exchanges"), q = json_int_at(y, "exchanges");

		by = (q > p) - (q < p);
	}
	if (!by)
		by = strcmp(json_text_at(x, "src", json_text_at(x, "stack", "")),
			    json_text_at(y, "src", json_text_at(y, "stack", "")));
	return by;
}

const json_t **top_rows(const struct top_view *v, const json_t *page, size_t *n)
{
	const struct top_list *l = &top_lists[v->pane];
	const json_t *list = json_object_get(page, l->key), *row;
	struct order o = { &l->column[top_sort_column(v)], v->upside_down[v->pane] };
	const json_t **rows = calloc(json_array_size(list) + 1, sizeof(*rows));
	size_t i;

	*n = 0;
	if (!rows)
		return NULL;
	json_array_foreach((json_t *)list, i, row)
		if (fits(v, l, row))
			rows[(*n)++] = row;
	qsort_r(rows, *n, sizeof(*rows), compare, &o);
	return rows;
}
