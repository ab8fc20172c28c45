/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * slot.bpf.h - where a hello in pieces is put together: whose a slot is, and who may have
 * one. What says so lies apart from the bytes: looking for a slot touches none of them.
 *
 * Bounds: 4 slots a source; a slot untouched for 10 s is free.
 * Locks:  a slot's `busy` word is tried, never waited for ("contended").
 */
#ifndef WINNOW_SLOT_BPF_H
#define WINNOW_SLOT_BPF_H

#include "abi.h"
#include "table.bpf.h"
#include "work.bpf.h"

#define STREAM_MAX   HELLO_MAX /* bytes of the stream, record headers included */
#define STREAM_WORDS (STREAM_MAX / 64)
#define CHUNK        FLAT_SLACK /* one copy out of the packet */
#define SLOT_PROBES  4
#define SOURCE_SLOTS 4

/* Number of slots - 1, set before loading. */
const volatile __u32 reassembly_slots = 255;

struct slot_head {
	__u32 busy;
	__u32 stamp;
	__u64 owner;   /* flow key, 0 = free */
	__u64 source;  /* keyed hash of the owner's source */
	__u32 have;    /* bytes known from offset 0 on */
	__u32 holes;   /* 1: bits beyond `have` are set */
	__u32 top;     /* end of the highest byte known */
	__u32 skip;    /* bytes of a believed PROXY header in front */
	__u32 want;    /* nothing new before `have` gets here */
	__u32 need;    /* bytes of the message; 0: not yet known */
	__u32 done;    /* the hello was complete: kept to compare what comes again,
			* free for anybody else */
	__u32 at, len; /* deframe()'s: of the stream, of the message */
	__u32 full;    /* likewise, 1: all of the message is copied */
};
_Static_assert(sizeof(struct slot_head) == 64, "a slot's head is one line");

struct slot {
	__u64 bit[STREAM_WORDS];
	__u8 b[STREAM_MAX + CHUNK];
};

/* Hellos in pieces. Written per segment, read by nobody else. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct slot_head);
} slot_heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct slot);
} reassembly SEC(".maps");

struct source_slots {
	__u64 source;
	__u32 stamp, spare;
	__u32 at[SOURCE_SLOTS]; /* slot + 1 */
};
struct claim_line {
	struct source_slots of[2];
};
#define CLAIMS 16384

/* Which slots a source holds, by its hash; a line has room for two. Of three in one line
 * the claims of the one that was idle longest are forgotten: it may have 4 slots more.
 * None is granted twice for long: the slot itself knows its owner. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLAIMS);
	__type(key, __u32);
	__type(value, struct claim_line);
} slot_claims SEC(".maps");

static __always_inline struct slot *slot_at(__u32 i)
{
	i &= reassembly_slots;
	return bpf_map_lookup_elem(&reassembly, &i);
}

static __always_inline struct slot_head *head_at(__u32 i)
{
	i &= reassembly_slots;
	return bpf_map_lookup_elem(&slot_heads, &i);
}

static __always_inline int slot_live(const struct slot_head *s, __u32 stamp)
{
	return s->owner && !s->done && row_age(stamp, s->stamp) <= HANDSHAKE_LIFE;
}

static __always_inline int slot_try(struct slot_head *s)
{
	return __sync_val_compare_and_swap(&s->busy, 0, 1) == 0;
}

static __always_inline void slot_release(struct slot_head *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

/* No bit of it stands for a byte that is known. */
__noinline int slot_wipe(__u32 at)
{
	struct slot *s = slot_at(at);

	for (__u32 w = 0; s && w < STREAM_WORDS; w += 8) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			s->bit[w + i] = 0;
		barrier(); /* no memset() to call here */
	}
	return 0;
}

/* The claims of a source; another's place if there are none. */
static __always_inline struct source_slots *claims_of(__u64 source, __u32 stamp)
{
	__u32 row = source & (CLAIMS - 1);
	struct claim_line *line = bpf_map_lookup_elem(&slot_claims, &row);
	struct source_slots *claim;

	if (!line)
		return 0;
	if (line->of[0].source == source ||
	    (line->of[1].source != source &&
	     row_age(stamp, line->of[0].stamp) >= row_age(stamp, line->of[1].stamp)))
		claim = &line->of[0];
	else
		claim = &line->of[1];
	claim->stamp = stamp;
	claim->source = source;
	return claim;
}

/* Takes a free one of the flow's candidate slots for a source that has less than
 * 4. Answers slot + 1 with `busy` held, or 0 and the reason in *result. */
__noinline __u32 slot_claim(__u64 key, __u64 source, __u32 stamp, __u32 *result)
{
	__u32 place = SOURCE_SLOTS;
	struct source_slots *claim;

	if (!result)
		return 0;
	*result = HELLO_CONTENDED;
	claim = claims_of(source, stamp);
	if (!claim)
		return 0;
	for (__u32 i = 0; i < SOURCE_SLOTS; i++) {
		struct slot_head *s;

		if (claim->at[i]) {
			s = head_at(claim->at[i] - 1);
			if (s && s->source == source && slot_live(s, stamp))
				continue;
		}
		place = i;
		break;
	}
	if (place >= SOURCE_SLOTS) {
		*result = HELLO_SOURCE_SLOTS;
		return 0;
	}
	for (__u32 i = 0; i < SLOT_PROBES; i++) {
		__u32 at = mix64(key + i) & reassembly_slots;
		struct slot_head *s = head_at(at);

		if (!s || slot_live(s, stamp) || !slot_try(s))
			continue;
		if (slot_live(s, stamp)) { /* taken between the look and the lock */
			slot_release(s);
			continue;
		}
		if (s->owner && !s->done) /* nobody came back for it */
			count(COUNTER_HELLO_TIMEOUT);
		s->owner = key;
		s->source = source;
		s->stamp = stamp;
		s->have = 0;
		s->top = 0;
		s->want = 0;
		s->need = 0;
		s->skip = 0;
		s->done = 0;
		if (s->holes)
			slot_wipe(at);
		s->holes = 0;
		claim->at[place & (SOURCE_SLOTS - 1)] = at + 1;
		return at + 1;
	}
	return 0;
}

/* The slot this flow already holds (done: of a hello that was complete), `busy` taken.
 * *busy 1: it is in use. */
static __always_inline __u32 slot_find(__u64 key, __u32 stamp, __u32 done, __u32 *busy)
{
	*busy = 0;
	for (__u32 i = 0; i < SLOT_PROBES; i++) {
		__u32 at = mix64(key + i) & reassembly_slots;
		struct slot_head *s = head_at(at);

		if (!s || s->owner != key || s->done != done ||
		    row_age(stamp, s->stamp) > HANDSHAKE_LIFE)
			continue;
		if (!slot_try(s)) {
			*busy = 1;
			return 0;
		}
		if (s->owner == key)
			return at + 1;
		slot_release(s);
	}
	return 0;
}

#endif
