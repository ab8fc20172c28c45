/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unfinished.h - connections whose handshake the capture has begun but not ended.
 *
 * The programs speak of a handshake when it ends, or when a later packet shows
 * that it never will. After a capture's last packet nobody comes: so each
 * connection that is still open is ended then, by the RST its client could have
 * sent, and a hello that was cut short is named `incomplete`.
 *
 * In:     client segments in order, and the ends that the programs told of.
 * Bound:  UNFINISHED_MAX connections; when full, those older than 10 s go first,
 *         and a newcomer is not kept if there are none.
 */
#ifndef WINNOW_KERN_UNFINISHED_H
#define WINNOW_KERN_UNFINISHED_H

#include "base/table.h"
#include "kern/segment.h"

#define UNFINISHED_MAX 65536

struct unfinished {
	struct table open; /* struct segment_key -> struct unfinished_row */
};

void unfinished_init(struct unfinished *u);
void unfinished_free(struct unfinished *u);

/* A TCP segment of a client, with its frame. -ENOMEM. */
int unfinished_segment(struct unfinished *u, const struct segment *s, const uint8_t *frame,
		       uint64_t now);
void unfinished_end(struct unfinished *u, const struct event_head *e);
/* The RST of one of them, which is then forgotten; 0: none is left. */
size_t unfinished_take(struct unfinished *u, uint8_t out[SEGMENT_HEAD]);

#endif
