/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * proxy.bpf.h - PROXY protocol, version 1 and 2, in front of a hello.
 *
 * A header says who the client is. It is believed of the addresses in `proxy_from`
 * alone; from anybody else it is `unexpected_proxy`, and the connection is nobody's.
 * Behind a believed header the packet's source is the header's address: hello, rules
 * and tally see that. Rules on the packet's own source see the proxy's.
 *
 * In:     the first bytes of the connection, in work.head.
 * Out:    work.head_len, the bytes that the header takes, and the address.
 * Bounds: 107 bytes (v1), 4 KiB with all TLVs (v2). TLVs are skipped.
 * Nobody: v1 UNKNOWN, v2 UNSPEC, UNIX and datagrams: named, tallied for no one. LOCAL
 *         is the proxy itself.
 * Source: The PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt).
 */
#ifndef WINNOW_PROXY_BPF_H
#define WINNOW_PROXY_BPF_H

#include "abi.h"
#include "work.bpf.h"

#define PROXY_V1_MAX 107
#define PROXY_V2_MIN 16
#define PROXY_V2_MAX 4096

/* Who stands behind a proxy's connection. Written at the header, read by each later
 * segment. Evicted: that flow goes on without rules. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* of the flow */
	__type(value, struct proxied);
} proxied SEC(".maps");

/* Peers whose header is believed. Value: 1. Full: refused. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct prefix_key);
	__type(value, __u32);
} proxies SEC(".maps");

enum proxy_says { PROXY_NONE, PROXY_MORE, PROXY_WHOLE, PROXY_BAD };

/* Do the four bytes at `at`, as far as `len` bytes in all reach, say `word`? */
static __always_inline __u32 proxy_word(const __u8 *b, __u32 at, __u32 len, __u32 word)
{
	__u32 there = len > at ? len - at : 0, mask;

	mask = there >= 4 ? ~0U : ~(~0U >> (8 * (there & 3)));
	return !((bpf_ntohl(*(const __u32 *)(b + at)) ^ word) & mask);
}

/* Which version do the first `len` of at least 12 bytes begin? 0: neither. */
static __always_inline __u32 proxy_version(const __u8 *b, __u32 len)
{
	if (!len)
		return 0;
	if (proxy_word(b, 0, len, 0x50524f58) && proxy_word(b, 4, len < 6 ? len : 6, 0x59200000))
		return 1;
	if (proxy_word(b, 0, len, 0x0d0a0d0a) && proxy_word(b, 4, len, 0x000d0a51) &&
	    proxy_word(b, 8, len, 0x5549540a))
		return 2;
	return 0;
}

/* ---- version 1: text ---------------------------------------------------------- */

enum v1_field { V1_SOURCE, V1_TARGET, V1_SPORT, V1_DPORT, V1_LF, V1_END };

/* A group of 16 bits has ended. */
static __always_inline void v1_push(struct proxy_text *x, __u32 group)
{
	__u32 at = x->n & 7;

	if (x->n + x->tail_n >= 8) {
		x->bad = 1;
	} else if (x->gap) {
		x->tail.hi = x->tail.hi << 16 | x->tail.lo >> 48;
		x->tail.lo = x->tail.lo << 16 | group;
		x->tail_n++;
	} else {
		if (at < 4)
			x->front.hi |= (__u64)group << ((48 - 16 * at) & 63);
		else
			x->front.lo |= (__u64)group << ((112 - 16 * at) & 63);
		x->n++;
	}
}

/* A dotted part has ended; every second makes a group. */
static __always_inline void v1_part(struct proxy_text *x)
{
	if (!x->digits || x->digits > 3 || x->letters || x->decimal > 255 || x->dots > 3)
		x->bad = 1;
	if (x->dots & 1)
		v1_push(x, x->half << 8 | (x->decimal & 255));
	x->half = x->decimal & 255;
	x->dots++;
}

static __always_inline void v1_address_end(struct proxy_text *x)
{
	if (x->dots) {
		v1_part(x);
		if (x->dots != 4)
			x->bad = 1;
	} else if (x->digits) {
		v1_push(x, x->hex);
	} else if (!x->gap || x->gap != x->colons) { /* nothing, or one ':' at the end */
		x->bad = 1;
	}
	if (x->family == 4) {
		if (x->n != 2 || x->dots != 4 || x->colons)
			x->bad = 1;
		x->front.lo = ADDR_V4_MARK | x->front.hi >> 32;
		x->front.hi = 0;
	} else {
		if (x->gap ? x->n + x->tail_n > 7 : x->n != 8)
			x->bad = 1;
		x->front.hi |= x->tail.hi;
		x->front.lo |= x->tail.lo;
	}
}

static __always_inline void v1_field_end(struct proxy_text *x)
{
	if (x->field <= V1_TARGET) {
		v1_address_end(x);
		if (x->field == V1_SOURCE)
			x->source = x->front;
	} else {
		if (!x->digits || x->digits > 5 || x->letters || x->decimal > 65535)
			x->bad = 1;
		if (x->field == V1_SPORT)
			x->sport = x->decimal;
	}
	x->field++;
	x->front.hi = 0;
	x->front.lo = 0;
	x->tail.hi = 0;
	x->tail.lo = 0;
	x->n = 0;
	x->tail_n = 0;
	x->gap = 0;
	x->colons = 0;
	x->dots = 0;
	x->digits = 0;
	x->letters = 0;
	x->decimal = 0;
	x->hex = 0;
}

static __always_inline void v1_colon(struct proxy_text *x)
{
	x->colons++;
	if (x->field > V1_TARGET || x->family != 6 || x->dots || x->letters > 4)
		x->bad = 1;
	if (x->digits) {
		v1_push(x, x->hex);
	} else if (x->colons == 2 || x->colons > 2) {
		if (x->gap)
			x->bad = 1;
		x->gap = x->colons;
		if (x->colons > 2 && !x->n)
			x->bad = 1;
	}
	x->digits = 0;
	x->letters = 0;
	x->decimal = 0;
	x->hex = 0;
}

/* One byte behind "PROXY TCPn ". 1: there is nothing more to read. */
static long v1_byte(__u32 i, void *unused)
{
	struct work *w = work_get();
	struct proxy_text *x;
	__u32 at, c, digit;

	if (!w)
		return 1;
	x = &w->text;
	at = x->at;
	if (x->bad || x->field >= V1_END || at >= PROXY_V1_MAX || at >= w->head_have)
		return 1;
	c = w->head[at & (PROXY_HEAD - 1)];
	x->at = at + 1;
	if (x->field == V1_LF) {
		x->bad = c != '\n';
		x->field = V1_END;
		return 1;
	}
	if (c == (x->field == V1_DPORT ? '\r' : ' ')) {
		v1_field_end(x);
		return 0;
	}
	if (c == ':') {
		v1_colon(x);
		return 0;
	}
	if (c == '.') {
		if (x->field > V1_TARGET)
			x->bad = 1;
		v1_part(x);
		x->digits = 0;
		x->decimal = 0;
		x->hex = 0;
		return 0;
	}
	digit = c - '0';
	if (digit > 9) {
		digit = (c | 0x20) - 'a';
		if (digit > 5 || x->family != 6 || x->field > V1_TARGET)
			x->bad = 1;
		digit += 10;
		x->letters = 1;
	}
	x->decimal = x->decimal * 10 + digit;
	x->hex = x->hex << 4 | (digit & 15);
	x->digits++;
	if (x->digits > (x->field > V1_TARGET ? 5 : 4))
		x->bad = 1;
	return 0;
}

/* v1 UNKNOWN: whatever stands before the end of the line. */
static long v1_skip(__u32 i, void *unused)
{
	struct work *w = work_get();
	__u32 at;

	if (!w)
		return 1;
	at = w->text.at;
	if (at >= PROXY_V1_MAX - 1 || at + 1 >= w->head_have)
		return 1;
	w->text.at = at + 1;
	if (w->head[at & (PROXY_HEAD - 1)] == '\r' &&
	    w->head[(at + 1) & (PROXY_HEAD - 1)] == '\n') {
		w->text.at = at + 2;
		w->text.field = V1_END;
		return 1;
	}
	return 0;
}

/* "PROXY " has been read. */
__noinline int proxy_v1(struct work *w)
{
	__u32 at = 6;

	if (!w)
		return PROXY_NONE;
	__builtin_memset(&w->text, 0, sizeof(w->text));
	if (w->head_have < 7)
		return PROXY_MORE;
	if (w->head[6] == 'U') {
		const __u8 unknown[] = { 'U', 'N', 'K', 'N', 'O', 'W', 'N' };

		for (__u32 i = 0; i < sizeof(unknown); i++)
			if (6 + i < w->head_have && w->head[6 + i] != unknown[i])
				return PROXY_BAD;
		w->text.at = 13;
		bpf_loop(PROXY_V1_MAX, v1_skip, NULL, 0);
	} else {
		const __u8 tcp[] = { 'T', 'C', 'P' };

		for (__u32 i = 0; i < sizeof(tcp); i++)
			if (6 + i < w->head_have && w->head[6 + i] != tcp[i])
				return PROXY_BAD;
		if (w->head_have < 11)
			return PROXY_MORE;
		if ((w->head[9] != '4' && w->head[9] != '6') || w->head[10] != ' ')
			return PROXY_BAD;
		w->text.family = w->head[9] - '0';
		w->text.at = at + 5;
		bpf_loop(PROXY_V1_MAX, v1_byte, NULL, 0);
	}
	if (w->text.bad)
		return PROXY_BAD;
	if (w->text.field != V1_END)
		return w->head_have >= PROXY_V1_MAX ? PROXY_BAD : PROXY_MORE;
	w->who.src = w->text.source;
	w->who.sport = w->text.sport;
	w->who.family = w->text.family;
	w->head_len = w->text.at;
	return PROXY_WHOLE;
}

/* ---- version 2: binary -------------------------------------------------------- */

static __always_inline __u64 proxy_be64(const __u8 *b)
{
	__u64 v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

__noinline int proxy_v2(struct work *w)
{
	__u32 len, command, kind;

	if (!w)
		return PROXY_NONE;
	if (w->head_have < PROXY_V2_MIN)
		return PROXY_MORE;
	command = w->head[12];
	kind = w->head[13];
	len = w->head[14] << 8 | w->head[15];
	if ((command != 0x20 && command != 0x21) || len > PROXY_V2_MAX - PROXY_V2_MIN)
		return PROXY_BAD;
	if (kind >> 4 > 3 || (kind & 15) > 2)
		return PROXY_BAD;
	w->head_len = PROXY_V2_MIN + len;
	if (command == 0x20) {
		w->who.local = 1;
		return PROXY_WHOLE;
	}
	if (kind == 0x11 || kind == 0x21) {
		__u32 want = kind == 0x11 ? 12 : 36;

		if (len < want)
			return PROXY_BAD;
		if (w->head_have < PROXY_V2_MIN + want)
			return PROXY_MORE;
		if (kind == 0x11) {
			w->who.src.hi = 0;
			w->who.src.lo = ADDR_V4_MARK | proxy_be64(w->head + 16) >> 32;
			w->who.sport = w->head[24] << 8 | w->head[25];
			w->who.family = 4;
		} else {
			w->who.src.hi = proxy_be64(w->head + 16);
			w->who.src.lo = proxy_be64(w->head + 24);
			w->who.sport = w->head[48] << 8 | w->head[49];
			w->who.family = 6;
		}
	}
	return PROXY_WHOLE;
}

/* What the `head_have` first bytes in w->head are. */
__noinline int proxy_read(void)
{
	struct work *w = work_get();
	__u32 version, says;

	if (!w)
		return PROXY_NONE;
	__builtin_memset(&w->who, 0, sizeof(w->who));
	w->head_len = 0;
	version = proxy_version(w->head, w->head_have);
	if (!version)
		return PROXY_NONE;
	if (w->head_have < (version == 1 ? 6 : 12))
		return PROXY_MORE;
	says = version == 1 ? proxy_v1(w) : proxy_v2(w);
	/* ::ffff:a.b.c.d is a.b.c.d wherever it stands. */
	if (w->who.family == 6 && !w->who.src.hi && w->who.src.lo >> 32 == 0xffff)
		w->who.family = 4;
	return says;
}

/* ---- who it is ------------------------------------------------------------------ */

/* The packet's own source is one whose headers are believed. */
static __always_inline int proxy_believed(const struct control *c, const struct addr *src)
{
	struct prefix_key key = { .plen = 128 };

	if (!c->n_proxies)
		return 0;
	for (int i = 0; i < 8; i++) {
		key.addr[i] = src->hi >> (56 - 8 * i);
		key.addr[8 + i] = src->lo >> (56 - 8 * i);
	}
	return bpf_map_lookup_elem(&proxies, &key) != NULL;
}

/* From here on the packet's source is `who`; its own goes to w->peer. */
static __always_inline void proxied_as(struct work *w, const struct proxied *who)
{
	w->peer = w->p.src;
	w->peer_port = w->p.sport;
	w->peer_family = w->p.family;
	w->passed = 0; /* that was the proxy */
	if (who->local)
		return;
	w->p.src = who->src;
	w->p.sport = who->sport;
	w->p.family = who->family;
	w->p.bad_source = !who->family || source_is_bad(&w->p);
}

/* The packet as it came, for what has to fit its headers. */
static __always_inline void proxied_back(struct work *w)
{
	if (!w->peer_port)
		return;
	w->p.src = w->peer;
	w->p.sport = w->peer_port;
	w->p.family = w->peer_family;
}

/* A later segment of a connection that came with a header. 1: done. */
__noinline int proxied_step(void)
{
	struct work *w = work_get();
	struct proxied *who;

	if (!w)
		return 0;
	who = bpf_map_lookup_elem(&proxied, &w->key);
	if (!who) { /* evicted: the segment passes, and counts for nobody */
		count(COUNTER_PROXIED_LOST);
		return 0;
	}
	proxied_as(w, who);
	return 1;
}

#endif
