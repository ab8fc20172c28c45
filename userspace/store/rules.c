/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Gone rules that are kept as history. */
#define HISTORY_MAX 10000

/* The first of n numbers that were never used. */
static int draw(struct store *s, const char *key, size_t n, uint32_t *out)
{
	uint64_t v = 0;
	int err = store_number(s, key, &v);

	if (err && err != -ENOENT)
		return err;
	if (v + n > UINT32_MAX)
		return -EOVERFLOW;
	*out = v + 1;
	return store_number_set(s, key, v + n);
}

int store_rule_floor(struct store *s, uint32_t handle, uint32_t gen)
{
	uint64_t h = 0, g = 0;
	int err = store_number(s, "handle", &h);

	if (!err || err == -ENOENT)
		err = store_number(s, "gen", &g);
	if (err && err != -ENOENT)
		return err;
	err = 0;
	if (handle > h)
		err = store_number_set(s, "handle", handle);
	if (!err && gen > g)
		err = store_number_set(s, "gen", gen);
	return err;
}

int store_rules_add(struct store *s, struct rule_entry *list, size_t n)
{
	uint32_t handle, gen;
	int err = draw(s, "handle", n, &handle);

	if (!err)
		err = draw(s, "gen", n, &gen);
	for (size_t i = 0; !err && i < n; i++) {
		list[i].handle = handle + i;
		list[i].gen = gen + i;
		err = store_rule_put(s, &list[i], RULE_PENDING);
	}
	return err;
}

int store_rules_live(struct store *s, uint32_t first, uint32_t last)
{
	return store_run(s,
			 "UPDATE rules SET phase = ?1 WHERE phase = ?2 AND handle >= ?3"
			 " AND handle <= ?4",
			 "iiii", (sqlite3_int64)RULE_LIVE, (sqlite3_int64)RULE_PENDING,
			 (sqlite3_int64)first, (sqlite3_int64)last);
}

int store_rule_state(struct store *s, const struct rule_entry *e)
{
	return store_run(s,
			 "UPDATE rules SET expires = ?, expires_boot = ?, pending = ?,"
			 " then_expires = ?, shadow = ?, holdout = ?, canary = ?, epoch = ?"
			 " WHERE handle = ?",
			 "iiiiiiiii", (sqlite3_int64)e->expires, (sqlite3_int64)e->expires_boot,
			 (sqlite3_int64)e->pending, (sqlite3_int64)e->then,
			 (sqlite3_int64)e->shadow, (sqlite3_int64)e->holdout,
			 (sqlite3_int64)e->canary, (sqlite3_int64)e->epoch,
			 (sqlite3_int64)e->handle);
}

int store_rule_text(struct store *s, const struct rule_entry *e)
{
	_cleanup_(freep) char *text = rule_format(&e->spec);

	if (!text)
		return store_no_memory(s);
	return store_run(s, "UPDATE rules SET text = ? WHERE handle = ?", "si", text,
			 (sqlite3_int64)e->handle);
}

int store_rule_put(struct store *s, const struct rule_entry *e, enum rule_phase phase)
{
	_cleanup_(freep) char *text = rule_format(&e->spec);

	if (!text)
		return store_no_memory(s);
	return store_run(s,
			 "INSERT INTO rules (handle, gen, phase, text, origin, uid, created,"
			 " expires, ja4_key, stack_key, order_key, holdout, canary, epoch,"
			 " expires_boot, pending, then_expires, shadow)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 "iiissiiiuuuiiiiiii", (sqlite3_int64)e->handle, (sqlite3_int64)e->gen,
			 (sqlite3_int64)phase, text, e->origin, (sqlite3_int64)e->uid,
			 (sqlite3_int64)e->created, (sqlite3_int64)e->expires, e->ja4_key,
			 e->stack_key, e->order_key, (sqlite3_int64)e->holdout,
			 (sqlite3_int64)e->canary, (sqlite3_int64)e->epoch,
			 (sqlite3_int64)e->expires_boot, (sqlite3_int64)e->pending,
			 (sqlite3_int64)e->then, (sqlite3_int64)e->shadow);
}

int store_rule_phase(struct store *s, uint32_t handle, enum rule_phase phase)
{
	return store_run(s, "UPDATE rules SET phase = ? WHERE handle = ?", "ii",
			 (sqlite3_int64)phase, (sqlite3_int64)handle);
}

int store_rule_gone(struct store *s, uint32_t handle, const char *why, uint64_t when,
		    const struct rule_hits *h)
{
	static const struct rule_hits none;
	int err;

	if (!h)
		h = &none;
	err = store_run(s,
			"UPDATE rules SET phase = ?, why = ?, ended = ?, connections = ?,"
			" packets = ?, bytes = ?, would = ? WHERE handle = ?",
			"isiiiiii", (sqlite3_int64)RULE_GONE, why, (sqlite3_int64)when,
			(sqlite3_int64)h->connections, (sqlite3_int64)h->packets,
			(sqlite3_int64)h->bytes, (sqlite3_int64)h->would, (sqlite3_int64)handle);
	if (err)
		return err;
	err = store_run(s, "DELETE FROM rules WHERE phase = ?1 AND handle <= ?2 - ?3", "iii",
			(sqlite3_int64)RULE_GONE, (sqlite3_int64)handle,
			(sqlite3_int64)HISTORY_MAX);
	return err == -ENOENT ? 0 : err;
}

int store_rule_regen(struct store *s, struct rule_entry *e)
{
	uint32_t gen;
	int err = draw(s, "gen", 1, &gen);

	if (!err)
		err = store_run(s, "UPDATE rules SET gen = ? WHERE handle = ?", "ii",
				(sqlite3_int64)gen, (sqlite3_int64)e->handle);
	if (!err)
		e->gen = gen;
	return err;
}

int store_rule_keys(struct store *s, const struct rule_entry *e)
{
	return store_run(s,
			 "UPDATE rules SET ja4_key = ?, stack_key = ?, order_key = ?"
			 " WHERE handle = ?",
			 "uuui", e->ja4_key, e->stack_key, e->order_key, (sqlite3_int64)e->handle);
}

static int read_row(struct store *s, sqlite3_stmt *q, struct rule_entry *e)
{
	struct reason r = {};
	int err = rule_parse(column_text(q, 3), &e->spec, &r);

	if (err) {
		sqlite3_snprintf(sizeof(s->error), s->error, "rule %d in the state database: %s",
				 sqlite3_column_int(q, 0), r.text);
		return err == -ENOMEM ? err : -EUCLEAN;
	}
	e->handle = column_u64(q, 0);
	e->gen = column_u64(q, 1);
	e->origin = strdup(column_text(q, 4));
	e->uid = column_u64(q, 5);
	e->created = column_u64(q, 6);
	e->expires = column_u64(q, 7);
	e->ja4_key = column_hex(q, 8);
	e->stack_key = column_hex(q, 9);
	e->order_key = column_hex(q, 10);
	e->holdout = column_u64(q, 11);
	e->canary = column_u64(q, 12);
	e->epoch = column_u64(q, 13);
	e->expires_boot = column_u64(q, 14);
	e->pending = sqlite3_column_int(q, 15);
	e->then = column_u64(q, 16);
	e->shadow = sqlite3_column_int(q, 17);
	return e->origin ? 0 : -ENOMEM;
}

int store_rules(struct store *s, store_rule_fn fn, void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(
		s,
		"SELECT handle, gen, phase, text, origin, uid, created, expires, ja4_key,"
		" stack_key, order_key, holdout, canary, epoch, expires_boot, pending,"
		" then_expires, shadow FROM rules WHERE phase < ? ORDER BY handle",
		"i", (sqlite3_int64)RULE_GONE);
	int code, err;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		struct rule_entry e = {};

		err = read_row(s, q, &e);
		if (err) {
			rule_entry_clear(&e);
			return err;
		}
		err = fn(ctx, &e, sqlite3_column_int(q, 2));
		if (err)
			return err;
	}
	return store_fail(s, code, "read rules");
}
