/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * now.bpf.h - the one clock. Nothing else in bpf/ asks for the time.
 *
 * Live: CLOCK_MONOTONIC. Handshake packets need 0.1 ms and pay 32 ns for it;
 * data packets take the time of the tick (4 ms steps at HZ=250, 3 ns): each CPU reads
 * its clocks once a tick. Rule expiry and the dead-man count CLOCK_BOOTTIME, so that
 * a suspended host does not keep a rule; that of the tick, too. Replay and tests set
 * one virtual time before each packet.
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

struct ticks {
	__u64 jiffies; /* when the others were read */
	__u64 mono, boot;
	__u64 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ticks);
} clocks SEC(".maps");

static __always_inline struct ticks *ticks_get(void)
{
	__u32 zero = 0;
	struct ticks *t = bpf_map_lookup_elem(&clocks, &zero);
	__u64 j;

	if (!t)
		return NULL;
	j = bpf_jiffies64();
	if (t->jiffies != j) {
		t->mono = bpf_ktime_get_ns();
		t->boot = bpf_ktime_get_boot_ns();
		t->jiffies = j;
	}
	return t;
}

/* One more in the second of `t`? `second` and `used` are the budget's own. Not exact
 * where two CPUs begin a second together. */
static __always_inline int budget_take(__u64 *second, __u64 *used, __u64 budget, __u64 t)
{
	t /= 1000000000ULL;
	if (*second != t) {
		*second = t;
		*used = 0;
	}
	return __sync_fetch_and_add(used, 1) < budget;
}

static __always_inline __u64 now_coarse(void)
{
	struct ticks *t = clock_virtual ? NULL : ticks_get();

	return t ? t->mono : virtual_ns;
}

static __always_inline __u64 now_boot(void)
{
	struct ticks *t = clock_virtual ? NULL : ticks_get();

	return t ? t->boot : virtual_ns;
}

static __always_inline __u32 stamp_of(__u64 ns)
{
	__u32 s = ns >> STAMP_SHIFT;

	return s ?: 1; /* 0 means never */
}

#endif
