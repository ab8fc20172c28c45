/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * work.bpf.h - what one packet carries from step to step.
 *
 * Per CPU, not on the 512-byte stack; a packet is handled from end to end before
 * the next one on that CPU. Also the counters' one line of code.
 */
#ifndef WINNOW_WORK_BPF_H
#define WINNOW_WORK_BPF_H

#include "abi.h"
#include "handshake.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"

struct verdict {
	__u32 rule; /* index, 0 = none */
	__u32 rule_gen;
	__u32 action; /* enum rule_action */
};

enum flow_found { FLOW_NONE, FLOW_OK, FLOW_OUT };

/* What a segment did to its flow. */
struct moved {
	__u32 found;    /* enum flow_found */
	__u32 in, out;  /* new bytes */
	__u32 exchange; /* 1: one begins with this segment */
	__u32 tally, tally_gen;
	__u32 rule, rule_gen;
	__u32 flags; /* enum flow_flag */
	__u64 stack;
};

#define QUIC_PEEK 64 /* a long header up to both ids is 47 bytes */

/* A datagram's first bytes and what its first header says. */
struct quic_peek {
	__u8 b[QUIC_PEEK];
	__u32 len;
	__u32 kind; /* enum quic_kind */
	__u32 version;
	__u32 dcid_len, scid_len;
	__u32 pad;
	__u64 dcid, scid; /* keyed */
	__u64 id;         /* key of the struct quic_id to be judged */
};

struct work {
	struct packet p;
	struct moved m;
	struct peek k;
	__u64 t;            /* ns */
	__u64 key;          /* of the flow */
	struct handshake h; /* copy of the record, after the step */
	struct hello hello;
	__u32 result;    /* enum hello_result of this segment's hello */
	__u32 complete;  /* 1: result is final, 0: more bytes are needed */
	__u32 hello_end; /* stream offset behind the hello */
	__u32 hello_len; /* of the message now in struct flat */
	__u32 records;
	__u32 other; /* 1: a second hello, unlike the first, at the same bytes */
	struct verdict v;
	__u32 tally_ref; /* set << 3 | way, + 1; 0 = no row */
	__u32 tally_gen;
	__u32 passed; /* 1: a `pass` rule on the source */
	__u32 r;      /* enum parse_result */
	struct quic_peek q;
	__u8 raw[PARSE_RAW]; /* first bytes of a frame whose headers are not linear */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");

/* The hello as one flat message, with the event header in front of it so that it
 * goes up the ring in one piece. The slack lets copies run in whole words. */
struct flat {
	struct event_hello ev;
	struct hello_buf h;
	__u8 slack[64];
};
_Static_assert(sizeof(struct event_hello) % 8 == 0, "the message follows the header");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flat);
} flats SEC(".maps");

static __always_inline struct work *work_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&works, &zero);
}

static __always_inline struct flat *flat_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&flats, &zero);
}

static __always_inline struct control *control_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline void count_n(__u32 what, __u64 n)
{
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&counters, &zero);

	/* Or it is tested before a sum is made of it, which 6.1 does not follow. */
	if (!__builtin_constant_p(what))
		hide(what);
	if (c && what < COUNTER_MAX)
		c->n[what] += n;
}

static __always_inline void count(__u32 what)
{
	count_n(what, 1);
}

#endif
