/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * features.h - one source as a row of small numbers, and what its delays say.
 *
 * 0 D1      1 below 10 ms; 2 higher, D* is not (preconnect, late loading); waits for a
 *           far end (D1 follows D*): 3 10-30, 4 30-100, 5 over 100 ms
 * 1 D*      1 direct; split: 2 below 30, 3 30-100, 4 over 100 ms
 * 2 TCP     1 usual for the stack (>= 10% of its clean sources), 2 rare, 3 never with
 *           this stack, 4 never at the site
 * 3 psk     1 never offered, 2 up to half of the later connections, 3 more
 * 4 rate    exchanges an hour: below 1, 4, 16, 64, 256, more
 * 5 gaps    1 regular (3/4 in two neighbouring bins) below 64 s, 2 regular above,
 *           3 scattered
 *
 * A source is *split* when the median of its last D* is at or over the threshold, or
 * when most of its handshakes wait although almost none of its stack's clean ones
 * did (< 5%); *direct* otherwise; unknown below min_handshakes - one, in a stack that
 * clean traffic did not have: there the whole is judged, not the source.
 */
#ifndef WINNOW_DETECT_FEATURES_H
#define WINNOW_DETECT_FEATURES_H

#include <stdbool.h>

#include "detect/baseline.h"
#include "detect/mixture.h"

enum feature { FEATURE_D1, FEATURE_DSTAR, FEATURE_TCP, FEATURE_PSK, FEATURE_RATE, FEATURE_GAPS };

enum delay_state { DELAY_UNKNOWN, DELAY_DIRECT, DELAY_SPLIT };

struct delays {
	enum delay_state state;
	uint32_t n;            /* D* it stands on */
	uint32_t dstar;        /* their median, 0.1 ms */
	uint32_t far, nearest; /* 0.1 ms: median and least of those from 10 ms on; 0: none */
	uint32_t measured;     /* handshakes with D1 and D* in the view */
	uint32_t waiting;      /* of those, D1 follows D* */
};

/* Of a handshake by its bins: D1 at or over 10 ms and D* with it, so that the client
 * waits for a far end as the answer to the server does (timing.md: D* >= leg, D1 is
 * leg + 2.5 ms). D1 may therefore stand one bin higher: a leg just below an edge. */
static inline bool delays_wait(int d1, int dstar)
{
	return d1 >= 2 && dstar >= 2 && dstar >= d1 - 1;
}

/* D* from here on can be a far end's: the lowest that delays_wait() takes. */
#define DELAYS_FAR 100 /* 0.1 ms */

static inline bool row_is_split(const struct mixture_row *row)
{
	return row->x[FEATURE_DSTAR] >= 2;
}

struct delays delays_of(const struct baseline *b, const struct detect_config *c,
			const struct tally *row, const struct view *v);

uint8_t feature_tcp(const struct baseline *b, uint64_t stack, uint32_t tcp_key);

/* `seconds`: how long the view has lasted for this source. */
struct mixture_row features_of(const struct baseline *b, const struct tally *row,
			       const struct view *v, const struct delays *d, double seconds);

#endif
