/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * nets.h - where the rule on a network is: what the programs (source.bpf.h), which look
 * for the longest network around a source, and userspace, which fills the tables, share.
 *
 *     net_lines   lines of up to six networks, each with its rule's index, what that does if
 *                 it is simple, and until when all such do it. A network of IPv4 is there in
 *                 full, so nothing else is read to know it; of one of IPv6 there is a hash, and
 *                 its rule says whether it is.
 *                   An IPv4 address has one line by its first NET_CELL bits. It says which
 *                 lengths are near, in this line, and which are far: in a line by the keyed
 *                 hash of the network, or in one of the next. A network that is not longer than
 *                 a cell is far for all cells that it covers
 *     net_roots   IPv6: a cell for the first `root_bits` bits of an address, with a bit for each
 *                 length that exists around or in it, net_root_bit(). All of IPv6 is far
 *     net_deep    the same for networks longer than 31 and 64 bits. A cell is shared by whatever
 *                 the hash brings there
 *
 * What says which lengths there are may say too much, not too little. So an IPv4 source costs a
 * line of memory, with a rule or without, at any number of rules, and a line more where many
 * rules are close to each other, or for a length that exists nearby. Each table holds two sets;
 * control.prefix_set says which one is in force.
 *
 * Bytes:  a set is 2^(root_bits + 2) + 8 x entries, rounded to a power of two, + 64 / 3 x
 *         entries: 2.2 MB for 65,536, 34 MB for 1,000,000
 * Bound:  a network that is far goes to the first of NET_STEPS lines with room for it. At a mean
 *         of 3 in 6, of which at most NET_NEAR are near, the last of them is full with a
 *         probability below 1e-12.
 */
#ifndef WINNOW_NETS_H
#define WINNOW_NETS_H

#include "abi.h"
#include "mix.h"

#define NET_ROOT_MIN 8
#define NET_ROOT_MAX 20
#define NET_STEPS    16
#define NET_CELL     20 /* bits of an IPv4 address */
#define NET_NEAR     5  /* where so many are, nothing more comes near */

/* Bit of a length in a deep cell: 32 to 64, or 65 to 128. */
#define NET_BIT(len) (1ULL << (-(len)&63))
#define NET_DEEPER   (1ULL << 63)
#define NET_IN_DEEP  0x00000001ffffffffULL /* 32 to 64; of 65 to 128 every bit */

/* In a root: 1 to 32, and whatever is longer with 32. */
MIX_INLINE __u32 net_root_bit(__u32 len)
{
	return 1U << (len > 31 ? 0 : 32 - len);
}

/* An entry of a line: for what, what its rule does, index of the rule. */
#define NET_KEY_SHIFT 30
#define NET_DROP      (1U << 29) /* drops whatever comes */
#define NET_PASS      (1U << 28)
#define NET_INDEX     (NET_PASS - 1)

/* Until when a line's entries do so is told in steps of a second, and a little. */
#define NET_UNTIL_SHIFT 30
#define NET_FOREVER     0xffffffffU

/* Of an IPv4 network: its bits, then a one. `bit` is 1 << 32 - length. No ones are below. */
MIX_INLINE __u64 net_key_four(__u64 address, __u64 bit)
{
	return (address & -bit) << 1 | bit;
}

#define NET_SIX (1ULL << 33)

MIX_INLINE __u64 net_hash_four(const struct secret *s, __u64 key)
{
	return mix64(key ^ s->k[0]);
}

/* `net` is masked. */
MIX_INLINE __u64 net_hash_six(const struct secret *s, const struct addr *net, __u32 plen)
{
	return mix64(mix64(mix64(net->hi ^ s->k[0]) + (net->lo ^ s->k[1])) + plen);
}

MIX_INLINE __u64 net_key_six(__u64 hash)
{
	return NET_SIX | hash >> 32;
}

/* Of the line that tells about an IPv4 address, in the low half. Where two cells meet only
 * who knows the secret can tell (Dietzfelbinger 1997, "A reliable randomized algorithm for the
 * closest-pair problem": multiply by an odd number, take the high bits). */
MIX_INLINE __u64 net_cell_hash(const struct secret *s, __u64 address)
{
	return (address >> (32 - NET_CELL)) * (s->k[3] | 1) >> 32;
}

/* The first of n lines that may have it. */
MIX_INLINE __u32 net_home(__u64 hash, __u32 n)
{
	return (hash & 0xffffffff) * n >> 32;
}

/* A byte that tells a key from the others in its line: there once. 0: nothing is there. */
MIX_INLINE __u64 net_tag(__u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL >> 56 | 1;
}

/* Which cell of net_deep tells about the first 32 or 64 bits of an address. */
MIX_INLINE __u64 net_deep_hash(const struct secret *s, __u64 hi, __u32 bits)
{
	return mix64((hi >> (64 - bits)) + (s->k[2] ^ (__u64)bits << 56));
}

#endif
