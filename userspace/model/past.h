/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * past.h - one (source, stack, service) on one day: what is remembered for 28 days.
 *
 * The cell is detect/cells.h's number of the source's features that day, so that what
 * was concluded from a day can be computed again: the day's table of a (stack, service)
 * is the sum of `counted` by cell. Times are whole seconds since 1970.
 */
#ifndef WINNOW_MODEL_PAST_H
#define WINNOW_MODEL_PAST_H

#include <stddef.h>
#include <stdint.h>

#define PAST_DAYS 28

struct past {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
	uint32_t tcp_key;
	uint32_t connections, exchanges;
	uint32_t first_seen, last_seen;
	uint16_t cell;
	uint16_t posterior;              /* of a farm's member, per 10,000 */
	uint16_t direct, split, resumed; /* handshakes; saturate */
	uint16_t dstar, rtt_min;         /* 0.1 ms */
	uint16_t counted;                /* for so much in its day's table, per 10,000 */
	uint32_t spare2[2];
};
_Static_assert(sizeof(struct past) == 64, "64 bytes a record and day");

/* By source, stack, service: the order they are kept in. */
int past_order(const struct past *a, const struct past *b);

/* Writes at most PAST_DAYS rows of this source, stack and service (the rest of `id` is
 * not looked at), newest first, and returns how many. */
typedef size_t (*past_fn)(void *ctx, const struct past *id, struct past out[PAST_DAYS]);

#endif
