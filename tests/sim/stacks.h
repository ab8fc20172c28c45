/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stacks.h - the client programs of a made-up site: 3,000 TLS stacks of four kinds,
 * popularity by Zipf's law inside each kind, and the TCP stacks under them.
 *
 * The first of each kind are recorded hellos of real programs (tests/data/hellos);
 * those behind are a recorded hello with one more, empty extension of its own.
 * STACKS_SPARE more are nobody's until a farm or a release takes one.
 *
 * Errors: stacks_open(): -ENOENT (no tests/data/hellos above the program or in the
 *         working directory), -EINVAL (not a hello), -ENOMEM; `r` has the sentence.
 */
#ifndef WINNOW_SIM_STACKS_H
#define WINNOW_SIM_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum stack_kind { DESKTOP, MOBILE, SDK, SCRIPT, STACK_KINDS };

#define STACKS_REAL  3000
#define STACKS_SPARE 128
#define STACKS       (STACKS_REAL + STACKS_SPARE)
#define HELLO_ROOM   4096

/* timing.md 1: two common programs are slow by themselves. */
enum slowness { QUICK, SLOW_CA, SLOW_START };

struct stack {
	uint8_t *hello;
	uint16_t len;
	uint8_t kind;     /* enum stack_kind */
	uint8_t slowness; /* enum slowness */
	bool permutes;    /* extension order anew in each connection */
	float resumes;    /* share of connections that resume when they can */
};

struct stacks {
	struct stack stack[STACKS];
	uint32_t first[STACK_KINDS], n[STACK_KINDS];
	float *cumulated[STACK_KINDS]; /* popularity inside the kind */
	double alpha;
};

int stacks_open(struct stacks *s, uint64_t seed, double top, struct reason *r);
void stacks_close(struct stacks *s);

uint32_t stacks_draw(const struct stacks *s, enum stack_kind kind, double u);
/* The i-th spare stack, of that kind. */
uint32_t stacks_spare(struct stacks *s, uint32_t i, enum stack_kind kind);

/* A hello as it goes on the wire: extensions in the order that `order` stands for if
 * the stack permutes, else as given; with a PSK behind if `psk`. Returns the length. */
size_t stacks_hello(const struct stack *k, uint64_t order, bool permute, bool psk,
		    uint8_t out[HELLO_ROOM]);

/* ---- TCP ------------------------------------------------------------------------ */

enum tcp_stack {
	TCP_LINUX,
	TCP_WINDOWS,
	TCP_APPLE,
	TCP_ANDROID,
	TCP_PPPOE,
	TCP_BOX,
	TCP_OLD_WINDOWS,
	TCP_TUNNEL,
	TCP_STACKS
};

struct tcp_shape {
	const char *signature; /* p0f v3, at distance 0 */
	uint8_t ttl, scale;
	uint16_t mss, window;
	const char *options; /* m mss, s sok, t ts, n nop, w ws, e eol; padded with eol */
	bool has_id;
};

extern const struct tcp_shape tcp_shapes[TCP_STACKS];

/* The signature over IPv6: the same without what only IPv4 has. */
void tcp_signature(const struct tcp_shape *t, bool v6, char out[96]);
/* TCP stack of a client of that kind, u in [0, 1). */
enum tcp_stack tcp_of(enum stack_kind kind, double u);

#endif
