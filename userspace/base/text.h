/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.h - bytes of strangers, made safe to show.
 *
 * A server name or ALPN comes from whoever sent the packet. On a terminal it
 * may hold escape codes, in a log line a newline, in JSON no valid UTF-8.
 *
 * In:     any bytes, NULs too.
 * Out:    printable ASCII: ' '..'~' as they are but for the backslash, which is
 *         doubled; every other byte as \xNN. The same bytes always give the
 *         same text and different bytes different text.
 */
#ifndef WINNOW_BASE_TEXT_H
#define WINNOW_BASE_TEXT_H

#include <stddef.h>

#define TEXT_ESCAPED(len) (4 * (len) + 1) /* room that always suffices */

/* Never writes past out[size - 1], always ends it with a NUL, never cuts inside
 * an escape. Returns the length written, without the NUL. */
size_t text_escape(const void *bytes, size_t len, char *out, size_t size);

/* Insertions, deletions and changes from a to b, for "did you mean"; a `b` of 64
 * bytes or more is as far as it is long. */
unsigned int text_distance(const char *a, const char *b);

#endif
