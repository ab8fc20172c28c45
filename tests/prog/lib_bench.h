/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_bench.h - the loaded programs on a bench: frames in, verdicts out, a clock
 * that the test moves, and the tables to look at.
 *
 * A bench is a fresh object with small tables, port 443 protected, the egress
 * program in use and every hello and handshake sent up the ring (replay's way),
 * unless the test says otherwise.
 */
#ifndef WINNOW_TESTS_LIB_BENCH_H
#define WINNOW_TESTS_LIB_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "kern/kern.h"
#include "lib_frames.h"

#define MSEC 1000ULL /* of bench time: us */
#define SEC  (1000 * MSEC)

struct seen_hello {
	struct event_hello e;
	uint8_t bytes[HELLO_MAX]; /* of the message */
	size_t n;                 /* events so far */
};

struct seen_handshake {
	struct event_handshake e;
	size_t n;
};

struct wire;

struct bench {
	struct kern *k;
	struct wire *wire; /* NULL: test runs (lib_wire.h) */
	uint64_t t;        /* us of the virtual clock */
	struct control *c;
	uint64_t mark[COUNTER_MAX];
	uint32_t rule_gen;       /* of the newest rule */
	struct seen_hello hello; /* the newest */
	struct seen_handshake handshake;
};

/* Tables of so many rows; 0: 1,024 (rules 256). */
struct bench_sizes {
	uint32_t tallies, orders, flows, handshakes, reassembly, rules;
	uint32_t ring_bytes; /* 0: 1 MiB */
	bool live;           /* the machine's clock and live parsing: for frames alone */
};

struct bench *bench_open(const struct bench_sizes *sizes);
void bench_free(struct bench *b);
/* For cmocka: *state is a struct bench, or NULL without root (then skip). */
int bench_setup(void **state);
int bench_setup_live(void **state);
int bench_teardown(void **state);
struct bench *bench_of(void **state); /* skips the test when there is none */

void bench_after(struct bench *b, uint64_t us);
int bench_in(struct bench *b, const struct frame *f);
void bench_out(struct bench *b, const struct frame *f);
/* In, with what the program made of the frame. `linear`: bytes of it that are not
 * in fragments, 0: all. -EINVAL: this kernel's test runs cannot do that. */
int bench_in_out(struct bench *b, const struct frame *f, size_t linear, struct frame *out,
		 uint32_t *verdict);

/* Counters since the last bench_mark(). */
void bench_mark(struct bench *b);
uint64_t bench_count(struct bench *b, unsigned int counter);
#define expect_count(b, what, n) assert_int_equal(bench_count(b, COUNTER_##what), n)

/* Reads the ring into b->hello and b->handshake. */
void bench_events(struct bench *b);

/* Rows in use, and the one of a source; the only one of `stack` if that is not 0. */
size_t bench_tallies(const struct bench *b);
const struct tally_row *bench_tally(const struct bench *b, const struct path *p, uint64_t stack);
const struct order_tally *bench_order(const struct bench *b, uint64_t stack, uint64_t order);
struct flow *bench_flow(const struct bench *b, const struct path *p);
size_t bench_flows(const struct bench *b);
/* Everything the tallies, orders and flows hold, as one number. */
uint64_t bench_digest(const struct bench *b);
int bench_handshake(const struct bench *b, const struct path *p, struct handshake *out);
/* The keys this bench's secret gives a message. */
struct hello bench_keys(const struct bench *b, const struct bytes *msg);

/* ---- a scripted connection --------------------------------------------------- */

struct conn {
	struct bench *b;
	struct path p;
	uint32_t isn_c, isn_s;
	uint32_t snd; /* the client's next sequence number */
	uint32_t rcv; /* what it acknowledges */
	int verdict;  /* of its newest frame */
};

void conn_new(struct conn *c, struct bench *b, const struct path *p);
void conn_syn(struct conn *c);
void conn_synack(struct conn *c);
void conn_ack(struct conn *c);                                /* pure, no new bytes */
void conn_acks(struct conn *c, uint32_t bytes);               /* pure, so many server bytes more */
void conn_send(struct conn *c, const void *data, size_t len); /* in order */
/* Bytes at an offset of the client's stream (0: behind the SYN); snd stays. */
void conn_send_at(struct conn *c, uint32_t off, const void *data, size_t len);
void conn_close(struct conn *c, uint8_t flags); /* FIN|ACK or RST */
int conn_segment(struct conn *c, const struct segment *s);

void conn_open(struct conn *c); /* SYN, SYN|ACK at once, ACK 20 ms later */
void conn_hello(struct conn *c, const struct bytes *msg); /* in one record and segment */
/* The server's flight of 3,000 bytes acknowledged, ChangeCipherSpec and Finished. */
void conn_finish(struct conn *c);
/* All of it. */
void conn_whole(struct conn *c, struct bench *b, const struct path *p, const struct bytes *msg);

extern const uint8_t flight_two[64]; /* ChangeCipherSpec and a Finished of 58 bytes */

/* ---- rules --------------------------------------------------------------------- */

/* Adds a rule at the next free slot; answers its index. */
uint32_t bench_rule(struct bench *b, const struct rule *r, const struct rule_match *m);
struct rule *bench_rule_at(struct bench *b, uint32_t index);
struct cidr cidr_of(const char *text);

#endif
