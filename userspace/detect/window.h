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
 * Memory: 576 bytes a record and the index.
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

#include "base/table.h"
#include "detect/config.h"
#include "model/farm.h"
#include "model/snapshot.h"

struct source_id {
	uint64_t src;
	uint64_t family;
};

struct record_id {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
	uint32_t zero;
};

#define SLICES          4
#define RECORD_HORIZONS 3
#define DAY_CELLS       7

/* An address that shows more stacks than this in RECORD_HORIZONS horizons makes them
 * up: no more are kept of it (a NAT of 2,000 people shows some dozens). */
#define RANDOM_STACKS 256

/* What happened in some time. */
struct view {
	uint32_t connections, exchanges, resumed;
	uint32_t direct, split; /* handshakes with D* below, at or over the threshold */
	uint16_t d1dstar[D_BINS * D_BINS];
	uint16_t gaps[GAP_BINS];
	uint16_t windows; /* with an exchange or connection in them */
};

/* The same, small: shares are kept, a histogram is halved when a bin is full. */
struct slice {
	uint32_t connections, exchanges;
	uint16_t resumed, direct, split, windows;
	uint8_t d1dstar[D_BINS * D_BINS];
	uint8_t gaps[GAP_BINS];
};

struct record {
	struct tally row; /* the newest */
	struct view clean;
	struct slice slice[SLICES];    /* [0] the newest */
	uint64_t first_seen;           /* ns since 1970 */
	uint64_t last_moved;           /* the same, end of that window */
	uint32_t moved;                /* exchanges in the newest window */
	uint32_t moved_window;         /* number of that window */
	uint16_t fresh, fresh_waiting; /* handshakes with both delays in it; those that waited */
	uint32_t clean_dstar;          /* median of D* when clean, 0.1 ms; 0: not direct then */
	bool in_clean;                 /* seen while traffic was clean */
	bool in_noise;                 /* began in a window when D* said nothing */
	uint8_t jammed;                /* handshakes in windows when waiting said nothing */
	bool anew;                     /* the next row begins from nothing */
	bool recalled;                 /* looked up what was written of it */
	uint8_t days;                  /* whose cells are kept */
	uint16_t cell[DAY_CELLS];      /* of the days before, the newest first (cells.h) */
};

struct cohort_id {
	uint64_t stack;
	uint64_t service;
};

struct windows {
	struct table ids;       /* struct record_id -> nothing; row i is record i */
	struct table cohorts;   /* struct cohort_id -> nothing; row i is cohort i */
	struct table addresses; /* struct source_id -> u32 stacks it has */
	uint32_t *cohort;       /* of each record */
	uint32_t *moved;        /* records that did anything in the newest window */
	size_t n_moved, room_moved, room_cohort;
	uint32_t shape;         /* another number: records were renumbered or generations turned */
	uint64_t random_hellos; /* rows not kept: their address has too many stacks */
	size_t n_random;        /* such addresses */
	struct record *records;
	size_t n, room;
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
	for (int i = 0; i < SLICES; i++) {
		if (r->slice[i].connections || r->slice[i].exchanges)
			return true;
	}
	return false;
}

/* The generations together. */
struct view record_lately(const struct record *r);

/* Median of the D* that are kept, resumed and full handshakes apart: of the kind
 * there is more of, of all when neither has `min`. *n: how many it stands on. */
uint32_t record_dstar(const struct tally *row, uint32_t min, uint32_t *n);

/* How many addresses make their stacks up, and the first `most` of them. */
size_t windows_randomisers(const struct windows *w, struct randomiser *out, size_t most);

#endif
