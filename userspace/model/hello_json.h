/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello_json.h - a ClientHello and its handshake as one object of winnow.hello/1.
 *
 * {"schema", "time", "src", "sport", "dst", "dport", "transport", "ja4", "ja4_r",
 *  "ja3", "stack", "order", "sni", "alpn": [], "tcp", "segments", "records",
 *  "resumed", "rtt_us", "d1_us", "d2_us", "dstar_us", "flight", "piggy", "ccs",
 *  "proof", "result"}
 * and "later": true, if other bytes came before it: such a hello proves nothing.
 *
 * Unknown is null. Server names and protocols that are not UTF-8 are written with
 * \xNN for each byte that is not printable ASCII.
 * Proof:  how the connection was proved, from the newest word on it.
 * Bytes:  as jansson writes the same object with COMPACT and ENSURE_ASCII. Not by
 *         jansson, which took 11 of a replay's 19 us a hello.
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_MODEL_HELLO_JSON_H
#define WINNOW_MODEL_HELLO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/time.h"

struct hello_bytes {
	const uint8_t *at; /* NULL: absent */
	size_t len;
};

/* What userspace knows about the bytes; every pointer may be NULL. */
struct hello_text {
	const char *ja4, *ja4_r, *ja3, *stack, *order;
	const char *tcp;
	struct hello_bytes sni;
	const struct hello_bytes *alpn;
	size_t n_alpn;
	bool resumed; /* counts only if ja4 is there */
};

/* One object, not terminated; zero it to begin. */
struct hello_line {
	char *text;
	size_t len, room;
	uint64_t second; /* of second_text */
	char second_text[TIME_TEXT];
};

/* In place of what `l` held. handshake NULL: none came. */
int hello_json(struct hello_line *l, uint64_t time_ns, const struct event_hello *e,
	       const struct event_handshake *handshake, const struct hello_text *text);
void hello_line_clear(struct hello_line *l);

const char *hello_result_name(unsigned int result);
const char *proof_name(unsigned int proof); /* NULL: none */

#endif
