/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * early.bpf.h - the frames that need no more than a look: those for ports that are
 * not protected, and segments of proved connections without a verdict. Everything else
 * (a new connection, a rule, odd headers) takes the long way, and has changed nothing
 * here.
 */
#ifndef WINNOW_EARLY_BPF_H
#define WINNOW_EARLY_BPF_H

#include "abi.h"
#include "flow.bpf.h"
#include "judge.bpf.h"
#include "parse.bpf.h"
#include "tally.bpf.h"
#include "work.bpf.h"

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

/* Bytes and exchanges of a segment that moved its flow, into the row it joined. */
__noinline int account(void)
{
	struct work *w = work_get();
	struct tally_join *j;
	struct moved *m;
	__u32 ref;

	if (!w)
		return 0;
	m = &w->m;
	if (tally_add(m, stamp_of(w->t)))
		return 0;
	/* Evicted: the flow takes its source's row up again, as no new connection. */
	j = &w->join;
	__builtin_memset(j, 0, sizeof(*j));
	j->src = source_word(&w->p.src, w->p.family);
	j->stack = m->stack;
	j->stamp = stamp_of(w->t);
	j->bytes_in = m->in;
	j->bytes_out = m->out;
	j->service = w->p.dport;
	j->family = w->p.family;
	j->proto = IPPROTO_TCP;
	ref = tally_join(j);
	if (!ref)
		return 0;
	m->tally = ref - 1;
	m->tally_gen = j->gen;
	m->in = 0;
	m->out = 0;
	if (m->exchange)
		tally_add(m, stamp_of(w->t));
	flow_rejoin(w->key, m->tally, m->tally_gen);
	return 0;
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

static __always_inline struct counters *counters_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* A segment of a protected port. 1: it has been dealt with. */
static __always_inline int early_segment(const struct glance *g)
{
	struct control *c = control_get();
	struct tcphdr *tcp = g->l4;
	struct segment_view seg;
	struct addr src, dst;
	struct work *w;
	__u64 key, t;
	__u16 sport;
	int done;

	if (!c || g->proto != IPPROTO_TCP)
		return 0;
	seg.tcp_flags = ((__u8 *)tcp)[13];
	if ((seg.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return 0;
	if (g->family == 4) {
		src = addr_of_v4(((struct iphdr *)g->ip)->saddr);
		dst = addr_of_v4(((struct iphdr *)g->ip)->daddr);
	} else {
		src = addr_of_v6(&((struct ipv6hdr *)g->ip)->saddr);
		dst = addr_of_v6(&((struct ipv6hdr *)g->ip)->daddr);
	}
	seg.seq = bpf_ntohl(tcp->seq);
	seg.ack = bpf_ntohl(tcp->ack_seq);
	seg.payload_len = g->len - tcp->doff * 4;
	sport = bpf_ntohs(tcp->source);
	if (c->n_source_rules && source_rule(c, &src))
		return 0;
	key = key_flow(&c->secret, &src, &dst, sport, g->dport);
	t = now_coarse();
	w = work_get();
	if (!w)
		return 0;
	done = flow_pass(key, &seg, t, &w->m);
	if (done != 2)
		return done;
	w->p.src = src;
	w->p.family = g->family;
	w->p.dport = g->dport;
	w->key = key;
	w->t = t;
	account();
	return 1;
}

/* 1: the frame has been dealt with, and passes. */
static __always_inline int early(struct xdp_md *ctx)
{
	__u32 what = COUNTER_PARSE_OK;
	struct counters *n;
	struct ports *p;
	struct glance g;

	if (!glance(ctx, &g))
		return 0;
	p = ports_get();
	if (!p)
		return 0;
	if (!port_in(p, g.dport, g.proto)) {
		if (p->any)
			return 0;
		what = COUNTER_PARSE_NOT_OURS;
	} else if (!early_segment(&g)) {
		return 0;
	}
	n = counters_get();
	if (n) {
		n->n[COUNTER_PACKETS]++;
		n->n[COUNTER_BYTES] += ctx->data_end - ctx->data; /* no IP byte is elsewhere */
		n->n[COUNTER_PASS]++;
		n->n[what]++;
	}
	return 1;
}

#endif
