/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_peers.h - the programs of peers.bpf.c, loaded.
 */
#ifndef WINNOW_BENCH_LIB_PEERS_H
#define WINNOW_BENCH_LIB_PEERS_H

#include <stdint.h>

#include "abi.h"
#include "tests/bench/packet.h"
#include "tests/bench/peers.skel.h"

/* Rows of the tables; 0: one, nobody needs it. */
struct peer_sizes {
	uint32_t lru_flows, lru_handshakes;
	uint32_t rows; /* of 64 bytes */
	uint32_t trie;
};

/* `needed`: names of the only programs that are loaded, for the verifier takes its time.
 * `sizes` may be NULL. */
struct peers_bpf *peers_open(const char *needed, const struct peer_sizes *sizes);
int peer(const struct bpf_program *p);

#endif
