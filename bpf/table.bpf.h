/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * table.bpf.h - the narrow interface to the set-associative tables.
 *
 * A table is an ARRAY of sets of 8 rows with a line of 32-bit tags in front. The
 * low bits of a row's 64-bit key choose the set, the high ones are its tag. All
 * writers of a set hold its stripe's spin lock, so counts are exact on any number
 * of CPUs; no helper may be called under it. Readers in userspace map the array
 * and look at `gen`: odd or changed means the row was being given to another key.
 *
 * Source: measured 196-260 ns a packet at 1 M keys against 510-800 for LRU_HASH,
 * whose evictions cannot be counted.
 */
#ifndef WINNOW_TABLE_BPF_H
#define WINNOW_TABLE_BPF_H

#include "abi.h"

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

static __always_inline __u32 tag_of(__u64 key)
{
	return key >> 32 ?: 1;
}

/* `gen` odd while the key changes. The fetching add is a full barrier. */
#define row_open(row)  __sync_fetch_and_add(&(row)->gen, 1)
#define row_close(row) __sync_fetch_and_add(&(row)->gen, 1)

/* How cold a row is: stamps since it was last seen, wrap-around safe. */
static __always_inline __u32 row_age(__u32 stamp, __u32 last_seen)
{
	__u32 age = stamp - last_seen;

	return age >> 31 ? 0 : age; /* seen "later" on another CPU: hot */
}

/* Both searches keep their state in set->spare, under the set's lock: eight turns
 * then cost the verifier eight walks, not 2^8.
 *
 * The way of `set` that satisfies `match` (an expression in `w_`), or WAYS. */
#define way_find(set, want, match)                                    \
	({                                                            \
		(set)->spare[0] = WAYS;                               \
		_Pragma("unroll") for (__u32 w_ = 0; w_ < WAYS; w_++) \
		{                                                     \
			if ((set)->tag[w_] == (want) && (match))      \
				(set)->spare[0] = w_;                 \
			barrier();                                    \
		}                                                     \
		(set)->spare[0];                                      \
	})

/* A free way, else the one for which `age` (an expression in `w_`) is highest. */
#define way_victim(set, age)                                               \
	({                                                                 \
		(set)->spare[0] = 0;                                       \
		(set)->spare[1] = 0;                                       \
		_Pragma("unroll") for (__u32 w_ = 0; w_ < WAYS; w_++)      \
		{                                                          \
			__u32 age_ = (set)->tag[w_] ? (age) : 0xffffffffU; \
                                                                           \
			if (age_ >= (set)->spare[1]) {                     \
				(set)->spare[1] = age_;                    \
				(set)->spare[0] = w_;                      \
			}                                                  \
			barrier();                                         \
		}                                                          \
		(set)->spare[0];                                           \
	})

#endif
