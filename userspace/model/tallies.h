/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tallies.h - the tally table of an event stream: the kernel's arithmetic
 * (bpf/tally.h) over a table that never evicts; of extension orders a million are kept,
 * then those of a single source go, counted in losses.order_evicted.
 *
 * Connections come in order of time; their later exchanges wait in a heap and
 * happen when time reaches them, so a snapshot at T holds what happened by T
 * and nothing else. A handshake is taken to end when its connection begins.
 *
 * Time:   ns since 1970 is the clock; a snapshot's epoch is 0.
 * Errors: -ENOMEM; -ERANGE: an event before the one ahead of it by more than a
 *         second (smaller steps back count as now).
 */
#ifndef WINNOW_MODEL_TALLIES_H
#define WINNOW_MODEL_TALLIES_H

#include <stddef.h>
#include <stdint.h>

#include "model/event.h"
#include "model/snapshot.h"

struct tallies;

/* What the hello of a connection means. stack 0: it could not be parsed. */
struct tallies_name {
	uint64_t stack;
	uint64_t order;
	uint32_t hello_flags;
};

struct tallies *tallies_new(void);
void tallies_free(struct tallies *t);
void tallies_freep(struct tallies **t);

/* Plays everything up to and at `time`. */
int tallies_advance(struct tallies *t, uint64_t time);
/* Advances to e->t, then counts the connection. */
int tallies_connection(struct tallies *t, const struct event_conn *e,
		       const struct tallies_name *name);

/* The rows that changed since the last snapshot; `all`: every row. */
int tallies_snapshot(struct tallies *t, bool all, struct snapshot **out);

uint64_t tallies_time(const struct tallies *t);
size_t tallies_rows(const struct tallies *t);

#endif
