/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * verifier.bpf.h - what has to be said so that the verifiers of 6.1 to 6.18 see what the
 * programs do, whichever compiler made them.
 */
#ifndef WINNOW_VERIFIER_BPF_H
#define WINNOW_VERIFIER_BPF_H

#include <linux/types.h>

/* What is in memory is read again: no memset() made of a loop, and the verifier
 * forgets what it had learnt of it. */
#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif

/* The compiler forgets what it knew of x: a test of it stays, next to what it guards. */
#define hide(x) asm volatile("" : "+r"(x))

/* lo <= x <= hi in two tests of x: left alone the compiler tests x - lo once, from
 * which kernels before 6.11 learn nothing about x. lo is at least 2, for x >= 1 is made
 * x != 0, from which those before 6.8 learn nothing: there is some_of(). */
#define between(x, lo, hi)    \
	(({                   \
		 hide(x);     \
		 (x) >= (lo); \
	 }) &&                \
	 ({                   \
		 hide(x);     \
		 (x) <= (hi); \
	 }))

/* A length from 1 to max, a power of two, stays what it is; and the verifier knows. */
static __always_inline __u32 some_of(__u32 len, __u32 max)
{
	len -= 1;
	hide(len);
	return (len & (max - 1)) + 1;
}

#endif
