/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * window.h - what each (source, stack, service) did, window by window.
 *
 * In:     snapshots of cumulative tallies, in order of time.
 * Out:    one record each: what it did while traffic was known to be clean, and
 *         what it did lately (two generations of half a horizon, the older one
 *         is forgotten when a third begins).
 * Units:  counts; delays 0.1 ms; time ns since 1970.
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
#include "model/snapshot.h"

struct record_id {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
	uint32_t zero;
};

struct view {
	uint32_t connections, exchanges, resumed;
	uint32_t direct, split; /* handshakes with D* below, at or over the threshold */
	uint64_t bytes_in, bytes_out;
	uint16_t d1dstar[D_BINS * D_BINS];
	uint16_t gaps[GAP_BINS];
	uint16_t windows; /* with an exchange or connection in them */
};

struct record {
	struct tally row; /* the newest */
	struct view clean, older, newer;
	uint64_t first_seen;   /* ns since 1970 */
	uint64_t since;        /* lately: begin of the view or first seen */
	uint32_t moved;        /* exchanges in the newest window */
	uint32_t moved_window; /* number of that window */
	uint32_t clean_dstar;  /* median of D* when clean, 0.1 ms; 0: not direct then */
	float posterior;       /* of being a farm's member, last judgement */
	bool in_clean;         /* seen while traffic was clean */
};

struct windows {
	struct table ids; /* struct record_id -> u32 number of the record */
	struct record *records;
	size_t n, room;
	uint64_t now;                      /* ns since 1970 */
	uint64_t begun;                    /* of the first snapshot */
	uint64_t newer_since, older_since; /* of the two generations */
	uint32_t number;                   /* windows so far */
	bool clean;                        /* still inside the clean time */
};

/* D* from which a handshake of this stack is split, by R; units as in the row. */
typedef uint32_t (*window_threshold_fn)(const void *ctx, uint64_t stack, uint16_t rtt_min);

void windows_init(struct windows *w);
void windows_clear(struct windows *w);

/* `clean`: this snapshot closes a window of clean traffic. The clean view goes
 * on counting until the first call without it. */
int windows_update(struct windows *w, const struct snapshot *s, const struct detect_config *c,
		   bool clean, window_threshold_fn threshold, const void *ctx);

static inline const struct record_id *record_id(const struct windows *w, size_t i)
{
	return table_key(&w->ids, i); /* nothing is ever removed: numbers agree */
}

/* The two generations together. */
struct view record_lately(const struct record *r);

/* Median of the D* that are kept, resumed and full handshakes apart: of the kind
 * there is more of, of all when neither has `min`. *n: how many it stands on. */
uint32_t record_dstar(const struct tally *row, uint32_t min, uint32_t *n);

#endif
