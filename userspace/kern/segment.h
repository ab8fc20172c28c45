/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - as much of a frame as a replay has to know: where it goes, and
 * which connection it belongs to. The programs parse for themselves.
 *
 * In:  an Ethernet frame, up to two VLAN tags, IPv4, or IPv6 with up to eight
 *      extension headers; any bytes.
 * Out: what could be read. A later fragment, a tunnel, a cut header: proto 0.
 */
#ifndef WINNOW_KERN_SEGMENT_H
#define WINNOW_KERN_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define SEGMENT_HEAD 192 /* a frame's headers that are worth keeping */

struct segment_key { /* no padding: a table's key */
	struct addr src, dst;
	uint16_t sport, dport;
	uint32_t zero;
};

struct segment {
	struct segment_key key;
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP, 0 */
	bool six;
	uint8_t flags;   /* of TCP */
	uint8_t first;   /* first byte of the payload that is there, or 0 */
	uint8_t message; /* its sixth byte, the handshake type if first is 22 */
	uint16_t ip_at;  /* offsets of the headers */
	uint16_t l4_at;
	uint32_t seq;
	uint32_t payload; /* bytes by the IP header, not by the frame */
};

struct segment segment_read(const uint8_t *frame, size_t len);

/* A frame like `head` (a TCP segment's first bytes), but with nothing behind a
 * TCP header that says RST at `seq`. Returns its length. */
size_t segment_reset(const struct segment *s, const uint8_t *head, uint32_t seq,
		     uint8_t out[SEGMENT_HEAD]);

#endif
