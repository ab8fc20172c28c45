/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * key.h - where a row lies, computed by the programs (key.bpf.h) and by userspace when it
 * moves rows to a table of another size.
 */
#ifndef WINNOW_KEY_H
#define WINNOW_KEY_H

#include "mix.h"

MIX_INLINE __u64 key_pair(const struct secret *s, __u64 a, __u64 b)
{
	return mix64(mix64(a ^ s->k[0]) + (b ^ s->k[1]));
}

MIX_INLINE __u64 key_tally(const struct secret *s, __u64 src, __u64 stack, __u16 service,
			   __u8 family, __u8 proto)
{
	return mix64(key_pair(s, src, stack) +
		     ((__u64)service << 16 | family << 8 | proto) * 0x9e3779b97f4a7c15ULL);
}

#endif
