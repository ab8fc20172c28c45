/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/hello_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/time.h"

#define TIME_DIGITS 6    /* what most captures have */
#define FIXED       1024 /* more than everything but names, server name and protocols */

const char *hello_result_name(unsigned int result)
{
	static const char *const names[] = {
#define X(id, name, text) [HELLO_##id] = name,
		HELLO_RESULTS(X)
#undef X
	};

	return result < HELLO_RESULT_MAX ? names[result] : "unknown";
}

const char *proof_name(unsigned int proof)
{
	switch (proof) {
	case PROOF_EGRESS:
		return "egress";
	case PROOF_SOCKET:
		return "socket";
	case PROOF_INGRESS:
		return "ingress";
	default:
		return NULL;
	}
}

/* ---- text ------------------------------------------------------------------ */

static int reserve(struct hello_line *l, size_t more)
{
	size_t room = l->room ? l->room : 4096;
	char *b;

	while (room - l->len < more)
		room *= 2;
	if (room == l->room)
		return 0;
	b = realloc(l->text, room);
	if (!b)
		return -ENOMEM;
	l->text = b;
	l->room = room;
	return 0;
}

/* What follows has room: reserve() was asked. */
static void put(struct hello_line *l, const char *s, size_t len)
{
	memcpy(l->text + l->len, s, len);
	l->len += len;
}

#define put_literal(l, s) put(l, s, sizeof(s) - 1)

static void put_number(struct hello_line *l, uint32_t v)
{
	char digits[10];
	int n = sizeof(digits);

	do {
		digits[--n] = '0' + v % 10;
		v /= 10;
	} while (v);
	put(l, digits + n, sizeof(digits) - n);
}

static void put_text(struct hello_line *l, const char *s)
{
	if (!s) {
		put_literal(l, "null");
		return;
	}
	put_literal(l, "\"");
	put(l, s, strlen(s));
	put_literal(l, "\"");
}

static void put_bool(struct hello_line *l, bool v)
{
	if (v)
		put_literal(l, "true");
	else
		put_literal(l, "false");
}

static void put_us(struct hello_line *l, uint32_t us)
{
	if (us == US_UNKNOWN)
		put_literal(l, "null");
	else
		put_number(l, us);
}

static bool is_plain(const struct hello_bytes *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->at[i] < 0x20 || b->at[i] > 0x7e || b->at[i] == '"' || b->at[i] == '\\')
			return false;
	return true;
}

/* Bytes from the wire that need escapes. */
static char *escaped(const struct hello_bytes *b)
{
	_cleanup_(freep) char *safe = NULL;
	json_t *v = json_stringn((const char *)b->at, b->len);
	char *out;

	if (!v) { /* no UTF-8 */
		safe = malloc(TEXT_ESCAPED(b->len));
		if (!safe)
			return NULL;
		text_escape(b->at, b->len, safe, TEXT_ESCAPED(b->len));
		v = json_string(safe);
	}
	out = json_dumps(v, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	json_decref(v);
	return out;
}

/* Makes its own room, and FIXED behind it. */
static int put_bytes(struct hello_line *l, const struct hello_bytes *b)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int err;

	if (!b->at) {
		put_literal(l, "null");
		return 0;
	}
	if (!is_plain(b)) {
		text = escaped(b);
		if (!text)
			return -ENOMEM;
	}
	len = text ? strlen(text) : b->len + 2;
	err = reserve(l, len + FIXED);
	if (err)
		return err;
	if (text) {
		put(l, text, len);
		return 0;
	}
	put_literal(l, "\"");
	put(l, (const char *)b->at, b->len);
	put_literal(l, "\"");
	return 0;
}

/* Most hellos come in the second of the one before. */
static void put_time(struct hello_line *l, uint64_t ns)
{
	uint32_t us = ns % NSEC_PER_SEC / 1000;
	uint64_t second = ns / NSEC_PER_SEC;
	char fraction[TIME_DIGITS];

	if (!l->second_text[0] || second != l->second) {
		time_text(ns, 0, l->second_text);
		l->second = second;
	}
	put(l, l->second_text, strlen(l->second_text) - 1); /* without the Z */
	for (int i = TIME_DIGITS; i-- > 0; us /= 10)
		fraction[i] = '0' + us % 10;
	put_literal(l, ".");
	put(l, fraction, sizeof(fraction));
	put_literal(l, "Z");
}

static void put_addr(struct hello_line *l, struct addr a)
{
	char text[ADDR_TEXT];

	if (!addr_is_v4(a)) {
		put_text(l, addr_text(a, text));
		return;
	}
	put_literal(l, "\"");
	for (int shift = 24; shift >= 0; shift -= 8) {
		put_number(l, a.lo >> shift & 255);
		if (shift)
			put_literal(l, ".");
	}
	put_literal(l, "\"");
}

/* ---- the object ---------------------------------------------------------------- */

/* Has neither records nor acknowledgements of its own to look at. */
static bool is_quic(const struct event_hello *e)
{
	return e->hello.transport == 'q';
}

/* Without the second client flight there is nothing to say about its records. */
static const char *ccs_name(const struct event_hello *e, const struct event_handshake *h)
{
	if (!h || h->flags & HS_NOF2 || is_quic(e))
		return NULL;
	if (h->flags & HS_CCS_TWICE)
		return "twice";
	return h->flags & HS_CCS_ALONE ? "alone" : "none";
}

static void put_connection(struct hello_line *l, uint64_t time_ns, const struct event_hello *e)
{
	put_literal(l, "{\"schema\":\"winnow.hello/1\",\"time\":\"");
	put_time(l, time_ns);
	put_literal(l, "\",\"src\":");
	put_addr(l, e->head.src);
	put_literal(l, ",\"sport\":");
	put_number(l, e->head.sport);
	put_literal(l, ",\"dst\":");
	put_addr(l, e->head.dst);
	put_literal(l, ",\"dport\":");
	put_number(l, e->head.dport);
	put_literal(l, ",\"transport\":");
	put_text(l, is_quic(e) ? "quic" : "tcp");
}

static int put_names(struct hello_line *l, const struct hello_text *t)
{
	int err;

	put_literal(l, ",\"ja4\":");
	put_text(l, t->ja4);
	put_literal(l, ",\"ja4_r\":");
	put_text(l, t->ja4_r);
	put_literal(l, ",\"ja3\":");
	put_text(l, t->ja3);
	put_literal(l, ",\"stack\":");
	put_text(l, t->stack);
	put_literal(l, ",\"order\":");
	put_text(l, t->order);
	put_literal(l, ",\"sni\":");
	err = put_bytes(l, &t->sni);
	put_literal(l, ",\"alpn\":[");
	for (size_t i = 0; i < t->n_alpn && !err; i++) {
		if (i)
			put_literal(l, ",");
		err = put_bytes(l, &t->alpn[i]);
	}
	put_literal(l, "],\"tcp\":");
	put_text(l, t->tcp);
	return err;
}

static void put_handshake(struct hello_line *l, const struct event_hello *e,
			  const struct event_handshake *h)
{
	static const struct event_handshake none = { .rtt_us = US_UNKNOWN,
						     .d1_us = US_UNKNOWN,
						     .d2_us = US_UNKNOWN,
						     .dstar_us = US_UNKNOWN };
	const struct event_handshake *m = h ? h : &none;

	put_literal(l, ",\"rtt_us\":");
	put_us(l, m->rtt_us);
	put_literal(l, ",\"d1_us\":");
	put_us(l, m->d1_us);
	put_literal(l, ",\"d2_us\":");
	put_us(l, m->d2_us);
	put_literal(l, ",\"dstar_us\":");
	put_us(l, m->dstar_us);
	put_literal(l, ",\"flight\":");
	put_us(l, m->flight ? m->flight : US_UNKNOWN);
	put_literal(l, ",\"piggy\":");
	/* Behind a PROXY header the kernel's acknowledgement is the proxy's. */
	if (h && !is_quic(e) && !(h->flags & HS_PROXIED))
		put_bool(l, h->flags & HS_PIGGY);
	else
		put_literal(l, "null");
	put_literal(l, ",\"ccs\":");
	put_text(l, ccs_name(e, h));
	put_literal(l, ",\"proof\":");
	put_text(l, proof_name(h ? h->proof : e->proof));
}

static size_t length(const char *s)
{
	return s ? strlen(s) : 0;
}

int hello_json(struct hello_line *l, uint64_t time_ns, const struct event_hello *e,
	       const struct event_handshake *h, const struct hello_text *t)
{
	int err;

	l->len = 0;
	err = reserve(l, 2 * FIXED + length(t->ja4) + length(t->ja4_r) + length(t->ja3) +
				 length(t->stack) + length(t->order) + length(t->tcp));
	if (err)
		return err;
	put_connection(l, time_ns, e);
	err = put_names(l, t);
	if (err)
		return err;
	put_literal(l, ",\"segments\":");
	put_number(l, e->segments);
	put_literal(l, ",\"records\":");
	put_number(l, e->records);
	put_literal(l, ",\"resumed\":");
	if (t->ja4)
		put_bool(l, t->resumed);
	else
		put_literal(l, "null");
	put_handshake(l, e, h);
	put_literal(l, ",\"result\":");
	put_text(l, hello_result_name(e->result));
	if (e->place == HELLO_LATER)
		put_literal(l, ",\"later\":true");
	if (e->hello.flags & HELLO_HAS_ECH)
		put_literal(l, ",\"ech\":true");
	put_literal(l, "}");
	return 0;
}

void hello_line_clear(struct hello_line *l)
{
	free(l->text);
	*l = (struct hello_line){};
}
