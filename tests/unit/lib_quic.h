/* SPDX-License-Identifier: BSD-2-Clause */
/* lib_quic.h - QUIC Initials to order, under the keys that a quic_hello derived. */
#ifndef WINNOW_TESTS_LIB_QUIC_H
#define WINNOW_TESTS_LIB_QUIC_H

#include <stddef.h>
#include <stdint.h>

#include "tls/quic.h"

struct datagram {
	size_t len;
	uint8_t b[4096];
};

struct frames {
	size_t len;
	uint8_t b[3000];
};

void frames_crypto(struct frames *f, uint64_t off, const uint8_t *data, size_t len);
void frames_fill(struct frames *f, uint8_t type, size_t n); /* PADDING or PING */

/* Appends one Initial with these frames, with DCID 8394c8f03e515708 and a token. */
void initial_append(struct datagram *d, const struct quic_hello *keys, uint32_t number,
		    const char *token, const struct frames *f);

#endif
