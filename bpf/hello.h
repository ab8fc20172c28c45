/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * hello.h - the ClientHello parser: one, compiled for the kernel (a global
 * function the verifier checks once, alone) and for the host (tls/hello.c).
 *
 * In:     one handshake message, record headers gone, from its type byte; its
 *         length; the secret; out->transport, 't' or 'q'.
 * Out:    *out whole when HELLO_OK; else all zero but transport.
 * Errors: enum hello_result. A prefix of a good hello is `short`.
 *
 * Bytes at and past `len` never decide anything: each read follows a comparison
 * with len, the mask is there for the verifier only.
 *
 * What JA4 leaves open, decided once:
 * - GREASE goes from ciphers, extensions, signature algorithms and versions.
 * - Duplicate extensions all count; the first one's data is read.
 * - No extensions block is a hello without extensions (TLS 1.0, SSL 3.0).
 * - An extension without data is an empty list: no signature algorithms, ALPN
 *   "00", version from legacy_version. So is supported_versions with GREASE only.
 * - SNI is there when its extension is, empty or not.
 * - A length that leads past the message is `short`. The lists that are read -
 *   ciphers, signature algorithms, versions, ALPN - fill what holds them and have
 *   no half item, or it is `bad_length`. Of ALPN only the first name is read. What
 *   JA4 does not look at - names in SNI, groups, shares - is not judged.
 */
#ifndef WINNOW_HELLO_H
#define WINNOW_HELLO_H

#include "abi.h"

enum tls_extension {
	EXT_SNI = 0x0000,
	EXT_GROUPS = 0x000a,
	EXT_POINTS = 0x000b,
	EXT_SIGALGS = 0x000d,
	EXT_ALPN = 0x0010,
	EXT_PADDING = 0x0015,
	EXT_TICKET = 0x0023,
	EXT_PSK = 0x0029,
	EXT_EARLY_DATA = 0x002a,
	EXT_VERSIONS = 0x002b,
	EXT_COOKIE = 0x002c,
	EXT_KEY_SHARE = 0x0033,
	EXT_ECH = 0xfe0d,
};

/* Extensions a client sends or not by what it remembers of the server. */
#define EXT_STATE_BITS                                                                         \
	(1ULL << EXT_PADDING | 1ULL << EXT_TICKET | 1ULL << EXT_PSK | 1ULL << EXT_EARLY_DATA | \
	 1ULL << EXT_COOKIE)

#define HELLO_TYPE           1
#define HELLO_VERSIONS_MAX   127 /* as many as its length byte can say */
#define HELLO_KEY_SHARES_MAX 32  /* counted; more are not looked at */

#ifdef __bpf__
#define HELLO_FN __attribute__((noinline))
#else
#define HELLO_FN
#endif
#define HELLO_BLOCK 16 /* items a call: the verifier walks each call once */

HELLO_FN int hello_parse(struct hello_buf *buf, __u32 len, const struct secret *secret,
			 struct hello *out);

static inline int hello_is_grease(__u32 v) /* 0x0a0a, 0x1a1a .. 0xfafa */
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* The two characters JA4 prints for a version. */
static inline __attribute__((always_inline)) void hello_version_text(__u32 version, char out[2])
{
	out[0] = '0';
	out[1] = '0';
	if (version >= 0x0301 && version <= 0x0304) {
		out[0] = '1';
		out[1] = '0' + (version - 0x0301);
	} else if (version == 0x0300 || version == 0x0002) {
		out[0] = 's';
		out[1] = version == 0x0300 ? '3' : '2';
	} else if (version >= 0xfefc && version <= 0xfeff && version != 0xfefe) {
		out[0] = 'd';
		out[1] = version == 0xfeff ? '1' : version == 0xfefd ? '2' : '3';
	}
}

/* The connection's first bytes are another protocol's. */
static inline int hello_is_other(__u32 result)
{
	return result == HELLO_NOT_TLS || (result >= HELLO_HTTP && result <= HELLO_DTLS);
}

static inline int hello_is_alnum(__u32 c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* The two characters JA4 prints for an ALPN name's first and last byte. */
static inline __attribute__((always_inline)) void hello_alpn_text(int some, __u32 first, __u32 last,
								  char out[2])
{
	out[0] = '0';
	out[1] = '0';
	if (!some)
		return;
	if (!hello_is_alnum(first) || !hello_is_alnum(last)) {
		first >>= 4;
		last &= 15;
		first += first < 10 ? '0' : 'a' - 10;
		last += last < 10 ? '0' : 'a' - 10;
	}
	out[0] = first;
	out[1] = last;
}

#if defined(__bpf__) || defined(HELLO_INSTANTIATE)

#include "mix.h"

#define HELLO_INLINE static inline __attribute__((always_inline))
#ifdef __bpf__
#define HELLO_PART HELLO_FN /* a global function too: checked once, not once a call */
#else
#define HELLO_PART static inline
#endif

/* What the compiler may not reason about: it would drop the masks and loop bounds
 * that it can prove and the verifier cannot. */
#define HELLO_HIDE(x) asm volatile("" : "+r"(x))

/* Values kept in *out are read again: the verifier then forgets what it learnt of
 * them on the way here, and paths that differ in nothing else are walked once. */
#define HELLO_FORGET() asm volatile("" ::: "memory")

/* buf->b is HELLO_SLACK longer than any masked index, so that a field is one load. */
HELLO_INLINE const __u8 *hello_at(const struct hello_buf *buf, __u32 off)
{
	__u64 at = off;

	HELLO_HIDE(at);
	return &buf->b[at & (HELLO_MAX - 1)];
}

HELLO_INLINE __u32 hello_u8(const struct hello_buf *buf, __u32 off)
{
	return *hello_at(buf, off);
}

#ifdef __bpf__
typedef __u16 hello_be16; /* told that it may be unaligned, clang loads bytes */
#else
typedef __u16 hello_be16 __attribute__((aligned(1), may_alias));
#endif

HELLO_INLINE __u32 hello_u16(const struct hello_buf *buf, __u32 off)
{
	return __builtin_bswap16(*(const hello_be16 *)hello_at(buf, off));
}

/* 1 if x is 0, else 0; x < 2^63. In the loops below a branch is a path and the
 * verifier walks each; it forks on a mask of ones and zeros too, so multiply. */
HELLO_INLINE __u64 hello_none(__u64 x)
{
	HELLO_HIDE(x);
	x = (x - 1) >> 63;
	HELLO_HIDE(x);
	return x;
}

/* 1 for GREASE, else 0. GREASE is 0x0a0a + 257 * 16 * i with i < 16; the product with
 * the inverse of 257 mod 2^32 is 16 * i for those and no other 16-bit number. */
HELLO_INLINE __u64 hello_grease(__u32 v)
{
	v = (v - 0x0a0a) * 0xff00ff01U;
	return hello_none(v & ~0xf0U);
}

/* One extension. */
HELLO_INLINE void hello_extension(struct hello_walk *w, const struct secret *s, __u32 type,
				  __u32 off)
{
	__u64 keep, small, bit, lasting, listed, mixed, next;
	__u32 slot, first;

	keep = 1 - hello_grease(type);
	small = hello_none(type >> 6);
	bit = small << (type & 63);
	lasting = hello_none(bit & EXT_STATE_BITS);
	listed = hello_none(bit & (1ULL << EXT_SNI | 1ULL << EXT_ALPN));
	mixed = mix_extension(s, type) * (keep * listed);
	next = mix_next(w->order, (type + 1) * keep);
	w->ja4 += mixed;
	w->stack += mixed * lasting;
	w->order += (next - w->order) * (1 - hello_none(type ^ EXT_PSK));
	w->n_extensions += keep;
	w->n_stack += keep * lasting;
	w->grease_ext |= 1 - keep;
	w->ech |= hello_none(type ^ EXT_ECH);
	slot = type | (1 - small) * 63;
	HELLO_HIDE(slot);
	first = w->at[slot & 63];
	w->at[slot & 63] = first + off * hello_none(first);
}

/* Up to HELLO_BLOCK more extensions: walk.next says how far it has come. */
HELLO_PART int hello_extension_block(struct hello_buf *buf, const struct secret *s, __u32 end)
{
	__u32 off;

	if (!buf || !s)
		return HELLO_SHORT;
	off = buf->walk.next;
	for (__u32 i = 0; i < HELLO_BLOCK; i++) {
		__u32 len;

		HELLO_HIDE(i);
		if (off >= end)
			break;
		if (end - off < 4)
			return HELLO_SHORT;
		len = hello_u16(buf, off + 2);
		if (end - off - 4 < len)
			return HELLO_SHORT;
		hello_extension(&buf->walk, s, hello_u16(buf, off), off + 4);
		off += 4 + len;
	}
	buf->walk.next = off;
	return HELLO_OK;
}

HELLO_INLINE int hello_extensions(struct hello_buf *buf, const struct secret *s,
				  const struct hello *h)
{
	__u32 end = h->extensions_off + h->extensions_len;
	int err;

	buf->walk.next = h->extensions_off;
	for (__u32 i = 0; i <= HELLO_EXTENSIONS_MAX; i += HELLO_BLOCK) {
		HELLO_HIDE(i);
		if (buf->walk.next >= end)
			return HELLO_OK;
		err = hello_extension_block(buf, s, end);
		if (err)
			return err;
	}
	return HELLO_TOO_MANY_EXTENSIONS;
}

/* Up to HELLO_BLOCK of the n cipher suites left. */
HELLO_PART int hello_cipher_block(struct hello_buf *buf, const struct secret *s, __u32 off, __u32 n)
{
	__u64 sum = 0, seen = 0;

	if (!buf || !s)
		return 0;
	for (__u32 i = 0; i < HELLO_BLOCK; i++) {
		__u64 keep;
		__u32 v;

		HELLO_HIDE(i);
		if (i >= n)
			break;
		v = hello_u16(buf, off + 2 * i);
		keep = 1 - hello_grease(v);
		sum += mix_cipher(s, v) * keep;
		seen += keep;
	}
	buf->walk.ciphers += sum;
	buf->walk.n_ciphers += seen;
	return 0;
}

HELLO_PART int hello_sigalg_block(struct hello_buf *buf, const struct secret *s, __u32 off, __u32 n)
{
	__u64 chain;

	if (!buf || !s)
		return 0;
	chain = buf->walk.sigalgs;
	for (__u32 i = 0; i < HELLO_BLOCK; i++) {
		__u32 v;

		HELLO_HIDE(i);
		if (i >= n)
			break;
		v = hello_u16(buf, off + 2 * i);
		chain += (mix_next(chain, v) - chain) * (1 - hello_grease(v));
	}
	buf->walk.sigalgs = chain;
	return 0;
}

HELLO_INLINE void hello_ciphers(struct hello_buf *buf, const struct secret *s,
				const struct hello *h)
{
	__u32 off = h->ciphers_off, n = h->ciphers_len / 2;

	for (__u32 i = 0; i < HELLO_CIPHERS_MAX; i += HELLO_BLOCK) {
		HELLO_HIDE(i);
		if (i >= n)
			break;
		hello_cipher_block(buf, s, off + 2 * i, n - i);
	}
}

/* A list of 16-bit items that fills its extension: their number, or -1. */
HELLO_INLINE int hello_items(const struct hello_buf *buf, __u32 off, __u32 len, __u32 prefix)
{
	__u32 inside;

	if (!len)
		return 0;
	if (len < prefix)
		return -1;
	inside = prefix == 1 ? hello_u8(buf, off) : hello_u16(buf, off);
	if (inside != len - prefix || inside & 1)
		return -1;
	return inside / 2;
}

HELLO_INLINE int hello_sigalgs(struct hello_buf *buf, const struct secret *s, const struct hello *h)
{
	int items = hello_items(buf, h->sigalgs_off, h->sigalgs_len, 2);
	__u32 n = items, off = h->sigalgs_off + 2;

	if (items < 0)
		return HELLO_BAD_LENGTH;
	if (n > HELLO_SIGALGS_MAX)
		return HELLO_TOO_MANY_SIGALGS;
	HELLO_HIDE(n);
	for (__u32 i = 0; i < HELLO_SIGALGS_MAX; i += HELLO_BLOCK) {
		HELLO_HIDE(i);
		if (i >= n)
			break;
		hello_sigalg_block(buf, s, off + 2 * i, n - i);
	}
	return HELLO_OK;
}

HELLO_INLINE int hello_versions(const struct hello_buf *buf, struct hello *h)
{
	int items = hello_items(buf, h->versions_off, h->versions_len, 1);
	__u32 n = items, off = h->versions_off + 1;
	__u64 best = 0;

	if (items < 0)
		return HELLO_BAD_LENGTH;
	HELLO_HIDE(n);
	for (__u32 i = 0; i < HELLO_VERSIONS_MAX; i++) {
		__u64 v, lower;

		HELLO_HIDE(i);
		if (i >= n)
			break;
		v = hello_u16(buf, off);
		off += 2;
		v *= 1 - hello_grease(v);
		lower = (best - v) >> 63;
		HELLO_HIDE(lower);
		best += (v - best) * lower;
	}
	h->version = best ? best : h->legacy_version;
	return HELLO_OK;
}

HELLO_INLINE int hello_alpn(const struct hello_buf *buf, struct hello *h)
{
	__u32 off = h->alpn_off, len = h->alpn_len, name;

	if (!len)
		return HELLO_OK;
	if (len < 2 || hello_u16(buf, off) != len - 2)
		return HELLO_BAD_LENGTH;
	if (len == 2)
		return HELLO_OK;
	name = hello_u8(buf, off + 2);
	if (name > len - 3)
		return HELLO_BAD_LENGTH;
	if (name) {
		h->alpn_first = hello_u8(buf, off + 3);
		h->alpn_last = hello_u8(buf, off + 2 + name);
	}
	return HELLO_OK;
}

/* X25519MLKEM768 and its kin, ML-KEM alone, the Kyber drafts. */
HELLO_INLINE int hello_is_pq(__u32 group)
{
	return (group >= 0x11eb && group <= 0x11ed) || (group >= 0x0200 && group <= 0x0202) ||
	       group == 0x6399 || group == 0x639a;
}

/* For the flags only, so a malformed list is counted up to where it breaks. */
HELLO_PART int hello_key_shares(const struct hello_buf *buf, __u32 off, __u32 len, struct hello *h)
{
	__u32 n = 0, pq = 0;

	if (!buf || !h)
		return 0;
	for (__u32 i = 0; i < HELLO_KEY_SHARES_MAX; i++) {
		__u32 group, share;

		HELLO_HIDE(i);
		if (len < 4)
			break;
		group = hello_u16(buf, off);
		share = 4 + hello_u16(buf, off + 2);
		if (share > len)
			break;
		n += 1 - hello_grease(group);
		pq |= hello_is_pq(group);
		off += share;
		len -= share;
	}
	h->n_key_shares = n;
	h->flags |= pq * HELLO_PQ_SHARE;
	return 0;
}

/* Notes where one extension's data is. Its length is right before it. */
#define HELLO_NOTE(h, buf, name, type)                                       \
	do {                                                                 \
		__u32 note_at = (buf)->walk.at[type];                        \
		(h)->name##_off = note_at;                                   \
		(h)->name##_len = note_at ? hello_u16(buf, note_at - 2) : 0; \
	} while (0)

HELLO_INLINE void hello_note(const struct hello_buf *buf, struct hello *h)
{
	const struct hello_walk *w = &buf->walk;
	__u32 flags = h->flags, ticket = w->at[EXT_TICKET];

	h->n_ciphers = w->n_ciphers;
	h->n_extensions = w->n_extensions;
	h->n_stack_extensions = w->n_stack;
	HELLO_NOTE(h, buf, sni, EXT_SNI);
	HELLO_NOTE(h, buf, alpn, EXT_ALPN);
	HELLO_NOTE(h, buf, sigalgs, EXT_SIGALGS);
	HELLO_NOTE(h, buf, groups, EXT_GROUPS);
	HELLO_NOTE(h, buf, points, EXT_POINTS);
	HELLO_NOTE(h, buf, versions, EXT_VERSIONS);
	flags |= w->at[EXT_SNI] ? HELLO_HAS_SNI : 0;
	flags |= w->at[EXT_ALPN] ? HELLO_HAS_ALPN : 0;
	flags |= w->at[EXT_PSK] ? HELLO_HAS_PSK : 0;
	flags |= ticket && hello_u16(buf, ticket - 2) ? HELLO_HAS_TICKET : 0;
	flags |= w->at[EXT_EARLY_DATA] ? HELLO_HAS_EARLY_DATA : 0;
	flags |= w->at[EXT_COOKIE] ? HELLO_HAS_COOKIE : 0;
	flags |= w->at[EXT_VERSIONS] ? HELLO_HAS_VERSIONS : 0;
	flags |= w->ech ? HELLO_HAS_ECH : 0;
	flags |= w->grease_ext ? HELLO_GREASE_EXT : 0;
	flags |= w->n_ciphers != h->ciphers_len / 2 ? HELLO_GREASE_CIPHER : 0;
	h->flags = flags;
}

HELLO_INLINE void hello_keys(const struct hello_walk *w, const struct secret *s, struct hello *h)
{
	struct mix_head head = { .transport = h->transport };
	int some = h->alpn_first | h->alpn_last;

	hello_version_text(h->version, head.version);
	hello_alpn_text(some, h->alpn_first, h->alpn_last, head.alpn);
	head.sni = h->flags & HELLO_HAS_SNI ? 'd' : 'i';
	head.n_ciphers = h->n_ciphers < 99 ? h->n_ciphers : 99;
	head.n_extensions = h->n_extensions < 99 ? h->n_extensions : 99;
	h->ja4_key = mix_key(s, &head, w->ciphers, w->ja4, w->sigalgs);
	head.n_extensions = h->n_stack_extensions < 99 ? h->n_stack_extensions : 99;
	h->stack_key = mix_key(s, &head, w->ciphers, w->stack, w->sigalgs);
	h->order_hash = w->order ? w->order : 1;
}

/* Where the two lists are; no list is walked yet. */
HELLO_INLINE int hello_frame(const struct hello_buf *buf, __u32 len, struct hello *h)
{
	__u32 off, n;

	if (len > HELLO_MAX)
		return HELLO_TOO_LONG;
	HELLO_HIDE(len);
	if (len < 1)
		return HELLO_SHORT;
	if (hello_u8(buf, 0) != HELLO_TYPE)
		return HELLO_BAD_TYPE;
	if (len < 4)
		return HELLO_SHORT;
	n = hello_u8(buf, 1) << 16 | hello_u16(buf, 2);
	if (n > HELLO_MAX - 4)
		return HELLO_TOO_LONG;
	if (n > len - 4)
		return HELLO_SHORT;
	if (n < len - 4)
		return HELLO_BAD_LENGTH;
	h->len = len;

	if (len < 6)
		return HELLO_SHORT;
	h->legacy_version = hello_u16(buf, 4);
	if (h->legacy_version >> 8 != 3)
		return HELLO_BAD_VERSION;
	if (len < 39) /* 32 random bytes, then the session id's length */
		return HELLO_SHORT;
	n = hello_u8(buf, 38);
	h->flags = n ? HELLO_HAS_SESSION_ID : 0;
	off = 39 + n;

	if (len < off + 2)
		return HELLO_SHORT;
	n = hello_u16(buf, off);
	off += 2;
	if (len - off < n)
		return HELLO_SHORT;
	if (n & 1)
		return HELLO_BAD_LENGTH;
	if (n > 2 * HELLO_CIPHERS_MAX)
		return HELLO_TOO_MANY_CIPHERS;
	h->ciphers_off = off;
	h->ciphers_len = n;
	off += n;

	if (len - off < 1)
		return HELLO_SHORT;
	n = hello_u8(buf, off); /* compression methods */
	off += 1;
	if (len - off < n)
		return HELLO_SHORT;
	off += n;

	if (off == len)
		return HELLO_OK;
	if (len - off < 2)
		return HELLO_SHORT;
	n = hello_u16(buf, off);
	off += 2;
	if (len - off < n)
		return HELLO_SHORT;
	if (len - off > n)
		return HELLO_TRAILING;
	h->extensions_off = off;
	h->extensions_len = n;
	return HELLO_OK;
}

HELLO_INLINE int hello_fill(struct hello_buf *buf, const struct secret *s, struct hello *h)
{
	__u32 shares;
	int err;

	__builtin_memset(&buf->walk, 0, sizeof(buf->walk));
	buf->walk.sigalgs = s->k[2];
	buf->walk.order = s->k[3];
	HELLO_FORGET();
	hello_ciphers(buf, s, h);
	HELLO_FORGET();
	err = hello_extensions(buf, s, h);
	if (err)
		return err;
	hello_note(buf, h);
	HELLO_FORGET();
	shares = buf->walk.at[EXT_KEY_SHARE];
	if (shares && hello_u16(buf, shares - 2) > 2)
		hello_key_shares(buf, shares + 2, hello_u16(buf, shares - 2) - 2, h);
	HELLO_FORGET();
	err = hello_sigalgs(buf, s, h);
	if (err)
		return err;
	HELLO_FORGET();
	err = hello_versions(buf, h);
	if (err)
		return err;
	HELLO_FORGET();
	err = hello_alpn(buf, h);
	if (err)
		return err;
	hello_keys(&buf->walk, s, h);
	return HELLO_OK;
}

HELLO_FN int hello_parse(struct hello_buf *buf, __u32 len, const struct secret *secret,
			 struct hello *out)
{
	__u8 transport;
	int err;

	if (!buf || !secret || !out)
		return HELLO_SHORT;
	transport = out->transport;
	__builtin_memset(out, 0, sizeof(*out));
	out->transport = transport;
	err = hello_frame(buf, len, out);
	if (!err)
		err = hello_fill(buf, secret, out);
	if (err) {
		__builtin_memset(out, 0, sizeof(*out));
		out->transport = transport;
	}
	return err;
}

#endif
#endif
