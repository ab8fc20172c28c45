/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/unfinished.h"

#include <errno.h>
#include <string.h>

#define HANDSHAKE_LIFE (10 * 1000000000ULL)

#define TCP_SYN   0x02
#define HANDSHAKE 22 /* TLS record type */
#define HELLO     1  /* TLS handshake type */

struct unfinished_row {
	uint64_t begun;
	struct segment s;
	uint32_t high; /* sequence number behind the last byte seen */
	uint8_t head[SEGMENT_HEAD];
};

void unfinished_init(struct unfinished *u)
{
	table_init(&u->open, sizeof(struct segment_key), sizeof(struct unfinished_row));
}

void unfinished_free(struct unfinished *u)
{
	table_clear(&u->open);
}

static bool make_room(struct unfinished *u, uint64_t now)
{
	if (u->open.n < UNFINISHED_MAX)
		return true;
	for (size_t i = u->open.n; i-- > 0;) {
		const struct unfinished_row *row = table_value(&u->open, i);

		if (row->begun + HANDSHAKE_LIFE < now)
			table_remove_at(&u->open, i);
	}
	return u->open.n < UNFINISHED_MAX;
}

int unfinished_segment(struct unfinished *u, const struct segment *s, const uint8_t *frame,
		       uint64_t now)
{
	bool syn = s->flags & TCP_SYN, fresh;
	struct unfinished_row *row = table_find(&u->open, &s->key);
	uint32_t end = s->seq + syn + s->payload;

	if (row && !syn) {
		if ((int32_t)(end - row->high) > 0)
			row->high = end;
		return 0;
	}
	/* Midstream only a hello begins something. */
	if (!syn && !(s->first == HANDSHAKE && s->message == HELLO))
		return 0;
	if (s->l4_at + 20 > SEGMENT_HEAD || (!row && !make_room(u, now)))
		return 0;
	row = table_add(&u->open, &s->key, &fresh);
	if (!row)
		return -ENOMEM;
	row->begun = now;
	row->s = *s;
	row->high = end;
	memcpy(row->head, frame, s->l4_at + 20);
	return 0;
}

void unfinished_end(struct unfinished *u, const struct event_head *e)
{
	struct segment_key key = { .src = e->peer_port ? e->peer : e->src,
				   .dst = e->dst,
				   .sport = e->peer_port ?: e->sport,
				   .dport = e->dport };

	table_remove(&u->open, &key);
}

size_t unfinished_take(struct unfinished *u, uint8_t out[SEGMENT_HEAD])
{
	const struct unfinished_row *row;
	size_t len;

	if (!u->open.n)
		return 0;
	row = table_value(&u->open, u->open.n - 1);
	len = segment_reset(&row->s, row->head, row->high, out);
	table_remove_at(&u->open, u->open.n - 1);
	return len;
}
