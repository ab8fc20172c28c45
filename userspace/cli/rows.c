/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/rows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/units.h"

#define COLUMNS_MAX   24
#define ELASTIC_LEAST 16 /* narrower than this a name says little ... */
#define ELASTIC_BRIEF 8  /* ... and than this, nothing */

const json_t *json_at(const json_t *o, const char *path)
{
	char key[64];

	for (;;) {
		const char *dot = strchr(path, '.');
		size_t len = dot ? (size_t)(dot - path) : strlen(path);

		if (len >= sizeof(key))
			return NULL;
		memcpy(key, path, len);
		key[len] = '\0';
		o = json_object_get(o, key);
		if (!o || !dot)
			return o;
		path = dot + 1;
	}
}

const char *json_text_at(const json_t *o, const char *path, const char *otherwise)
{
	const char *s = json_string_value(json_at(o, path));

	return s ? s : otherwise;
}

json_int_t json_int_at(const json_t *o, const char *path)
{
	return json_integer_value(json_at(o, path));
}

/* A value as JSON has it, without quotes: for CSV, and for odd values in a table. */
static char *value_raw(const json_t *v)
{
	size_t len = 0, i;
	char *text = NULL;
	const json_t *e;
	FILE *f;

	if (!v || json_is_null(v))
		return strdup("");
	if (json_is_string(v))
		return strdup(json_string_value(v));
	if (!json_is_array(v))
		return json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII |
					     JSON_REAL_PRECISION(12));
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	json_array_foreach((json_t *)v, i, e) {
		char *one = value_raw(e);

		fprintf(f, "%s%s", i ? " " : "", one ? one : "?");
		free(one);
	}
	fclose(f);
	return text;
}

char *text_safe(const char *s)
{
	size_t len = strlen(s);
	char *out = malloc(TEXT_ESCAPED(len));

	if (!out)
		cli_no_memory();
	text_escape(s, len, out, TEXT_ESCAPED(len));
	return out;
}

/* "12s" since then, or "in 12h" until then; NULL: v is no time. */
static char *time_value(const json_t *v, enum column_kind kind, uint64_t now)
{
	char d[DURATION_TEXT], *text;
	uint64_t t;

	if (!json_is_string(v) || time_parse(json_string_value(v), &t))
		return NULL;
	if (kind == COL_AGE)
		return strdup(
			duration_text(now > t ? (now - t) / NSEC_PER_SEC * NSEC_PER_SEC : 0, 1, d));
	if (t <= now)
		return strdup("expired");
	return asprintf(&text, "in %s", duration_text(t - now, 1, d)) < 0 ? NULL : text;
}

static char *value_text(const json_t *v, enum column_kind kind, uint64_t now)
{
	_cleanup_(freep) char *raw = NULL;
	char s[UNIT_TEXT];

	if (!v || json_is_null(v))
		return strdup(kind == COL_LEFT ? "never" : "-");
	if (kind == COL_BYTES && json_is_integer(v) && json_integer_value(v) >= 0)
		return strdup(bytes_text(json_integer_value(v), s));
	if (kind == COL_US && json_is_number(v))
		return strdup(ms_text(json_number_value(v), s));
	if (kind == COL_AGE || kind == COL_LEFT) {
		char *text = time_value(v, kind, now);

		if (text)
			return text;
	}
	raw = value_raw(v);
	return raw ? text_safe(*raw ? raw : "-") : NULL;
}

/* All ASCII: one byte, one column. */
static void text_cut(char *s, size_t columns)
{
	if (strlen(s) <= columns)
		return;
	s[columns] = '\0';
	if (columns >= 2)
		memcpy(s + columns - 2, "..", 2);
}

static char *cell(const struct column *c, const json_t *row, bool raw, uint64_t now)
{
	json_t *own = c->derive ? c->derive(row) : NULL;
	const json_t *v = c->derive ? own : json_at(row, c->key);
	char *text = raw ? value_raw(v) : value_text(v, c->kind, now);

	json_decref(own);
	if (!text)
		abort(); /* no memory for one word */
	return text;
}

static bool right_aligned(enum column_kind kind)
{
	return kind != COL_TEXT && kind != COL_LEFT;
}

/* How a table is laid out: roomy, or brief where a terminal is narrow. */
struct layout {
	size_t width[COLUMNS_MAX];
	size_t n;
	bool brief, color;
};

static const char *head_of(const struct layout *l, const struct column *c)
{
	return l->brief && c->brief ? c->brief : c->head;
}

static void put_cell(FILE *out, const struct layout *l, const struct column *cols, size_t c,
		     const char *text)
{
	const char *sgr = l->color && cols[c].paint ? cols[c].paint(text) : NULL;
	size_t own = strlen(text);
	int pad = l->width[c] > own ? (int)(l->width[c] - own) : 0;
	bool last = c + 1 == l->n;

	if (right_aligned(cols[c].kind))
		fprintf(out, "%*s", pad, "");
	if (sgr)
		fprintf(out, "\033[%sm%s\033[0m", sgr, text);
	else
		fputs(text, out);
	if (!right_aligned(cols[c].kind) && !last)
		fprintf(out, "%*s", pad, "");
	fputs(last ? "\n" : l->brief ? " " : "  ", out);
}

static void put_table(FILE *out, const struct layout *l, const struct column *cols, char **cells,
		      size_t n_cells)
{
	struct column heads[COLUMNS_MAX];

	for (size_t c = 0; c < l->n; c++)
		heads[c] = (struct column){ .kind = cols[c].kind };
	if (l->color)
		fputs("\033[1m", out);
	for (size_t c = 0; c < l->n; c++)
		put_cell(out, l, heads, c, head_of(l, &cols[c]));
	if (l->color)
		fputs("\033[0m", out);
	for (size_t i = 0; i < n_cells; i++) {
		text_cut(cells[i], l->width[i % l->n]);
		put_cell(out, l, cols, i % l->n, cells[i]);
	}
}

/* Too narrow for columns: each row is a block of "head  value" lines. */
static void put_blocks(FILE *out, const struct layout *l, const struct column *cols, char **cells,
		       size_t n_cells)
{
	size_t head = 0;

	for (size_t c = 0; c < l->n; c++)
		head = strlen(cols[c].head) > head ? strlen(cols[c].head) : head;
	for (size_t i = 0; i < n_cells; i++) {
		const struct column *c = &cols[i % l->n];
		const char *sgr = l->color && c->paint ? c->paint(cells[i]) : NULL;

		if (i && i % l->n == 0)
			fputc('\n', out);
		fprintf(out, "%-*s  ", (int)head, c->head);
		fprintf(out, sgr ? "\033[%sm%s\033[0m\n" : "%s%s\n", sgr ? sgr : "", cells[i]);
	}
}

/* Sets the widths; takes what is too much from the widest elastic columns.
 * False: even that does not fit into `room` (0: any width will do). */
static bool layout_fits(struct layout *l, const struct column *cols, const size_t *widest_cell,
			size_t room)
{
	size_t least = l->brief ? ELASTIC_BRIEF : ELASTIC_LEAST;
	size_t total = (l->brief ? 1 : 2) * (l->n - 1);

	for (size_t c = 0; c < l->n; c++) {
		size_t head = strlen(head_of(l, &cols[c]));

		l->width[c] = widest_cell[c] > head ? widest_cell[c] : head;
		total += l->width[c];
	}
	for (; room && total > room; total--) {
		size_t most = l->n;

		for (size_t c = 0; c < l->n; c++)
			if (cols[c].elastic && l->width[c] > least &&
			    (most == l->n || l->width[c] > l->width[most]))
				most = c;
		if (most == l->n)
			return false;
		l->width[most]--;
	}
	return true;
}

void rows_table(FILE *out, const json_t *rows, const struct column *cols,
		const struct rows_look *look)
{
	struct layout l = { .color = look->color };
	size_t widest[COLUMNS_MAX] = { 0 }, n_cells;
	_cleanup_(freep) char **cells = NULL;
	bool fits;

	while (cols[l.n].head && l.n < COLUMNS_MAX)
		l.n++;
	n_cells = json_array_size(rows) * l.n;
	cells = calloc(n_cells + 1, sizeof(*cells));
	if (!cells)
		return;
	for (size_t i = 0; i < n_cells; i++) {
		size_t c = i % l.n, len;

		cells[i] = cell(&cols[c], json_array_get(rows, i / l.n), false, look->now);
		len = strlen(cells[i]);
		widest[c] = len > widest[c] ? len : widest[c];
	}
	fits = layout_fits(&l, cols, widest, look->width);
	if (!fits) {
		l.brief = true;
		fits = layout_fits(&l, cols, widest, look->width);
	}
	if (fits)
		put_table(out, &l, cols, cells, n_cells);
	else
		put_blocks(out, &l, cols, cells, n_cells);
	for (size_t i = 0; i < n_cells; i++)
		free(cells[i]);
}

/* A formula injected through a reason or a name must stay text (fault 98); a
 * negative number may stay a number. */
static bool is_formula(const char *s)
{
	char *end;

	if (!*s || !strchr("=+-@", *s))
		return false;
	strtod(s, &end);
	return *end || end == s;
}

void csv_cell(FILE *out, const char *s)
{
	_cleanup_(freep) char *safe = text_safe(s);
	bool formula = is_formula(safe);

	if (!formula && !strpbrk(safe, ",\"")) {
		fputs(safe, out);
		return;
	}
	fputs(formula ? "\"'" : "\"", out);
	for (const char *p = safe; *p; p++) {
		if (*p == '"')
			fputc('"', out);
		fputc(*p, out);
	}
	fputc('"', out);
}

void rows_csv(FILE *out, const json_t *rows, const struct column *cols)
{
	const json_t *row;
	size_t i;

	for (const struct column *c = cols; c->head; c++) {
		if (c != cols)
			fputc(',', out);
		for (const char *p = c->key; *p; p++)
			fputc(*p == '.' ? '_' : *p, out);
	}
	fputc('\n', out);
	json_array_foreach((json_t *)rows, i, row) {
		for (const struct column *c = cols; c->head; c++) {
			_cleanup_(freep) char *text = cell(c, row, true, 0);

			if (c != cols)
				fputc(',', out);
			csv_cell(out, text ? text : "");
		}
		fputc('\n', out);
	}
}

void fields_print(FILE *out, const json_t *o)
{
	size_t width = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v)
		width = strlen(key) > width ? strlen(key) : width;
	json_object_foreach((json_t *)o, key, v) {
		size_t n = json_is_array(v) && json_array_size(v) ? json_array_size(v) : 1;

		for (size_t i = 0; i < n; i++) {
			const json_t *one = json_array_size(v) ? json_array_get(v, i) : v;
			_cleanup_(freep) char *text = value_text(one, COL_TEXT, 0);

			fprintf(out, "%-*s  %s\n", (int)width, i ? "" : key, text ? text : "?");
		}
	}
}

static void fields_below(FILE *out, const char *prefix, const json_t *o)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		char name[256];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_is_object(v)) {
			fields_below(out, name, v);
		} else {
			_cleanup_(freep) char *text = value_raw(v);

			csv_cell(out, name);
			fputc(',', out);
			csv_cell(out, text ? text : "");
			fputc('\n', out);
		}
	}
}

void fields_csv(FILE *out, const json_t *o)
{
	fputs("name,value\n", out);
	fields_below(out, "", o);
}

void json_put(FILE *out, const json_t *doc, size_t flags)
{
	_cleanup_(freep) char *text = json_dumps(doc, JSON_ENSURE_ASCII | flags);

	if (!text)
		exit(cli_fail(CLI_NO, "print the answer: out of memory"));
	fputs(text, out);
}

void json_print(FILE *out, const json_t *doc, bool line)
{
	json_put(out, doc,
		 JSON_ENCODE_ANY | JSON_REAL_PRECISION(12) |
			 (line ? JSON_COMPACT : JSON_INDENT(2)));
	fputc('\n', out);
}

static void row_line(const json_t *row, const char *schema)
{
	json_t *o = json_pack("{s:s}", "schema", schema);

	/* The schema comes first, then the row as it is; a row that has one keeps it. */
	if (o)
		json_object_update(o, (json_t *)row);
	json_print(stdout, o ? o : row, true);
	json_decref(o);
}

uint64_t document_time(const json_t *doc)
{
	uint64_t now;

	if (time_parse(json_text_at(doc, "time", ""), &now))
		now = (uint64_t)time(NULL) * NSEC_PER_SEC;
	return now;
}

int rows_print(const json_t *doc, const char *list, const char *row_schema,
	       const struct column *cols, const char *none, int code)
{
	const json_t *rows = json_object_get(doc, list), *row;
	struct rows_look look = { cli.width, cli.color, document_time(doc) };
	size_t i;

	switch (cli.format) {
	case FORMAT_JSON:
		json_print(stdout, doc, false);
		break;
	case FORMAT_JSONL:
		json_array_foreach((json_t *)rows, i, row)
			row_line(row, row_schema);
		break;
	case FORMAT_CSV:
		rows_csv(stdout, rows, cols);
		break;
	case FORMAT_TABLE:
		if (json_array_size(rows))
			rows_table(stdout, rows, cols, &look);
		else
			fprintf(stderr, "%s\n", none);
		break;
	}
	return code;
}
