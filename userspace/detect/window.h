/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * window.h - what each (source, stack, service) did, window by window.
 *
 * In:     snapshots of cumulative tallies, in order of time.
 * Out:    one record each: what it did while traffic was known to be clean, and
 *         what it did lately (SLICES generations of an equal part of a horizon; the
 *         oldest is forgotten when a new one begins). Clean time shorter than a horizon
 *         is history and no part of "lately"; behind longer one, lately just goes on.
 *         A record that was still for RECORD_HORIZONS horizons is forgotten whole.
 * Units:  counts; delays 0.1 ms; time ns since 1970.
 * Memory: 64 bytes a record, what it did in few bytes (counts.h), and the index.
 * Bound:  a row that was halved between two snapshots (u8 bins) gives the excess
 *         over its half: too little by at most half a bin. A row that went
 *         backwards was evicted and begun anew: all of it is new.
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_DETECT_WINDOW_H
#define WINNOW_DETECT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slab.h"
#include "base/table.h"
#include "detect/addresses.h"
#include "detect/config.h"
#include "detect/counts.h"
#include "model/farm.h"
#include "model/snapshot.h"

/* 12 bytes: there are tables with millions. */
struct source_id {
	uint64_t src;
	uint32_t family;
} __attribute__((packed, aligned(4)));

struct record_id {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
} __attribute__((packed, aligned(4)));

#define RECORD_HORIZONS 3
#define DAY_CELLS       7

/* An address that shows more stacks than this in RECORD_HORIZONS horizons makes them
 * up: no more are kept of it (a NAT of 2,000 people shows some dozens). */
#define RANDOM_STACKS 256

/* A line. */
struct record {
	uint64_t first_seen;           /* ns since 1970 */
	uint64_t last_moved;           /* the same, end of that window */
	uint32_t connections;          /* of the newest row, as the next three */
	uint32_t exchanges, last_seen; /* stamp */
	uint16_t resumed, rtt_min;
	uint32_t moved;                /* exchanges in the window that ended at last_moved */
	uint32_t counts;               /* the rest of what it did, in windows.counts */
	uint16_t fresh, fresh_waiting; /* handshakes with both delays in it; those that waited */
	uint16_t clean_dstar;     /* median of D* when clean, 0.1 ms, + 1; 0: not direct then */
	uint16_t cell[DAY_CELLS]; /* of the days before, the newest first (cells.h) */
	uint8_t held : SLICES;    /* a bit for each generation in which anything was */
	uint8_t active : SLICES;  /* ... in which it connected or exchanged */
	uint8_t days : 3;         /* whose cells are kept */
	bool in_clean : 1;        /* seen while traffic was clean */
	bool in_noise : 1;        /* began in a window when D* said nothing */
	bool anew : 1;            /* the next row begins from nothing */
	bool recalled : 1;        /* looked up what was written of it */
	uint8_t jammed;           /* handshakes in windows when waiting said nothing */
	uint8_t more_stacks;      /* of its address, where it is the first of it */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct record) == 64, "a record is one line");

struct cohort_id {
	uint64_t stack;
	uint64_t service;
};

struct windows {
	struct table ids;     /* struct record_id -> nothing; row i is record i */
	struct table cohorts; /* struct cohort_id -> nothing; row i is cohort i */
	struct addresses addresses;
	uint32_t *cohort; /* of each record */
	uint32_t *moved;  /* records that did anything in the newest window */
	size_t n_moved, room_moved, room_cohort;
	uint32_t shape;         /* another number: records were renumbered or generations turned */
	uint64_t random_hellos; /* rows not kept: their address has too many stacks */
	size_t n_random;        /* such addresses */
	struct record *records;
	struct slab counts;
	size_t n, room;
	unsigned int newest;    /* which slice is of the newest generation */
	uint64_t now;           /* ns since 1970 */
	uint64_t begun;         /* of the first snapshot */
	uint64_t since[SLICES]; /* of the generations, the newest first */
	uint32_t number;        /* windows so far */
	bool clean;             /* still inside the clean time */
};

/* D* from which a handshake of this stack is split, by R; units as in the row. */
typedef uint32_t (*window_threshold_fn)(const void *ctx, uint64_t stack, uint16_t rtt_min);

void windows_init(struct windows *w);
void windows_clear(struct windows *w);

/* `clean`: this snapshot closes a window of clean traffic. The clean view goes
 * on counting until the first call without it. */
int windows_update(struct windows *w, const struct snapshot *s, const struct detect_config *c,
		   bool clean, window_threshold_fn threshold, const void *ctx);

/* After the ids and records were set from outside. */
int windows_place_all(struct windows *w);

static inline const struct record_id *record_id(const struct windows *w, size_t i)
{
	return table_key(&w->ids, i);
}

/* Since when "lately" is. */
static inline uint64_t windows_since(const struct windows *w)
{
	return w->since[SLICES - 1];
}

static inline bool record_active(const struct record *r)
{
	return r->active;
}

/* In the newest window? */
static inline bool record_moved(const struct windows *w, const struct record *r)
{
	return r->last_moved == w->now;
}

void record_counts(const struct windows *w, size_t i, struct counts *c);

/* Records of one cohort lie anywhere: who goes through many asks for one so many turns
 * ahead, and half as many for what it did. */
#define RECORDS_AHEAD 16

static inline void record_ask(const struct windows *w, size_t i)
{
	__builtin_prefetch(&w->records[i]);
	__builtin_prefetch(record_id(w, i));
}

static inline void record_ask_counts(const struct windows *w, size_t i)
{
	const char *at = w->records[i].counts ? slab_at(&w->counts, w->records[i].counts) : NULL;

	if (at) { /* two lines hold those of most */
		__builtin_prefetch(at);
		__builtin_prefetch(at + 64);
	}
}

/* -ENOMEM: they are as they were. */
int record_keep(struct windows *w, size_t i, const struct counts *c);

/* The generations together. */
struct view counts_lately(const struct counts *c);

/* Median of the D* that are kept, resumed and full handshakes apart: of the kind
 * there is more of, of all when neither has `min`. *n: how many it stands on. */
uint32_t record_dstar(const struct tally *row, uint32_t min, uint32_t *n);

/* How many addresses make their stacks up, and the first `most` of them. */
size_t windows_randomisers(const struct windows *w, struct randomiser *out, size_t most);

#endif
