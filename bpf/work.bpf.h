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

/* What tally_join() is asked for, and what generation its row has. */
struct tally_join {
	__u64 src, stack;
	__u32 stamp, tcp_key, resumed, join;
	__u32 bytes_in, bytes_out;
	__u16 service;
	__u8 family, proto;
	__u32 gen; /* out */
};

#define PROXY_HEAD 128

/* A version 1 header on its way through v1_byte(). */
struct proxy_text {
	struct addr source;
	struct addr front, tail; /* groups before and behind the "::" */
	__u32 at;                /* next byte */
	__u32 field;             /* enum v1_field */
	__u32 family, bad;
	__u32 n, tail_n; /* groups */
	__u32 gap;       /* which colon made the "::"; 0: none yet */
	__u32 colons, dots, digits, letters, decimal, hex;
	__u32 half; /* of a group written as a dotted pair */
	__u32 sport;
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
	__u32 dstar; /* of this connection, 0.1 ms; DSTAR_NONE: not known, or not yet */
	__u32 later; /* 1: a rule waits for it */
	/* Of judge_hello() and account(), whose frames have no room for them: the stack
	 * is 512 bytes, and 6.1 rounds each frame up to 32. */
	struct match_key match;
	struct tally_join join;
	__u32 tally_ref; /* set << 3 | way, + 1; 0 = no row */
	__u32 tally_gen;
	__u32 act;        /* enum handshake_act */
	__u32 stopped;    /* 1: a rule acts on this second flight */
	__u32 way;        /* of the row at hand: see way_kept() */
	__u32 device;     /* device_slot() of where the frame came in */
	__u32 syn_at;     /* where this CPU's next SYN goes: see syn_next() */
	__u32 passed;     /* 1: a `pass` rule on the source */
	__u32 r;          /* enum parse_result */
	struct addr peer; /* the packet's own source, once p.src is a header's */
	__u32 peer_port;  /* 0: p.src is the packet's own */
	__u32 peer_family;
	__u32 believed;  /* 1: a PROXY header may be next, and is believed */
	__u32 head_have; /* bytes in head[] */
	__u32 head_len;  /* of the header, TLVs and all */
	struct proxied who;
	struct proxy_text text;
	__u8 head[PROXY_HEAD]; /* the connection's first bytes */
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
 * goes up the ring in one piece. The slack lets copies run in whole chunks. */
#define FLAT_SLACK 2048
struct flat {
	struct event_hello ev;
	struct hello_buf h;
	__u8 slack[FLAT_SLACK];
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

/* The same way, out of memory: ways that were found and ways that were made are then one
 * and the same to the verifier, which walks what follows once. */
static __always_inline __u32 way_kept(struct work *w, __u32 way)
{
	w->way = way;
	barrier();
	return w->way & (WAYS - 1);
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

static __always_inline struct counters *counters_at(__u32 slot)
{
	return bpf_map_lookup_elem(&counters, &slot);
}

static __always_inline void count_n(__u32 what, __u64 n)
{
	struct counters *c = counters_at(0);

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
