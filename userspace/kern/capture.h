/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * capture.h - a capture file as a stream of Ethernet frames.
 *
 * In:     pcap (micro- and nanosecond, either byte order) or pcapng, from a file
 *         or standard input ("-"). Link types: Ethernet, raw IP (also the IPv4
 *         and IPv6 ones), null and loopback, Linux cooked v1 and v2.
 * Out:    frames in file order. Other link layers lose their header and get an
 *         Ethernet one with addresses that name nobody.
 * Units:  nanoseconds since 1970, bytes.
 * Memory: one frame, whatever the file's size.
 * Errors: a sentence in `r`; capture_next() says how the stream ended.
 */
#ifndef WINNOW_KERN_CAPTURE_H
#define WINNOW_KERN_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

#define CAPTURE_FRAME_MAX 262144 /* libpcap's own bound for these link types */

struct capture;

struct capture_frame {
	const uint8_t *data; /* until the next call */
	size_t len;          /* bytes that are there */
	size_t wire_len;     /* bytes that were on the wire; more: the snaplen cut it */
	uint64_t time_ns;
	bool back; /* earlier than the frame before it */
};

enum capture_end {
	CAPTURE_FRAME,     /* not an end: a frame was read */
	CAPTURE_END,       /* the file is complete */
	CAPTURE_TRUNCATED, /* it ends inside a frame; all before was read */
	CAPTURE_BROKEN,    /* something in it makes no sense; all before was read */
};

/* -ENOENT and the like: cannot be opened; -ENODATA: empty, or ends inside its
 * own header; -EBADMSG: no capture file; -EPROTONOSUPPORT: a link type not in
 * the list above, named. */
int capture_open(const char *path, struct capture **out, struct reason *r);
void capture_free(struct capture *c);
void capture_freep(struct capture **c);

enum capture_end capture_next(struct capture *c, struct capture_frame *f, struct reason *r);

/* From any thread: a capture_next() that waits for a pipe, now or later, ends at once as
 * CAPTURE_BROKEN. */
void capture_interrupt(struct capture *c);

/* Bytes read so far, and of the whole file (0: not known, a pipe). From any thread. */
uint64_t capture_position(const struct capture *c, uint64_t *size);

#endif
