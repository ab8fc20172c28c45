/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of bpf/nets.h as userspace writes them. There is one writer; packets read
 * at any time, so every store is one word, and in this order:
 *
 *     put:     the bucket; then the bits that lead to it, deepest first, or the roots
 *     remove:  the roots; then the bucket. Bits stay until the set is written anew
 *
 * A change of many is made in the other set, which then becomes the one in force. The
 * buckets hold every network, so a set can be made again from them alone.
 */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>

#include "nets.h"

#define STALE_MAX \
	4096 /* networks removed, beyond half of those there, until all are written anew */

/* What is written now: the set in force, or the one that will be. */
struct set {
	uint64_t *roots, *deep;
	struct net_bucket *buckets;
};

static struct set set_at(const struct nets *n, unsigned int which)
{
	return (struct set){
		.roots = (uint64_t *)n->roots.at + which * (n->roots.n / 2),
		.deep = (uint64_t *)n->deep.at + which * (n->deep.n / 2),
		.buckets = (struct net_bucket *)n->buckets.at + which * (n->buckets.n / 2),
	};
}

static unsigned int in_force(const struct kern *k)
{
	return !!__atomic_load_n(&((const struct control *)k->control.at)->prefix_set,
				 __ATOMIC_ACQUIRE);
}

static struct set written(const struct kern *k)
{
	return set_at(&k->nets, k->nets.open ? !in_force(k) : in_force(k));
}

static const struct rule *slots(const struct kern *k)
{
	return k->rules.at;
}

static const struct secret *secret(const struct kern *k)
{
	return &((const struct control *)k->control.at)->secret;
}

static uint32_t tag_of(uint64_t entry)
{
	return entry >> 32;
}

/* ---- buckets ---------------------------------------------------------------------- */

static bool entry_is(const struct kern *k, uint64_t entry, uint32_t tag, const struct cidr *c)
{
	const struct rule *r;

	if (tag_of(entry) != tag || (uint32_t)entry >= k->rules.n)
		return false;
	r = &slots(k)[(uint32_t)entry];
	return r->plen == c->plen && r->net.hi == c->net.hi && r->net.lo == c->net.lo;
}

/* Where a network is; NULL: nowhere. */
static __u64 *find(const struct kern *k, const struct set *s, const struct cidr *c)
{
	uint64_t hash = net_hash(secret(k), &c->net, c->plen);
	uint32_t n = k->nets.buckets.n / 2, at = net_home(hash, n);

	for (int step = 0; step < NET_STEPS; step++, at = at + 1 < n ? at + 1 : 0) {
		struct net_bucket *b = &s->buckets[at];

		for (int w = 0; w < NET_WAYS; w++)
			if (entry_is(k, b->entry[w], net_tag(hash), c))
				return &b->entry[w];
		if (!b->spilled)
			break;
	}
	return NULL;
}

/* A free place in a bucket without that tag. */
static __u64 *place_in(struct net_bucket *b, uint32_t tag)
{
	__u64 *place = NULL;

	for (int w = 0; w < NET_WAYS; w++) {
		if (!b->entry[w])
			place = &b->entry[w];
		else if (tag_of(b->entry[w]) == tag)
			return NULL;
	}
	return place;
}

static int insert(const struct kern *k, const struct set *s, const struct cidr *c, uint32_t index)
{
	uint64_t hash = net_hash(secret(k), &c->net, c->plen);
	__u64 *place = NULL;
	uint32_t n = k->nets.buckets.n / 2, at = net_home(hash, n);

	for (int step = 0; step < NET_STEPS; step++, at = at + 1 < n ? at + 1 : 0) {
		place = place_in(&s->buckets[at], net_tag(hash));
		if (place)
			break;
	}
	if (!place)
		return -ENOSPC;
	__atomic_store_n(place, (uint64_t)net_tag(hash) << 32 | index, __ATOMIC_RELEASE);
	for (uint32_t b = net_home(hash, n); b != at; b = b + 1 < n ? b + 1 : 0)
		__atomic_store_n(&s->buckets[b].spilled, 1, __ATOMIC_RELEASE);
	return 0;
}

/* ---- roots, and what leads to longer networks ---------------------------------------- */

static unsigned int length_of(const struct cidr *c)
{
	return addr_is_v4(c->net) ? c->plen - 96 : c->plen;
}

/* Roots that a network covers, or the one it is in: the first, and how many. */
static uint64_t *roots_of(const struct kern *k, const struct set *s, const struct cidr *c,
			  size_t *n)
{
	unsigned int bits = k->nets.root_bits, len = length_of(c);
	bool v4 = addr_is_v4(c->net);
	uint32_t head = v4 ? (uint32_t)c->net.lo : c->net.hi >> 32;

	*n = len < bits ? (size_t)1 << (bits - len) : 1;
	return s->roots + (v4 ? 0 : (size_t)1 << bits) + (head >> (32 - bits));
}

static void set_bits(uint64_t *cell, uint64_t bits)
{
	if ((*cell & bits) != bits)
		__atomic_store_n(cell, *cell | bits, __ATOMIC_RELEASE);
}

static void lead_to(const struct kern *k, const struct set *s, const struct cidr *c)
{
	unsigned int len = length_of(c);
	uint64_t bit = NET_BIT(len), *cell;
	size_t mask = k->nets.deep.n / 2 - 1, n;

	for (unsigned int at = 64; at >= 32; at -= 32) {
		if (len <= at)
			continue;
		cell = &s->deep[net_deep_hash(secret(k), c->net.hi, at) & mask];
		set_bits(cell, bit);
		bit = NET_DEEPER;
	}
	cell = roots_of(k, s, c, &n);
	set_bits(cell, bit);
}

static void set_rule(uint64_t *root, uint32_t index)
{
	__atomic_store_n(root, *root >> 32 << 32 | index, __ATOMIC_RELEASE);
}

/* The roots whose rule is `was` get `index`; was 0: those with a rule on a shorter
 * network, or none. */
static void paint(const struct kern *k, const struct set *s, const struct cidr *c, uint32_t was,
		  uint32_t index)
{
	size_t n;
	uint64_t *root = roots_of(k, s, c, &n);

	for (size_t i = 0; i < n; i++) {
		uint32_t has = root[i];

		if (was ? has == was : !has || slots(k)[has].plen < c->plen)
			set_rule(&root[i], index);
	}
}

/* The rule on the longest network around c, of those that are painted; 0: none. */
static uint32_t around(const struct kern *k, const struct set *s, const struct cidr *c)
{
	unsigned int least = addr_is_v4(c->net) ? 96 : 1;

	for (unsigned int plen = c->plen; plen-- > least;) {
		struct cidr outer = { addr_mask(c->net, plen), plen };
		const __u64 *entry = find(k, s, &outer);

		if (entry)
			return *entry;
	}
	return 0;
}

static bool is_painted(const struct kern *k, const struct cidr *c)
{
	return length_of(c) <= k->nets.root_bits;
}

static int add(const struct kern *k, const struct set *s, const struct cidr *c, uint32_t index)
{
	int err = insert(k, s, c, index);

	if (err)
		return err;
	if (is_painted(k, c))
		paint(k, s, c, 0, index);
	else
		lead_to(k, s, c);
	return 0;
}

/* ---- one network --------------------------------------------------------------------- */

uint32_t nets_find(const struct kern *k, const struct cidr *c)
{
	struct set s = written(k);
	const __u64 *entry = find(k, &s, c);

	return entry ? *entry : 0;
}

int nets_put(struct kern *k, const struct cidr *c, uint32_t index)
{
	struct set s = written(k);
	__u64 *entry = find(k, &s, c);
	uint32_t was;
	int err;

	if (!entry) {
		err = add(k, &s, c, index);
		k->nets.n += !err;
		return err;
	}
	was = *entry;
	__atomic_store_n(entry, *entry >> 32 << 32 | index, __ATOMIC_RELEASE);
	if (is_painted(k, c))
		paint(k, &s, c, was, index);
	return 0;
}

int nets_remove(struct kern *k, const struct cidr *c)
{
	struct set s = written(k);
	__u64 *entry = find(k, &s, c);

	if (!entry)
		return -ENOENT;
	if (is_painted(k, c))
		paint(k, &s, c, *entry, around(k, &s, c));
	__atomic_store_n(entry, 0, __ATOMIC_RELEASE);
	k->nets.n--;
	k->nets.stale++;
	if (k->nets.open || k->nets.stale <= k->nets.n / 2 + STALE_MAX)
		return 0;
	if (!nets_begin(k))
		nets_commit(k);
	return 0;
}

void nets_each(const struct kern *k, void (*fn)(void *ctx, uint32_t index), void *ctx)
{
	struct set s = written(k);

	for (size_t b = 0; b < k->nets.buckets.n / 2; b++)
		for (int w = 0; w < NET_WAYS; w++) {
			uint64_t entry = s.buckets[b].entry[w];

			if ((uint32_t)entry && (uint32_t)entry < k->rules.n)
				fn(ctx, entry);
		}
}

/* ---- all of them ----------------------------------------------------------------------- */

static int write_anew(struct kern *k, const struct set *from, const struct set *to)
{
	int err = 0;

	memset(to->roots, 0, k->nets.roots.n / 2 * sizeof(*to->roots));
	memset(to->deep, 0, k->nets.deep.n / 2 * sizeof(*to->deep));
	memset(to->buckets, 0, k->nets.buckets.n / 2 * sizeof(*to->buckets));
	k->nets.n = 0;
	for (size_t b = 0; !err && b < k->nets.buckets.n / 2; b++)
		for (int w = 0; !err && w < NET_WAYS; w++) {
			uint32_t index = from->buckets[b].entry[w];
			const struct rule *r = &slots(k)[index];
			struct cidr c;

			if (!index || index >= k->rules.n || !r->gen || !r->plen)
				continue;
			c = (struct cidr){ r->net, r->plen };
			if (find(k, to, &c))
				continue;
			err = add(k, to, &c, index);
			k->nets.n += !err;
		}
	k->nets.stale = 0;
	return err;
}

static void copy(const struct kern *k, const struct set *from, const struct set *to)
{
	memcpy(to->roots, from->roots, k->nets.roots.n / 2 * sizeof(*to->roots));
	memcpy(to->deep, from->deep, k->nets.deep.n / 2 * sizeof(*to->deep));
	memcpy(to->buckets, from->buckets, k->nets.buckets.n / 2 * sizeof(*to->buckets));
}

int nets_begin(struct kern *k)
{
	struct set from = set_at(&k->nets, in_force(k)), to = set_at(&k->nets, !in_force(k));
	int err = 0;

	if (k->nets.open)
		return 0;
	/* A packet that began before the last change may still read the other set. */
	grace_await(k, k->nets.left);
	if (k->nets.stale > k->nets.n / 8)
		err = write_anew(k, &from, &to);
	else
		copy(k, &from, &to);
	k->nets.open = !err;
	return err;
}

void nets_commit(struct kern *k)
{
	if (!k->nets.open)
		return;
	__atomic_store_n(&((struct control *)k->control.at)->prefix_set, !in_force(k),
			 __ATOMIC_RELEASE);
	k->nets.open = false;
	k->nets.left = k->grace + 1;
}

/* What an earlier process left half done is mended by writing it anew. */
int nets_open(struct kern *k, bool adopted)
{
	unsigned int bits = 0;
	int err;

	while ((size_t)4 << bits < k->nets.roots.n)
		bits++;
	k->nets.root_bits = bits;
	if (!adopted)
		return 0;
	k->nets.left = k->grace + 1;
	k->nets.stale = UINT32_MAX;
	err = nets_begin(k);
	if (!err)
		nets_commit(k);
	return err;
}

void nets_sizes(uint32_t rules, struct nets_sizes *out)
{
	uint32_t bits = NET_ROOT_MIN, deep = 16;

	while (bits < NET_ROOT_MAX && 1U << bits < rules)
		bits++;
	while (deep < rules && deep < 1U << 30)
		deep *= 2;
	*out = (struct nets_sizes){
		.root_bits = bits,
		.deep = deep,
		.buckets = rules / 3 < NET_STEPS ? NET_STEPS : rules / 3 + 1,
	};
}
