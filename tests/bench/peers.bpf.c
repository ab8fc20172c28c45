/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * peers.bpf.c - what winnow is measured against: the empty program, and the plain way
 * to do what winnow does its own way.
 *
 * Where a peer needs what winnow has (a parsed header, a flow's key, a hello's keys)
 * it gets it from winnow's own lines, and it does nothing else: no rules, no counters,
 * no clock. So each is a lower bound of a program that would be of use.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "hello.h"
#include "key.bpf.h"
#include "packet.h"
#include "parse.bpf.h"

struct secret secret = { { 11, 12, 13, 14 } }; /* any; userspace may look up its keys */

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

static __always_inline int parsed(struct xdp_md *ctx, struct packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->frame_len = ctx->data_end - ctx->data;
	return parse_frame((struct cursor){ .data = (void *)(long)ctx->data,
					    .end = (void *)(long)ctx->data_end },
			   p) == PARSE_OK;
}

static __always_inline __u64 flow_of(const struct packet *p)
{
	return key_flow(&secret, &p->src, &p->dst, p->sport, p->dport);
}

/* ---- LRU_HASH: a row looked up and added to; a row made anew --------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct flow);
} lru_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct handshake);
} lru_handshakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handshake);
} fresh_handshake SEC(".maps");

__u64 misses;

SEC("xdp.frags")
int lru_add(struct xdp_md *ctx)
{
	struct packet p;
	struct flow *f;
	__u64 key;

	if (!parsed(ctx, &p))
		return XDP_ABORTED;
	key = flow_of(&p);
	f = bpf_map_lookup_elem(&lru_flows, &key);
	if (!f) {
		struct flow fresh = { .key = key };

		misses++;
		bpf_map_update_elem(&lru_flows, &key, &fresh, BPF_ANY);
		return XDP_PASS;
	}
	f->seq = p.seq + p.payload_len;
	f->ack = p.ack;
	__sync_fetch_and_add(&f->stack, p.payload_len);
	return XDP_PASS;
}

SEC("xdp.frags")
int lru_insert(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct handshake *fresh = bpf_map_lookup_elem(&fresh_handshake, &zero);
	struct packet p;
	__u64 key;

	if (!fresh || !parsed(ctx, &p))
		return XDP_ABORTED;
	key = flow_of(&p);
	fresh->key = key;
	fresh->isn_c = p.seq;
	bpf_map_update_elem(&lru_handshakes, &key, fresh, BPF_ANY);
	return XDP_PASS;
}

/* ---- the least that a table can cost: a line of it ---------------------------------- */

struct row {
	__u64 x[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* begins with a page */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct row);
} rows SEC(".maps");

const volatile __u32 n_rows = 1;

/* Of a hash any 32 bits. */
static __always_inline struct row *row_of(__u64 hash)
{
	__u32 i = (hash & 0xffffffff) * n_rows >> 32;

	return bpf_map_lookup_elem(&rows, &i);
}

static __always_inline void row_add(__u64 hash)
{
	struct row *r = row_of(hash);

	if (r)
		r->x[0]++;
}

/* By the source: read, and nobody's says pass. */
SEC("xdp.frags")
int one_line(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct row *r;

	if (data + FRAME_PATCHED > end)
		return XDP_ABORTED;
	r = row_of(*(__u32 *)(data + FRAME_SADDR) * 0x9e3779b97f4a7c15ULL >> 32);
	return r && r->x[0] ? XDP_PASS : XDP_DROP;
}

/* By the connection: parsed, and one row of it written. */
SEC("xdp.frags")
int one_row(struct xdp_md *ctx)
{
	struct packet p;

	if (!parsed(ctx, &p))
		return XDP_ABORTED;
	row_add(flow_of(&p));
	return XDP_PASS;
}

/* A connection that is proved: its handshake, its tally, its flow. */
SEC("xdp.frags")
int three_rows(struct xdp_md *ctx)
{
	struct packet p;
	__u64 key;

	if (!parsed(ctx, &p))
		return XDP_ABORTED;
	key = flow_of(&p);
	row_add(key);
	row_add(key >> 16);
	row_add(key >> 32);
	return XDP_PASS;
}

/* ---- LPM_TRIE ------------------------------------------------------------------ */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct prefix_key);
	__type(value, __u32);
} trie SEC(".maps");

SEC("xdp.frags")
int lpm_drop(struct xdp_md *ctx)
{
	struct prefix_key key = { .plen = 128, .addr = { [10] = 0xff, [11] = 0xff } };
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + FRAME_PATCHED > end)
		return XDP_ABORTED;
	__builtin_memcpy(key.addr + 12, data + FRAME_SADDR, 4);
	return bpf_map_lookup_elem(&trie, &key) ? XDP_DROP : XDP_PASS;
}

/* ---- a hello of two segments, put together in LRU_HASH values ------------------- */

#define PEER_HELLO 4096 /* a value is copied whole when it is made: no more than needed */

struct peer_hello {
	__u32 seq; /* of the first byte */
	__u32 len;
	__u8 b[PEER_HELLO];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct peer_hello);
} lru_hellos SEC(".maps");

struct peer_work {
	struct peer_hello fresh;
	struct hello_buf buf;
	struct hello hello;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct peer_work);
} peer_work SEC(".maps");

__u64 named; /* hellos that parsed */
__u64 named_ja4;

static __always_inline struct peer_work *peer_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&peer_work, &zero);
}

/* The message of the buffer, behind one record header. */
__noinline int peer_name(__u32 len)
{
	struct peer_work *w = peer_get();

	if (!w || len < 9)
		return 0;
	if (hello_parse(&w->buf, len - 5, &secret, &w->hello) != HELLO_OK)
		return 0;
	named++;
	named_ja4 = w->hello.ja4_key;
	return 0;
}

/* A whole hello copied and walked, and its connection's row written. */
SEC("xdp.frags")
int walk_row(struct xdp_md *ctx)
{
	struct peer_work *w = peer_get();
	struct packet p;
	__u32 n;

	if (!w || !parsed(ctx, &p))
		return XDP_ABORTED;
	row_add(flow_of(&p));
	n = p.payload_len - 5;
	if (!between(n, 4, 2047) || bpf_xdp_load_bytes(ctx, p.payload_off + 5, w->buf.b, n))
		return XDP_ABORTED;
	peer_name(n + 5);
	return XDP_PASS;
}

/* Of one CPU after another. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct peer_hello);
} halves SEC(".maps");

/* One of two segments copied to where the whole is walked, and its connection's row written.
 * There is one such place: who sends the same hello as everybody else is not mixed up with
 * others. */
SEC("xdp.frags")
int walk_halves(struct xdp_md *ctx)
{
	__u32 zero = 0, n, at;
	struct peer_hello *h = bpf_map_lookup_elem(&halves, &zero);
	struct peer_work *w = peer_get();
	struct packet p;

	if (!h || !w || !parsed(ctx, &p))
		return XDP_ABORTED;
	row_add(flow_of(&p));
	n = p.payload_len;
	if (!between(n, 6, 2047))
		return XDP_ABORTED;
	at = p.tcp_flags & TCP_PSH ? h->len : 0;
	if (at > 2047 || bpf_xdp_load_bytes(ctx, p.payload_off, h->b + at, n))
		return XDP_ABORTED;
	if (!at) {
		h->len = n;
		return XDP_PASS;
	}
	n += at;
	if (!between(n, 9, 4095) || bpf_probe_read_kernel(w->buf.b, n - 5, h->b + 5))
		return XDP_ABORTED;
	peer_name(n);
	return XDP_PASS;
}

SEC("xdp.frags")
int lru_reassemble(struct xdp_md *ctx)
{
	struct peer_work *w = peer_get();
	struct peer_hello *h;
	struct packet p;
	__u32 n, have;
	__u64 key;

	if (!w || !parsed(ctx, &p))
		return XDP_ABORTED;
	key = flow_of(&p);
	h = bpf_map_lookup_elem(&lru_hellos, &key);
	n = p.payload_len;
	if (!between(n, 6, 2047))
		return XDP_ABORTED;
	if (!h) {
		w->fresh.seq = p.seq;
		w->fresh.len = n;
		if (bpf_xdp_load_bytes(ctx, p.payload_off, w->fresh.b, n))
			return XDP_ABORTED;
		bpf_map_update_elem(&lru_hellos, &key, &w->fresh, BPF_ANY);
		return XDP_PASS;
	}
	have = h->len;
	if (!between(have, 6, 2047) || p.seq != h->seq + have)
		return XDP_ABORTED;
	/* The record header is left behind. */
	if (bpf_probe_read_kernel(w->buf.b, have - 5, h->b + 5) ||
	    bpf_xdp_load_bytes(ctx, p.payload_off, w->buf.b + have - 5, n))
		return XDP_ABORTED;
	bpf_map_delete_elem(&lru_hellos, &key);
	peer_name(have + n);
	return XDP_PASS;
}

/* ---- SHA-256 of one JA4 ---------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ja4_text);
} ja4_text SEC(".maps");

__u32 digests[2][8];

static const __u32 K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static __always_inline __u32 ror(__u32 x, int n)
{
	return x >> n | x << (32 - n);
}

/* FIPS 180-4, 6.2.2: the schedule first, then the rounds, eight a turn so that no
 * variable moves. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                        \
	({                                                                                      \
		h += (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + w[i]; \
		d += h;                                                                         \
		h += (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | (c & (a | b)));         \
	})

static __always_inline void sha256_block(__u32 s[8], const __u32 *words)
{
	__u32 a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	__u32 w[64];

	_Pragma("unroll") for (int i = 0; i < 16; i++) w[i] = words[i];
	_Pragma("unroll") for (int i = 16; i < 64; i++)
	{
		__u32 x = w[i - 15], y = w[i - 2];

		w[i] = (ror(x, 7) ^ ror(x, 18) ^ x >> 3) + w[i - 7] + w[i - 16] +
		       (ror(y, 17) ^ ror(y, 19) ^ y >> 10);
		barrier();
	}
	_Pragma("nounroll") for (int i = 0; i < 64; i += 8)
	{
		ROUND(a, b, c, d, e, f, g, h, i);
		ROUND(h, a, b, c, d, e, f, g, i + 1);
		ROUND(g, h, a, b, c, d, e, f, i + 2);
		ROUND(f, g, h, a, b, c, d, e, i + 3);
		ROUND(e, f, g, h, a, b, c, d, i + 4);
		ROUND(d, e, f, g, h, a, b, c, i + 5);
		ROUND(c, d, e, f, g, h, a, b, i + 6);
		ROUND(b, c, d, e, f, g, h, a, i + 7);
	}
	s[0] += a;
	s[1] += b;
	s[2] += c;
	s[3] += d;
	s[4] += e;
	s[5] += f;
	s[6] += g;
	s[7] += h;
}

/* Global, so that the verifier looks at one part and not at 32 x 32 ways through. */
__noinline int sha256_part(__u32 part, __u32 at)
{
	__u32 zero = 0;
	struct ja4_text *t = bpf_map_lookup_elem(&ja4_text, &zero);
	__u32 s[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	if (!t || part > 1)
		return 0;
	for (__u32 i = 0; i < JA4_BLOCKS / 2 && i < t->blocks[part]; i++, at++)
		sha256_block(s, t->words + (at & (JA4_BLOCKS - 1)) * 16);
	for (int i = 0; i < 8; i++)
		digests[part][i] = s[i];
	return 0;
}

SEC("xdp.frags")
int sha_ja4(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct ja4_text *t = bpf_map_lookup_elem(&ja4_text, &zero);

	if (!t)
		return XDP_ABORTED;
	sha256_part(0, 0);
	sha256_part(1, t->blocks[0]);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
