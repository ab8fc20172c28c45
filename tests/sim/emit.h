/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emit.h - the three forms of one run: lines of JSON, fixed-size records, packets.
 *
 * Events are numbered hellos: emit_event() writes a stack's hello before the first
 * connection that uses it. emit_packets() holds packets back until no earlier one can
 * come and writes a pcap (Ethernet, both directions, one server).
 * Errors: -EIO, -ENOMEM.
 */
#ifndef WINNOW_SIM_EMIT_H
#define WINNOW_SIM_EMIT_H

#include <stdio.h>

#include "tests/sim/sim.h"

enum form { JSONL, BINARY, PCAP };

struct emitter;

int emit_open(enum form f, const struct sim *s, FILE *out, struct emitter **e);
int emit(struct emitter *e, const struct event_conn *c, const struct sim_truth *t);
int emit_close(struct emitter *e); /* flushes; frees in any case */

/* packets.c: the PCAP form. */
struct packets;
int packets_open(const struct sim *s, FILE *out, struct packets **p);
int packets_add(struct packets *p, const struct event_conn *c, const struct sim_truth *t);
int packets_close(struct packets *p);

#endif
