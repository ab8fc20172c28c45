/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_bench.h"

#include <string.h>

/* What Linux offers: MSS 1460, SACK, timestamps, window scale 7. */
static const uint8_t syn_options[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
				       0, 1, 0, 0,    0, 0, 1, 3,  3, 7 };
static const uint8_t timestamps[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1 };

const uint8_t flight_two[64] = { 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53 };

void conn_new(struct conn *c, struct bench *b, const struct path *p)
{
	uint64_t seed = p->client.lo ^ p->client.hi ^ (uint64_t)p->sport << 40;

	memset(c, 0, sizeof(*c));
	c->b = b;
	c->p = *p;
	c->isn_c = draw(&seed);
	c->isn_s = draw(&seed);
	c->snd = c->isn_c + 1;
	c->rcv = c->isn_s + 1;
}

int conn_segment(struct conn *c, const struct segment *s)
{
	static __thread struct frame f;

	frame_tcp(&f, &c->p, false, s);
	c->verdict = bench_in(c->b, &f);
	return c->verdict;
}

void conn_syn(struct conn *c)
{
	conn_segment(c, &(struct segment){ .seq = c->isn_c,
					   .flags = SYN,
					   .window = 64240,
					   .options = syn_options,
					   .options_len = sizeof(syn_options) });
}

void conn_synack(struct conn *c)
{
	static __thread struct frame f;

	frame_tcp(&f, &c->p, true,
		  &(struct segment){ .seq = c->isn_s,
				     .ack = c->isn_c + 1,
				     .flags = SYN | ACK,
				     .options = syn_options,
				     .options_len = sizeof(syn_options) });
	bench_out(c->b, &f);
}

static void send_at(struct conn *c, uint32_t seq, uint8_t flags, const void *data, size_t len)
{
	conn_segment(c, &(struct segment){ .seq = seq,
					   .ack = c->rcv,
					   .flags = flags,
					   .options = timestamps,
					   .options_len = sizeof(timestamps),
					   .data = data,
					   .len = len });
}

void conn_ack(struct conn *c)
{
	send_at(c, c->snd, ACK, NULL, 0);
}

void conn_acks(struct conn *c, uint32_t bytes)
{
	c->rcv += bytes;
	conn_ack(c);
}

void conn_send(struct conn *c, const void *data, size_t len)
{
	send_at(c, c->snd, ACK | PSH, data, len);
	c->snd += len;
}

void conn_send_at(struct conn *c, uint32_t off, const void *data, size_t len)
{
	send_at(c, c->isn_c + 1 + off, ACK | PSH, data, len);
}

void conn_close(struct conn *c, uint8_t flags)
{
	send_at(c, c->snd, flags, NULL, 0);
	if (flags & FIN)
		c->snd++;
}

void conn_open(struct conn *c)
{
	conn_syn(c);
	conn_synack(c);
	bench_after(c->b, 20 * MSEC);
	conn_ack(c);
}

void conn_hello(struct conn *c, const struct bytes *msg)
{
	static __thread struct bytes wire;

	record_wrap(&wire, msg);
	conn_send(c, wire.b, wire.len);
}

void conn_finish(struct conn *c)
{
	bench_after(c->b, 20 * MSEC);
	conn_acks(c, 3000);
	bench_after(c->b, 1 * MSEC);
	conn_send(c, flight_two, sizeof(flight_two));
}

void conn_whole(struct conn *c, struct bench *b, const struct path *p, const struct bytes *msg)
{
	conn_new(c, b, p);
	conn_open(c);
	bench_after(b, 1 * MSEC);
	conn_hello(c, msg);
	conn_finish(c);
}
