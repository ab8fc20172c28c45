/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_layout.h - one hello in any layout: record cuts, what stands before it, segments,
 * their order, what comes twice. Three answers to compare:
 *
 *   layout_whole()    the stream in one piece, by a reader of its own and hello_parse()
 *   layout_native()   the same over the pieces as they come
 *   layout_program()  the loaded program over the pieces, one frame each
 *
 * A script is any bytes, and bytes that are not there are zeros, so that a fuzzer's
 * mutations and a seeded generator both make sense of it. The empty script is one
 * record in one segment. What comes twice is the same bytes, so the answers must agree.
 */
#ifndef WINNOW_TESTS_LIB_LAYOUT_H
#define WINNOW_TESTS_LIB_LAYOUT_H

#include "lib_bench.h"

#define LAYOUT_STREAM 40000
#define LAYOUT_PIECES 2048

struct layout_piece {
	size_t off, len;
};

struct layout {
	size_t len;
	uint8_t b[LAYOUT_STREAM];
	size_t n;
	struct layout_piece piece[LAYOUT_PIECES];
};

struct layout_answer {
	enum hello_result result; /* HELLO_INCOMPLETE: more bytes were wanted */
	struct hello hello;
	struct bytes msg; /* when result is HELLO_OK */
};

/* `msg` is one handshake message, or with the script's RAW bit the stream itself. */
void layout_make(struct layout *l, const uint8_t *script, size_t script_len, const uint8_t *msg,
		 size_t len);
void layout_whole(const struct layout *l, const struct secret *secret, struct layout_answer *out);
void layout_native(const struct layout *l, const struct secret *secret, struct layout_answer *out);

/* What the program had seen before: a stream of these bytes fills its buffers. */
void layout_dirty(struct bench *b, uint8_t fill);
/* On a bench with one reassembly slot. Answers the number of hello events; 1 is right. */
size_t layout_program(struct bench *b, const struct layout *l, struct layout_answer *out);

/* Runs all of them, the program over ones, then over this stream's own bytes. NULL if
 * they agree, or what does not, in a static buffer. *out is the whole's answer. */
const char *layout_check(struct bench *b, const struct layout *l, struct layout_answer *out);

#endif
