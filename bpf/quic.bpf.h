/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * quic.bpf.h - QUIC connections: which hello is whose, proved by connection ids.
 *
 * A client's Initials go up the ring; userspace decrypts them and writes the hello's
 * keys into quic_names by (4-tuple, first DCID). The server answers with an id of its
 * own choice, which only the owner of the client's address gets to see (egress reads
 * it). A later client packet with that id is proof: then the hello is judged and
 * tallied, and the id carries the verdict. A Retry's id proves the hello itself.
 *
 * Which hello an id answers: the server's packet names the client's SCID, and so did
 * the hello. Two hellos of one 4-tuple and SCID within 10 s leave the id unlinked;
 * userspace then finds the hello whose keys open the client's next Initial.
 *
 * A new id that a proved client was given out of our sight is taken for its 4-tuple's
 * newest proved connection: nobody else proves anything on that 4-tuple.
 *
 * Nothing acts or counts before the proof. `reset` and `reject` are `drop` here.
 */
#ifndef WINNOW_QUIC_BPF_H
#define WINNOW_QUIC_BPF_H

#include "abi.h"
#include "now.bpf.h"
#include "emit.bpf.h"
#include "judge.bpf.h"
#include "work.bpf.h"

#define QUIC_V2       0x6b3343cfU
#define QUIC_V2_DRAFT 0x709a50c4U
#define QUIC_CID      20U
#define QUIC_LIFE     STAMP_PER_SECOND(10)

/* Each QUIC hello is opened in userspace, not only the first of its kind: budgets in
 * datagrams for one hello of the budgets in hellos. */
#define QUIC_DATAGRAMS 4
#define QUIC_ALL       16

enum quic_kind { QUIC_NONE, QUIC_SHORT, QUIC_INITIAL, QUIC_RETRY, QUIC_LONG };

/* Of `len` bytes at `off` of the peek, keyed. */
__noinline __u64 quic_cid(__u32 off, __u32 len)
{
	struct control *c = control_get();
	struct work *w = work_get();
	__u64 h, word = 0;

	if (!c || !w || len > QUIC_CID)
		return 0;
	h = c->secret.k[2] ^ len;
	for (__u32 i = 0; i < QUIC_CID; i++) {
		__u64 b = w->q.b[(off + i) & (QUIC_PEEK - 1)];
		__u64 inside = (__u64)i - len;

		hide(inside); /* one way for the verifier, not 2^20 */
		word |= b * (inside >> 63) << (i % 8 * 8);
		if (i % 8 == 7) {
			h = mix64(h + word);
			word = 0;
		}
	}
	return mix64(h + word) ?: 1;
}

/* An answer besides enum rule_action: the id in w->q.id has just been proved. */
#define QUIC_PROVE 0x100

/* The first packet's header, from the peek. */
__noinline int quic_head(void)
{
	struct work *w = work_get();
	__u32 type, dlen, slen;

	if (!w)
		return 0;
	w->q.kind = QUIC_NONE;
	if (w->q.len < 1)
		return 0;
	if (!(w->q.b[0] & 0x80)) {
		/* QUIC's packets have bit 6 set; a DTLS record has not. */
		if (w->q.b[0] == 22 && w->q.b[1] == 0xfe && w->q.len > 13 && w->q.b[13] == 1)
			count(COUNTER_HELLO_DTLS);
		w->q.kind = QUIC_SHORT;
		return 0;
	}
	if (w->q.len < 7)
		return 0;
	w->q.version = (__u32)w->q.b[1] << 24 | w->q.b[2] << 16 | w->q.b[3] << 8 | w->q.b[4];
	dlen = w->q.b[5];
	if (!w->q.version || dlen > QUIC_CID)
		return 0;
	slen = w->q.b[(6 + dlen) & (QUIC_PEEK - 1)];
	if (slen > QUIC_CID || 7 + dlen + slen > w->q.len)
		return 0;
	w->q.dcid_len = dlen;
	w->q.scid_len = slen;
	w->q.dcid = quic_cid(6, dlen);
	w->q.scid = quic_cid(7 + dlen, slen);
	type = w->q.b[0] >> 4 & 3;
	if (w->q.version == QUIC_V2 || w->q.version == QUIC_V2_DRAFT)
		type = type - 1 & 3;
	w->q.kind = type == 0 ? QUIC_INITIAL : type == 3 ? QUIC_RETRY : QUIC_LONG;
	return 0;
}

static __always_inline __u64 quic_key(const struct secret *s, __u64 tuple, __u64 cid, __u32 what)
{
	return mix64(key_pair(s, tuple, cid) + what) ?: 1;
}

enum { QUIC_KEY_NAME = 1, QUIC_KEY_ID, QUIC_KEY_PENDING };

/* Per source and in all, so that a flood of Initials costs userspace a bounded time. */
static __always_inline int quic_budget(struct control *c, struct work *w)
{
	__u64 src = source_word(&w->p.src, w->p.family);

	if (c->emit_all)
		return 1;
	if (c->source_name_budget &&
	    !bucket_spend(key_pair(&c->secret, src, 0x91c0000 | w->p.family),
			  c->source_name_budget * 1000ULL * QUIC_DATAGRAMS,
			  c->source_name_budget * 2000ULL * QUIC_DATAGRAMS, w->t))
		return 0;
	return !c->name_budget ||
	       budget_take(&c->quic_window, &c->quic_used, c->name_budget * 1ULL * QUIC_ALL, w->t);
}

static __always_inline void quic_about(struct event_head *e, const struct work *w, __u64 conn)
{
	e->time = w->t;
	e->conn = conn;
	e->src = w->p.src;
	e->dst = w->p.dst;
	e->sport = w->p.sport;
	e->dport = w->p.dport;
	e->tcp_key = 0;
	e->peer_port = 0;
}

/* The datagram, for userspace to open. `id`: the unlinked id it answers. */
__noinline int quic_emit(struct xdp_md *ctx, __u64 name, __u64 id)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct event_quic *e;
	__u32 n;

	if (!c || !w || !ctx)
		return 0;
	n = w->p.payload_len;
	if (!n)
		return 0;
	if (!quic_budget(c, w)) {
		count(COUNTER_QUIC_BUDGET);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNTER_RING_LOST);
		return 0;
	}
	e->head.type = EVENT_QUIC;
	e->head.len = sizeof(*e);
	quic_about(&e->head, w, name);
	e->tuple = w->key;
	e->id = id;
	n = n > QUIC_DATAGRAM_MAX ? QUIC_DATAGRAM_MAX : n;
	n = some_of(n, QUIC_DATAGRAM_MAX);
	e->len = n;
	e->pad = 0;
	e->pad2 = 0;
	if (bpf_xdp_load_bytes(ctx, w->p.payload_off, e->bytes, n)) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	bpf_ringbuf_submit(e, 0);
	told();
	return 0;
}

/* A client's Initial whose DCID is its own. `again`: a Retry's id, so only one hello
 * can be meant. */
static __always_inline void quic_pend(struct control *c, struct work *w, __u64 name, int again)
{
	__u64 key = quic_key(&c->secret, w->key, w->q.scid, QUIC_KEY_PENDING);
	struct quic_pending *old = bpf_map_lookup_elem(&quic_pendings, &key);
	struct quic_pending p = { .name = name, .stamp = stamp_of(w->t), .hellos = 1 };

	if (old && !again && row_age(p.stamp, old->stamp) <= QUIC_LIFE) {
		if (old->name != name)
			old->hellos = 2;
		return;
	}
	bpf_map_update_elem(&quic_pendings, &key, &p, BPF_ANY);
}

/* To userspace, in replay: the proof of hello `name`. */
__noinline int quic_tell(__u64 name, __u32 hello_flags, __u64 stack)
{
	struct event_handshake *e;
	struct work *w = work_get();

	if (!w)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNTER_RING_LOST);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->head.type = EVENT_HANDSHAKE;
	e->head.len = sizeof(*e);
	quic_about(&e->head, w, name);
	e->rtt_us = e->d1_us = e->d2_us = e->dstar_us = US_UNKNOWN;
	e->flags = HS_HELLO_PROVED | (hello_flags & HELLO_HAS_PSK ? HS_RESUMED : 0);
	e->proof = PROOF_EGRESS;
	e->result = HELLO_OK;
	e->stack_key = stack;
	bpf_ringbuf_submit(e, 0);
	told();
	return 0;
}

/* Into the tally of (source, stack, service); a connection if it is the hello's
 * `first` id. */
__noinline int quic_tally(__u64 id_key, __u32 first)
{
	struct quic_id *id = bpf_map_lookup_elem(&quic_ids, &id_key);
	struct work *w = work_get();
	struct tally_join j = {};
	__u32 ref;

	if (!id || !w)
		return 0;
	j.src = source_word(&w->p.src, w->p.family);
	j.stack = id->stack;
	j.stamp = stamp_of(w->t);
	j.resumed = !!(w->hello.flags & HELLO_HAS_PSK);
	j.join = first;
	j.bytes_in = w->p.payload_len;
	j.service = w->p.dport;
	j.family = w->p.family;
	j.proto = IPPROTO_UDP;
	ref = tally_join(&j);
	if (ref) {
		id->tally_gen = j.gen;
		id->tally = ref - 1;
	}
	if (first)
		order_join(j.stack, w->hello.order_hash, j.src, j.stamp);
	return 0;
}

/* The proof: the hello is judged. Answers what a rule says. */
__noinline int quic_proved(struct xdp_md *ctx, __u64 id_key)
{
	struct quic_id *id = bpf_map_lookup_elem(&quic_ids, &id_key);
	struct control *c = control_get();
	struct work *w = work_get();
	struct quic_tuple *tuple;
	struct quic_name *name;
	__u64 name_key;
	__u32 first, action = RULE_NONE;

	if (!ctx || !id || !c || !w)
		return 0;
	name_key = id->name;
	name = bpf_map_lookup_elem(&quic_names, &name_key);
	if (!name)
		return 0;
	first = !__sync_fetch_and_add(&name->used, 1);
	w->hello.ja4_key = name->ja4;
	w->hello.stack_key = name->stack;
	w->hello.order_hash = name->order;
	w->hello.flags = name->hello_flags;
	w->h.d1 = US_UNKNOWN;
	w->dstar = DSTAR_NONE;
	id->stack = name->stack;
	judge_hello(ctx);
	id->rule = w->v.rule;
	id->rule_gen = w->v.rule_gen;
	id->tally = QUIC_NO_TALLY;
	id->flags |= QUIC_ID_JUDGED;
	tuple = bpf_map_lookup_elem(&quic_tuples, &w->key);
	if (tuple)
		tuple->id = id_key;
	if (first) {
		count(COUNTER_CONN_PROVED);
		count(COUNTER_HELLO_PROVED);
		if (c->emit_all)
			quic_tell(name_key, w->hello.flags, w->hello.stack_key);
	}
	if (w->v.rule && !w->passed)
		action = rule_act(ctx, w->v.rule, w->v.rule_gen, w->hello.stack_key,
				  ACT_ON_PROVED | (first ? ACT_ON_FIRST : 0));
	if (action == RULE_NONE && !w->p.bad_source && tallies_kept)
		quic_tally(id_key, first);
	return action;
}

/* A client's packet with an id that this host gave out. */
static __always_inline __u32 quic_known(struct xdp_md *ctx, struct control *c, struct work *w,
					__u64 id_key, struct quic_id *id)
{
	__u64 name;

	if (id->flags & QUIC_ID_JUDGED) {
		__u32 action = RULE_NONE;

		if (id->rule && !w->passed)
			action = rule_act(ctx, id->rule, id->rule_gen, id->stack, ACT_ON_PROVED);
		if (action == RULE_NONE && id->tally != QUIC_NO_TALLY)
			tally_add(&(struct moved){ .tally = id->tally,
						   .tally_gen = id->tally_gen,
						   .in = w->p.payload_len },
				  stamp_of(w->t));
		return action;
	}
	name = id->name;
	if (w->q.kind == QUIC_INITIAL && id->flags & QUIC_ID_RETRY) {
		name = quic_key(&c->secret, w->key, w->q.dcid, QUIC_KEY_NAME);
		id->name = name;
		quic_pend(c, w, name, 1);
	}
	if (name && bpf_map_lookup_elem(&quic_names, &name)) {
		w->q.id = id_key;
		return QUIC_PROVE;
	}
	if (w->q.kind == QUIC_INITIAL) {
		if (!name)
			count(COUNTER_QUIC_UNLINKED);
		quic_emit(ctx, name, name ? 0 : id_key);
	}
	return RULE_NONE;
}

/* A datagram for a protected port. Answers what a rule says, or QUIC_PROVE: then
 * quic_proved() does, called from further up because stacks are short. */
__noinline int quic_step(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct quic_tuple *tuple;
	struct quic_id *id;
	__u64 key, cid;
	__u32 n;

	if (!c || !w || !ctx)
		return RULE_NONE;
	n = w->p.payload_len;
	if (!n)
		return RULE_NONE;
	n = n > QUIC_PEEK ? QUIC_PEEK : n;
	n = some_of(n, QUIC_PEEK);
	if (bpf_xdp_load_bytes(ctx, w->p.payload_off, w->q.b, n))
		return RULE_NONE;
	w->q.len = n;
	w->t = now_coarse();
	w->key = key_flow(&c->secret, &w->p.src, &w->p.dst, w->p.sport, w->p.dport);
	quic_head();
	if (w->q.kind == QUIC_NONE)
		return RULE_NONE;
	if (w->q.kind == QUIC_SHORT) {
		tuple = bpf_map_lookup_elem(&quic_tuples, &w->key);
		if (!tuple || tuple->cid_len >= w->q.len)
			return RULE_NONE;
		cid = quic_cid(1, tuple->cid_len);
		key = quic_key(&c->secret, w->key, cid, QUIC_KEY_ID);
		id = bpf_map_lookup_elem(&quic_ids, &key);
		if (!id) {
			key = tuple->id;
			id = key ? bpf_map_lookup_elem(&quic_ids, &key) : NULL;
		}
		return id ? quic_known(ctx, c, w, key, id) : RULE_NONE;
	}
	if (w->q.kind == QUIC_INITIAL)
		count(COUNTER_QUIC_INITIAL);
	key = quic_key(&c->secret, w->key, w->q.dcid, QUIC_KEY_ID);
	id = bpf_map_lookup_elem(&quic_ids, &key);
	if (id)
		return quic_known(ctx, c, w, key, id);
	if (w->q.kind == QUIC_INITIAL) {
		key = quic_key(&c->secret, w->key, w->q.dcid, QUIC_KEY_NAME);
		quic_pend(c, w, key, 0);
		if (!bpf_map_lookup_elem(&quic_names, &key)) {
			w->t = now();
			quic_emit(ctx, key, 0);
		}
	}
	return RULE_NONE;
}

/* Bytes of a datagram to be peeked at: 1 to QUIC_PEEK, 0: there are none. */
static __always_inline __u32 quic_peek_len(struct work *w)
{
	__u32 n = w->p.payload_len;

	w->q.len = n > QUIC_PEEK ? QUIC_PEEK : n;
	return n ? some_of(w->q.len, QUIC_PEEK) : 0;
}

/* A server's long header on its way out, in the peek: the id it gives to the client. */
__noinline int quic_issue(void)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct quic_pending *p;
	struct quic_tuple fresh = {}, *tuple;
	struct quic_id id = {};
	__u64 key, pending;

	if (!c || !w)
		return 0;
	if (!(w->q.b[0] & 0x80))
		return 0;
	quic_head();
	if (w->q.kind <= QUIC_SHORT || !w->q.scid_len)
		return 0; /* an empty id proves nothing */
	w->t = now_coarse();
	w->key = key_flow(&c->secret, &w->p.dst, &w->p.src, w->p.dport, w->p.sport);
	key = quic_key(&c->secret, w->key, w->q.scid, QUIC_KEY_ID);
	if (bpf_map_lookup_elem(&quic_ids, &key))
		return 0;
	if (w->q.kind == QUIC_RETRY) {
		id.flags = QUIC_ID_RETRY;
	} else {
		pending = quic_key(&c->secret, w->key, w->q.dcid, QUIC_KEY_PENDING);
		p = bpf_map_lookup_elem(&quic_pendings, &pending);
		if (p && p->hellos == 1 && row_age(stamp_of(w->t), p->stamp) <= QUIC_LIFE)
			id.name = p->name;
	}
	bpf_map_update_elem(&quic_ids, &key, &id, BPF_NOEXIST);
	tuple = bpf_map_lookup_elem(&quic_tuples, &w->key);
	if (tuple) {
		tuple->cid_len = w->q.scid_len;
		return 0;
	}
	fresh.cid_len = w->q.scid_len;
	bpf_map_update_elem(&quic_tuples, &w->key, &fresh, BPF_NOEXIST);
	return 0;
}

#endif
