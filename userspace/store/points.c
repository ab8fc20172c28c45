/* SPDX-License-Identifier: BSD-2-Clause */
/* How farms went: a point a farm and window, kept as long as somebody may ask. */
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"

static int put(struct store *s, const char *farm, const struct farm_point *p)
{
	return store_run(s,
			 "INSERT OR REPLACE INTO farm_points VALUES"
			 " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
			 "sisddiiiiii", farm, (sqlite3_int64)p->time, p->state, p->share, p->bits,
			 (sqlite3_int64)p->members, (sqlite3_int64)p->births,
			 (sqlite3_int64)p->exchanges, (sqlite3_int64)p->rules,
			 (sqlite3_int64)p->hits, (sqlite3_int64)p->would);
}

int store_points_put(struct store *s, const char *const *farm, const struct farm_point *point,
		     size_t n, uint64_t oldest)
{
	int err = store_begin(s);

	for (size_t i = 0; !err && i < n; i++)
		err = put(s, farm[i], &point[i]);
	if (!err) {
		err = store_run(s, "DELETE FROM farm_points WHERE time < ?1", "i",
				(sqlite3_int64)oldest);
		if (err == -ENOENT) /* none is that old */
			err = 0;
	}
	return store_end(s, err);
}

int store_points(struct store *s, const char *farm,
		 void (*fn)(void *ctx, const struct farm_point *p), void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(
		s,
		"SELECT time, state, share, bits, members, births, exchanges, rules, hits, would"
		" FROM farm_points WHERE farm = ?1 ORDER BY time",
		"s", farm);
	int code = SQLITE_DONE;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		struct farm_point p = {
			.time = column_u64(q, 0),
			.state = column_text(q, 1),
			.share = sqlite3_column_double(q, 2),
			.bits = sqlite3_column_double(q, 3),
			.members = column_u64(q, 4),
			.births = column_u64(q, 5),
			.exchanges = column_u64(q, 6),
			.rules = column_u64(q, 7),
			.hits = column_u64(q, 8),
			.would = column_u64(q, 9),
		};

		fn(ctx, &p);
	}
	return code == SQLITE_DONE ? 0 : store_fail(s, code, "read how a farm went");
}

int store_point_last(struct store *s, const char *farm, uint64_t *time)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q =
		store_prepare(s, "SELECT coalesce(max(time), 0) FROM farm_points WHERE farm = ?1",
			      "s", farm);
	int code;

	if (!q)
		return -EIO;
	code = sqlite3_step(q);
	if (code != SQLITE_ROW)
		return store_fail(s, code, "read how a farm went") ?: -EIO;
	*time = column_u64(q, 0);
	return 0;
}

int store_farm_hits(struct store *s, const char *farm, uint64_t *hits, uint64_t *would)
{
	char origin[64];
	_cleanup_(stmt_freep) sqlite3_stmt *q = NULL;
	int code;

	snprintf(origin, sizeof(origin), "farm:%s", farm);
	q = store_prepare(s,
			  "SELECT coalesce(sum(connections), 0), coalesce(sum(would), 0)"
			  " FROM rules WHERE origin = ?1 AND ended IS NOT NULL",
			  "s", origin);
	if (!q)
		return -EIO;
	code = sqlite3_step(q);
	if (code != SQLITE_ROW)
		return store_fail(s, code, "read what rules stopped") ?: -EIO;
	*hits = column_u64(q, 0);
	*would = column_u64(q, 1);
	return 0;
}
