/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"

/* Each step is run once, in its own transaction, and never edited later. 64-bit
 * keys are text: SQLite's integers are signed, and people read the file too. */
static const char *const migrations[] = {
	"CREATE TABLE settings (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
	"CREATE TABLE rules ("
	"	handle INTEGER PRIMARY KEY, gen INTEGER NOT NULL, phase INTEGER NOT NULL,"
	"	text TEXT NOT NULL, origin TEXT NOT NULL, uid INTEGER NOT NULL,"
	"	created INTEGER NOT NULL, expires INTEGER NOT NULL,"
	"	ja4_key TEXT NOT NULL, stack_key TEXT NOT NULL, order_key TEXT NOT NULL,"
	"	holdout INTEGER NOT NULL, canary INTEGER NOT NULL, epoch INTEGER NOT NULL,"
	"	ended INTEGER, why TEXT,"
	"	connections INTEGER NOT NULL DEFAULT 0, packets INTEGER NOT NULL DEFAULT 0,"
	"	bytes INTEGER NOT NULL DEFAULT 0, would INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE INDEX rules_phase ON rules (phase);"
	"CREATE TABLE allows (net TEXT PRIMARY KEY, reason TEXT NOT NULL, origin TEXT NOT NULL,"
	"	uid INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
	"CREATE TABLE names (kind INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,"
	"	raw TEXT NOT NULL, ja3 TEXT, stack TEXT NOT NULL, first_seen INTEGER NOT NULL,"
	"	last_seen INTEGER NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE audit (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
	"	uid INTEGER NOT NULL, verb TEXT NOT NULL, args TEXT NOT NULL,"
	"	result INTEGER NOT NULL, detail TEXT, hash BLOB NOT NULL) STRICT;"
	"CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit BEGIN"
	"	SELECT RAISE(ABORT, 'the audit only grows'); END;"
	"CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN"
	"	SELECT RAISE(ABORT, 'the audit only grows'); END;",
	"CREATE TABLE farms ("
	"	id TEXT PRIMARY KEY, state TEXT NOT NULL, stack TEXT NOT NULL,"
	"	service INTEGER NOT NULL, onset INTEGER NOT NULL, watched_at INTEGER NOT NULL,"
	"	flagged_at INTEGER NOT NULL, proposed_at INTEGER NOT NULL,"
	"	judged_at INTEGER NOT NULL, ended INTEGER,"
	"	exchanges_before_flag INTEGER NOT NULL, share REAL NOT NULL,"
	"	share_lo REAL NOT NULL, share_hi REAL NOT NULL, gain REAL NOT NULL,"
	"	bits REAL NOT NULL, prior REAL NOT NULL, nearest TEXT NOT NULL,"
	"	gate TEXT NOT NULL, sources INTEGER NOT NULL, known INTEGER NOT NULL,"
	"	split INTEGER NOT NULL, clean_sources INTEGER NOT NULL,"
	"	collateral_sources REAL NOT NULL, collateral_exchanges REAL NOT NULL,"
	"	upper95 REAL NOT NULL, precision REAL NOT NULL, share_all REAL NOT NULL,"
	"	share_stack REAL NOT NULL, stops REAL NOT NULL) STRICT;"
	"CREATE TABLE farm_families (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	family TEXT NOT NULL, bits REAL NOT NULL, without REAL NOT NULL,"
	"	PRIMARY KEY (farm, family)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE evidence (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	line INTEGER NOT NULL, family TEXT NOT NULL, fact TEXT NOT NULL,"
	"	value REAL NOT NULL, error REAL NOT NULL, expect_farm REAL NOT NULL,"
	"	expect_benign REAL NOT NULL, bits REAL NOT NULL, counts TEXT NOT NULL,"
	"	PRIMARY KEY (farm, line)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE members (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	src TEXT NOT NULL, family INTEGER NOT NULL, posterior REAL NOT NULL,"
	"	connections INTEGER NOT NULL, exchanges INTEGER NOT NULL,"
	"	direct INTEGER NOT NULL, split INTEGER NOT NULL, dstar INTEGER NOT NULL,"
	"	first_seen INTEGER NOT NULL, PRIMARY KEY (farm, src, family)) STRICT,"
	"	WITHOUT ROWID;"
	"CREATE TABLE plan (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	src TEXT NOT NULL, family INTEGER NOT NULL, split_min INTEGER NOT NULL,"
	"	split_dstar INTEGER NOT NULL, d1_min INTEGER NOT NULL,"
	"	not_resumed INTEGER NOT NULL, action INTEGER NOT NULL,"
	"	holdout INTEGER NOT NULL, expires INTEGER NOT NULL, posterior REAL NOT NULL,"
	"	exchanges INTEGER NOT NULL, reason TEXT NOT NULL,"
	"	PRIMARY KEY (farm, src, family)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE plan_spared (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	src TEXT NOT NULL, family INTEGER NOT NULL, why TEXT NOT NULL,"
	"	PRIMARY KEY (farm, src, family)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE plan_gates (farm TEXT NOT NULL REFERENCES farms ON DELETE CASCADE,"
	"	gate TEXT NOT NULL, met INTEGER NOT NULL, text TEXT NOT NULL,"
	"	PRIMARY KEY (farm, gate)) STRICT, WITHOUT ROWID;",
	"CREATE TABLE farm_points (farm TEXT NOT NULL, time INTEGER NOT NULL,"
	"	state TEXT NOT NULL, share REAL NOT NULL, bits REAL NOT NULL,"
	"	members INTEGER NOT NULL, births INTEGER NOT NULL, exchanges INTEGER NOT NULL,"
	"	rules INTEGER NOT NULL, hits INTEGER NOT NULL, would INTEGER NOT NULL,"
	"	PRIMARY KEY (farm, time)) STRICT, WITHOUT ROWID;",
	"ALTER TABLE rules ADD COLUMN expires_boot INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE rules ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE rules ADD COLUMN then_expires INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE rules ADD COLUMN shadow INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE allows ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;",
	"CREATE TABLE notes (kind TEXT NOT NULL, id TEXT NOT NULL, mark TEXT NOT NULL,"
	"	text TEXT NOT NULL, uid INTEGER NOT NULL, created INTEGER NOT NULL,"
	"	PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;",
	"ALTER TABLE plan ADD COLUMN dstar_min INTEGER NOT NULL DEFAULT 0;",
};
_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == STORE_VERSION,
	       "one step for each version");

static int code_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	default:
		return -EIO;
	}
}

int store_fail(struct store *s, int code, const char *what)
{
	int err = code_errno(code);

	if (!err)
		return 0;
	snprintf(s->error, sizeof(s->error), "%s: %s", what, sqlite3_errmsg(s->db));
	return err;
}

int store_no_memory(struct store *s)
{
	snprintf(s->error, sizeof(s->error), "out of memory");
	return -ENOMEM;
}

const char *store_error(const struct store *s)
{
	return s->error;
}

/* ---- statements ------------------------------------------------------------ */

/* Three a rule: printf would be a tenth of what adding many takes. */
static void hex_of(uint64_t v, char out[16])
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
}

static int bind_args(sqlite3_stmt *q, const char *types, va_list ap)
{
	int code = SQLITE_OK;
	char hex[16];

	for (int i = 1; code == SQLITE_OK && *types; i++, types++) {
		switch (*types) {
		case 'i':
			code = sqlite3_bind_int64(q, i, va_arg(ap, sqlite3_int64));
			break;
		case 'u':
			hex_of(va_arg(ap, uint64_t), hex);
			code = sqlite3_bind_text(q, i, hex, sizeof(hex), SQLITE_TRANSIENT);
			break;
		case 'd':
			code = sqlite3_bind_double(q, i, va_arg(ap, double));
			break;
		case 's':
			code = sqlite3_bind_text(q, i, va_arg(ap, const char *), -1,
						 SQLITE_TRANSIENT);
			break;
		case 'b': {
			const void *at = va_arg(ap, const void *);

			code = sqlite3_bind_blob(q, i, at, va_arg(ap, int), SQLITE_TRANSIENT);
			break;
		}
		}
	}
	return code;
}

sqlite3_stmt *store_prepare(struct store *s, const char *sql, const char *types, ...)
{
	sqlite3_stmt *q = NULL;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);
	va_list ap;

	va_start(ap, types);
	if (code == SQLITE_OK)
		code = bind_args(q, types, ap);
	va_end(ap);
	if (code == SQLITE_OK)
		return q;
	store_fail(s, code, "state database");
	sqlite3_finalize(q);
	return NULL;
}

/* The kept statement of `sql`, compiled if need be. */
static int keep(struct store *s, const char *sql, sqlite3_stmt **out)
{
	int i, code;

	for (i = 0; i < KEPT_MAX && s->kept[i].sql && s->kept[i].sql != sql; i++)
		;
	if (i == KEPT_MAX) {
		i = 0;
		sqlite3_finalize(s->kept[i].q);
		s->kept[i].sql = NULL;
	}
	if (!s->kept[i].sql) {
		code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->kept[i].q,
					  NULL);
		if (code != SQLITE_OK)
			return code;
		s->kept[i].sql = sql;
	}
	*out = s->kept[i].q;
	return SQLITE_OK;
}

int store_run(struct store *s, const char *sql, const char *types, ...)
{
	sqlite3_stmt *q = NULL;
	int code = keep(s, sql, &q), err;
	va_list ap;

	va_start(ap, types);
	if (code == SQLITE_OK)
		code = bind_args(q, types, ap);
	va_end(ap);
	if (code == SQLITE_OK)
		do {
			code = sqlite3_step(q);
		} while (code == SQLITE_ROW);
	err = code == SQLITE_DONE ? 0 : store_fail(s, code, "write the state database") ?: -EIO;
	if (q) {
		sqlite3_reset(q);
		sqlite3_clear_bindings(q);
	}
	if (err)
		return err;
	return sqlite3_changes(s->db) ? 0 : -ENOENT;
}

const char *column_text(sqlite3_stmt *q, int i)
{
	return (const char *)sqlite3_column_text(q, i) ?: "";
}

uint64_t column_hex(sqlite3_stmt *q, int i)
{
	return strtoull(column_text(q, i), NULL, 16);
}

uint64_t column_u64(sqlite3_stmt *q, int i)
{
	return sqlite3_column_int64(q, i);
}

/* ---- opening --------------------------------------------------------------- */

static int execute(struct store *s, const char *sql)
{
	return store_fail(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL), "state database");
}

static int pragma_number(struct store *s, const char *sql, int *out)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(s, sql, "");
	int code = q ? sqlite3_step(q) : sqlite3_errcode(s->db);

	if (code != SQLITE_ROW)
		return store_fail(s, code, "read the state database") ?: -EIO;
	*out = sqlite3_column_int(q, 0);
	return 0;
}

static int check(struct store *s)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(s, "PRAGMA quick_check(1)", "");
	int code = q ? sqlite3_step(q) : sqlite3_errcode(s->db);

	if (code != SQLITE_ROW)
		return store_fail(s, code, "check the state database") ?: -EIO;
	if (!strcmp(column_text(q, 0), "ok"))
		return 0;
	snprintf(s->error, sizeof(s->error), "check the state database: %s", column_text(q, 0));
	return -EUCLEAN;
}

static int migrate(struct store *s)
{
	char version[64];
	int at, err;

	err = pragma_number(s, "PRAGMA user_version", &at);
	if (err)
		return err;
	if (at > STORE_VERSION) {
		snprintf(s->error, sizeof(s->error),
			 "written by a newer winnow (layout %d, this one knows %d)", at,
			 STORE_VERSION);
		return -EPROTO;
	}
	for (; at < STORE_VERSION; at++) {
		snprintf(version, sizeof(version), "PRAGMA user_version = %d", at + 1);
		err = execute(s, "BEGIN IMMEDIATE");
		if (!err)
			err = execute(s, migrations[at]);
		if (!err)
			err = execute(s, version);
		if (!err)
			err = execute(s, "COMMIT");
		if (err)
			return err;
	}
	return 0;
}

int store_open(const char *path, struct store **out, struct reason *r)
{
	_cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
	mode_t mask;
	int err;

	if (!s)
		return reason_set(r, -ENOMEM, "out of memory");
	mask = umask(0077);
	err = store_fail(s,
			 sqlite3_open_v2(path, &s->db,
					 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
						 SQLITE_OPEN_PRIVATECACHE,
					 NULL),
			 "open");
	if (!err) {
		sqlite3_busy_timeout(s->db, 2000);
		err = execute(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				 "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
				 "PRAGMA journal_size_limit = 4194304;"
				 /* KiB; the audit grows, what is asked of it does not */
				 "PRAGMA cache_size = -256");
	}
	if (!err)
		err = check(s);
	if (!err)
		err = migrate(s);
	umask(mask);
	if (err)
		return reason_set(r, err, "%s: %s", path, s->error);
	*out = take_ptr(s);
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (int i = 0; i < KEPT_MAX; i++)
		sqlite3_finalize(s->kept[i].q);
	sqlite3_close_v2(s->db);
	while (s->texts) {
		struct store_text *t = s->texts;

		s->texts = t->next;
		free(t);
	}
	free(s);
}

void store_freep(struct store **s)
{
	store_free(*s);
}

int store_quarantine(const char *path, uint64_t now, char out[PATH_MAX])
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char when[TIME_TEXT], from[PATH_MAX], to[PATH_MAX];
	int err = 0;

	time_text(now, 0, when);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		if (snprintf(from, sizeof(from), "%s%s", path, tails[i]) >= PATH_MAX ||
		    snprintf(to, sizeof(to), "%s.damaged-%s%s", path, when, tails[i]) >= PATH_MAX)
			return -ENAMETOOLONG;
		if (rename(from, to) && errno != ENOENT)
			err = -errno;
		if (!i)
			strcpy(out, to);
	}
	return err;
}

int store_begin(struct store *s)
{
	return execute(s, "BEGIN IMMEDIATE");
}

int store_commit(struct store *s)
{
	int err = execute(s, "COMMIT");

	if (err)
		store_rollback(s);
	return err;
}

void store_rollback(struct store *s)
{
	/* SQLite may have rolled back by itself already. */
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_end(struct store *s, int err)
{
	if (!err)
		return store_commit(s);
	store_rollback(s);
	return err;
}

int store_number_set(struct store *s, const char *key, uint64_t value)
{
	return store_run(s,
			 "INSERT INTO settings VALUES (?1, ?2)"
			 " ON CONFLICT (key) DO UPDATE SET value = ?2",
			 "si", key, (sqlite3_int64)value);
}

int store_number(struct store *s, const char *key, uint64_t *out)
{
	sqlite3_stmt *q = NULL;
	int code = keep(s, "SELECT value FROM settings WHERE key = ?1", &q), err = 0;

	if (code == SQLITE_OK)
		code = sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		*out = column_u64(q, 0);
	else
		err = code == SQLITE_DONE ? -ENOENT : store_fail(s, code, "read settings") ?: -EIO;
	if (q) {
		sqlite3_reset(q);
		sqlite3_clear_bindings(q);
	}
	return err;
}
