/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * key.bpf.h - keyed 64-bit values that name flows, sources and rows.
 *
 * Every step mixes in a word of the secret before a bijective finalizer, so that
 * somebody who does not know the secret can neither choose a row nor collide
 * with one (a million flows collide by chance with probability 3e-8).
 */
#ifndef WINNOW_KEY_BPF_H
#define WINNOW_KEY_BPF_H

#include "abi.h"
#include "mix.h"

static __always_inline __u64 key_pair(const struct secret *s, __u64 a, __u64 b)
{
	return mix64(mix64(a ^ s->k[0]) + (b ^ s->k[1]));
}

static __always_inline __u64 key_flow(const struct secret *s, const struct addr *client,
				      const struct addr *server, __u16 sport, __u16 dport)
{
	__u64 h = key_pair(s, client->hi, client->lo);

	h = mix64(h + (server->hi ^ s->k[2]));
	h = mix64(h + (server->lo ^ s->k[3]));
	return mix64(h + ((__u64)sport << 16 | dport)) ?: 1;
}

/* A source in one word; see abi.h. */
static __always_inline __u64 source_word(const struct addr *a, __u8 family)
{
	return family == 4 ? a->lo & 0xffffffffULL : a->hi;
}

static __always_inline __u64 key_source(const struct secret *s, __u64 src, __u8 family)
{
	return key_pair(s, src, 0x5c00 | family);
}

static __always_inline __u64 key_tally(const struct secret *s, __u64 src, __u64 stack,
				       __u16 service, __u8 family, __u8 proto)
{
	return mix64(key_pair(s, src, stack) +
		     ((__u64)service << 16 | family << 8 | proto) * 0x9e3779b97f4a7c15ULL);
}

#endif
