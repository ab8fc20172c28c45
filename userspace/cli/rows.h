/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.h - one list of JSON objects as a table, as CSV, as JSON lines.
 *
 * A command gives its columns once; every format shows the same ones.
 *
 * Table: aligned, two spaces apart. On a terminal (width > 0) elastic columns
 * shrink, then heads and gaps do; when even that is too wide each row becomes a block of lines. In
 * a pipe (width 0) nothing is ever cut. Strings go through text_escape().
 * CSV: RFC 4180 with a header of keys, values as in the JSON; a cell that a
 * spreadsheet would take for a formula starts with an apostrophe.
 */
#ifndef WINNOW_CLI_ROWS_H
#define WINNOW_CLI_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum column_kind {
	COL_TEXT,  /* strings as they are, numbers in digits */
	COL_COUNT, /* right-aligned digits */
	COL_BYTES, /* 1.2M */
	COL_AGE,   /* RFC 3339 in the past: "12s" */
	COL_LEFT,  /* RFC 3339 in the future: "in 12h"; null: "never" */
	COL_US,    /* microseconds: "12.3 ms" */
};

struct column {
	const char *head; /* in the table */
	const char *key;  /* in the object ("hits.connections"), and in CSV */
	enum column_kind kind;
	bool elastic;                           /* may shrink on a terminal */
	json_t *(*derive)(const json_t *row);   /* a new value instead of the one at key */
	const char *(*paint)(const char *text); /* SGR parameters ("31"), or NULL */
	const char *brief;                      /* head on a narrow terminal; NULL: the same */
};

struct rows_look {
	int width; /* of the terminal; 0: a pipe */
	bool color;
	uint64_t now; /* ns since 1970, for ages */
};

/* The value at "a.b"; NULL when it is not there. */
const json_t *json_at(const json_t *o, const char *path);
/* Its string, or `otherwise`. */
const char *json_text_at(const json_t *o, const char *path, const char *otherwise);
json_int_t json_int_at(const json_t *o, const char *path);

/* `cols` ends with head NULL. */
void rows_table(FILE *out, const json_t *rows, const struct column *cols,
		const struct rows_look *look);
void rows_csv(FILE *out, const json_t *rows, const struct column *cols);
/* A malloc'ed copy that a terminal cannot take for a command. */
char *text_safe(const char *s);
void csv_cell(FILE *out, const char *s);
/* One document, or one line of it; nothing beyond ASCII, so nothing a terminal obeys. */
void json_print(FILE *out, const json_t *doc, bool line);
/* The same without a line's end, `flags` jansson's. Whole or not at all: without memory
 * the program ends, for half a document with exit 0 would be taken for one. */
void json_put(FILE *out, const json_t *doc, size_t flags);

/* One object as "name  value" lines, lists one entry a line; as "name,value" CSV
 * with nested names joined by dots. */
void fields_print(FILE *out, const json_t *o);
void fields_csv(FILE *out, const json_t *o);

/* When the document was made, ns since 1970; the clock when it does not say. */
uint64_t document_time(const json_t *doc);

/* The answer to a list command in the format of the command line: `list` names
 * the array in doc, row_schema goes into each JSON line. An empty table says
 * `none` on stderr. Returns `code`. */
int rows_print(const json_t *doc, const char *list, const char *row_schema,
	       const struct column *cols, const char *none, int code);

#endif
