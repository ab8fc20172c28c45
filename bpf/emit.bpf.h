/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * emit.bpf.h - names and events for userspace, through the ring.
 *
 * Live, a hello goes up when its ja4_key or the SYN's tcp_key has not been named,
 * or its (source, stack) has no tally yet, within a budget a second; then 1 in
 * 1,024. The gate closes only after the ring took the event. Replay: every hello
 * and handshake goes up, and there are no gates.
 */
#ifndef WINNOW_EMIT_BPF_H
#define WINNOW_EMIT_BPF_H

#include "abi.h"
#include "now.bpf.h"
#include "work.bpf.h"

#define NAME_SAMPLE 1024

/* In replay: how many events the ring has taken, so that each finds its frame. */
__u32 events_told;

/* In replay nobody sleeps until there is an event. To be woken is an interrupt a time. */
#define EVENT_WAKES (clock_virtual ? BPF_RB_NO_WAKEUP : 0)

static __always_inline void told(void)
{
	if (clock_virtual)
		events_told++;
}

static __always_inline void head_fill(struct event_head *e, const struct work *w, __u32 type,
				      __u32 len)
{
	e->type = type;
	e->len = len;
	e->time = w->t;
	e->conn = w->key ^ w->h.t_syn;
	e->src = w->p.src;
	e->dst = w->p.dst;
	e->peer = w->peer;
	e->peer_port = w->peer_port;
	e->sport = w->p.sport;
	e->dport = w->p.dport;
	e->tcp_key = w->h.tcp_key;
}

static __always_inline int gate_open(__u64 key)
{
	__u64 *n = bpf_map_lookup_elem(&named, &key);

	return !n || __sync_fetch_and_add(n, 1) % NAME_SAMPLE == NAME_SAMPLE - 1;
}

static __always_inline void gate_close(__u64 key)
{
	__u64 one = 1;

	bpf_map_update_elem(&named, &key, &one, BPF_NOEXIST);
}

/* Within this second's budget? */
static __always_inline int name_allowed(struct control *c, __u64 t)
{
	return !c->name_budget || budget_take(&c->name_window, &c->name_used, c->name_budget, t);
}

/* The hello in struct flat, or its failure (hello_len 0). `fresh`: the first of
 * its (source, stack). */
__noinline int emit_hello(__u32 fresh)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct flat *f = flat_get();
	__u64 tcp_gate;
	__u32 len;

	if (!c || !w || !f)
		return 0;
	tcp_gate = (__u64)w->h.tcp_key << 32 | 0x7cb;
	if (!c->emit_all) {
		int open = fresh;

		if (w->result != HELLO_OK)
			return 0;
		open |= gate_open(w->hello.ja4_key);
		if (w->h.tcp_key)
			open |= !bpf_map_lookup_elem(&named, &tcp_gate);
		if (!open)
			return 0;
		if (!name_allowed(c, w->t)) {
			count(COUNTER_NAME_BUDGET);
			return 0;
		}
	}
	len = w->result == HELLO_OK ? w->hello_len : 0;
	len &= 2 * HELLO_MAX - 1;
	if (len > HELLO_MAX)
		return 0;
	head_fill(&f->ev.head, w, EVENT_HELLO, sizeof(f->ev) + len);
	f->ev.syn = w->h.syn;
	f->ev.result = w->result;
	f->ev.segments = w->h.segments;
	f->ev.records = w->records > 255 ? 255 : w->records;
	f->ev.proof = w->h.proof;
	f->ev.place = w->h.flags & HS_HRR ? HELLO_RETRIED : HELLO_FIRST;
	f->ev.hello_len = len;
	f->ev.hello = w->hello;
	if (bpf_ringbuf_output(&events, f, sizeof(f->ev) + len, EVENT_WAKES)) {
		count(COUNTER_RING_LOST);
		return 0;
	}
	told();
	if (w->result == HELLO_OK && !c->emit_all) {
		gate_close(w->hello.ja4_key);
		gate_close(tcp_gate);
	}
	return 0;
}

static __always_inline void emit_handshake(const struct control *c, const struct work *w,
					   const struct timing *m)
{
	struct event_handshake *e;

	if (!c->emit_all)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNTER_RING_LOST);
		return;
	}
	head_fill(&e->head, w, EVENT_HANDSHAKE, sizeof(*e));
	e->rtt_us = m->rtt;
	e->d1_us = m->d1;
	e->d2_us = m->d2;
	e->dstar_us = m->dstar;
	e->flight = m->flight;
	e->flags = w->h.flags;
	e->proof = w->h.proof;
	e->result = w->h.result;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	e->stack_key = w->h.stack;
	bpf_ringbuf_submit(e, EVENT_WAKES);
	told();
}

#endif
