/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * driver.bpf.c - every run of a test run is another packet.
 *
 * A test run repeats one frame, and a table that sees one flow a million times is
 * always warm. The driver writes the next connection's address, port and numbers into
 * the frame and becomes the program under test by a tail call, so that floors, peers
 * and winnow see the same packets at the same price: that of the driver in front of
 * an empty program is the floor of everything measured with it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct patch);
} patches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, TARGETS);
	__type(key, __u32);
	__type(value, __u32);
} xdp_targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, TARGETS);
	__type(key, __u32);
	__type(value, __u32);
} tc_targets SEC(".maps");

/* Set before each run. */
__u32 target;
__u32 next;
__u32 seq_add, ack_add;

static __always_inline void put(void *at, __u32 v)
{
	*(__u32 *)at = bpf_htonl(v);
}

SEC("xdp.frags")
int drive_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i = next;
	struct patch *p = bpf_map_lookup_elem(&patches, &i);

	if (!p || data + FRAME_PATCHED > end)
		return XDP_ABORTED;
	next = i + 1;
	put(data + FRAME_SADDR, p->addr);
	*(__u16 *)(data + FRAME_SPORT) = bpf_htons(p->port);
	put(data + FRAME_SEQ, p->seq + seq_add);
	put(data + FRAME_ACK, p->ack + ack_add);
	bpf_tail_call(ctx, &xdp_targets, target);
	return XDP_ABORTED;
}

/* The way out: a server's packet, so the client's numbers change places. */
SEC("tc")
int drive_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 i = next;
	struct patch *p = bpf_map_lookup_elem(&patches, &i);

	if (!p || data + FRAME_PATCHED > end)
		return TC_ACT_SHOT;
	next = i + 1;
	put(data + FRAME_DADDR, p->addr);
	*(__u16 *)(data + FRAME_DPORT) = bpf_htons(p->port);
	put(data + FRAME_SEQ, p->ack + ack_add);
	put(data + FRAME_ACK, p->seq + seq_add);
	bpf_tail_call(skb, &tc_targets, target);
	return TC_ACT_SHOT;
}

/* Live frames: the next client's, out of a device. */
__u32 clients; /* patches in turn */
__u32 device;  /* index */

SEC("xdp")
int send(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i = next;
	struct patch *p = bpf_map_lookup_elem(&patches, &i);

	if (!p || data + FRAME_PATCHED > end)
		return XDP_ABORTED;
	next = i + 1 < clients ? i + 1 : 0;
	put(data + FRAME_SADDR, p->addr);
	*(__u16 *)(data + FRAME_SPORT) = bpf_htons(p->port);
	put(data + FRAME_SEQ, p->seq + seq_add);
	put(data + FRAME_ACK, p->ack + ack_add);
	return bpf_redirect(device, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
