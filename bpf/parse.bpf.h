/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * parse.bpf.h - from the first byte of a frame to the first byte of payload.
 *
 * One cursor, one way forward. A frame is parsed in place when its headers are in
 * the linear part; a driver that splits headers short of that (frags) costs a copy
 * of the first bytes. Lengths come from the IP header, never from the frame, so
 * Ethernet padding is not payload.
 */
#ifndef WINNOW_PARSE_BPF_H
#define WINNOW_PARSE_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include "abi.h"
#include "now.bpf.h"
#include "verifier.bpf.h"

#define PARSE_SPAN    256 /* headers end by here, or we do not follow */
#define VLAN_TAGS_MAX 2
#define IPV6_EXT_MAX  8

#define IP_MF     0x2000
#define IP_DF     0x4000
#define IP_EVIL   0x8000
#define IP_OFFSET 0x1fff

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

struct packet {
	struct addr src, dst;
	__u32 seq, ack;
	__u32 frame_len;
	__u32 payload_len; /* as the IP header declares it */
	__u16 sport, dport;
	__u16 l3_off, l4_off;
	__u16 payload_off;
	__u16 ext; /* bytes of IPv6 extension headers */
	__u32 off;
	__u8 tcp_flags;
	__u8 tcp_len; /* header with options */
	__u8 family;  /* 4 or 6 */
	__u8 ttl;
	__u8 ip_olen;
	__u8 ip_flags; /* enum syn_ip_flag */
	__u8 proto;
	__u8 cut;        /* the frame holds less than declared (short snaplen) */
	__u8 bad_source; /* named in replay, never tallied, never ruled */
	__u8 icmp_type;
};

struct cursor {
	void *data, *end; /* the linear part of the frame, or ... */
	__u8 *raw;        /* a copy of its first bytes */
	__u32 raw_len;
	__u32 off;
};

#define PARSE_RAW (PARSE_SPAN + 64)

/* The next `len` bytes, or NULL if the packet or our span ends first. */
static __always_inline void *take(struct cursor *c, __u32 len)
{
	__u32 off = c->off;
	void *at;

	if (off > PARSE_SPAN - 1)
		return NULL;
	if (c->raw) {
		if (off + len > c->raw_len)
			return NULL;
		c->off = off + len;
		return c->raw + (off & (PARSE_SPAN - 1));
	}
	at = c->data + off;
	if (at + len > c->end)
		return NULL;
	c->off = off + len;
	return at;
}

static __always_inline struct addr addr_of_v4(__be32 a)
{
	return (struct addr){ .lo = ADDR_V4_MARK | bpf_ntohl(a) };
}

static __always_inline struct addr addr_of_v6(const struct in6_addr *a)
{
	struct addr out;

	out.hi = (__u64)bpf_ntohl(a->s6_addr32[0]) << 32 | bpf_ntohl(a->s6_addr32[1]);
	out.lo = (__u64)bpf_ntohl(a->s6_addr32[2]) << 32 | bpf_ntohl(a->s6_addr32[3]);
	return out;
}

/* Addresses no client can have: the packet is passed and never believed. */
static __always_inline int source_is_bad(const struct packet *p)
{
	if (p->src.hi == p->dst.hi && p->src.lo == p->dst.lo)
		return 1;
	if (p->family == 4) {
		__u32 a = p->src.lo;
		__u32 net = a >> 24;

		return net == 0 || net == 127 || net >= 224;
	}
	return p->src.hi >> 56 == 0xff || (p->src.hi == 0 && p->src.lo <= 1) ||
	       (p->src.hi == 0 && p->src.lo >> 32 == 0xffff);
}

static __always_inline enum parse_result parse_v4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	__u32 ihl, total, frag, have = p->frame_len - p->l3_off;

	if (!ip)
		return PARSE_SHORT;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ihl < sizeof(*ip))
		return PARSE_BAD_IP;
	if (clock_virtual && !total) /* captured above segmentation offload */
		total = have;
	if (total < ihl || ihl > have || (total > have && !clock_virtual))
		return PARSE_BAD_IP;
	p->cut = total > have;
	p->family = 4;
	p->src = addr_of_v4(ip->saddr);
	p->dst = addr_of_v4(ip->daddr);
	p->ttl = ip->ttl;
	p->ip_olen = ihl - sizeof(*ip);
	frag = bpf_ntohs(ip->frag_off);
	p->ip_flags = (frag & IP_DF ? SYN_DF : 0) | (frag & IP_EVIL ? SYN_MBZ : 0) |
		      (ip->id ? 0 : SYN_ID_ZERO) | (ip->tos & 3 ? SYN_ECN : 0);
	p->proto = ip->protocol;
	p->payload_len = total - ihl;
	p->off = p->l3_off + ihl;
	barrier();
	c->off = p->off;
	if (frag & (IP_MF | IP_OFFSET))
		return PARSE_FRAGMENT;
	return PARSE_OK;
}

static __always_inline enum parse_result parse_v6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	__u32 have, total;

	if (!ip)
		return PARSE_SHORT;
	if (ip->version != 6)
		return PARSE_BAD_IP;
	have = p->frame_len - c->off;
	total = bpf_ntohs(ip->payload_len);
	if (clock_virtual && !total)
		total = have;
	if (total > have && !clock_virtual)
		return PARSE_BAD_IP;
	p->cut = total > have;
	p->family = 6;
	p->src = addr_of_v6(&ip->saddr);
	p->dst = addr_of_v6(&ip->daddr);
	p->ttl = ip->hop_limit;
	p->ip_flags =
		(ip->flow_lbl[0] & 0x0f) | ip->flow_lbl[1] | ip->flow_lbl[2] ? SYN_FLOW_LABEL : 0;
	if (ip->flow_lbl[0] >> 4 & 3)
		p->ip_flags |= SYN_ECN;
	p->proto = ip->nexthdr;
	p->ext = 0;
	p->off = c->off;
	for (int i = 0; i <= IPV6_EXT_MAX; i++) {
		__u32 len;
		__u8 *ext, next;

		barrier(); /* each turn starts from memory */
		next = p->proto;
		c->off = p->off;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_AH && next != IPPROTO_FRAGMENT) {
			p->ip_olen = p->ext > 255 ? 255 : p->ext;
			if (p->ext > total)
				return PARSE_BAD_IP;
			p->payload_len = total - p->ext;
			return next == IPPROTO_NONE ? PARSE_NOT_TCP : PARSE_OK;
		}
		if (i == IPV6_EXT_MAX)
			break;
		ext = take(c, 8);
		if (!ext)
			return PARSE_SHORT;
		p->proto = ext[0];
		if (next == IPPROTO_FRAGMENT) {
			if (ext[2] || ext[3] & 0xf9) /* an atomic fragment is whole */
				return PARSE_FRAGMENT;
			len = 8;
		} else if (next == IPPROTO_AH) {
			len = (ext[1] + 2) * 4;
		} else {
			len = (ext[1] + 1) * 8;
		}
		if (len < 8)
			return PARSE_BAD_IP;
		p->ext += len;
		p->off += len;
		/* Hidden, or clang drops the test at the end of the turn; the way back
		 * is then no jump, and kernels before 6.8 refuse that ("back-edge"). */
		hide(i);
	}
	return PARSE_EXTENSION;
}

static __always_inline enum parse_result parse_l4(struct cursor *c, struct packet *p)
{
	struct tcphdr *tcp;
	__u32 len;

	p->l4_off = c->off;
	if (p->proto == IPPROTO_UDP) {
		__be16 *udp = take(c, 8);

		if (!udp)
			return PARSE_SHORT;
		if (p->payload_len < 8)
			return PARSE_BAD_IP;
		p->sport = bpf_ntohs(udp[0]);
		p->dport = bpf_ntohs(udp[1]);
		p->payload_len -= 8;
		p->payload_off = c->off;
		return PARSE_OK;
	}
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		__u8 *icmp = take(c, 2);

		p->icmp_type = icmp ? icmp[0] : 0;
		return PARSE_NOT_TCP;
	}
	if (p->proto != IPPROTO_TCP)
		return PARSE_NOT_TCP;
	tcp = take(c, sizeof(*tcp));
	if (!tcp)
		return PARSE_SHORT;
	p->sport = bpf_ntohs(tcp->source);
	p->dport = bpf_ntohs(tcp->dest);
	p->seq = bpf_ntohl(tcp->seq);
	p->ack = bpf_ntohl(tcp->ack_seq);
	p->tcp_flags = ((__u8 *)tcp)[13];
	len = tcp->doff * 4;
	if (len < sizeof(*tcp) || len > p->payload_len)
		return PARSE_BAD_TCP;
	p->tcp_len = len;
	p->payload_len -= len;
	p->payload_off = p->l4_off + len;
	return PARSE_OK;
}

static __always_inline enum parse_result parse_frame(struct cursor c, struct packet *p)
{
	struct ethhdr *eth = take(&c, sizeof(*eth));
	enum parse_result r;
	__be16 proto;

	if (!eth)
		return PARSE_SHORT;
	proto = eth->h_proto;
	for (int i = 0; i <= VLAN_TAGS_MAX; i++) {
		__be16 *tag;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if (i == VLAN_TAGS_MAX)
			return PARSE_TOO_MANY_TAGS;
		tag = take(&c, 4);
		if (!tag)
			return PARSE_SHORT;
		proto = tag[1];
	}
	p->l3_off = c.off;
	if (proto == bpf_htons(ETH_P_IP))
		r = parse_v4(&c, p);
	else if (proto == bpf_htons(ETH_P_IPV6))
		r = parse_v6(&c, p);
	else
		return PARSE_NOT_IP;
	if (r != PARSE_OK)
		return r;
	return parse_l4(&c, p);
}

#endif
