/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * steps.bpf.h - what a segment of a handshake asks for: name the hello and look up its
 * rule; tally the connection once the server has answered it; close the record.
 */
#ifndef WINNOW_STEPS_BPF_H
#define WINNOW_STEPS_BPF_H

#include "abi.h"
#include "emit.bpf.h"
#include "flow.bpf.h"
#include "hello.h"
#include "judge.bpf.h"
#include "proxy.bpf.h"
#include "reassemble.bpf.h"
#include "record.bpf.h"
#include "tally.bpf.h"

/* Bytes and exchanges of a segment that moved its flow, into the row it joined. */
__noinline int account(void)
{
	struct work *w = work_get();
	struct tally_join *j;
	struct moved *m;
	__u32 ref;

	if (!w)
		return 0;
	m = &w->m;
	if (tally_add(m, stamp_of(w->t)))
		return 0;
	/* Evicted: the flow takes its source's row up again, as no new connection. */
	j = &w->join;
	__builtin_memset(j, 0, sizeof(*j));
	j->src = source_word(&w->p.src, w->p.family);
	j->stack = m->stack;
	j->stamp = stamp_of(w->t);
	j->bytes_in = m->in;
	j->bytes_out = m->out;
	j->service = w->p.dport;
	j->family = w->p.family;
	j->proto = IPPROTO_TCP;
	ref = tally_join(j);
	if (!ref)
		return 0;
	m->tally = ref - 1;
	m->tally_gen = j->gen;
	m->in = 0;
	m->out = 0;
	if (m->exchange)
		tally_add(m, stamp_of(w->t));
	flow_rejoin(w->key, m->tally, m->tally_gen);
	return 0;
}

/* A connection of no tally: of a source that no client can have, or behind a PROXY header
 * that says nothing, or is not to be believed; any, where none are kept. */
static __always_inline int is_nobody(const struct work *w)
{
	return !tallies_kept || w->p.bad_source || w->h.result == HELLO_UNEXPECTED_PROXY ||
	       w->h.result == HELLO_BAD_PROXY;
}

/* A believed PROXY header at the connection's first byte, whole in this segment; or one
 * that was read before and comes again, with more behind it. Answers how many bytes of
 * the segment it takes, -1: it is malformed. Headers in pieces: see deframe(). */
__noinline int proxy_step(struct xdp_md *ctx)
{
	struct work *w = work_get();
	__u32 n, skip, says;

	if (!w || !ctx)
		return 0;
	if (w->h.flags & HS_PROXIED) {
		skip = w->h.hello_base - w->p.seq;
		if (!before(w->p.seq, w->h.hello_base))
			return 0;
	} else {
		if (w->p.seq != w->h.hello_base || w->h.segments)
			return 0;
		n = w->p.payload_len;
		if (n > PROXY_HEAD)
			n = PROXY_HEAD;
		w->head_have = n;
		n = some_of(n, PROXY_HEAD);
		if (bpf_xdp_load_bytes(ctx, w->p.payload_off, w->head, n))
			return 0;
		says = proxy_read();
		if (says == PROXY_BAD)
			return -1;
		if (says == PROXY_NONE)
			w->believed = 0;
		if (says != PROXY_WHOLE || w->head_len > w->p.payload_len)
			return 0;
		skip = w->head_len;
		w->believed = 0;
		proxied_as(w, &w->who);
		record_proxied(skip);
	}
	if (skip >= w->p.payload_len)
		return w->p.payload_len;
	n = w->p.payload_len - skip;
	if (n > sizeof(w->k.b))
		n = sizeof(w->k.b);
	w->k.len = 0;
	if (w->p.cut)
		return skip;
	w->k.len = n;
	n = some_of(n, sizeof(w->k.b));
	if (bpf_xdp_load_bytes(ctx, w->p.payload_off + skip, w->k.b, n))
		w->k.len = 0;
	return skip;
}

/* The segment's bytes to reassembly, without a PROXY header in front. 0: there were
 * none. */
static __always_inline int feed_behind(struct xdp_md *ctx, const struct control *c, struct work *w,
				       __u32 again)
{
	int skip = 0;

	w->believed =
		!again && !(w->h.flags & (HS_PROXIED | HS_HRR)) && proxy_believed(c, &w->p.src);
	if (w->believed || w->h.flags & HS_PROXIED)
		skip = proxy_step(ctx);
	if (skip < 0) {
		w->complete = 1;
		w->result = HELLO_BAD_PROXY;
		w->hello_len = 0;
		w->records = 0;
		return 1;
	}
	if ((__u32)skip >= w->p.payload_len)
		return 0;
	w->p.seq += skip;
	w->p.payload_off += skip;
	w->p.payload_len -= skip;
	if (feed(ctx, again))
		feed_again(ctx);
	w->p.seq -= skip;
	w->p.payload_off -= skip;
	w->p.payload_len += skip;
	return 1;
}

/* Parses what is complete, looks up its rule, tells userspace. */
__noinline int hello_step(struct xdp_md *ctx, __u32 again)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct flat *f = flat_get();
	__u32 fresh = 0;

	if (!c || !w || !f)
		return 0;
	if (!feed_behind(ctx, c, w, again)) {
		w->complete = 0;
		return 0;
	}
	if (w->complete && w->result == HELLO_OK) {
		w->hello.transport = 't';
		w->result = hello_parse(&f->h, w->hello_len, &c->secret, &w->hello);
	}
	hello_store(w, again);
	if (!w->complete || (again && !w->other))
		return 0;
	count(COUNTER_HELLO_OK + (w->result < HELLO_RESULT_MAX ? w->result : 0));
	if (w->h.flags & HS_HRR)
		count(COUNTER_HRR);
	if (w->result == HELLO_OK) {
		w->dstar = DSTAR_NONE;
		judge_hello(ctx);
		if (w->later)
			w->h.flags |= HS_LATER;
		if (w->v.rule || w->later) {
			record_mark(w->h.flags & HS_LATER, 0, 1);
			w->h.rule = w->v.rule;
			w->h.rule_gen = w->v.rule_gen;
		}
		fresh = !c->emit_all && !tally_known(c, w);
	} else {
		__builtin_memset(&w->hello, 0, sizeof(w->hello));
	}
	emit_hello(fresh);
	return 0;
}

/* Application bytes behind the client's Finished in the same segment: its records
 * are ChangeCipherSpec (or not), one encrypted one, then requests. TLS 1.2 clients
 * wait for the server first. */
static __always_inline __u32 flight_rest(struct xdp_md *ctx, const struct work *w)
{
	__u32 at = 0, len;
	__u8 head[5];

	if (peek_ccs(&w->k))
		at = CCS_LEN;
	if (at + 5 > w->p.payload_len ||
	    bpf_xdp_load_bytes(ctx, w->p.payload_off + at, head, sizeof(head)))
		return 0;
	if (head[0] != 23)
		return 0;
	len = at + 5 + (head[3] << 8 | head[4]);
	return w->p.payload_len > len ? w->p.payload_len - len : 0;
}

/* The server has answered the hello: tally the connection, once, and open a flow. */
__noinline int proved_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct tally_join j = {};
	struct work *w = work_get();
	__u64 stack, order;
	__u32 ref;

	if (!c || !w || !ctx)
		return 0;
	if (record_mark(HS_HELLO_PROVED, 0, 0) & HS_HELLO_PROVED)
		return 0;
	if (w->h.proof != PROOF_EGRESS)
		count(COUNTER_CONN_PROVED);
	stack = w->h.stack;
	order = w->h.order;
	if (!stack && w->h.flags & HS_OVERLAP && w->h.result == HELLO_OVERLAP)
		count(COUNTER_HELLO_OVERLAP);
	if (stack)
		count(COUNTER_HELLO_PROVED);
	j.src = source_word(&w->p.src, w->p.family);
	j.stack = stack;
	j.stamp = stamp_of(w->t);
	j.tcp_key = w->h.tcp_key;
	j.resumed = !!(w->h.hello_flags & HELLO_HAS_PSK);
	j.join = 1;
	j.bytes_in = w->p.seq + w->p.payload_len - (w->h.isn_c + 1);
	j.bytes_out = w->p.ack - w->h.ack_first;
	j.service = w->p.dport;
	j.family = w->p.family;
	j.proto = IPPROTO_TCP;
	w->tally_ref = 0;
	if (!is_nobody(w)) {
		ref = tally_join(&j);
		if (!ref)
			return 0;
		w->tally_ref = ref - 1;
		w->tally_gen = j.gen;
		if (stack)
			order_join(stack, order, j.src, j.stamp);
	}
	flow_begin(stack, w->p.seq + w->p.payload_len, is_nobody(w));
	return 0;
}

/* The second flight has come, and rules waited for it: D* is known. Answers what the one
 * that speaks now does to it: enum rule_action. */
__noinline int later_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct timing m;
	__u32 action, was;

	if (!c || !w || !ctx)
		return RULE_NONE;
	handshake_timing(&w->h, w->h.flags & HS_RESUMED ? c->s0[1] : c->s0[0], &m);
	if (m.dstar == US_UNKNOWN)
		return RULE_NONE;
	w->dstar = m.dstar / 100 < DSTAR_MAX ? m.dstar / 100 : DSTAR_MAX;
	w->hello.ja4_key = w->h.ja4;
	w->hello.stack_key = w->h.stack;
	w->hello.order_hash = w->h.order;
	w->hello.flags = w->h.hello_flags;
	judge_hello(ctx);
	if (!w->v.rule || (w->v.rule == w->h.rule && w->v.rule_gen == w->h.rule_gen))
		return RULE_NONE;
	flow_rule(w->key, w->v.rule, w->v.rule_gen);
	action = rule_act(ctx, w->v.rule, w->v.rule_gen, w->h.stack,
			  ACT_ON_FIRST | (w->h.proof ? ACT_ON_PROVED : 0));
	if (action == RULE_REJECT)
		flow_reject(w->key, 1, &was);
	return action;
}

/* The second client flight, or the end without one. */
__noinline int finish_step(struct xdp_md *ctx, __u32 act, __u32 ref, __u32 gen)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct timing m;
	__u32 exchange;
	int done;

	if (!c || !w)
		return 0;
	if (!(act & ACT_FLIGHT))
		w->h.flags |= HS_NOF2;
	if (w->h.flags & HS_PROXIED)
		w->h.flags &= ~HS_PIGGY;
	handshake_timing(&w->h, w->h.flags & HS_RESUMED ? c->s0[1] : c->s0[0], &m);
	/* A RST or FIN proves nothing: the record waits for what follows it. */
	done = act & ACT_FLIGHT || w->h.flags & HS_HELLO_PROVED;
	record_mark(done ? w->h.flags & HS_NOF2 : HS_CLOSED, done, 0);
	if (w->h.state == HS_HELLO && c->emit_all) {
		w->result = HELLO_INCOMPLETE;
		w->records = 0;
		__builtin_memset(&w->hello, 0, sizeof(w->hello));
		emit_hello(0);
	}
	if (w->h.flags & HS_HELLO_PROVED) {
		exchange = flow_opened(w->key, w->t,
				       act & ACT_FLIGHT && !w->stopped ? flight_rest(ctx, w) : 0);
		if (!is_nobody(w)) {
			if (w->h.result == HELLO_OK)
				tally_measured(ref, gen, &m, w->h.flags);
			if (exchange)
				tally_add(&(struct moved){ .tally = ref,
							   .tally_gen = gen,
							   .exchange = 1 },
					  stamp_of(w->t));
		}
	} else if (w->h.result == HELLO_OK && w->h.state == HS_NAMED) {
		count(COUNTER_HELLO_UNPROVED);
	}
	emit_handshake(c, w, &m);
	return 0;
}

#endif
