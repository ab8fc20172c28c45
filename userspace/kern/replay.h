/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.h - a capture through the loaded programs, on the capture's own clock.
 *
 * The second inlet: the same program, tables and events as live traffic, never
 * pinned. Afterwards replay_kern() gives the tables to read.
 *
 * Direction: a segment for a protected port goes to the XDP program; a SYN|ACK
 *            or a QUIC long header from one goes to the egress program; what
 *            else comes from one is not ours to see. With all ports protected
 *            every frame is ingress, SYN|ACKs are both. What cannot be read
 *            (fragments, other protocols) goes to the XDP program, which counts it.
 * Clock:     virtual time starts within two hours of 1 h, so that stamps never
 *            wrap. Steps back up to 1 s stand still, counted. A larger step back,
 *            or one of a year ahead, begins another epoch a minute later.
 * Hellos:    handed out in order of time, each with the handshake of its
 *            connection, as join.h says.
 * Errors:    -errno and a sentence in `r`.
 */
#ifndef WINNOW_KERN_REPLAY_H
#define WINNOW_KERN_REPLAY_H

#include <signal.h>

#include "batch.h"
#include "kern/capture.h"
#include "kern/kern.h"
#include "kern/segment.h"
#include "model/quic_news.h"

struct replay;

struct replay_hello {
	uint64_t time_ns; /* since 1970, of hello->head.time */
	const struct event_hello *hello;
	const struct event_handshake *handshake; /* NULL: none came */
};

struct replay_config {
	struct kern_config kern; /* pin_dir and replay are set by replay_new() */
	struct ports ports;
	/* Called for each hello, from one thread at a time, which need not be the caller's,
	 * but never during tick() or after replay_run(); the memory is gone after the return. */
	void (*hello)(void *ctx, const struct replay_hello *h);
	const struct cidr *proxies; /* whose PROXY headers are believed */
	size_t n_proxies;
	bool later;   /* hellos behind other bytes, too (later.h) */
	bool one_run; /* a test run for each frame: what many at a time are compared with */
	/* May be NULL: QUIC stays closed. Opens a datagram (tls/quic_book.h); the flow's
	 * next frame finds the programs told. */
	int (*quic)(void *ctx, const struct event_quic *e, struct quic_news *out);
	/* After each frame and, with UINT64_MAX, at the end, until it says false: hellos
	 * that never became whole; *hello may be NULL. */
	bool (*quic_expire)(void *ctx, uint64_t now, const struct event_hello **hello);
	/* May be NULL. Called before a frame with its time, ns since 1970, never back: the
	 * tables are as they stand just before it. Answers from which time on it wants to
	 * be called again; until then frames pass many at a time. */
	uint64_t (*tick)(void *ctx, uint64_t time_ns);
	/* May be NULL. Called often with bytes read and size (0: unknown), also while a
	 * pipe is silent. */
	void (*progress)(void *ctx, uint64_t at, uint64_t size);
	void *ctx;
	const volatile sig_atomic_t *stop; /* set by a signal: end early; may be NULL */
};

struct replay_stats {
	uint64_t frames, bytes;
	uint64_t cut;    /* frames shortened by the snaplen */
	uint64_t back;   /* frames earlier than the one before */
	uint64_t epochs; /* jumps of the capture's clock */
	uint64_t hellos;
	uint64_t handshakes;
	uint64_t first_ns, last_ns; /* since 1970 */
};

enum replay_end {
	REPLAY_DONE,
	REPLAY_TRUNCATED, /* as capture_next() said */
	REPLAY_BROKEN,
	REPLAY_INTERRUPTED, /* *stop was set */
	REPLAY_FAILED,      /* the kernel refused a frame, or no memory */
};

int replay_new(const struct replay_config *c, struct replay **out, struct reason *r);
void replay_free(struct replay *p);
void replay_freep(struct replay **p);

/* The whole capture; then the connections whose handshake is still open are ended
 * (unfinished.h) and the hellos that still wait are handed out. Once. */
enum replay_end replay_run(struct replay *p, struct capture *c, struct reason *r);

struct kern *replay_kern(struct replay *p);
const struct replay_stats *replay_stats(const struct replay *p);
/* Virtual time of the newest frame. */
uint64_t replay_now(const struct replay *p);
/* ns since 1970 of a virtual time, or of a stamp of the tables. */
uint64_t replay_time(const struct replay *p, uint64_t virtual_ns);
uint64_t replay_stamp_time(const struct replay *p, uint32_t stamp);

#define QUIC_LONG_HEADER 0x80 /* bit of a datagram's first byte */

/* Which programs see this frame: 0, REPLAY_INGRESS, REPLAY_EGRESS or both. */
#define REPLAY_INGRESS BATCH_INGRESS
#define REPLAY_EGRESS  BATCH_EGRESS
int replay_direction(const struct ports *ports, const struct segment *s);
/* A TCP segment for a protected port, and no SYN|ACK. */
bool replay_is_client(const struct ports *ports, const struct segment *s);

#endif
