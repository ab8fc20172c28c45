/* SPDX-License-Identifier: BSD-2-Clause */
/* Allowed networks and names. */
#include "store/internal.h"

#include <errno.h>

#include "base/cleanup.h"

int store_allow_put(struct store *s, const struct allow_row *row)
{
	char net[ADDR_TEXT];

	return store_run(s,
			 "INSERT INTO allows VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
			 " ON CONFLICT (net) DO UPDATE SET reason = ?2, origin = ?3, uid = ?4,"
			 " suspended = ?6",
			 "sssiii", cidr_text(&row->net, net), row->reason ? row->reason : "",
			 row->origin, (sqlite3_int64)row->uid, (sqlite3_int64)row->created,
			 (sqlite3_int64)row->suspended);
}

int store_allow_remove(struct store *s, const struct cidr *net)
{
	char text[ADDR_TEXT];

	return store_run(s, "DELETE FROM allows WHERE net = ?", "s", cidr_text(net, text));
}

int store_allows(struct store *s, void (*fn)(void *ctx, const struct allow_row *row), void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q =
		store_prepare(s,
			      "SELECT net, reason, origin, uid, created, suspended FROM allows"
			      " ORDER BY created, net",
			      "");
	int code;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		struct allow_row row = {
			.reason = column_text(q, 1),
			.origin = column_text(q, 2),
			.uid = column_u64(q, 3),
			.created = column_u64(q, 4),
			.suspended = column_u64(q, 5),
		};

		if (cidr_parse(column_text(q, 0), &row.net)) {
			sqlite3_snprintf(sizeof(s->error), s->error,
					 "allowed network \"%s\" in the state database",
					 column_text(q, 0));
			return -EUCLEAN;
		}
		fn(ctx, &row);
	}
	return store_fail(s, code, "read allowed networks");
}

int store_name_put(struct store *s, const struct name_row *row)
{
	return store_run(s,
			 "INSERT INTO names VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
			 " ON CONFLICT (kind, key) DO UPDATE SET last_seen = ?8",
			 "iusssuii", (sqlite3_int64)row->kind, row->key, row->name, row->raw,
			 row->ja3, row->stack, (sqlite3_int64)row->first_seen,
			 (sqlite3_int64)row->last_seen);
}

int store_name_forget(struct store *s, enum name_kind kind, uint64_t key)
{
	return store_run(s, "DELETE FROM names WHERE kind = ? AND key = ?", "iu",
			 (sqlite3_int64)kind, key);
}

int store_names_clear(struct store *s)
{
	int err = store_run(s, "DELETE FROM names", "");

	return err == -ENOENT ? 0 : err;
}

int store_names(struct store *s, void (*fn)(void *ctx, const struct name_row *row), void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q =
		store_prepare(s,
			      "SELECT kind, key, name, raw, ja3, stack, first_seen, last_seen"
			      " FROM names ORDER BY first_seen, kind, key",
			      "");
	int code;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		struct name_row row = {
			.kind = sqlite3_column_int(q, 0),
			.key = column_hex(q, 1),
			.name = column_text(q, 2),
			.raw = column_text(q, 3),
			.ja3 = (const char *)sqlite3_column_text(q, 4),
			.stack = column_hex(q, 5),
			.first_seen = column_u64(q, 6),
			.last_seen = column_u64(q, 7),
		};

		fn(ctx, &row);
	}
	return store_fail(s, code, "read names");
}
