/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packets.c - the same connections as frames of a capture in front of one server:
 * SYN, SYN|ACK, ACK, hello, the server's flight, its acknowledgement, the second
 * client flight, requests and responses, FIN. Timed so that what can be measured is
 * what the event says: a full handshake's flight is longer than a segment and D* runs
 * from the ACK that covers it, a resumed one's is not and D* is D3 - R.
 *
 * Frames of the server and of requests are cut behind their headers, as with a small
 * snap length; their lengths are whole. Connections wait in a heap by the time of
 * their next frame, so memory is bounded by how many are open at once.
 */
#include "tests/sim/emit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "tests/sim/chance.h"

#define FRAME_MAX   2048
#define SEGMENT     1400
#define FLIGHT      3000 /* bytes of the server in a full handshake */
#define SHORT       241  /* and in a resumed one */
#define FLIGHT2     64
#define KEPT        16 /* bytes of a payload that is cut */
#define RETRANSMIT  1000000
#define SERVER4     0xc633640a /* 198.51.100.10 */
#define LAST_WISHES 500000     /* us from the last response to the FIN */

enum tcp_flag { FIN = 1, SYN = 2, ACK = 16, PSH = 8 };
enum what { W_SYN, W_SYN_ACK, W_ACK, W_HELLO, W_FLIGHT2, W_DATA, W_SERVER, W_FIN };

struct frame {
	uint64_t at; /* us */
	uint32_t seq, ack, len;
	uint8_t what;
};

struct talk {
	struct addr src;
	uint16_t sport, n, done;
	const struct tcp_shape *tcp;
	const struct stack *stack;
	uint64_t order; /* of the hello's extensions; also its random bytes */
	bool permute, psk;
	struct frame frames[];
};

struct packets {
	const struct sim *sim;
	FILE *out;
	struct talk **heap;
	size_t n, room;
	uint8_t hello[5 + HELLO_ROOM];
};

/* ---- bytes ---------------------------------------------------------------------------- */

static uint8_t *put16(uint8_t *b, uint32_t v)
{
	b[0] = v >> 8;
	b[1] = v;
	return b + 2;
}

static uint8_t *put32(uint8_t *b, uint32_t v)
{
	return put16(put16(b, v >> 16), v);
}

static uint8_t *put_options(uint8_t *b, const struct tcp_shape *t, uint32_t stamp)
{
	uint8_t *from = b;

	for (const char *o = t->options; *o; o++) {
		switch (*o) {
		case 'm':
			b = put16(put16(b, 0x0204), t->mss);
			break;
		case 's':
			b = put16(b, 0x0402);
			break;
		case 't':
			b = put32(put32(put16(b, 0x080a), stamp | 1), 0);
			break;
		case 'w':
			b = put16(b, 0x0303);
			*b++ = t->scale;
			break;
		case 'n':
			*b++ = 1;
			break;
		default:
			*b++ = 0;
		}
	}
	while ((b - from) % 4)
		*b++ = 0;
	return b;
}

static uint32_t sum16(const uint8_t *b, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += b[i] << 8 | b[i + 1];
	return n & 1 ? sum + (b[n - 1] << 8) : sum;
}

static uint16_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Ethernet and IP; returns where TCP begins. */
static uint8_t *put_ip(uint8_t *b, const struct talk *f, bool up, const struct frame *r,
		       uint32_t tcp)
{
	uint8_t client[16], server[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x10 };
	bool v4 = addr_is_v4(f->src);
	uint8_t *ip = b + 14, ttl = up ? f->tcp->ttl - 9 : 64;
	uint32_t id = f->tcp->has_id ? (uint16_t)(r->seq * 7 + r->what) | 1 : 0;

	memset(b, 0, 14);
	b[5] = up ? 1 : 2;
	b[11] = up ? 2 : 1;
	put16(b + 12, v4 ? 0x0800 : 0x86dd);
	addr_to_bytes(f->src, client);
	if (v4) {
		put16(put16(put32(ip, 0x45000000 | (20 + tcp + r->len)), 0), 0);
		put32(ip + 4, id << 16 | 0x4000);
		put32(ip + 8, ttl << 24 | 6 << 16);
		memcpy(ip + (up ? 12 : 16), client + 12, 4);
		put32(ip + (up ? 16 : 12), SERVER4);
		put16(ip + 10, folded(sum16(ip, 20, 0)));
		return ip + 20;
	}
	put32(ip, 0x60000000);
	put32(ip + 4, (tcp + r->len) << 16 | 6 << 8 | ttl);
	memcpy(ip + (up ? 8 : 24), client, 16);
	memcpy(ip + (up ? 24 : 8), server, 16);
	return ip + 40;
}

static uint8_t *put_payload(struct packets *p, const struct talk *f, const struct frame *r,
			    uint8_t *b)
{
	static const uint8_t second[] = { 0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 0, FLIGHT2 - 11 };
	uint32_t len, off;

	switch (r->what) {
	case W_HELLO: /* one of its segments */
		len = stacks_hello(f->stack, f->order, f->permute, f->psk, p->hello + 5);
		put16(put16(p->hello, 0x1603), 0x0100);
		put16(p->hello + 3, len);
		off = r->seq - (f->frames[0].seq + 1);
		memcpy(b, p->hello + off, r->len);
		return b + r->len;
	case W_FLIGHT2:
		memset(b, 0x5a, r->len);
		memcpy(b, second, sizeof(second));
		return b + r->len;
	case W_DATA:
		put16(put16(b, 0x1703), 0x0300 | (r->len - 5) >> 8);
		b[4] = r->len - 5;
		memset(b + 5, 0x5a, KEPT - 5);
		return b + KEPT;
	default:
		return b;
	}
}

static int write_frame(struct packets *p, const struct talk *f, const struct frame *r)
{
	static const uint8_t flags[] = { SYN,       SYN | ACK, ACK, ACK | PSH,
					 ACK | PSH, ACK | PSH, ACK, ACK | FIN };
	bool up = r->what != W_SYN_ACK && r->what != W_SERVER;
	uint8_t b[FRAME_MAX] = {}, options[40], *tcp, *end;
	uint32_t more = 0, head[4];

	if (r->what == W_SYN)
		more = put_options(options, f->tcp, r->seq) - options;
	tcp = put_ip(b, f, up, r, 20 + more);
	put16(put16(tcp, up ? f->sport : 443), up ? 443 : f->sport);
	put32(put32(tcp + 4, r->seq), r->what == W_SYN ? 0 : r->ack);
	tcp[12] = (20 + more) << 2;
	tcp[13] = flags[r->what];
	put16(tcp + 14, r->what == W_SYN ? f->tcp->window : 501);
	memcpy(tcp + 20, options, more);
	end = put_payload(p, f, r, tcp + 20 + more);
	head[0] = r->at / 1000000;
	head[1] = r->at % 1000000;
	head[2] = end - b;
	head[3] = tcp + 20 + more - b + r->len;
	return fwrite(head, sizeof(head), 1, p->out) == 1 && fwrite(b, end - b, 1, p->out) == 1
		       ? 0
		       : -EIO;
}

/* ---- order of time ----------------------------------------------------------------------- */

static uint64_t due(const struct talk *f)
{
	return f->frames[f->done].at;
}

static void sift(struct packets *p, size_t i)
{
	struct talk *f = p->heap[i];

	for (size_t c; (c = 2 * i + 1) < p->n; i = c) {
		c += c + 1 < p->n && due(p->heap[c + 1]) < due(p->heap[c]);
		if (due(p->heap[c]) >= due(f))
			break;
		p->heap[i] = p->heap[c];
	}
	p->heap[i] = f;
}

static int flush_until(struct packets *p, uint64_t at)
{
	int err = 0;

	while (p->n && due(p->heap[0]) <= at && !err) {
		struct talk *f = p->heap[0];

		err = write_frame(p, f, &f->frames[f->done++]);
		if (f->done == f->n) {
			free(f);
			p->heap[0] = p->heap[--p->n];
			if (!p->n)
				break;
		}
		sift(p, 0);
	}
	return err;
}

static int push(struct packets *p, struct talk *f)
{
	size_t i;

	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 1024;
		struct talk **more = realloc(p->heap, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->heap = more;
		p->room = room;
	}
	for (i = p->n++; i && due(p->heap[(i - 1) / 2]) > due(f); i = (i - 1) / 2)
		p->heap[i] = p->heap[(i - 1) / 2];
	p->heap[i] = f;
	return 0;
}

/* ---- one connection ------------------------------------------------------------------------ */

struct script {
	struct talk *f;
	uint64_t at;
	uint32_t seq, ack; /* client's next byte, server's next byte */
};

static void say(struct script *s, enum what w, uint32_t len)
{
	bool up = w != W_SYN_ACK && w != W_SERVER;

	s->f->frames[s->f->n++] = (struct frame){ .at = s->at,
						  .seq = up ? s->seq : s->ack,
						  .ack = up ? s->ack : s->seq,
						  .len = len,
						  .what = w };
	if (up)
		s->seq += len;
	else
		s->ack += len;
}

static void handshake(struct script *s, const struct event_conn *e, size_t hello)
{
	bool syn_lost = e->rtt_us == US_UNKNOWN;
	uint64_t rtt = syn_lost ? 30000 : e->rtt_us, d1 = e->d1_us == US_UNKNOWN ? 600 : e->d1_us;
	uint32_t flight = e->psk ? SHORT : FLIGHT;

	say(s, W_SYN, 0);
	if (syn_lost) {
		s->at += RETRANSMIT;
		say(s, W_SYN, 0);
	}
	s->seq++;
	s->at += 20;
	say(s, W_SYN_ACK, 0);
	s->ack++;
	s->at += rtt - 20;
	say(s, W_ACK, 0);
	s->at += d1;
	for (size_t off = 0; off < hello; off += SEGMENT)
		say(s, W_HELLO, hello - off < SEGMENT ? hello - off : SEGMENT);
	s->at += 20;
	say(s, W_SERVER, flight);
	s->at += rtt - 20;
	if (e->dstar_us != US_UNKNOWN && !e->piggy)
		say(s, W_ACK, 0);
	s->at += e->dstar_us == US_UNKNOWN ? 1000 : e->dstar_us;
	say(s, W_FLIGHT2, FLIGHT2);
}

static void requests(struct script *s, const struct event_conn *e)
{
	uint64_t rtt = e->rtt_us == US_UNKNOWN ? 30000 : e->rtt_us;

	for (size_t i = 0; i < e->n_exchanges; i++) {
		const struct event_exchange *x = &e->exchanges[i];
		uint64_t at = e->t / 1000 + (uint64_t)x->dt_ms * 1000;

		s->at = at > s->at ? at : s->at + 1000;
		for (uint32_t left = x->in, len; left; left -= len) {
			len = left < SEGMENT + 40 ? left : SEGMENT; /* no crumb behind */
			say(s, W_DATA, len);
		}
		s->at += 300;
		for (uint32_t off = 0; off < x->out; off += 60000)
			say(s, W_SERVER, x->out - off < 60000 ? x->out - off : 60000);
		s->at += rtt;
		say(s, W_ACK, 0);
	}
	s->at += LAST_WISHES;
	say(s, W_FIN, 0);
}

static size_t frames_of(const struct event_conn *e)
{
	size_t n = 16;

	for (size_t i = 0; i < e->n_exchanges; i++)
		n += e->exchanges[i].in / SEGMENT + e->exchanges[i].out / 60000 + 4;
	return n;
}

int packets_add(struct packets *p, const struct event_conn *e, const struct sim_truth *t)
{
	const struct stack *k = sim_stack(p->sim, t->stack);
	uint64_t name = mix(e->t ^ (uint64_t)e->sport << 48 ^ e->src.lo);
	struct talk *f = malloc(sizeof(*f) + frames_of(e) * sizeof(f->frames[0]));
	struct script s = { f, e->t / 1000, name >> 32, name };
	int err = f ? flush_until(p, e->t / 1000) : -ENOMEM;

	if (err)
		return free(f), err;
	*f = (struct talk){ .src = e->src,
			    .sport = e->sport,
			    .tcp = sim_tcp(p->sim, t->source),
			    .stack = k,
			    .order = e->has_order ? e->order : name,
			    .permute = e->has_order,
			    .psk = e->psk };
	handshake(&s, e, 5 + stacks_hello(k, f->order, f->permute, f->psk, p->hello));
	requests(&s, e);
	return push(p, f);
}

int packets_open(const struct sim *s, FILE *out, struct packets **made)
{
	static const uint32_t head[] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, 1 };
	struct packets *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->sim = s;
	p->out = out;
	if (fwrite(head, sizeof(head), 1, out) != 1)
		return free(p), -EIO;
	*made = p;
	return 0;
}

int packets_close(struct packets *p)
{
	int err = flush_until(p, UINT64_MAX);

	for (size_t i = 0; i < p->n; i++)
		free(p->heap[i]);
	free(p->heap);
	free(p);
	return err;
}
