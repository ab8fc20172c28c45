/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * flow.bpf.h - proved connections: bytes, exchanges, and the verdict they carry.
 *
 * Bytes to the client are read from its acknowledgement numbers. An exchange
 * starts when the client has sent >= 100 bytes in segments of >= 64 since the
 * server's answer last moved the acknowledgement by >= 64 between two such
 * segments. (Counting "data after an ACK advance" gave 183 exchanges for three
 * 2 MB HTTP/2 responses: window updates and pings.) Smaller requests are not
 * seen, concurrent HTTP/2 requests merge.
 */
#ifndef WINNOW_FLOW_BPF_H
#define WINNOW_FLOW_BPF_H

#include "abi.h"
#include "table.bpf.h"
#include "work.bpf.h"

#define FLOW_SEQ        (1 << 20) /* a segment further off moves nothing */
#define FLOW_ACK        (1 << 24)
#define REQUEST_SEGMENT 64
#define REQUEST_BYTES   100
#define ANSWER_BYTES    64
#define ANSWER_SOONEST  8 /* units of 1.05 ms */

/* Number of sets - 1, set before loading. */
const volatile __u32 flow_sets = 4095;

static __always_inline struct flow_set *flow_set_at(__u64 key)
{
	__u32 i = key & flow_sets;

	return bpf_map_lookup_elem(&flows, &i);
}

static __always_inline struct stripe *flow_lock_at(__u64 key)
{
	__u32 i = key & flow_sets & (STRIPES - 1);

	return bpf_map_lookup_elem(&flow_locks, &i);
}

/* Client bytes that may belong to a request; under the lock. What the server sends
 * of itself after the handshake (session tickets, HTTP/2 settings) crosses the
 * first request: one acknowledgement within 8 ms of its start is no answer to it. */
static __always_inline __u32 flow_request(struct flow *f, __u64 t, __u32 ack, __u32 segment,
					  __u32 bytes)
{
	__u16 at = t >> 20;

	if (segment < REQUEST_SEGMENT)
		return 0;
	if (ack - f->ack_base >= ANSWER_BYTES && (__s32)(ack - f->ack_base) > 0) {
		if (!(f->flags & FLOW_WAITING)) {
			f->request = 0;
		} else {
			if (f->flags & FLOW_ANSWERED || (__u16)(at - f->began) >= ANSWER_SOONEST) {
				f->request = 0;
				f->flags &= ~FLOW_WAITING;
			}
			f->flags |= FLOW_ANSWERED;
		}
	}
	f->ack_base = ack;
	f->request += bytes;
	if (f->request < REQUEST_BYTES || f->flags & FLOW_WAITING)
		return 0;
	f->flags |= FLOW_WAITING;
	if (!(f->flags & FLOW_ANSWERED))
		f->began = at;
	return 1;
}

static __always_inline void flow_step(__u64 key, const struct packet *p, __u64 t, struct moved *m)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 end = p->seq + p->payload_len, way, stamp = stamp_of(t);
	struct flow *f;

	__builtin_memset(m, 0, sizeof(*m));
	if (!set || !lock)
		return;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way >= WAYS)
		goto out;
	f = &set->slot[way & (WAYS - 1)];
	m->tally = f->tally;
	m->tally_gen = f->tally_gen;
	m->rule = f->rule;
	m->rule_gen = f->rule_gen;
	m->stack = f->stack;
	m->found = FLOW_OUT;
	if (p->tcp_flags & TCP_SYN || !(p->tcp_flags & (TCP_ACK | TCP_RST)))
		goto out;
	if (p->seq - f->seq + FLOW_SEQ > 2 * FLOW_SEQ ||
	    (p->tcp_flags & TCP_ACK && p->ack - f->ack + FLOW_ACK >= 2 * FLOW_ACK))
		goto out;
	if (p->tcp_flags & TCP_RST && p->seq != f->seq)
		goto out; /* the client's own is at the next byte: RFC 5961 */
	m->found = FLOW_OK;
	f->last_seen = stamp;
	if (p->tcp_flags & TCP_ACK && (__s32)(p->ack - f->ack) > 0) {
		m->out = p->ack - f->ack;
		f->ack = p->ack;
	}
	if ((__s32)(end - f->seq) > 0) {
		m->in = end - f->seq;
		if (m->in > p->payload_len) /* a hole before it fills later, uncounted */
			m->in = p->payload_len;
		f->seq = end;
		if (!(f->flags & FLOW_HANDSHAKE))
			m->exchange = flow_request(f, t, f->ack, p->payload_len, m->in);
	}
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		f->flags |= FLOW_CLOSED;
	m->flags = f->flags;
out:
	bpf_spin_unlock(&lock->lock);
}

/* A row for a connection that has just been proved. */
static __always_inline void flow_begin(const struct work *w, __u64 stack, __u32 seq, __u32 src_hash,
				       int silent)
{
	struct flow_set *set = flow_set_at(w->key);
	struct stripe *lock = flow_lock_at(w->key);
	__u32 way, evicted = 0, stamp = stamp_of(w->t);
	struct flow *f;

	if (!set || !lock)
		return;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(w->key), set->slot[w_].key == w->key);
	if (way >= WAYS) {
		way = way_victim(set, row_age(stamp, set->slot[w_].last_seen) +
					      (set->slot[w_].flags & FLOW_CLOSED ? 1U << 30 : 0));
		f = &set->slot[way & (WAYS - 1)];
		evicted = set->tag[way & (WAYS - 1)] && !(f->flags & FLOW_CLOSED);
	}
	f = &set->slot[way & (WAYS - 1)];
	row_open(f);
	f->key = w->key;
	f->tally = w->tally_ref;
	f->tally_gen = w->tally_gen;
	f->seq = seq;
	f->ack = w->p.ack;
	f->ack_base = w->p.ack;
	f->request = 0;
	f->rule = w->h.rule;
	f->rule_gen = w->h.rule_gen;
	f->last_seen = stamp;
	f->src_hash = src_hash;
	f->flags = FLOW_HANDSHAKE | (silent ? FLOW_SILENT : 0) |
		   (w->h.flags & HS_PROXIED ? FLOW_PROXIED : 0);
	f->stack = stack;
	set->tag[way & (WAYS - 1)] = tag_of(w->key);
	row_close(f);
	bpf_spin_unlock(&lock->lock);
	if (evicted)
		count(COUNTER_FLOW_EVICTED);
}

/* The handshake is over: requests count from here. `rest`: application bytes that
 * came in the same segment, behind the client's Finished. */
static __always_inline __u32 flow_opened(__u64 key, __u64 t, __u32 rest, __u32 ack)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way, exchange = 0;

	if (!set || !lock)
		return 0;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way < WAYS) {
		struct flow *f = &set->slot[way];

		f->flags &= ~FLOW_HANDSHAKE;
		exchange = flow_request(f, t, ack, rest, rest);
	}
	bpf_spin_unlock(&lock->lock);
	return exchange;
}

/* A new connection begins on this 4-tuple: an ended one's row goes at once, so that
 * numbers that happen to fit are not taken for it. */
static __always_inline void flow_forget(__u64 key, int whatever)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way;

	if (!set || !lock)
		return;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way < WAYS && (whatever || set->slot[way].flags & FLOW_CLOSED)) {
		set->tag[way] = 0;
		set->slot[way].key = 0;
	}
	bpf_spin_unlock(&lock->lock);
}

/* Its flag FLOW_REJECT on or off; answers the next byte expected of the client, and
 * in *was whether the flag was set. */
static __always_inline __u32 flow_reject(__u64 key, int on, __u32 *was)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way, seq = 0;

	*was = 0;
	if (!set || !lock)
		return 0;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way < WAYS) {
		struct flow *f = &set->slot[way];

		*was = f->flags & FLOW_REJECT;
		seq = f->seq;
		if (on)
			f->flags |= FLOW_REJECT;
		else
			f->flags &= ~FLOW_REJECT;
	}
	bpf_spin_unlock(&lock->lock);
	return seq;
}

/* The row its flow joined has been evicted and made again. */
static __always_inline void flow_rejoin(__u64 key, __u32 tally, __u32 gen)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way;

	if (!set || !lock)
		return;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way < WAYS) {
		set->slot[way].tally = tally;
		set->slot[way].tally_gen = gen;
	}
	bpf_spin_unlock(&lock->lock);
}

#endif
