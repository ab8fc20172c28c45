/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * table.bpf.h - the narrow interface to the set-associative tables.
 *
 * A table is an ARRAY of sets of 8 rows with a line of 32-bit tags in front. The
 * low bits of a row's 64-bit key choose the set, the high ones are its tag, which is
 * there once in a set: a key that meets its tag under another key takes that row (once
 * in 2^29 new rows), and is counted as an eviction. All
 * writers of a set hold its stripe's lock, so counts are exact on any number of CPUs.
 * Readers in userspace map the array and look at `gen`: odd or changed means the row was
 * being given to another key.
 * `heat` beside the tag says when a row was last used, so that the coldest is found
 * without looking at eight rows; a table that does not keep it exact looks again.
 *
 * Source: measured 196-260 ns a packet at 1 M keys against 510-800 for LRU_HASH,
 * whose evictions cannot be counted.
 */
#ifndef WINNOW_TABLE_BPF_H
#define WINNOW_TABLE_BPF_H

#include "abi.h"
#include "lock.bpf.h"
#include "verifier.bpf.h"

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

/* The searches below are arithmetic: eight turns are one way through the program for the
 * verifier, and no branch to guess for the processor. 1: x is negative. */
static __always_inline __u64 sign(__u64 x)
{
	hide(x); /* no mask of all ones: the verifier of 6.18 tries both */
	x >>= 63;
	hide(x); /* nor a comparison, which newer compilers make of the two */
	return x;
}

/* 1 if a == b, else 0. */
static __always_inline __u64 same(__u32 a, __u32 b)
{
	__u64 x = a ^ b;

	return sign(x - 1);
}

/* Which bit is the lowest. BPF has no instruction for it. */
static __always_inline __u32 lowest_bit(__u64 x)
{
	x = (x & -x) - 1; /* ones below it, now to be counted */
	x -= x >> 1 & 0x5555555555555555ULL;
	x = (x & 0x3333333333333333ULL) + (x >> 2 & 0x3333333333333333ULL);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return x * 0x0101010101010101ULL >> 56;
}

/* The way whose tag is `want`, or WAYS. */
static __always_inline __u32 tag_way(const __u32 tag[WAYS], __u32 want)
{
	__u64 way = WAYS;

#pragma unroll
	for (__u32 w = 0; w < WAYS; w++)
		way -= same(tag[w], want) * (WAYS - w);
	hide(way);
	way &= 2 * WAYS - 1;
	hide(way);
	return way;
}

/* The way of `set` whose tag is `want` and that satisfies `match` (an expression in
 * `w_`); else WAYS or more, which way_victim() understands. */
#define way_find(set, want, match)                               \
	({                                                       \
		__u32 way_ = tag_way((set)->tag, want);          \
		__u32 w_ = way_;                                 \
                                                                 \
		hide(w_); /* masked, not believed to be small */ \
		w_ &= WAYS - 1;                                  \
		if (way_ < WAYS && !(match))                     \
			way_ += 2 * WAYS; /* taken by another */ \
		hide(way_);                                      \
		way_;                                            \
	})

/* Where a key's row is likely to be: the first places that it was offered. At half a
 * table's load 9 of 10 rows are in one of the two. */
static __always_inline __u32 way_home(__u64 key)
{
	return key >> 61;
}

static __always_inline __u32 way_second(__u64 key)
{
	return key >> 58 & (WAYS - 1);
}

/* A free way, else one that has ended (its homes first: then whoever looks for the key
 * finds it with no more lines than those it asked for), else the coldest. Above AGE_CLASS
 * an age is a class; what is older than `life` of its own class is above those that are
 * not. */
#define AGE_CLASS     (1U << 28)
#define AGE_EXPIRED   29 /* a bit of its own */
#define AGE_ENDED_BIT 30
#define AGE_ENDED     (1U << AGE_ENDED_BIT)
#define AGE_FOREVER   (AGE_CLASS - 1)

static __always_inline __u32 way_coldest(const __u32 tag[WAYS], const __u32 heat[WAYS], __u32 at,
					 __u32 life, __u64 key)
{
	__u32 home = way_home(key), second = way_second(key);
	__u64 best = 0, v, less;

#pragma unroll
	for (__u32 w = 0; w < WAYS; w++) {
		__u32 age = at - heat[w];

		age *= 1 - sign((__u64)age << 32); /* used "later" on another CPU: hot */
		if (life != AGE_FOREVER)
			age += sign((__u64)life - (age & (AGE_CLASS - 1))) << AGE_EXPIRED;
		age -= (age >> AGE_ENDED_BIT) * (age & (AGE_ENDED - 1)); /* one like another */
		v = same(tag[w], 0) << 32 | age;
		v = ((v << 1 | same(w, home)) << 1 | same(w, second)) << 3 | w;
		less = best - v;
		best = v + less * (1 - sign(less)); /* the greater one */
	}
	return best & (WAYS - 1);
}

/* The row to give to a key that way_find() answered `found` for. */
static __always_inline __u32 way_victim(const __u32 tag[WAYS], const __u32 heat[WAYS], __u32 found,
					__u32 at, __u32 life, __u64 key)
{
	if (found >= 2 * WAYS)
		return found & (WAYS - 1);
	return way_coldest(tag, heat, at, life, key);
}

/* The same where heat may be older than the row: the row it points to is asked
 * (`last_seen`), and if it was used since, another one. */
#define VICTIM_TURNS 3
#define way_victim_asked(set, found, at, key, seen)                                             \
	({                                                                                      \
		__u32 v_ = 0;                                                                   \
		_Pragma("unroll") for (int turn_ = 0; turn_ < VICTIM_TURNS; turn_++)            \
		{                                                                               \
			__u32 w_, seen_;                                                        \
                                                                                                \
			w_ = way_victim((set)->tag, (set)->heat, found, at, AGE_FOREVER, key);  \
			v_ = w_;                                                                \
			seen_ = (seen);                                                         \
			if (!(set)->tag[w_] || (found) >= 2 * WAYS || seen_ == (set)->heat[w_]) \
				break;                                                          \
			(set)->heat[w_] = seen_;                                                \
		}                                                                               \
		v_;                                                                             \
	})

/* Asks for the line at `p` now; it is needed soon, and the wait is shared with others. */
#define touch(p)                                                                 \
	({                                                                       \
		__u64 touched_;                                                  \
		asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(touched_) : "r"(p)); \
	})

/* The lines of the row where a key is likely to be. */
#define touch_row(set, key)                                                                    \
	({                                                                                     \
		const char *row_ = (const char *)&(set)->slot[way_home(key) & (WAYS - 1)];     \
                                                                                               \
		_Pragma("unroll") for (__u32 at_ = 0; at_ < sizeof((set)->slot[0]); at_ += 64) \
			touch(row_ + at_);                                                     \
		if (sizeof((set)->slot[0]) % 64)                                               \
			touch(row_ + sizeof((set)->slot[0]) - 8);                              \
	})

/* And the line that says what is in the set: one wait for all of them, ahead of the lock. */
#define touch_set(set, key)            \
	({                             \
		touch(&(set)->tag[0]); \
		touch_row(set, key);   \
	})

#endif
