/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hello.h"

#define STREAM_MAX   HELLO_MAX /* of a stream no more than this is looked at */
#define FRONT_MAX    64        /* bytes of a record in front of the hello's */
#define RECORD_LIMIT (STREAM_MAX + 256)

enum { CCS = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23 };

/* ---- from a script to a layout ------------------------------------------------- */

struct script {
	const uint8_t *at;
	size_t left;
};

static unsigned int next(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->at++;
}

static unsigned int next16(struct script *s)
{
	unsigned int high = next(s);

	return high << 8 | next(s);
}

static void add(struct layout *l, const void *b, size_t len)
{
	if (len > LAYOUT_STREAM - l->len)
		len = LAYOUT_STREAM - l->len;
	if (len)
		memcpy(l->b + l->len, b, len);
	l->len += len;
}

static void add_record(struct layout *l, unsigned int type, unsigned int minor, const void *b,
		       size_t len)
{
	uint8_t head[5] = { type, 3, minor };

	put16(head + 3, len);
	add(l, head, sizeof(head));
	add(l, b, len);
}

static void add_front(struct layout *l, unsigned int kind)
{
	static const uint8_t zeros[FRONT_MAX + 1];

	switch (kind % 8) {
	case 0:
	case 1:
		add_record(l, CCS, 3, "\1", 1);
		break;
	case 2:
	case 3:
		add_record(l, ALERT, 1, "\1\0", 2);
		break;
	case 4:
		add_record(l, HANDSHAKE, 0, "", 0);
		break;
	case 5:
		add_record(l, ALERT, 3, zeros, kind / 8 * 2 + 3);
		break;
	case 6:
		add_record(l, HANDSHAKE, 9, "", 0);
		break;
	default: /* nothing that may stand there */
		add_record(l, DATA, 3, zeros, kind / 8);
		break;
	}
}

static size_t record_size(unsigned int code)
{
	return code < 128 ? code : (code - 127) * 24;
}

#define RAW 0x80 /* of a script's first byte */

static void make_stream(struct layout *l, struct script *s, const uint8_t *msg, size_t len)
{
	static const uint8_t zeros[255 * 80];
	unsigned int first = next(s), n, tail;
	size_t at = 0;

	l->len = 0;
	if (first & RAW) {
		add(l, msg, len);
		return;
	}
	for (unsigned int i = 0; i < first % 10; i++)
		add_front(l, next(s));
	n = next(s) % 12;
	for (unsigned int i = 0; i < n; i++) {
		size_t body = record_size(next(s));

		if (body > len - at)
			body = len - at;
		add_record(l, HANDSHAKE, next(s) % 5, msg + at, body);
		at += body;
	}
	add_record(l, HANDSHAKE, 1, msg + at, len - at);
	tail = next(s);
	if (tail) /* early data */
		add_record(l, DATA, 3, zeros, tail * 80);
}

static int by_number(const void *a, const void *b)
{
	return (int)*(const unsigned int *)a - (int)*(const unsigned int *)b;
}

static void cut(struct layout *l, struct script *s)
{
	unsigned int n = next(s), at[32];

	l->n = 0;
	if (n >= 0xe0) { /* byte by byte, then the rest */
		size_t single = l->len < LAYOUT_PIECES / 2 ? l->len : LAYOUT_PIECES / 2;

		for (; l->n < single; l->n++)
			l->piece[l->n] = (struct layout_piece){ l->n, 1 };
		if (single < l->len)
			l->piece[l->n++] = (struct layout_piece){ single, l->len - single };
		return;
	}
	n %= 32;
	for (unsigned int i = 0; i < n; i++)
		at[i] = next16(s) % (l->len + 1);
	qsort(at, n, sizeof(at[0]), by_number);
	for (unsigned int i = 0, from = 0; i <= n; i++) {
		unsigned int to = i < n ? at[i] : l->len;

		if (to > from)
			l->piece[l->n++] = (struct layout_piece){ from, to - from };
		from = to;
	}
}

static void reorder(struct layout *l, struct script *s)
{
	unsigned int how = next(s);

	for (size_t i = l->n; how && i-- > 1;) {
		size_t k = how == 1 ? l->n - 1 - i : next(s) % (i + 1);
		struct layout_piece swap = l->piece[i];

		if (how == 1 && k >= i)
			break;
		l->piece[i] = l->piece[k];
		l->piece[k] = swap;
	}
}

static void repeat(struct layout *l, struct script *s)
{
	unsigned int n = next(s) % 6;

	for (unsigned int i = 0; i < n && l->n < LAYOUT_PIECES; i++) {
		size_t off = next16(s) % l->len, len = 1 + next16(s) % (l->len - off);
		size_t at = next(s) % (l->n + 1);

		memmove(l->piece + at + 1, l->piece + at, (l->n - at) * sizeof(l->piece[0]));
		l->piece[at] = (struct layout_piece){ off, len };
		l->n++;
	}
}

void layout_make(struct layout *l, const uint8_t *script, size_t script_len, const uint8_t *msg,
		 size_t len)
{
	struct script s = { script, script_len };

	make_stream(l, &s, msg, len);
	cut(l, &s);
	if (!l->len)
		return;
	reorder(l, &s);
	repeat(l, &s);
}

/* ---- the answers ----------------------------------------------------------------- */

/* By four bytes, or fewer that may become known ones. */
static enum hello_result other_word(const uint8_t *b, size_t have)
{
	static const char http[][5] = { "GET ", "HEAD", "POST", "PUT ", "DELE",
					"CONN", "OPTI", "TRAC", "PATC", "PRI " };

	if (have < 4)
		return strchr("GHPDCOTS", b[0]) && b[0] ? HELLO_INCOMPLETE : HELLO_NOT_TLS;
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (!memcmp(b, http[i], 4))
			return HELLO_HTTP;
	if (!memcmp(b, "SSH-", 4))
		return HELLO_SSH;
	return b[0] == HANDSHAKE && b[1] == 0xfe ? HELLO_DTLS : HELLO_NOT_TLS;
}

/* Of bytes that begin no TLS record. */
static enum hello_result other(const uint8_t *b, size_t have)
{
	static const char v1[] = "PROXY ", v2[] = "\r\n\r\n\0\r\nQUIT\n";
	size_t n1 = have < 6 ? have : 6, n2 = have < 12 ? have : 12;

	if (b[0] & 0x80) {
		if (have < 3)
			return HELLO_INCOMPLETE;
		return b[2] == 1 ? HELLO_SSLV2 : HELLO_NOT_TLS;
	}
	if (!memcmp(b, v1, n1))
		return have < 6 ? HELLO_INCOMPLETE : HELLO_UNEXPECTED_PROXY;
	if (!memcmp(b, v2, n2))
		return have < 12 ? HELLO_INCOMPLETE : HELLO_UNEXPECTED_PROXY;
	return other_word(b, have);
}

/* What the first `have` bytes say; the message goes to *msg. */
static enum hello_result read_stream(const uint8_t *b, size_t have, struct bytes *msg)
{
	size_t at = 0, end, need;

	msg->len = 0;
	if (!have)
		return HELLO_INCOMPLETE;
	if (b[0] != HANDSHAKE && b[0] != CCS && b[0] != ALERT)
		return other(b, have);
	for (int i = 0;; i++) {
		size_t body, got;

		if (at >= STREAM_MAX - 5)
			return HELLO_TOO_LONG;
		if (have < at + 5)
			break;
		if (i == HELLO_RECORDS_MAX)
			return HELLO_TOO_MANY_RECORDS;
		body = get16(b + at + 3);
		if (b[at + 1] != 3 || body > RECORD_LIMIT ||
		    (b[at] != HANDSHAKE && b[at] != CCS && b[at] != ALERT))
			return i ? HELLO_BAD_RECORD : other_word(b + at, 5);
		end = at + 5 + body;
		if (b[at] != HANDSHAKE) {
			if (msg->len || body > FRONT_MAX)
				return HELLO_BAD_RECORD;
			at = end;
			continue;
		}
		if (msg->len + body > HELLO_MAX)
			return HELLO_TOO_LONG;
		got = (have < end ? have : end) - at - 5;
		bytes_add(msg, b + at + 5, got);
		if (msg->len && msg->b[0] != HELLO_TYPE)
			return HELLO_BAD_TYPE;
		if (msg->len >= 4) {
			need = 4 + ((size_t)msg->b[1] << 16 | get16(msg->b + 2));
			if (need > HELLO_MAX)
				return HELLO_TOO_LONG;
			if (msg->len >= need) {
				msg->len = need;
				return HELLO_OK;
			}
		}
		if (have < end)
			break;
		at = end;
	}
	return have >= STREAM_MAX ? HELLO_TOO_LONG : HELLO_INCOMPLETE;
}

static void answer(const uint8_t *b, size_t have, const struct secret *secret,
		   struct layout_answer *out)
{
	static struct hello_buf buf;

	if (have > STREAM_MAX)
		have = STREAM_MAX;
	memset(&out->hello, 0, sizeof(out->hello));
	out->result = read_stream(b, have, &out->msg);
	if (out->result != HELLO_OK)
		return;
	memcpy(buf.b, out->msg.b, out->msg.len);
	out->hello.transport = 't';
	out->result = hello_parse(&buf, out->msg.len, secret, &out->hello);
	if (out->result != HELLO_OK)
		memset(&out->hello, 0, sizeof(out->hello));
}

void layout_whole(const struct layout *l, const struct secret *secret, struct layout_answer *out)
{
	answer(l->b, l->len, secret, out);
}

void layout_native(const struct layout *l, const struct secret *secret, struct layout_answer *out)
{
	static uint8_t known[LAYOUT_STREAM + 1], b[LAYOUT_STREAM];
	size_t have = 0;

	memset(known, 0, sizeof(known));
	memset(b, 0xee, sizeof(b));
	out->result = HELLO_INCOMPLETE;
	for (size_t i = 0; i < l->n && out->result == HELLO_INCOMPLETE; i++) {
		const struct layout_piece *p = &l->piece[i];

		memset(known + p->off, 1, p->len);
		memcpy(b + p->off, l->b + p->off, p->len);
		while (known[have])
			have++;
		answer(b, have, secret, out);
	}
}

/* A connection of its own, long after the one before, so that no record or slot of that
 * one is alive. */
static void opened(struct bench *b, struct conn *c)
{
	static uint16_t port;
	struct path p = path_v4(9, ++port ? port : ++port);

	bench_after(b, 11 * SEC);
	conn_new(c, b, &p);
	conn_open(c);
	bench_after(b, 1 * MSEC);
}

void layout_dirty(struct bench *b, uint8_t fill)
{
	static uint8_t stream[STREAM_MAX];
	struct conn c;

	opened(b, &c);
	memset(stream, fill, sizeof(stream));
	memcpy(stream, "\26\3\1\77\373\1\0\77\367", 9); /* one message of the whole stream */
	conn_send_at(&c, 0, stream, 9000);
	conn_send_at(&c, 9000, stream + 9000, sizeof(stream) - 9000);
	c.snd += sizeof(stream);
	conn_close(&c, RST);
	bench_events(b);
}

size_t layout_program(struct bench *b, const struct layout *l, struct layout_answer *out)
{
	size_t before = b->hello.n;
	struct conn c;

	opened(b, &c);
	for (size_t i = 0; i < l->n; i++)
		conn_send_at(&c, l->piece[i].off, l->b + l->piece[i].off, l->piece[i].len);
	c.snd += l->len;
	conn_close(&c, RST);
	bench_events(b);
	out->result = b->hello.e.result;
	out->hello = b->hello.e.hello;
	out->msg.len = b->hello.e.hello_len;
	memcpy(out->msg.b, b->hello.bytes, out->msg.len);
	return b->hello.n - before;
}

static int same(const struct layout_answer *a, const struct layout_answer *b)
{
	if (a->result != b->result || memcmp(&a->hello, &b->hello, sizeof(a->hello)))
		return 0;
	return a->result != HELLO_OK ||
	       (a->msg.len == b->msg.len && !memcmp(a->msg.b, b->msg.b, a->msg.len));
}

const char *layout_check(struct bench *b, const struct layout *l, struct layout_answer *out)
{
	static struct layout_answer got;
	static char text[200];
	size_t events;

	layout_whole(l, &b->c->secret, out);
	layout_native(l, &b->c->secret, &got);
	if (!same(out, &got)) {
		snprintf(text, sizeof(text), "whole %u, natively in %zu pieces %u", out->result,
			 l->n, got.result);
		return text;
	}
	layout_dirty(b, 0xff);
	for (int again = 0; again < 2; again++) {
		events = layout_program(b, l, &got);
		if (events != 1 || !same(out, &got)) {
			snprintf(text, sizeof(text),
				 "natively %u, by the program%s in %zu pieces %u (%zu events)",
				 out->result, again ? " over its own bytes" : "", l->n, got.result,
				 events);
			return text;
		}
	}
	return NULL;
}
