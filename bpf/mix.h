/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * mix.h - the keyed hash behind ja4_key, stack_key and order_hash, compiled for
 * the kernel (hello.h) and for userspace, which computes the same keys from
 * the printed form (tls/names.h).
 *
 * In:     what the printed JA4_r says, one call an item.
 * Out:    64 bits, never 0 (0 means: no key).
 * Bound:  lists that are sorted when printed are sums, equal for equal
 *         multisets; lists that keep their order are chains. Without the secret
 *         nobody can choose a list that meets another key: each k[] is an
 *         unknown offset ahead of the finalizer.
 * Source: the finalizer is splitmix64's (Steele, Lea, Flood 2014).
 */
#ifndef WINNOW_MIX_H
#define WINNOW_MIX_H

#include "abi.h"

#define MIX_INLINE static inline __attribute__((always_inline, unused))

/* Every input bit reaches every output bit. */
MIX_INLINE __u64 mix64(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

MIX_INLINE __u64 mix_cipher(const struct secret *s, __u32 cipher) /* to be summed */
{
	return mix64(s->k[0] ^ cipher);
}

MIX_INLINE __u64 mix_extension(const struct secret *s, __u32 type) /* to be summed */
{
	return mix64(s->k[1] ^ type);
}

/* Chains start at k[2] (signature algorithms) and k[3] (extension order). */
MIX_INLINE __u64 mix_next(__u64 chain, __u32 item)
{
	return mix64(chain ^ item);
}

/* The first part of a JA4 as printed, "t13d1516h2", in two words. */
struct mix_head {
	char transport;    /* t q */
	char version[2];   /* "13", "00" */
	char sni;          /* d i */
	__u8 n_ciphers;    /* at most 99 */
	__u8 n_extensions; /* at most 99 */
	char alpn[2];      /* as printed */
};

MIX_INLINE __u64 mix_key(const struct secret *s, const struct mix_head *h, __u64 ciphers,
			 __u64 extensions, __u64 sigalgs)
{
	__u64 a = (__u64)(__u8)h->transport << 56 | (__u64)(__u8)h->version[0] << 48 |
		  (__u64)(__u8)h->version[1] << 40 | (__u64)(__u8)h->sni << 32 |
		  (__u64)h->n_ciphers << 24 | (__u64)h->n_extensions << 16 |
		  (__u64)(__u8)h->alpn[0] << 8 | (__u8)h->alpn[1];

	a = mix64(a ^ s->k[3]);
	a = mix64(a + ciphers);
	a = mix64(a + extensions);
	a = mix64(a + sigalgs);
	return a ? a : 1;
}

#endif
