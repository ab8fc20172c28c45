/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "detect/internal.h"

#define SIZES 12
#define MAGIC 0x315453646e6e6977ULL /* "winndST1" */

struct head {
	uint64_t magic, len, sum;
	/* A layout that changed has another size somewhere. */
	uint32_t size[SIZES];
	uint32_t ids, day;
	uint64_t learnt_clean;
	uint64_t baseline_until;
};

/* What leaves, a piece at a time: counted and summed, and handed on where somebody
 * takes it. */
#define PIECE (1U << 16) /* whole words: a sum goes on at its end */

struct bytes {
	uint8_t piece[PIECE];
	size_t n;
	uint64_t len, sum;
	detect_take_fn take; /* NULL: nobody */
	void *ctx;
	int err;
};

struct reader {
	const uint8_t *at;
	size_t left;
};

static void sizes(uint32_t out[SIZES])
{
	const uint32_t size[SIZES] = { sizeof(struct head),         sizeof(struct counts),
				       sizeof(struct view),         sizeof(struct record),
				       sizeof(struct record_id),    sizeof(struct stack_baseline),
				       sizeof(struct baseline),     sizeof(struct stack_orders),
				       sizeof(struct cohort_state), sizeof(struct windows),
				       sizeof(struct mixture),      sizeof(struct slice) };

	memcpy(out, size, sizeof(size));
}

#define SUM_START 0xcbf29ce484222325ULL

/* FNV-1a over words: damage, not malice. */
static uint64_t sum_of(uint64_t h, const uint8_t *p, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * 0x100000001b3ULL;
	}
	for (; len; p++, len--)
		h = (h ^ *p) * 0x100000001b3ULL;
	return h;
}

/* ---- out ------------------------------------------------------------------ */

static void hand_on(struct bytes *b)
{
	b->sum = sum_of(b->sum, b->piece, b->n);
	b->len += b->n;
	if (b->take && !b->err)
		b->err = b->take(b->ctx, b->piece, b->n);
	b->n = 0;
}

static void put(struct bytes *b, const void *from, size_t len)
{
	for (const uint8_t *at = from; len;) {
		size_t n = len < PIECE - b->n ? len : PIECE - b->n;

		memcpy(b->piece + b->n, at, n);
		b->n += n;
		at += n;
		len -= n;
		if (b->n == PIECE)
			hand_on(b);
	}
}

static void put_table(struct bytes *b, const struct table *t, size_t key_len, size_t value_len)
{
	uint64_t n = t->n;

	put(b, &n, sizeof(n));
	for (size_t i = 0; i < t->n; i++) {
		put(b, table_key(t, i), key_len);
		put(b, table_value(t, i), value_len);
	}
}

/* The tables of the detector with the sizes of their rows: one list for both ways. */
struct kept_table {
	struct table *t;
	size_t key_len, value_len;
};

#define KEPT_TABLES 9

static void kept(struct detect *d, struct kept_table out[KEPT_TABLES])
{
	const struct kept_table all[KEPT_TABLES] = {
		{ &d->baseline.flags, sizeof(uint64_t), sizeof(uint32_t) },
		{ &d->baseline.stacks, sizeof(uint64_t), sizeof(struct stack_baseline) },
		{ &d->baseline.kinds, sizeof(uint64_t), sizeof(struct mixture) },
		{ &d->baseline.tcp, 2 * sizeof(uint64_t), sizeof(uint32_t) },
		{ &d->baseline.sources, sizeof(struct source_id), sizeof(uint8_t) },
		{ &d->baseline.prefixes, sizeof(struct source_id), sizeof(uint8_t) },
		{ &d->fidelity.seen, 2 * sizeof(uint64_t), sizeof(uint32_t) },
		{ &d->fidelity.stacks, sizeof(uint64_t), sizeof(struct stack_orders) },
		{ &d->cohorts, sizeof(struct cohort_id), sizeof(struct cohort_state) },
	};

	memcpy(out, all, sizeof(all));
}

/* Packed as in memory, without what generations that are over have left. */
static void put_counts(struct bytes *b, const struct windows *w, size_t i)
{
	uint8_t packed[COUNTS_MOST];
	struct counts c;
	uint32_t len;

	record_counts(w, i, &c);
	len = counts_pack(&c, packed);
	put(b, &len, sizeof(len));
	put(b, packed, len);
}

static void put_windows(struct bytes *b, const struct windows *w)
{
	uint64_t n = w->n;

	put(b, &n, sizeof(n));
	put(b, w, sizeof(*w)); /* its numbers; the pointers are not read back */
	for (size_t i = 0; i < w->n; i++) {
		put(b, record_id(w, i), sizeof(struct record_id));
		put(b, &w->records[i], sizeof(w->records[i]));
		put_counts(b, w, i);
	}
}

static void put_ledger(struct bytes *b, const struct ledger *l)
{
	uint64_t n = l->stacks.n;

	put(b, &n, sizeof(n));
	for (size_t i = 0; i < l->stacks.n; i++) {
		const struct ledger_stack *s = *(struct ledger_stack **)table_value(&l->stacks, i);

		put(b, table_key(&l->stacks, i), sizeof(struct cohort_id));
		put(b, s->number, sizeof(s->number));
		put(b, s->score, sizeof(s->score));
		put(b, s->others, sizeof(s->others));
		for (int k = 0; k < LEDGER_DAYS; k++) {
			uint64_t len = s->day[k].len;

			put(b, &len, sizeof(len));
			put(b, s->day[k].cell, len * sizeof(*s->day[k].cell));
			put(b, s->day[k].n, len * sizeof(*s->day[k].n));
		}
	}
}

static int put_all(const struct detect *d, struct bytes *b, detect_take_fn take, void *ctx)
{
	struct kept_table tables[KEPT_TABLES];

	*b = (struct bytes){ .sum = SUM_START, .take = take, .ctx = ctx };
	put_windows(b, &d->windows);
	put(b, &d->baseline, sizeof(d->baseline));
	kept((struct detect *)d, tables);
	for (int i = 0; i < KEPT_TABLES; i++)
		put_table(b, tables[i].t, tables[i].key_len, tables[i].value_len);
	put_ledger(b, &d->ledger);
	hand_on(b);
	return b->err;
}

int detect_save_to(const struct detect *d, detect_take_fn take, void *ctx)
{
	struct head h = { .magic = MAGIC,
			  .ids = d->ids,
			  .day = d->day,
			  .learnt_clean = d->learnt_clean,
			  .baseline_until = d->config.baseline_until };
	_cleanup_(freep) struct bytes *b = malloc(sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	sizes(h.size);
	/* The head comes first and says how much follows: one round to know. */
	put_all(d, b, NULL, NULL);
	h.len = sizeof(h) + b->len;
	h.sum = b->sum;
	err = take(ctx, &h, sizeof(h));
	return err ? err : put_all(d, b, take, ctx);
}

struct whole {
	uint8_t *at;
	size_t n;
};

/* The head's length is that of all. */
static int take_whole(void *ctx, const void *from, size_t len)
{
	struct whole *w = ctx;

	if (!w->at)
		w->at = malloc(((const struct head *)from)->len);
	if (!w->at)
		return -ENOMEM;
	if (len)
		memcpy(w->at + w->n, from, len);
	w->n += len;
	return 0;
}

int detect_save(const struct detect *d, void **out, size_t *len)
{
	struct whole w = {};
	int err = detect_save_to(d, take_whole, &w);

	if (err) {
		free(w.at);
		return err;
	}
	*out = w.at;
	*len = w.n;
	return 0;
}

/* ---- in ------------------------------------------------------------------- */

static const void *get(struct reader *r, size_t len)
{
	const void *at = r->at;

	if (r->left < len)
		return NULL;
	r->at += len;
	r->left -= len;
	return at;
}

/* How many rows of `len` bytes follow; no more than there is room for. */
static int get_count(struct reader *r, size_t len, uint64_t *n)
{
	const void *at = get(r, sizeof(*n));

	if (!at)
		return -EBADMSG;
	memcpy(n, at, sizeof(*n));
	return *n > r->left / len ? -EBADMSG : 0;
}

static int get_table(struct reader *r, struct table *t, size_t key_len, size_t value_len)
{
	uint64_t n;
	int err = get_count(r, key_len + value_len, &n);

	for (uint64_t i = 0; !err && i < n; i++) {
		const void *key = get(r, key_len), *from = get(r, value_len);
		void *value = key && from ? table_add(t, key, NULL) : NULL;

		if (!value)
			return key && from ? -ENOMEM : -EBADMSG;
		memcpy(value, from, value_len);
	}
	return err;
}

static int get_record(struct reader *r, struct windows *w)
{
	const void *id = get(r, sizeof(struct record_id)), *packed;
	const void *record = get(r, sizeof(struct record)), *at = get(r, sizeof(uint32_t));
	uint8_t roomy[COUNTS_MOST];
	struct counts c;
	uint32_t len;
	bool added;

	if (!id || !record || !at)
		return -EBADMSG;
	memcpy(&len, at, sizeof(len));
	packed = get(r, len);
	if (!packed || !counts_whole(packed, len))
		return -EBADMSG;
	if (array_room(&w->records, w->n, &w->room, sizeof(w->records[0])) ||
	    !table_add(&w->ids, id, &added))
		return -ENOMEM;
	if (!added)
		return -EBADMSG;
	memcpy(&w->records[w->n], record, sizeof(w->records[0]));
	w->records[w->n++].counts = 0;
	memcpy(roomy, packed, len);
	counts_unpack(roomy, &c);
	return record_keep(w, w->n - 1, &c);
}

static int get_windows(struct reader *r, struct windows *w)
{
	struct windows was;
	const void *at;
	uint64_t n;
	int err = get_count(r, sizeof(struct record_id) + sizeof(struct record) + sizeof(uint32_t),
			    &n);

	if (err)
		return err;
	at = get(r, sizeof(was));
	if (!at)
		return -EBADMSG;
	memcpy(&was, at, sizeof(was));
	for (uint64_t i = 0; i < n && !err; i++)
		err = get_record(r, w);
	if (err)
		return err;
	/* Its numbers; what is memory is that of the rows just read. */
	w->now = was.now;
	w->begun = was.begun;
	memcpy(w->since, was.since, sizeof(w->since));
	w->number = was.number;
	w->newest = was.newest % SLICES;
	w->clean = was.clean;
	w->random_hellos = was.random_hellos;
	return windows_place_all(w);
}

static int get_baseline(struct reader *r, struct baseline *b)
{
	struct baseline was;
	const void *at = get(r, sizeof(was));

	if (!at)
		return -EBADMSG;
	memcpy(&was, at, sizeof(was));
	was.flags = b->flags;
	was.stacks = b->stacks;
	was.kinds = b->kinds;
	was.tcp = b->tcp;
	was.sources = b->sources;
	was.prefixes = b->prefixes;
	*b = was;
	return 0;
}

static int get_cells(struct reader *r, struct cells *c)
{
	const void *cell, *n;
	uint64_t len;
	int err = get_count(r, sizeof(*c->cell) + sizeof(*c->n), &len);

	if (err || !len)
		return err;
	cell = get(r, len * sizeof(*c->cell));
	n = get(r, len * sizeof(*c->n));
	c->cell = malloc(len * sizeof(*c->cell));
	c->n = malloc(len * sizeof(*c->n));
	if (!c->cell || !c->n)
		return -ENOMEM;
	memcpy(c->cell, cell, len * sizeof(*c->cell));
	memcpy(c->n, n, len * sizeof(*c->n));
	c->len = len;
	for (size_t i = 0; i < len; i++) {
		if (c->cell[i] >= CELLS)
			return -EBADMSG;
		c->sum += c->n[i];
	}
	return 0;
}

static int get_ledger(struct reader *r, struct ledger *l)
{
	uint64_t n;
	int err = get_count(r, sizeof(struct cohort_id), &n);

	for (uint64_t i = 0; i < n && !err; i++) {
		const void *key = get(r, sizeof(struct cohort_id));
		const void *number = get(r, sizeof(((struct ledger_stack *)0)->number));
		const void *score = get(r, sizeof(((struct ledger_stack *)0)->score));
		const void *others = get(r, sizeof(((struct ledger_stack *)0)->others));
		struct ledger_stack *s;

		if (!key || !number || !score || !others)
			return -EBADMSG;
		s = ledger_add(l, key);
		if (!s)
			return -ENOMEM;
		memcpy(s->number, number, sizeof(s->number));
		memcpy(s->score, score, sizeof(s->score));
		memcpy(s->others, others, sizeof(s->others));
		for (int k = 0; k < LEDGER_DAYS && !err; k++)
			err = get_cells(r, &s->day[k]);
	}
	return err;
}

static void forget(struct detect *d)
{
	struct detect_config c = d->config;
	past_fn past = d->past;
	void *ctx = d->past_ctx;

	free(d->day_rows);
	windows_clear(&d->windows);
	baseline_clear(&d->baseline);
	fidelity_clear(&d->fidelity);
	table_clear(&d->cohorts);
	detect_forget_reports(d);
	survey_clear(&d->survey);
	ledger_clear(&d->ledger);
	table_clear(&d->closed);
	memset(d, 0, sizeof(*d));
	d->config = c;
	d->past = past;
	d->past_ctx = ctx;
	windows_init(&d->windows);
	baseline_init(&d->baseline);
	fidelity_init(&d->fidelity);
	table_init(&d->cohorts, sizeof(struct cohort_id), sizeof(struct cohort_state));
	table_init(&d->reports, sizeof(struct cohort_id), sizeof(struct kept_report *));
	survey_init(&d->survey);
	ledger_init(&d->ledger);
	table_init(&d->closed, sizeof(struct cohort_id), 0);
}

int detect_restore(struct detect *d, const void *bytes, size_t len)
{
	struct kept_table tables[KEPT_TABLES];
	struct reader r = { bytes, len };
	uint32_t size[SIZES];
	struct head h;
	const void *at = get(&r, sizeof(h));
	int err;

	forget(d);
	if (!at)
		return -EBADMSG;
	memcpy(&h, at, sizeof(h));
	sizes(size);
	if (h.magic != MAGIC || memcmp(size, h.size, sizeof(size)))
		return -EPROTO;
	if (h.len != len || h.sum != sum_of(SUM_START, r.at, r.left))
		return -EBADMSG;
	err = get_windows(&r, &d->windows);
	if (!err)
		err = get_baseline(&r, &d->baseline);
	kept(d, tables);
	for (int i = 0; !err && i < KEPT_TABLES; i++)
		err = get_table(&r, tables[i].t, tables[i].key_len, tables[i].value_len);
	if (!err)
		err = get_ledger(&r, &d->ledger);
	if (!err && r.left)
		err = -EBADMSG;
	if (err) {
		forget(d);
		return err;
	}
	d->ids = h.ids;
	d->day = h.day;
	d->learnt_clean = h.learnt_clean;
	d->config.baseline_until = h.baseline_until;
	return 0;
}

/* ---- what others know -------------------------------------------------------- */

void detect_tables_anew(struct detect *d)
{
	for (size_t i = 0; i < d->windows.n; i++)
		d->windows.records[i].anew = true;
}

void detect_numbers_above(struct detect *d, uint32_t id)
{
	if (id > d->ids)
		d->ids = id;
}

/* Whether most of its members were split: then a crowd of direct ones is somebody else. */
static bool farm_hides(const struct farm *f)
{
	size_t split = 0;

	for (size_t i = 0; i < f->n_members; i++)
		split += f->members[i].split > f->members[i].direct;
	return f->state >= FARM_FLAG && 2 * split > f->n_members;
}

int detect_recall(struct detect *d, const struct farm *f)
{
	struct cohort_id key = { f->stack, f->service };
	struct cohort_state *state = table_add(&d->cohorts, &key, NULL);
	uint32_t id = f->id[0] == 'f' ? (uint32_t)strtoul(f->id + 1, NULL, 10) : 0;

	if (!state)
		return -ENOMEM;
	state->verdict.state = f->state;
	state->verdict.watched_at = f->watched_at;
	state->verdict.flagged_at = f->flagged_at;
	state->verdict.proposed_at = f->proposed_at;
	state->onset = f->onset;
	state->hides = farm_hides(f);
	state->exchanges_before_flag = f->exchanges_before_flag;
	state->id = id;
	detect_numbers_above(d, id);
	return 0;
}

void detect_enforced(struct detect *d, uint64_t stack, uint16_t service, bool on)
{
	struct cohort_id key = { stack, service };
	struct cohort_state *state = table_find(&d->cohorts, &key);
	struct verdict *v = state ? &state->verdict : NULL;
	struct kept_report **told;

	if (!v)
		return;
	ban_enforced(&state->ban, on);
	if (on && v->state != FARM_NONE && v->state != FARM_WATCH) {
		if (v->state != FARM_ENFORCE)
			state->ruled_at = d->windows.now;
		v->state = FARM_ENFORCE;
	} else if (!on && v->state == FARM_ENFORCE)
		v->state = FARM_DECAY;
	told = table_find(&d->reports, &key);
	if (told && *told)
		(*told)->farm.state = v->state;
}

void detect_configure(struct detect *d, const struct detect_config *c)
{
	d->config = *c;
}

const struct detect_config *detect_configured(const struct detect *d)
{
	return &d->config;
}

struct age {
	const struct snapshot *s;
	uint64_t oldest;
	size_t n;
};

static int look_at_age(void *ctx, const struct tally *rows, size_t n)
{
	struct age *a = ctx;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = snapshot_ns(a->s, rows[i].first_seen);

		a->oldest = at < a->oldest ? at : a->oldest;
	}
	a->n += n;
	return 0;
}

uint64_t detect_clean_until(const struct detect_settings *s, const struct snapshot *first)
{
	uint64_t now = first->time + first->epoch;
	struct age age = { first, now, 0 };

	if (s->config.baseline_until)
		return s->config.baseline_until;
	if (snapshot_each(first, look_at_age, &age) || !age.n)
		return 0;
	return (now - age.oldest > s->config.window ? now : age.oldest) + s->baseline;
}
