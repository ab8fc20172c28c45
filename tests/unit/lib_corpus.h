/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_corpus.h - frames that every way through the programs must treat alike: the
 * captures of tests/replay one after the other, QUIC flows of tests/data/quic, many
 * hellos in a row, and at the end lengths that no capture of ours has.
 */
#ifndef WINNOW_TESTS_LIB_CORPUS_H
#define WINNOW_TESTS_LIB_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "kern/replay.h"

#define CORPUS_MAX    8192
#define CORPUS_HELLOS 500 /* in a row */

struct corpus_frame {
	uint8_t *b;
	uint32_t len;
	int way;
	uint64_t time_ns;
};

extern struct corpus_frame corpus[CORPUS_MAX];
extern size_t n_corpus;
extern struct ports corpus_ports;

void corpus_gather(void);
/* As a capture file. */
void corpus_write(const char *path);

#endif
