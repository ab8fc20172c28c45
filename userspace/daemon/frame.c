/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "daemon/json_read.h"
#include "model/json.h"

int frame_request_len(const uint8_t head[FRAME_HEAD], size_t *len, struct reason *r)
{
	uint32_t n;

	memcpy(&n, head, sizeof(n));
	*len = ntohl(n);
	if (*len == 0 || *len > FRAME_REQUEST_MAX)
		return reason_set(r, -EMSGSIZE, "a request of %zu bytes; 1 to %d are allowed", *len,
				  FRAME_REQUEST_MAX);
	return 0;
}

/* jansson recurses 2,048 deep before it refuses; count brackets before. */
static bool too_deep(const char *at, size_t len)
{
	bool text = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (text) {
			if (at[i] == '\\')
				i++;
			else if (at[i] == '"')
				text = false;
		} else if (at[i] == '"') {
			text = true;
		} else if (at[i] == '[' || at[i] == '{') {
			if (++depth > FRAME_REQUEST_DEPTH)
				return true;
		} else if (at[i] == ']' || at[i] == '}') {
			depth--;
		}
	}
	return false;
}

int request_parse(const char *bytes, size_t len, struct request *out, struct reason *r)
{
	struct request q = {};
	json_error_t e;

	if (too_deep(bytes, len))
		return reason_set(r, -EBADMSG, "a request nested more than %d deep",
				  FRAME_REQUEST_DEPTH);
	json_missed(); /* what was before is over */
	q.doc = json_read(bytes, len, &e);
	if (!q.doc)
		return reason_set(r, -EBADMSG, "a request that cannot be read as JSON: %s", e.text);
	q.verb = json_string_value(json_object_get(q.doc, "verb"));
	q.args = json_object_get(q.doc, "args");
	if (json_is_null(q.args))
		q.args = NULL;
	if (!q.verb || (q.args && !json_is_object(q.args))) {
		json_decref(q.doc);
		return reason_set(r, -EBADMSG,
				  "a request without \"verb\", or \"args\" that are no object");
	}
	*out = q;
	return 0;
}

void request_clear(struct request *q)
{
	json_decref(q->doc);
	*q = (struct request){};
}

/* jansson does not look at each answer of the sink: what failed once has failed. */
struct sink {
	char *at;
	size_t n, room;
	bool failed;
};

static int sink_add(const char *bytes, size_t len, void *ctx)
{
	struct sink *s = ctx;

	if (s->failed || s->n + len > FRAME_HEAD + (size_t)FRAME_REPLY_MAX) {
		s->failed = true;
		return -1;
	}
	if (s->n + len > s->room) {
		size_t room = s->room * 2 > s->n + len ? s->room * 2 : s->n + len;
		char *more = realloc(s->at, room);

		if (!more) {
			s->failed = true;
			return -1;
		}
		s->at = more;
		s->room = room;
	}
	memcpy(s->at + s->n, bytes, len);
	s->n += len;
	return 0;
}

static char *dump(const json_t *doc, size_t *len)
{
	struct sink s = { .room = 512 };
	uint32_t n;

	s.at = malloc(s.room);
	if (!s.at)
		return NULL;
	s.n = FRAME_HEAD;
	if (json_dump_callback(doc, sink_add, &s, JSON_COMPACT) || s.failed) {
		free(s.at);
		return NULL;
	}
	n = htonl(s.n - FRAME_HEAD);
	memcpy(s.at, &n, sizeof(n));
	*len = s.n;
	return s.at;
}

/* Half a list must not pass for a whole one. */
static void refuse_half(struct answer *a)
{
	if (!json_missed() || (a->exit != EXIT_DONE && !a->data))
		return;
	json_decref(a->data);
	*a = (struct answer){ .exit = EXIT_NO };
	reason_set(&a->error, -ENOMEM,
		   "no memory for the whole answer; what was asked for may have been done");
}

char *answer_frame(struct answer *a, size_t *len)
{
	json_t *doc;
	char *frame;

	refuse_half(a);
	doc = json_pack("{s:i, s:s?, s:o?}", "exit", a->exit, "error",
			a->error.text[0] ? a->error.text : NULL, "data", a->data);
	frame = doc ? dump(doc, len) : NULL;
	a->data = NULL;
	json_decref(doc);
	if (frame)
		return frame;
	doc = json_pack("{s:i, s:s, s:n}", "exit", EXIT_NO, "error",
			"the answer is too large for one reply, or for the memory there is. "
			"Try: a narrower question",
			"data");
	frame = doc ? dump(doc, len) : NULL;
	json_decref(doc);
	return frame;
}
