/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quic_book.h - the ClientHellos of QUIC connections under way.
 *
 * In:     event_quic, as the programs send them up: Initials of clients.
 * Out:    a hello as an event_hello (transport 'q', head.conn the key of its
 *         quic_name), its keys for the programs, and which hello an id answers when
 *         only the packet's keys can tell.
 * Bound:  QUIC_BOOK_MAX connections of 19 KB, each 10 s after its last datagram at
 *         most; the oldest goes first and is handed out as `incomplete`.
 * Errors: -ENOMEM.
 *
 * Nothing here proves who sent a datagram; the programs do (quic.bpf.h).
 */
#ifndef WINNOW_TLS_QUIC_BOOK_H
#define WINNOW_TLS_QUIC_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "model/quic_news.h"

#define QUIC_BOOK_MAX  1024
#define QUIC_BOOK_LIFE (10 * 1000000000ULL)

struct quic_book;

int quic_book_new(const struct secret *secret, struct quic_book **out); /* -ENOMEM */
void quic_book_free(struct quic_book *b);
void quic_book_freep(struct quic_book **b);

/* What *out points to holds until the next call. */
int quic_book_event(struct quic_book *b, const struct event_quic *e, struct quic_news *out);

/* The oldest connection that has been silent since before `now` - QUIC_BOOK_LIFE
 * leaves; its hello if it never became whole, with result `incomplete`. Call until
 * false. `now` UINT64_MAX: all of them. */
bool quic_book_expire(struct quic_book *b, uint64_t now, const struct event_hello **hello);

#endif
