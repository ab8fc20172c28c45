/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * winnow.bpf.c - a packet's way: parse, allow and source rules, flow or handshake,
 * hello, verdict. Nothing is judged here beyond looking up a rule; whatever is in
 * doubt passes and is counted.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.bpf.h"
#include "now.bpf.h"
#include "parse.bpf.h"
#include "hello.h"
#include "key.bpf.h"
#include "table.bpf.h"
#include "handshake.bpf.h"
#include "work.bpf.h"
#include "tally.bpf.h"
#include "syn.bpf.h"
#include "reassemble.bpf.h"
#include "judge.bpf.h"
#include "flow.bpf.h"
#include "emit.bpf.h"
#include "rewrite.bpf.h"

static __always_inline int port_protected(__u16 port, __u8 proto)
{
	__u32 zero = 0;
	struct ports *p = bpf_map_lookup_elem(&ports, &zero);

	if (!p)
		return 0;
	if (proto == IPPROTO_UDP)
		return p->udp[port >> 6 & (PORT_WORDS - 1)] >> (port & 63) & 1;
	return p->tcp[port >> 6 & (PORT_WORDS - 1)] >> (port & 63) & 1;
}

static __always_inline int verdict_pass(void)
{
	count(COUNTER_PASS);
	return XDP_PASS;
}

/* Carries out what rule_act() said. */
static __always_inline int carry_out(struct xdp_md *ctx, struct work *w, __u32 action)
{
	switch (action) {
	case RULE_RESET:
	case RULE_REJECT:
		if (action == RULE_REJECT && w->p.tcp_flags & TCP_SYN) {
			if (rewrite_reset(ctx, 1))
				break;
			count(COUNTER_REJECT);
			return XDP_TX;
		}
		if (w->p.tcp_flags & (TCP_SYN | TCP_RST) || rewrite_reset(ctx, 0))
			break;
		count(action == RULE_RESET ? COUNTER_RESET : COUNTER_REJECT);
		return XDP_PASS;
	case RULE_DROP:
		break;
	default:
		return verdict_pass();
	}
	count(COUNTER_DROP);
	count_n(COUNTER_DROP_BYTES, w->p.frame_len);
	return XDP_DROP;
}

/* Is the 4-tuple's socket ESTABLISHED? The proof where no egress program can run. */
static __always_inline int socket_established(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 len;
	int yes;

	if (p->family == 4) {
		t.ipv4.saddr = bpf_htonl(p->src.lo);
		t.ipv4.daddr = bpf_htonl(p->dst.lo);
		t.ipv4.sport = bpf_htons(p->sport);
		t.ipv4.dport = bpf_htons(p->dport);
		len = sizeof(t.ipv4);
	} else {
		t.ipv6.saddr[0] = bpf_htonl(p->src.hi >> 32);
		t.ipv6.saddr[1] = bpf_htonl(p->src.hi);
		t.ipv6.saddr[2] = bpf_htonl(p->src.lo >> 32);
		t.ipv6.saddr[3] = bpf_htonl(p->src.lo);
		t.ipv6.daddr[0] = bpf_htonl(p->dst.hi >> 32);
		t.ipv6.daddr[1] = bpf_htonl(p->dst.hi);
		t.ipv6.daddr[2] = bpf_htonl(p->dst.lo >> 32);
		t.ipv6.daddr[3] = bpf_htonl(p->dst.lo);
		t.ipv6.sport = bpf_htons(p->sport);
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

/* ---- steps that change the handshake record, each under its lock ---------------- */

/* A SYN: a fresh record, or one more of the same. w->h gets the copy. */
__noinline int syn_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 way, lost = 0, stale = 0;
	struct syn_walk o = {};
	struct handshake_set *set;
	struct handshake *h;
	struct stripe *lock;

	if (!c || !w)
		return 0;
	set = handshake_set(w->key);
	lock = handshake_lock(w->key);
	if (!set || !lock)
		return 0;
	count(COUNTER_SYN);
	syn_read(ctx, w);
	syn_options(&w->h.syn, &o);
	if (o.bad)
		count(COUNTER_PARSE_BAD_OPTION);
	if (c->proof == PROOF_SOCKET)
		stale = socket_established(ctx, &w->p);

	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(w->key), set->slot[w_].key == w->key);
	if (way < WAYS) {
		h = &set->slot[way];
		h->stamp = stamp_of(w->t);
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
		way = way_victim(set, handshake_age(&set->slot[w_], stamp_of(w->t))) & (WAYS - 1);
		h = &set->slot[way];
		lost = set->tag[way] && h->state != HS_DONE &&
		       row_age(stamp_of(w->t), h->stamp) <= HANDSHAKE_LIFE;
	}
	handshake_begin(set, way, w->key, w->t);
	h = &set->slot[way & (WAYS - 1)];
	h->isn_c = w->p.seq;
	h->hello_base = w->p.seq + 1;
	h->high = w->p.seq + 1;
	h->mss = o.mss;
	h->tcp_key = o.key;
	h->syn = w->h.syn;
	if (stale)
		h->flags |= HS_STALE;
	if (w->p.payload_len)
		h->flags |= HS_SYN_DATA;
	w->h = *h;
out:
	bpf_spin_unlock(&lock->lock);
	if (lost)
		count(COUNTER_HANDSHAKE_EVICTED);
	return 0;
}

/* In replay a capture may begin behind the SYN: a first segment that looks like a
 * hello gets a record without times. Live it never does: it could not be proved. */
static __always_inline void midstream_begin(struct handshake_set *set, __u32 way, struct work *w)
{
	struct handshake *h;

	handshake_begin(set, way, w->key, w->t);
	h = &set->slot[way & (WAYS - 1)];
	h->isn_c = w->p.seq - 1;
	h->hello_base = w->p.seq;
	h->high = w->p.seq;
	h->flags |= HS_NO_SYN;
}

/* Any other segment: the step's answer, with the record copied to w->h. */
__noinline int segment_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct handshake_set *set;
	struct stripe *lock;
	__u32 way, act = 0;

	if (!c || !w || !ctx)
		return ACT_OUT;
	set = handshake_set(w->key);
	lock = handshake_lock(w->key);
	if (!set || !lock)
		return ACT_OUT;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(w->key), set->slot[w_].key == w->key);
	if (way >= WAYS || set->slot[way & (WAYS - 1)].state == HS_DONE) {
		if (!c->emit_all || !peek_hello(&w->k)) {
			act = ACT_OUT;
			goto out;
		}
		if (way >= WAYS)
			way = way_victim(set, handshake_age(&set->slot[w_], stamp_of(w->t)));
		midstream_begin(set, way & (WAYS - 1), w);
	}
	way &= WAYS - 1;
	act = handshake_step(&set->slot[way], &w->p, &w->k, w->t, c->proof == PROOF_EGRESS);
	if (!(act & ACT_OUT))
		set->slot[way].stamp = stamp_of(w->t);
	w->h = set->slot[way];
out:
	bpf_spin_unlock(&lock->lock);
	return act;
}

/* What the hello turned out to be goes into the record, unless it has become
 * another connection's meanwhile. */
__noinline int hello_store(struct work *w, __u32 again)
{
	struct handshake_set *set;
	struct handshake *h;
	struct stripe *lock;
	__u32 way, end;

	if (!w)
		return 0;
	set = handshake_set(w->key);
	lock = handshake_lock(w->key);
	if (!set || !lock)
		return 0;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(w->key), set->slot[w_].key == w->key);
	if (way >= WAYS)
		goto out;
	h = &set->slot[way];
	if (h->isn_c != w->h.isn_c)
		goto out;
	if (h->segments < 255 && !again)
		h->segments++;
	if (!w->complete)
		goto copy;
	end = h->hello_base + w->hello_end;
	if (again) {
		if (w->result != HELLO_OK)
			goto copy;
		if (end == h->ch_end) {
			if (w->hello.ja4_key != h->ja4 || w->hello.order_hash != h->order)
				h->flags |= HS_OVERLAP;
		} else {
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
	if (!(h->flags & HS_HRR) && h->flags & HS_FIRST_ACK &&
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
	bpf_spin_unlock(&lock->lock);
	return 0;
}

/* Sets flags, verdict or the end in the record; answers the flags from before. */
static __always_inline __u32 record_mark(const struct work *w, __u32 flags, int done, int verdict)
{
	struct handshake_set *set = handshake_set(w->key);
	struct stripe *lock = handshake_lock(w->key);
	__u32 way, old = ~0U;

	if (!set || !lock)
		return old;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(w->key), set->slot[w_].key == w->key);
	if (way < WAYS && set->slot[way].isn_c == w->h.isn_c) {
		struct handshake *h = &set->slot[way];

		old = h->flags;
		h->flags |= flags;
		if (verdict) {
			h->rule = w->v.rule;
			h->rule_gen = w->v.rule_gen;
		}
		if (done)
			h->state = HS_DONE;
		h->proof = w->h.proof;
	}
	bpf_spin_unlock(&lock->lock);
	return old;
}

/* ---- what a step asks for ---------------------------------------------------- */

/* Parses what is complete, looks up its rule, tells userspace. */
__noinline int hello_step(struct xdp_md *ctx, __u32 again)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct flat *f = flat_get();
	__u32 fresh = 0;

	if (!c || !w || !f)
		return 0;
	feed(ctx, again);
	if (w->complete && w->result == HELLO_OK) {
		w->hello.transport = 't';
		w->result = hello_parse(&f->h, w->hello_len, &c->secret, &w->hello);
	}
	hello_store(w, again);
	if (again || !w->complete)
		return 0;
	count(COUNTER_HELLO_OK + (w->result < HELLO_RESULT_MAX ? w->result : 0));
	if (w->h.flags & HS_HRR)
		count(COUNTER_HRR);
	if (w->result == HELLO_OK) {
		__u16 dstar[DSTAR_KEPT];
		__u32 seen = 0, age, resumed = 0;

		judge_hello(ctx);
		if (w->v.rule)
			record_mark(w, 0, 0, 1);
		w->h.rule = w->v.rule;
		w->h.rule_gen = w->v.rule_gen;
		if (!c->emit_all) {
			tally_peek(c, w, &seen, &age, &resumed, dstar);
			fresh = !seen;
		}
	} else {
		__builtin_memset(&w->hello, 0, sizeof(w->hello));
	}
	emit_hello(fresh);
	return 0;
}

/* Application bytes behind the client's Finished in the same segment: its records
 * are ChangeCipherSpec (or not), one encrypted one, then requests. TLS 1.2 clients
 * wait for the server first. */
static __always_inline __u32 flight_rest(struct xdp_md *ctx, const struct work *w)
{
	__u32 at = 0, len;
	__u8 head[5];

	if (peek_ccs(&w->k))
		at = CCS_LEN;
	if (at + 5 > w->p.payload_len ||
	    bpf_xdp_load_bytes(ctx, w->p.payload_off + at, head, sizeof(head)))
		return 0;
	if (head[0] != 23)
		return 0;
	len = at + 5 + (head[3] << 8 | head[4]);
	return w->p.payload_len > len ? w->p.payload_len - len : 0;
}

/* The server has answered the hello: tally the connection, once, and open a flow. */
__noinline int proved_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct tally_join j = {};
	struct work *w = work_get();
	__u64 stack, order;
	__u32 ref;

	if (!c || !w || !ctx)
		return 0;
	if (record_mark(w, HS_HELLO_PROVED, 0, 0) & HS_HELLO_PROVED)
		return 0;
	count(COUNTER_CONN_PROVED);
	stack = w->h.stack;
	order = w->h.order;
	if (w->h.flags & HS_ALT && w->p.seq == w->h.alt_end) {
		stack = w->h.alt_stack;
		order = w->h.alt_order;
	} else if (w->h.result == HELLO_OK && w->h.flags & HS_OVERLAP) {
		count(COUNTER_HELLO_OVERLAP);
		stack = 0;
	}
	if (stack)
		count(COUNTER_HELLO_PROVED);
	j.src = source_word(&w->p.src, w->p.family);
	j.stack = stack;
	j.stamp = stamp_of(w->t);
	j.tcp_key = w->h.tcp_key;
	j.resumed = !!(w->h.hello_flags & HELLO_HAS_PSK);
	j.join = 1;
	j.bytes_in = w->p.seq + w->p.payload_len - (w->h.isn_c + 1);
	j.bytes_out = w->p.ack - w->h.ack_first;
	j.service = w->p.dport;
	j.family = w->p.family;
	w->tally_ref = 0;
	if (!w->p.bad_source) {
		ref = tally_join(&j);
		if (!ref)
			return 0;
		w->tally_ref = ref - 1;
		w->tally_gen = j.gen;
		if (stack)
			order_join(stack, order, j.src, j.stamp);
	}
	flow_begin(w, stack, w->p.seq + w->p.payload_len, key_source(&c->secret, j.src, j.family),
		   w->p.bad_source);
	return 0;
}

/* The second client flight, or the end without one. */
__noinline int finish_step(struct xdp_md *ctx, __u32 act, __u32 ref, __u32 gen)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct timing m;
	__u32 exchange;

	if (!c || !w)
		return 0;
	if (!(act & ACT_FLIGHT))
		w->h.flags |= HS_NOF2;
	handshake_timing(&w->h, w->h.flags & HS_RESUMED ? c->s0[1] : c->s0[0], &m);
	record_mark(w, w->h.flags & HS_NOF2, 1, 0);
	if (w->h.state == HS_HELLO && c->emit_all) {
		w->result = HELLO_INCOMPLETE;
		w->records = 0;
		__builtin_memset(&w->hello, 0, sizeof(w->hello));
		emit_hello(0);
	}
	if (w->h.flags & HS_HELLO_PROVED) {
		exchange = flow_opened(w->key, act & ACT_FLIGHT ? flight_rest(ctx, w) : 0, w->p.ack);
		if (!w->p.bad_source) {
			if (w->h.result == HELLO_OK)
				tally_measured(ref, gen, &m, w->h.flags);
			if (exchange)
				tally_add(ref, gen, stamp_of(w->t), 0, 0, 1);
		}
	} else if (w->h.result == HELLO_OK && w->h.state == HS_NAMED) {
		count(COUNTER_HELLO_UNPROVED);
	}
	emit_handshake(c, w, &m);
	return 0;
}

/* A segment of a connection that has not finished its handshake. */
static __always_inline int handshake_packet(struct xdp_md *ctx, struct control *c, struct work *w)
{
	__u32 act, ref = w->m.tally, gen = w->m.tally_gen, n = w->p.payload_len;
	__u32 action;

	w->k.len = 0;
	if (n && !w->p.cut) {
		n = n > sizeof(w->k.b) ? sizeof(w->k.b) : n;
		n &= 31;
		if (n && n <= sizeof(w->k.b) &&
		    !bpf_xdp_load_bytes(ctx, w->p.payload_off, w->k.b, n))
			w->k.len = n;
	} else if (n && !bpf_xdp_load_bytes(ctx, w->p.payload_off, w->k.b, 6)) {
		w->k.len = 6;
	}
	act = segment_step(ctx);
	if (act & ACT_OUT) {
		if (w->m.found == FLOW_OUT)
			count(COUNTER_OUT_OF_WINDOW);
		return verdict_pass();
	}
	w->v.rule = w->h.rule;
	if (act & ACT_EARLY)
		count(COUNTER_EARLY_DATA);
	if (act & ACT_FEED) {
		int again = w->h.state >= HS_NAMED;

		hello_step(ctx, again);
		if (!again && w->complete && w->v.rule) {
			action = rule_act(c, w->v.rule, w->v.rule_gen, &w->p,
					  source_word(&w->p.src, w->p.family), w->h.stack, w->t,
					  w->h.proof != 0, 1);
			if (w->passed)
				action = RULE_NONE;
			if (action != RULE_NONE) {
				record_mark(w, action == RULE_REJECT ? HS_RULED | HS_REJECT : HS_RULED,
					    0, 0);
				return carry_out(ctx, w, action);
			}
		}
	}
	if (w->h.flags & HS_RULED && w->h.rule && !w->passed) {
		action = rule_act(c, w->h.rule, w->h.rule_gen, &w->p,
				  source_word(&w->p.src, w->p.family), w->h.stack, w->t,
				  w->h.proof != 0, 0);
		if (action != RULE_NONE)
			return carry_out(ctx, w, action);
	}
	if (act & (ACT_PROVED | ACT_FLIGHT)) {
		if (!w->h.proof && clock_virtual)
			w->h.proof = PROOF_INGRESS;
		if (!w->h.proof && c->proof == PROOF_SOCKET && act & ACT_FLIGHT &&
		    !(w->h.flags & HS_STALE) && socket_established(ctx, &w->p))
			w->h.proof = PROOF_SOCKET;
		if (w->h.proof && !(w->h.flags & HS_HELLO_PROVED)) {
			proved_step(ctx);
			w->h.flags |= HS_HELLO_PROVED;
			ref = w->tally_ref;
			gen = w->tally_gen;
		}
	}
	if (act & (ACT_FLIGHT | ACT_CLOSE))
		finish_step(ctx, act, ref, gen);
	return verdict_pass();
}

/* Bytes and exchanges of a segment that moved its flow, into the row it joined. */
__noinline int account(const struct moved *m)
{
	struct tally_join j = {};
	struct work *w = work_get();
	__u32 ref;

	if (!m || !w)
		return 0;
	if (tally_add(m->tally, m->tally_gen, stamp_of(w->t), m->in, m->out, m->exchange))
		return 0;
	/* Evicted: the flow takes its source's row up again, as no new connection. */
	j.src = source_word(&w->p.src, w->p.family);
	j.stack = m->stack;
	j.stamp = stamp_of(w->t);
	j.bytes_in = m->in;
	j.bytes_out = m->out;
	j.service = w->p.dport;
	j.family = w->p.family;
	ref = tally_join(&j);
	if (!ref)
		return 0;
	if (m->exchange)
		tally_add(ref - 1, j.gen, j.stamp, 0, 0, 1);
	flow_rejoin(w->key, ref - 1, j.gen);
	return 0;
}

static __always_inline int tcp_packet(struct xdp_md *ctx, struct control *c, struct work *w)
{
	__u32 action;

	if (w->p.bad_source) {
		count(COUNTER_PARSE_BAD_SOURCE);
		if (!c->emit_all)
			return verdict_pass();
	}
	w->key = key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport);
	if (w->p.tcp_flags & TCP_SYN) {
		if (w->p.tcp_flags & (TCP_ACK | TCP_RST | TCP_FIN))
			return verdict_pass();
		w->t = now();
		w->h.isn_c = w->p.seq - 1;
		syn_step(ctx);
		if (w->p.payload_len && w->h.isn_c == w->p.seq) {
			w->p.seq++;	/* the data follow the SYN */
			__builtin_memset(&w->k, 0, sizeof(w->k));
			hello_step(ctx, 0);
			w->p.seq--;
		}
		return verdict_pass();
	}
	w->t = now_coarse();
	flow_step(w->key, &w->p, stamp_of(w->t), &w->m);
	if (w->m.found == FLOW_OK) {
		if (w->m.rule && !w->passed) {
			action = rule_act(c, w->m.rule, w->m.rule_gen, &w->p,
					  source_word(&w->p.src, w->p.family), w->m.stack, w->t, 1,
					  0);
			if (action != RULE_NONE)
				return carry_out(ctx, w, action);
		}
		if (!w->p.bad_source && (w->m.in | w->m.out | w->m.exchange))
			account(&w->m);
		if (!(w->m.flags & FLOW_HANDSHAKE))
			return verdict_pass();
	}
	w->t = now();
	return handshake_packet(ctx, c, w);
}

/* Rules on the source alone. RULE_NONE: go on. */
__noinline int source_step(__u32 is_protected)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 index, proved;
	struct rule *r;
	struct moved m;

	if (!c || !w)
		return RULE_NONE;
	index = source_rule(c, &w->p);
	r = rule_at(index);
	if (!r || !rule_live(r))
		return RULE_NONE;
	if (!is_protected && !(r->flags & RULE_PORTS_ANY))
		return RULE_NONE;
	if (r->action == RULE_PASS) {
		w->passed = 1;
		return RULE_NONE;
	}
	if (r->action == RULE_LIMIT)		/* counts connections: at the hello */
		return RULE_NONE;
	proved = 0;
	w->t = now_coarse();
	if (w->p.proto == IPPROTO_TCP && w->r == PARSE_OK && !(w->p.tcp_flags & TCP_SYN)) {
		struct packet still = w->p;

		still.tcp_flags |= TCP_SYN;	/* look, do not move */
		flow_step(key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport), &still,
			  stamp_of(w->t), &m);
		proved = m.found != FLOW_NONE;
		if (proved && r->flags & RULE_EXISTING_KEEP)
			return RULE_NONE;
	}
	return rule_act(c, index, r->gen, &w->p, source_word(&w->p.src, w->p.family), 0, w->t, proved,
			1);
}

/* Neighbour discovery and "packet too big" are never touched. */
static __always_inline int untouchable(const struct packet *p)
{
	if (p->proto == IPPROTO_ICMPV6)
		return p->icmp_type == 2 || (p->icmp_type >= 133 && p->icmp_type <= 137);
	return p->proto == IPPROTO_ICMP && p->icmp_type == 3;
}

SEC("xdp.frags")
int winnow_xdp(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	int is_protected = 0;
	__u32 linear;

	if (!c || !w)
		return XDP_PASS;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->passed = 0;
	w->p.frame_len = bpf_xdp_get_buff_len(ctx);
	count(COUNTER_PACKETS);
	count_n(COUNTER_BYTES, w->p.frame_len);
	linear = ctx->data_end - ctx->data;
	if (linear < PARSE_SPAN && linear < w->p.frame_len) {
		__u32 n = w->p.frame_len > PARSE_SPAN ? PARSE_SPAN : w->p.frame_len;

		if (n < 1 || bpf_xdp_load_bytes(ctx, 0, w->raw, n))
			return verdict_pass();
		w->r = parse_frame((struct cursor){ .raw = w->raw, .raw_len = n }, &w->p);
	} else {
		w->r = parse_frame((struct cursor){ .data = (void *)(long)ctx->data,
						    .end = (void *)(long)ctx->data_end },
				   &w->p);
	}
	if (w->r == PARSE_OK) {
		is_protected = port_protected(w->p.dport, w->p.proto);
		if (!is_protected) {
			count(COUNTER_PARSE_NOT_OURS);
			if (!c->n_any_port_rules)
				return verdict_pass();
		}
	} else {
		count(COUNTER_PARSE_OK + (w->r < PARSE_RESULT_MAX ? w->r : 0));
		if (w->r == PARSE_FRAGMENT)
			is_protected = w->p.proto == IPPROTO_TCP || w->p.proto == IPPROTO_UDP;
		if (!w->p.family)
			return verdict_pass();
	}
	w->p.bad_source = source_is_bad(&w->p);
	if ((c->n_source_rules || c->n_prefix_rules) && (is_protected || c->n_any_port_rules) &&
	    !untouchable(&w->p)) {
		__u32 action = source_step(is_protected);

		if (action != RULE_NONE)
			return carry_out(ctx, w, action);
	}
	if (w->r != PARSE_OK || !is_protected || w->p.proto != IPPROTO_TCP)
		return verdict_pass();
	count(COUNTER_PARSE_OK);
	return tcp_packet(ctx, c, w);
}

/* SYN|ACKs of protected ports on their way out: the server's number, which only
 * the owner of the client's address gets to see. */
SEC("tc")
int winnow_egress(struct __sk_buff *skb)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct handshake_set *set;
	struct stripe *lock;
	struct packet *p;
	struct handshake *h;
	enum parse_result r;
	__u32 way, evicted = 0;
	__u64 key, t;

	if (!c || !w)
		return TC_ACT_UNSPEC;
	p = &w->p;
	__builtin_memset(p, 0, sizeof(*p));
	p->frame_len = skb->len;
	r = parse_frame((struct cursor){ .data = (void *)(long)skb->data,
					 .end = (void *)(long)skb->data_end },
			p);
	if (r == PARSE_SHORT && !bpf_skb_pull_data(skb, skb->len < PARSE_SPAN ? skb->len : PARSE_SPAN))
		r = parse_frame((struct cursor){ .data = (void *)(long)skb->data,
						 .end = (void *)(long)skb->data_end },
				p);
	if (r != PARSE_OK || p->proto != IPPROTO_TCP ||
	    (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK) ||
	    !port_protected(p->sport, IPPROTO_TCP))
		return TC_ACT_UNSPEC;
	count(COUNTER_SYNACK);
	key = key_flow(&c->secret, &p->dst, &p->src, p->dport, p->sport);
	set = handshake_set(key);
	lock = handshake_lock(key);
	if (!set || !lock)
		return TC_ACT_UNSPEC;
	t = now();
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way >= WAYS) {
		/* Its SYN was lost to a flood, or came before the program. */
		way = way_victim(set, handshake_age(&set->slot[w_], stamp_of(t))) & (WAYS - 1);
		h = &set->slot[way];
		evicted = set->tag[way] && h->state != HS_DONE &&
			  row_age(stamp_of(t), h->stamp) <= HANDSHAKE_LIFE;
		handshake_begin(set, way, key, t);
		h->flags |= HS_NO_SYN;
	} else {
		h = &set->slot[way];
		if (h->isn_c + 1 != p->ack && h->state != HS_DONE && h->isn_other + 1 != p->ack)
			goto out;	/* an answer to a SYN that we have not kept */
		if (h->isn_c + 1 != p->ack || h->state == HS_DONE) {
			handshake_begin(set, way, key, t);
			h->flags |= HS_NO_SYN;
		}
	}
	if (h->flags & HS_NO_SYN && !(h->flags & HS_HAS_ISN)) {
		h->isn_c = p->ack - 1;
		h->hello_base = p->ack;
		h->high = p->ack;
	}
	if (!h->d_ack) {
		h->isn_s = p->seq;
		h->flags |= HS_HAS_ISN;
	}
out:
	bpf_spin_unlock(&lock->lock);
	if (evicted)
		count(COUNTER_HANDSHAKE_EVICTED);
	return TC_ACT_UNSPEC;
}

/* `reject` of a hello: XDP made the segment a RST for the server; here its mirror
 * goes back to the client, as a clone, before the stack takes the original. */
SEC("tc")
int winnow_ingress(struct __sk_buff *skb)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 way, tell = 0, acked = 0;
	struct handshake_set *set;
	struct stripe *lock;
	__u64 key;

	if (!c || !w)
		return TC_ACT_UNSPEC;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->p.frame_len = skb->len;
	if (parse_frame((struct cursor){ .data = (void *)(long)skb->data,
					 .end = (void *)(long)skb->data_end },
			&w->p) != PARSE_OK)
		return TC_ACT_UNSPEC;
	if (w->p.proto != IPPROTO_TCP || !(w->p.tcp_flags & TCP_RST) || w->p.payload_len ||
	    !port_protected(w->p.dport, IPPROTO_TCP))
		return TC_ACT_UNSPEC;
	key = key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport);
	set = handshake_set(key);
	lock = handshake_lock(key);
	if (!set || !lock)
		return TC_ACT_UNSPEC;
	bpf_spin_lock(&lock->lock);
	way = way_find(set, tag_of(key), set->slot[w_].key == key);
	if (way < WAYS && set->slot[way].flags & HS_REJECT) {
		set->slot[way].flags &= ~HS_REJECT;
		acked = set->slot[way].high;
		tell = 1;
	}
	bpf_spin_unlock(&lock->lock);
	if (tell)
		mirror_reset(skb, w, acked);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
