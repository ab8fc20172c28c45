/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * nets.h - where the rule on a network is: what the programs (source.bpf.h), which look
 * for the longest network around a source, and userspace, which fills the tables, share.
 *
 *     net_roots   a cell for the first `root_bits` bits of an address, IPv4's and IPv6's
 *                 apart. Low half: the rule of the longest network of no more bits. High
 *                 half: a bit for each longer length, to 32, that exists in the cell, and
 *                 NET_DEEPER for those beyond
 *     net_deep    the same for IPv6 networks longer than 32 and 64 bits. A cell is shared
 *                 by whatever the hash brings there: its bits may say too much, not too
 *                 little
 *     net_rules   every network's rule, the short ones' too, by a keyed hash of the network
 *
 * So a source without a rule costs a cell, one with a rule a cell, a bucket and the rule,
 * at any number of rules; and a bucket more for each longer length that exists
 * nearby. Each table holds two sets; control.prefix_set says which one is in force.
 *
 * Bytes:  a set is 2^(root_bits + 4) + 8 x entries, rounded to a power of two, + 64 / 3 x
 *         entries: 2.9 MB for 65,536, 45 MB for 1,000,000
 * Bound:  a network goes to the first of NET_STEPS buckets with room for it. At a mean of
 *         3 in 7 the last of them is full with a probability below 1e-12.
 */
#ifndef WINNOW_NETS_H
#define WINNOW_NETS_H

#include "abi.h"
#include "mix.h"

#define NET_ROOT_MIN 8
#define NET_ROOT_MAX 20
#define NET_STEPS    16

/* Bit of a length in its cell. Lengths are the family's own: 1..32 or 1..128. */
#define NET_BIT(len) (1ULL << (-(len)&63))
#define NET_DEEPER   (1ULL << 63)
#define NET_IN_ROOT  0x7fffffff00000000ULL /* lengths to 32 */
#define NET_IN_DEEP  0x00000000ffffffffULL /* 33 to 64; of 65 to 128 every bit */

/* plen as everywhere: of an IPv4 network 96 + its length. `net` is masked. */
MIX_INLINE __u64 net_hash(const struct secret *s, const struct addr *net, __u32 plen)
{
	if (!net->hi && net->lo >> 32 == 0xffff)
		return mix64((net->lo << 8 | plen) ^ s->k[0]);
	return mix64(mix64(mix64(net->hi ^ s->k[0]) + (net->lo ^ s->k[1])) + plen);
}

MIX_INLINE __u32 net_tag(__u64 hash)
{
	return hash >> 32 ? hash >> 32 : 1;
}

/* The first of n buckets that may have it. */
MIX_INLINE __u32 net_home(__u64 hash, __u32 n)
{
	return (hash & 0xffffffff) * n >> 32;
}

/* Which cell of net_deep tells about the first 32 or 64 bits of an address. */
MIX_INLINE __u64 net_deep_hash(const struct secret *s, __u64 hi, __u32 bits)
{
	return mix64((hi >> (64 - bits)) + (s->k[2] ^ (__u64)bits << 56));
}

#endif
