/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join.h - each ClientHello together with the handshake of its connection.
 *
 * The kernel tells of both in events of their own: the hello when it is complete,
 * the handshake when the client's second flight came, or never will.
 *
 * In:     events as they come, and the time.
 * Out:    hellos in order of time: joined, or alone after JOIN_WAIT or at the end.
 *         After a HelloRetryRequest both hellos get the one handshake.
 * Memory: at most JOIN_MAX hellos wait; beyond, the oldest goes alone.
 * Errors: -ENOMEM; the event is then lost.
 */
#ifndef WINNOW_KERN_JOIN_H
#define WINNOW_KERN_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define JOIN_WAIT (10 * 1000000000ULL)
#define JOIN_MAX  65536

struct join;

/* handshake NULL: none came. The memory is gone after the return. */
typedef void (*join_fn)(void *ctx, const struct event_hello *hello,
			const struct event_handshake *handshake);

struct join *join_new(join_fn fn, void *ctx);
void join_free(struct join *j);

int join_event(struct join *j, const struct event_head *e);
/* Hands out what is due by `now`, of the clock of event_head.time. */
void join_advance(struct join *j, uint64_t now);
void join_finish(struct join *j);

#endif
