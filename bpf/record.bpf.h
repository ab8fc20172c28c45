/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * record.bpf.h - the steps that change a handshake record, each under its lock.
 *
 * They copy the record to work.h, so that what follows works on a picture of it;
 * what must happen once (the proof, the end) is marked under the lock first.
 */
#ifndef WINNOW_RECORD_BPF_H
#define WINNOW_RECORD_BPF_H

#include "abi.h"
#include "handshake.bpf.h"
#include "proxy.bpf.h"
#include "syn.bpf.h"
#include "work.bpf.h"

/* Is the 4-tuple's socket ESTABLISHED? The proof where no egress program can run. */
__noinline int socket_established(struct xdp_md *ctx)
{
	struct work *w = work_get();
	struct bpf_sock_tuple t = {};
	const struct packet *p;
	struct bpf_sock *sk;
	struct addr src;
	__u16 sport;
	__u32 len;
	int yes;

	if (!ctx || !w)
		return 0;
	p = &w->p;
	src = w->peer_port ? w->peer : p->src;
	sport = w->peer_port ?: p->sport;
	if ((w->peer_port ? w->peer_family : p->family) == 4) {
		t.ipv4.saddr = bpf_htonl(src.lo);
		t.ipv4.daddr = bpf_htonl(p->dst.lo);
		t.ipv4.sport = bpf_htons(sport);
		t.ipv4.dport = bpf_htons(p->dport);
		len = sizeof(t.ipv4);
	} else {
		t.ipv6.saddr[0] = bpf_htonl(src.hi >> 32);
		t.ipv6.saddr[1] = bpf_htonl(src.hi);
		t.ipv6.saddr[2] = bpf_htonl(src.lo >> 32);
		t.ipv6.saddr[3] = bpf_htonl(src.lo);
		t.ipv6.daddr[0] = bpf_htonl(p->dst.hi >> 32);
		t.ipv6.daddr[1] = bpf_htonl(p->dst.hi);
		t.ipv6.daddr[2] = bpf_htonl(p->dst.lo >> 32);
		t.ipv6.daddr[3] = bpf_htonl(p->dst.lo);
		t.ipv6.sport = bpf_htons(sport);
		t.ipv6.dport = bpf_htons(p->dport);
		len = sizeof(t.ipv6);
	}
	sk = bpf_skc_lookup_tcp(ctx, &t, len, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	yes = sk->state == BPF_TCP_ESTABLISHED;
	bpf_sk_release(sk);
	return yes;
}

/* Where the next SYN's record goes: behind the one before, until others have gone on so far
 * that it would soon be overwritten there. */
static __always_inline struct syn_record *syn_next(struct work *w, __u32 *place)
{
	__u32 at = w->syn_at;

	if (!(at & (SYN_CHUNK - 1)) || *(volatile __u32 *)&syns_given.n - at > syn_places / 8)
		at = __sync_fetch_and_add(&syns_given.n, SYN_CHUNK);
	w->syn_at = at + 1;
	at &= syn_places;
	*place = at;
	return bpf_map_lookup_elem(&syns, &at);
}

/* A SYN: a fresh record, or one more of the same. With data w->h gets the copy. */
__noinline int syn_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 way, lost = 0, stale = 0, i = 0;
	struct syn_walk o = {};
	struct syn_record *s;
	struct handshake *h;
	struct place at;

	if (!c || !w || !handshake_place(w->key, &at))
		return 0;
	count(COUNTER_SYN);
	syn_read(ctx, &w->p, &w->h.syn);
	syn_options(&w->h.syn, &o);
	if (o.bad)
		count(COUNTER_PARSE_BAD_OPTION);
	if (c->proof == PROOF_SOCKET)
		stale = socket_established(ctx);

	lock_take(&at.lock->lock);
	way = handshake_whole(&at, w->key);
	if (way < WAYS) {
		h = &at.set->slot[way & (WAYS - 1)];
		h->stamp = stamp_of(w->t);
		at.head->heat[way & (WAYS - 1)] = record_heat(h, w->t);
		if (h->state != HS_DONE && h->isn_c == w->p.seq && !(h->flags & HS_NO_SYN)) {
			h->flags |= HS_SYN_RETX;
			goto out;
		}
		if (h->state != HS_DONE && h->flags & HS_HAS_ISN && h->isn_c != w->p.seq) {
			/* Another SYN while the server has answered the first: the
			 * server decides, see winnow_egress(). */
			h->isn_other = w->p.seq;
			goto out;
		}
	} else {
		way = handshake_victim(&at, way, w->key, w->t);
		lost = handshake_lost(&at, way, w->t);
	}
	way = way_kept(w, way);
	s = syn_next(w, &i);
	if (!s)
		goto out;
	lock_take(&s->lock);
	s->key = w->key;
	s->time = w->t;
	s->isn_c = w->p.seq;
	s->isn_s = 0;
	s->flags = stale ? HS_STALE : 0;
	s->mss = o.mss;
	s->tcp_key = o.key;
	s->raw = w->h.syn;
	lock_give(&s->lock);
	at.head->tag[way] = tag_of(w->key);
	at.head->heat[way] = record_time(w->t) - AGE_CLASS;
	at.head->syn[way] = i + 1;
	if (w->p.payload_len && syn_whole(w->key, way)) {
		h = &at.set->slot[way];
		h->flags |= HS_SYN_DATA;
		w->h = *h;
	}
out:
	lock_give(&at.lock->lock);
	if (lost)
		count(COUNTER_HANDSHAKE_EVICTED);
	return 0;
}

/* In replay a capture may begin behind the SYN: a first segment that looks like a
 * hello gets a record without times. Live it never does: it could not be proved. */
static __always_inline void midstream_begin(const struct place *at, __u32 way, struct work *w)
{
	struct handshake *h;

	handshake_begin(at, way, w->key, w->t);
	h = &at->set->slot[way & (WAYS - 1)];
	h->isn_c = w->p.seq - 1;
	h->hello_base = w->p.seq;
	h->high = w->p.seq;
	h->flags |= HS_NO_SYN;
}

/* What the segment's first bytes are, looked at once; and whether they begin a
 * connection that a replay meets midstream. */
__noinline int midstream(struct work *w)
{
	if (!w)
		return 0;
	w->k.is = (peek_ccs(&w->k) ? PEEK_CCS : 0) | (peek_record(&w->k) ? PEEK_RECORD : 0);
	if (peek_hello(&w->k)) {
		w->k.is |= PEEK_HELLO;
		return 1;
	}
	return w->k.len >= 6 && proxy_version(w->k.b, w->k.len < 12 ? 6 : 12);
}

/* Any other segment: the step's answer, with the record copied to w->h. */
__noinline int segment_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct handshake *h;
	__u32 way, begins;
	struct place at;

	if (!c || !w || !ctx)
		return ACT_OUT;
	w->act = 0;
	begins = midstream(w) && c->emit_all;
	if (!handshake_place(w->key, &at))
		return ACT_OUT;
	handshake_touch_at(&at, w->key);
	lock_take(&at.lock->lock);
	way = handshake_whole(&at, w->key);
	if (way >= WAYS || at.set->slot[way & (WAYS - 1)].state == HS_DONE) {
		if (!begins) {
			w->act = ACT_OUT | ACT_GONE;
			goto out;
		}
		if (way >= WAYS)
			way = handshake_victim(&at, way, w->key, w->t);
		midstream_begin(&at, way & (WAYS - 1), w);
	}
	way = way_kept(w, way);
	h = &at.set->slot[way & (WAYS - 1)];
	/* It ends once; if the client goes on, what ended it did not reach the server. */
	if (h->flags & HS_CLOSED && w->p.tcp_flags & (TCP_FIN | TCP_RST)) {
		w->act = ACT_OUT | ACT_GONE;
		goto out;
	}
	if (w->p.payload_len)
		h->flags &= ~HS_CLOSED;
	handshake_step(h, &w->p, &w->k, w->t, c->proof == PROOF_EGRESS, &w->act);
	if (!(w->act & ACT_OUT)) {
		h->stamp = stamp_of(w->t);
		at.head->heat[way] = record_heat(h, w->t);
	}
	w->h = *h;
out:
	lock_give(&at.lock->lock);
	return w->act;
}

/* What the hello turned out to be goes into the record, unless it has become
 * another connection's meanwhile. */
__noinline int hello_store(struct work *w, __u32 again)
{
	struct handshake *h;
	struct place at;
	__u32 way, end;

	if (!w || !handshake_place(w->key, &at))
		return 0;
	lock_take(&at.lock->lock);
	way = handshake_find(&at, w->key);
	if (way >= WAYS)
		goto out;
	h = &at.set->slot[way & (WAYS - 1)];
	if (h->isn_c != w->h.isn_c)
		goto out;
	if (h->segments < 255 && !again)
		h->segments++;
	if (!w->complete)
		goto copy;
	end = h->hello_base + w->hello_end;
	w->other = 0;
	if (again) {
		if (w->result == HELLO_OVERLAP && h->result == HELLO_OK)
			h->flags |= HS_OVERLAP;
		if (w->result != HELLO_OK || h->result == HELLO_OVERLAP)
			goto copy;
		if (end == h->ch_end && h->result == HELLO_OK) {
			if (w->hello.ja4_key != h->ja4 || w->hello.order_hash != h->order)
				h->flags |= HS_OVERLAP;
			w->other = !!(h->flags & HS_OVERLAP);
		} else if (h->flags & HS_ALT && end == h->alt_end &&
			   w->hello.ja4_key != h->alt_ja4) {
			h->flags |= HS_OVERLAP; /* a third one: no name from here on */
			h->flags &= ~HS_ALT;
			w->other = 1;
		} else {
			w->other = !(h->flags & HS_ALT);
			h->flags |= HS_ALT;
			h->alt_ja4 = w->hello.ja4_key;
			h->alt_stack = w->hello.stack_key;
			h->alt_order = w->hello.order_hash;
			h->alt_end = end;
		}
		goto copy;
	}
	h->state = HS_NAMED;
	h->d_chc = since(h, w->t);
	h->result = w->result;
	h->records = w->records > 255 ? 255 : w->records;
	h->ch_end = w->result == HELLO_OK ? end : h->high;
	if (!(h->flags & (HS_HRR | HS_PROXIED)) && h->flags & HS_FIRST_ACK &&
	    !(h->flags & (HS_OOO | HS_RETX | HS_SYN_RETX | HS_NO_SYN | HS_SYN_DATA)))
		h->d1 = h->d_ch - h->d_ack;
	if (w->result == HELLO_OK) {
		h->ja4 = w->hello.ja4_key;
		h->stack = w->hello.stack_key;
		h->order = w->hello.order_hash;
		h->hello_flags = w->hello.flags;
		if (w->hello.flags & HELLO_HAS_PSK)
			h->flags |= HS_RESUMED;
	}
	h->rule = 0;
	h->rule_gen = 0;
copy:
	w->h = *h;
out:
	lock_give(&at.lock->lock);
	return 0;
}

/* A PROXY header of `len` bytes came first. It never counts as the client's own: the
 * signature and the first delay, which are the proxy's, are forgotten. */
__noinline int record_proxied(__u32 len)
{
	struct work *w = work_get();
	struct handshake *h;
	struct place at;
	__u32 way;

	if (!w || !handshake_place(w->key, &at))
		return 0;
	lock_take(&at.lock->lock);
	way = handshake_find(&at, w->key);
	if (way < WAYS && at.set->slot[way & (WAYS - 1)].isn_c == w->h.isn_c) {
		h = &at.set->slot[way & (WAYS - 1)];
		h->flags |= HS_PROXIED;
		h->hello_base += len;
		h->tcp_key = 0;
		h->syn.present = 0;
		w->h = *h;
	}
	lock_give(&at.lock->lock);
	bpf_map_update_elem(&proxied, &w->key, &w->who, BPF_ANY);
	return 0;
}

/* Sets flags, verdict or the end in the record; answers the flags from before. */
__noinline __u32 record_mark(__u32 flags, __u32 done, __u32 verdict)
{
	struct work *w = work_get();
	__u32 way, old = ~0U;
	struct place at;

	if (!w || !handshake_place(w->key, &at))
		return old;
	lock_take(&at.lock->lock);
	way = handshake_find(&at, w->key);
	if (way < WAYS && at.set->slot[way & (WAYS - 1)].isn_c == w->h.isn_c) {
		struct handshake *h = &at.set->slot[way & (WAYS - 1)];

		old = h->flags;
		h->flags |= flags;
		if (verdict) {
			h->rule = w->v.rule;
			h->rule_gen = w->v.rule_gen;
		}
		if (done)
			h->state = HS_DONE;
		if (done || flags & HS_CLOSED)
			at.head->heat[way & (WAYS - 1)] = record_heat(h, w->t);
		h->proof = w->h.proof;
	}
	lock_give(&at.lock->lock);
	return old;
}

#endif
