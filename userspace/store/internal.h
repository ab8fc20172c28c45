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

struct store {
	sqlite3 *db;
	struct store_text *texts;
	char error[256];
};

/* Keeps the sentence and turns SQLite's code into -errno. */
int store_fail(struct store *s, int code, const char *what);

/* Prepares `sql` and binds by `types`: i int64 (as sqlite3_int64), u uint64_t
 * (as 16 hex digits), d double, s text or NULL, b blob (pointer, int). NULL on error. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql, const char *types, ...);
/* The same, run to the end. -ENOENT: no row was changed. */
int store_run(struct store *s, const char *sql, const char *types, ...);

/* Binds anew and runs a prepared statement that gives no rows. */
int store_again(struct store *s, sqlite3_stmt *q, const char *types, ...);

static inline void stmt_freep(sqlite3_stmt **q)
{
	sqlite3_finalize(*q);
}

const char *column_text(sqlite3_stmt *q, int i); /* "" for NULL */
uint64_t column_hex(sqlite3_stmt *q, int i);
uint64_t column_u64(sqlite3_stmt *q, int i);

#endif
