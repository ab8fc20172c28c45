/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * rewrite.bpf.h - making a segment into a reset.
 *
 * For the server: same addresses, ports, sequence and acknowledgement, flags
 * RST|ACK, payload gone, checksums whole. Passed up it closes the server's socket
 * at once. For the client: the mirror of it, sent back out of the same device.
 * A RST is never answered, and of those for clients there are only so many a second:
 * whoever sends us segments shall not decide how many we send.
 */
#ifndef WINNOW_REWRITE_BPF_H
#define WINNOW_REWRITE_BPF_H

#include "abi.h"
#include "now.bpf.h"
#include "work.bpf.h"

/* Within this second's budget of replies? */
static __always_inline int reply_allowed(struct control *c)
{
	if (!c->reply_budget ||
	    budget_take(&c->reply_window, &c->reply_used, c->reply_budget, now_boot()))
		return 1;
	count(COUNTER_REPLY_CAPPED);
	return 0;
}

static __always_inline __u16 csum_fold(__s64 sum)
{
	__u32 s = (__u32)sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Pseudo header of addresses, protocol and length, as bpf_csum_diff wants it. */
static __always_inline __s64 csum_pseudo(const struct packet *p, __u32 tcp_len)
{
	__be32 b[10] = {};

	b[0] = bpf_htonl(p->src.hi >> 32);
	b[1] = bpf_htonl(p->src.hi);
	b[2] = bpf_htonl(p->src.lo >> 32);
	b[3] = bpf_htonl(p->src.lo);
	b[4] = bpf_htonl(p->dst.hi >> 32);
	b[5] = bpf_htonl(p->dst.hi);
	b[6] = bpf_htonl(p->dst.lo >> 32);
	b[7] = bpf_htonl(p->dst.lo);
	if (p->family == 4) {
		b[2] = 0; /* the mark of a mapped address */
		b[6] = 0;
	}
	b[8] = bpf_htonl(tcp_len);
	b[9] = bpf_htonl(IPPROTO_TCP);
	return bpf_csum_diff(NULL, 0, b, sizeof(b), 0);
}

/* New payload length of the IP packet whose TCP header is `tcp_len` long. */
static __always_inline int rewrite_ip(struct xdp_md *ctx, const struct packet *p, __u32 tcp_len,
				      int swap)
{
	if (p->family == 4) {
		__be16 old, total = bpf_htons(p->l4_off - p->l3_off + tcp_len);
		struct iphdr ip;
		__u32 sum;

		if (bpf_xdp_load_bytes(ctx, p->l3_off, &ip, sizeof(ip)))
			return -1;
		old = ip.tot_len;
		sum = (__u16)~ip.check;
		sum += (__u16)~old;
		sum += total;
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		ip.check = ~sum;
		ip.tot_len = total;
		if (swap) {
			__be32 a = ip.saddr;

			ip.saddr = ip.daddr;
			ip.daddr = a;
		}
		return bpf_xdp_store_bytes(ctx, p->l3_off, &ip, sizeof(ip));
	} else {
		struct ipv6hdr ip;

		if (bpf_xdp_load_bytes(ctx, p->l3_off, &ip, sizeof(ip)))
			return -1;
		ip.payload_len = bpf_htons(p->l4_off - p->l3_off - sizeof(ip) + tcp_len);
		if (swap) {
			struct in6_addr a = ip.saddr;

			ip.saddr = ip.daddr;
			ip.daddr = a;
		}
		return bpf_xdp_store_bytes(ctx, p->l3_off, &ip, sizeof(ip));
	}
}

static __always_inline void tcp_store(__u8 *b, __u32 at, __u32 v)
{
	b[at] = v >> 24;
	b[at + 1] = v >> 16;
	b[at + 2] = v >> 8;
	b[at + 3] = v;
}

/* The segment becomes a RST to the server (or, `back`, to the client: XDP_TX). 0
 * or -1, then the frame is as it was or must be dropped. */
__noinline int rewrite_reset(struct xdp_md *ctx, __u32 back)
{
	struct work *w = work_get();
	__u32 len, frame, end;
	__u8 b[60] = {};
	__u8 mac[12];
	__u16 sum;

	if (!w || w->p.tcp_flags & TCP_RST)
		return -1;
	len = back ? 20 : w->p.tcp_len;
	if (!between(len, 20, 60))
		return -1;
	frame = bpf_xdp_get_buff_len(ctx);
	end = w->p.l4_off + len;
	if (frame < end)
		return -1;
	if (bpf_xdp_load_bytes(ctx, w->p.l4_off, b, len))
		return -1;
	b[13] = TCP_RST | TCP_ACK;
	b[18] = 0;
	b[19] = 0;
	if (back) {
		__u32 syn = w->p.tcp_flags & TCP_SYN ? 1 : 0;
		__u8 port;

		port = b[0];
		b[0] = b[2];
		b[2] = port;
		port = b[1];
		b[1] = b[3];
		b[3] = port;
		tcp_store(b, 4, w->p.tcp_flags & TCP_ACK ? w->p.ack : 0);
		tcp_store(b, 8, w->p.seq + w->p.payload_len + syn);
		b[12] = 5 << 4;
		b[14] = 0;
		b[15] = 0;
	}
	b[16] = 0;
	b[17] = 0;
	sum = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)b, sizeof(b), csum_pseudo(&w->p, len)));
	b[16] = sum; /* already in network order */
	b[17] = sum >> 8;
	if (rewrite_ip(ctx, &w->p, len, back) || bpf_xdp_store_bytes(ctx, w->p.l4_off, b, len))
		return -1;
	if (back) {
		__u8 swap[12];

		if (bpf_xdp_load_bytes(ctx, 0, mac, sizeof(mac)))
			return -1;
		__builtin_memcpy(swap, mac + 6, 6);
		__builtin_memcpy(swap + 6, mac, 6);
		if (bpf_xdp_store_bytes(ctx, 0, swap, sizeof(swap)))
			return -1;
	}
	if (frame > end && bpf_xdp_adjust_tail(ctx, (int)end - (int)frame))
		return -1;
	return 0;
}

/* Addresses, ports and MACs of the frame change places; doing it twice undoes it. */
static __always_inline int mirror_swap(struct __sk_buff *skb, const struct packet *p, __u8 *tcp,
				       __u32 len)
{
	__u32 at = p->family == 4 ? p->l3_off + 12 : p->l3_off + 8;
	__u8 mac[12], swapped[12], addr[32], other[32];

	if (bpf_skb_load_bytes(skb, 0, mac, 12))
		return -1;
	__builtin_memcpy(swapped, mac + 6, 6);
	__builtin_memcpy(swapped + 6, mac, 6);
	if (bpf_skb_store_bytes(skb, 0, swapped, 12, 0))
		return -1;
	if (p->family == 4) {
		if (bpf_skb_load_bytes(skb, at, addr, 8))
			return -1;
		__builtin_memcpy(other, addr + 4, 4);
		__builtin_memcpy(other + 4, addr, 4);
		if (bpf_skb_store_bytes(skb, at, other, 8, 0))
			return -1;
	} else {
		if (bpf_skb_load_bytes(skb, at, addr, 32))
			return -1;
		__builtin_memcpy(other, addr + 16, 16);
		__builtin_memcpy(other + 16, addr, 16);
		if (bpf_skb_store_bytes(skb, at, other, 32, 0))
			return -1;
	}
	return bpf_skb_store_bytes(skb, p->l4_off, tcp, len, 0);
}

/* Sends the mirror of the RST in `skb` out of its own device: the client's next
 * expected byte as sequence, `acked` as acknowledgement. The frame is left as it was. */
static __always_inline void mirror_reset(struct __sk_buff *skb, struct work *w, __u32 acked)
{
	__u8 was[64] = {}, back[64] = {}; /* of 60 bytes: see some_of() */
	__u32 len = w->p.tcp_len;
	__u16 sum;

	if (len < 20 || len > 60)
		return;
	len = some_of(len, sizeof(was));
	if (bpf_skb_load_bytes(skb, w->p.l4_off, was, len))
		return;
	__builtin_memcpy(back, was, sizeof(back));
	back[0] = was[2];
	back[1] = was[3];
	back[2] = was[0];
	back[3] = was[1];
	tcp_store(back, 4, w->p.ack);
	tcp_store(back, 8, acked);
	back[13] = TCP_RST | TCP_ACK;
	back[14] = 0;
	back[15] = 0;
	back[16] = 0;
	back[17] = 0;
	sum = csum_fold(
		bpf_csum_diff(NULL, 0, (__be32 *)back, sizeof(back), csum_pseudo(&w->p, len)));
	back[16] = sum;
	back[17] = sum >> 8;
	if (!mirror_swap(skb, &w->p, back, len))
		bpf_clone_redirect(skb, skb->ifindex, 0);
	mirror_swap(skb, &w->p, was, len);
}

#endif
