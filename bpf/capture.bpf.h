/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * capture.bpf.h - copies of packets that a rule acts on, or would, as they came.
 *
 * Only while somebody captures (control.capture), within a budget a second, through
 * the ring: tcpdump sees nothing of what XDP drops.
 */
#ifndef WINNOW_CAPTURE_BPF_H
#define WINNOW_CAPTURE_BPF_H

#include "abi.h"
#include "now.bpf.h"
#include "emit.bpf.h"
#include "work.bpf.h"

__noinline int capture_packet(struct xdp_md *ctx, __u32 handle, __u32 action, __u32 acted)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct event_packet *e;
	__u32 n;

	if (!ctx || !c || !w || (c->capture != CAPTURE_ANY && c->capture != handle))
		return 0;
	if (!budget_take(&c->capture_window, &c->capture_used, c->capture_budget, now_boot()))
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNTER_RING_LOST);
		return 0;
	}
	head_fill(&e->head, w, EVENT_PACKET, sizeof(*e));
	e->rule = handle;
	e->frame_len = w->p.frame_len;
	e->action = action;
	e->acted = acted;
	e->pad = 0;
	n = w->p.frame_len > CAPTURE_BYTES ? CAPTURE_BYTES : w->p.frame_len;
	n = some_of(n, CAPTURE_BYTES);
	if (bpf_xdp_load_bytes(ctx, 0, e->bytes, n)) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	e->len = n;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

#endif
