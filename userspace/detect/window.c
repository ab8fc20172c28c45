/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "detect/features.h"
#include "tally.h"

void windows_init(struct windows *w)
{
	memset(w, 0, sizeof(*w));
	table_init(&w->ids, sizeof(struct record_id), 0);
	table_init(&w->cohorts, sizeof(struct cohort_id), 0);
}

void windows_clear(struct windows *w)
{
	table_clear(&w->ids);
	table_clear(&w->cohorts);
	addresses_clear(&w->addresses);
	free(w->records);
	slab_clear(&w->counts);
	free(w->cohort);
	free(w->moved);
}

/* What `now` has more than `was`, when bins may have been halved in between. */
static void bins_delta(uint16_t *to, const uint8_t *now, const uint8_t *was, size_t n)
{
	bool halved = false;

	for (size_t i = 0; i < n; i++)
		halved |= now[i] < was[i];
	for (size_t i = 0; i < n; i++) {
		uint8_t before = halved ? was[i] / 2 : was[i];
		uint32_t sum = to[i] + (now[i] > before ? (uint32_t)(now[i] - before) : 0);

		to[i] = sum > 0xffff ? 0xffff : sum;
	}
}

static uint32_t bins_sum(const uint8_t *v, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i];
	return sum;
}

/* How many of the five kept D* are new: the ring index tells it modulo five. */
static uint32_t new_dstars(const struct tally *now, const struct tally *was)
{
	uint32_t connections = now->connections - was->connections;
	uint32_t at = now->state & TALLY_RING_MASK, before = was->state & TALLY_RING_MASK;
	uint32_t moved = (at + DSTAR_KEPT - before) % DSTAR_KEPT;

	if (bins_sum(now->d1dstar, sizeof(now->d1dstar)) >=
	    bins_sum(was->d1dstar, sizeof(was->d1dstar)) + DSTAR_KEPT)
		return DSTAR_KEPT;
	if (moved == 0 && connections >= DSTAR_KEPT &&
	    memcmp(now->dstar, was->dstar, sizeof(now->dstar)))
		return DSTAR_KEPT;
	return moved;
}

static void add_row(struct view *v, const struct tally *now, const struct tally *was,
		    uint32_t threshold)
{
	uint32_t fresh = new_dstars(now, was);
	uint32_t at = now->state & TALLY_RING_MASK;

	v->connections += now->connections - was->connections;
	v->exchanges += now->exchanges - was->exchanges;
	v->resumed += (uint16_t)(now->resumed - was->resumed);
	bins_delta(v->d1dstar, now->d1dstar, was->d1dstar, D_BINS * D_BINS);
	bins_delta(v->gaps, now->gaps, was->gaps, GAP_BINS);
	for (uint32_t i = 1; i <= fresh; i++) {
		uint16_t d = now->dstar[(at + 2 * DSTAR_KEPT - i) % DSTAR_KEPT];

		if (d == DSTAR_NONE)
			continue;
		if ((uint32_t)(d & ~DSTAR_RESUMED) >= threshold)
			v->split++;
		else
			v->direct++;
	}
	if (v->windows < 0xffff)
		v->windows++;
}

static uint16_t add16(uint16_t a, uint32_t b)
{
	return a + b > 0xffff ? 0xffff : a + b;
}

static void add_bins(uint8_t *to, const uint16_t *more, size_t n)
{
	uint32_t highest = 0;
	int shift = 0;

	for (size_t i = 0; i < n; i++)
		highest = to[i] + more[i] > highest ? (uint32_t)(to[i] + more[i]) : highest;
	while (highest >> shift > 0xff)
		shift++;
	for (size_t i = 0; i < n; i++)
		to[i] = (uint32_t)(to[i] + more[i]) >> shift;
}

static void add_view(struct slice *s, const struct view *v)
{
	s->connections += v->connections;
	s->exchanges += v->exchanges;
	s->resumed = add16(s->resumed, v->resumed);
	s->direct = add16(s->direct, v->direct);
	s->split = add16(s->split, v->split);
	s->windows = add16(s->windows, v->windows);
	add_bins(s->d1dstar, v->d1dstar, D_BINS * D_BINS);
	add_bins(s->gaps, v->gaps, GAP_BINS);
}

static void add_clean(struct view *to, const struct view *v)
{
	to->connections += v->connections;
	to->exchanges += v->exchanges;
	to->resumed += v->resumed;
	to->direct += v->direct;
	to->split += v->split;
	for (int i = 0; i < D_BINS * D_BINS; i++)
		to->d1dstar[i] = add16(to->d1dstar[i], v->d1dstar[i]);
	for (int i = 0; i < GAP_BINS; i++)
		to->gaps[i] = add16(to->gaps[i], v->gaps[i]);
	to->windows = add16(to->windows, v->windows);
}

/* What was clean is not lately, unless lately would be less than is wanted anyway. */
static void begin_anew(struct windows *w, uint64_t since)
{
	w->shape++;
	for (size_t i = 0; i < w->n; i++)
		w->records[i].held = w->records[i].active = 0;
	for (int i = 0; i < SLICES; i++)
		w->since[i] = since;
}

/* The oldest generation's slices are the newest's now, whatever is in them. */
static void turn(struct windows *w, uint64_t since)
{
	uint8_t others;

	w->newest = (w->newest + SLICES - 1) % SLICES;
	others = ~(1U << w->newest);
	for (size_t i = 0; i < w->n; i++) {
		w->records[i].held &= others;
		w->records[i].active &= others;
	}
	memmove(w->since + 1, w->since, (SLICES - 1) * sizeof(w->since[0]));
	w->since[0] = since;
}

_Static_assert(RANDOM_STACKS - 1 <= UINT8_MAX, "more_stacks holds it");

/* The address whose first record this is. */
static bool makes_up(const struct record *r)
{
	return r->more_stacks == RANDOM_STACKS - 1;
}

/* What follows from a record's id: its cohort, and one stack more of its address. */
static int place(struct windows *w, size_t i)
{
	const struct record_id *id = record_id(w, i);
	struct cohort_id cohort = { id->stack, id->service };
	void *value = table_add(&w->cohorts, &cohort, NULL);
	size_t first;

	if (!value || addresses_add(&w->addresses, &w->ids, i, &first) ||
	    array_room(&w->cohort, i, &w->room_cohort, sizeof(*w->cohort)))
		return -ENOMEM;
	w->records[i].more_stacks = 0;
	if (first != i && !makes_up(&w->records[first])) {
		w->records[first].more_stacks++;
		w->n_random += makes_up(&w->records[first]);
	}
	w->cohort[i] = table_row(&w->cohorts, value);
	return 0;
}

int windows_place_all(struct windows *w)
{
	int err = 0;

	table_clear(&w->cohorts);
	addresses_clear(&w->addresses);
	w->n_random = 0;
	for (size_t i = 0; i < w->n && !err; i++)
		err = place(w, i);
	w->n_moved = 0;
	w->shape++;
	return err;
}

/* Records that were still for long go; the last one takes the number of each. */
static int forget(struct windows *w, uint64_t before)
{
	size_t had = w->n;

	for (size_t i = w->n; i-- > 0;) {
		if (w->records[i].last_moved >= before)
			continue;
		table_remove_at(&w->ids, i);
		if (w->records[i].counts)
			slab_give(&w->counts, w->records[i].counts);
		w->records[i] = w->records[--w->n];
	}
	if (w->n < had)
		return windows_place_all(w);
	w->shape++;
	return 0;
}

/* One of an address that made up too many already? */
static bool is_random(const struct windows *w, const struct tally *row)
{
	size_t first = addresses_find(&w->addresses, &w->ids, row->src, row->family);

	return first != NO_ADDRESS && makes_up(&w->records[first]);
}

size_t windows_randomisers(const struct windows *w, struct randomiser *out, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n && n < w->n_random && n < most; i++) {
		const struct record_id *id = record_id(w, i);

		if (makes_up(&w->records[i]))
			out[n++] = (struct randomiser){ id->src, id->family, RANDOM_STACKS };
	}
	return w->n_random;
}

static const struct tally blank = { .dstar = { DSTAR_NONE, DSTAR_NONE, DSTAR_NONE, DSTAR_NONE,
					       DSTAR_NONE } };

/* One call of windows_update(). */
struct update {
	struct windows *w;
	const struct snapshot *s;
	const struct detect_config *c;
	bool clean;
	window_threshold_fn threshold;
	const void *ctx;
};

/* A record for a row that has none. `was`: what of it is not new. *i is w->n: none. */
static int begin_record(const struct update *u, const struct tally *row, const struct record_id *id,
			struct tally *was, size_t *i)
{
	struct windows *w = u->w;
	uint64_t first = snapshot_ns(u->s, row->first_seen), horizon = u->c->window * u->c->horizon;

	*i = w->n;
	*was = blank;
	/* A table that forgets later than we do: its old rows are old news. */
	if (w->number > 1 && snapshot_ns(u->s, row->last_seen) + horizon < w->now)
		return 0;
	if (is_random(w, row)) {
		w->random_hellos++;
		return 0;
	}
	if (array_room(&w->records, w->n, &w->room, sizeof(*w->records)) ||
	    !table_add(&w->ids, id, NULL))
		return -ENOMEM;
	w->records[*i] = (struct record){ .first_seen = first, .in_clean = u->clean };
	if (w->number > 1 && first + horizon < w->now) {
		*was = *row;
		was->connections -= was->connections > 0;
		was->exchanges -= was->exchanges > 0;
		was->last_seen--;
	}
	w->n++;
	return place(w, *i);
}

static void set_fresh(struct record *r, const struct view *v)
{
	r->fresh = r->fresh_waiting = 0;
	for (int d1 = 0; d1 < D_BINS; d1++)
		for (int d = 0; d < D_BINS; d++) {
			uint16_t n = v->d1dstar[d1 * D_BINS + d];

			r->fresh = add16(r->fresh, n);
			if (delays_wait(d1, d))
				r->fresh_waiting = add16(r->fresh_waiting, n);
		}
}

static bool is_still(const struct record *r, const struct tally *row)
{
	return !r->anew && row->connections == r->connections && row->exchanges == r->exchanges &&
	       row->last_seen == r->last_seen;
}

/* What a row has more than before: to the counts and, of the newest window, to the record. */
static int add_moved(const struct update *u, size_t i, const struct tally *row,
		     const struct tally *was, struct counts *c)
{
	struct windows *w = u->w;
	struct record *r = &w->records[i];
	struct slice *newest = &c->slice[w->newest];
	uint32_t moved = row->exchanges - was->exchanges;
	struct view v = {};
	int err;

	add_row(&v, row, was, u->threshold(u->ctx, row->stack, row->rtt_min));
	add_view(newest, &v);
	if (u->clean)
		add_clean(&c->clean, &v);
	c->row = *row;
	err = record_keep(w, i, c);
	if (err)
		return err;
	r->held |= 1U << w->newest;
	if (newest->connections || newest->exchanges)
		r->active |= 1U << w->newest;
	r->moved = moved;
	set_fresh(r, &v);
	r->last_moved = w->now;
	r->connections = row->connections;
	r->exchanges = row->exchanges;
	r->last_seen = row->last_seen;
	r->resumed = row->resumed;
	r->rtt_min = row->rtt_min;
	r->anew = false;
	return 0;
}

/* `value`: of its id, as it was found. */
static int update_row(const struct update *u, const struct tally *row, const struct record_id *id,
		      const void *value)
{
	struct windows *w = u->w;
	size_t i = value ? table_row(&w->ids, value) : w->n;
	struct counts counts = {};
	struct tally was;
	int err;

	if (!value) {
		err = begin_record(u, row, id, &was, &i);
		if (err || i == w->n)
			return err;
	} else {
		if (is_still(&w->records[i], row))
			return 0;
		record_counts(w, i, &counts);
		was = counts.row;
		if (w->records[i].anew || row->connections < was.connections ||
		    row->exchanges < was.exchanges)
			was = blank;
	}
	if (array_room(&w->moved, w->n_moved, &w->room_moved, sizeof(*w->moved)))
		return -ENOMEM;
	w->moved[w->n_moved++] = i;
	return add_moved(u, i, row, &was, &counts);
}

/* Rows lie anywhere in memory: they are asked for some at a time. Rows of one snapshot
 * differ, so what is found of one holds until its turn - unless one before it has added
 * a record. */
static int update_some(const struct update *u, const struct tally *rows, size_t n)
{
	struct record_id id[TABLE_AT_ONCE];
	void *value[TABLE_AT_ONCE];
	struct windows *w = u->w;
	size_t had = w->n;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		id[i] = (struct record_id){ rows[i].src, rows[i].stack, rows[i].service,
					    rows[i].family, rows[i].proto };
	table_find_all(&w->ids, id, n, value);
	for (size_t i = 0; i < n; i++) {
		if (value[i])
			__builtin_prefetch(&w->records[table_row(&w->ids, value[i])]);
		else
			addresses_ask(&w->addresses, rows[i].src, rows[i].family);
	}
	for (size_t i = 0; i < n; i++) {
		size_t at = value[i] ? table_row(&w->ids, value[i]) : w->n;

		if (value[i] && !is_still(&w->records[at], &rows[i]))
			record_ask_counts(w, at);
	}
	for (size_t i = 0; i < n && !err; i++) {
		if (w->n != had)
			value[i] = table_find(&w->ids, &id[i]);
		if (rows[i].stack)
			err = update_row(u, &rows[i], &id[i], value[i]);
	}
	return err;
}

static int update_rows(void *ctx, const struct tally *rows, size_t n)
{
	int err = 0;

	for (size_t i = 0, some; i < n && !err; i += some) {
		some = n - i < TABLE_AT_ONCE ? n - i : TABLE_AT_ONCE;
		err = update_some(ctx, rows + i, some);
	}
	return err;
}

int windows_update(struct windows *w, const struct snapshot *s, const struct detect_config *c,
		   bool clean, window_threshold_fn threshold, const void *ctx)
{
	uint64_t horizon = c->window * (c->horizon > SLICES ? c->horizon : SLICES);
	struct update u = { w, s, c, clean, threshold, ctx };
	int err = 0;

	w->now = s->time + s->epoch;
	if (!w->begun) {
		w->begun = w->now;
		for (int i = 0; i < SLICES; i++)
			w->since[i] = w->now;
	}
	if (w->clean && !clean && w->now - w->begun < horizon)
		begin_anew(w, w->now - c->window);
	w->clean = clean;
	w->number++;
	w->n_moved = 0;
	if (w->now - w->since[0] > horizon / SLICES) {
		turn(w, w->now - c->window);
		err = forget(w, w->now > RECORD_HORIZONS * horizon
					? w->now - RECORD_HORIZONS * horizon
					: 0);
	}
	return err ? err : snapshot_each(s, update_rows, &u);
}

void record_counts(const struct windows *w, size_t i, struct counts *c)
{
	const struct record_id *id = record_id(w, i);
	const struct record *r = &w->records[i];

	if (r->counts)
		counts_unpack(slab_at(&w->counts, r->counts), c);
	else
		*c = (struct counts){ .row = blank };
	for (int k = 0; k < SLICES; k++)
		if (!(r->held & 1U << k))
			c->slice[k] = (struct slice){};
	c->row.src = id->src;
	c->row.stack = id->stack;
	c->row.service = id->service;
	c->row.family = id->family;
	c->row.proto = id->proto;
	c->row.connections = r->connections;
	c->row.exchanges = r->exchanges;
	c->row.last_seen = r->last_seen;
	c->row.resumed = r->resumed;
	c->row.rtt_min = r->rtt_min;
}

int record_keep(struct windows *w, size_t i, const struct counts *c)
{
	uint8_t packed[COUNTS_MOST];
	size_t len = counts_pack(c, packed);
	uint32_t piece = slab_fit(&w->counts, w->records[i].counts, len);

	if (!piece)
		return -ENOMEM;
	memcpy(slab_at(&w->counts, piece), packed, len);
	w->records[i].counts = piece;
	return 0;
}

struct view counts_lately(const struct counts *c)
{
	struct view v = {};

	for (int k = 0; k < SLICES; k++) {
		const struct slice *s = &c->slice[k];

		if (!s->windows) /* nothing in it, as in most */
			continue;
		v.connections += s->connections;
		v.exchanges += s->exchanges;
		v.resumed += s->resumed;
		v.direct += s->direct;
		v.split += s->split;
		for (int i = 0; i < D_BINS * D_BINS; i++)
			v.d1dstar[i] += s->d1dstar[i];
		for (int i = 0; i < GAP_BINS; i++)
			v.gaps[i] += s->gaps[i];
		v.windows += s->windows;
	}
	return v;
}

static uint32_t median(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		for (uint32_t j = i; j && v[j] < v[j - 1]; j--) {
			uint32_t t = v[j];

			v[j] = v[j - 1];
			v[j - 1] = t;
		}
	}
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

uint32_t record_dstar(const struct tally *row, uint32_t min, uint32_t *n)
{
	uint32_t kind[2][DSTAR_KEPT], all[DSTAR_KEPT], count[2] = {}, total = 0, most;

	for (int i = 0; i < DSTAR_KEPT; i++) {
		uint16_t d = row->dstar[i];
		int resumed = !!(d & DSTAR_RESUMED);

		if (d == DSTAR_NONE)
			continue;
		d &= ~DSTAR_RESUMED;
		kind[resumed][count[resumed]++] = d;
		all[total++] = d;
	}
	*n = total;
	if (!total)
		return 0;
	most = count[1] > count[0];
	if (count[most] >= min) {
		*n = count[most];
		return median(kind[most], count[most]);
	}
	return median(all, total);
}
