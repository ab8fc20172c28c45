/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * syn.bpf.h - the SYN: kept whole for userspace, which writes the p0f v3
 * signature, and summed up as tcp_key for the tables.
 *
 * tcp_key: option kinds in order, window scale, window rule, initial TTL class and
 * quirks, but neither hops nor MSS: those belong to the path, not to the stack.
 */
#ifndef WINNOW_SYN_BPF_H
#define WINNOW_SYN_BPF_H

#include "abi.h"
#include "key.bpf.h"
#include "work.bpf.h"

#define TCP_OPTIONS_MAX 40

/* Kept in memory, not in registers: the verifier then forgets what it learnt of
 * them in each turn, and walks one turn's paths once. */
struct syn_walk {
	__u64 h;
	__u32 at;
	__u32 mss;
	__u32 scale;
	__u32 bad;
	__u32 key; /* out */
	__u32 pad;
};

/* Or the test moves to another register than the index, which 6.1 does not follow. */
static __always_inline __u32 syn_byte(const struct syn_raw *s, __u32 at)
{
	hide(at);
	return at < sizeof(s->tcp) ? s->tcp[at] : 0;
}

/* One option; 1: that was the last. */
static __always_inline int syn_option(const struct syn_raw *s, struct syn_walk *o)
{
	__u32 at = o->at, end = s->tcp_len, kind, len;

	if (at >= end || at >= 60)
		return 1;
	kind = syn_byte(s, at);
	o->h = mix64(o->h + kind + 1);
	if (kind == 0) {
		o->h = mix64(o->h + end - at); /* padding behind the end */
		return 1;
	}
	if (kind == 1) {
		o->at = at + 1;
		return 0;
	}
	o->bad = 1;
	if (at + 1 >= end || at + 1 >= 60)
		return 1;
	len = syn_byte(s, at + 1);
	if (len < 2 || at + len > end)
		return 1;
	o->bad = 0;
	if (kind == 2 && len == 4 && !o->mss)
		o->mss = syn_byte(s, at + 2) << 8 | syn_byte(s, at + 3);
	if (kind == 3 && len == 3)
		o->scale = syn_byte(s, at + 2);
	o->at = at + len;
	return 0;
}

/* A few options, as many as Linux sends and the end; 1: no more. To return from a call
 * costs as much as an option does. */
#define SYN_BLOCK 6
__noinline int syn_block(const struct syn_raw *s, struct syn_walk *o)
{
	if (!s || !o)
		return 1;
	for (int i = 0; i < SYN_BLOCK; i++) {
		barrier(); /* each turn starts from memory */
		if (syn_option(s, o))
			return 1;
		hide(i);
	}
	return 0;
}

/* Walks the options of the SYN in s->tcp; o->bad 1: malformed. */
__noinline int syn_options(struct syn_raw *s, struct syn_walk *o)
{
	__u32 win, ttl, quirks;

	if (!s || !o)
		return -1;
	o->h = 0;
	o->at = 20;
	o->mss = 0;
	o->scale = 255;
	o->bad = 0;
	for (int i = 0; i < TCP_OPTIONS_MAX; i += SYN_BLOCK)
		if (syn_block(s, o))
			break;
	win = s->tcp[14] << 8 | s->tcp[15];
	if (o->mss && win % o->mss == 0)
		win = 0x10000 | win / o->mss;
	ttl = s->ttl <= 32 ? 32 : s->ttl <= 64 ? 64 : s->ttl <= 128 ? 128 : 255;
	quirks = (s->ip_flags & (SYN_DF | SYN_MBZ | SYN_ID_ZERO | SYN_ECN)) | s->family << 8 |
		 (s->tcp[13] & 0xc0) << 8 | (s->ip_olen ? 1 << 16 : 0) | o->bad << 17;
	o->h = mix64(o->h ^ o->scale);
	o->h = mix64(o->h ^ win);
	o->h = mix64(o->h ^ ((__u64)ttl << 32 | quirks));
	o->key = (__u32)o->h ?: 1;
	return 0;
}

static __always_inline void syn_read(struct xdp_md *ctx, const struct packet *p, struct syn_raw *s)
{
	__u32 len = p->tcp_len;

	__builtin_memset(s, 0, sizeof(*s));
	s->family = p->family;
	s->ttl = p->ttl;
	s->ip_olen = p->ip_olen;
	s->ip_flags = p->ip_flags;
	s->payload = p->payload_len > 0xffff ? 0xffff : p->payload_len;
	if (!between(len, 20, 60))
		return;
	if (bpf_xdp_load_bytes(ctx, p->l4_off, s->tcp, len))
		return;
	s->tcp_len = len;
	s->present = 1;
}

#endif
