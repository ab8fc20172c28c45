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

int snapshot_each(const struct snapshot *s, snapshot_rows_fn fn, void *ctx)
{
	return s->read ? s->read(s->read_ctx, fn, ctx) : fn(ctx, s->rows, s->n_rows);
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

/* The row at one place of a set, and when it was last seen, as of one key. */
static bool copy_tally(struct tally *to, const struct tally_set *set, unsigned int way)
{
	const struct tally_row *from = &set->slot[way];

	if (!copy_steady(&to->row, from, sizeof(to->row), &from->gen))
		return false;
	to->last_seen = __atomic_load_n(&set->heat[way], __ATOMIC_RELAXED);
	to->spare = 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&from->gen, __ATOMIC_RELAXED) == to->gen;
}

int snapshot_add_sets(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
		      const struct order_set *orders, size_t n_order_sets)
{
	struct order_tally order;
	struct tally row;
	int err;

	for (size_t i = 0; i < n_sets * WAYS; i++) {
		if (!__atomic_load_n(&sets[i / WAYS].tag[i % WAYS], __ATOMIC_RELAXED))
			continue;
		if (!copy_tally(&row, &sets[i / WAYS], i % WAYS)) {
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

#define SOME_SETS 512

int snapshot_each_set(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
		      snapshot_rows_fn fn, void *ctx)
{
	int err = 0;

	for (size_t i = 0, n; i < n_sets && !err; i += n) {
		n = n_sets - i < SOME_SETS ? n_sets - i : SOME_SETS;
		s->n_rows = 0;
		err = snapshot_add_sets(s, sets + i, n, NULL, 0);
		if (!err)
			err = fn(ctx, s->rows, s->n_rows);
	}
	return err;
}

/* ---- the newest rows ----------------------------------------------------------------- */

#define AHEAD 24 /* sets that are asked for before they are looked at */

/* The least of what is offered. Four times as many are held; when there are more, all
 * but the least `limit` go, and nothing greater than those is taken from then on. */
struct least {
	uint64_t *v;
	size_t n, limit;
	uint64_t below;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The least `n_least` of v[0..n) to its front. Hoare 1961, "Find". */
static void select_least(uint64_t *v, ptrdiff_t n, ptrdiff_t n_least)
{
	ptrdiff_t lo = 0, hi = n - 1, i, j;

	while (lo < hi) {
		uint64_t pivot = v[lo + (hi - lo) / 2], x;

		for (i = lo, j = hi; i <= j;) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i > j)
				break;
			x = v[i];
			v[i++] = v[j];
			v[j--] = x;
		}
		if (n_least - 1 <= j)
			hi = j;
		else if (n_least - 1 >= i)
			lo = i;
		else
			return;
	}
}

static void least_offer(struct least *l, uint64_t v)
{
	if (v >= l->below)
		return;
	l->v[l->n++] = v;
	if (l->n < 4 * l->limit)
		return;
	select_least(l->v, l->n, l->limit);
	l->n = l->limit;
	l->below = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i] > l->below)
			l->below = l->v[i];
}

typedef uint32_t half_set __attribute__((vector_size(4 * WAYS / 2)));
typedef int32_t answers __attribute__((vector_size(4 * WAYS / 2))); /* 0 or -1 */

/* A bit for each way of the two halves. */
static uint32_t ways(answers a, answers b)
{
	answers bits = (a & (answers){ 1, 2, 4, 8 }) | (b & (answers){ 16, 32, 64, 128 });

	return bits[0] | bits[1] | bits[2] | bits[3];
}

/* Ages in stamps, which wrap; seen "later" on another CPU: 0. */
static answers ages(half_set heat, uint32_t now)
{
	answers age = (answers)(now - heat);

	return age & ~(age >> 31);
}

/* The rows of one set, by the line in front of them; how many there are. Eight are
 * compared in a few instructions, for to the bandwidth of memory little may be added. */
static unsigned int set_offer(struct least *l, const struct tally_set *set, size_t first,
			      uint32_t now)
{
	const half_set *tag = (const half_set *)set->tag, *heat = (const half_set *)set->heat;
	uint64_t newest = l->below >> 32;
	int32_t most = newest < INT32_MAX ? newest : INT32_MAX;
	answers a = ages(heat[0], now), b = ages(heat[1], now);
	uint32_t used = ways(tag[0] != 0, tag[1] != 0);
	uint32_t offered = used & ways(a <= most, b <= most);

	for (; offered; offered &= offered - 1) {
		unsigned int w = __builtin_ctz(offered);
		uint32_t age = w < WAYS / 2 ? a[w] : b[w - WAYS / 2];

		least_offer(l, (uint64_t)age << 32 | (first + w));
	}
	return __builtin_popcount(used);
}

int snapshot_add_newest(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
			size_t limit, size_t *total)
{
	struct least l = { .limit = limit, .below = UINT64_MAX };
	uint32_t now = s->time >> STAMP_SHIFT;
	struct tally row;
	int err = 0;

	l.v = limit ? malloc(4 * limit * sizeof(l.v[0])) : NULL;
	if (!l.v)
		return -ENOMEM;
	*total = 0;
	for (size_t i = 0; i < n_sets; i++) {
		if (i + AHEAD < n_sets)
			__builtin_prefetch(sets[i + AHEAD].tag);
		*total += set_offer(&l, &sets[i], i * WAYS, now);
	}
	if (l.n > limit) {
		select_least(l.v, l.n, limit);
		l.n = limit;
	}
	qsort(l.v, l.n, sizeof(l.v[0]), by_value);
	for (size_t i = 0; !err && i < l.n; i++) {
		uint32_t at = l.v[i];
		if (i + AHEAD < l.n) {
			uint32_t later = l.v[i + AHEAD];
			const struct tally_row *row_later = &sets[later / WAYS].slot[later % WAYS];

			__builtin_prefetch(row_later);
			__builtin_prefetch(row_later->d1dstar);
			__builtin_prefetch(&row_later->rtt_min);
		}
		if (copy_tally(&row, &sets[at / WAYS], at % WAYS))
			err = snapshot_add(s, &row);
		else
			s->losses.rows_skipped++;
	}
	free(l.v);
	return err;
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
