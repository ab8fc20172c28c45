/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * events.h - what goes up the ring: names and news, never evidence. Part of abi.h,
 * which includes it.
 */
/* clang-format off */
#ifndef WINNOW_EVENTS_H
#define WINNOW_EVENTS_H

/* ---- events, on the ring ------------------------------------------------------ */

enum event_type {
	EVENT_HELLO = 1, EVENT_HANDSHAKE = 2, EVENT_SYN = 3, EVENT_QUIC = 4, EVENT_PACKET = 5,
};

struct event_head {
	__u32 type;
	__u32 len;		/* of the whole event */
	__u64 time;		/* ns of the one clock */
	__u64 conn;		/* joins the events of one connection */
	struct addr src, dst;	/* src as a PROXY header said, if there was one */
	struct addr peer;	/* the packet's own source, if peer_port is not 0 */
	__u16 sport, dport;
	__u32 tcp_key;
	__u16 peer_port;	/* 0: src and sport are the packet's own */
	__u16 pad[3];
};

enum hello_place {
	HELLO_FIRST,		/* at the connection's first byte */
	HELLO_RETRIED,		/* the answer to a HelloRetryRequest */
	HELLO_LATER,		/* behind other bytes: replay alone names these */
};

/* One ClientHello, when it is complete or given up. */
struct event_hello {
	struct event_head head;
	struct syn_raw syn;
	__u16 result;		/* enum hello_result */
	__u8 segments;		/* saturates */
	__u8 records;
	__u8 proof;		/* connection proof so far; 0 none, enum proof_mode */
	__u8 place;		/* enum hello_place */
	__u16 hello_len;	/* bytes that follow */
	struct hello hello;	/* zeros unless result is ok */
	__u8 bytes[];		/* the handshake message, record headers gone */
};

/* A client's datagram that begins with an Initial, as it came. */
#define QUIC_DATAGRAM_MAX	2048	/* a power of two */

struct event_quic {
	struct event_head head;	/* conn: key of its struct quic_name, 0 if id is set */
	__u64 tuple;		/* keyed hash of the 4-tuple */
	__u64 id;		/* not 0: key of a struct quic_id with no name yet */
	__u16 len;
	__u16 pad;
	__u32 pad2;
	__u8 bytes[QUIC_DATAGRAM_MAX];
};

/* A packet that a rule acted on, or would have, as it came. */
#define CAPTURE_ANY		0xffffffffU
#define CAPTURE_BYTES		256

struct event_packet {
	struct event_head head;
	__u32 rule;		/* handle */
	__u32 frame_len;
	__u16 len;		/* bytes that follow */
	__u8 action;		/* enum rule_action */
	__u8 acted;		/* 0: count, shadow, holdout or canary let it by */
	__u32 pad;
	__u8 bytes[CAPTURE_BYTES];
};

/* One handshake, when the second client flight came or never will. */
#define US_UNKNOWN		0xffffffffU

enum handshake_flag {
	HS_PIGGY	= 1 << 0,
	HS_CCS_ALONE	= 1 << 1,
	HS_CCS_TWICE	= 1 << 2,
	HS_HRR		= 1 << 3,
	HS_RETX		= 1 << 4,	/* a payload below the highest seen */
	HS_SYN_RETX	= 1 << 5,
	HS_OOO		= 1 << 6,	/* the first payload was not the first byte */
	HS_EARLY	= 1 << 7,
	HS_NOF2		= 1 << 8,	/* the second flight never came */
	HS_RESUMED	= 1 << 9,
	HS_FIRST_ACK	= 1 << 10,	/* a pure first ACK was seen: D1 and R are real */
	HS_SYN_DATA	= 1 << 11,
	HS_HELLO_PROVED	= 1 << 12,
	HS_RULED	= 1 << 13,	/* a rule acted on this hello */
	HS_HAS_ISN	= 1 << 14,	/* the server's SYN|ACK was seen */
	HS_NO_SYN	= 1 << 15,	/* joined midstream: no times, no signature */
	HS_STALE	= 1 << 16,	/* the SYN hit a live socket: never proved by it */
	HS_OVERLAP	= 1 << 17,	/* two different hellos at the same bytes */
	HS_ALT		= 1 << 18,	/* two hellos of different length */
	HS_UNFIT	= 1 << 20,	/* the client went on behind a gap: see handshake_step() */
	HS_PROXIED	= 1 << 21,	/* a PROXY header said whose it is: no times, no signature */
	HS_CLOSED	= 1 << 22,	/* an end was seen; it counts unless the client goes on */
	HS_LATER	= 1 << 23,	/* a rule waits for the second flight */
	HS_REJECT	= 1 << 19,	/* the client is still to be told (winnow_ingress) */
};

struct event_handshake {
	struct event_head head;
	__u32 rtt_us, d1_us, d2_us, dstar_us;	/* US_UNKNOWN: null */
	__u32 flight;		/* bytes of the server's flight */
	__u32 flags;		/* enum handshake_flag */
	__u8 proof;		/* enum proof_mode, 0 none */
	__u8 result;		/* enum hello_result of the hello, if one was begun */
	__u8 pad[6];
	__u64 stack_key;
};

#endif
