/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * judge.bpf.h - which rule speaks for a hello or a source, and may it act now.
 *
 * No judgement is made here, only looked up: userspace wrote the rules. Of several
 * that match, `pass` wins, then the severest action (enum rule_action is in
 * order), then the older rule. Allow, panic and the dead-man are looked at on
 * every drop, so they hold for verdicts that were set before them.
 *
 * A rule on D* cannot speak at the hello. Where its other predicates hold, the hello's
 * rules are looked up once more when the second flight has come, and that flight is what
 * a rule then acts on: no request has been seen by the server.
 */
#ifndef WINNOW_JUDGE_BPF_H
#define WINNOW_JUDGE_BPF_H

#include "abi.h"
#include "capture.bpf.h"
#include "key.bpf.h"
#include "source.bpf.h"
#include "tally.bpf.h"
#include "work.bpf.h"

static __always_inline int rule_live(const struct rule *r)
{
	return r->gen && (!r->expires || r->expires > now_boot());
}

/* Global: for most there is no list, and no key is made for it. */
__noinline int allowed(const struct addr *src)
{
	struct prefix_key key = { .plen = 128 };
	__be32 *addr = (__be32 *)key.addr; /* words: the verifier allows no more at once */
	__u32 *from;

	if (!src)
		return 0;
	addr[0] = bpf_htonl(src->hi >> 32);
	addr[1] = bpf_htonl(src->hi);
	addr[2] = bpf_htonl(src->lo >> 32);
	addr[3] = bpf_htonl(src->lo);
	from = bpf_map_lookup_elem(&allow, &key);
	return from && (*from == ALLOW_ALWAYS || *from <= now_boot() / 1000000000ULL);
}

/* 0: act. Else the counter of what prevented it. `boot`: now_boot(). */
static __always_inline __u32 prevented(const struct control *c, const struct addr *src, __u64 boot)
{
	if (c->panic)
		return COUNTER_SAVED_PANIC;
	if (c->max_unattended && c->heartbeat + c->max_unattended < boot)
		return COUNTER_SAVED_UNATTENDED;
	return c->n_allow && allowed(src) ? COUNTER_SAVED_ALLOW : 0;
}

/* 1: this (source, stack) is spared: held out, or not yet in the canary. By
 * keyed hash, so that a source is in or out as a whole and trying again does not
 * walk through. */
static __always_inline int spared(const struct control *c, const struct rule *r, __u64 src,
				  __u64 stack)
{
	__u32 draw;

	if (!r->holdout && r->canary >= 10000)
		return 0;
	draw = (__u32)(mix64(key_pair(&c->secret, src, stack) + r->epoch) >> 32) % 10000;
	return draw < r->holdout || draw >= r->holdout + r->canary;
}

/* 1: a token was there. rate: tokens x 1000 a second, burst: tokens x 1000. */
static __always_inline int bucket_spend(__u64 owner, __u64 rate, __u64 burst, __u64 t)
{
	__u32 at = owner & (BUCKETS - 1), some = 0;
	struct bucket *b = bpf_map_lookup_elem(&buckets, &at);
	__u64 tokens, ns;

	if (!b)
		return 1;
	lock_take(&b->lock);
	if (b->owner != owner) {
		b->owner = owner;
		b->tokens = burst;
		b->refilled = t;
	}
	tokens = b->tokens;
	if (t > b->refilled) {
		ns = t - b->refilled;
		if (ns > 1000000000000ULL)
			ns = 1000000000000ULL;
		tokens += ns / 1000 * rate / 1000000;
		b->refilled = t;
	}
	if (tokens > burst)
		tokens = burst;
	if (tokens >= 1000) {
		tokens -= 1000;
		some = 1;
	}
	b->tokens = tokens;
	lock_give(&b->lock);
	return some;
}

/* One bucket a source, or one for the whole rule. */
static __always_inline int bucket_take(const struct control *c, __u32 index, const struct rule *r,
				       __u64 src, __u64 t)
{
	__u64 owner = key_pair(&c->secret, r->flags & RULE_LIMIT_ALL ? 0 : src,
			       (__u64)index << 32 | r->gen);

	return bucket_spend(owner, r->rate, r->burst, t);
}

/* State predicates: what earlier connections of (source, stack) left in its tally,
 * plus this hello. */
struct state {
	__u32 seen; /* earlier connections */
	__u32 age;  /* stamps since the first */
	__u32 resumed;
	__u16 dstar[DSTAR_KEPT];
	__u16 d1;    /* 0.1 ms, 0xffff unknown */
	__u32 early; /* requests come before the second flight: D* is not waited for */
};

static __always_inline int state_holds(const struct rule *r, const struct state *s)
{
	__u32 split = 0;

	if (s->seen < r->seen_min)
		return 0;
	if (r->flags & RULE_NOT_RESUMED && s->resumed)
		return 0;
	if (r->flags & RULE_HAS_AGE && s->age > r->age_max)
		return 0;
	if (r->flags & RULE_HAS_D1 && (s->d1 == 0xffff || s->d1 < r->d1_min))
		return 0;
	if (r->split_min) {
		for (int i = 0; i < DSTAR_KEPT; i++)
			if (s->dstar[i] != DSTAR_NONE &&
			    (s->dstar[i] & ~DSTAR_RESUMED) >= r->split_dstar)
				split++;
		if (split < r->split_min)
			return 0;
	}
	return 1;
}

static __always_inline int net_has(const struct rule *r, const struct addr *a)
{
	__u64 hi = ~0ULL, lo = ~0ULL;

	if (!r->plen)
		return 1;
	if (r->plen <= 64) {
		hi <<= 64 - (r->plen & 127);
		lo = 0;
	} else if (r->plen < 128) {
		lo <<= 128 - r->plen;
	}
	return (a->hi & hi) == r->net.hi && (a->lo & lo) == r->net.lo;
}

static __always_inline int rule_beats(__u32 action, __u32 best)
{
	if (best == RULE_PASS)
		return 0;
	return action == RULE_PASS || action > best;
}

/* Whether this connection's D* is what the rule asks for; if that cannot be said yet,
 * work.later. */
static __always_inline int dstar_holds(struct work *w, const struct rule *r, const struct state *s)
{
	if (!(r->flags & RULE_HAS_DSTAR) || s->early)
		return 1;
	if (w->dstar == DSTAR_NONE)
		w->later = 1;
	return w->dstar != DSTAR_NONE && w->dstar >= r->dstar_min;
}

/* Lets one rule of a chain speak; answers the next one. Global, so that the
 * verifier looks at one rule and not at kinds x chain of them. */
__noinline __u32 rule_consider(__u32 index, const struct state *s)
{
	struct work *w = work_get();
	struct rule *r = rule_at(index);

	if (!w || !r || !s)
		return 0;
	if (rule_live(r) && rule_beats(r->action, w->v.action) && net_has(r, &w->p.src) &&
	    state_holds(r, s) && dstar_holds(w, r, s)) {
		w->v.rule = index;
		w->v.rule_gen = r->gen;
		w->v.action = r->action;
	}
	return r->next;
}

__noinline int rule_chain(__u32 next, const struct state *s)
{
	for (int i = 0; i < MATCH_CHAIN_MAX && next && s; i++)
		next = rule_consider(next, s);
	return 0;
}

/* Of the rules on one source the first that is in force: one that has expired hides no
 * other until somebody takes it away. */
__noinline __u32 rule_in_force(__u32 index)
{
	for (int i = 0; i < MATCH_CHAIN_MAX; i++) {
		struct rule *r = rule_at(index);

		if (!r || rule_live(r))
			break;
		index = r->next;
	}
	return index;
}

/* The rule that speaks for this hello, into w->v: with w->dstar, if it is known. */
__noinline int judge_hello(struct xdp_md *ctx)
{
	struct control *c = control_get();
	struct work *w = work_get();
	struct state s = {};
	struct rule *r;
	__u32 index;

	if (!w || !c || !ctx)
		return 0;
	w->v.rule = 0;
	w->v.rule_gen = 0;
	w->v.action = RULE_NONE;
	w->later = 0;
	index = rule_in_force(c->n_source_rules ? source_find(c, &w->p.src) & NET_INDEX : 0);
	r = rule_at(index);
	/* Behind a PROXY header the source is known only now: all of its rules speak. */
	if (r && (r->action == RULE_LIMIT || w->h.flags & HS_PROXIED) && rule_live(r)) {
		w->v.rule = index;
		w->v.rule_gen = r->gen;
		w->v.action = r->action;
	}
	if (!c->kinds)
		return 0;
	s.d1 = w->h.d1 == US_UNKNOWN ? 0xffff : w->h.d1 / 100 > 0xfffe ? 0xfffe : w->h.d1 / 100;
	s.resumed = !!(w->hello.flags & HELLO_HAS_PSK);
	s.early = w->hello.flags & HELLO_HAS_EARLY_DATA;
	tally_peek(c, w, &s.seen, &s.age, &s.resumed, s.dstar);
	if (w->dstar != DSTAR_NONE && s.seen)
		s.seen--; /* this connection has joined */
	for (__u32 kind = 1; kind < MATCH_KINDS; kind++) {
		struct match_key *key = &w->match;
		__u32 *first;

		if (!(c->kinds >> kind & 1) || !(kind & 7))
			continue;
		__builtin_memset(key, 0, sizeof(*key));
		if (kind & MATCH_JA4)
			key->ja4 = w->hello.ja4_key;
		if (kind & MATCH_STACK)
			key->stack = w->hello.stack_key;
		if (kind & MATCH_ORDER)
			key->order = w->hello.order_hash;
		if (kind >> 3 == 1) {
			key->src = w->p.src;
			key->plen = 128;
		} else if (kind >> 3 == 2) {
			key->src.hi = w->p.src.hi;
			key->plen = 64;
		}
		first = bpf_map_lookup_elem(&match, key);
		if (!first)
			continue;
		rule_chain(*first, &s);
	}
	return 0;
}

static __always_inline void rule_hit(struct rule *r, __u32 bytes, __u64 t, int proved, int acted,
				     int first)
{
	if (!proved) {
		__sync_fetch_and_add(&r->unproved, 1);
		return;
	}
	if (!acted) {
		__sync_fetch_and_add(&r->would_hit, first);
		return;
	}
	__sync_fetch_and_add(&r->hits, first);
	__sync_fetch_and_add(&r->hit_packets, 1);
	__sync_fetch_and_add(&r->hit_bytes, bytes);
	r->last_hit = t;
}

enum act_how {
	ACT_ON_FIRST = 1,  /* the packet the rule was looked up for, no later one of its flow */
	ACT_ON_PROVED = 2, /* its connection answered the server's number */
};

/*
 * What happens to this packet under rule `index`: RULE_NONE, or an action to
 * carry out. `how`: enum act_how.
 */
__noinline __u32 rule_act(struct xdp_md *ctx, __u32 index, __u32 gen, __u64 stack, __u32 how)
{
	struct control *c = control_get();
	struct rule *r = rule_at(index);
	struct work *w = work_get();
	__u32 action, why, first = how & ACT_ON_FIRST, proved = how & ACT_ON_PROVED;
	__u64 src;

	if (!ctx || !c || !w || !r || r->gen != gen)
		return RULE_NONE;
	src = source_word(&w->p.src, w->p.family);
	if (!rule_live(r)) {
		count(COUNTER_RULE_EXPIRED);
		return RULE_NONE;
	}
	action = r->action;
	if (action <= RULE_PASS) {
		if (first)
			rule_hit(r, w->p.frame_len, w->t, proved, 1, 1);
		return RULE_NONE;
	}
	if (action == RULE_LIMIT) {
		if (!proved) {
			__sync_fetch_and_add(&r->unproved, 1);
			return RULE_NONE;
		}
		if (!first || bucket_take(c, index, r, src, w->t))
			return RULE_NONE;
		action = RULE_RESET; /* a bare drop leaves the server waiting */
	}
	if (action == RULE_COUNT || r->flags & RULE_SHADOW || spared(c, r, src, stack)) {
		rule_hit(r, w->p.frame_len, w->t, proved, 0, first);
		count(COUNTER_WOULD_DROP);
		if (c->capture)
			capture_packet(ctx, r->handle, action, 0);
		return RULE_NONE;
	}
	why = prevented(c, &w->p.src, now_boot());
	if (why) {
		count(why);
		return RULE_NONE;
	}
	rule_hit(r, w->p.frame_len, w->t, proved, 1, first);
	if (c->capture)
		capture_packet(ctx, r->handle, action, 1);
	return action;
}

#endif
