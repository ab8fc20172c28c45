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
#include "proxy.bpf.h"
#include "tally.bpf.h"
#include "record.bpf.h"
#include "steps.bpf.h"
#include "rewrite.bpf.h"
#include "early.bpf.h"
#include "quic.bpf.h"

/* In the entry of its device. */
static __always_inline void count_frame(const struct work *w, __u32 what, __u32 of_bytes,
					__u32 bytes)
{
	struct counters *n = counters_at(w->device);

	if (!n)
		return;
	n->n[what]++;
	if (of_bytes)
		n->n[of_bytes] += bytes;
}

static __always_inline int verdict_pass(const struct work *w)
{
	count_frame(w, COUNTER_PASS, 0, 0);
	return XDP_PASS;
}

/* A reset client's later segment, where no clone can be sent: back as a RST. */
static __always_inline int bounce(struct xdp_md *ctx, struct control *c, struct work *w)
{
	proxied_back(w);
	if (!reply_allowed(c) || rewrite_reset(ctx, 1))
		return XDP_DROP;
	count_frame(w, COUNTER_REJECT, 0, 0);
	return XDP_TX;
}

/* Carries out what rule_act() said. */
static __always_inline int carry_out(struct xdp_md *ctx, struct control *c, struct work *w,
				     __u32 action)
{
	proxied_back(w);
	switch (action) {
	case RULE_RESET:
	case RULE_REJECT:
		if (action == RULE_REJECT && w->p.tcp_flags & TCP_SYN) {
			if (!reply_allowed(c) || rewrite_reset(ctx, 1))
				break;
			count_frame(w, COUNTER_REJECT, 0, 0);
			return XDP_TX;
		}
		if (w->p.tcp_flags & (TCP_SYN | TCP_RST) || rewrite_reset(ctx, 0))
			break;
		if (action == RULE_RESET)
			count_frame(w, COUNTER_RESET, 0, 0);
		else
			count_frame(w, COUNTER_REJECT, 0, 0);
		return XDP_PASS;
	case RULE_DROP:
		break;
	default:
		return verdict_pass(w);
	}
	count_frame(w, COUNTER_DROP, COUNTER_DROP_BYTES, w->p.frame_len);
	return XDP_DROP;
}

/* A segment of a connection that has not finished its handshake. */
static __always_inline int handshake_packet(struct xdp_md *ctx, struct control *c, struct work *w)
{
	__u32 act, ref = w->m.tally, gen = w->m.tally_gen, n = w->p.payload_len;
	__u32 action, again = 0, first = 0, flags = HS_RULED;

	w->k.len = 0;
	if (n && !w->p.cut) {
		n = n > sizeof(w->k.b) ? sizeof(w->k.b) : n;
		n = some_of(n, sizeof(w->k.b));
		if (!bpf_xdp_load_bytes(ctx, w->p.payload_off, w->k.b, n))
			w->k.len = n;
	} else if (n && !bpf_xdp_load_bytes(ctx, w->p.payload_off, w->k.b, 6)) {
		w->k.len = 6;
	}
	act = segment_step(ctx);
	if (act & ACT_OUT) {
		if (w->m.found == FLOW_OUT || !(act & ACT_GONE))
			count(COUNTER_OUT_OF_WINDOW);
		else if (w->m.found == FLOW_NONE)
			count(COUNTER_NO_RECORD);
		if (act & ACT_GONE && w->m.found == FLOW_OK)
			flow_opened(w->key, w->t, 0); /* its record was evicted */
		return verdict_pass(w);
	}
	if (w->h.flags & HS_PROXIED && !w->peer_port && !proxied_step())
		return verdict_pass(w); /* whose it is has been forgotten */
	if (act & ACT_CONN)
		count(COUNTER_CONN_PROVED);
	if (act & ACT_EARLY)
		count(COUNTER_EARLY_DATA);
	if (act & ACT_FEED) {
		again = w->h.state >= HS_NAMED;
		hello_step(ctx, again);
		first = w->complete && (!again || w->other);
	}
	/* A hello in the SYN was judged there, and is acted on with what follows. */
	if (w->h.flags & HS_SYN_DATA && !(w->h.flags & HS_RULED))
		first = 1;
	if (w->h.rule && !w->passed && (first || w->h.flags & HS_RULED)) {
		action = rule_act(ctx, w->h.rule, w->h.rule_gen, w->h.stack,
				  (w->h.proof ? ACT_ON_PROVED : 0) | (first ? ACT_ON_FIRST : 0));
		if (action == RULE_REJECT || (action == RULE_RESET && !first))
			flags |= HS_REJECT;
		if (action != RULE_NONE && (first || c->mirror || action == RULE_DROP)) {
			record_mark(flags, 0, 0);
			if (!first && c->mirror == MIRROR_BOUNCE && action != RULE_DROP)
				return bounce(ctx, c, w);
			return carry_out(ctx, c, w, action);
		}
	}
	if (act & (ACT_PROVED | ACT_FLIGHT)) {
		if (!w->h.proof && clock_virtual)
			w->h.proof = PROOF_INGRESS;
		if (!w->h.proof && c->proof == PROOF_SOCKET && act & ACT_FLIGHT &&
		    !(w->h.flags & HS_STALE) && socket_established(ctx))
			w->h.proof = PROOF_SOCKET;
		if (w->h.proof && !(w->h.flags & HS_HELLO_PROVED)) {
			proved_step(ctx);
			w->h.flags |= HS_HELLO_PROVED;
			ref = w->tally_ref;
			gen = w->tally_gen;
		}
	}
	action = RULE_NONE;
	if (act & ACT_FLIGHT && w->h.flags & HS_LATER && !w->passed)
		action = later_step(ctx);
	if (act & (ACT_FLIGHT | ACT_CLOSE)) {
		w->stopped = action != RULE_NONE;
		finish_step(ctx, act, ref, gen);
	}
	return action == RULE_NONE ? verdict_pass(w) : carry_out(ctx, c, w, action);
}

static __always_inline int tcp_packet(struct xdp_md *ctx, struct control *c, struct work *w)
{
	__u32 action;

	if (w->p.bad_source) {
		count(COUNTER_PARSE_BAD_SOURCE);
		if (!c->emit_all)
			return verdict_pass(w);
	}
	w->key = key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport);
	if (w->p.tcp_flags & TCP_SYN) {
		if (w->p.tcp_flags & (TCP_ACK | TCP_RST | TCP_FIN))
			return verdict_pass(w);
		w->t = now();
		handshake_ask(w->key);
		flow_forget(w->key, w->t, c->emit_all);
		w->h.isn_c = w->p.seq - 1;
		syn_step(ctx);
		if (w->p.payload_len && w->h.isn_c == w->p.seq) {
			w->p.seq++; /* the data follow the SYN */
			__builtin_memset(&w->k, 0, sizeof(w->k));
			hello_step(ctx, 0);
			w->p.seq--;
		}
		return verdict_pass(w);
	}
	w->t = now_coarse();
	flow_step();
	if (w->m.found == FLOW_OK) {
		if (w->m.flags & FLOW_PROXIED && !proxied_step())
			return verdict_pass(w);
		if (w->m.rule && !w->passed) {
			__u32 was;

			action = rule_act(ctx, w->m.rule, w->m.rule_gen, w->m.stack, ACT_ON_PROVED);
			if (action == RULE_RESET || action == RULE_REJECT)
				flow_reject(w->key, 1, &was);
			else
				was = 0;
			if (was && c->mirror == MIRROR_BOUNCE)
				return bounce(ctx, c, w);
			if (action != RULE_NONE)
				return carry_out(ctx, c, w, action);
		}
		if (!(w->m.flags & FLOW_SILENT) && (w->m.in | w->m.out | w->m.exchange))
			account();
		if (!(w->m.flags & FLOW_HANDSHAKE))
			return verdict_pass(w);
	}
	w->t = now();
	return handshake_packet(ctx, c, w);
}

/* Rules on the source alone. RULE_NONE: go on. */
__noinline int source_step(struct xdp_md *ctx, __u32 is_protected)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 index, proved;
	struct rule *r;
	__u64 found;

	if (!c || !w || !ctx)
		return RULE_NONE;
	found = source_glance(c, &w->p.src);
	if (found & NET_PASS && is_protected && found_holds(found, now_boot())) {
		w->passed = 1;
		return RULE_NONE;
	}
	index = rule_in_force(found & NET_INDEX);
	r = rule_at(index);
	if (!r || !rule_live(r))
		return RULE_NONE;
	if (!is_protected && !(r->flags & RULE_PORTS_ANY))
		return RULE_NONE;
	if (r->action == RULE_PASS) {
		w->passed = 1;
		return RULE_NONE;
	}
	if (r->action == RULE_LIMIT) /* counts connections: at the hello */
		return RULE_NONE;
	proved = 0;
	w->t = now_coarse();
	if (w->p.proto == IPPROTO_TCP && w->r == PARSE_OK && !(w->p.tcp_flags & TCP_SYN)) {
		proved = flow_known(
			key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport));
		if (proved && r->flags & RULE_EXISTING_KEEP)
			return RULE_NONE;
	}
	return rule_act(ctx, index, r->gen, 0, ACT_ON_FIRST | (proved ? ACT_ON_PROVED : 0));
}

/* Neighbour discovery and "packet too big" are never touched. */
static __always_inline int untouchable(const struct packet *p)
{
	if (p->proto == IPPROTO_ICMPV6)
		return p->icmp_type == 2 || (p->icmp_type >= 133 && p->icmp_type <= 137);
	return p->proto == IPPROTO_ICMP && p->icmp_type == 3;
}

/* The frame's headers into work.p, where they are or, if they are not linear, from a
 * copy. */
__noinline int frame_linear(struct xdp_md *ctx)
{
	struct work *w = work_get();

	if (!w || !ctx)
		return 0;
	w->r = parse_frame((struct cursor){ .data = (void *)(long)ctx->data,
					    .end = (void *)(long)ctx->data_end },
			   &w->p);
	return 0;
}

__noinline int frame_copied(__u32 len)
{
	struct work *w = work_get();

	if (w)
		w->r = parse_frame((struct cursor){ .raw = w->raw, .raw_len = len }, &w->p);
	return 0;
}

static __always_inline void frame_read(struct xdp_md *ctx, struct work *w)
{
	__u32 linear = ctx->data_end - ctx->data, n = w->p.frame_len;

	if (linear >= PARSE_SPAN || linear >= n) {
		frame_linear(ctx);
		return;
	}
	n = n > PARSE_SPAN ? PARSE_SPAN : n;
	w->r = PARSE_SHORT;
	if (between(n, ETH_HLEN, PARSE_SPAN) && !bpf_xdp_load_bytes(ctx, 0, w->raw, n))
		frame_copied(n);
}

/* A frame's whole way. `hurry`: those that need no more than a look get no more. */
static __always_inline int classify(struct xdp_md *ctx, int hurry)
{
	__u32 device = device_slot(ctx->ingress_ifindex);
	int is_protected = 0, verdict = hurry ? early(ctx, device) : EARLY_NOT;
	struct control *c;
	struct work *w;

	if (verdict >= 0)
		return verdict;
	c = control_get();
	w = work_get();
	if (!c || !w)
		return XDP_PASS;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->device = device;
	w->passed = 0;
	w->peer_port = 0;
	w->p.frame_len = bpf_xdp_get_buff_len(ctx);
	count_frame(w, COUNTER_PACKETS, COUNTER_BYTES, w->p.frame_len);
	frame_read(ctx, w);
	if (w->r == PARSE_OK) {
		is_protected = port_protected(w->p.dport, w->p.proto);
		if (!is_protected) {
			count(COUNTER_PARSE_NOT_OURS);
			if (!c->n_any_port_rules)
				return verdict_pass(w);
		}
	} else {
		count(COUNTER_PARSE_OK + (w->r < PARSE_RESULT_MAX ? w->r : 0));
		if (w->r == PARSE_FRAGMENT)
			is_protected = w->p.proto == IPPROTO_TCP || w->p.proto == IPPROTO_UDP;
		if (w->r == PARSE_EXTENSION || w->r == PARSE_SHORT)
			is_protected = 1; /* what stands behind those headers may be TCP */
		if (!w->p.family)
			return verdict_pass(w);
	}
	w->p.bad_source = source_is_bad(&w->p);
	if (c->n_source_rules && (is_protected || c->n_any_port_rules) && !untouchable(&w->p)) {
		__u32 action = source_step(ctx, is_protected);

		if (action != RULE_NONE)
			return carry_out(ctx, c, w, action);
	}
	if (w->r != PARSE_OK || !is_protected)
		return verdict_pass(w);
	if (w->p.proto == IPPROTO_UDP) {
		__u32 action;

		count(COUNTER_UDP);
		action = quic_step(ctx);
		if (action == QUIC_PROVE)
			action = quic_proved(ctx, w->q.id);
		if (action == RULE_NONE)
			return verdict_pass(w);
		return carry_out(ctx, c, w, RULE_DROP);
	}
	count(COUNTER_PARSE_OK);
	return tcp_packet(ctx, c, w);
}

SEC("xdp.frags")
int winnow_xdp(struct xdp_md *ctx)
{
	return classify(ctx, 1);
}

/* The same for a loop over the frames of a capture: verified once, then called. A
 * device's frames do without, for a return costs 7 ns where "safe RET" is on. It takes no
 * short way: with that, too, the calls below it need 544 bytes of stack on 6.1, of 512. */
__noinline int winnow_classify(struct xdp_md *ctx)
{
	return ctx ? classify(ctx, 0) : XDP_PASS;
}

/* Under the lock. The SYN whose record is at `place` has its answer; 0: it is not this one. */
static __always_inline int syn_answered(__u32 place, __u64 key, const struct packet *p)
{
	struct syn_record *s;
	int yes;

	place &= syn_places;
	s = bpf_map_lookup_elem(&syns, &place);
	if (!s)
		return 0;
	lock_take(&s->lock);
	yes = s->key == key && s->isn_c + 1 == p->ack;
	if (yes) {
		s->isn_s = p->seq;
		s->flags |= HS_HAS_ISN;
	}
	lock_give(&s->lock);
	return yes;
}

/* The server's number, which only the owner of the client's address gets to see. */
__noinline int synack_step(void)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct handshake *h;
	struct packet *p;
	struct place at;
	__u32 way, evicted = 0;
	__u64 key, t;

	if (!c || !w)
		return 0;
	p = &w->p;
	count(COUNTER_SYNACK);
	key = key_flow(&c->secret, &p->dst, &p->src, p->dport, p->sport);
	if (!handshake_place(key, &at))
		return 0;
	t = now();
	lock_take(&at.lock->lock);
	way = tag_way(at.head->tag, tag_of(key));
	if (way < WAYS) {
		__u32 syn = at.head->syn[way & (WAYS - 1)];

		if (syn && syn_answered(syn - 1, key, p))
			goto out;
	}
	way = handshake_whole(&at, key);
	if (way >= WAYS) {
		/* Its SYN was lost to a flood, or came before the program. */
		way = handshake_victim(&at, way, key, t);
		evicted = handshake_lost(&at, way, t);
		handshake_begin(&at, way, key, t);
		h = &at.set->slot[way & (WAYS - 1)];
		h->flags |= HS_NO_SYN;
	} else {
		int answer;

		h = &at.set->slot[way & (WAYS - 1)];
		answer = h->isn_c + 1 == p->ack;
		if (h->flags & HS_SYN_DATA) /* it may acknowledge the data too */
			answer = p->ack - (h->isn_c + 1) <= h->syn.payload;
		if (!answer && h->state != HS_DONE && h->flags & HS_HAS_ISN &&
		    h->isn_other + 1 != p->ack)
			goto out; /* an answer to a SYN that we have not kept */
		if (!answer || h->state == HS_DONE) {
			handshake_begin(&at, way, key, t);
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
	lock_give(&at.lock->lock);
	if (evicted)
		count(COUNTER_HANDSHAKE_EVICTED);
	return 0;
}

/* The frame that was just parsed, if it is an answer of a protected port that we look at.
 * How many bytes of its payload quic_issue() wants in work.q: 0, none. */
static __always_inline __u32 leaving_step(struct work *w)
{
	const struct packet *p = &w->p;

	if (w->r != PARSE_OK)
		return 0;
	if (p->proto == IPPROTO_UDP)
		return port_protected(p->sport, IPPROTO_UDP) ? quic_peek_len(w) : 0;
	if (p->proto == IPPROTO_TCP &&
	    (p->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
	    port_protected(p->sport, IPPROTO_TCP))
		synack_step();
	return 0;
}

/* SYN|ACKs of protected ports on their way out, and QUIC connection ids. */
SEC("tc")
int winnow_egress(struct __sk_buff *skb)
{
	struct work *w = work_get();
	__u32 n;

	if (!w)
		return TC_ACT_UNSPEC;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->p.frame_len = skb->len;
	w->r = parse_frame((struct cursor){ .data = (void *)(long)skb->data,
					    .end = (void *)(long)skb->data_end },
			   &w->p);
	if (w->r == PARSE_SHORT &&
	    !bpf_skb_pull_data(skb, skb->len < PARSE_SPAN ? skb->len : PARSE_SPAN))
		w->r = parse_frame((struct cursor){ .data = (void *)(long)skb->data,
						    .end = (void *)(long)skb->data_end },
				   &w->p);
	n = leaving_step(w);
	if (n && !bpf_skb_load_bytes(skb, w->p.payload_off, w->q.b, n))
		quic_issue();
	return TC_ACT_UNSPEC;
}

#include "replay.bpf.h"

/* `reject` of a hello: XDP made the segment a RST for the server; here its mirror
 * goes back to the client, as a clone, before the stack takes the original. */
SEC("tc")
int winnow_ingress(struct __sk_buff *skb)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u32 way, tell = 0, acked = 0;
	struct handshake *h;
	struct place at;
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
	if (!handshake_place(key, &at))
		return TC_ACT_UNSPEC;
	lock_take(&at.lock->lock);
	way = handshake_find(&at, key);
	h = &at.set->slot[way & (WAYS - 1)];
	if (way < WAYS && h->flags & HS_REJECT) {
		h->flags &= ~HS_REJECT;
		acked = h->high;
		tell = 1;
	}
	lock_give(&at.lock->lock);
	if (!tell)
		acked = flow_reject(key, 0, &tell);
	if (tell && reply_allowed(c))
		mirror_reset(skb, w, acked);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
