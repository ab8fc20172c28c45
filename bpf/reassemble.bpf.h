/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * reassemble.bpf.h - from TCP segments to one flat ClientHello message.
 *
 * A hello that is whole in its segment and record is copied straight into the
 * flat buffer. Others go through a slot: bytes at their stream offset, a bit for
 * each byte that came out of order, TLS record headers taken off at the end.
 *
 * In:     a segment and its offset from the hello's first byte.
 * Out:    work.result and work.complete; the message in struct flat.
 * Bounds: 16 KiB of the stream and 8 records a hello; 4 slots a source; a slot untouched for
 *         10 s is free. Any order and any split give the same answer; bytes that
 *         come twice must be the same bytes ("overlap").
 * Locks:  a slot's `busy` word is tried, never waited for ("contended").
 */
#ifndef WINNOW_REASSEMBLE_BPF_H
#define WINNOW_REASSEMBLE_BPF_H

#include "abi.h"
#include "hello.h"
#include "other.bpf.h"
#include "proxy.bpf.h"
#include "record.bpf.h"
#include "slot.bpf.h"
#include "work.bpf.h"

/* Whole segments for comparison with what came before. */
struct segment {
	__u8 b[STREAM_MAX + CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct segment);
} segments SEC(".maps");

/* The loops below run as bpf_loop(): rare paths whose length the peer chooses, and
 * the verifier looks at one turn only. */
struct span {
	struct slot_head *h;
	struct slot *s;
	__u32 from, to; /* bytes of the stream */
	__u32 twice;    /* out: some byte was known before */
};

static __always_inline __u64 word_bits(__u32 word, __u32 from, __u32 to)
{
	__u32 lo = word * 64, hi = lo + 64;
	__u64 bits = ~0ULL;

	if (from > lo)
		bits &= ~0ULL << ((from - lo) & 63);
	if (to < hi)
		bits &= ~0ULL >> ((hi - to) & 63);
	return bits;
}

static long mark_word(__u32 i, struct span *m)
{
	__u32 w = m->from / 64 + i;
	__u64 bits;

	if (w >= STREAM_WORDS || w * 64 >= m->to)
		return 1;
	bits = word_bits(w, m->from, m->to);
	w &= STREAM_WORDS - 1;
	if (m->s->bit[w] & bits)
		m->twice = 1;
	m->s->bit[w] |= bits;
	return 0;
}

/* Marks [from, to); 1 if any of it was known before. */
static __always_inline int slot_mark(struct slot *s, __u32 from, __u32 to)
{
	struct span m = { .s = s, .from = from, .to = to };

	bpf_loop(STREAM_WORDS, mark_word, &m, 0);
	return m.twice;
}

static long absorb_word(__u32 i, struct span *m)
{
	__u32 have = m->h->have, w = have / 64;
	__u64 unknown;

	if (w >= STREAM_WORDS)
		return 1;
	unknown = ~m->s->bit[w & (STREAM_WORDS - 1)] & ~0ULL << (have & 63);
	if (unknown) {
		m->h->have = w * 64 + lowest_bit(unknown);
		return 1;
	}
	m->h->have = (w + 1) * 64;
	return 0;
}

/* Moves `have` over everything known behind it. */
static __always_inline void slot_absorb(struct slot_head *h, struct slot *s)
{
	struct span m = { .h = h, .s = s };

	bpf_loop(STREAM_WORDS, absorb_word, &m, 0);
}

/* At most a CHUNK of `len` bytes from `from` of a slot's stream to `to` of the flat
 * message, which has room for one behind its end. Answers how many. */
__noinline __u32 copy_chunk(__u32 at, __u32 from, __u32 to, __u32 len)
{
	struct slot *s = slot_at(at);
	struct flat *f = flat_get();

	if (!s || !f || !len || from >= STREAM_MAX || to >= HELLO_MAX)
		return 0;
	hide(from);
	from &= STREAM_MAX - 1;
	hide(to);
	to &= HELLO_MAX - 1;
	if (len > CHUNK)
		len = CHUNK;
	len = some_of(len, CHUNK);
	return bpf_probe_read_kernel(f->h.b + to, len, s->b + from) ? 0 : len;
}

__noinline int copy_span(__u32 at, __u32 from, __u32 to, __u32 len)
{
	for (__u32 i = 0; i < HELLO_MAX / CHUNK && len; i++) {
		__u32 n = copy_chunk(at, from, to, len);

		if (!n)
			break;
		from += n;
		to += n;
		len -= n;
	}
	return 0;
}

struct merge {
	struct slot *s;
	struct segment *seg;
	__u32 off;
	__u32 len;
	__u32 known; /* of the slot before this segment */
	__u32 differs;
};

/* One byte of a segment that was known before at least in part. */
static long merge_byte(__u32 i, struct merge *m)
{
	__u32 at = m->off + i;
	__u8 byte;

	if (i >= m->len || i >= STREAM_MAX || at >= STREAM_MAX)
		return 1;
	byte = m->seg->b[i & (STREAM_MAX - 1)];
	at &= STREAM_MAX - 1;
	if (at < m->known || m->s->bit[at / 64] >> (at & 63) & 1) {
		if (m->s->b[at] != byte) {
			m->differs = 1;
			return 1;
		}
		return 0;
	}
	m->s->b[at] = byte;
	return 0;
}

/* The next bytes of the packet, at most a CHUNK of `len`, to slot at - 1 from offset `off`
 * on; at 0: to the segment's own buffer. Answers how many, or -1. */
__noinline int load_chunk(struct xdp_md *ctx, __u32 from, __u32 at, __u32 off, __u32 len)
{
	__u32 zero = 0;
	struct segment *seg;
	struct slot *s;
	__u8 *dst;

	if (at) {
		s = slot_at(at - 1);
		dst = s ? s->b : NULL;
	} else {
		seg = bpf_map_lookup_elem(&segments, &zero);
		dst = seg ? seg->b : NULL;
	}
	if (!ctx || !dst || !len || off >= STREAM_MAX)
		return -1;
	off &= STREAM_MAX - 1;
	if (len > CHUNK)
		len = CHUNK;
	len = some_of(len, CHUNK);
	return bpf_xdp_load_bytes(ctx, from, dst + off, len) ? -1 : (int)len;
}

/* `len` bytes, in chunks, so that the verifier sees each copy end inside the buffer. */
__noinline int load_stream(struct xdp_md *ctx, __u32 from, __u32 at, __u32 off, __u32 len)
{
	for (__u32 i = 0; i < STREAM_MAX / CHUNK && len; i++) {
		int n = load_chunk(ctx, from, at, off, len);

		if (n < 0)
			return -1;
		from += n;
		off += n;
		len -= n;
	}
	return len ? -1 : 0;
}

/* A slot that does not begin with a TLS record: a PROXY header to believe or not, or
 * something else. 1: go on behind it; else the answer is in work.complete. */
__noinline int deframe_other(__u32 slot)
{
	struct slot_head *s = head_at(slot);
	struct slot *bytes = slot_at(slot);
	struct work *w = work_get();
	__u32 says;

	if (!s || !bytes || !w)
		return 0;
	w->complete = 1;
	w->records = 0;
	w->head_have = s->have > PROXY_HEAD ? PROXY_HEAD : s->have;
	for (__u32 i = 0; i < PROXY_HEAD; i += 8)
		*(__u64 *)&w->head[i] = *(__u64 *)&bytes->b[i];
	if (w->believed) {
		says = proxy_read();
		if (says == PROXY_BAD) {
			w->result = HELLO_BAD_PROXY;
			return 0;
		}
		if (says == PROXY_MORE || (says == PROXY_WHOLE && w->head_len > s->have)) {
			w->complete = 0;
			s->want = says == PROXY_WHOLE ? w->head_len : s->have + 1;
			return 0;
		}
		if (says == PROXY_WHOLE) {
			s->skip = w->head_len;
			proxied_as(w, &w->who);
			record_proxied(0);
			return 1;
		}
	}
	w->k.len = w->head_have;
	for (__u32 i = 0; i < sizeof(w->k.b); i += 8)
		*(__u64 *)&w->k.b[i] = *(__u64 *)&w->head[i];
	w->result = other_class(&w->k);
	if (w->result == HELLO_INCOMPLETE) {
		w->complete = 0;
		s->want = s->have + 1;
	}
	return 0;
}

enum deframed {
	DEFRAMED_RECORD, /* and there may be another one */
	DEFRAMED_MORE,   /* more bytes are needed */
	DEFRAMED_ALL,    /* the answer is in work.result */
	DEFRAMED_AGAIN,  /* it is whole, but only known to be now: once more, to copy it */
};

/* The bytes of one record, `got` of its `body`. */
static __always_inline enum deframed record_body(__u32 slot, struct slot_head *s, struct work *w,
						 const struct flat *f, __u32 body)
{
	__u32 at = s->at, len = s->len, need = s->need, got, n;

	if (len + body > HELLO_MAX) {
		w->result = HELLO_TOO_LONG;
		return DEFRAMED_ALL;
	}
	got = s->have > at ? s->have - at : 0;
	if (got > body)
		got = body;
	n = got;
	if (!s->full) /* the message's header: how long is it? */
		n = len >= 4 ? 0 : got > 4 - len ? 4 - len : got;
	copy_span(slot, at, len, n);
	len += got;
	at += got;
	s->len = len;
	s->at = at;
	if (len >= 1 && f->h.b[0] != 1) {
		w->result = HELLO_BAD_TYPE;
		return DEFRAMED_ALL;
	}
	if (len >= 4 && !need) {
		need = 4 + (f->h.b[1] << 16 | f->h.b[2] << 8 | f->h.b[3]);
		if (need > HELLO_MAX) {
			w->result = HELLO_TOO_LONG;
			return DEFRAMED_ALL;
		}
		s->need = need;
	}
	if (need && len >= need) {
		w->result = HELLO_OK;
		w->hello_len = need;
		w->hello_end = at - (len - need);
		return s->full ? DEFRAMED_ALL : DEFRAMED_AGAIN;
	}
	if (got == body)
		return DEFRAMED_RECORD;
	s->want = at + (body - got) + 5;
	return DEFRAMED_MORE;
}

/* Global, its state in the slot's head: the verifier walks one record, not nine of them. */
__noinline __u32 deframe_record(__u32 slot)
{
	struct slot_head *s = head_at(slot);
	struct slot *bytes = slot_at(slot);
	struct work *w = work_get();
	struct flat *f = flat_get();
	__u32 at, type, body, first;

	if (!s || !bytes || !w || !f)
		return DEFRAMED_ALL;
	at = s->at;
	if (at >= STREAM_MAX - 5) {
		w->result = HELLO_TOO_LONG;
		return DEFRAMED_ALL;
	}
	s->want = at + 5;
	if (at + 5 > s->have)
		return DEFRAMED_MORE;
	if (w->records >= HELLO_RECORDS_MAX) {
		w->result = HELLO_TOO_MANY_RECORDS;
		return DEFRAMED_ALL;
	}
	hide(at);
	at &= STREAM_MAX - 1;
	type = bytes->b[at];
	body = bytes->b[at + 3] << 8 | bytes->b[at + 4];
	first = !w->records++;
	if (bytes->b[at + 1] != 3 || body > STREAM_MAX + 256) {
		w->result = first ? other_word(WORD(&bytes->b[at])) : HELLO_BAD_RECORD;
		return DEFRAMED_ALL;
	}
	s->at = at + 5;
	if (type == 20 || type == 21) { /* CCS or alert in front of the hello */
		s->at += body;
		w->result = HELLO_BAD_RECORD;
		return s->len || body > 64 ? DEFRAMED_ALL : DEFRAMED_RECORD;
	}
	if (type != 22) {
		w->result = first ? HELLO_NOT_TLS : HELLO_BAD_RECORD;
		return DEFRAMED_ALL;
	}
	return record_body(slot, s, w, f, body);
}

/* Takes the record headers off what is known so far. The message is copied once it is
 * known how long it is: up to then its own header is. 1: call it again. */
__noinline int deframe(__u32 slot)
{
	struct slot_head *s = head_at(slot);
	struct work *w = work_get();
	__u32 did = DEFRAMED_RECORD;

	if (!s || !w)
		return 0;
	w->complete = 1;
	w->records = 0;
	s->full = !!s->need;
	s->at = s->skip;
	s->len = 0;
	for (__u32 i = 0; i <= HELLO_RECORDS_MAX && did == DEFRAMED_RECORD; i++)
		did = deframe_record(slot);
	if (did != DEFRAMED_MORE)
		return did == DEFRAMED_AGAIN;
	w->complete = 0;
	w->result = HELLO_INCOMPLETE;
	/* The hello's end, or the next record's header if that comes first. */
	if (!s->need)
		s->want = s->have + 1;
	else if (s->want > s->at + (s->need - s->len))
		s->want = s->at + (s->need - s->len);
	return 0;
}

/* The whole hello in this segment's first record? The common case, no slot. */
static __always_inline int feed_whole(struct xdp_md *ctx, struct work *w, struct flat *f)
{
	__u32 body, need, n;
	__u8 head[9];

	if (w->p.payload_len < sizeof(head))
		return 0;
	if (w->k.len >= sizeof(head))
		__builtin_memcpy(head, w->k.b, sizeof(head));
	else if (bpf_xdp_load_bytes(ctx, w->p.payload_off, head, sizeof(head)))
		return 0;
	if (head[0] != 22 || head[1] != 3 || head[5] != 1)
		return 0;
	body = head[3] << 8 | head[4];
	need = 4 + (head[6] << 16 | head[7] << 8 | head[8]);
	if (need > body || 5 + need > w->p.payload_len || body > HELLO_MAX || 5 + need > STREAM_MAX)
		return 0;
	n = need;
	if (!between(n, 4, HELLO_MAX))
		return 0;
	if (bpf_xdp_load_bytes(ctx, w->p.payload_off + 5, f->h.b, n))
		return 0;
	w->result = HELLO_OK;
	w->complete = 1;
	w->records = 1;
	w->hello_len = need;
	w->hello_end = 5 + need;
	return 1;
}

/* Do bytes that came before say the same this time? If they cannot be compared,
 * they count as different: no name rather than a wrong one. */
__noinline int feed_again(struct xdp_md *ctx)
{
	__u32 zero = 0, at, busy, off, len;
	struct work *w = work_get();
	struct slot_head *h;
	struct segment *seg;
	struct slot *s;

	if (!w || !ctx)
		return 0;
	off = w->p.seq - w->h.hello_base;
	len = w->p.payload_len;
	if (len <= 1) /* a keep-alive probe carries one old byte, or none */
		return 0;
	at = slot_find(w->key, stamp_of(w->t), 1, &busy);
	h = at ? head_at(at - 1) : NULL;
	s = at ? slot_at(at - 1) : NULL;
	seg = bpf_map_lookup_elem(&segments, &zero);
	w->complete = 1;
	w->result = HELLO_OVERLAP;
	if (!h || !s || !seg)
		return 0;
	if (off < STREAM_MAX) {
		struct merge m = { s, seg, off, len, h->have, 0 };

		if (len > STREAM_MAX - off)
			len = STREAM_MAX - off;
		if (m.len > len)
			m.len = len;
		if (m.len > h->have - off)
			m.len = off < h->have ? h->have - off : 0;
		if (!load_stream(ctx, w->p.payload_off, 0, 0, len)) {
			bpf_loop(STREAM_MAX, merge_byte, &m, 0);
			if (!m.differs)
				w->complete = 0;
		}
	}
	slot_release(h);
	return 0;
}

/* Feeds one segment; see the top of the file. `again`: the hello was complete
 * before, so only a whole one is looked at. Answers 1 when feed_again() is to follow: one
 * after the other, not one in the other, for kernel 6.1 rounds each frame of the stack up
 * to 32 bytes and has room for 512 in all. */
__noinline int feed(struct xdp_md *ctx, __u32 again)
{
	__u32 zero = 0, off, len, at = 0, busy = 0, stamp;
	struct control *c = control_get();
	struct work *w = work_get();
	struct flat *f = flat_get();
	struct slot_head *h;
	struct segment *seg;
	struct slot *s;

	if (!c || !w || !f)
		return 0;
	w->complete = 0;
	w->result = HELLO_INCOMPLETE;
	w->hello_len = 0;
	w->records = 0;
	off = w->p.seq - w->h.hello_base;
	len = w->p.payload_len;
	stamp = stamp_of(w->t);

	if (off == 0 && (again || !w->h.segments) && feed_whole(ctx, w, f))
		return 0;
	if (again)
		return 1;
	if (off == 0 && !w->h.segments && w->k.len && !w->believed && w->k.b[0] != 22 &&
	    w->k.b[0] != 20 && w->k.b[0] != 21) {
		w->result = other_class(&w->k);
		if (w->result != HELLO_INCOMPLETE) {
			w->complete = 1;
			return 0;
		}
	}
	if (w->p.cut) {
		w->result = HELLO_TRUNCATED;
		w->complete = 1;
		return 0;
	}
	if (off >= STREAM_MAX) /* early data that overtook the hello */
		return 0;
	if (len > STREAM_MAX - off)
		len = STREAM_MAX - off;

	if (w->h.segments)
		at = slot_find(w->key, stamp, 0, &busy);
	if (!at && !busy)
		at = slot_claim(w->key,
				w->believed ? w->key /* as many as there are behind it */
					    : key_source(&c->secret,
							 source_word(&w->p.src, w->p.family),
							 w->p.family),
				stamp, &w->result);
	if (!at) {
		if (busy)
			w->result = HELLO_CONTENDED;
		w->complete = 1;
		return 0;
	}
	h = head_at(at - 1);
	s = slot_at(at - 1);
	seg = bpf_map_lookup_elem(&segments, &zero);
	if (!h || !s || !seg)
		return 0;
	h->stamp = stamp;
	if (off < h->have || (h->holes && off < h->top)) {
		struct merge m = { s, seg, off, len, h->have, 0 };

		if (load_stream(ctx, w->p.payload_off, 0, 0, len))
			goto out;
		bpf_loop(STREAM_MAX, merge_byte, &m, 0);
		if (m.differs) {
			w->result = HELLO_OVERLAP;
			w->complete = 1;
			h->owner = 0;
			goto out;
		}
	} else if (load_stream(ctx, w->p.payload_off, at, off, len)) {
		goto out;
	}
	if (off <= h->have) {
		if (off + len > h->have)
			h->have = off + len;
		if (h->holes) {
			slot_mark(s, off, off + len);
			slot_absorb(h, s);
		}
	} else {
		h->holes = 1;
		slot_mark(s, off, off + len);
	}
	if (off + len > h->top)
		h->top = off + len;
	if (h->have >= h->want) {
		int other = h->have && !h->skip && s->b[0] != 22 && s->b[0] != 20 && s->b[0] != 21;

		/* One after the other, not one in the other: stacks are short. */
		if ((!other || deframe_other(at - 1)) && deframe(at - 1))
			deframe(at - 1);
	}
	if (!w->complete && h->have >= STREAM_MAX) {
		w->result = HELLO_TOO_LONG;
		w->complete = 1;
	}
	if (w->complete) {
		h->done = 1;
		if (w->result != HELLO_OK)
			h->owner = 0;
	}
out:
	slot_release(h);
	return 0;
}

#endif
