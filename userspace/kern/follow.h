/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - what the programs said of a capture's frames, taken in a thread of its own.
 *
 * Joining, naming and writing the hellos takes as long as the programs need for their
 * connections; so one goes on while the other is done. Frames are followed in their
 * order, each with its own events, and the hellos are handed out in that thread.
 *
 * In:     frames that have run, with their times and answers; none of it may change
 *         before they have been followed.
 * Memory: what is queued is bounded; who adds waits when it is full.
 * Errors: -errno. The first one is kept and ends it all: what comes behind is not followed.
 */
#ifndef WINNOW_KERN_FOLLOW_H
#define WINNOW_KERN_FOLLOW_H

#include "kern/reader.h"
#include "kern/replay.h"
#include "kern/replay_clock.h"

struct follow;

struct follow_frames {
	const struct reader_frame *frames; /* NULL: they are ours, and end connections */
	const struct batch_frame *times;
	const struct batch_answer *answers;
	uint32_t at, end; /* those of at .. end - 1 */
};

/* All three stay the caller's. The clock may begin an epoch after follow_wait() alone. */
int follow_new(const struct replay_config *c, struct kern *k, const struct replay_clock *clock,
	       struct follow **out);
void follow_free(struct follow *f);

int follow_add(struct follow *f, const struct follow_frames *frames);
/* Behind them: the batch is given back to its reader. */
void follow_return(struct follow *f, struct reader *r, unsigned int which);
/* Returns when all that was added has been followed; only then are the calls below allowed. */
int follow_wait(struct follow *f);

/* The RST of a connection whose handshake is open (unfinished.h); 0: none is left. */
size_t follow_unfinished(struct follow *f, uint8_t out[SEGMENT_HEAD]);
/* No more frames: hands out the hellos that still wait. */
int follow_finish(struct follow *f);
void follow_counts(const struct follow *f, uint64_t *hellos, uint64_t *handshakes);

#endif
