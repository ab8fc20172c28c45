/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * tally.bpf.h - rows of the tally and order tables under their locks. The
 * arithmetic of a row is in tally.h, shared with userspace.
 */
#ifndef WINNOW_TALLY_BPF_H
#define WINNOW_TALLY_BPF_H

#include "abi.h"
#include "key.bpf.h"
#include "table.bpf.h"
#include "tally.h"
#include "work.bpf.h"

/* Numbers of sets - 1, set before loading. */
const volatile __u32 tally_sets = 4095;
const volatile __u32 order_sets = 2047;
/* Set before loading. 0: nobody will read them, a replay that lists hellos. */
const volatile __u32 tallies_kept = 1;

static __always_inline struct tally_set *tally_set_at(__u32 i)
{
	i &= tally_sets;
	return bpf_map_lookup_elem(&tallies, &i);
}

static __always_inline struct stripe *tally_lock_at(__u32 set)
{
	__u32 i = set & tally_sets & (STRIPES - 1);

	return bpf_map_lookup_elem(&tally_locks, &i);
}

static __always_inline int tally_is(const struct tally_row *t, __u64 src, __u64 stack,
				    __u16 service, __u8 family, __u8 proto)
{
	return t->src == src && t->stack == stack && t->service == service && t->family == family &&
	       t->proto == proto;
}

/* What earlier connections of (source, stack, service) left; zeros if none. */
static __always_inline void tally_peek(const struct control *c, const struct work *w, __u32 *seen,
				       __u32 *age, __u32 *resumed, __u16 dstar[DSTAR_KEPT])
{
	__u64 src = source_word(&w->p.src, w->p.family);
	__u64 key =
		key_tally(&c->secret, src, w->hello.stack_key, w->p.dport, w->p.family, w->p.proto);
	struct tally_set *set = tally_set_at(key);
	struct stripe *lock = tally_lock_at(key);
	__u32 way, stamp = stamp_of(w->t);

	for (int i = 0; i < DSTAR_KEPT; i++)
		dstar[i] = DSTAR_NONE;
	if (!set || !lock)
		return;
	lock_take(&lock->lock);
	way = way_find(set, tag_of(key),
		       tally_is(&set->slot[w_], src, w->hello.stack_key, w->p.dport, w->p.family,
				w->p.proto));
	if (way < WAYS) {
		struct tally_row *t = &set->slot[way & (WAYS - 1)];

		*seen = t->connections;
		*age = row_age(stamp, t->first_seen);
		*resumed += t->resumed;
		dstar[0] = t->dstar[0];
		dstar[1] = t->dstar[1];
		dstar[2] = t->dstar[2];
		dstar[3] = t->dstar[3];
		dstar[4] = t->dstar[4];
	}
	lock_give(&lock->lock);
}

/* Has (source, stack, service) of this hello a row? A look without the lock, at the line of
 * the set alone: a packet old, and wrong once in 2^29. */
static __always_inline int tally_known(const struct control *c, const struct work *w)
{
	__u64 src = source_word(&w->p.src, w->p.family);
	__u64 key =
		key_tally(&c->secret, src, w->hello.stack_key, w->p.dport, w->p.family, w->p.proto);
	struct tally_set *set = tally_set_at(key);

	return set && tag_way(set->tag, tag_of(key)) < WAYS;
}

/*
 * Finds or makes the row of (source, stack, service); counts a connection if
 * `join`. Answers (set << 3 | way) + 1 and its generation, 0 if there is no row.
 */
__noinline __u32 tally_join(struct tally_join *j)
{
	struct control *c = control_get();
	struct tally_set *set;
	struct stripe *lock;
	struct tally_row *t;
	__u32 way, evicted = 0, index, *seen;
	__u64 key;

	if (!c || !j)
		return 0;
	key = key_tally(&c->secret, j->src, j->stack, j->service, j->family, j->proto);
	index = key & tally_sets;
	set = tally_set_at(index);
	lock = tally_lock_at(index);
	if (!set || !lock)
		return 0;
	touch_set(set, key);
	lock_take(&lock->lock);
	way = way_find(set, tag_of(key),
		       tally_is(&set->slot[w_], j->src, j->stack, j->service, j->family, j->proto));
	if (way >= WAYS) {
		way = way_victim(set->tag, set->heat, way, j->stamp, AGE_FOREVER, key);
		t = &set->slot[way & (WAYS - 1)];
		evicted = set->tag[way] != 0;
		row_open(t);
		t->src = j->src;
		t->stack = j->stack;
		t->service = j->service;
		t->family = j->family;
		t->proto = j->proto;
		t->connections = 0;
		t->exchanges = 0;
		t->bytes_in = 0;
		t->bytes_out = 0;
		t->tcp_key = 0;
		t->exchange_seen = 0;
		t->resumed = 0;
		t->piggy = 0;
		__builtin_memset(t->d1dstar, 0, sizeof(*t) - offsetof(struct tally_row, d1dstar));
		tally_begin(t, j->stamp);
		set->tag[way] = tag_of(key);
		set->heat[way] = j->stamp;
		row_close(t);
	}
	t = &set->slot[way & (WAYS - 1)];
	seen = &set->heat[way & (WAYS - 1)];
	if (j->join)
		tally_connection(t, j->tcp_key, j->resumed);
	tally_bytes(t, j->bytes_in, j->bytes_out);
	*seen = tally_seen(*seen, j->stamp);
	j->gen = t->gen;
	lock_give(&lock->lock);
	if (evicted)
		count(COUNTER_TALLY_EVICTED);
	return (index << 3 | (way & (WAYS - 1))) + 1;
}

/* Adds to the row that a flow joined. 0: the row has gone to another key since. */
__noinline int tally_add(const struct moved *m, __u32 stamp)
{
	struct tally_set *set;
	struct stripe *lock;
	struct tally_row *t;
	int same_row = 0;
	__u32 *seen;

	if (!m)
		return 1;
	set = tally_set_at(m->tally >> 3);
	lock = tally_lock_at(m->tally >> 3);
	if (!set || !lock)
		return 1;
	t = &set->slot[m->tally & (WAYS - 1)];
	seen = &set->heat[m->tally & (WAYS - 1)];
	touch(&set->tag[0]);
	touch(&t->exchanges); /* what is written: 32 bytes from here, and the gaps */
	touch(&t->tcp_key);
	touch(&t->d1dstar[D_BINS * D_BINS - 1]);
	touch(&t->gaps[GAP_BINS - 3]);
	lock_take(&lock->lock);
	if (t->gen == m->tally_gen) {
		same_row = 1;
		tally_bytes(t, m->in, m->out);
		if (m->exchange)
			tally_exchange(t, stamp);
		*seen = tally_seen(*seen, stamp);
	}
	lock_give(&lock->lock);
	return same_row;
}

/* What a handshake measured, into the row that its connection joined. */
__noinline int tally_measured(__u32 ref, __u32 gen, const struct timing *m, __u32 flags)
{
	struct tally_set *set = tally_set_at(ref >> 3);
	struct stripe *lock = tally_lock_at(ref >> 3);
	__u32 rtt, d1, dstar;
	struct tally_row *t;

	if (!set || !lock || !m)
		return 0;
	t = &set->slot[ref & (WAYS - 1)];
	touch(&t->exchanges); /* the word of the generation, and what is written */
	touch(&t->d1dstar[0]);
	touch(&t->dstar[2]);
	rtt = tally_tenths(m->rtt);
	d1 = tally_tenths(m->d1);
	dstar = tally_tenths(m->dstar);
	lock_take(&lock->lock);
	if (t->gen == gen)
		tally_handshake(t, rtt, d1, dstar, flags);
	lock_give(&lock->lock);
	return 0;
}

/* One more connection of (stack, order) from this source. */
__noinline int order_join(__u64 stack, __u64 order, __u64 source, __u32 stamp)
{
	struct control *c = control_get();
	struct order_set *set;
	struct order_tally *o;
	struct stripe *lock;
	__u32 index, lock_index, way, evicted = 0;
	__u64 key, bit;

	if (!c)
		return 0;
	key = key_pair(&c->secret, stack, order);
	index = key & order_sets;
	lock_index = index & (STRIPES - 1);
	set = bpf_map_lookup_elem(&orders, &index);
	lock = bpf_map_lookup_elem(&order_locks, &lock_index);
	if (!set || !lock)
		return 0;
	bit = 1ULL << (key_source(&c->secret, source, 0) >> 58);
	lock_take(&lock->lock);
	way = way_find(set, tag_of(key),
		       set->slot[w_].stack == stack && set->slot[w_].order == order);
	if (way >= WAYS) {
		way = way_victim(set->tag, set->heat, way, stamp, AGE_FOREVER, key);
		o = &set->slot[way & (WAYS - 1)];
		evicted = set->tag[way] != 0;
		row_open(o);
		o->stack = stack;
		o->order = order;
		o->first[0] = 0;
		o->first[1] = 0;
		o->sketch = 0;
		o->connections = 0;
		o->distinct = 0;
		set->tag[way] = tag_of(key);
		row_close(o);
	}
	o = &set->slot[way & (WAYS - 1)];
	set->heat[way & (WAYS - 1)] = stamp;
	o->connections++;
	o->last_seen = stamp;
	if (!o->first[0]) {
		o->first[0] = source;
		o->distinct = 1;
	} else if (o->first[0] != source && !o->first[1]) {
		o->first[1] = source;
		o->distinct = 2;
	} else if (o->first[0] != source && o->first[1] != source && !(o->sketch & bit)) {
		if (o->distinct < 64)
			o->distinct++;
	}
	if (o->first[0] != source && o->first[1] != source)
		o->sketch |= bit;
	lock_give(&lock->lock);
	if (evicted)
		count(COUNTER_ORDER_EVICTED);
	return 0;
}

#endif
