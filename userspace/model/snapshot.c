/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/snapshot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct snapshot *snapshot_new(uint64_t time, uint64_t epoch)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s) {
		s->time = time;
		s->epoch = epoch;
	}
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->rows);
	free(s->orders);
	free(s->stacks);
	free(s);
}

void snapshot_freep(struct snapshot **s)
{
	snapshot_free(*s);
}

int snapshot_add(struct snapshot *s, const struct tally *row)
{
	int err = array_room(&s->rows, s->n_rows, &s->room_rows, sizeof(*row));

	if (err)
		return err;
	s->rows[s->n_rows++] = *row;
	return 0;
}

int snapshot_add_order(struct snapshot *s, const struct order_tally *row)
{
	int err = array_room(&s->orders, s->n_orders, &s->room_orders, sizeof(*row));

	if (err)
		return err;
	s->orders[s->n_orders++] = *row;
	return 0;
}

int snapshot_add_stack(struct snapshot *s, uint64_t stack, uint32_t hello_flags)
{
	int err = array_room(&s->stacks, s->n_stacks, &s->room_stacks, sizeof(s->stacks[0]));

	if (err)
		return err;
	s->stacks[s->n_stacks++] =
		(struct snapshot_stack){ .stack = stack, .hello_flags = hello_flags };
	return 0;
}

/* Copies `len` bytes whose generation word must be even and the same before and
 * after. */
static bool copy_steady(void *to, const void *from, size_t len, const __u32 *gen)
{
	__u32 before = __atomic_load_n(gen, __ATOMIC_ACQUIRE);

	if (before & 1)
		return false;
	memcpy(to, from, len);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(gen, __ATOMIC_RELAXED) == before;
}

int snapshot_add_sets(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
		      const struct order_set *orders, size_t n_order_sets)
{
	struct order_tally order;
	struct tally row;
	int err;

	for (size_t i = 0; i < n_sets * WAYS; i++) {
		const struct tally *from = &sets[i / WAYS].slot[i % WAYS];

		if (!__atomic_load_n(&sets[i / WAYS].tag[i % WAYS], __ATOMIC_RELAXED))
			continue;
		if (!copy_steady(&row, from, sizeof(row), &from->gen)) {
			s->losses.rows_skipped++;
			continue;
		}
		err = snapshot_add(s, &row);
		if (err)
			return err;
	}
	for (size_t i = 0; i < n_order_sets * WAYS; i++) {
		const struct order_tally *from = &orders[i / WAYS].slot[i % WAYS];

		if (!__atomic_load_n(&orders[i / WAYS].tag[i % WAYS], __ATOMIC_RELAXED))
			continue;
		if (!copy_steady(&order, from, sizeof(order), &from->gen)) {
			s->losses.rows_skipped++;
			continue;
		}
		err = snapshot_add_order(s, &order);
		if (err)
			return err;
	}
	return 0;
}

uint64_t snapshot_ns(const struct snapshot *s, uint32_t stamp)
{
	uint32_t age = (uint32_t)(s->time >> STAMP_SHIFT) - stamp;
	uint64_t ns;

	if (age >> 31)
		age = 0;
	ns = (uint64_t)age << STAMP_SHIFT;
	return s->epoch + (ns < s->time ? s->time - ns : 0);
}

double order_sources(const struct order_tally *o)
{
	int set = __builtin_popcountll(o->sketch);

	if (o->distinct <= 2)
		return o->distinct;
	if (set >= 64)
		set = 63; /* full: at least 266 */
	return -64.0 * log(1.0 - set / 64.0);
}
