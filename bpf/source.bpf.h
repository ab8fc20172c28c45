/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * source.bpf.h - the rule on a source alone: that of the longest network around it.
 * Where it stands: nets.h. A bucket only says where a network may be; its rule says
 * whether it is, so that a tag met by chance, or a slot that has become another rule
 * meanwhile, is no match.
 */
#ifndef WINNOW_SOURCE_BPF_H
#define WINNOW_SOURCE_BPF_H

#include "abi.h"
#include "key.bpf.h"
#include "maps.bpf.h"
#include "nets.h"
#include "table.bpf.h"
#include "work.bpf.h"

/* Of one set; set before loading. */
const volatile __u32 net_root_bits = NET_ROOT_MIN;
const volatile __u32 net_deep_mask = 15; /* cells - 1 */
const volatile __u32 net_buckets = NET_STEPS;

static __always_inline struct rule *rule_at(__u32 i)
{
	return i ? bpf_map_lookup_elem(&rules, &i) : NULL;
}

static __always_inline __u64 net_deep_at(const struct control *c, const struct addr *src, __u32 set,
					 __u32 bits)
{
	__u32 at = net_deep_hash(&c->secret, src->hi, bits) & net_deep_mask;
	__u64 *cell;

	at += set ? net_deep_mask + 1 : 0;
	cell = bpf_map_lookup_elem(&net_deep, &at);
	return cell ? *cell : 0;
}

struct net_want {
	struct addr net;
	__u32 plen, tag;
};

#define NET_SPILLED 0xffffffffU

/* Lengths of IPv4 behind a root. */
#define NET_FOUR_MAX (32 - NET_ROOT_MIN)

/* Its rule if it is in the bucket at `at`, 0, or NET_SPILLED: look into the next one. */
static __always_inline __u32 net_here(const struct net_want *n, __u32 at)
{
	struct net_bucket *b = bpf_map_lookup_elem(&net_rules, &at);
	struct rule *r;
	__u64 met = 0;

	if (!b)
		return 0;
#pragma unroll
	for (int w = 0; w < NET_WAYS; w++)
		met += (__u32)b->entry[w] * same(b->entry[w] >> 32, n->tag);
	r = rule_at(met);
	if (r && r->plen == n->plen && r->net.hi == n->net.hi && r->net.lo == n->net.lo)
		return met;
	return b->spilled ? NET_SPILLED : 0;
}

__noinline __u32 net_there(const struct net_want *n, __u32 at)
{
	return n ? net_here(n, at) : 0;
}

/* Inlined: in replay calls are as deep as they may be. */
static __always_inline __u32 net_spill(const struct net_want *n, __u32 home, __u32 set)
{
	__u32 found = NET_SPILLED;

	for (__u32 step = 1; step < NET_STEPS && found == NET_SPILLED; step++) {
		__u32 at = home + step;

		if (at >= net_buckets)
			at -= net_buckets;
		found = net_there(n, at + (set ? net_buckets : 0));
	}
	return found == NET_SPILLED ? 0 : found;
}

/* The rule on the network around the source whose length is the lowest bit of `lengths`,
 * a cell's, where bit 0 means `most`. 0: there is none. */
__noinline __u32 net_probe(const struct addr *src, __u64 lengths, __u32 most, __u32 set)
{
	struct control *c = control_get();
	__u32 home, found, plen;
	struct net_want n = {};
	__u64 hash;

	if (!src || !c)
		return 0;
	plen = most - lowest_bit(lengths);
	n.net.hi = src->hi;
	if (plen <= 64)
		n.net.hi &= ~0ULL << (64 - plen & 63);
	else
		n.net.lo = src->lo & ~0ULL << (128 - plen & 63);
	hash = net_hash(&c->secret, &n.net, plen);
	n.plen = plen;
	n.tag = net_tag(hash);
	home = net_home(hash, net_buckets);
	found = net_here(&n, home + (set ? net_buckets : 0));
	return found == NET_SPILLED ? net_spill(&n, home, set) : found;
}

/* Longest first through eight lengths: a loop of eight times eight is verified as
 * sixteen turns. */
__noinline __u32 net_eight(const struct addr *src, __u64 lengths, __u32 most, __u32 set)
{
	__u32 found = 0;

	for (int i = 0; src && i < 8 && lengths && !found; i++) {
		found = net_probe(src, lengths, most, set);
		lengths &= lengths - 1;
	}
	return found;
}

/* IPv6: longest first through the lengths that may exist, else what the root says. */
__noinline __u32 net_six(const struct addr *src, __u32 set, __u64 root)
{
	struct control *c = control_get();
	__u64 to_64, to_128 = 0, cell;
	__u32 found = 0;

	if (!src || !c)
		return 0;
	to_64 = root & NET_IN_ROOT;
	if (root & NET_DEEPER) {
		cell = net_deep_at(c, src, set, 32);
		to_64 |= cell & NET_IN_DEEP;
		if (cell & NET_DEEPER)
			to_128 = net_deep_at(c, src, set, 64);
	}
	for (int i = 0; i < 64 && !found; i += 8)
		if (to_128 >> i & 0xff)
			found = net_eight(src, to_128 & 0xffULL << i, 128, set);
	for (int i = 0; i < 64 && !found; i += 8)
		if (to_64 >> i & 0xff)
			found = net_eight(src, to_64 & 0xffULL << i, 64, set);
	return found ?: root;
}

/* IPv4, where it has to be fast: mostly there is one length, and no call is made. Bit 0 of
 * `lengths` is a /32's, as in the root's high half. */
__noinline __u32 net_four(__u32 address, __u64 lengths, __u32 set)
{
	struct control *c = control_get();
	struct net_want n = {};
	__u32 found, home, less;
	struct addr src;
	__u64 hash;

	if (!c)
		return 0;
	less = lowest_bit(lengths) & 31;
	n.net.lo = ADDR_V4_MARK | address >> less << less;
	n.plen = 128 - less;
	hash = net_hash(&c->secret, &n.net, n.plen);
	n.tag = net_tag(hash);
	home = net_home(hash, net_buckets);
	found = net_here(&n, home + (set ? net_buckets : 0));
	if (found == NET_SPILLED)
		found = net_spill(&n, home, set);
	src = (struct addr){ .lo = ADDR_V4_MARK | address };
	for (int i = 1; i < NET_FOUR_MAX && !found; i++) {
		lengths &= lengths - 1;
		if (!lengths)
			break;
		found = net_probe(&src, lengths, 128, set);
	}
	return found;
}

/* Index of the rule on this source alone; 0: there is none. Where it is asked for is
 * reckoned and not tested, or the verifier walks the look-up once for each family. */
static __always_inline __u32 source_rule(const struct control *c, const struct addr *src)
{
	__u32 at, set = c->prefix_set & 1, bits = net_root_bits & 31;
	__u64 x = src->hi | (src->lo >> 32 ^ 0xffff), six = sign(x | -x), *root;

	at = (__u32)((src->hi >> 32) + (1 - six) * (__u32)src->lo) >> (32 - bits & 31);
	at += (__u32)(six + 2 * set) << bits;
	root = bpf_map_lookup_elem(&net_roots, &at);
	if (!root)
		return 0;
	if (!(*root >> 32))
		return *root;
	if (six)
		return net_six(src, set, *root);
	return net_four(src->lo, *root >> 32, set) ?: *root;
}

#endif
