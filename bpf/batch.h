/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * batch.h - frames of a capture on their way to the programs, many in one test run.
 *
 * Userspace fills frames[] and bytes[] of some batches while the programs run over one;
 * answers[] come back. A frame of `way` 0 is not for the programs and has no
 * bytes here.
 */
#ifndef WINNOW_BATCH_H
#define WINNOW_BATCH_H

#include <linux/types.h>

#define BATCHES      16
#define BATCH_FRAMES 512         /* a power of two */
#define BATCH_RUN    256         /* of them in one test run */
#define BATCH_BYTES  (128 << 10) /* where a frame may begin; a power of two */
/* A test run has room for 3,520 bytes before a frame is in fragments. */
#define BATCH_FRAME 3072
#define BATCH_FIRST 64 /* bytes that the test run itself is given */
/* Before a frame the event ring has this much room, or the run ends there: more than
 * one frame can send, two hellos of 16 KiB and a datagram among it. */
#define BATCH_RING (64 << 10)

enum batch_way {
	BATCH_INGRESS = 1,
	BATCH_EGRESS = 2,
};

struct batch_frame {
	__u64 time; /* ns of the virtual clock */
	__u32 off;  /* into bytes[] */
	__u16 len;  /* ETH_HLEN to BATCH_FRAME, or way is 0 */
	__u16 way;  /* enum batch_way, both: egress first */
};

struct batch_answer {
	__u32 verdict;
	__u32 events; /* sent so far, this frame's among them; wraps */
};

struct batch {
	struct batch_frame frames[BATCH_FRAMES];
	struct batch_answer answers[BATCH_FRAMES];
	__u8 bytes[BATCH_BYTES + BATCH_FRAME];
};

#endif
