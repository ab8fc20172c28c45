/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_wire.h - a bench whose frames come over a wire: its programs are attached to w0 of
 * tests/unit/lib_kern.h, natively or generically, and frames are sent into w1. The clock
 * is still the bench's, so that all ways of running a program can be compared.
 *
 * The device's frames are at most WIRE_MTU bytes of payload long.
 */
#ifndef WINNOW_TESTS_LIB_WIRE_H
#define WINNOW_TESTS_LIB_WIRE_H

#include "lib_bench.h"

#define WIRE_MTU 65000

/* From here on bench_in() and bench_out() of this bench use the wire. */
void wire_attach(struct bench *b, enum attach_mode mode);
void wire_release(struct bench *b);

/* lib_bench.c's: the verdict of one frame, egress 0. */
uint32_t wire_run(struct bench *b, const struct frame *f, bool egress);

#endif
