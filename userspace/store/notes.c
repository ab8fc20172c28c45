/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "base/cleanup.h"
#include "store/internal.h"

int store_note_put(struct store *s, const struct note_row *row)
{
	return store_run(s,
			 "INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
			 " ON CONFLICT (kind, id) DO UPDATE SET mark = ?3, text = ?4, uid = ?5,"
			 " created = ?6",
			 "ssssii", row->kind, row->id, row->mark, row->text,
			 (sqlite3_int64)row->uid, (sqlite3_int64)row->created);
}

int store_note_remove(struct store *s, const char *kind, const char *id)
{
	return store_run(s, "DELETE FROM notes WHERE kind = ?1 AND id = ?2", "ss", kind, id);
}

int store_notes(struct store *s, void (*fn)(void *ctx, const struct note_row *row), void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(
		s, "SELECT kind, id, mark, text, uid, created FROM notes ORDER BY kind, id", "");
	int code;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		struct note_row row = { column_text(q, 0), column_text(q, 1), column_text(q, 2),
					column_text(q, 3), column_u64(q, 4),  column_u64(q, 5) };

		fn(ctx, &row);
	}
	return store_fail(s, code, "read notes");
}
