/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handout.h - hellos to whoever asked for them, in a thread of its own.
 *
 * Naming and writing a hello takes as long as the programs need for its connection;
 * so one goes on while the other is done. Order stays.
 *
 * Memory: four buffers of 256 KiB; who adds waits when all are full.
 * Errors: -errno of the start; later there are none.
 */
#ifndef WINNOW_KERN_HANDOUT_H
#define WINNOW_KERN_HANDOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

struct handout;

typedef void (*handout_fn)(void *ctx, uint64_t time_ns, const struct event_hello *hello,
			   const struct event_handshake *handshake);

int handout_new(handout_fn fn, void *ctx, struct handout **out);
/* What was added is handed out before. */
void handout_free(struct handout *h);

void handout_add(struct handout *h, uint64_t time_ns, const struct event_hello *hello,
		 const struct event_handshake *handshake);
/* Nothing stays behind for want of company; `all`: returns when all has been handed out. */
void handout_flush(struct handout *h, bool all);

#endif
