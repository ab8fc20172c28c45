/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/hello_json.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/time.h"

#define TIME_DIGITS 6 /* what most captures have */

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

static json_t *text_json(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *bytes_json(const struct hello_bytes *b)
{
	_cleanup_(freep) char *safe = NULL;
	json_t *v;

	if (!b->at)
		return json_null();
	v = json_stringn((const char *)b->at, b->len);
	if (v)
		return v;
	safe = malloc(TEXT_ESCAPED(b->len));
	if (!safe)
		return NULL;
	text_escape(b->at, b->len, safe, TEXT_ESCAPED(b->len));
	return json_string(safe);
}

static json_t *alpn_json(const struct hello_text *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n_alpn; i++)
		json_array_append_new(list, bytes_json(&t->alpn[i]));
	return list;
}

static json_t *us_json(uint32_t us)
{
	return us == US_UNKNOWN ? json_null() : json_integer(us);
}

/* Has neither records nor acknowledgements of its own to look at. */
static bool is_quic(const struct event_hello *e)
{
	return e->hello.transport == 'q';
}

/* Without the second client flight there is nothing to say about its records. */
static json_t *ccs_json(const struct event_hello *e, const struct event_handshake *h)
{
	if (!h || h->flags & HS_NOF2 || is_quic(e))
		return json_null();
	if (h->flags & HS_CCS_TWICE)
		return json_string("twice");
	return json_string(h->flags & HS_CCS_ALONE ? "alone" : "none");
}

/* Behind a PROXY header the kernel's acknowledgement is the proxy's. */
static json_t *piggy_json(const struct event_hello *e, const struct event_handshake *h)
{
	return h && !is_quic(e) && !(h->flags & HS_PROXIED) ? json_boolean(h->flags & HS_PIGGY)
							    : json_null();
}

json_t *hello_json(uint64_t time_ns, const struct event_hello *e, const struct event_handshake *h,
		   const struct hello_text *t)
{
	static const struct event_handshake none = { .rtt_us = US_UNKNOWN,
						     .d1_us = US_UNKNOWN,
						     .d2_us = US_UNKNOWN,
						     .dstar_us = US_UNKNOWN };
	const struct event_handshake *m = h ? h : &none;
	char time[TIME_TEXT], src[ADDR_TEXT], dst[ADDR_TEXT];
	json_t *o;

	o = json_pack(
		"{s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i,"
		" s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
		"schema", "winnow.hello/1", "time", time_text(time_ns, TIME_DIGITS, time), "src",
		addr_text(e->head.src, src), "sport", e->head.sport, "dst",
		addr_text(e->head.dst, dst), "dport", e->head.dport, "transport",
		is_quic(e) ? "quic" : "tcp", "ja4", text_json(t->ja4), "ja4_r", text_json(t->ja4_r),
		"ja3", text_json(t->ja3), "stack", text_json(t->stack), "order",
		text_json(t->order), "sni", bytes_json(&t->sni), "alpn", alpn_json(t), "tcp",
		text_json(t->tcp), "segments", e->segments, "records", e->records, "resumed",
		t->ja4 ? json_boolean(t->resumed) : json_null(), "rtt_us", us_json(m->rtt_us),
		"d1_us", us_json(m->d1_us), "d2_us", us_json(m->d2_us), "dstar_us",
		us_json(m->dstar_us), "flight", m->flight ? json_integer(m->flight) : json_null(),
		"piggy", piggy_json(e, h), "ccs", ccs_json(e, h), "proof",
		text_json(proof_name(h ? h->proof : e->proof)), "result",
		hello_result_name(e->result));
	if (o && e->place == HELLO_LATER)
		json_object_set_new(o, "later", json_true());
	return o;
}
