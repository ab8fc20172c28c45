/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cohort.h - sources of one (stack, service), as evidence is drawn from them.
 */
#ifndef WINNOW_MODEL_COHORT_H
#define WINNOW_MODEL_COHORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

struct cohort_member {
	uint64_t src;
	uint8_t family;
	uint8_t held;      /* split already when traffic was clean: never a member */
	uint8_t split;     /* 0 not known, 1 direct, 2 split (enum delay_state) */
	bool unsplit;      /* the component it is weighed by is direct: TLS ends at the exits */
	bool was_direct;   /* some of its handshakes were when traffic was clean */
	bool shared;       /* another stack of this address is split, too */
	bool reborn;       /* began after a ban and is a member by that (replacements.h) */
	uint32_t together; /* like it, and so many such in one /24 (v6 /48); 0: few */
	float weight;      /* posterior of the component */
	float alone;       /* the same, of what it shows itself: not of what lies beside it */
	uint32_t tcp_key;
	uint32_t connections, exchanges, moved;       /* moved: in the newest window */
	uint32_t resumed;                             /* of the connections */
	uint32_t direct_handshakes, split_handshakes; /* clean time included */
	uint32_t direct_waiting;                      /* D1 from 10 ms, D* was not */
	uint32_t split_waiting;                       /* D1 from 10 ms, and D* no lower a bin */
	uint32_t split_at_once;                       /* D1 below 10 ms, D* from 10 ms */
	int waiting_d1;               /* the bin nine of ten of those are in or over */
	uint32_t dstar, far, nearest; /* 0.1 ms; see features.h */
	uint32_t measured, waiting;
	uint32_t kept;       /* D* of its last handshakes, of all its life; 5 at most */
	double seconds;      /* in the view */
	uint64_t first_seen; /* ns since 1970 */
	uint16_t gaps[GAP_BINS];
	uint32_t record; /* row of the detector's table */
};

struct cohort {
	uint64_t stack;
	uint16_t service;
	struct cohort_member *members;
	size_t n;
};

#endif
