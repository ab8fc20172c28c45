/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/join.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/table.h"

/* A hello whose handshake has not ended. The newest of a connection is in the
 * table; an answer to a HelloRetryRequest leads on to the one before it. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct waiting *earlier;
	bool joined; /* and so no longer in the table */
	struct event_handshake handshake;
	struct event_hello hello; /* and its bytes */
};

struct join {
	join_fn fn;
	void *ctx;
	struct table by_conn; /* -> struct waiting * */
	TAILQ_HEAD(waiting_queue, waiting) queue;
	size_t n;
};

struct join *join_new(join_fn fn, void *ctx)
{
	struct join *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->fn = fn;
	j->ctx = ctx;
	TAILQ_INIT(&j->queue);
	table_init(&j->by_conn, sizeof(uint64_t), sizeof(struct waiting *));
	return j;
}

void join_free(struct join *j)
{
	struct waiting *w;

	if (!j)
		return;
	while ((w = TAILQ_FIRST(&j->queue))) {
		TAILQ_REMOVE(&j->queue, w, link);
		free(w);
	}
	table_clear(&j->by_conn);
	free(j);
}

/* No later hello may lead to one that is gone. */
static void forget(struct join *j, const struct waiting *w)
{
	uint64_t conn = w->hello.head.conn;
	struct waiting **newest = w->joined ? NULL : table_find(&j->by_conn, &conn);

	if (!newest)
		return;
	if (*newest == w) {
		table_remove(&j->by_conn, &conn);
		return;
	}
	for (struct waiting *x = *newest; x; x = x->earlier)
		if (x->earlier == w)
			x->earlier = w->earlier;
}

static void hand_out(struct join *j, struct waiting *w)
{
	TAILQ_REMOVE(&j->queue, w, link);
	j->n--;
	forget(j, w);
	j->fn(j->ctx, &w->hello, w->joined ? &w->handshake : NULL);
	free(w);
}

void join_advance(struct join *j, uint64_t now)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&j->queue)) &&
	       (w->joined || j->n > JOIN_MAX || w->hello.head.time + JOIN_WAIT < now))
		hand_out(j, w);
}

void join_finish(struct join *j)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&j->queue)))
		hand_out(j, w);
}

static int on_hello(struct join *j, const struct event_hello *e)
{
	struct waiting *w = malloc(offsetof(struct waiting, hello) + e->head.len);
	struct waiting **newest, *after;
	uint64_t conn = e->head.conn;
	bool fresh;

	if (!w)
		return -ENOMEM;
	newest = table_add(&j->by_conn, &conn, &fresh);
	if (!newest) {
		free(w);
		return -ENOMEM;
	}
	memcpy(&w->hello, e, e->head.len);
	w->joined = false;
	w->earlier = fresh ? NULL : *newest;
	*newest = w;
	/* One that was given up is told late: it goes where its time is. */
	after = TAILQ_LAST(&j->queue, waiting_queue);
	while (after && after->hello.head.time > e->head.time)
		after = TAILQ_PREV(after, waiting_queue, link);
	if (after)
		TAILQ_INSERT_AFTER(&j->queue, after, w, link);
	else
		TAILQ_INSERT_HEAD(&j->queue, w, link);
	j->n++;
	return 0;
}

static void on_handshake(struct join *j, const struct event_handshake *e)
{
	uint64_t conn = e->head.conn;
	struct waiting **newest = table_find(&j->by_conn, &conn);

	if (!newest)
		return;
	for (struct waiting *w = *newest; w; w = w->earlier) {
		w->handshake = *e;
		w->joined = true;
	}
	table_remove(&j->by_conn, &conn);
}

int join_event(struct join *j, const struct event_head *e)
{
	const struct event_hello *h = (const void *)e;

	if (e->type == EVENT_HANDSHAKE && e->len >= sizeof(struct event_handshake))
		on_handshake(j, (const void *)e);
	if (e->type == EVENT_HELLO && e->len >= sizeof(*h) && h->hello_len <= e->len - sizeof(*h))
		return on_hello(j, h);
	return 0;
}
