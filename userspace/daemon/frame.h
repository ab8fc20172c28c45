/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - requests and replies on the control socket.
 *
 * A frame is a big-endian u32 length and that many bytes of JSON. Requests are
 * {"verb": "rule.add", "args": {}}, replies {"exit": N, "error": sentence or
 * null, "data": document or null}; exit is the exit code the client ends with.
 *
 * Errors: -EMSGSIZE beyond a maximum, -EBADMSG no such JSON, and the sentence.
 */
#ifndef WINNOW_DAEMON_FRAME_H
#define WINNOW_DAEMON_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/log.h"

#define FRAME_HEAD          4
#define FRAME_REQUEST_MAX   (1u << 20) /* thousands of rules at a time */
#define FRAME_REPLY_MAX     (64u << 20)
#define FRAME_REQUEST_DEPTH 8 /* arrays and objects within each other */

enum exit_code {
	EXIT_DONE = 0,
	EXIT_NO = 1,
	EXIT_USAGE = 2,
	EXIT_DENIED = 4,
	EXIT_PARTIAL = 5,
	EXIT_REFUSED = 6,
};

struct request {
	const char *verb; /* within doc */
	json_t *args;     /* the same; NULL: none */
	json_t *doc;
};

struct answer {
	int exit;
	struct reason error; /* "": none */
	json_t *data;        /* NULL: none */
};

/* Length of the frame that begins at `head`; -EMSGSIZE: over the maximum or 0. */
int frame_request_len(const uint8_t head[FRAME_HEAD], size_t *len, struct reason *r);
int request_parse(const char *bytes, size_t len, struct request *out, struct reason *r);
void request_clear(struct request *q);

/* A malloc'ed frame; a->data is used up. An answer over the maximum becomes an
 * error that says so. NULL: no memory. */
char *answer_frame(struct answer *a, size_t *len);

#endif
