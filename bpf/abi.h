/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * abi.h - every shape that crosses the line between the BPF programs and
 * userspace: tables, rules, counters, settings; events are in events.h. The only file of bpf/
 * that userspace includes besides hello.h (the parser both compile).
 *
 * Addresses are two 64-bit numbers in host order, IPv4 as ::ffff:a.b.c.d.
 * A *source* is what is tallied and ruled: an IPv4 /32 or an IPv6 /64.
 * Times are nanoseconds of the one clock (now.bpf.h): CLOCK_MONOTONIC live,
 * the capture's own time in replay. Stamps are that time >> STAMP_SHIFT.
 */
/* clang-format off */
#ifndef WINNOW_ABI_H
#define WINNOW_ABI_H

#include <stddef.h>
#include <linux/types.h>

#define WINNOW_ABI_VERSION	8	/* bump when a pinned shape changes */

/* ---- time --------------------------------------------------------------- */

#define STAMP_SHIFT		24	/* 16.8 ms a step, wraps after 2.28 years */
#define STAMP_PER_SECOND(s)	((__u32)((__u64)(s) * 1000000000ULL >> STAMP_SHIFT))

#define NSEC_PER_TENTH_MS	100000ULL	/* unit of dstar[], rtt_min, d1 */
#define TENTH_MS_MAX		0x7fff		/* 3.28 s; the 16th bit is a flag */

/* ---- keys --------------------------------------------------------------- */

/* Drawn once by the first winnowd, pinned with the state, 0600 on disk.
 * Every keyed hash below depends on it, so that nobody outside can aim. */
struct secret {
	__u64 k[4];
};

struct addr {			/* host order; IPv4: hi = 0, lo = 0xffff << 32 | a */
	__u64 hi;
	__u64 lo;
};

#define ADDR_V4_MARK		0xffff00000000ULL

/* A source in one word: IPv4 address, or the upper half of an IPv6 address.
 * The family tells them apart (struct tally.family: 4 or 6). */

/* ---- the ClientHello, as the shared parser sees it (hello.h) -------------- */

#define HELLO_MAX		16384	/* bytes of one handshake message, header included */
#define HELLO_RECORDS_MAX	8	/* TLS records one hello may be spread over */
#define HELLO_CIPHERS_MAX	512
#define HELLO_EXTENSIONS_MAX	160
#define HELLO_SIGALGS_MAX	128

#define HELLO_SLACK	8	/* a load at the highest masked index stays inside */

/* What hello_parse() keeps while it walks: here, because the BPF stack is short. */
struct hello_walk {
	__u64 ciphers;		/* keyed sums */
	__u64 ja4;		/* of extensions */
	__u64 stack;
	__u64 order;		/* keyed chains */
	__u64 sigalgs;
	__u64 n_ciphers;
	__u64 n_extensions;	/* all three without GREASE */
	__u64 n_stack;
	__u64 grease_ext;	/* not 0: there was one */
	__u64 ech;
	__u64 next;		/* where the next extension begins */
	__u16 at[64];		/* where the data of extension 0..62 begins; 0: absent */
};

struct hello_buf {
	__u8 b[HELLO_MAX + HELLO_SLACK];
	struct hello_walk walk;	/* overwritten by hello_parse() */
};

enum hello_flag {			/* fidelity flags, never part of a key */
	HELLO_HAS_SNI		= 1 << 0,
	HELLO_HAS_ALPN		= 1 << 1,
	HELLO_HAS_PSK		= 1 << 2,	/* 0x0029 */
	HELLO_HAS_TICKET	= 1 << 3,	/* 0x0023 with a non-empty ticket */
	HELLO_HAS_EARLY_DATA	= 1 << 4,	/* 0x002a */
	HELLO_HAS_COOKIE	= 1 << 5,	/* 0x002c */
	HELLO_HAS_ECH		= 1 << 6,	/* 0xfe0d: this is an outer hello */
	HELLO_GREASE_CIPHER	= 1 << 7,
	HELLO_GREASE_EXT	= 1 << 8,
	HELLO_PQ_SHARE		= 1 << 9,	/* a post-quantum key share was sent */
	HELLO_HAS_VERSIONS	= 1 << 10,	/* 0x002b */
	HELLO_HAS_SESSION_ID	= 1 << 11,
};

/* What the parser says about one ClientHello. Offsets are from the first byte
 * of the handshake header (type 1); 0 = the field is absent. */
struct hello {
	__u64 ja4_key;		/* equal if and only if JA4_r is equal */
	__u64 stack_key;	/* the same without 0x0015 0023 0029 002a 002c */
	__u64 order_hash;	/* extension types as sent, GREASE one symbol, no 0x0029 */
	__u32 flags;		/* enum hello_flag */
	__u32 len;		/* of the handshake message, header included */
	__u16 version;		/* highest offered, GREASE aside: JA4's */
	__u16 legacy_version;
	__u16 n_ciphers;	/* without GREASE, not capped */
	__u16 n_extensions;
	__u16 n_stack_extensions;	/* as counted for stack_key */
	__u16 n_key_shares;
	__u16 ciphers_off, ciphers_len;
	__u16 extensions_off, extensions_len;	/* the list, behind its length */
	__u16 sni_off, sni_len;			/* extension data, as for the rest */
	__u16 alpn_off, alpn_len;
	__u16 sigalgs_off, sigalgs_len;
	__u16 groups_off, groups_len;		/* 0x000a */
	__u16 points_off, points_len;		/* 0x000b */
	__u16 versions_off, versions_len;	/* 0x002b */
	__u8 alpn_first, alpn_last;		/* bytes of the first ALPN, 0 0: none */
	__u8 transport;				/* in: 't' or 'q' */
	__u8 pad[5];
};

/* Every way a hello can end; `result` in winnow.hello/1 is the second name.
 * winnow-fingerprints(7) lists them. Additions go to the end. */
#define HELLO_RESULTS(X) \
	X(OK,			"ok",			"named") \
	X(SHORT,		"short",		"the message ends inside a field") \
	X(TRAILING,		"trailing",		"bytes left behind the extensions") \
	X(BAD_TYPE,		"bad_type",		"a handshake message that is no ClientHello") \
	X(BAD_LENGTH,		"bad_length",		"handshake or list lengths that contradict each other") \
	X(BAD_VERSION,		"bad_version",		"legacy_version is not 3.x") \
	X(BAD_RECORD,		"bad_record",		"TLS record header out of order") \
	X(TOO_LONG,		"too_long",		"more than 16 KiB") \
	X(TOO_MANY_RECORDS,	"too_many_records",	"more than 8 records") \
	X(TOO_MANY_CIPHERS,	"too_many_ciphers",	"more than 512 cipher suites") \
	X(TOO_MANY_EXTENSIONS,	"too_many_extensions",	"more than 160 extensions") \
	X(TOO_MANY_SIGALGS,	"too_many_sigalgs",	"more than 128 signature algorithms") \
	X(OVERLAP,		"overlap",		"retransmitted bytes differ") \
	X(CONTENDED,		"contended",		"reassembly slot in use by another connection") \
	X(SOURCE_SLOTS,		"source_slots",		"4 hellos of this source are already under way") \
	X(TIMEOUT,		"timeout",		"incomplete for 10 s") \
	X(INCOMPLETE,		"incomplete",		"the connection or capture ended first") \
	X(TRUNCATED,		"truncated",		"the capture's snaplen cut it") \
	X(SSLV2,		"sslv2",		"an SSLv2-style hello") \
	X(NOT_TLS,		"not_tls",		"the first bytes are something else") \
	X(UNEXPECTED_PROXY,	"unexpected_proxy",	"a PROXY header from a stranger") \
	X(OUT_OF_WINDOW,	"out_of_window",	"sequence numbers outside the window") \
	X(BAD_PROXY,		"bad_proxy",		"a PROXY header of `proxy_from` that cannot be read") \
	X(HTTP,			"http",			"a plain HTTP request") \
	X(SSH,			"ssh",			"an SSH client") \
	X(DTLS,			"dtls",			"a DTLS record")

enum hello_result {
#define X(id, name, text) HELLO_##id,
	HELLO_RESULTS(X)
#undef X
	HELLO_RESULT_MAX
};

/* ---- packets ------------------------------------------------------------ */

#define PARSE_RESULTS(X) \
	X(OK,		"ok",		"a TCP segment for a protected port") \
	X(SHORT,	"short",	"the frame ends inside a header") \
	X(NOT_IP,	"not_ip",	"neither IPv4 nor IPv6") \
	X(BAD_IP,	"bad_ip",	"impossible IP header lengths") \
	X(BAD_TCP,	"bad_tcp",	"impossible TCP header length") \
	X(BAD_OPTION,	"bad_option",	"malformed TCP options") \
	X(FRAGMENT,	"fragment",	"a fragment: ports are not read") \
	X(EXTENSION,	"extension",	"IPv6 extension headers unknown or more than 8") \
	X(NOT_TCP,	"not_tcp",	"neither TCP nor UDP") \
	X(NOT_OURS,	"not_ours",	"a port that is not protected") \
	X(BAD_SOURCE,	"bad_source",	"a source that cannot be: own, zero, loopback, multicast") \
	X(TOO_MANY_TAGS, "too_many_tags", "more than two VLAN tags")

enum parse_result {
#define X(id, name, text) PARSE_##id,
	PARSE_RESULTS(X)
#undef X
	PARSE_RESULT_MAX
};

/* ---- tally: what is known of one (source, stack, service) ------------------ */

#define D_BINS			5
#define D_EDGES_TENTH_MS	{ 30, 100, 300, 1000 }	/* 3, 10, 30, 100 ms; both axes */
#define GAP_BINS		18	/* min(17, floor(log2(seconds + 1))) */
#define DSTAR_KEPT		5
#define DSTAR_RESUMED		0x8000	/* this D* came from a resumed handshake */
#define DSTAR_NONE		0xffff	/* slot not yet used */

enum tally_flag {
	TALLY_CCS_ALONE	= 1 << 4,	/* in tally.state, above the ring index */
	TALLY_CCS_TWICE	= 1 << 5,
};

/* As a table has it. When it was last seen is the set's heat[]. Together lie what says
 * whose it is, what each data packet writes, and what handshakes and exchanges write. */
struct tally_row {
	__u64 src;		/* see "a source in one word" */
	__u64 stack;		/* stack_key; 0: no ClientHello was named */
	__u16 service;		/* protected port */
	__u8 family;		/* 4 or 6 */
	__u8 proto;		/* IPPROTO_TCP or IPPROTO_UDP */
	__u32 connections;
	__u32 exchanges;
	__u32 gen;		/* odd while the key changes; a reader skips and counts */
	__u64 bytes_in;		/* from the client, payload */
	__u64 bytes_out;	/* to the client, from its ACK numbers */
	__u32 tcp_key;		/* of the newest SYN; 0: none seen */
	__u32 exchange_seen;	/* stamps: start of the newest exchange */
	__u32 first_seen;
	__u16 resumed;		/* connections that offered a PSK or ticket; saturates */
	__u16 piggy;		/* kernel ACK and TLS answer in one segment; saturates */
	__u8 d1dstar[D_BINS * D_BINS];	/* row D1, column D*; halved when one is full */
	__u8 gaps[GAP_BINS];		/* between exchanges; halved when one is full */
	__u8 state;			/* bits 0..2: where the next D* goes; enum tally_flag */
	__u16 dstar[DSTAR_KEPT];	/* 0.1 ms, DSTAR_RESUMED or'ed in; DSTAR_NONE */
	__u16 rtt_min;			/* 0.1 ms; 0: unknown */
};
_Static_assert(sizeof(struct tally_row) == 120, "eight and their tags are a quarter of a page");

/* As everybody else reads it: the fields of the row, and when it was last seen. */
struct tally {
	union {
		struct tally_row;
		struct tally_row row;
	};
	__u32 last_seen;	/* stamp */
	__u32 spare;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct tally) == 128, "a tally is two cache lines");

/* A set of the set-associative tally table; the table is an mmapable ARRAY of
 * these. tag 0 = free slot. */
#define WAYS			8
struct tally_set {
	__u32 tag[WAYS];	/* keyed hash of the slot's key, never 0 when used */
	__u32 heat[WAYS];	/* stamp: when last seen */
	struct tally_row slot[WAYS];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct tally_set) == 1024, "no set lies in two pages");

/* One extension order of one stack: a genuine permuting browser never repeats
 * one, a replayed hello is the same from every source. */
struct order_tally {
	__u64 stack;
	__u64 order;
	__u64 first[2];		/* the first two distinct sources */
	__u64 sketch;		/* bit (hash of source % 64): linear counting */
	__u32 connections;
	__u32 last_seen;	/* stamp */
	__u32 gen;
	__u16 distinct;		/* 0, 1, 2 exact, then from the sketch; saturates at 64 */
	__u16 spare;
	__u64 spare2;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct order_tally) == 64, "order_tally is one line");

struct order_set {
	__u32 tag[WAYS];
	__u32 heat[WAYS];	/* when last used, by the table's own clock */
	struct order_tally slot[WAYS];
};

/* ---- flow: a proved connection --------------------------------------------- */

enum flow_flag {
	FLOW_WAITING	= 1 << 0,	/* a request has begun, no answer yet */
	FLOW_CLOSED	= 1 << 1,	/* FIN or RST seen */
	FLOW_HANDSHAKE	= 1 << 2,	/* the second client flight is still to come */
	FLOW_SILENT	= 1 << 3,	/* joined no tally: a source no client can have */
	FLOW_ANSWERED	= 1 << 5,	/* the first request has had its answer */
	FLOW_PROXIED	= 1 << 6,	/* a PROXY header said whose it is: map proxied */
	FLOW_REJECT	= 1 << 4,	/* the client is to be told with the next RST */
};

struct flow {
	__u64 key;		/* keyed hash of the 4-tuple; 0: free */
	__u32 tally;		/* set << 3 | way */
	__u32 tally_gen;	/* of that tally when we joined it */
	__u32 seq;		/* next sequence number expected from the client */
	__u32 ack;		/* highest acknowledgement of the client */
	__u32 held_in;		/* bytes that its tally has still to be told of */
	__u32 held_out;
	__u32 rule;		/* verdict: index into rules, 0 = none */
	__u32 rule_gen;		/* obeyed only while rules[rule].gen is this */
	__u32 last_seen;	/* stamp */
	__u32 gen;
	__u16 request;		/* request bytes so far, segments >= 64 only; saturates */
	__u16 answer;		/* acknowledged since the newest of those; saturates */
	__u8 flags;		/* enum flow_flag */
	__u8 pad;
	__u16 began;		/* end of the handshake, then start of the first request, 1.05 ms */
	__u64 stack;		/* of its tally, should that row be evicted */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct flow) == 64, "a flow is one line");

struct flow_set {
	__u32 tag[WAYS];
	__u32 heat[WAYS];	/* when last used, by the table's own clock */
	struct flow slot[WAYS];
};

/* Whose connection it is, by its PROXY header. */
struct proxied {
	struct addr src;
	__u16 sport;
	__u8 family;		/* 4 or 6; 0: the header does not say */
	__u8 local;		/* the proxy's own (LOCAL): src is the packet's */
	__u32 pad;
};

/* The SYN as it came: enough for a p0f v3 signature. */
struct syn_raw {
	__u8 present;
	__u8 family;		/* 4 or 6 */
	__u8 ttl;
	__u8 ip_olen;		/* IPv4 options; IPv6: extension headers */
	__u8 ip_flags;		/* enum syn_ip_flag */
	__u8 tcp_len;		/* header with options, 20..60 */
	__u16 payload;		/* bytes of data in the SYN */
	__u8 tcp[60];		/* the TCP header */
} __attribute__((aligned(4)));	/* copied by words */

enum syn_ip_flag {
	SYN_DF = 1, SYN_MBZ = 2, SYN_ID_ZERO = 4, SYN_ECN = 8, SYN_FLOW_LABEL = 16,
};

/* ---- handshake: a connection that has proved nothing yet ----------------------- */

/* A SYN that its client has not followed up; in the order in which they came, the oldest is
 * overwritten. */
struct syn_record {
	__u64 key;		/* keyed hash of the 4-tuple */
	__u64 time;		/* ns */
	__u32 lock;		/* held by who writes or reads it; see handshake.bpf.h */
	__u32 isn_c, isn_s;	/* initial sequence numbers; isn_s if HS_HAS_ISN */
	__u32 flags;		/* HS_HAS_ISN, HS_STALE */
	__u32 tcp_key;
	__u16 mss;
	__u16 pad;
	struct syn_raw raw;
	__u32 pad2;
};
_Static_assert(sizeof(struct syn_record) == 112, "a SYN's record has a hole");

/* Times are us since the SYN, 0 = unset, exactly as timing.md's rules want them. */
struct handshake {
	__u64 key;		/* keyed hash of the 4-tuple */
	__u64 t_syn;		/* ns; of the first packet when the SYN was not seen */
	__u32 isn_c, isn_s;	/* initial sequence numbers; isn_s if HS_HAS_ISN */
	__u32 isn_other;	/* a SYN that the server has not answered */
	__u32 hello_base;	/* sequence number where the hello begins */
	__u32 high;		/* highest sequence number seen, plus one */
	__u32 flags;		/* enum handshake_flag */
	__u32 tcp_key;
	__u32 stamp;		/* last touched */
	__u32 d_ack;
	__u32 d1;		/* of the first hello, HelloRetryRequest or not; US_UNKNOWN */
	struct syn_raw syn;
	__u16 mss;
	__u8 state;		/* enum handshake_state */
	__u8 proof;		/* enum proof_mode that has been satisfied */
	__u64 ja4, stack, order;	/* keys of the hello */
	__u64 alt_ja4, alt_stack, alt_order;	/* of a second hello at the same place */
	__u32 d_ch, d_chc, d_p1, d_pl, d_f2, d_f2x;
	__u32 ack0, ack_pl, ack_f2;
	__u32 ch_end, alt_end;	/* where the hello ends; alt_end if HS_ALT */
	__u32 ack_first;	/* the client's first acknowledgement */
	__u32 rule, rule_gen;	/* verdict of the hello, 0 = none */
	__u32 hello_flags;	/* enum hello_flag */
	__u32 unfit_ack;	/* of a flight that does not continue the hello; HS_UNFIT */
	__u8 result;		/* enum hello_result */
	__u8 segments, records;
	__u8 pad[5];
};
_Static_assert(sizeof(struct handshake) == 248, "handshake has a hole");

enum handshake_state {
	HS_FREE, HS_SYN, HS_HELLO, HS_NAMED, HS_DONE,
};

/* What lies in a set of handshakes: all that a SYN waits for. */
struct handshake_head {
	__u32 tag[WAYS];
	__u32 heat[WAYS];	/* when last used, by the table's own clock */
	__u32 syn[WAYS];	/* place of a SYN's record + 1; 0: it is a whole one */
	__u32 asked;		/* written to have the line, never read */
	__u32 pad[WAYS - 1];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct handshake_head) == 128, "a head is two lines");

struct handshake_set {
	struct handshake slot[WAYS];
};

/* ---- QUIC: what joins a hello, an id of the server's and a verdict (quic.bpf.h) - */

/* The keys of a decrypted hello, by (4-tuple, the client's first DCID). Written by
 * userspace. */
struct quic_name {
	__u64 ja4, stack, order;
	__u32 hello_flags;	/* enum hello_flag */
	__u32 used;		/* by the programs: ids that were proved with it */
};

/* A client's Initials, by (4-tuple, the client's SCID). */
struct quic_pending {
	__u64 name;		/* key of the hello */
	__u32 stamp;
	__u32 hellos;		/* 2: more than one, no telling which */
};

enum quic_id_flag {
	QUIC_ID_RETRY	= 1 << 0,	/* given by a Retry: proves the hello itself */
	QUIC_ID_JUDGED	= 1 << 1,	/* proved; rule and tally are set */
};

#define QUIC_NO_TALLY		0xffffffffU

/* A connection id this host gave out, by (4-tuple, id). */
struct quic_id {
	__u64 name;		/* key of the hello it answers; 0: not known */
	__u64 stack;
	__u32 rule, rule_gen;	/* verdict, as in struct flow */
	__u32 tally, tally_gen;	/* QUIC_NO_TALLY: none */
	__u32 flags;		/* enum quic_id_flag */
	__u32 pad;
};

struct quic_tuple {
	__u64 id;		/* the newest proved one; 0 none */
	__u32 cid_len;		/* of the ids the server gives out */
	__u32 pad;
};

/* ---- rules ----------------------------------------------------------------- */

#define RULE_ACTIONS(X) \
	X(NONE,   "none") \
	X(PASS,   "pass") \
	X(COUNT,  "count") \
	X(LIMIT,  "limit") \
	X(DROP,   "drop") \
	X(RESET,  "reset") \
	X(REJECT, "reject")

enum rule_action {
#define X(id, name) RULE_##id,
	RULE_ACTIONS(X)
#undef X
	RULE_ACTION_MAX
};

enum rule_flag {
	RULE_PORTS_ANY	= 1 << 0,	/* also on ports that are not protected */
	RULE_EXISTING_KEEP = 1 << 1,	/* connections that were there before go on */
	RULE_SHADOW	= 1 << 2,	/* count what it would have done */
	RULE_NOT_RESUMED = 1 << 3,	/* state resumed=0 */
	RULE_HAS_D1	= 1 << 4,	/* state d1>= */
	RULE_HAS_AGE	= 1 << 5,	/* state age<= */
	RULE_LIMIT_ALL	= 1 << 6,	/* one bucket for the rule, not one a source */
	RULE_HAS_DSTAR	= 1 << 7,	/* state dstar>=: acts at the second flight */
};

/* Two lines: the first is read on a match, the second counts. Index 0 is never
 * a rule. gen 0 = free; it changes whenever the slot gets another rule. */
struct rule {
	__u32 handle;
	__u32 gen;
	__u64 expires;		/* ns of CLOCK_BOOTTIME (capture time in replay); 0: never */
	struct addr net;	/* predicate on the source; plen 0: any */
	__u64 unproved;		/* matches by packets that proved nothing; atomic adds. The
				 * last few drops at once are in the table `drops` */
	__u32 next;		/* the next rule with the same match key */
	__u16 d1_min;		/* state d1>=T, 0.1 ms, of this hello */
	__u16 split_dstar;	/* a D* counts as split from here, 0.1 ms */
	__u8 split_min;		/* state split>=N, of the last five */
	__u8 plen;		/* 0..128 (IPv4: 96 + n) */
	__u8 action;		/* enum rule_action */
	__u8 flags;		/* enum rule_flag */
	__u16 holdout;		/* per 10,000 sources that are never dropped */
	__u16 canary;		/* per 10,000 sources that are; 10,000 = all */
	__u16 dstar_min;	/* state dstar>=T, 0.1 ms, of this connection */
	__u16 spare[3];

	/* line 2: written by the programs with atomic adds, never reset */
	__u64 hits;		/* proved connections (packets, for source rules) acted on */
	__u64 hit_packets;
	__u64 hit_bytes;
	__u64 would_hit;	/* count, shadow, holdout, canary: proved, not acted on */
	__u32 seen_min;		/* state seen>=N: connections before this one */
	__u32 age_max;		/* state age<=T, stamps */
	__u32 rate;		/* limit: tokens a second x 1000 */
	__u32 burst;		/* limit: tokens x 1000 */
	__u32 epoch;		/* of the holdout and canary hash */
	__u32 spare2;
	__u64 last_hit;		/* ns */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct rule) == 128, "a rule is two cache lines");

/* Where a fingerprint rule is found. Unused parts are 0. The source is exact
 * (plen 128: IPv4 /32 or IPv6 /128; 64: IPv6 /64; 0: any - then rule.net may
 * still narrow it to a prefix). */
struct match_key {
	struct addr src;
	__u64 ja4;
	__u64 stack;
	__u64 order;
	__u64 plen;
};

enum match_part { MATCH_JA4 = 1, MATCH_STACK = 2, MATCH_ORDER = 4 };
/* A kind = match_part bits | source << 3 with source 0: any, 1: /128, 2: /64.
 * control.kinds has a bit for each kind in use, so that a hello costs a look-up
 * for those only. Kinds 8 and 16 (source alone) live in net_lines. */
#define MATCH_KINDS		24
#define MATCH_CHAIN_MAX		16	/* rules with one match key */

/* Rules on a network, source or not, are found as nets.h says. */
#define NET_WAYS		6
struct net_line {
	__u64 entry[NET_WAYS];	/* 0 free */
	__u64 tags;		/* a byte for each; above them NET_NEAR_SHIFT */
	__u32 far;		/* lengths that the cell has elsewhere: bit 32 - length; 0's is 1's */
	__u32 until;		/* CLOCK_BOOTTIME from which to ask the rules themselves */
};
#define NET_NEAR_SHIFT		48	/* lengths that the cell has here: bit 32 - length */
#define NET_SPILLED		(1ULL << 63)	/* one that belongs here went to the next */
_Static_assert(sizeof(struct net_line) == 64, "a line is one line");

struct prefix_key {		/* LPM_TRIE: allowed networks, proxies */
	__u32 plen;		/* IPv4: 96 + n */
	__u8 addr[16];		/* network order */
};

/* Value of an allowed network: the second of CLOCK_BOOTTIME from which it is allowed. */
#define ALLOW_ALWAYS		1

/* ---- settings, written by userspace, read by the programs -------------------- */

enum proof_mode {
	PROOF_EGRESS	= 1,	/* tc egress stores the server's initial sequence number */
	PROOF_SOCKET	= 2,	/* bpf_skc_lookup_tcp at the second client flight */
	PROOF_INGRESS	= 3,	/* replay of one direction: client numbers that fit */
};

/* The server's socket is reset by the segment that is passed up; the client learns
 * of it from its next segment's answer. */
enum mirror_mode {
	MIRROR_NONE,		/* not at all: its segments pass, the server answers */
	MIRROR_CLONE,		/* winnow_ingress sends the mirror of the RST */
	MIRROR_BOUNCE,		/* generic mode takes the link header from tc: XDP_TX */
};

struct control {
	struct secret secret;
	__u32 abi;		/* WINNOW_ABI_VERSION */
	__u32 proof;		/* enum proof_mode */
	__u32 kinds;		/* bit per match kind in use */
	__u32 n_source_rules;	/* on a source or network alone; 0: do not look */
	__u32 pad2;
	__u32 n_any_port_rules;	/* of those, with RULE_PORTS_ANY */
	__u32 panic;		/* 1: drop nothing */
	__u32 emit_all;		/* replay: every hello and handshake goes up the ring */
	__u32 mirror;		/* enum mirror_mode: how a reset client is told */
	__u32 pad;
	__u64 heartbeat;	/* ns of CLOCK_BOOTTIME, by the daemon each tick */
	__u64 max_unattended;	/* ns; 0: no dead-man */
	__u32 name_budget;	/* hello events a second, live */
	__u32 source_name_budget;	/* of those, for one source */
	__u64 name_window;	/* kernel: second of the running budget */
	__u64 name_used;
	__u64 s0[2];		/* ns: median of D3 - D2l, full and resumed (timing.md 5.5) */
	__u64 quic_window;	/* as name_window, of QUIC datagrams */
	__u64 quic_used;
	__u32 n_proxies;	/* prefixes whose PROXY headers are believed */
	__u32 capture;		/* 0: off; the handle of a rule, or CAPTURE_ANY */
	__u64 capture_budget;	/* packets a second */
	__u64 capture_window;	/* kernel: second of the running budget */
	__u64 capture_used;
	__u32 n_allow;		/* 0: none was ever allowed, do not look */
	__u32 prefix_set;	/* which of the two sets of prefix rules is in force: 0, 1 */
	__u64 reply_budget;	/* resets a second that are sent to clients; 0: no limit */
	__u64 reply_window;	/* kernel: second of the running budget */
	__u64 reply_used;
	__u64 spare[3];
};

/* Pass everything not in here at once. Bit p of word p / 64. */
#define PORT_WORDS		1024
struct ports {
	__u64 tcp[PORT_WORDS];
	__u64 udp[PORT_WORDS];
	__u64 any;		/* not 0: there are rules for every port */
};

/* ---- counters, per CPU and device ------------------------------------------------------- */

/* Entries of the counters map. Two devices whose numbers differ by a multiple share one. */
#define DEVICE_SLOTS 64
static inline __u32 device_slot(__u32 ifindex)
{
	return ifindex & (DEVICE_SLOTS - 1);
}

/* Index in an entry: parse results, then hello results, then these. */
#define COUNTERS(X) \
	X(PACKETS,		"packets",		"frames seen") \
	X(BYTES,		"bytes",		"bytes seen") \
	X(PASS,			"verdict_pass",		"frames passed") \
	X(DROP,			"verdict_drop",		"frames dropped") \
	X(RESET,		"verdict_reset",	"hellos rewritten into a RST for the server") \
	X(REJECT,		"verdict_reject",	"resets sent back to the client") \
	X(DROP_BYTES,		"drop_bytes",		"bytes of dropped frames") \
	X(WOULD_DROP,		"would_drop",		"frames a count, shadow, canary or holdout rule let by") \
	X(SAVED_ALLOW,		"saved_allow",		"drops prevented by the allow list") \
	X(SAVED_PANIC,		"saved_panic",		"drops prevented by panic") \
	X(SAVED_UNATTENDED,	"saved_unattended",	"drops prevented by the dead-man limit") \
	X(RULE_EXPIRED,		"rule_expired",		"verdicts of expired rules, ignored") \
	X(SYN,			"syn",			"connection attempts") \
	X(SYNACK,		"synack",		"answers of protected ports seen leaving") \
	X(CONN_PROVED,		"conn_proved",		"connections whose client answered the server's number") \
	X(HELLO_PROVED,		"hello_proved",		"hellos the server was seen to accept") \
	X(HELLO_UNPROVED,	"hello_unproved",	"named hellos whose record ended without proof") \
	X(OUT_OF_WINDOW,	"out_of_window",	"segments that do not continue their connection") \
	X(HANDSHAKE_EVICTED,	"handshake_evicted",	"live handshake records lost to newer ones") \
	X(FLOW_EVICTED,		"flow_evicted",		"live flows lost to newer ones") \
	X(TALLY_EVICTED,	"tally_evicted",	"live tallies lost to newer ones") \
	X(ORDER_EVICTED,	"order_evicted",	"extension orders lost to newer ones") \
	X(RING_LOST,		"ring_lost",		"events that found the ring full") \
	X(NAME_BUDGET,		"name_budget",		"hellos not sent up: budget spent") \
	X(HRR,			"hrr",			"second hellos after a HelloRetryRequest") \
	X(EARLY_DATA,		"early_data",		"segments before the server's flight") \
	X(NO_RECORD,		"no_record",		"segments of connections that winnow did not see begin") \
	X(UDP,			"udp",			"datagrams for a protected port") \
	X(QUIC_INITIAL,		"quic_initial",		"clients' QUIC Initials") \
	X(QUIC_BUDGET,		"quic_budget",		"Initials not sent up: budget spent") \
	X(QUIC_UNLINKED,	"quic_unlinked",	"answers to an id of which only the keys tell the hello") \
	X(PROXIED_LOST,		"proxied_lost",		"segments whose PROXY header has been forgotten") \
	X(REPLY_CAPPED,		"reply_capped",		"resets not sent to the client: budget spent") \
	X(LOCK_MISSED,		"lock_missed",		"steps made without a lock whose holder did not run")

enum counter {
#define X(id, name, text) COUNTER_PARSE_##id,
	PARSE_RESULTS(X)
#undef X
#define X(id, name, text) COUNTER_HELLO_##id,
	HELLO_RESULTS(X)
#undef X
#define X(id, name, text) COUNTER_##id,
	COUNTERS(X)
#undef X
	COUNTER_MAX
};

#include "events.h"

#endif
