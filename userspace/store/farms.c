/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "model/farm.h"
#include "model/plan.h"

/* Farms that have ended and are kept as history. */
#define ENDED_MAX 1000

#define I(v) ((sqlite3_int64)(v))

/* ---- out ------------------------------------------------------------------- */

static int none_is_fine(int err)
{
	return err == -ENOENT ? 0 : err;
}

static int forget_rows(struct store *s, const char *id)
{
	static const char *const sql[] = {
		"DELETE FROM farm_families WHERE farm = ?", "DELETE FROM evidence WHERE farm = ?",
		"DELETE FROM members WHERE farm = ?",       "DELETE FROM plan WHERE farm = ?",
		"DELETE FROM plan_spared WHERE farm = ?",   "DELETE FROM plan_gates WHERE farm = ?",
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(sql) / sizeof(sql[0]); i++)
		err = none_is_fine(store_run(s, sql[i], "s", id));
	return err;
}

static int put_farm(struct store *s, const struct farm *f, const struct plan_farm *p,
		    uint64_t judged)
{
	const struct plan_collateral *c = &p->collateral;

	return store_run(s,
			 "INSERT INTO farms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?,"
			 " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
			 " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
			 " onset = excluded.onset, watched_at = excluded.watched_at,"
			 " flagged_at = excluded.flagged_at, proposed_at = excluded.proposed_at,"
			 " judged_at = excluded.judged_at, ended = NULL,"
			 " exchanges_before_flag = excluded.exchanges_before_flag,"
			 " share = excluded.share, share_lo = excluded.share_lo,"
			 " share_hi = excluded.share_hi, gain = excluded.gain,"
			 " bits = excluded.bits, prior = excluded.prior,"
			 " nearest = excluded.nearest, gate = excluded.gate,"
			 " sources = excluded.sources, known = excluded.known,"
			 " split = excluded.split, clean_sources = excluded.clean_sources,"
			 " collateral_sources = excluded.collateral_sources,"
			 " collateral_exchanges = excluded.collateral_exchanges,"
			 " upper95 = excluded.upper95, precision = excluded.precision,"
			 " share_all = excluded.share_all, share_stack = excluded.share_stack,"
			 " stops = excluded.stops",
			 "ssuiiiiiiiddddddssiiiiddddddd", f->id, farm_state_name[f->state],
			 f->stack, I(f->service), I(f->onset), I(f->watched_at), I(f->flagged_at),
			 I(f->proposed_at), I(judged), I(f->exchanges_before_flag), f->share,
			 f->share_lo, f->share_hi, f->gain, f->bits, f->prior,
			 f->nearest_benign ? f->nearest_benign : "", f->gate, I(f->sources),
			 I(f->known), I(f->split), I(f->clean_sources), c->sources, c->exchanges,
			 c->upper95, c->precision, c->share_all, c->share_stack, p->stops);
}

static int put_evidence(struct store *s, const struct farm *f)
{
	int err = 0;

	for (int i = 0; !err && i < FAMILY_MAX; i++)
		err = store_run(s, "INSERT INTO farm_families VALUES (?, ?, ?, ?)", "ssdd", f->id,
				evidence_family_name[i], f->evidence[i], f->without[i]);
	for (size_t i = 0; !err && i < f->n_lines; i++) {
		const struct farm_line *l = &f->line[i];

		err = store_run(s, "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				"sissddddds", f->id, I(i), evidence_family_name[l->family], l->name,
				l->value, l->error, l->farm, l->benign, l->bits, l->text);
	}
	return err;
}

static int put_members(struct store *s, const struct farm *f)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n_members; i++) {
		const struct farm_member *m = &f->members[i];

		err = store_run(
			s, "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"suidiiiiii", f->id, m->src, I(m->family), m->posterior, I(m->connections),
			I(m->exchanges), I(m->direct), I(m->split), I(m->dstar), I(m->first_seen));
	}
	return err;
}

static int put_plan(struct store *s, const struct farms *f, const struct plan *p)
{
	int err = 0;

	for (size_t i = 0; !err && i < p->n_rules; i++) {
		const struct plan_rule *r = &p->rules[i];

		err = store_run(s,
				"INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
				" ?, ?, ?, ?)",
				"suiiiiiiiidisi", f->farm[r->farm].id, r->src, I(r->family),
				I(r->split_min), I(r->split_dstar), I(r->d1_min), I(r->not_resumed),
				I(r->action), I(r->holdout), I(r->expires), r->posterior,
				I(r->exchanges), r->reason, I(r->dstar_min));
	}
	for (size_t i = 0; !err && i < p->n_spared; i++)
		err = store_run(s, "INSERT OR REPLACE INTO plan_spared VALUES (?, ?, ?, ?)", "suis",
				f->farm[p->spared[i].farm].id, p->spared[i].src,
				I(p->spared[i].family), p->spared[i].why);
	for (size_t i = 0; !err && i < p->n_gates; i++)
		err = store_run(s, "INSERT OR REPLACE INTO plan_gates VALUES (?, ?, ?, ?)", "ssis",
				f->farm[p->gates[i].farm].id, p->gates[i].name, I(p->gates[i].met),
				p->gates[i].text);
	return err;
}

static int end_others(struct store *s, const struct farms *f)
{
	int err = none_is_fine(store_run(s,
					 "UPDATE farms SET state = 'none', ended = ?1"
					 " WHERE ended IS NULL AND judged_at < ?1",
					 "i", I(f->time)));

	if (err)
		return err;
	return none_is_fine(store_run(s,
				      "DELETE FROM farms WHERE ended IS NOT NULL AND id NOT IN"
				      " (SELECT id FROM farms WHERE ended IS NOT NULL"
				      " ORDER BY ended DESC LIMIT ?)",
				      "i", I(ENDED_MAX)));
}

int store_farms_put(struct store *s, const struct farms *f, const struct plan *p)
{
	static const struct plan_farm none;
	int err = store_begin(s);

	for (size_t i = 0; !err && i < f->n; i++) {
		const struct farm *a = &f->farm[i];

		err = put_farm(s, a, i < p->n_farms ? &p->farms[i] : &none, f->time);
		if (!err)
			err = forget_rows(s, a->id);
		if (!err)
			err = put_evidence(s, a);
		if (!err)
			err = put_members(s, a);
	}
	if (!err)
		err = put_plan(s, f, p);
	if (!err)
		err = end_others(s, f);
	return store_end(s, err);
}

int store_farm_last(struct store *s, uint32_t *out)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q =
		store_prepare(s, "SELECT max(CAST(substr(id, 2) AS INTEGER)) FROM farms", "");
	int code = q ? sqlite3_step(q) : SQLITE_ERROR;

	if (code != SQLITE_ROW)
		return store_fail(s, code, "read farms") ?: -EIO;
	*out = column_u64(q, 0);
	return 0;
}

int store_farms_clear(struct store *s)
{
	return none_is_fine(store_run(s, "DELETE FROM farms", ""));
}

/* ---- in -------------------------------------------------------------------- */

/* A copy that lives as long as the store; "" without memory. */
static const char *keep(struct store *s, const char *text)
{
	size_t len = strlen(text) + 1;
	struct store_text *t;

	for (t = s->texts; t; t = t->next)
		if (!strcmp(t->text, text))
			return t->text;
	t = malloc(sizeof(*t) + len);
	if (!t)
		return "";
	memcpy(t->text, text, len);
	t->next = s->texts;
	s->texts = t;
	return t->text;
}

static int word_of(const char *const *names, int n, const char *text)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], text))
			return i;
	return 0;
}

/* Room for one more element of a plain array. */
#define more(at, n)                                                          \
	({                                                                   \
		void *bigger = reallocarray(*(at), (n) + 1, sizeof(**(at))); \
		if (bigger)                                                  \
			*(at) = bigger;                                      \
		bigger ? 0 : -ENOMEM;                                        \
	})

struct load {
	struct store *s;
	struct farms *f;
	struct plan *p;
};

static size_t farm_of(const struct load *l, sqlite3_stmt *q)
{
	size_t i = 0;

	while (i < l->f->n && strcmp(l->f->farm[i].id, column_text(q, 0)))
		i++;
	return i;
}

static int get_farm(struct load *l, sqlite3_stmt *q)
{
	struct plan_collateral *c;
	struct farm *f;

	if (more(&l->f->farm, l->f->n) || more(&l->p->farms, l->p->n_farms))
		return -ENOMEM;
	f = &l->f->farm[l->f->n++];
	*f = (struct farm){
		.state = word_of(farm_state_name, FARM_STATE_MAX, column_text(q, 1)),
		.stack = column_hex(q, 2),
		.service = column_u64(q, 3),
		.onset = column_u64(q, 4),
		.watched_at = column_u64(q, 5),
		.flagged_at = column_u64(q, 6),
		.proposed_at = column_u64(q, 7),
		.exchanges_before_flag = column_u64(q, 10),
		.share = sqlite3_column_double(q, 11),
		.share_lo = sqlite3_column_double(q, 12),
		.share_hi = sqlite3_column_double(q, 13),
		.gain = sqlite3_column_double(q, 14),
		.bits = sqlite3_column_double(q, 15),
		.prior = sqlite3_column_double(q, 16),
		.nearest_benign = keep(l->s, column_text(q, 17)),
		.sources = column_u64(q, 19),
		.known = column_u64(q, 20),
		.split = column_u64(q, 21),
		.clean_sources = column_u64(q, 22),
	};
	snprintf(f->id, sizeof(f->id), "%s", column_text(q, 0));
	snprintf(f->gate, sizeof(f->gate), "%s", column_text(q, 18));
	if (column_u64(q, 8) > l->f->time)
		l->f->time = column_u64(q, 8);
	l->p->farms[l->p->n_farms] = (struct plan_farm){ .stops = sqlite3_column_double(q, 29) };
	c = &l->p->farms[l->p->n_farms++].collateral;
	c->sources = sqlite3_column_double(q, 23);
	c->exchanges = sqlite3_column_double(q, 24);
	c->upper95 = sqlite3_column_double(q, 25);
	c->precision = sqlite3_column_double(q, 26);
	c->share_all = sqlite3_column_double(q, 27);
	c->share_stack = sqlite3_column_double(q, 28);
	return 0;
}

static int get_family(struct load *l, sqlite3_stmt *q)
{
	struct farm *f = &l->f->farm[farm_of(l, q)];
	int k = word_of(evidence_family_name, FAMILY_MAX, column_text(q, 1));

	f->evidence[k] = sqlite3_column_double(q, 2);
	f->without[k] = sqlite3_column_double(q, 3);
	return 0;
}

static int get_line(struct load *l, sqlite3_stmt *q)
{
	struct farm *f = &l->f->farm[farm_of(l, q)];
	struct farm_line *line = &f->line[f->n_lines];

	if (f->n_lines == FARM_LINES)
		return 0;
	*line = (struct farm_line){
		.family = word_of(evidence_family_name, FAMILY_MAX, column_text(q, 2)),
		.name = keep(l->s, column_text(q, 3)),
		.known = true,
		.value = sqlite3_column_double(q, 4),
		.error = sqlite3_column_double(q, 5),
		.farm = sqlite3_column_double(q, 6),
		.benign = sqlite3_column_double(q, 7),
		.bits = sqlite3_column_double(q, 8),
	};
	snprintf(line->text, sizeof(line->text), "%s", column_text(q, 9));
	f->n_lines++;
	return 0;
}

static int get_member(struct load *l, sqlite3_stmt *q)
{
	struct farm *f = &l->f->farm[farm_of(l, q)];

	if (more(&f->members, f->n_members))
		return -ENOMEM;
	f->members[f->n_members++] = (struct farm_member){
		.src = column_hex(q, 1),
		.family = column_u64(q, 2),
		.service = f->service,
		.posterior = sqlite3_column_double(q, 3),
		.connections = column_u64(q, 4),
		.exchanges = column_u64(q, 5),
		.direct = column_u64(q, 6),
		.split = column_u64(q, 7),
		.dstar = column_u64(q, 8),
		.first_seen = column_u64(q, 9),
	};
	return 0;
}

static int get_rule(struct load *l, sqlite3_stmt *q)
{
	size_t i = farm_of(l, q);
	struct plan_rule *r;

	if (more(&l->p->rules, l->p->n_rules))
		return -ENOMEM;
	r = &l->p->rules[l->p->n_rules++];
	*r = (struct plan_rule){
		.src = column_hex(q, 1),
		.stack = l->f->farm[i].stack,
		.family = column_u64(q, 2),
		.split_min = column_u64(q, 3),
		.split_dstar = column_u64(q, 4),
		.d1_min = column_u64(q, 5),
		.not_resumed = column_u64(q, 6),
		.action = column_u64(q, 7),
		.holdout = column_u64(q, 8),
		.expires = column_u64(q, 9),
		.farm = i,
		.posterior = sqlite3_column_double(q, 10),
		.exchanges = column_u64(q, 11),
		.dstar_min = column_u64(q, 13),
	};
	snprintf(r->reason, sizeof(r->reason), "%s", column_text(q, 12));
	l->p->farms[i].rules++;
	return 0;
}

static int get_spared(struct load *l, sqlite3_stmt *q)
{
	size_t i = farm_of(l, q);
	struct plan_spared *m;

	if (more(&l->p->spared, l->p->n_spared))
		return -ENOMEM;
	m = &l->p->spared[l->p->n_spared++];
	*m = (struct plan_spared){ .src = column_hex(q, 1),
				   .stack = l->f->farm[i].stack,
				   .family = column_u64(q, 2),
				   .farm = i };
	snprintf(m->why, sizeof(m->why), "%s", column_text(q, 3));
	l->p->farms[i].spared++;
	return 0;
}

static int get_gate(struct load *l, sqlite3_stmt *q)
{
	struct plan_gate *g;

	if (more(&l->p->gates, l->p->n_gates))
		return -ENOMEM;
	g = &l->p->gates[l->p->n_gates++];
	*g = (struct plan_gate){ .farm = farm_of(l, q),
				 .name = keep(l->s, column_text(q, 1)),
				 .met = column_u64(q, 2) };
	snprintf(g->text, sizeof(g->text), "%s", column_text(q, 3));
	return 0;
}

static int get_rows(struct load *l, const char *sql, int (*fn)(struct load *, sqlite3_stmt *))
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(l->s, sql, "");
	int code, err = 0;

	if (!q)
		return -EIO;
	while (!err && (code = sqlite3_step(q)) == SQLITE_ROW)
		err = fn(l, q);
	return err ? err : store_fail(l->s, code, "read farms");
}

#define LIVING " WHERE farm IN (SELECT id FROM farms WHERE ended IS NULL) ORDER BY "

int store_farms(struct store *s, struct farms *f, struct plan *p)
{
	struct load l = { s, f, p };
	int err;

	*f = (struct farms){};
	*p = (struct plan){};
	err = get_rows(&l, "SELECT * FROM farms WHERE ended IS NULL ORDER BY stack, service",
		       get_farm);
	if (!err)
		err = get_rows(&l, "SELECT * FROM farm_families" LIVING "farm", get_family);
	if (!err)
		err = get_rows(&l, "SELECT * FROM evidence" LIVING "farm, line", get_line);
	if (!err)
		err = get_rows(&l, "SELECT * FROM members" LIVING "farm, posterior DESC, src",
			       get_member);
	if (!err)
		err = get_rows(&l, "SELECT * FROM plan" LIVING "farm, src", get_rule);
	if (!err)
		err = get_rows(&l, "SELECT * FROM plan_spared" LIVING "farm, src", get_spared);
	if (!err)
		err = get_rows(&l, "SELECT * FROM plan_gates" LIVING "farm, gate", get_gate);
	p->time = f->time;
	if (!err)
		return 0;
	plan_clear(p);
	farms_clear(f);
	return err;
}
