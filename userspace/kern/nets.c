/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of bpf/nets.h as userspace writes them. There is one writer; packets read
 * at any time, so every store is one word, and in this order:
 *
 *     put:     the line: `until` ahead of the entry, and that ahead of its tag; then what
 *              leads there, deepest first
 *     remove:  the entry, its tag, `until`. What leads there stays until the set is written
 *              anew
 *
 * A change of many is made in the other set, which then becomes the one in force. The
 * lines hold every network, so a set can be made again from them alone.
 */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>

#include "nets.h"

#define STALE_MAX \
	4096 /* networks removed, beyond half of those there, until all are written anew */

/* What is written now: the set in force, or the one that will be. */
struct set {
	uint32_t *roots;
	uint64_t *deep;
	struct net_line *lines;
};

static struct set set_at(const struct nets *n, unsigned int which)
{
	return (struct set){
		.roots = (uint32_t *)n->roots.at + which * n->roots.n,
		.deep = (uint64_t *)n->deep.at + which * (n->deep.n / 2),
		.lines = (struct net_line *)n->lines.at + which * (n->lines.n / 2),
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

static uint32_t n_lines(const struct kern *k)
{
	return k->nets.lines.n / 2;
}

/* ---- entries ---------------------------------------------------------------------- */

static uint32_t index_of(uint64_t entry)
{
	return entry & NET_INDEX;
}

static uint64_t key_of(uint64_t entry)
{
	return entry >> NET_KEY_SHIFT;
}

/* What a rule does to all that it matches; 0: that has to be asked. */
static uint32_t simple(const struct rule *r)
{
	if (r->action == RULE_PASS)
		return NET_PASS;
	return r->action == RULE_DROP && !(r->flags & RULE_SHADOW) && !r->holdout &&
			       r->canary >= 10000
		       ? NET_DROP
		       : 0;
}

static uint32_t until_of(const struct rule *r)
{
	uint64_t until = r->expires >> NET_UNTIL_SHIFT;

	return r->expires && until < NET_FOREVER ? until : NET_FOREVER;
}

/* Until when all that are simple are in force: those in the line, and `also`. */
static void set_until(const struct kern *k, struct net_line *l, uint64_t also)
{
	uint32_t until = NET_FOREVER;

	for (int w = 0; w <= NET_WAYS; w++) {
		uint64_t entry = w < NET_WAYS ? l->entry[w] : also;

		if (entry & (NET_DROP | NET_PASS) && until_of(&slots(k)[index_of(entry)]) < until)
			until = until_of(&slots(k)[index_of(entry)]);
	}
	__atomic_store_n(&l->until, until, __ATOMIC_RELEASE);
}

static void set_tags(struct net_line *l, uint64_t but, uint64_t bits)
{
	uint64_t now = (l->tags & ~but) | bits;

	if (now != l->tags)
		__atomic_store_n(&l->tags, now, __ATOMIC_RELEASE);
}

/* Where something is in the tables. */
struct spot {
	struct net_line *line;
	int way;
};

static void write_entry(const struct kern *k, const struct spot *at, uint64_t key, uint32_t index)
{
	uint64_t entry = key << NET_KEY_SHIFT | simple(&slots(k)[index]) | index;

	set_until(k, at->line, entry);
	__atomic_store_n(&at->line->entry[at->way], entry, __ATOMIC_RELEASE);
	set_until(k, at->line, 0);
	set_tags(at->line, 0xffULL << 8 * at->way, net_tag(key) << 8 * at->way);
}

static void remove_entry(const struct kern *k, const struct spot *at)
{
	__atomic_store_n(&at->line->entry[at->way], 0, __ATOMIC_RELEASE);
	set_tags(at->line, 0xffULL << 8 * at->way, 0);
	set_until(k, at->line, 0);
}

/* ---- lines ------------------------------------------------------------------------ */

/* A network, and where it may be. */
struct sought {
	const struct cidr *c;
	uint64_t key;
	uint32_t len; /* the family's own */
	uint32_t home;
	struct net_line *near; /* NULL: it is never near */
};

static struct net_line *cell_of(const struct kern *k, const struct set *s, uint32_t address)
{
	return &s->lines[net_home(net_cell_hash(secret(k), address), n_lines(k))];
}

static struct sought seek(const struct kern *k, const struct set *s, const struct cidr *c)
{
	struct sought x = { .c = c, .len = c->plen };
	uint64_t hash;

	if (addr_is_v4(c->net)) {
		x.len = c->plen - 96;
		x.key = net_key_four((uint32_t)c->net.lo, 1ULL << (32 - x.len));
		hash = net_hash_four(secret(k), x.key);
		if (x.len >= NET_CELL)
			x.near = cell_of(k, s, c->net.lo);
	} else {
		hash = net_hash_six(secret(k), &c->net, c->plen);
		x.key = net_key_six(hash);
	}
	x.home = net_home(hash, n_lines(k));
	return x;
}

/* The slot has the last word: of IPv6 there is a hash in the entry. */
static bool entry_is(const struct kern *k, uint64_t entry, const struct sought *x)
{
	const struct rule *r;

	if (!entry || key_of(entry) != x->key || index_of(entry) >= k->rules.n)
		return false;
	r = &slots(k)[index_of(entry)];
	return r->plen == x->c->plen && r->net.hi == x->c->net.hi && r->net.lo == x->c->net.lo;
}

static bool is_in(const struct kern *k, const struct sought *x, struct spot *at)
{
	for (at->way = 0; at->way < NET_WAYS; at->way++)
		if (entry_is(k, at->line->entry[at->way], x))
			return true;
	return false;
}

static bool find(const struct kern *k, const struct set *s, const struct sought *x, struct spot *at)
{
	uint32_t n = n_lines(k), line = x->home;

	at->line = x->near;
	if (at->line && is_in(k, x, at))
		return true;
	for (int step = 0; step < NET_STEPS; step++, line = line + 1 < n ? line + 1 : 0) {
		at->line = &s->lines[line];
		if (is_in(k, x, at))
			return true;
		if (!(at->line->tags & NET_SPILLED))
			break;
	}
	return false;
}

/* A free place in a line of at most `most` without that tag. */
static bool has_room(uint64_t key, int most, struct spot *at)
{
	int used = 0;

	at->way = -1;
	for (int w = 0; w < NET_WAYS; w++) {
		uint64_t tag = at->line->tags >> 8 * w & 0xff;

		if (tag == net_tag(key))
			return false;
		used += !!tag;
		if (!tag)
			at->way = w;
	}
	return used < most;
}

/* The cells that an IPv4 network covers, or the one that it is in, are told. */
static void tell_far(const struct kern *k, const struct set *s, const struct sought *x)
{
	uint32_t n = x->len < NET_CELL ? 1U << (NET_CELL - x->len) : 1;
	uint32_t bit = 1U << (x->len ? 32 - x->len : 31);

	for (uint32_t i = 0; i < n; i++) {
		struct net_line *l = cell_of(k, s, (uint32_t)x->c->net.lo + (i << (32 - NET_CELL)));

		if (!(l->far & bit))
			__atomic_store_n(&l->far, l->far | bit, __ATOMIC_RELEASE);
	}
}

/* Roots that an IPv6 network covers, or the one it is in: the first, and how many. */
static uint32_t *roots_of(const struct kern *k, const struct set *s, const struct sought *x,
			  size_t *n)
{
	unsigned int bits = k->nets.root_bits;

	*n = x->len < bits ? (size_t)1 << (bits - x->len) : 1;
	return s->roots + (x->c->net.hi >> (64 - bits));
}

static void set_deep(const struct kern *k, const struct set *s, const struct sought *x,
		     unsigned int at, uint64_t bit)
{
	size_t mask = k->nets.deep.n / 2 - 1;
	uint64_t *cell = &s->deep[net_deep_hash(secret(k), x->c->net.hi, at) & mask];

	if (!(*cell & bit))
		__atomic_store_n(cell, *cell | bit, __ATOMIC_RELEASE);
}

static void tell_six(const struct kern *k, const struct set *s, const struct sought *x)
{
	uint32_t bit = net_root_bit(x->len), *root;
	size_t n;

	if (x->len > 64)
		set_deep(k, s, x, 64, NET_BIT(x->len));
	if (x->len > 31)
		set_deep(k, s, x, 32, x->len > 64 ? NET_DEEPER : NET_BIT(x->len));
	root = roots_of(k, s, x, &n);
	for (size_t i = 0; i < n; i++)
		if (!(root[i] & bit))
			__atomic_store_n(&root[i], root[i] | bit, __ATOMIC_RELEASE);
}

static int add_far(const struct kern *k, const struct set *s, const struct sought *x,
		   uint32_t index)
{
	uint32_t n = n_lines(k), line = x->home;
	struct spot at;

	for (int step = 0; step < NET_STEPS; step++, line = line + 1 < n ? line + 1 : 0) {
		at.line = &s->lines[line];
		if (has_room(x->key, NET_WAYS, &at))
			break;
		at.line = NULL;
	}
	if (!at.line)
		return -ENOSPC;
	write_entry(k, &at, x->key, index);
	for (uint32_t l = x->home; l != line; l = l + 1 < n ? l + 1 : 0)
		set_tags(&s->lines[l], 0, NET_SPILLED);
	if (x->key & NET_SIX)
		tell_six(k, s, x);
	else
		tell_far(k, s, x);
	return 0;
}

static int add(const struct kern *k, const struct set *s, const struct sought *x, uint32_t index)
{
	struct spot at = { .line = x->near };

	if (!at.line || !has_room(x->key, NET_NEAR, &at))
		return add_far(k, s, x, index);
	write_entry(k, &at, x->key, index);
	set_tags(at.line, 0, 1ULL << (32 - x->len) << NET_NEAR_SHIFT);
	return 0;
}

/* ---- one network --------------------------------------------------------------------- */

uint32_t nets_find(const struct kern *k, const struct cidr *c)
{
	struct set s = written(k);
	struct sought x = seek(k, &s, c);
	struct spot at;

	return find(k, &s, &x, &at) ? index_of(at.line->entry[at.way]) : 0;
}

int nets_put(struct kern *k, const struct cidr *c, uint32_t index)
{
	struct set s = written(k);
	struct sought x = seek(k, &s, c);
	struct spot at;
	int err;

	if (find(k, &s, &x, &at)) {
		write_entry(k, &at, x.key, index);
		return 0;
	}
	err = add(k, &s, &x, index);
	k->nets.n += !err;
	return err;
}

void nets_changed(struct kern *k, const struct cidr *c)
{
	for (unsigned int which = 0; which < 2; which++) {
		struct set s = set_at(&k->nets, which);
		struct sought x = seek(k, &s, c);
		struct spot at;

		if (find(k, &s, &x, &at))
			write_entry(k, &at, x.key, index_of(at.line->entry[at.way]));
	}
}

int nets_remove(struct kern *k, const struct cidr *c)
{
	struct set s = written(k);
	struct sought x = seek(k, &s, c);
	struct spot at;

	if (!find(k, &s, &x, &at))
		return -ENOENT;
	remove_entry(k, &at);
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

	for (size_t l = 0; l < n_lines(k); l++)
		for (int w = 0; w < NET_WAYS; w++) {
			uint32_t index = index_of(s.lines[l].entry[w]);

			if (index && index < k->rules.n)
				fn(ctx, index);
		}
}

/* ---- all of them ----------------------------------------------------------------------- */

static int write_one(struct kern *k, const struct set *to, uint32_t index)
{
	const struct rule *r = &slots(k)[index];
	struct cidr c = { r->net, r->plen };
	struct sought x;
	struct spot at;
	int err;

	if (!r->gen || !r->plen)
		return 0;
	x = seek(k, to, &c);
	if (find(k, to, &x, &at))
		return 0;
	err = add(k, to, &x, index);
	k->nets.n += !err;
	return err;
}

static int write_anew(struct kern *k, const struct set *from, const struct set *to)
{
	int err = 0;

	memset(to->roots, 0, k->nets.roots.n * sizeof(*to->roots));
	memset(to->deep, 0, k->nets.deep.n / 2 * sizeof(*to->deep));
	memset(to->lines, 0, n_lines(k) * sizeof(*to->lines));
	k->nets.n = 0;
	for (size_t l = 0; !err && l < n_lines(k); l++)
		for (int w = 0; !err && w < NET_WAYS; w++) {
			uint32_t index = index_of(from->lines[l].entry[w]);

			if (index && index < k->rules.n)
				err = write_one(k, to, index);
		}
	k->nets.stale = 0;
	return err;
}

static void copy(const struct kern *k, const struct set *from, const struct set *to)
{
	memcpy(to->roots, from->roots, k->nets.roots.n * sizeof(*to->roots));
	memcpy(to->deep, from->deep, k->nets.deep.n / 2 * sizeof(*to->deep));
	memcpy(to->lines, from->lines, n_lines(k) * sizeof(*to->lines));
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

	while ((size_t)1 << bits < k->nets.roots.n)
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
		.lines = rules / 3 < NET_STEPS ? NET_STEPS : rules / 3 + 1,
	};
}
