/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_capture.c - writes a capture of TLS connections in which no two hellos are equal.
 *
 *	bench_capture FILE CONNECTIONS [DATA]
 *
 * Recorded hellos of tests/data/hellos in turn, each with another random and session id,
 * its cipher suites and extensions in another order, and one suite and one signature
 * algorithm that no other has: another JA4_r, JA3 and order each. Four in ten come in two
 * segments, one in ten over IPv6. Both directions: SYN to FIN, a server's flight of two
 * segments, DATA segments of 500 bytes from the client (0) and as many answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "base/cleanup.h"
#include "tests/bench/lib_stat.h"
#include "tests/prog/lib_frames.h"
#include "tls/names.h"

#define TOGETHER 256 /* connections that are open at a time */
#define MSS      1400

struct conn {
	struct path path;
	uint32_t snd, rcv; /* next numbers of client and server */
	struct bytes wire; /* its hello, in one record */
	bool split;
};

static pcap_dumper_t *out;
static uint64_t now_us = 1767225600ULL * 1000000;
static uint64_t seed = 5;

static void emit(struct conn *c, bool from_server, uint8_t flags, const void *data, size_t len)
{
	static struct frame f;
	struct pcap_pkthdr h;

	frame_tcp(&f, &c->path, from_server,
		  &(struct segment){ .seq = from_server ? c->rcv : c->snd,
				     .ack = flags & ACK ? from_server ? c->snd : c->rcv : 0,
				     .flags = flags,
				     .data = data,
				     .len = len });
	now_us += 2;
	h = (struct pcap_pkthdr){ .ts = { now_us / 1000000, now_us % 1000000 },
				  .caplen = f.len,
				  .len = f.len };
	pcap_dump((u_char *)out, &h, f.b);
	*(from_server ? &c->rcv : &c->snd) += len + !!(flags & (SYN | FIN));
}

/* ---- hellos, no two alike ----------------------------------------------------------- */

/* Numbers that no suite or algorithm has, nor GREASE: the lower byte is odd. */
static void mark_as(struct bytes *m, const struct hello *h, uint32_t i)
{
	uint8_t *suite = m->b + h->ciphers_off + h->ciphers_len - 2;
	uint8_t *algorithm = m->b + h->sigalgs_off + h->sigalgs_len - 2;

	put16(suite, 0x8001 | (i >> 7 & 0x3f) << 8 | (i & 0x7f) << 1);
	put16(algorithm, 0xc001 | (i >> 13 & 0x1f) << 8);
}

static void shuffle_suites(uint8_t *b, size_t n)
{
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = draw(&seed) % (i + 1);
		uint16_t a = get16(b + 2 * i);

		put16(b + 2 * i, get16(b + 2 * j));
		put16(b + 2 * j, a);
	}
}

/* In another order, but a pre-shared key stays last. */
static void shuffle_extensions(struct bytes *m, const struct hello *h)
{
	static uint8_t copy[HELLO_BYTES];
	uint8_t *b = m->b + h->extensions_off;
	size_t at[HELLO_EXTENSIONS_MAX], len[HELLO_EXTENSIONS_MAX], n = 0, free;

	memcpy(copy, b, h->extensions_len);
	for (size_t off = 0; off < h->extensions_len; off += len[n++]) {
		at[n] = off;
		len[n] = 4 + get16(copy + off + 2);
	}
	free = n && get16(copy + at[n - 1]) == 0x0029 ? n - 1 : n;
	for (size_t i = free; i > 1; i--) {
		size_t j = draw(&seed) % i, a = at[i - 1], l = len[i - 1];

		at[i - 1] = at[j];
		len[i - 1] = len[j];
		at[j] = a;
		len[j] = l;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(b, copy + at[i], len[i]);
		b += len[i];
	}
}

static void another(struct bytes *wire, const struct bytes *base, const struct hello *h, uint32_t i)
{
	static struct bytes m;

	m = *base;
	for (int at = 6; at < 38; at += 8) {
		uint64_t x = draw(&seed);

		memcpy(m.b + at, &x, 8);
	}
	mark_as(&m, h, i);
	shuffle_suites(m.b + h->ciphers_off, h->ciphers_len / 2);
	shuffle_extensions(&m, h);
	record_wrap(wire, &m);
}

/* ---- connections ---------------------------------------------------------------------- */

static size_t server_flight(uint8_t out_[2800])
{
	static const uint8_t hello[] = { 22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3 };
	static const uint8_t tail[] = { 0x13, 1, 0,  0, 14, 0, 43, 0, 2, 3,
					4,    0, 51, 0, 4,  0, 29, 0, 0 };
	size_t n;

	memset(out_, 0x5a, 2800);
	memcpy(out_, hello, sizeof(hello));
	out_[43] = 32; /* session id, echoed */
	memcpy(out_ + 76, tail, sizeof(tail));
	n = 76 + sizeof(tail);
	memcpy(out_ + n, "\24\3\3\0\1\1", 6);
	n += 6;
	memcpy(out_ + n, "\27\3\3", 3);
	put16(out_ + n + 3, 2800 - n - 5);
	return 2800;
}

static void begin(struct conn *c, uint32_t i)
{
	uint64_t a = draw(&seed);

	c->path = i % 10 == 9 ? path_v6(0, 0) : path_v4(0, 0);
	if (i % 10 == 9)
		c->path.client.hi |= (uint64_t)(i & 0xffff) | (uint64_t)(i >> 16) << 32;
	else
		c->path.client.lo = ADDR_V4_MARK | (0x10000000 + i);
	c->path.sport = 1024 + a % 64000;
	c->snd = a >> 16;
	c->rcv = a >> 32;
	c->split = i % 5 < 2;
}

static void talk(struct conn *c, size_t n, unsigned int data)
{
	static const uint8_t finished[64] = { 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53 };
	static uint8_t flight[2800], request[500] = { 23, 3, 3, 1, 0xef },
				     answer[1400] = { 23, 3, 3, 5, 0x73 };

	server_flight(flight);
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, SYN, NULL, 0);
	for (size_t i = 0; i < n; i++)
		emit(&c[i], true, SYN | ACK, NULL, 0);
	now_us += 20000;
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, ACK, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		size_t len = c[i].wire.len, first = len;

		if (c[i].split)
			first = len > MSS ? MSS : len / 2;
		emit(&c[i], false, ACK | PSH, c[i].wire.b, first);
		if (first < len)
			emit(&c[i], false, ACK | PSH, c[i].wire.b + first, len - first);
	}
	for (size_t i = 0; i < n; i++) {
		emit(&c[i], true, ACK, flight, MSS);
		emit(&c[i], true, ACK | PSH, flight + MSS, sizeof(flight) - MSS);
	}
	now_us += 20000;
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, ACK, NULL, 0);
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, ACK | PSH, finished, sizeof(finished));
	for (unsigned int d = 0; d < data; d++) {
		for (size_t i = 0; i < n; i++)
			emit(&c[i], false, ACK | PSH, request, sizeof(request));
		for (size_t i = 0; i < n; i++)
			emit(&c[i], true, ACK | PSH, answer, sizeof(answer));
		now_us += 20000;
	}
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, ACK | FIN, NULL, 0);
	for (size_t i = 0; i < n; i++)
		emit(&c[i], true, ACK | FIN, NULL, 0);
	for (size_t i = 0; i < n; i++)
		emit(&c[i], false, ACK, NULL, 0);
}

int main(int argc, char **argv)
{
	static const struct secret secret = { { 1, 2, 3, 4 } };
	uint32_t want = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned int data = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	static struct conn open[TOGETHER];
	struct bytes *all;
	size_t n_all = hellos_recorded(&all), n = 0;
	struct hello *shape = calloc(n_all ?: 1, sizeof(*shape));
	struct namer *namer;
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);

	if (!want) {
		fputs("usage: bench_capture FILE CONNECTIONS [DATA]\n", stderr);
		return 2;
	}
	if (!p || !shape || namer_new(&namer))
		die("out of memory");
	out = pcap_dump_open(p, argv[1]);
	if (!out)
		die("%s", pcap_geterr(p));
	for (size_t i = 0; i < n_all; i++) { /* those that can be told apart in both lists */
		all[n] = all[i];
		if (namer_parse(namer, all[n].b, all[n].len, &secret, 't', &shape[n]) == HELLO_OK &&
		    shape[n].ciphers_len >= 4 && shape[n].sigalgs_len >= 6 &&
		    all[n].len < 2 * MSS - 5)
			n++;
	}
	if (!n || want > 8192 * 32)
		die("no hellos in tests/data/hellos, or more than %u asked for", 8192 * 32);
	for (uint32_t i = 0; i < want; i += TOGETHER) {
		uint32_t now = want - i < TOGETHER ? want - i : TOGETHER;

		for (uint32_t j = 0; j < now; j++) {
			begin(&open[j], i + j);
			another(&open[j].wire, &all[(i + j) % n], &shape[(i + j) % n], i + j);
		}
		talk(open, now, data);
	}
	pcap_dump_close(out);
	pcap_close(p);
	namer_free(namer);
	free(all);
	free(shape);
	return 0;
}
