/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_drive.h - programs under test runs in which every packet is another one.
 *
 * In:     a frame (its shape: length, flags, payload) and patches (who sends it).
 * Out:    ns of processor time a packet, driver included.
 * Errors: the program ends with a sentence: a benchmark that goes on is wrong.
 */
#ifndef WINNOW_BENCH_LIB_DRIVE_H
#define WINNOW_BENCH_LIB_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "kern/kern.h"
#include "packet.h"
#include "tests/bench/lib_stat.h"
#include "tests/prog/lib_frames.h"

struct drive;

/* Room for so many connections. Moves to a network namespace of its own. */
struct drive *drive_open(uint32_t patches);
/* The same where it is, for drive_send(). */
struct drive *drive_sender(uint32_t patches);
void drive_free(struct drive *d);
struct patch *drive_patches(struct drive *d);
/* Registers a program; answers the number by which to run it. */
uint32_t drive_xdp(struct drive *d, int prog_fd);
uint32_t drive_tc(struct drive *d, int prog_fd);

struct lap {
	const struct frame *frame;
	uint32_t first, n;         /* of the patches */
	uint32_t seq_add, ack_add; /* to their numbers */
	uint32_t expect;           /* verdict of the last packet */
};
double drive_run(struct drive *d, uint32_t target, const struct lap *lap);

/* So many live frames of the first `clients` patches, out of a device. */
void drive_send(struct drive *d, const struct frame *f, uint32_t device, uint32_t clients,
		uint32_t n);

/* ---- clients ------------------------------------------------------------------- */

/* Another million clients each time: addresses of 16.0.0.0/4 and random numbers. */
void clients_draw(struct patch *p, uint32_t n, uint64_t *seed);

/* A frame from a client to port `dport` of the server, or from there. */
void client_frame(struct frame *f, bool from_server, uint16_t dport, uint8_t flags,
		  const void *data, size_t len);
void client_syn(struct frame *f, bool from_server, uint16_t dport);

/* ---- winnow --------------------------------------------------------------------- */

/* As a daemon sets it up on an edge host: the machine's clock, port 443 protected, the
 * egress program's proof, budgets and dead-man as shipped. */
struct kern *winnow_open(const struct kern_config *c);
int winnow_program(struct kern *k, const char *name);

/* The phases of a connection, to be run in this order by all clients of a lap. */
enum phase { PHASE_SYN, PHASE_SYNACK, PHASE_ACK, PHASE_HELLO, PHASE_PROOF, PHASE_FLIGHT, PHASES };

struct story {
	struct frame frame[PHASES];
	uint32_t hello_len; /* on the wire, record header included */
};
void story_new(struct story *s, const struct bytes *hello);
/* One phase; ns a packet. `xdp`, `tc`: winnow's programs on this drive. */
double story_phase(struct drive *d, const struct story *s, enum phase phase, uint32_t xdp,
		   uint32_t tc, uint32_t first, uint32_t n);
/* All phases, in pieces that fit the handshake table. */
void story_tell(struct drive *d, const struct story *s, uint32_t xdp, uint32_t tc, uint32_t first,
		uint32_t n);
/* The sequence numbers behind the story: what to add to a patch. */
uint32_t story_seq(const struct story *s);
uint32_t story_ack(void);

uint64_t winnow_count(struct kern *k, unsigned int counter);
/* All counters that moved, on standard error. */
void winnow_dump(struct kern *k);

#endif
