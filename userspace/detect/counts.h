/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counts.h - what a (source, stack, service) did, and the same in few bytes.
 *
 * Most sources do little, and most of their counts are 0: packed, of 476 bytes those are
 * left that are not 0 or lie between two that are not. Of one connection about 70 are.
 *
 * Of the row only what has to be compared with the next one is packed, and what delays
 * and features are made of: d1dstar, gaps, state, dstar, tcp_key. The rest is 0 after it.
 * What changes with nearly every packet is beside it, in struct record.
 */
#ifndef WINNOW_DETECT_COUNTS_H
#define WINNOW_DETECT_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define SLICES 4

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
	uint8_t zero;
};

struct counts {
	struct tally row; /* the newest */
	struct view clean;
	struct slice slice[SLICES];
	uint32_t zero;
};

#define COUNTS_WORDS 60
#define COUNTS_SLACK 8 /* bytes behind what is packed may be read, and written by packing */
#define COUNTS_MOST  (8 + COUNTS_WORDS * 9 + COUNTS_SLACK)

/* How many bytes of `out` are used. */
size_t counts_pack(const struct counts *c, uint8_t out[COUNTS_MOST]);
/* `in`: whole, as counts_pack() left it, and COUNTS_SLACK bytes that may be read. */
void counts_unpack(const uint8_t *in, struct counts *c);
/* Whether bytes from outside are that, and nothing behind it. */
bool counts_whole(const uint8_t *in, size_t len);

#endif
