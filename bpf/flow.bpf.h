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
 *
 * Live, a flow holds its bytes until an exchange begins, it ends or is evicted, or
 * they are HELD_MAX: its tally's lines are left alone until then.
 */
#ifndef WINNOW_FLOW_BPF_H
#define WINNOW_FLOW_BPF_H

#include "abi.h"
#include "handshake.bpf.h"
#include "now.bpf.h"
#include "table.bpf.h"
#include "tally.bpf.h"
#include "work.bpf.h"

#define FLOW_SEQ        (1 << 20) /* a segment further off moves nothing */
#define FLOW_ACK        (1 << 24)
#define REQUEST_SEGMENT 64
#define REQUEST_BYTES   100
#define ANSWER_BYTES    64
#define ANSWER_SOONEST  8 /* units of 1.05 ms */
#define HELD_MAX        65536

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

/* Where the row of `key` is if it is in one of its homes, as most are: then no other line
 * is needed. Else WAYS. */
static __always_inline __u32 flow_home(const struct flow_set *set, __u64 key)
{
	__u32 way = way_home(key) & (WAYS - 1);

	if (set->slot[way & (WAYS - 1)].key == key)
		return way;
	way = way_second(key) & (WAYS - 1);
	if (set->slot[way & (WAYS - 1)].key == key)
		return way;
	return WAYS;
}

/* Where the row of `key` is, or WAYS and more. */
static __always_inline __u32 flow_way(const struct flow_set *set, __u64 key)
{
	__u32 way = flow_home(set, key);

	if (way < WAYS)
		return way;
	return way_find(set, tag_of(key), set->slot[w_].key == key);
}

/* 8 ms or more since f->began. A handshake's clock is exact and a segment's that of the
 * tick, so `at` may be up to 4 ms before it: that is no long time. */
static __always_inline int long_since(const struct flow *f, __u16 at)
{
	return (__u16)(at - f->began + ANSWER_SOONEST) >= 2 * ANSWER_SOONEST;
}

/* Client bytes that may belong to a request; under the lock. What the server sends
 * of itself after the handshake (session tickets, HTTP/2 settings) crosses the
 * first request: one acknowledgement within 8 ms of its start is no answer to it,
 * unless the client let as long go by before it asked. */
static __always_inline __u32 flow_request(struct flow *f, __u64 t, __u32 segment, __u32 bytes)
{
	__u16 at = t >> 20;
	__u32 request;

	if (segment < REQUEST_SEGMENT)
		return 0;
	if (f->answer >= ANSWER_BYTES) {
		if (!(f->flags & FLOW_WAITING)) {
			f->request = 0;
			if (long_since(f, at))
				f->flags |= FLOW_ANSWERED;
		} else {
			if (f->flags & FLOW_ANSWERED || long_since(f, at)) {
				f->request = 0;
				f->flags &= ~FLOW_WAITING;
			}
			f->flags |= FLOW_ANSWERED;
		}
	}
	f->answer = 0;
	request = f->request + bytes;
	f->request = request < REQUEST_BYTES ? request : REQUEST_BYTES;
	if (request < REQUEST_BYTES || f->flags & FLOW_WAITING)
		return 0;
	f->flags |= FLOW_WAITING;
	if (!(f->flags & FLOW_ANSWERED))
		f->began = at;
	return 1;
}

/* A client's segment as its flow looks at it. */
struct segment_view {
	__u32 seq, ack, payload_len;
	__u8 tcp_flags;
};

/* Not of this connection, as far as one can tell. */
static __always_inline int flow_unfit(const struct flow *f, const struct segment_view *p)
{
	return p->seq - f->seq + FLOW_SEQ > 2 * FLOW_SEQ ||
	       (p->tcp_flags & TCP_ACK && p->ack - f->ack + FLOW_ACK >= 2 * FLOW_ACK);
}

/* Moves the flow by a segment that fits; answers 1 if an exchange begins. */
static __always_inline __u32 flow_move(struct flow *f, const struct segment_view *p, __u64 t)
{
	__u32 end = p->seq + p->payload_len, n;

	f->last_seen = stamp_of(t);
	if (p->tcp_flags & TCP_ACK && (__s32)(p->ack - f->ack) > 0) {
		n = p->ack - f->ack;
		f->held_out += n;
		f->ack = p->ack;
		n += f->answer;
		f->answer = n < ANSWER_BYTES ? n : ANSWER_BYTES;
	}
	if ((__s32)(end - f->seq) <= 0)
		return 0;
	n = end - f->seq;
	if (n > p->payload_len) /* a hole before it fills later, uncounted */
		n = p->payload_len;
	f->held_in += n;
	f->seq = end;
	if (f->flags & FLOW_HANDSHAKE)
		return 0;
	return flow_request(f, t, p->payload_len, n);
}

static __always_inline void flow_told(struct flow *f, struct moved *m)
{
	m->in = f->held_in;
	m->out = f->held_out;
	m->tally = f->tally;
	m->tally_gen = f->tally_gen;
	f->held_in = 0;
	f->held_out = 0;
}

/* What the packet at hand does to its flow, into work.m. */
__noinline int flow_step(void)
{
	struct work *w = work_get();
	struct segment_view view;
	struct flow_set *set;
	struct stripe *lock;
	struct moved *m;
	struct flow *f;
	__u32 way;
	__u64 key;

	if (!w)
		return 0;
	m = &w->m;
	key = w->key;
	view = (struct segment_view){ w->p.seq, w->p.ack, w->p.payload_len, w->p.tcp_flags };
	set = flow_set_at(key);
	lock = flow_lock_at(key);
	__builtin_memset(m, 0, sizeof(*m));
	if (!set || !lock)
		return 0;
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way >= WAYS)
		goto out;
	f = &set->slot[way & (WAYS - 1)];
	m->rule = f->rule;
	m->rule_gen = f->rule_gen;
	m->stack = f->stack;
	m->found = FLOW_OUT;
	if (view.tcp_flags & TCP_SYN || !(view.tcp_flags & (TCP_ACK | TCP_RST)))
		goto out;
	if (flow_unfit(f, &view))
		goto out;
	if (view.tcp_flags & TCP_RST && view.seq != f->seq)
		goto out; /* the client's own is at the next byte: RFC 5961 */
	m->found = FLOW_OK;
	m->exchange = flow_move(f, &view, w->t);
	if (view.tcp_flags & (TCP_FIN | TCP_RST)) {
		f->flags |= FLOW_CLOSED;
		set->heat[way & (WAYS - 1)] = f->last_seen - AGE_ENDED;
	}
	flow_told(f, m);
	m->flags = f->flags;
out:
	lock_give(&lock->lock);
	return 0;
}

/* Is there such a connection? A look without the lock: the answer may be a packet old. Most
 * often there is none, and the tags say so. */
__noinline int flow_known(__u64 key)
{
	struct flow_set *set = flow_set_at(key);

	return set && way_find(set, tag_of(key), set->slot[w_].key == key) < WAYS;
}

/* Flags of flows that take the long way. */
#define FLOW_SPECIAL (FLOW_CLOSED | FLOW_HANDSHAKE | FLOW_SILENT | FLOW_PROXIED)

enum flow_passed {
	FLOW_PASS_NOT, /* it takes the long way; nothing has changed */
	FLOW_PASS_DONE,
	FLOW_PASS_TELL, /* and the tally has to be told what *m says */
};

/* The short way: an open flow without a verdict, a segment that fits. */
static __always_inline enum flow_passed flow_pass(__u64 key, const struct segment_view *p, __u64 t,
						  struct moved *m)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	enum flow_passed done = FLOW_PASS_NOT;
	struct flow *f;
	__u32 way;

	if (!set || !lock)
		return FLOW_PASS_NOT;
	touch(&set->slot[way_home(key) & (WAYS - 1)]);
	touch(&set->slot[way_second(key) & (WAYS - 1)]);
	lock_take(&lock->lock);
	way = flow_home(set, key);
	if (way >= WAYS) {
		handshake_touch(key); /* where it is more likely to be */
		way = way_find(set, tag_of(key), set->slot[w_].key == key);
	}
	if (way >= WAYS)
		goto out;
	f = &set->slot[way & (WAYS - 1)];
	if (f->rule || f->flags & FLOW_SPECIAL || flow_unfit(f, p))
		goto out;
	done = FLOW_PASS_DONE;
	m->exchange = flow_move(f, p, t);
	if (m->exchange || f->held_in + f->held_out >= HELD_MAX || clock_virtual) {
		done = FLOW_PASS_TELL;
		m->stack = f->stack;
		flow_told(f, m);
	}
out:
	lock_give(&lock->lock);
	return done;
}

/* A row for a connection that has just been proved. */
__noinline int flow_begin(__u64 stack, __u32 seq, __u32 silent)
{
	struct work *w = work_get();
	__u32 way, evicted = 0, stamp;
	struct moved held = {};
	struct flow_set *set;
	struct stripe *lock;
	struct flow *f;

	if (!w)
		return 0;
	set = flow_set_at(w->key);
	lock = flow_lock_at(w->key);
	if (!set || !lock)
		return 0;
	stamp = stamp_of(w->t);
	touch_set(set, w->key);
	lock_take(&lock->lock);
	way = flow_way(set, w->key);
	if (way >= WAYS) {
		way = way_victim_asked(set, way, stamp, w->key,
				       set->slot[w_].last_seen -
					       (set->slot[w_].flags & FLOW_CLOSED ? AGE_ENDED : 0));
		f = &set->slot[way & (WAYS - 1)];
		evicted = set->tag[way & (WAYS - 1)] && !(f->flags & FLOW_CLOSED);
	}
	way = way_kept(w, way);
	f = &set->slot[way & (WAYS - 1)];
	if (f->held_in | f->held_out)
		flow_told(f, &held);
	row_open(f);
	f->key = w->key;
	f->tally = w->tally_ref;
	f->tally_gen = w->tally_gen;
	f->seq = seq;
	f->ack = w->p.ack;
	f->request = 0;
	f->answer = 0;
	f->rule = w->h.rule;
	f->rule_gen = w->h.rule_gen;
	f->last_seen = stamp;
	f->flags = FLOW_HANDSHAKE | (silent ? FLOW_SILENT : 0) |
		   (w->h.flags & HS_PROXIED ? FLOW_PROXIED : 0);
	f->stack = stack;
	set->tag[way & (WAYS - 1)] = tag_of(w->key);
	set->heat[way & (WAYS - 1)] = stamp;
	row_close(f);
	lock_give(&lock->lock);
	if (evicted)
		count(COUNTER_FLOW_EVICTED);
	if (held.in | held.out)
		tally_add(&held, stamp);
	return 0;
}

/* The handshake is over: requests count from here. `rest`: application bytes that
 * came in the same segment, behind the client's Finished. */
__noinline __u32 flow_opened(__u64 key, __u64 t, __u32 rest)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way, exchange = 0;

	if (!set || !lock)
		return 0;
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way < WAYS) {
		struct flow *f = &set->slot[way & (WAYS - 1)];

		f->flags &= ~FLOW_HANDSHAKE;
		f->answer = 0; /* so far it was the handshake's */
		f->began = t >> 20;
		exchange = flow_request(f, t, rest, rest);
	}
	lock_give(&lock->lock);
	return exchange;
}

/* A new connection begins on this 4-tuple: an ended one's row goes at once, so that
 * numbers that happen to fit are not taken for it. */
__noinline int flow_forget(__u64 key, __u64 t, __u32 whatever)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	struct moved held = {};
	__u32 way;

	if (!set || !lock || tag_way(set->tag, tag_of(key)) >= WAYS)
		return 0; /* most often there is none: the tags say so */
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way < WAYS && (whatever || set->slot[way & (WAYS - 1)].flags & FLOW_CLOSED)) {
		flow_told(&set->slot[way & (WAYS - 1)], &held);
		set->tag[way] = 0;
		set->slot[way & (WAYS - 1)].key = 0;
	}
	lock_give(&lock->lock);
	if (held.in | held.out)
		tally_add(&held, stamp_of(t));
	return 0;
}

/* Its verdict, found at the second flight. */
__noinline int flow_rule(__u64 key, __u32 rule, __u32 gen)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way;

	if (!set || !lock)
		return 0;
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way < WAYS) {
		set->slot[way & (WAYS - 1)].rule = rule;
		set->slot[way & (WAYS - 1)].rule_gen = gen;
	}
	lock_give(&lock->lock);
	return 0;
}

/* Its flag FLOW_REJECT on or off; answers the next byte expected of the client, and
 * in *was whether the flag was set. */
__noinline __u32 flow_reject(__u64 key, __u32 on, __u32 *was)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way, seq = 0;

	if (!was)
		return 0;
	*was = 0;
	if (!set || !lock)
		return 0;
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way < WAYS) {
		struct flow *f = &set->slot[way & (WAYS - 1)];

		*was = f->flags & FLOW_REJECT;
		seq = f->seq;
		if (on)
			f->flags |= FLOW_REJECT;
		else
			f->flags &= ~FLOW_REJECT;
	}
	lock_give(&lock->lock);
	return seq;
}

/* The row its flow joined has been evicted and made again. */
__noinline int flow_rejoin(__u64 key, __u32 tally, __u32 gen)
{
	struct flow_set *set = flow_set_at(key);
	struct stripe *lock = flow_lock_at(key);
	__u32 way;

	if (!set || !lock)
		return 0;
	lock_take(&lock->lock);
	way = flow_way(set, key);
	if (way < WAYS) {
		set->slot[way & (WAYS - 1)].tally = tally;
		set->slot[way & (WAYS - 1)].tally_gen = gen;
	}
	lock_give(&lock->lock);
	return 0;
}

#endif
