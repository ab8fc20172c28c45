/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot.h - all tallies at one time: what detect/ sees of the world.
 *
 * Live maps, replayed captures and event streams end here and cannot be told
 * apart afterwards. A snapshot may leave out rows that did not change since the
 * one before (the event inlet does): a row that is missing is as it was.
 *
 * Time:   `time` is the one clock; `time + epoch` is ns since 1970. Stamps of
 *         rows (ns >> STAMP_SHIFT, wrapping) are turned back by snapshot_ns().
 * Errors: -ENOMEM; the snapshot is then as it was.
 */
#ifndef WINNOW_MODEL_SNAPSHOT_H
#define WINNOW_MODEL_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"

/* What was not counted, since the start. Confidence falls with it. */
struct losses {
	uint64_t tally_evicted; /* live rows overwritten by newer ones */
	uint64_t order_evicted;
	uint64_t flow_evicted;
	uint64_t handshake_evicted;
	uint64_t ring_lost;
	uint64_t hello_unproved;
	uint64_t rows_skipped; /* changed under the reader */
};

/* What hellos of a stack have said about it, or'ed together. */
struct snapshot_stack {
	uint64_t stack;
	uint32_t hello_flags; /* enum hello_flag */
	uint32_t zero;
};

typedef int (*snapshot_rows_fn)(void *ctx, const struct tally *rows, size_t n);
/* Gives all rows to `fn`, some at a time; stops at the first that is not 0 and returns it. */
typedef int (*snapshot_read_fn)(void *ctx, snapshot_rows_fn fn, void *fn_ctx);

struct snapshot {
	uint64_t time;  /* ns of the one clock */
	uint64_t epoch; /* ns; time + epoch is since 1970 */
	struct tally *rows;
	size_t n_rows;
	struct order_tally *orders;
	size_t n_orders;
	struct snapshot_stack *stacks; /* may be empty */
	size_t n_stacks;
	struct losses losses;
	/* Where rows are not in memory but read when they are asked for, a piece at a time
	 * (losses.rows_skipped is known after that); NULL: they are `rows`. */
	snapshot_read_fn read;
	void *read_ctx;
	/* private */
	size_t room_rows, room_orders, room_stacks;
};

struct snapshot *snapshot_new(uint64_t time, uint64_t epoch);
void snapshot_free(struct snapshot *s);
void snapshot_freep(struct snapshot **s);

int snapshot_add(struct snapshot *s, const struct tally *row);
int snapshot_add_order(struct snapshot *s, const struct order_tally *row);
int snapshot_add_stack(struct snapshot *s, uint64_t stack, uint32_t hello_flags);

/* Every row, wherever it is: as snapshot_read_fn. */
int snapshot_each(const struct snapshot *s, snapshot_rows_fn fn, void *ctx);

/* Copies the mapped tables. A row that changes its key meanwhile is skipped and
 * counted in losses.rows_skipped; counts of one row may be a packet apart. */
int snapshot_add_sets(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
		      const struct order_set *orders, size_t n_order_sets);

/* The same rows, not kept but handed on some sets at a time; losses are counted in `s`, whose
 * rows they are meanwhile. Stops at the first answer that is not 0 and returns it. */
int snapshot_each_set(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
		      snapshot_rows_fn fn, void *ctx);

/* The `limit` rows that were seen last, newest first, of how many there are. Reads what
 * ranks each row where it lies, and copies no other. */
int snapshot_add_newest(struct snapshot *s, const struct tally_set *sets, size_t n_sets,
			size_t limit, size_t *total);

/* ns since 1970 of a stamp that is at most 2.28 years old; never after `time`. */
uint64_t snapshot_ns(const struct snapshot *s, uint32_t stamp);

/* Distinct sources of an order: exact for 0..2, else linear counting,
 * -64 ln(1 - set bits / 64), which is within 20% up to about 100. */
double order_sources(const struct order_tally *o);

#endif
