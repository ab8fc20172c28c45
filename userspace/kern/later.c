/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/later.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "hello.h"

#define SILENT (10 * 1000000000ULL)
#define PAUSE  (1000000000ULL) /* a full table is not searched more often */

#define TCP_SYN      0x02
#define RECORD_HEAD  5
#define CCS_LEN      6  /* a ChangeCipherSpec in front, after a HelloRetryRequest */
#define HANDSHAKE    22 /* TLS record type */
#define MESSAGE_HEAD 4
#define STREAM_MAX   (HELLO_MAX + HELLO_RECORDS_MAX * RECORD_HEAD)

/* What the programs said of a connection's first bytes. */
enum first { FIRST_UNKNOWN, FIRST_DATA, FIRST_HELLO };

/* A hello under way: its stream from the first record header on. */
struct building {
	uint32_t base; /* sequence number of offset 0 */
	uint32_t have; /* bytes known from offset 0 on */
	uint8_t segments;
	uint8_t known[STREAM_MAX];
	uint8_t b[STREAM_MAX];
};

struct later_row {
	uint64_t seen;
	uint64_t known; /* when the programs spoke of it */
	enum first first;
	uint32_t isn;  /* of the SYN whose data the programs spoke of; else 0 */
	uint32_t next; /* behind the newest hello: what lies before is known */
	struct building *building;
	/* Complete before the programs said anything: handed out if they never do. */
	struct event_hello *held;
};

struct later {
	later_fn fn;
	void *ctx;
	struct secret secret;
	struct table rows; /* struct segment_key -> struct later_row */
	size_t n_building;
	uint64_t made_room; /* when */
	uint64_t n;         /* hellos handed out: names their connections */
	struct hello_buf buf;
};

struct later *later_new(const struct secret *secret, later_fn fn, void *ctx)
{
	struct later *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->secret = *secret;
	l->fn = fn;
	l->ctx = ctx;
	table_init(&l->rows, sizeof(struct segment_key), sizeof(struct later_row));
	return l;
}

static void building_end(struct later *l, struct later_row *row)
{
	l->n_building -= row->building != NULL;
	free(row->building);
	row->building = NULL;
}

static void row_clear(struct later *l, struct later_row *row)
{
	building_end(l, row);
	free(row->held);
	row->held = NULL;
}

void later_free(struct later *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->rows.n; i++)
		row_clear(l, table_value(&l->rows, i));
	table_clear(&l->rows);
	free(l);
}

void later_freep(struct later **l)
{
	later_free(*l);
}

/* ---- events ---------------------------------------------------------------- */

/* hello NULL: it ended with `result`, without its bytes. */
static struct event_hello *event_new(struct later *l, const struct segment_key *key,
				     const struct hello *hello, enum hello_result result,
				     uint64_t now)
{
	size_t len = hello ? hello->len : 0;
	struct event_hello *e = calloc(1, sizeof(*e) + len);

	if (!e)
		return NULL;
	e->head = (struct event_head){
		.type = EVENT_HELLO,
		.len = sizeof(*e) + len,
		.time = now,
		.conn = 1ULL << 63 | l->n++,
		.src = key->src,
		.dst = key->dst,
		.sport = key->sport,
		.dport = key->dport,
	};
	e->place = HELLO_LATER;
	e->result = result;
	e->hello_len = len;
	if (hello) {
		e->hello = *hello;
		memcpy(e->bytes, l->buf.b, len);
	}
	return e;
}

static int hand_out(struct later *l, struct event_hello *e)
{
	int err = l->fn(l->ctx, e);

	free(e);
	return err;
}

static int tell(struct later *l, struct later_row *row, struct event_hello *e)
{
	if (!e)
		return -ENOMEM;
	if (row->first == FIRST_DATA)
		return hand_out(l, e);
	free(row->held);
	row->held = e;
	return 0;
}

/* What is still open will stay so. */
static int row_end(struct later *l, const struct segment_key *key, struct later_row *row)
{
	struct event_hello *e = row->held;
	int err = 0;

	row->held = NULL;
	if (e)
		err = hand_out(l, e);
	if (!err && row->building && row->first == FIRST_DATA) {
		e = event_new(l, key, NULL, HELLO_INCOMPLETE, row->seen);
		err = e ? hand_out(l, e) : -ENOMEM;
	}
	row_clear(l, row);
	return err;
}

static int make_room(struct later *l, uint64_t now)
{
	l->made_room = now;
	for (size_t i = l->rows.n; i-- > 0;) {
		struct later_row *row = table_value(&l->rows, i);
		int err;

		if (row->seen + SILENT >= now)
			continue;
		err = row_end(l, table_key(&l->rows, i), row);
		table_remove_at(&l->rows, i);
		if (err)
			return err;
	}
	return 0;
}

/* NULL with *err 0: the table is full of busy ones. */
static struct later_row *row_get(struct later *l, const struct segment_key *key, uint64_t now,
				 int *err)
{
	struct later_row *row = table_find(&l->rows, key);

	*err = 0;
	if (row)
		return row;
	if (l->rows.n >= LATER_MAX && now - l->made_room >= PAUSE)
		*err = make_room(l, now);
	if (*err || l->rows.n >= LATER_MAX)
		return NULL;
	row = table_add(&l->rows, key, NULL);
	if (!row)
		*err = -ENOMEM;
	else
		row->seen = now;
	return row;
}

int later_known(struct later *l, const struct event_hello *e, uint64_t now)
{
	struct segment_key key = { .src = e->head.peer_port ? e->head.peer : e->head.src,
				   .dst = e->head.dst,
				   .sport = e->head.peer_port ?: e->head.sport,
				   .dport = e->head.dport };
	struct later_row *row;
	int err;

	row = row_get(l, &key, now, &err);
	if (!row)
		return err;
	row->first = hello_is_other(e->result) ? FIRST_DATA : FIRST_HELLO;
	row->known = now;
	if (row->first == FIRST_HELLO)
		row_clear(l, row); /* it was theirs */
	return 0;
}

/* ---- bytes ------------------------------------------------------------------- */

static uint32_t u24(const uint8_t *b)
{
	return b[0] << 16 | b[1] << 8 | b[2];
}

/* The record of a ClientHello, by everything that is fixed in its first bytes. */
static bool hello_begins(const uint8_t *b, size_t len)
{
	uint32_t body, message;

	if (len < RECORD_HEAD + MESSAGE_HEAD + 2)
		return false;
	body = b[3] << 8 | b[4];
	message = u24(b + 6);
	return b[0] == HANDSHAKE && b[1] == 3 && b[2] <= 4 && body >= MESSAGE_HEAD + 2 &&
	       body <= HELLO_MAX && b[5] == HELLO_TYPE && message + MESSAGE_HEAD <= HELLO_MAX &&
	       b[9] == 3 && b[10] <= 4;
}

static bool is_ccs(const uint8_t *b)
{
	return b[0] == 20 && b[1] == 3 && !b[3] && b[4] == 1;
}

static struct building *building_new(uint32_t base)
{
	struct building *g = malloc(sizeof(*g));

	if (!g)
		return NULL;
	memset(g, 0, offsetof(struct building, b)); /* no byte is read before it is known */
	g->base = base;
	return g;
}

static void building_add(struct building *g, uint32_t off, const uint8_t *b, size_t len)
{
	if (off >= STREAM_MAX)
		return;
	if (len > STREAM_MAX - off)
		len = STREAM_MAX - off;
	if (g->segments < UINT8_MAX)
		g->segments++;
	if (!memchr(g->known + off, 1, len)) { /* most often: all of it is new */
		memset(g->known + off, 1, len);
		memcpy(g->b + off, b, len);
	} else {
		for (size_t i = 0; i < len; i++)
			if (!g->known[off + i])
				g->b[off + i] = b[i];
		memset(g->known + off, 1, len);
	}
	while (g->have < STREAM_MAX && g->known[g->have])
		g->have++;
}

/* Takes the record headers off, to l->buf. Its length, 0: not yet, -EBADMSG: data. */
static int deframe(struct later *l, const struct building *g, uint8_t *records, uint32_t *end)
{
	uint32_t at = 0, len = 0;

	for (*records = 1; *records <= HELLO_RECORDS_MAX; ++*records) {
		uint32_t body, got, need;

		if (g->have < at + RECORD_HEAD)
			return 0;
		body = g->b[at + 3] << 8 | g->b[at + 4];
		if (g->b[at] != HANDSHAKE || g->b[at + 1] != 3 || len + body > HELLO_MAX)
			return -EBADMSG;
		at += RECORD_HEAD;
		got = g->have - at < body ? g->have - at : body;
		memcpy(l->buf.b + len, g->b + at, got);
		at += got;
		len += got;
		need = len < MESSAGE_HEAD ? HELLO_MAX : MESSAGE_HEAD + u24(l->buf.b + 1);
		if (len >= need) {
			*end = at - (len - need);
			return need;
		}
		if (got < body)
			return 0;
	}
	return -EBADMSG;
}

static int building_check(struct later *l, const struct segment_key *key, struct later_row *row,
			  uint64_t now)
{
	struct building *g = row->building;
	struct hello hello = { .transport = 't' };
	struct event_hello *e;
	uint8_t records;
	uint32_t end;
	int len, err = 0;

	len = deframe(l, g, &records, &end);
	if (!len)
		return 0;
	if (len > 0 && hello_parse(&l->buf, len, &l->secret, &hello) == HELLO_OK) {
		row->next = g->base + end;
		e = event_new(l, key, &hello, HELLO_OK, now);
		if (e) {
			e->segments = g->segments;
			e->records = records;
		}
		err = tell(l, row, e);
	}
	building_end(l, row);
	return err;
}

/* The ports again: another connection, unless this SYN is the one before or the
 * programs have just spoken of its own data. */
static int syn(struct later *l, const struct segment *s, struct later_row *row, uint64_t now)
{
	int err;

	if (row->isn && row->isn == s->seq)
		return 0;
	if (s->payload && row->known == now) {
		row->isn = s->seq;
		return 0;
	}
	err = row_end(l, &s->key, row);
	table_remove(&l->rows, &s->key);
	return err;
}

int later_segment(struct later *l, const struct segment *s, const uint8_t *frame, size_t len,
		  uint64_t now)
{
	bool begins = s->flags & TCP_SYN;
	struct later_row *row = begins || s->payload ? table_find(&l->rows, &s->key) : NULL;
	const uint8_t *data;
	uint32_t seq = s->seq;
	size_t at, there;
	int err = 0;

	if (begins)
		return row ? syn(l, s, row, now) : 0;
	if (!s->payload)
		return 0;
	at = s->l4_at + (frame[s->l4_at + 12] >> 4) * 4;
	if (at >= len)
		return 0;
	data = frame + at;
	there = len - at < s->payload ? len - at : s->payload;
	if (row) {
		row->seen = now;
		if (row->first == FIRST_HELLO)
			return 0;
		if (row->held && (int32_t)(s->seq - row->next) >= 0) { /* it went on */
			struct event_hello *e = row->held;

			row->held = NULL;
			row->first = FIRST_DATA;
			return hand_out(l, e);
		}
		if (row->building && s->seq - row->building->base < STREAM_MAX) {
			building_add(row->building, s->seq - row->building->base, data, there);
			return building_check(l, &s->key, row, now);
		}
	}
	if (there > CCS_LEN && is_ccs(data)) {
		data += CCS_LEN;
		there -= CCS_LEN;
		seq += CCS_LEN;
	}
	if (!hello_begins(data, there))
		return 0;
	row = row_get(l, &s->key, now, &err);
	if (!row || row->building || (row->next && (int32_t)(seq - row->next) < 0))
		return err;
	if (data + there < frame + at + s->payload) {
		row->next = s->seq + s->payload;
		return tell(l, row, event_new(l, &s->key, NULL, HELLO_TRUNCATED, now));
	}
	if (l->n_building >= LATER_BUILDING)
		return 0;
	row->building = building_new(seq);
	if (!row->building)
		return -ENOMEM;
	l->n_building++;
	building_add(row->building, 0, data, there);
	return building_check(l, &s->key, row, now);
}

int later_finish(struct later *l)
{
	int err = 0;

	while (!err && l->rows.n) {
		size_t i = l->rows.n - 1;

		err = row_end(l, table_key(&l->rows, i), table_value(&l->rows, i));
		table_remove_at(&l->rows, i);
	}
	return err;
}
