/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h - a capture's frames as batches (batch.h), read by a thread of its own.
 *
 * While the programs run over one batch the others are filled. The frames of a batch
 * are handed over as they come (`n` grows), so that a slow pipe is followed; a batch
 * whose frames have been used is given back.
 *
 * Memory: sixteen batches of an eighth of a megabyte, and for each a frame that is too
 *         large for it. With four, the three threads of a replay waited for each other on
 *         two cores; four times as large, what one wrote had left its cache for the next.
 * Errors: -errno; how the capture ended is in the last batch.
 */
#ifndef WINNOW_KERN_READER_H
#define WINNOW_KERN_READER_H

#include <stdatomic.h>

#include "batch.h"
#include "kern/capture.h"
#include "kern/kern.h"
#include "kern/segment.h"

struct reader;

struct reader_frame {
	struct segment s;
	uint64_t time_ns;
	const uint8_t *data; /* NULL: no program and nobody else wants it */
	uint32_t len, wire_len;
	uint8_t way; /* enum batch_way */
	bool client; /* a TCP segment of a client */
	bool back;
};

struct reader_batch {
	struct reader_frame frames[BATCH_FRAMES];
	atomic_uint n;        /* of them, so far */
	bool alone;           /* its only frame is not in the batch of the programs */
	atomic_bool closed;   /* n is final, and so are: */
	enum capture_end end; /* CAPTURE_FRAME: another batch follows */
	struct reason why;
};

/* Begins to read. `c` and `k` are the reader's until reader_free(). */
int reader_new(struct capture *c, struct kern *k, const struct ports *ports, struct reader **out);
void reader_free(struct reader *r); /* ends the thread, also while it waits for a pipe */
void reader_freep(struct reader **r);

/* Batch `which` with more than `from` frames, or closed; NULL: neither, but a tenth of a
 * second is over. A batch that is not yet closed comes only after such a pause. */
const struct reader_batch *reader_wait(struct reader *r, unsigned int which, uint32_t from);
/* The same at once, as it stands. */
const struct reader_batch *reader_look(const struct reader *r, unsigned int which);
/* Nothing of it is waited for any more, but its frames stay as they are until */
void reader_leave(struct reader *r, unsigned int which);
/* they have been used, and it is filled again. From any thread. */
void reader_return(struct reader *r, unsigned int which);

#endif
