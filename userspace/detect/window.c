/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tally.h"

void windows_init(struct windows *w)
{
	memset(w, 0, sizeof(*w));
	table_init(&w->ids, sizeof(struct record_id), sizeof(uint32_t));
}

void windows_clear(struct windows *w)
{
	table_clear(&w->ids);
	free(w->records);
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
	v->bytes_in += now->bytes_in - was->bytes_in;
	v->bytes_out += now->bytes_out - was->bytes_out;
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

int windows_update(struct windows *w, const struct snapshot *s, const struct detect_config *c,
		   bool clean, window_threshold_fn threshold, const void *ctx)
{
	uint64_t half = c->window * (c->horizon > 1 ? c->horizon / 2 : 1);
	bool turn;

	w->now = s->time + s->epoch;
	if (!w->begun) {
		w->begun = w->now;
		w->newer_since = w->older_since = w->now;
	}
	/* What happened while clean is history, not part of the recent view. */
	if (w->clean && !clean)
		w->newer_since = w->older_since = w->now - c->window;
	w->clean = clean;
	w->number++;
	turn = !clean && w->now - w->newer_since > half;
	if (turn) {
		w->older_since = w->newer_since;
		w->newer_since = w->now - c->window;
		for (size_t i = 0; i < w->n; i++) {
			struct record *r = &w->records[i];

			r->older = r->newer;
			r->newer = (struct view){};
		}
	}
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct tally *row = &s->rows[i];
		struct record_id id = { row->src,    row->stack, row->service,
					row->family, row->proto, 0 };
		static const struct tally blank = { .dstar = { DSTAR_NONE, DSTAR_NONE, DSTAR_NONE,
							       DSTAR_NONE, DSTAR_NONE } };
		const struct tally *was;
		struct record *r;
		uint32_t *number;
		bool added;

		if (!row->stack)
			continue;
		if (array_room(&w->records, w->n, &w->room, sizeof(*r)))
			return -ENOMEM;
		number = table_add(&w->ids, &id, &added);
		if (!number)
			return -ENOMEM;
		if (added) {
			*number = w->n++;
			w->records[*number] = (struct record){};
		}
		r = &w->records[*number];
		was = &r->row;
		if (added || row->connections < was->connections || row->exchanges < was->exchanges)
			was = &blank;
		if (added) {
			r->first_seen = snapshot_ns(s, row->first_seen);
			r->in_clean = clean;
		}
		if (was != &blank && row->connections == was->connections &&
		    row->exchanges == was->exchanges && row->last_seen == was->last_seen)
			continue;
		add_row(clean ? &r->clean : &r->newer, row, was,
			threshold(ctx, row->stack, row->rtt_min));
		r->moved = row->exchanges - was->exchanges;
		r->moved_window = w->number;
		r->row = *row;
	}
	return 0;
}

struct view record_lately(const struct record *r)
{
	struct view v = r->newer;

	v.connections += r->older.connections;
	v.exchanges += r->older.exchanges;
	v.resumed += r->older.resumed;
	v.direct += r->older.direct;
	v.split += r->older.split;
	v.bytes_in += r->older.bytes_in;
	v.bytes_out += r->older.bytes_out;
	for (int i = 0; i < D_BINS * D_BINS; i++)
		v.d1dstar[i] += r->older.d1dstar[i];
	for (int i = 0; i < GAP_BINS; i++)
		v.gaps[i] += r->older.gaps[i];
	v.windows += r->older.windows;
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
