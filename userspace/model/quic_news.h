/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quic_news.h - what a client's QUIC datagram told: from tls/quic_book.h, which
 * opens it, to kern_quic_news(), which tells the programs.
 */
#ifndef WINNOW_MODEL_QUIC_NEWS_H
#define WINNOW_MODEL_QUIC_NEWS_H

#include <stdint.h>

#include "abi.h"

struct quic_news {
	const struct event_hello *hello; /* complete or given up just now; NULL: neither */
	const struct hello *keys;        /* of hello `name`; NULL: nothing to write */
	uint64_t name;                   /* key of struct quic_name */
	uint64_t id;                     /* not 0: this struct quic_id answers `name` */
};

#endif
