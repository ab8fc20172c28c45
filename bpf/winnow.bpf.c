/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "maps.bpf.h"

/* Replay and tests: time is data. Set before loading, then before each packet. */
const volatile __u32 clock_virtual;
__u64 virtual_ns;

SEC("xdp.frags")
int winnow_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int winnow_egress(struct __sk_buff *skb)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
