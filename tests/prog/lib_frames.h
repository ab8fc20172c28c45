/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_frames.h - Ethernet frames to order, with right lengths and checksums, and
 * ClientHellos to put into them.
 *
 * Addresses are struct addr of abi.h, ports host order. Nothing here knows the
 * program under test.
 */
#ifndef WINNOW_TESTS_LIB_FRAMES_H
#define WINNOW_TESTS_LIB_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

#define FRAME_MAX 70000

/* Where a frame's headers begin; data is where the payload does. */
struct frame {
	size_t len;
	size_t l3, l4, data;
	uint8_t b[FRAME_MAX];
};

/* One connection's addresses, and how its client's packets look below TCP. */
struct path {
	struct addr client, server;
	uint16_t sport, dport;
	uint8_t ttl;
	uint8_t tags;            /* VLAN tags, the outermost 0x88a8 if there are two */
	uint8_t ip_options;      /* IPv4: bytes of options, a multiple of 4 */
	uint8_t first_extension; /* IPv6: type of the first of `extensions` */
	const uint8_t *extensions;
	size_t extensions_len;
};

struct segment {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	const void *options; /* padded with zeros to a multiple of 4 */
	size_t options_len;
	const void *data;
	size_t len;
};

/* A client of 198.51.100.0/24 or 2001:db8:0:n::1 for 192.0.2.1 or 2001:db8:ff::1,
 * port 443. */
struct path path_v4(uint8_t host, uint16_t sport);
struct path path_v6(uint16_t net, uint16_t sport);
bool path_is_v4(const struct path *p);

void frame_tcp(struct frame *f, const struct path *p, bool from_server, const struct segment *s);
/* The same without a transport header: `proto` and its bytes. */
void frame_ip(struct frame *f, const struct path *p, bool from_server, uint8_t proto,
	      const void *data, size_t len);
/* Checksums of an IPv4 header and of TCP as they should be: 0 when they are. */
uint16_t frame_ip_error(const struct frame *f);
uint16_t frame_tcp_error(const struct frame *f, const struct path *p, bool from_server);
void frame_fix_ip(struct frame *f); /* after a change of its IPv4 header */

void put16(uint8_t *b, uint16_t v);
void put32(uint8_t *b, uint32_t v);
uint16_t get16(const uint8_t *b);
uint32_t get32(const uint8_t *b);

/* splitmix64: the same numbers on every run. */
uint64_t draw(uint64_t *seed);

/* ---- hellos ---------------------------------------------------------------- */

#define HELLO_BYTES 20000

struct bytes {
	size_t len;
	uint8_t b[HELLO_BYTES];
};

/* What varies between built hellos. */
struct hello_spec {
	unsigned int variant; /* another cipher list: another stack */
	bool shuffled;        /* two extensions change places: another order, same stack */
	bool psk, early_data, cookie;
	size_t len; /* of the handshake message, by padding; 0: as it comes */
};

/* A TLS 1.3 ClientHello as one handshake message, type byte first. */
void hello_build(struct bytes *out, const struct hello_spec *s);
/* Every recorded hello of tests/data/hellos (or $WINNOW_HELLOS); a malloc'ed list. */
size_t hellos_recorded(struct bytes **out);
/* TLS records of the given body sizes around a message; the last takes the rest. */
void records_wrap(struct bytes *out, const struct bytes *msg, const size_t *sizes, size_t n);
/* In one record. */
void record_wrap(struct bytes *out, const struct bytes *msg);
void bytes_add(struct bytes *out, const void *b, size_t len);

#endif
