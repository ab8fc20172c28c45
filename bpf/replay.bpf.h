/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * replay.bpf.h - the same steps for many frames of a capture in one test run.
 *
 * The context is a real one: each frame is stored in it, at its length, and goes the
 * way of a device's. What a rule did to a frame (a reset trims it) is gone with the
 * next one's bytes. Loaded in replay alone, and then alone.
 */
#ifndef WINNOW_REPLAY_BPF_H
#define WINNOW_REPLAY_BPF_H

#include "batch.h"
#include "emit.bpf.h"
#include "work.bpf.h"

#define NO_VERDICT 0xffffffff /* no frame yet */

/* Written by userspace between test runs; batch_at also by the program. */
__u32 batch_which; /* batch */
__u32 batch_at;    /* next frame */
__u32 batch_end;   /* behind the last one; 0: the context's own frame ... */
__u32 batch_alone; /* ... goes this way (enum batch_way) */

/* The program's own. */
__u32 batch_told;  /* events_told when the ring was looked at */
__u32 batch_fresh; /* 1: it was not in this run */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, BATCHES);
	__type(key, __u32);
	__type(value, struct batch);
} batches SEC(".maps");

/* What leaves, on this context. */
__noinline int replay_egress(struct xdp_md *ctx)
{
	struct work *w = work_get();
	__u32 n;

	if (!ctx || !w)
		return 0;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->p.frame_len = bpf_xdp_get_buff_len(ctx);
	frame_linear(ctx);
	n = leaving_step(w);
	if (n && !bpf_xdp_load_bytes(ctx, w->p.payload_off, w->q.b, n))
		quic_issue();
	return 0;
}

/* Room in the ring for all that a frame may send? Asked when something was sent since it
 * was asked last, and once a run. */
static __always_inline int ring_has_room(void)
{
	if (!batch_fresh && events_told == batch_told)
		return 1;
	batch_fresh = 0;
	batch_told = events_told;
	return bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) -
		       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >=
	       BATCH_RING;
}

/* Answers the frame before, if there was one, and brings the next into the context, and
 * out if it leaves. Its way, or -1: no more. One call for both: a return costs 7 ns where
 * "safe RET" is on. */
__noinline int replay_next(struct xdp_md *ctx, __u32 verdict, __u32 left)
{
	__u32 at = batch_at, which = batch_which, off, len;
	struct batch *b = bpf_map_lookup_elem(&batches, &which);
	struct batch_frame *f;
	int more;

	if (!ctx || !b || at >= BATCH_FRAMES)
		return -1;
	if (verdict != NO_VERDICT) {
		b->answers[at].verdict = verdict;
		b->answers[at].events = events_told;
		batch_at = ++at;
	}
	if (!left || at >= batch_end || at >= BATCH_FRAMES)
		return -1;
	f = &b->frames[at];
	if (!f->way)
		return 0;
	if (!ring_has_room())
		return -1;
	len = f->len;
	if (!between(len, ETH_HLEN, BATCH_FRAME))
		return -1;
	more = (int)len - (int)(ctx->data_end - ctx->data); /* never in fragments */
	if (more && bpf_xdp_adjust_tail(ctx, more))
		return -1;
	off = f->off & (BATCH_BYTES - 1);
	if (bpf_xdp_store_bytes(ctx, 0, b->bytes + off, len))
		return -1;
	virtual_ns = f->time;
	if (f->way & BATCH_EGRESS)
		replay_egress(ctx);
	return f->way;
}

/* The classifier is called from here: below it the stack is as deep as it may be. */
SEC("xdp.frags")
int winnow_replay(struct xdp_md *ctx)
{
	int way, verdict = NO_VERDICT;

	if (!batch_end) {
		if (batch_alone & BATCH_EGRESS)
			replay_egress(ctx);
		return batch_alone & BATCH_INGRESS ? winnow_classify(ctx) : XDP_PASS;
	}
	batch_fresh = 1;
	for (int i = 0; i <= BATCH_RUN; i++) {
		way = replay_next(ctx, verdict, BATCH_RUN - i);
		if (way < 0)
			break;
		verdict = XDP_PASS;
		if (way & BATCH_INGRESS)
			verdict = winnow_classify(ctx);
	}
	return XDP_PASS;
}

#endif
