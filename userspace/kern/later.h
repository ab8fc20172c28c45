/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * later.h - ClientHellos behind other bytes of their connection: STARTTLS, a
 * proxy's CONNECT, databases, a server that speaks first.
 *
 * The programs never look there: bytes that look like a hello later are data, and
 * no rule may hang on them. A replay that lists hellos names them all the same. They
 * have no proof, no times and no tally.
 *
 * In:     client segments in order, each after the programs saw it, and every hello
 *         event of the programs. What those name, or refuse by a reason, is not
 *         handed out again.
 * Looks:  at segments that begin with the record of a ClientHello. Reassembles up to
 *         16 KiB and 8 records in any order; of bytes that come twice the first count.
 * Out:    an event with place HELLO_LATER: HELLO_OK, HELLO_INCOMPLETE (the rest never
 *         came) or HELLO_TRUNCATED (snaplen). What does not parse was data.
 * Bound:  LATER_MAX connections, LATER_BUILDING hellos at a time; when full, those
 *         silent for 10 s go first, and a newcomer is not kept if there are none.
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_KERN_LATER_H
#define WINNOW_KERN_LATER_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "kern/segment.h"

#define LATER_MAX      16384
#define LATER_BUILDING 256

struct later;

/* The memory is gone after the return. 0 or -errno, which is passed on. */
typedef int (*later_fn)(void *ctx, const struct event_hello *e);

struct later *later_new(const struct secret *secret, later_fn fn, void *ctx);
void later_free(struct later *l);
void later_freep(struct later **l);

int later_known(struct later *l, const struct event_hello *e, uint64_t now);
int later_segment(struct later *l, const struct segment *s, const uint8_t *frame, size_t len,
		  uint64_t now);
/* Nothing more will come. */
int later_finish(struct later *l);

#endif
