/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - one connection as a line of JSON or a record of fixed size: the inlet
 * for streams that never were packets.
 *
 * JSONL: one object a line, in order of `t`:
 *   {"t","src","sport","dport","hello","tcp","rtt_us","d1_us","d2_us","dstar_us",
 *    "piggy","psk","order","exchanges":[[dt_ms,bytes_in,bytes_out],...]}
 *   t          seconds since 1970 (number) or RFC 3339; required
 *   src        IPv4 or IPv6 address; required
 *   hello      hex of the handshake message, or the number of one given before: the
 *              first different message is 0, the next 1; required
 *   tcp        p0f v3 raw signature;    order   16 hex digits, or null: as in hello
 *   piggy,psk  true, false, 0, 1;       *_us    microseconds
 *   Everything but t, src, hello may be null or missing: unknown. dport: 443.
 *   A field of another name or type is refused: a misspelt one must not be a null.
 *
 * Binary twin (`event_write`, little endian): the 8 bytes "WINNOWE1", then records
 *   of 64 bytes, each a struct event_wire. type 1 is a connection, followed by
 *   ceil(n_exchanges * 12 / 64) blocks of 64 bytes with {u32 dt_ms, in, out} in
 *   order, zeros behind; type 2 gives the next hello: `len` bytes in ceil(len / 64)
 *   blocks. event_open() looks at the first bytes to tell the two apart.
 *
 * Bounds: a line 1 MiB, 65,536 exchanges a connection, 65,536 hellos, HELLO_MAX bytes
 *         each. dt_ms, bytes: 0..2^32-1.
 * Errors: event_next() returns 1 with an event, 0 at the end, -EINVAL with the line
 *         (or record) and the field named in `r`, -ENOMEM, -EIO.
 */
#ifndef WINNOW_MODEL_EVENT_H
#define WINNOW_MODEL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "abi.h"
#include "base/log.h"

#define EVENT_LINE_MAX      (1U << 20)
#define EVENT_EXCHANGES_MAX 65536U
#define EVENT_HELLOS_MAX    65536U
#define EVENT_MAGIC         "WINNOWE1"

struct event_exchange {
	uint32_t dt_ms; /* after the connection's t */
	uint32_t in, out;
};

struct event_conn {
	uint64_t t; /* ns since 1970 */
	struct addr src;
	uint16_t sport, dport;
	uint32_t hello;                          /* index */
	uint32_t tcp_key;                        /* 0: unknown */
	uint32_t rtt_us, d1_us, d2_us, dstar_us; /* US_UNKNOWN: null */
	bool piggy, psk, has_order;
	uint64_t order;
	const struct event_exchange *exchanges; /* until the next call */
	size_t n_exchanges;
};

struct event_wire {
	uint32_t type; /* 1 connection, 2 hello */
	uint32_t len;  /* hello: bytes; connection: exchanges */
	uint64_t t;
	uint64_t src_hi, src_lo; /* struct addr */
	uint32_t tcp_key;
	uint32_t rtt_us, d1_us, d2_us, dstar_us;
	uint16_t hello, sport, dport;
	uint16_t flags; /* 1 piggy, 2 psk, 4 order is there */
	uint32_t order; /* lower half; the upper half is 0 */
};
_Static_assert(sizeof(struct event_wire) == 64, "event_wire has a hole");

struct event_reader;

/* Reads from `in`, which stays the caller's. */
int event_open(FILE *in, struct event_reader **out, struct reason *r);
void event_close(struct event_reader *e);
void event_closep(struct event_reader **e);

int event_next(struct event_reader *e, struct event_conn *out, struct reason *r);

/* The message behind an index; stays until event_close(). NULL: none so far. */
const uint8_t *event_hello(const struct event_reader *e, uint32_t index, size_t *len);

/* The key a p0f v3 raw signature stands for: everything but distance and MSS, so
 * that a tunnel or a longer path does not make another stack. Never 0. */
uint32_t event_tcp_key(const char *signature);

/* The binary twin. Magic first, once; a hello before the connection that uses it. */
int event_write_magic(FILE *out);
int event_write_hello(FILE *out, const uint8_t *message, size_t len);
int event_write(FILE *out, const struct event_conn *e);

#endif
