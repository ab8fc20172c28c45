/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet.h - what the driver and its loader share: how each packet of a run differs
 * from the frame that the test run was given (driver.bpf.c).
 */
#ifndef WINNOW_BENCH_PACKET_H
#define WINNOW_BENCH_PACKET_H

#include <linux/types.h>

/* One connection, seen from its client: address, port and both sequence numbers of
 * the next packet. Plain numbers, host order. */
struct patch {
	__u32 addr; /* IPv4 */
	__u32 seq;
	__u32 ack;
	__u16 port;
	__u16 zero;
};

/* Of an untagged IPv4 frame without options. */
enum {
	FRAME_SADDR = 26,
	FRAME_DADDR = 30,
	FRAME_SPORT = 34,
	FRAME_DPORT = 36,
	FRAME_SEQ = 38,
	FRAME_ACK = 42,
	FRAME_PATCHED = 46,
};

#define TARGETS 16

/* The text that a JA4 digests, as SHA-256 blocks with their padding. */
#define JA4_BLOCKS 64
struct ja4_text {
	__u32 blocks[2]; /* of the ciphers; of extensions and signature algorithms */
	__u32 words[JA4_BLOCKS * 16];
};

#endif
