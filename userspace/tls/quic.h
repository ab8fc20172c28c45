/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quic.h - the ClientHello inside a client's QUIC Initials.
 *
 * In:     the datagrams of one client, as they come; the client's Initials are
 *         protected with keys that anybody can compute from the first
 *         destination connection id.
 * Out:    the handshake message, for hello_parse() with transport 'q'. CRYPTO
 *         frames may come in any order, twice, and over several datagrams.
 * Bound:  16 KiB of handshake, QUIC_DATAGRAMS_MAX datagrams a connection.
 * Errors: enum quic_result; what is not ours changes nothing.
 * Source: RFC 9000 section 17.2, RFC 9001 section 5, RFC 9369; draft-29.
 *
 * Reading an Initial proves nothing about who sent it.
 */
#ifndef WINNOW_TLS_QUIC_H
#define WINNOW_TLS_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define QUIC_V1            0x00000001U
#define QUIC_V2            0x6b3343cfU
#define QUIC_DRAFT(n)      (0xff000000U | (n)) /* of version 1: 22 to 34 */
#define QUIC_V2_DRAFT      0x709a50c4U
#define QUIC_MVFST         0xfaceb002U /* draft 27 by another name */
#define QUIC_T051          0x54303531U /* Google's: draft 27 with other numbers */
#define QUIC_CID_MAX       20
#define QUIC_DATAGRAMS_MAX 16

enum quic_result {
	QUIC_COMPLETE,      /* hello->bytes[0 .. hello->len) is the message */
	QUIC_MORE,          /* an Initial was taken, the message goes on */
	QUIC_NOT_INITIAL,   /* short header, another packet type, a server's */
	QUIC_BAD_VERSION,   /* none that we have keys for */
	QUIC_BAD_PACKET,    /* lengths that contradict each other */
	QUIC_BAD_FRAME,     /* a frame that may not be in an Initial */
	QUIC_NOT_AUTHENTIC, /* damaged, or under another connection's keys */
	QUIC_DIFFERS,       /* bytes sent twice are not the same */
	QUIC_TOO_LONG,      /* more than 16 KiB, 64 KiB of datagram, or too many of them */
	QUIC_FAILED,        /* OpenSSL said no */
};

/* A long header up to the connection ids, which no protection hides. */
struct quic_header {
	uint32_t version;
	bool initial; /* of a version we know */
	uint8_t dcid_len, scid_len;
	uint8_t dcid[QUIC_CID_MAX], scid[QUIC_CID_MAX];
};

/* False: not a long header, or cut inside it. */
bool quic_header_read(const uint8_t *datagram, size_t len, struct quic_header *out);

/* One client's handshake so far. Zero it to begin; kept by (4-tuple, first DCID). */
struct quic_hello {
	uint32_t version;
	uint16_t datagrams;
	bool keyed;
	uint8_t key[16], iv[12], hp[16];
	uint32_t have; /* bytes without a gap, from 0 */
	uint32_t len;  /* of the message, once its header is there */
	uint8_t bytes[HELLO_MAX];
	uint8_t seen[HELLO_MAX / 8]; /* bit per byte */
};

/* The ciphers, fetched once: one a thread. */
struct quic_opener;

int quic_opener_new(struct quic_opener **out); /* -ENOMEM */
void quic_opener_free(struct quic_opener *o);
void quic_opener_freep(struct quic_opener **o);

/* Each Initial in one datagram of the client. Once QUIC_COMPLETE, always so. A
 * datagram that is not authentic changes nothing; QUIC_DIFFERS, QUIC_TOO_LONG and
 * QUIC_BAD_FRAME come from whoever has the keys and end the handshake. */
enum quic_result quic_hello_add(struct quic_opener *o, struct quic_hello *hello,
				const uint8_t *datagram, size_t len);

/* Is the datagram's first packet an Initial under this handshake's keys? Only who saw
 * its first DCID has them. */
bool quic_hello_opens(struct quic_opener *o, const struct quic_hello *hello,
		      const uint8_t *datagram, size_t len);

#endif
