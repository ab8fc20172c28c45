/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * source.bpf.h - the rule on a source alone: that of the longest network around it.
 * Where it stands: nets.h.
 *
 * What is found is a word: the rule's index in NET_INDEX, NET_DROP or NET_PASS, and above
 * until when that is true. 0: there is none.
 */
#ifndef WINNOW_SOURCE_BPF_H
#define WINNOW_SOURCE_BPF_H

#include "abi.h"
#include "key.bpf.h"
#include "maps.bpf.h"
#include "nets.h"
#include "now.bpf.h"
#include "table.bpf.h"
#include "work.bpf.h"

/* Of one set; set before loading. */
const volatile __u32 net_root_bits = NET_ROOT_MIN;
const volatile __u32 net_deep_mask = 15; /* cells - 1 */
const volatile __u32 net_lines_n = NET_STEPS;

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
	struct addr net; /* IPv6 */
	__u64 key;
	__u32 plen, home;
};

/* Lengths of IPv4, and none. */
#define NET_FOUR_MAX 33

static __always_inline struct net_line *net_line_at(__u32 at, __u32 set)
{
	at += set * net_lines_n;
	return bpf_map_lookup_elem(&net_lines, &at);
}

/* Is there one with that key? The tags are compared all at once, and what is below the lowest
 * match is none. */
static __always_inline __u64 net_in(const struct net_line *l, __u64 key)
{
	__u64 until = l->until, again, x, entry;

	x = l->tags ^ net_tag(key) * 0x0101010101010101ULL;
	x = (x - 0x010101010101ULL) & ~x & 0x808080808080ULL;
	x = (x & -x) >> 7; /* 1 << 8 * way */
	x = x * 0x0001020304050000ULL >> 56;
	hide(x);
	barrier();
	entry = l->entry[x & 7];
	if (entry >> NET_KEY_SHIFT != key)
		return 0;
	barrier();
	again = l->until; /* it rises behind an entry that goes, and falls ahead of a new one */
	if (again < until)
		until = again;
	return until << 32 | (entry & (NET_DROP | NET_PASS | NET_INDEX));
}

/* A hash met by chance, or a slot that has become another rule meanwhile, is no match. */
static __always_inline int net_is(const struct net_want *n, __u64 found)
{
	struct rule *r;

	if (!(n->key & NET_SIX))
		return 1;
	r = rule_at(found & NET_INDEX);
	return r && r->plen == n->plen && r->net.hi == n->net.hi && r->net.lo == n->net.lo;
}

#define NET_ELSEWHERE (~0ULL)

/* It, 0, or NET_ELSEWHERE: look into the next line. */
__noinline __u64 net_there(const struct net_want *n, __u32 at, __u32 set)
{
	struct net_line *l;
	__u64 found;

	if (!n)
		return 0;
	l = net_line_at(at, set);
	if (!l)
		return 0;
	found = net_in(l, n->key);
	if (found && net_is(n, found))
		return found;
	return l->tags & NET_SPILLED ? NET_ELSEWHERE : 0;
}

/* Inlined: in replay calls are as deep as they may be. The call is not the last of a turn,
 * which 6.1 takes for a loop that it may not go. */
static __always_inline __u64 net_far(const struct net_want *n, __u32 set)
{
	__u64 found = NET_ELSEWHERE;
	__u32 at = n->home;

	for (__u32 step = 0; step < NET_STEPS && found == NET_ELSEWHERE; step++) {
		found = net_there(n, at, set);
		hide(at);
		at = at + 1 < net_lines_n ? at + 1 : 0;
	}
	return found == NET_ELSEWHERE ? 0 : found;
}

/* IPv6: the rule on the network around the source whose length is the lowest bit of
 * `lengths`, where bit 0 means `most`. */
__noinline __u64 net_probe(const struct addr *src, __u64 lengths, __u32 most, __u32 set)
{
	struct control *c = control_get();
	struct net_want n = {};
	__u64 hash;

	if (!src || !c)
		return 0;
	n.plen = most - lowest_bit(lengths);
	n.net.hi = src->hi;
	if (n.plen <= 64)
		n.net.hi &= ~0ULL << (64 - n.plen & 63);
	else
		n.net.lo = src->lo & ~0ULL << (128 - n.plen & 63);
	hash = net_hash_six(&c->secret, &n.net, n.plen);
	n.key = net_key_six(hash);
	n.home = net_home(hash, net_lines_n);
	return net_far(&n, set);
}

/* Longest first through eight lengths: a loop of eight times eight is verified as
 * sixteen turns. */
__noinline __u64 net_eight(const struct addr *src, __u64 lengths, __u32 most, __u32 set)
{
	__u64 found = 0;

	for (int i = 0; src && i < 8 && lengths && !found; i++) {
		found = net_probe(src, lengths, most, set);
		lengths &= lengths - 1;
	}
	return found;
}

/* Longest first through the lengths that may exist. */
__noinline __u64 net_six(const struct addr *src, __u32 set)
{
	struct control *c = control_get();
	__u32 at, bits = net_root_bits & 31, odd, *root;
	__u64 to_64, to_128 = 0, cell, found = 0;

	if (!src || !c)
		return 0;
	at = (src->hi >> (64 - bits)) + ((__u64)set << bits);
	odd = at & 1; /* two are an entry */
	at >>= 1;
	root = bpf_map_lookup_elem(&net_roots, &at);
	if (!root)
		return 0;
	root += odd;
	to_64 = (__u64)(*root & ~1U) << 32;
	if (*root & 1) {
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
	return found;
}

static __always_inline struct net_line *net_cell(const struct control *c, __u64 address, __u32 set)
{
	return net_line_at(net_home(net_cell_hash(&c->secret, address), net_lines_n), set);
}

static __always_inline __u64 net_near(const struct net_line *l)
{
	return l->tags >> NET_NEAR_SHIFT & 0x7fff;
}

__noinline __u64 net_four_far(__u64 key, __u32 set)
{
	struct control *c = control_get();
	struct net_want n = { .key = key };

	if (!c)
		return 0;
	n.home = net_home(net_hash_four(&c->secret, key), net_lines_n);
	return net_far(&n, set);
}

__noinline __u64 net_four_near(const struct net_line *l, __u64 key)
{
	return l ? net_in(l, key) : 0;
}

/* Longest first through the lengths of its cell. */
__noinline __u64 net_four(__u32 address, __u32 set)
{
	struct control *c = control_get();
	__u64 near, far, lengths, bit, key, found = 0;
	struct net_line *l;

	if (!c)
		return 0;
	l = net_cell(c, address, set);
	if (!l)
		return 0;
	near = net_near(l);
	far = l->far | (__u64)(l->far >> 31) << 32;
	lengths = near | far;
	for (int i = 0; i < NET_FOUR_MAX && lengths && !found; i++) {
		bit = lengths & -lengths;
		lengths -= bit;
		key = net_key_four(address, bit);
		if (near & bit)
			found = net_four_near(l, key);
		if (!found && far & bit)
			found = net_four_far(key, set);
	}
	return found;
}

static __always_inline __u32 is_six(const struct addr *a)
{
	return a->hi || a->lo >> 32 != 0xffff;
}

/* The rule on this source alone. Inlined, as net_far(). */
static __always_inline __u64 source_find(const struct control *c, const struct addr *src)
{
	__u32 set = c->prefix_set & 1;

	return is_six(src) ? net_six(src, set) : net_four(src->lo, set);
}

/* The same of IPv4 without a call for most: those without a rule nearby, or in the longest
 * network nearby. */
static __always_inline __u64 source_glance(const struct control *c, const struct addr *src)
{
	__u32 address = src->lo, set = c->prefix_set & 1;
	__u64 near, bit, found;
	struct net_line *l;

	if (is_six(src))
		return net_six(src, set);
	l = net_cell(c, address, set);
	if (!l)
		return 0;
	near = net_near(l);
	if (!(near | l->far))
		return 0;
	bit = near & -near;
	if (bit && !(l->far & bit - 1)) {
		found = net_in(l, net_key_four(address, bit));
		if (found || !(l->far | (near - bit)))
			return found;
	}
	return net_four(address, set);
}

/* What is found says it itself, and need not be looked up. */
static __always_inline int found_holds(__u64 found, __u64 boot)
{
	return found >> 32 > boot >> NET_UNTIL_SHIFT;
}

#endif
