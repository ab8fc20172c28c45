/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * now.bpf.h - the one clock. Nothing else in bpf/ asks for the time.
 *
 * Live: CLOCK_MONOTONIC. Handshake packets need 0.1 ms and pay 32 ns for it;
 * data packets take the tick's time (4 ms steps at HZ=250, 3 ns). Rule expiry and
 * the dead-man count CLOCK_BOOTTIME, so that a suspended host does not keep a
 * rule. Replay and tests set one virtual time before each packet.
 */
#ifndef WINNOW_NOW_BPF_H
#define WINNOW_NOW_BPF_H

#include "abi.h"

const volatile __u32 clock_virtual;
__u64 virtual_ns;

static __always_inline __u64 now(void)
{
	return clock_virtual ? virtual_ns : bpf_ktime_get_ns();
}

static __always_inline __u64 now_coarse(void)
{
	return clock_virtual ? virtual_ns : bpf_ktime_get_coarse_ns();
}

static __always_inline __u64 now_boot(void)
{
	return clock_virtual ? virtual_ns : bpf_ktime_get_boot_ns();
}

static __always_inline __u32 stamp_of(__u64 ns)
{
	__u32 s = ns >> STAMP_SHIFT;

	return s ?: 1; /* 0 means never */
}

#endif
