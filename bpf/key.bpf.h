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
#include "key.h"

static __always_inline int addr_is_four(const struct addr *a)
{
	return !a->hi && a->lo >> 32 == 0xffff;
}

static __always_inline __u64 key_flow(const struct secret *s, const struct addr *client,
				      const struct addr *server, __u16 sport, __u16 dport)
{
	__u64 h, ports = (__u64)sport << 16 | dport;

	if (addr_is_four(client) && addr_is_four(server))
		return key_pair(s, client->lo << 32 | (__u32)server->lo, ports ^ s->k[2]) ?: 1;
	h = key_pair(s, client->hi, client->lo);
	h = mix64(h + (server->hi ^ s->k[2]));
	h = mix64(h + (server->lo ^ s->k[3]));
	return mix64(h + ports) ?: 1;
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

#endif
