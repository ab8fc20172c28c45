/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kern/capture.h"
#include "kern/segment.h"

struct corpus_frame corpus[CORPUS_MAX];
size_t n_corpus;
struct ports corpus_ports;

static void frame_add(const uint8_t *b, size_t len, uint64_t time_ns)
{
	struct segment s = segment_read(b, len);
	struct corpus_frame *f = &corpus[n_corpus++];

	if (n_corpus > CORPUS_MAX)
		abort();
	f->b = malloc(len ? len : 1);
	memcpy(f->b, b, len);
	f->len = len;
	f->way = replay_direction(&corpus_ports, &s);
	f->time_ns = time_ns;
}

static uint64_t newest(void)
{
	return n_corpus ? corpus[n_corpus - 1].time_ns : 3600 * 1000000000ULL;
}

/* One after the other on one clock. Captures of another host's port, too. */
static void captures_add(void)
{
	_cleanup_(globfree) glob_t g = {};

	assert_int_equal(glob("tests/replay/*.pcap", 0, NULL, &g), 0);
	assert_true(g.gl_pathc > 10);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_(capture_freep) struct capture *c = NULL;
		uint64_t first = 0, base = newest() + 30 * 1000000000ULL;
		struct capture_frame f;
		struct reason r;

		assert_int_equal(capture_open(g.gl_pathv[i], &c, &r), 0);
		while (capture_next(c, &f, &r) == CAPTURE_FRAME) {
			first = first ?: f.time_ns;
			frame_add(f.data, f.len,
				  base + (f.time_ns > first ? f.time_ns - first : 0));
		}
	}
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

static void quic_add(uint8_t host, bool back, const uint8_t *data, size_t len)
{
	static const uint8_t head[42] = { 2, 0, 0,    0,  0,   1, 2,   0, 0,  0, 0,  2,
					  8, 0, 0x45, 0,  0,   0, 0,   0, 64, 0, 64, 17,
					  0, 0, 198,  51, 100, 0, 192, 0, 2,  1 };
	uint8_t b[42 + 2048];

	memcpy(b, head, sizeof(head));
	put16(b + 16, 28 + len);
	b[29] = host;
	put16(b + 34, 50000 + host);
	put16(b + 36, 443);
	if (back) {
		memcpy(b + 26, head + 30, 4);
		memcpy(b + 30, head + 26, 4);
		b[33] = host;
		put16(b + 34, 443);
		put16(b + 36, 50000 + host);
	}
	put16(b + 38, 8 + len);
	memcpy(b + 42, data, len);
	frame_add(b, 42 + len, newest() + 1000000);
}

/* A client's Initial twice, its server's answer with an id, and packets with that id:
 * what becomes of each depends on what userspace read in the first. */
static void quic_flows_add(void)
{
	_cleanup_(globfree) glob_t g = {};

	assert_int_equal(glob("tests/data/quic/*.bin", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_(fclosep) FILE *f = fopen(g.gl_pathv[i], "rb");
		uint8_t first[2048], answer[64], later[64] = { 0x40 };
		size_t len = fread(first, 1, sizeof(first), f), n = 0;
		uint8_t scid = first[6 + first[5]];

		memcpy(answer, first, 5);
		answer[0] |= 0x20; /* a Handshake packet of version 1 */
		answer[5] = scid;
		memcpy(answer + 6, first + 7 + first[5], scid);
		n = 6 + scid;
		answer[n++] = 8;
		memset(answer + n, 0xa0 + i, 8);
		memset(later + 1, 0xa0 + i, 8);
		quic_add(1 + i, false, first, len);
		quic_add(1 + i, false, first, len);
		quic_add(1 + i, true, answer, n + 8);
		quic_add(1 + i, false, later, sizeof(later));
		quic_add(1 + i, false, first, len);
		quic_add(1 + i, false, later, sizeof(later));
	}
}

/* One connection's SYN and hello from many ports: more events than the ring holds. */
static void many_hellos_add(void)
{
	_cleanup_(capture_freep) struct capture *c = NULL;
	uint8_t syn[256], hello[2048];
	size_t syn_len = 0, hello_len = 0;
	struct capture_frame f;
	struct segment s = {};
	struct reason r;

	assert_int_equal(capture_open("tests/replay/curl.pcap", &c, &r), 0);
	while (!hello_len && capture_next(c, &f, &r) == CAPTURE_FRAME) {
		s = segment_read(f.data, f.len);
		if (!syn_len && s.flags == 2)
			memcpy(syn, f.data, syn_len = f.len);
		else if (s.first == 22 && s.message == 1)
			memcpy(hello, f.data, hello_len = f.len);
	}
	assert_true(syn_len && hello_len);
	for (uint16_t port = 0; port < CORPUS_HELLOS; port++) {
		put16(syn + s.l4_at, 20000 + port);
		put16(hello + s.l4_at, 20000 + port);
		frame_add(syn, syn_len, newest() + 1000);
		frame_add(hello, hello_len, newest() + 1000);
	}
}

/* Lengths that a batch has to care for: too short, at its bound, beyond one page. */
static void odd_lengths_add(void)
{
	static const size_t lens[] = { 0,    1,    13,   14,   15,   53,   60,   61,
				       1514, 3071, 3072, 3073, 3520, 3521, 4096, 9014 };
	uint8_t *b = calloc(1, 65549);

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			memset(b, 0, lens[i]);
			memcpy(b, corpus[round].b, lens[i] < 54 ? lens[i] : 54);
			if (lens[i] > 54)
				put16(b + 16, lens[i] - 14);
			frame_add(b, lens[i], newest() + 1000);
		}
	}
	frame_add(b, 65549, newest() + 1000);
	free(b);
}

void corpus_gather(void)
{
	for (int p = 0; p < 1024; p++) /* every port from 1024 on is a client's */
		corpus_ports.tcp[p / 64] |= 1ULL << p % 64;
	corpus_ports.udp[443 / 64] |= 1ULL << 443 % 64;
	captures_add();
	quic_flows_add();
	many_hellos_add();
	odd_lengths_add();
}

void corpus_write(const char *path)
{
	static const uint32_t head[] = { 0xa1b23c4d, 4 << 16 | 2, 0, 0, 262144, 1 };
	FILE *f = fopen(path, "wb");

	fwrite(head, sizeof(head), 1, f);
	for (size_t i = 0; i < n_corpus; i++) {
		const struct corpus_frame *m = &corpus[i];
		uint32_t h[] = { m->time_ns / 1000000000, m->time_ns % 1000000000, m->len, m->len };

		fwrite(h, sizeof(h), 1, f);
		fwrite(m->b, m->len, 1, f);
	}
	fclose(f);
}
