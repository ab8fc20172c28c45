/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * lock.bpf.h - a word that one CPU holds at a time.
 *
 * Not bpf_spin_lock: its two helpers, with interrupts off and on again, cost 34 ns more
 * than these two atomic operations, and nothing may be called under it. Interrupts stay
 * on, for nobody who asks for a word can interrupt its holder: XDP and tc programs run
 * with soft interrupts off.
 *
 * Bound: LOCK_TRIES, tens of milliseconds. Only a holder whose processor has been taken
 * away for longer (by a hypervisor; on PREEMPT_RT by another task) is not waited for: the
 * step is made without the word, and counted as lock_missed.
 */
#ifndef WINNOW_LOCK_BPF_H
#define WINNOW_LOCK_BPF_H

#include "maps.bpf.h"
#include <bpf/bpf_helpers.h>

#define LOCK_TRIES (1 << 23) /* as many as bpf_loop() makes */

/* Set before loading. 1: replay's batches, of which one runs at a time: nobody else is
 * there to be locked out. */
const volatile __u32 runs_alone;

struct lock_wait {
	__u32 *word;
	__u32 held;
};

static __always_inline int lock_try(__u32 *word)
{
	return __sync_val_compare_and_swap(word, 0, 1) == 0;
}

static long lock_again(__u32 i, struct lock_wait *w)
{
	w->held = lock_try(w->word);
	return w->held;
}

/* Out of line: the loop is verified once, not in every step. */
__noinline int lock_wait(__u32 *word)
{
	struct lock_wait w = { word, 0 };
	struct counters *n;
	__u32 all = 0;

	if (!word)
		return 0;
	bpf_loop(LOCK_TRIES, lock_again, &w, 0);
	if (w.held)
		return 0;
	n = bpf_map_lookup_elem(&counters, &all);
	if (n)
		n->n[COUNTER_LOCK_MISSED]++;
	return 0;
}

static __always_inline void lock_take(__u32 *word)
{
	if (!runs_alone && !lock_try(word))
		lock_wait(word);
}

/* An exchange: a plain store may be seen before what was written under the lock. */
static __always_inline void lock_give(__u32 *word)
{
	if (!runs_alone)
		__sync_lock_test_and_set(word, 0);
}

#endif
