/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_frames.h"

#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/in.h>

void put16(uint8_t *b, uint16_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v);
}

uint16_t get16(const uint8_t *b)
{
	return b[0] << 8 | b[1];
}

uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

struct path path_v4(uint8_t host, uint16_t sport)
{
	return (struct path){
		.client = { .lo = ADDR_V4_MARK | 0xc6336400 | host },
		.server = { .lo = ADDR_V4_MARK | 0xc0000201 },
		.sport = sport,
		.dport = 443,
		.ttl = 57,
	};
}

struct path path_v6(uint16_t net, uint16_t sport)
{
	return (struct path){
		.client = { .hi = 0x20010db800000000ULL | net, .lo = 1 },
		.server = { .hi = 0x20010db800ff0000ULL, .lo = 1 },
		.sport = sport,
		.dport = 443,
		.ttl = 57,
	};
}

bool path_is_v4(const struct path *p)
{
	return p->client.hi == 0 && p->client.lo >> 32 == 0xffff;
}

/* ---- checksums --------------------------------------------------------------- */

static uint32_t sum_add(uint32_t sum, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(b + i);
	if (len & 1)
		sum += b[len - 1] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put_addr(uint8_t *b, const struct addr *a, bool v4)
{
	if (v4) {
		put32(b, a->lo);
		return;
	}
	put32(b, a->hi >> 32);
	put32(b + 4, a->hi);
	put32(b + 8, a->lo >> 32);
	put32(b + 12, a->lo);
}

static uint16_t tcp_sum(const struct frame *f, const struct path *p, bool from_server)
{
	bool v4 = path_is_v4(p);
	uint8_t a[32] = {};
	uint32_t sum;
	size_t len = v4 ? f->l3 + get16(f->b + f->l3 + 2) - f->l4
			: f->l3 + 40 + get16(f->b + f->l3 + 4) - f->l4;

	put_addr(a, from_server ? &p->server : &p->client, v4);
	put_addr(a + 16, from_server ? &p->client : &p->server, v4);
	sum = sum_add(0, a, sizeof(a));
	sum += IPPROTO_TCP + len;
	return sum_fold(sum_add(sum, f->b + f->l4, len));
}

uint16_t frame_ip_error(const struct frame *f)
{
	return sum_fold(sum_add(0, f->b + f->l3, (f->b[f->l3] & 15) * 4));
}

uint16_t frame_tcp_error(const struct frame *f, const struct path *p, bool from_server)
{
	return tcp_sum(f, p, from_server);
}

void frame_fix_ip(struct frame *f)
{
	put16(f->b + f->l3 + 10, 0);
	put16(f->b + f->l3 + 10, frame_ip_error(f));
}

/* ---- frames ------------------------------------------------------------------ */

static void ethernet(struct frame *f, const struct path *p, bool from_server)
{
	static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
	size_t at = 12;

	memcpy(f->b, mac[from_server], 6);
	memcpy(f->b + 6, mac[!from_server], 6);
	for (int i = 0; i < p->tags; i++) {
		put16(f->b + at, i == 0 && p->tags > 1 ? ETH_P_8021AD : ETH_P_8021Q);
		put16(f->b + at + 2, 100 + i);
		at += 4;
	}
	put16(f->b + at, path_is_v4(p) ? ETH_P_IP : ETH_P_IPV6);
	f->l3 = at + 2;
}

void frame_ip(struct frame *f, const struct path *p, bool from_server, uint8_t proto,
	      const void *data, size_t len)
{
	const struct addr *src = from_server ? &p->server : &p->client;
	const struct addr *dst = from_server ? &p->client : &p->server;
	size_t ext = from_server ? 0 : p->extensions_len;
	uint8_t *ip;

	ethernet(f, p, from_server);
	ip = f->b + f->l3;
	if (path_is_v4(p)) {
		size_t options = from_server ? 0 : p->ip_options;

		memset(ip, 0, 20);
		memset(ip + 20, 1, options); /* no-operation */
		ip[0] = 0x45 + options / 4;
		put16(ip + 2, 20 + options + len);
		put16(ip + 4, 0x1234);
		put16(ip + 6, 0x4000);
		ip[8] = p->ttl;
		ip[9] = proto;
		put_addr(ip + 12, src, true);
		put_addr(ip + 16, dst, true);
		frame_fix_ip(f);
		f->l4 = f->l3 + 20 + options;
	} else {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		put16(ip + 4, ext + len);
		ip[6] = ext ? p->first_extension : proto;
		ip[7] = p->ttl;
		put_addr(ip + 8, src, false);
		put_addr(ip + 24, dst, false);
		if (ext)
			memcpy(ip + 40, p->extensions, ext);
		f->l4 = f->l3 + 40 + ext;
	}
	if (len)
		memcpy(f->b + f->l4, data, len);
	f->data = f->l4;
	f->len = f->l4 + len;
}

void frame_tcp(struct frame *f, const struct path *p, bool from_server, const struct segment *s)
{
	size_t options = (s->options_len + 3) / 4 * 4;
	static __thread uint8_t tcp[FRAME_MAX];

	memset(tcp, 0, 20 + options);
	put16(tcp, from_server ? p->dport : p->sport);
	put16(tcp + 2, from_server ? p->sport : p->dport);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (5 + options / 4) << 4;
	tcp[13] = s->flags;
	put16(tcp + 14, s->window ? s->window : 502);
	if (s->options_len)
		memcpy(tcp + 20, s->options, s->options_len);
	if (s->len)
		memcpy(tcp + 20 + options, s->data, s->len);
	frame_ip(f, p, from_server, IPPROTO_TCP, tcp, 20 + options + s->len);
	f->data = f->l4 + 20 + options;
	put16(f->b + f->l4 + 16, tcp_sum(f, p, from_server));
}
