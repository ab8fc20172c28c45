/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/tallies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include "base/addr.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "tally.h"

struct tally_id {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
	uint32_t zero;
};

struct order_id {
	uint64_t stack, order;
};

struct pending {
	uint64_t time;
	uint32_t row; /* rows never leave the table, so its number stays */
	uint32_t in, out;
};

/* Rows that changed since the last snapshot. */
struct changes {
	uint32_t *row;
	bool *changed; /* of each row */
	size_t n, room, room_changed;
};

/* Orders kept, as the kernel forgets them too: beyond, those of one source go. A
 * browser that permutes makes a new one with each connection. */
#define ORDERS_MOST (1U << 20)

struct tallies {
	uint64_t now;
	struct table row_ids, order_ids; /* -> nothing; row i there is row i here */
	struct table stacks;             /* -> u32 enum hello_flag */
	struct tally *rows;
	struct order_tally *orders;
	size_t room_rows, room_orders;
	struct pending *heap;
	size_t n, room;
	struct changes rows_changed, orders_changed;
	uint64_t order_evicted;
};

struct tallies *tallies_new(void)
{
	struct tallies *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	table_init(&t->row_ids, sizeof(struct tally_id), 0);
	table_init(&t->order_ids, sizeof(struct order_id), 0);
	table_init(&t->stacks, sizeof(uint64_t), sizeof(uint32_t));
	return t;
}

static void changes_clear(struct changes *c)
{
	free(c->row);
	free(c->changed);
}

void tallies_free(struct tallies *t)
{
	if (!t)
		return;
	table_clear(&t->row_ids);
	table_clear(&t->order_ids);
	free(t->rows);
	free(t->orders);
	table_clear(&t->stacks);
	free(t->heap);
	changes_clear(&t->rows_changed);
	changes_clear(&t->orders_changed);
	free(t);
}

void tallies_freep(struct tallies **t)
{
	tallies_free(*t);
}

uint64_t tallies_time(const struct tallies *t)
{
	return t->now;
}

size_t tallies_rows(const struct tallies *t)
{
	return t->row_ids.n;
}

static uint32_t stamp_of(uint64_t ns)
{
	return ns >> STAMP_SHIFT;
}

static int mark(struct changes *c, uint32_t row)
{
	if (c->changed[row])
		return 0;
	if (array_room(&c->row, c->n, &c->room, sizeof(*c->row)))
		return -ENOMEM;
	c->row[c->n++] = row;
	c->changed[row] = true;
	return 0;
}

static int heap_push(struct tallies *t, struct pending p)
{
	size_t i;

	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct pending *more = realloc(t->heap, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->heap = more;
		t->room = room;
	}
	for (i = t->n++; i && t->heap[(i - 1) / 2].time > p.time; i = (i - 1) / 2)
		t->heap[i] = t->heap[(i - 1) / 2];
	t->heap[i] = p;
	return 0;
}

static struct pending heap_pop(struct tallies *t)
{
	struct pending top = t->heap[0], last = t->heap[--t->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < t->n) {
		if (child + 1 < t->n && t->heap[child + 1].time < t->heap[child].time)
			child++;
		if (t->heap[child].time >= last.time)
			break;
		t->heap[i] = t->heap[child];
		i = child;
	}
	t->heap[i] = last;
	return top;
}

int tallies_advance(struct tallies *t, uint64_t time)
{
	while (t->n && t->heap[0].time <= time) {
		struct pending p = heap_pop(t);
		struct tally *row;

		if (mark(&t->rows_changed, p.row))
			return -ENOMEM;
		row = &t->rows[p.row];
		tally_exchange(&row->row, stamp_of(p.time));
		tally_bytes(&row->row, p.in, p.out);
		row->last_seen = tally_seen(row->last_seen, stamp_of(p.time));
	}
	if (time > t->now)
		t->now = time;
	return 0;
}

/* A sketch bit for a source; the seed only has to be steady within the stream. */
static uint64_t source_hash(uint64_t src)
{
	src ^= src >> 33;
	src *= 0xff51afd7ed558ccdULL; /* MurmurHash3 finalizer, Appleby */
	src ^= src >> 33;
	src *= 0xc4ceb9fe1a85ec53ULL;
	return src ^ src >> 33;
}

static int count_order(struct tallies *t, uint64_t src, uint64_t stack, uint64_t order)
{
	struct order_id id = { stack, order };
	size_t had = t->order_ids.n, i;
	void *found;

	if (array_room(&t->orders, had, &t->room_orders, sizeof(*t->orders)) ||
	    array_room(&t->orders_changed.changed, had, &t->orders_changed.room_changed, 1))
		return -ENOMEM;
	found = table_add(&t->order_ids, &id, NULL);
	if (!found)
		return -ENOMEM;
	i = table_row(&t->order_ids, found);
	if (i == had) {
		t->orders[i] = (struct order_tally){ .stack = stack, .order = order };
		t->orders_changed.changed[i] = false;
	}
	tally_order(&t->orders[i], src, source_hash(src), stamp_of(t->now));
	return mark(&t->orders_changed, i);
}

/* The row of that id, SIZE_MAX if there is no memory for a new one. */
static size_t row_of(struct tallies *t, const struct tally_id *id, uint32_t stamp)
{
	size_t had = t->row_ids.n, i;
	void *found;

	if (array_room(&t->rows, had, &t->room_rows, sizeof(*t->rows)) ||
	    array_room(&t->rows_changed.changed, had, &t->rows_changed.room_changed, 1))
		return SIZE_MAX;
	found = table_add(&t->row_ids, id, NULL);
	if (!found)
		return SIZE_MAX;
	i = table_row(&t->row_ids, found);
	if (i < had)
		return i;
	t->rows[i] = (struct tally){ .src = id->src,
				     .stack = id->stack,
				     .service = id->service,
				     .family = id->family,
				     .proto = id->proto,
				     .last_seen = stamp };
	tally_begin(&t->rows[i].row, stamp);
	t->rows_changed.changed[i] = false;
	return i;
}

int tallies_connection(struct tallies *t, const struct event_conn *e,
		       const struct tallies_name *name)
{
	struct tally_id id = { .stack = name->stack, .service = e->dport, .proto = IPPROTO_TCP };
	uint32_t flags, *stack_flags;
	uint64_t at = e->t;
	struct tally *row;
	size_t number;
	int err;

	if (at < t->now) {
		if (t->now - at > NSEC_PER_SEC)
			return -ERANGE;
		at = t->now;
	}
	err = tallies_advance(t, at);
	if (err)
		return err;
	if (!name->stack)
		return 0;
	id.src = source_of(e->src, &id.family);
	number = row_of(t, &id, stamp_of(at));
	if (number == SIZE_MAX || mark(&t->rows_changed, number))
		return -ENOMEM;
	row = &t->rows[number];
	flags = (e->piggy ? HS_PIGGY : 0) | (e->psk ? HS_RESUMED : 0);
	tally_connection(&row->row, e->tcp_key, e->psk);
	row->last_seen = tally_seen(row->last_seen, stamp_of(at));
	tally_handshake(&row->row, tally_tenths(e->rtt_us), tally_tenths(e->d1_us),
			tally_tenths(e->dstar_us), flags);
	stack_flags = table_add(&t->stacks, &name->stack, NULL);
	if (!stack_flags)
		return -ENOMEM;
	*stack_flags |= name->hello_flags;
	err = count_order(t, id.src, name->stack, e->has_order ? e->order : name->order);
	for (size_t i = 0; !err && i < e->n_exchanges; i++) {
		const struct event_exchange *x = &e->exchanges[i];

		err = heap_push(t, (struct pending){ .time = at + x->dt_ms * NSEC_PER_MSEC,
						     .row = number,
						     .in = x->in,
						     .out = x->out });
	}
	return err;
}

/* Nothing is marked. Where most are shared, all go. */
static int forget_orders(struct tallies *t)
{
	size_t kept = 0, had = t->order_ids.n;

	table_clear(&t->order_ids);
	for (size_t i = 0; i < had; i++) {
		if (order_sources(&t->orders[i]) >= 2 && kept < ORDERS_MOST / 2)
			t->orders[kept++] = t->orders[i];
	}
	kept = kept < ORDERS_MOST / 2 ? kept : 0;
	t->order_evicted += had - kept;
	for (size_t i = 0; i < kept; i++) {
		struct order_id id = { t->orders[i].stack, t->orders[i].order };

		if (!table_add(&t->order_ids, &id, NULL))
			return -ENOMEM;
	}
	return 0;
}

int tallies_snapshot(struct tallies *t, bool all, struct snapshot **out)
{
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(t->now, 0);
	int err = s ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < (all ? t->row_ids.n : t->rows_changed.n); i++) {
		size_t row = all ? i : t->rows_changed.row[i];

		t->rows_changed.changed[row] = false;
		err = snapshot_add(s, &t->rows[row]);
	}
	for (size_t i = 0; !err && i < (all ? t->order_ids.n : t->orders_changed.n); i++) {
		size_t row = all ? i : t->orders_changed.row[i];

		t->orders_changed.changed[row] = false;
		err = snapshot_add_order(s, &t->orders[row]);
	}
	for (size_t i = 0; !err && i < t->stacks.n; i++)
		err = snapshot_add_stack(s, *(const uint64_t *)table_key(&t->stacks, i),
					 *(uint32_t *)table_value(&t->stacks, i));
	if (err)
		return err;
	t->rows_changed.n = t->orders_changed.n = 0;
	if (t->order_ids.n >= ORDERS_MOST)
		err = forget_orders(t);
	if (err)
		return err;
	s->losses.order_evicted = t->order_evicted;
	*out = take_ptr(s);
	return 0;
}
