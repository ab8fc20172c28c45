/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * early.bpf.h - the frames that need no more than a look: those for ports that are
 * not protected, those of a source that is dropped whatever it says, and segments of proved
 * connections without a verdict. Everything else (a new connection, another rule, odd
 * headers) takes the long way, and has changed nothing here.
 */
#ifndef WINNOW_EARLY_BPF_H
#define WINNOW_EARLY_BPF_H

#include "abi.h"
#include "flow.bpf.h"
#include "judge.bpf.h"
#include "parse.bpf.h"
#include "tally.bpf.h"
#include "work.bpf.h"

/* Words of `drops` that belong to a CPU; set before loading. */
const volatile __u32 drop_words;

static __always_inline struct ports *ports_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ports, &zero);
}

static __always_inline int port_in(const struct ports *p, __u16 port, __u8 proto)
{
	__u32 word = port >> 6;

	hide(word); /* to 6.1 a swapped port is any number */
	word &= PORT_WORDS - 1;
	return (proto == IPPROTO_UDP ? p->udp[word] : p->tcp[word]) >> (port & 63) & 1;
}

static __always_inline int port_protected(__u16 port, __u8 proto)
{
	struct ports *p = ports_get();

	return p && port_in(p, port, proto);
}

/* An ordinary frame, before anything of it is read that may not be needed. */
struct glance {
	void *ip;
	void *l4;
	__u32 len; /* of the header at l4 and its payload */
	__u16 dport;
	__u8 family, proto;
};

/* Whole headers in the linear part, no options or extensions, lengths that fit: 1. */
static __always_inline int glance(struct xdp_md *ctx, struct glance *g)
{
	__u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 header;
	__be16 proto;

	if (at + ETH_HLEN > end)
		return 0;
	proto = *(__be16 *)(at + 12);
	at += ETH_HLEN;
	if (proto == bpf_htons(ETH_P_8021Q)) {
		if (at + 4 > end)
			return 0;
		proto = *(__be16 *)(at + 2);
		at += 4;
	}
	g->ip = at;
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)at;

		if (at + sizeof(*ip) > end)
			return 0;
		g->len = bpf_ntohs(ip->tot_len);
		if (*at != 0x45 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET) ||
		    g->len < sizeof(*ip) || g->len > end - at)
			return 0;
		g->len -= sizeof(*ip);
		g->family = 4;
		g->proto = ip->protocol;
		at += sizeof(*ip);
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)at;

		if (at + sizeof(*ip) > end)
			return 0;
		g->len = bpf_ntohs(ip->payload_len);
		if (*at >> 4 != 6 || g->len > end - at - (int)sizeof(*ip))
			return 0;
		g->family = 6;
		g->proto = ip->nexthdr;
		at += sizeof(*ip);
	} else {
		return 0;
	}
	g->l4 = at;
	if (g->proto == IPPROTO_UDP) {
		if (at + 8 > end || g->len < 8)
			return 0;
	} else {
		if (g->proto != IPPROTO_TCP || at + sizeof(struct tcphdr) > end)
			return 0;
		header = (at[12] >> 4) * 4;
		if (header < sizeof(struct tcphdr) || header > g->len)
			return 0;
	}
	g->dport = bpf_ntohs(((__be16 *)at)[1]);
	return 1;
}

/* Of a frame for a protected port, in words: what is read below is one way through, for
 * all families and headers. */
struct early_view {
	struct addr src, dst;
	struct segment_view seg; /* of TCP */
	__u16 sport, dport;
	__u8 family, proto;
	__u8 first; /* byte of a segment's payload; 0: none */
};

static __always_inline struct addr source_of(const struct glance *g)
{
	if (g->family == 4)
		return addr_of_v4(((struct iphdr *)g->ip)->saddr);
	return addr_of_v6(&((struct ipv6hdr *)g->ip)->saddr);
}

/* All but the source. */
static __always_inline void view(struct xdp_md *ctx, const struct glance *g, struct early_view *v)
{
	struct tcphdr *tcp = g->l4;

	if (g->family == 4)
		v->dst = addr_of_v4(((struct iphdr *)g->ip)->daddr);
	else
		v->dst = addr_of_v6(&((struct ipv6hdr *)g->ip)->daddr);
	v->family = g->family;
	v->proto = g->proto;
	v->sport = bpf_ntohs(((__be16 *)g->l4)[0]);
	v->dport = g->dport;
	v->seg.tcp_flags = 0;
	v->first = 0;
	if (g->proto == IPPROTO_TCP) {
		__u32 header = (((__u8 *)tcp)[12] >> 4) * 4;
		__u8 *payload = (__u8 *)tcp + header;

		if (g->len > header && payload + 1 <= (__u8 *)(long)ctx->data_end)
			v->first = *payload;
		v->seg.seq = bpf_ntohl(tcp->seq);
		v->seg.ack = bpf_ntohl(tcp->ack_seq);
		v->seg.payload_len = g->len - header;
		v->seg.tcp_flags = ((__u8 *)tcp)[13];
	}
}

/* A rule on the source alone that drops all of it, now: nothing that the long way would
 * look at speaks for the packet, or wants to see it. */
static __always_inline int drops_at_once(const struct control *c, __u64 found,
					 const struct addr *src)
{
	__u64 boot = now_boot();

	return found & NET_DROP && found_holds(found, boot) && !c->capture &&
	       !prevented(c, src, boot);
}

/* One more packet that a rule has dropped at once. Nobody else writes this byte. */
static __always_inline void drop_count(__u32 index)
{
	__u32 at = bpf_get_smp_processor_id() * drop_words + (index >> 3);
	__u8 *few = bpf_map_lookup_elem(&drops, &at);
	struct rule *r;

	if (!few)
		return;
	few += index & 7;
	if (*few == 255) {
		r = rule_at(index);
		if (r)
			__sync_fetch_and_add(&r->unproved, 256);
	}
	*few += 1;
}

/* A record of a TLS handshake or a ChangeCipherSpec begins here: the connection is hardly
 * past its handshake. */
static __always_inline int is_handshake(const struct early_view *v)
{
	return v->first == 22 || v->first == 20;
}

/* The lines that the long way will need, in one wait. */
static __always_inline void touch_connection(__u64 key)
{
	struct flow_set *set = flow_set_at(key);

	if (set) {
		touch_set(set, key);
		touch(&set->slot[way_second(key) & (WAYS - 1)]);
	}
	handshake_touch(key);
}

#define EARLY_NOT (-1) /* not dealt with: it takes the long way */

/* A segment of a protected port. XDP_PASS: it has been dealt with. */
static __always_inline int early_segment(const struct control *c, const struct early_view *v)
{
	struct work *w;
	__u64 key, t;

	if (v->proto != IPPROTO_TCP ||
	    (v->seg.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return EARLY_NOT;
	key = key_flow(&c->secret, &v->src, &v->dst, v->sport, v->dport);
	if (is_handshake(v)) {
		touch_connection(key);
		return EARLY_NOT;
	}
	t = now_coarse();
	w = work_get();
	if (!w)
		return EARLY_NOT;
	switch (flow_pass(key, &v->seg, t, &w->m)) {
	case FLOW_PASS_NOT:
		return EARLY_NOT;
	case FLOW_PASS_DONE:
		return XDP_PASS;
	case FLOW_PASS_TELL:
		break;
	}
	w->p.src = v->src;
	w->p.family = v->family;
	w->p.dport = v->dport;
	w->key = key;
	w->t = t;
	account();
	return XDP_PASS;
}

/* Of a device: a frame that passes or is dropped. No IP byte is elsewhere. */
static __always_inline struct counters *early_count(struct xdp_md *ctx, __u32 device)
{
	struct counters *n = counters_at(device);

	if (n) {
		n->n[COUNTER_PACKETS]++;
		n->n[COUNTER_BYTES] += ctx->data_end - ctx->data;
	}
	return n;
}

static __always_inline int early_drop(struct xdp_md *ctx, __u32 index, __u32 device)
{
	struct counters *n = early_count(ctx, device);

	drop_count(index);
	if (n) {
		n->n[COUNTER_DROP]++;
		n->n[COUNTER_DROP_BYTES] += ctx->data_end - ctx->data;
	}
	return XDP_DROP;
}

/* A frame for a protected port: its verdict if it has been dealt with, or EARLY_NOT. What is
 * dropped before anything is asked about its connection is a new one's, or nobody's. */
static __always_inline int early_protected(struct xdp_md *ctx, const struct glance *g, __u32 device)
{
	struct control *c = control_get();
	struct early_view v;
	__u64 found;

	if (!c)
		return EARLY_NOT;
	v.src = source_of(g);
	found = c->n_source_rules ? source_glance(c, &v.src) : 0;
	if (found && !drops_at_once(c, found, &v.src))
		return EARLY_NOT;
	if (found && (g->proto != IPPROTO_TCP || ((__u8 *)g->l4)[13] & TCP_SYN))
		return early_drop(ctx, found & NET_INDEX, device);
	view(ctx, g, &v);
	if (!found)
		return early_segment(c, &v);
	if (flow_known(key_flow(&c->secret, &v.src, &v.dst, v.sport, v.dport)))
		return EARLY_NOT;
	return early_drop(ctx, found & NET_INDEX, device);
}

/* The frame's verdict, if it needed no more than this look; else EARLY_NOT. */
static __always_inline int early(struct xdp_md *ctx, __u32 device)
{
	__u32 what = COUNTER_PARSE_OK;
	struct counters *n;
	struct ports *p;
	struct glance g;

	if (!glance(ctx, &g))
		return EARLY_NOT;
	p = ports_get();
	if (!p)
		return EARLY_NOT;
	if (!port_in(p, g.dport, g.proto)) {
		if (p->any)
			return EARLY_NOT;
		what = COUNTER_PARSE_NOT_OURS;
	} else {
		int verdict = early_protected(ctx, &g, device);

		if (verdict != XDP_PASS)
			return verdict;
	}
	n = early_count(ctx, device);
	if (n) {
		n->n[COUNTER_PASS]++;
		n->n[what]++;
	}
	return XDP_PASS;
}

#endif
