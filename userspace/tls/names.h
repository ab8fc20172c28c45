/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.h - the names people use for a ClientHello, and the way back to keys.
 *
 * In:     a handshake message and what hello_parse() said about it (HELLO_OK).
 * Out:    JA4, JA4_r, stack, stack_r, order, JA3; SNI and ALPN as raw bytes.
 * Stack:  the JA4 algorithm over the extensions without 0015 0023 0029 002a
 *         002c, which come and go with what a client remembers of a server.
 * Order:  the first 12 hex digits of SHA-256 over the extension types as sent
 *         ("GREASE,001b,0000,..."), 0029 left out.
 * Errors: -EINVAL when `h` does not fit the message; -ENOMEM and -EIO from
 *         OpenSSL. A hello that parsed always has names.
 * Source: JA4: FoxIO, technical_details/JA4.md, BSD-3-Clause. JA3: Althouse,
 *         Atkinson, Atkins 2017; GREASE left out.
 */
#ifndef WINNOW_TLS_NAMES_H
#define WINNOW_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hello.h"

#define NAMES_ALPN_MAX 32 /* protocols kept; more are not listed */

struct name_bytes {
	const uint8_t *at; /* into the message: raw, not terminated */
	size_t len;
};

struct names {
	char ja4[37];
	char stack[37];
	char order[13];
	char ja3[33];
	const char *ja4_r;
	const char *stack_r; /* may be ja4_r itself */
	const char *order_r;
	const char *ja3_text;
	struct name_bytes sni; /* at NULL: no server name */
	struct name_bytes alpn[NAMES_ALPN_MAX];
	size_t n_alpn;
};

/* Digests fetched once and room for the longest names: one a thread. */
struct namer;

int namer_new(struct namer **out);
void namer_free(struct namer *n);
void namer_freep(struct namer **n);

/* *out lives until the next call or namer_free(); SNI and ALPN as long as msg. */
int namer_name(struct namer *n, const uint8_t *msg, size_t len, const struct hello *h,
	       const struct names **out);

/* hello_parse() for bytes that are not in a struct hello_buf yet. */
enum hello_result namer_parse(struct namer *n, const uint8_t *msg, size_t len,
			      const struct secret *secret, char transport, struct hello *h);

/* The client offers to resume: a PSK, a ticket, or (up to TLS 1.2) a session id. */
static inline bool names_resumed(const struct hello *h)
{
	return h->flags & (HELLO_HAS_PSK | HELLO_HAS_TICKET) ||
	       (h->flags & HELLO_HAS_SESSION_ID && !(h->flags & HELLO_HAS_VERSIONS));
}

/*
 * The key hello_parse() gives under `secret` to each hello whose JA4_r (stack_r)
 * is `raw`, so that rules outlive a lost secret; the order likewise.
 * -EINVAL: not such a string.
 */
int names_key_from_raw(const char *raw, const struct secret *secret, uint64_t *key);
int names_order_from_raw(const char *raw, const struct secret *secret, uint64_t *order_hash);

#endif
