/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * handshake.bpf.h - one connection between its SYN and its second client flight.
 *
 * A record proves nothing: floods and spoofers write here and nowhere else. The
 * step below is pure arithmetic on one record, run under its lock, and answers
 * with what the caller has to do. The rules are those learnt from real clients,
 * servers and proxies (delays of the hidden leg):
 *   R, D1   need a pure first ACK; D1 ends at the first segment of the hello
 *   D2      from the first pure ACK of the server's flight
 *   D*      from the pure ACK that covers the whole flight if that is longer than
 *           one segment, else (f2 - hello complete) - R - S0
 *   f2      the first payload at or behind the hello's end that acknowledges
 *           server bytes; a lone ChangeCipherSpec is looked through
 *
 * A flood is made of SYNs that nobody follows up, and what it costs is waits for memory. So
 * a record is in two places. What a SYN says is written behind what the one before said
 * (`syns`), where the next lines are on their way already; where it is stands in the head of
 * the key's set, 16 bytes a record, and that is the one line a SYN waits for. The record
 * that lies in the set (`handshakes`) is made of it when the client answers, and with it a
 * second SYN's, or a SYN's with data: syn_whole().
 *
 * Who changes a record holds its set's lock, wherever it is. The next owner of a place in
 * `syns` has another lock, so whoever reads or writes one also holds the place's own, taken
 * last; a place that holds another key is nobody's record any more.
 *
 * Bound: as many SYNs as the table has rows, less the eighth that processors may have
 * reserved (syn_next()); then the oldest is gone, answered ones never.
 * Measured: 380 ns a SYN at 1,048,576 rows, 690 with every record in its set.
 */
#ifndef WINNOW_HANDSHAKE_BPF_H
#define WINNOW_HANDSHAKE_BPF_H

#include "abi.h"
#include "hello.h"
#include "key.bpf.h"
#include "maps.bpf.h"
#include "now.bpf.h"
#include "parse.bpf.h"
#include "table.bpf.h"

#define WINDOW_SEQ     (1U << 16) /* a client segment further away is not ours */
#define WINDOW_ACK     (1U << 20)
#define HANDSHAKE_LIFE STAMP_PER_SECOND(10)
#define CCS_LEN        6 /* 14 03 0x 00 01 01 */

/* Number of sets - 1 and of places - 1, set before loading. */
const volatile __u32 handshake_sets = 2047;
const volatile __u32 syn_places = 16383;

/* Read by nobody else. To be mapped, a table begins with a page, else 312 bytes behind one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct handshake_head);
} handshake_heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct handshake_set);
} handshakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct syn_record);
} syns SEC(".maps");

/* Places given out so far, by chunks: each CPU writes one line behind another. */
#define SYN_CHUNK 64
struct {
	__u32 n;
	__u32 pad[15];
} syns_given __attribute__((aligned(64)));

enum handshake_act {
	ACT_CONN = 1 << 0,   /* the client has answered the server's number */
	ACT_FEED = 1 << 1,   /* bytes of a hello: reassemble, parse, judge */
	ACT_PROVED = 1 << 2, /* the server has answered the hello */
	ACT_FLIGHT = 1 << 3, /* second client flight: the timing is complete */
	ACT_CLOSE = 1 << 4,  /* over before that */
	ACT_OUT = 1 << 5,    /* not of this connection */
	ACT_EARLY = 1 << 6,
	ACT_HRR = 1 << 7,
	ACT_GONE = 1 << 8, /* no record, or a finished one */
};

/* First bytes of a payload, enough to tell a ChangeCipherSpec and a hello. */
struct peek {
	__u8 b[16];
	__u32 len;
	__u32 is; /* enum peek_is, once they have been looked at */
};

enum peek_is { PEEK_CCS = 1, PEEK_HELLO = 2, PEEK_RECORD = 4 };

static __always_inline int peek_ccs(const struct peek *k)
{
	return k->len >= CCS_LEN && k->b[0] == 20 && k->b[1] == 3 && k->b[3] == 0 && k->b[4] == 1;
}

/* A handshake record whose message is a ClientHello. An encrypted one begins with a 1,
 * too, every 256th time: length and version have to fit, where they are to be seen. */
static __always_inline int hello_head(const __u8 *b, __u32 len)
{
	if (len < 6 || b[0] != 22 || b[1] != 3 || b[5] != 1)
		return 0;
	if (len < 10 || (!b[3] && b[4] < 5))
		return 1;
	return !b[6] && b[9] == 3;
}

/* The same, maybe behind a CCS. */
static __always_inline int peek_hello(const struct peek *k)
{
	if (peek_ccs(k))
		return hello_head(k->b + CCS_LEN, k->len - CCS_LEN);
	return hello_head(k->b, k->len);
}

/* Any TLS record header: what a client sends after its hello begins with one. */
static __always_inline int peek_record(const struct peek *k)
{
	return k->len >= 3 && k->b[0] >= 20 && k->b[0] <= 23 && k->b[1] == 3;
}

static __always_inline __u32 since(const struct handshake *h, __u64 t)
{
	__u32 us = (t - h->t_syn) / 1000;

	return us ?: 1; /* 0 = unset */
}

static __always_inline int before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

/* A HelloRetryRequest answers a hello: behind other first bytes what looks like a
 * second one is data (CONNECT, STARTTLS and their like). */
static __always_inline int may_retry(__u32 result)
{
	return !hello_is_other(result) && result != HELLO_SSLV2 &&
	       result != HELLO_UNEXPECTED_PROXY && result != HELLO_BAD_PROXY;
}

/*
 * Which hello did the server take? The one at whose end the client goes on, once the
 * server has answered. A client that goes on elsewhere sent a hello that was not
 * seen, or a decoy that was: then the connection is tallied without a name. Behind
 * our end it may be a lost segment instead, so that the verdict waits until the
 * server has gone on answering. 1: settled.
 */
static __always_inline int handshake_settle(struct handshake *h, const struct packet *p,
					    const struct peek *k)
{
	if (h->flags & HS_ALT && p->seq == h->alt_end && p->seq == h->ch_end) {
		h->flags |= HS_OVERLAP; /* bytes behind the one reach the other's end */
	} else if (h->flags & HS_ALT && p->seq == h->alt_end) {
		h->ja4 = h->alt_ja4;
		h->stack = h->alt_stack;
		h->order = h->alt_order;
		h->ch_end = h->alt_end;
		h->result = HELLO_OK;
		h->hello_flags = 0; /* not kept of the other one */
		h->flags &= ~HS_RESUMED;
		return 1;
	}
	if (p->seq != h->ch_end) {
		if (!before(p->seq, h->ch_end)) {
			if (!(h->flags & HS_UNFIT)) {
				h->flags |= HS_UNFIT;
				h->unfit_ack = p->ack;
				return 0;
			}
			if (!before(h->unfit_ack, p->ack))
				return 0;
		} else if (!p->payload_len || !(k->is & PEEK_RECORD)) {
			return 0;
		}
		h->flags |= HS_OVERLAP;
		h->ch_end = p->seq;
	}
	if (h->flags & HS_OVERLAP && h->result == HELLO_OK) {
		h->result = HELLO_OVERLAP;
		h->ja4 = 0;
		h->stack = 0;
		h->order = 0;
	}
	return 1;
}

/* A pure ACK, payload, FIN or RST of the client. `need_isn`: the egress program
 * runs, so what arrives before the server's number is not an answer to it. *act: enum
 * handshake_act; in memory, for the verifier would tell every sum of them apart. */
static __always_inline void handshake_step(struct handshake *h, const struct packet *p,
					   const struct peek *k, __u64 t, int need_isn, __u32 *act)
{
	__u32 dt = since(h, t), end = p->seq + p->payload_len;
	int closing = p->tcp_flags & (TCP_FIN | TCP_RST), answered, settled;

	if (p->seq - (h->isn_c + 1) > WINDOW_SEQ) {
		*act |= ACT_OUT;
		return;
	}
	if (p->tcp_flags & TCP_RST) {
		/* Only one at the expected byte is the client's. */
		*act |= p->seq == h->high ? ACT_CLOSE : ACT_OUT;
		return;
	}
	/* Until the hello the server has sent nothing but its number, so the one
	 * acknowledgement that fits is exact: a guess hits once in 2^32. */
	if (!h->d_ack) {
		__u32 beyond = p->ack - (h->isn_s + 1);

		if (h->flags & HS_HAS_ISN && beyond > (h->flags & HS_SYN_DATA ? WINDOW_SEQ : 0)) {
			*act |= ACT_OUT;
			return;
		}
		if (!(h->flags & HS_HAS_ISN) && need_isn) {
			*act |= ACT_OUT;
			return;
		}
	} else if (p->ack - h->ack_first > WINDOW_ACK) {
		*act |= ACT_OUT;
		return;
	}
	if (p->payload_len && h->d_ack && h->state < HS_NAMED && p->ack != h->ack0) {
		*act |= ACT_OUT;
		return;
	}

	if (!h->d_ack) {
		h->d_ack = dt;
		h->ack0 = p->ack;
		if (h->flags & HS_SYN_DATA && h->flags & HS_HAS_ISN)
			h->ack0 = h->isn_s + 1;
		h->ack_first = h->ack0;
		if (!p->payload_len && !closing)
			h->flags |= HS_FIRST_ACK;
	}
	if (h->flags & HS_HAS_ISN && h->proof != PROOF_EGRESS) {
		h->proof = PROOF_EGRESS;
		*act |= ACT_CONN;
	}
	if (p->payload_len) {
		if (before(p->seq, h->high))
			h->flags |= HS_RETX;
		if (before(h->high, end))
			h->high = end;
	}

	if (h->state < HS_NAMED) {
		/* After a HelloRetryRequest the first hello may come again: old bytes. */
		if (p->payload_len && (!before(p->seq, h->hello_base) ||
				       (h->flags & HS_PROXIED && before(h->hello_base, end)))) {
			if (!h->d_ch) {
				h->d_ch = dt;
				h->state = HS_HELLO;
				if (p->seq != h->hello_base)
					h->flags |= HS_OOO;
			}
			*act |= ACT_FEED;
		}
		*act |= closing ? ACT_CLOSE : 0;
		return;
	}

	/* The hello is known; ack0 is the client's acknowledgement beside it. */
	answered = p->ack != h->ack0 && !before(p->ack, h->ack0);
	settled = h->flags & HS_HELLO_PROVED || h->d_f2;
	if (!p->payload_len) {
		if (answered) {
			if (!h->d_f2) {
				if (!h->d_p1)
					h->d_p1 = dt;
				if (!h->d_pl || before(h->ack_pl, p->ack)) {
					h->ack_pl = p->ack;
					h->d_pl = dt;
				}
			}
			if (settled || handshake_settle(h, p, k))
				*act |= ACT_PROVED;
		}
		*act |= closing ? ACT_CLOSE : 0;
		return;
	}
	if (!answered) {
		if (before(p->seq, h->ch_end)) {
			/* What is no TLS grows, but not by a hello over its first byte. */
			if (h->result != HELLO_OK && before(h->ch_end, end) &&
			    !(hello_is_other(h->result) && p->seq == h->hello_base &&
			      (k->is & PEEK_HELLO)))
				h->ch_end = end;
			*act |= ACT_FEED; /* again: the same bytes, or other ones? */
			return;
		}
		h->flags |= HS_EARLY;
		if (p->seq == h->ch_end &&
		    (h->hello_flags & HELLO_HAS_EARLY_DATA || h->result != HELLO_OK))
			h->ch_end = end;
		else if (h->flags & HS_ALT && p->seq == h->alt_end)
			h->alt_end = end;
		*act |= ACT_EARLY | (closing ? ACT_CLOSE : 0);
		return;
	}
	if (!settled && before(p->seq, h->ch_end) && !(k->is & PEEK_RECORD) &&
	    !(h->flags & HS_ALT && p->seq == h->alt_end)) {
		*act |= ACT_FEED;
		return;
	}
	if (!settled && !handshake_settle(h, p, k))
		return;
	if ((!h->d_f2 || (h->flags & HS_CCS_ALONE && !h->d_f2x)) && !(h->flags & HS_HRR) &&
	    may_retry(h->result) && (k->is & PEEK_HELLO)) {
		h->flags = (h->flags | HS_HRR) & ~(HS_CCS_ALONE | HS_PIGGY);
		h->d_f2 = 0;
		h->state = HS_HELLO;
		h->segments = 0;
		h->ack0 = p->ack;
		h->hello_base = p->seq;
		h->d_ch = dt;
		h->d_chc = 0;
		h->d_p1 = 0;
		h->d_pl = 0;
		*act |= ACT_FEED | ACT_HRR;
		return;
	}
	*act |= ACT_PROVED;
	if (!h->d_f2) {
		h->d_f2 = dt;
		h->ack_f2 = p->ack;
		if (!h->d_p1)
			h->flags |= HS_PIGGY;
		if (p->payload_len == CCS_LEN && (k->is & PEEK_CCS)) {
			h->flags |= HS_CCS_ALONE;
			*act |= closing ? ACT_CLOSE : 0;
			return;
		}
	} else if (h->flags & HS_CCS_ALONE && !h->d_f2x) {
		if (before(p->seq, h->ch_end + CCS_LEN))
			return; /* the lone CCS once more */
		h->d_f2x = dt;
		if ((k->is & PEEK_CCS))
			h->flags |= HS_CCS_TWICE;
	}
	*act |= ACT_FLIGHT;
}

struct timing {
	__u32 rtt, d1, d2, dstar, flight; /* us, US_UNKNOWN; bytes */
};

/* The numbers of a finished record; see the rules above. */
static __always_inline void handshake_timing(const struct handshake *h, __u64 s0,
					     struct timing *out)
{
	int ccs2 = h->flags & HS_CCS_TWICE && h->d_f2x;
	__u32 f2 = ccs2 ? h->d_f2x : h->d_f2;
	__u32 mss = h->mss ?: 536;
	int clock_ok = !(h->flags & (HS_SYN_RETX | HS_NO_SYN | HS_SYN_DATA));
	__s64 d;

	out->rtt = clock_ok && h->flags & HS_FIRST_ACK ? h->d_ack : US_UNKNOWN;
	out->d1 = h->d1;
	out->d2 = US_UNKNOWN;
	out->dstar = US_UNKNOWN;
	out->flight = 0;
	if (h->flags & HS_PROXIED) /* the proxy's connection, not the client's */
		out->rtt = out->d1 = US_UNKNOWN;
	if (!h->d_f2 || h->flags & HS_PROXIED)
		return;
	out->flight = h->ack_f2 - h->ack0;
	if (h->d_p1)
		out->d2 = f2 - h->d_p1;
	if (out->flight > mss && h->d_pl && h->ack_pl == h->ack_f2) {
		out->dstar = f2 - h->d_pl;
		return;
	}
	if (out->rtt == US_UNKNOWN || h->flags & (HS_RETX | HS_OOO) || !h->d_chc)
		return;
	d = (__s64)f2 - h->d_chc - out->rtt - (__s64)(s0 / 1000);
	out->dstar = d < 0 ? 0 : d;
}

/* Heat of records counts in units of 1.05 ms, for a flood fills a set within a stamp.
 * Finished ones go first, then ones past their time, then SYNs that nobody followed up
 * (a flood is made of those), then the oldest. */
#define RECORD_LIFE ((__u32)(10000000000ULL >> 20))

static __always_inline __u32 record_time(__u64 t)
{
	return t >> 20;
}

static __always_inline __u32 record_heat(const struct handshake *h, __u64 t)
{
	if (h->state == HS_DONE || h->flags & HS_CLOSED)
		return record_time(t) - AGE_ENDED;
	if (h->state == HS_SYN && !h->d_ack)
		return record_time(t) - AGE_CLASS;
	return record_time(t);
}

/* Where the record of a key is, if there is one. */
struct place {
	struct handshake_head *head;
	struct handshake_set *set;
	struct stripe *lock;
};

static __always_inline int handshake_place(__u64 key, struct place *at)
{
	__u32 i = key & handshake_sets, lock = i & (STRIPES - 1);

	at->head = bpf_map_lookup_elem(&handshake_heads, &i);
	at->set = bpf_map_lookup_elem(&handshakes, &i);
	at->lock = bpf_map_lookup_elem(&handshake_locks, &lock);
	return at->head && at->set && at->lock;
}

/* Under the lock. A fresh record in place of `way`. */
static __always_inline void handshake_begin(const struct place *at, __u32 way, __u64 key, __u64 t)
{
	struct handshake *h = &at->set->slot[way & (WAYS - 1)];

	__builtin_memset(h, 0, sizeof(*h));
	h->key = key;
	h->t_syn = t;
	h->stamp = stamp_of(t);
	h->state = HS_SYN;
	h->d1 = US_UNKNOWN;
	at->head->tag[way & (WAYS - 1)] = tag_of(key);
	at->head->heat[way & (WAYS - 1)] = record_time(t) - AGE_CLASS; /* see record_heat() */
	at->head->syn[way & (WAYS - 1)] = 0;
}

/* Under the lock. What a SYN has left at `way` becomes a whole record; 0: it is no more, or
 * another connection's. */
__noinline int syn_whole(__u64 key, __u32 way)
{
	struct syn_record *s;
	struct handshake *h;
	struct place at;
	__u32 i, yes;

	if (!handshake_place(key, &at))
		return 0;
	way &= WAYS - 1;
	i = (at.head->syn[way] - 1) & syn_places;
	s = bpf_map_lookup_elem(&syns, &i);
	if (!s)
		return 0;
	lock_take(&s->lock);
	yes = s->key == key;
	if (yes) {
		handshake_begin(&at, way, key, s->time);
		h = &at.set->slot[way];
		h->isn_c = s->isn_c;
		h->isn_s = s->isn_s;
		h->flags = s->flags;
		h->hello_base = s->isn_c + 1;
		h->high = s->isn_c + 1;
		h->mss = s->mss;
		h->tcp_key = s->tcp_key;
		h->syn = s->raw;
	}
	lock_give(&s->lock);
	return yes;
}

/* Under the lock. A whole record, or WAYS and more: see way_find(). */
static __always_inline __u32 handshake_find(const struct place *at, __u64 key)
{
	return way_find(at->head, tag_of(key), !at->head->syn[w_] && at->set->slot[w_].key == key);
}

/* The same, but what a SYN has left is made whole. */
static __always_inline __u32 handshake_whole(const struct place *at, __u64 key)
{
	return way_find(at->head, tag_of(key),
			at->head->syn[w_] ? syn_whole(key, w_) : at->set->slot[w_].key == key);
}

/* The line that a SYN needs. Asked for by a store, for which nothing waits until the lock. */
static __always_inline void handshake_ask(__u64 key)
{
	__u32 i = key & handshake_sets;
	struct handshake_head *head = bpf_map_lookup_elem(&handshake_heads, &i);

	if (head)
		*(volatile __u32 *)&head->asked = 0;
}

/* The lines of the record, ahead of the step that needs them. */
static __always_inline void handshake_touch_at(const struct place *at, __u64 key)
{
	touch(&at->head->tag[0]);
	touch_row(at->set, key);
}

static __always_inline void handshake_touch(__u64 key)
{
	struct place at;

	if (handshake_place(key, &at))
		handshake_touch_at(&at, key);
}

/* The record at `way`, which is to go to another key, is of a connection that may still
 * go on. Its heat says so: nothing of the record, whose lines are elsewhere, is read. */
static __always_inline int handshake_lost(const struct place *at, __u32 way, __u64 t)
{
	__u32 age = record_time(t) - at->head->heat[way & (WAYS - 1)];

	return at->head->tag[way & (WAYS - 1)] && !(age & AGE_ENDED) &&
	       (age & (AGE_CLASS - 1)) <= RECORD_LIFE;
}

/* Under the lock. The record to give to a key that handshake_find() answered `found` for. */
static __always_inline __u32 handshake_victim(const struct place *at, __u32 found, __u64 key,
					      __u64 t)
{
	return way_victim(at->head->tag, at->head->heat, found, record_time(t), RECORD_LIFE, key);
}

#endif
