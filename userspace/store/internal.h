/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - what the files of store/ share.
 */
#ifndef WINNOW_STORE_INTERNAL_H
#define WINNOW_STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"

/* A word that rows share, kept as long as the store. */
struct store_text {
	struct store_text *next;
	char text[];
};

/* Statements that are run once a rule or name stay compiled; found by address,
 * so their text must be a literal. */
#define KEPT_MAX 64

struct store {
	sqlite3 *db;
	struct {
		const char *sql;
		sqlite3_stmt *q;
	} kept[KEPT_MAX];
	struct store_text *texts;
	char error[256];
};

/* Keeps the sentence and turns SQLite's code into -errno. */
int store_fail(struct store *s, int code, const char *what);
/* -ENOMEM, with its sentence. */
int store_no_memory(struct store *s);

/* Prepares `sql` and binds by `types`: i int64 (as sqlite3_int64), u uint64_t
 * (as 16 hex digits), d double, s text or NULL, b blob (pointer, int). NULL on error. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql, const char *types, ...);
/* The same, kept compiled and run to the end. -ENOENT: no row was changed. */
int store_run(struct store *s, const char *sql, const char *types, ...);

static inline void stmt_freep(sqlite3_stmt **q)
{
	sqlite3_finalize(*q);
}

const char *column_text(sqlite3_stmt *q, int i); /* "" for NULL */
uint64_t column_hex(sqlite3_stmt *q, int i);
uint64_t column_u64(sqlite3_stmt *q, int i);

#endif
