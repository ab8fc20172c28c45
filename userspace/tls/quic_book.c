/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/quic_book.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "hello.h"
#include "tls/quic.h"

/* One client's first flight, by (4-tuple, first DCID). */
struct flight {
	TAILQ_ENTRY(flight) link; /* by last datagram */
	TAILQ_ENTRY(flight) same; /* of one 4-tuple */
	struct event_head first;  /* of its first datagram */
	uint64_t tuple, seen;
	enum { FLIGHT_OPEN, FLIGHT_NAMED, FLIGHT_FAILED } state;
	struct hello keys;
	struct quic_hello quic;
};

TAILQ_HEAD(flights, flight);

struct quic_book {
	struct secret secret;
	struct quic_opener *opener;
	struct table by_name;  /* -> struct flight * */
	struct table by_tuple; /* -> struct flights */
	struct flights queue;
	struct event_hello *event;
	struct hello_buf buf;
};

int quic_book_new(const struct secret *secret, struct quic_book **out)
{
	_cleanup_(quic_book_freep) struct quic_book *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->secret = *secret;
	TAILQ_INIT(&b->queue);
	table_init(&b->by_name, sizeof(uint64_t), sizeof(struct flight *));
	table_init(&b->by_tuple, sizeof(uint64_t), sizeof(struct flights *));
	b->event = calloc(1, sizeof(*b->event) + HELLO_MAX);
	if (!b->event || quic_opener_new(&b->opener))
		return -ENOMEM;
	*out = take_ptr(b);
	return 0;
}

static void flight_end(struct quic_book *b, struct flight *f)
{
	struct flights **same = table_find(&b->by_tuple, &f->tuple);
	uint64_t name = f->first.conn;

	TAILQ_REMOVE(&b->queue, f, link);
	table_remove(&b->by_name, &name);
	if (same) {
		TAILQ_REMOVE(*same, f, same);
		if (TAILQ_EMPTY(*same)) {
			free(*same);
			table_remove(&b->by_tuple, &f->tuple);
		}
	}
	free(f);
}

void quic_book_free(struct quic_book *b)
{
	struct flight *f;

	if (!b)
		return;
	while ((f = TAILQ_FIRST(&b->queue)))
		flight_end(b, f);
	table_clear(&b->by_name);
	table_clear(&b->by_tuple);
	quic_opener_free(b->opener);
	free(b->event);
	free(b);
}

void quic_book_freep(struct quic_book **b)
{
	quic_book_free(*b);
}

static struct flight *flight_begin(struct quic_book *b, const struct event_quic *e)
{
	struct flight *f = calloc(1, sizeof(*f)), **at = NULL;
	uint64_t name = e->head.conn;
	struct flights **same;

	if (!f)
		return NULL;
	f->first = e->head;
	f->tuple = e->tuple;
	same = table_add(&b->by_tuple, &f->tuple, NULL);
	if (same && !*same) {
		*same = calloc(1, sizeof(**same));
		if (*same)
			TAILQ_INIT(*same);
		else
			table_remove(&b->by_tuple, &f->tuple);
	}
	same = table_find(&b->by_tuple, &f->tuple);
	if (same)
		at = table_add(&b->by_name, &name, NULL);
	if (!at) {
		if (same && TAILQ_EMPTY(*same)) {
			free(*same);
			table_remove(&b->by_tuple, &f->tuple);
		}
		free(f);
		return NULL;
	}
	*at = f;
	TAILQ_INSERT_TAIL(*same, f, same);
	TAILQ_INSERT_TAIL(&b->queue, f, link);
	return f;
}

/* The flight's end as the event the programs would have sent, had it been TCP. */
static const struct event_hello *tell(struct quic_book *b, const struct flight *f,
				      enum hello_result result)
{
	struct event_hello *e = b->event;

	memset(e, 0, sizeof(*e));
	e->head = f->first;
	e->head.type = EVENT_HELLO;
	e->result = result;
	e->segments = f->quic.datagrams > 255 ? 255 : f->quic.datagrams;
	e->place = HELLO_FIRST;
	if (result == HELLO_OK) {
		e->hello = f->keys;
		e->hello_len = f->quic.len;
		memcpy(e->bytes, f->quic.bytes, f->quic.len);
	}
	e->hello.transport = 'q';
	e->head.len = sizeof(*e) + e->hello_len;
	return e;
}

/* What a flight that can come to nothing is called in abi.h. */
static enum hello_result failure(enum quic_result r)
{
	switch (r) {
	case QUIC_DIFFERS:
		return HELLO_OVERLAP;
	case QUIC_TOO_LONG:
		return HELLO_TOO_LONG;
	default:
		return HELLO_BAD_RECORD;
	}
}

/* The message is there: parsed like any other. */
static enum hello_result named(struct quic_book *b, struct flight *f)
{
	memcpy(b->buf.b, f->quic.bytes, f->quic.len);
	memset(b->buf.b + f->quic.len, 0, HELLO_SLACK);
	f->keys.transport = 'q';
	return hello_parse(&b->buf, f->quic.len, &b->secret, &f->keys);
}

/* An id that no hello is linked to: whose keys open its packet? */
static void whose(struct quic_book *b, const struct event_quic *e, struct quic_news *out)
{
	struct flights **same = table_find(&b->by_tuple, &e->tuple);
	struct flight *f;

	if (!same)
		return;
	TAILQ_FOREACH(f, *same, same)
	{
		if (f->state != FLIGHT_NAMED ||
		    !quic_hello_opens(b->opener, &f->quic, e->bytes, e->len))
			continue;
		out->name = f->first.conn;
		out->keys = &f->keys;
		out->id = e->id;
		return;
	}
}

int quic_book_event(struct quic_book *b, const struct event_quic *e, struct quic_news *out)
{
	uint64_t name = e->head.conn;
	enum quic_result r;
	struct flight *f, **at;
	enum hello_result result;

	*out = (struct quic_news){};
	if (e->id) {
		whose(b, e, out);
		return 0;
	}
	at = table_find(&b->by_name, &name);
	f = at ? *at : flight_begin(b, e);
	if (!f)
		return -ENOMEM;
	f->seen = e->head.time;
	TAILQ_REMOVE(&b->queue, f, link);
	TAILQ_INSERT_TAIL(&b->queue, f, link);
	if (f->state == FLIGHT_FAILED)
		return 0;
	if (f->state == FLIGHT_OPEN) {
		r = quic_hello_add(b->opener, &f->quic, e->bytes, e->len);
		if (r == QUIC_DIFFERS || r == QUIC_TOO_LONG || r == QUIC_BAD_FRAME) {
			f->state = FLIGHT_FAILED;
			out->hello = tell(b, f, failure(r));
			return 0;
		}
		if (r != QUIC_COMPLETE)
			return 0;
		result = named(b, f);
		f->state = result == HELLO_OK ? FLIGHT_NAMED : FLIGHT_FAILED;
		out->hello = tell(b, f, result);
		if (result != HELLO_OK)
			return 0;
	}
	/* Named before, and asked again: the programs have lost it. */
	out->name = name;
	out->keys = &f->keys;
	return 0;
}

bool quic_book_expire(struct quic_book *b, uint64_t now, const struct event_hello **hello)
{
	struct flight *f = TAILQ_FIRST(&b->queue);

	*hello = NULL;
	if (!f ||
	    (b->by_name.n <= QUIC_BOOK_MAX && now != UINT64_MAX && f->seen + QUIC_BOOK_LIFE >= now))
		return false;
	if (f->state == FLIGHT_OPEN && f->quic.keyed)
		*hello = tell(b, f, HELLO_INCOMPLETE);
	flight_end(b, f);
	return true;
}
