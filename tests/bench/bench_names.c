/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_names.c - names of distinct hellos, and hellos out of QUIC Initials, a second.
 *
 *	bench_names [HELLOS]
 *
 * On one core, in the tree: recorded hellos of tests/data/hellos in turn, each with
 * another random, session id and one other cipher suite, so that no two are equal;
 * parsed, keyed and named (JA4, JA4_r, JA3, stack, order) as for a new one. Then
 * tests/data/quic's Initials, keys derived and opened anew each time. A JSON line each.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "tls/names.h"
#include "tls/quic.h"

#define FILES 64

struct bytes {
	size_t len;
	uint8_t b[4096];
};

static const struct secret secret = { { 11, 12, 13, 14 } };
static struct bytes files[FILES];

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t load(const char *pattern)
{
	_cleanup_(globfree) glob_t g = {};
	size_t n = 0;

	if (glob(pattern, 0, NULL, &g))
		return 0;
	for (size_t i = 0; i < g.gl_pathc && n < FILES; i++) {
		_cleanup_(fclosep) FILE *f = fopen(g.gl_pathv[i], "rb");

		if (f && (files[n].len = fread(files[n].b, 1, sizeof(files[n].b), f)))
			n++;
	}
	return n;
}

static void say(const char *name, double value, const char *unit, double goal)
{
	printf("{\"name\":\"%s\",\"value\":%.0f,\"unit\":\"%s\",\"goal\":%.0f,\"ok\":%s}\n", name,
	       value, unit, goal, value >= goal ? "true" : "false");
}

/* Another client's hello: random and session id differ, and so does one suite. */
static void vary(struct bytes *m, const struct hello *h, uint32_t i)
{
	uint32_t x = i * 2654435761U;

	memcpy(m->b + 6, &i, sizeof(i));
	memcpy(m->b + 10, &x, sizeof(x));
	if (h->ciphers_len >= 4) { /* of a number no real suite and no GREASE value has */
		m->b[h->ciphers_off + h->ciphers_len - 2] = 0x80 | (x >> 8 & 0x3f);
		m->b[h->ciphers_off + h->ciphers_len - 1] = x | 1;
	}
	if (h->sigalgs_len >= 6) { /* and the last signature algorithm: 2^28 in all */
		m->b[h->sigalgs_off + h->sigalgs_len - 2] = 0xc1 + (x >> 16 & 0x1f);
		m->b[h->sigalgs_off + h->sigalgs_len - 1] = x >> 24 | 1;
	}
}

static int bench_hellos(uint32_t want)
{
	_cleanup_(namer_freep) struct namer *n = NULL;
	size_t count = load("tests/data/hellos/*.bin"), bytes = 0;
	static struct hello shape[FILES];
	const struct names *names;
	uint32_t done = 0;
	struct hello h;
	double t;

	if (!count || namer_new(&n))
		return 1;
	for (size_t i = 0; i < count; i++)
		if (namer_parse(n, files[i].b, files[i].len, &secret, 't', &shape[i]) != HELLO_OK)
			return 1;
	t = seconds();
	for (; done < want; done++) {
		struct bytes *m = &files[done % count];

		vary(m, &shape[done % count], done);
		if (namer_parse(n, m->b, m->len, &secret, 't', &h) != HELLO_OK ||
		    namer_name(n, m->b, m->len, &h, &names))
			return 1;
		bytes += m->len;
	}
	t = seconds() - t;
	say("names of distinct hellos", done / t, "hellos/s of one core", 200000);
	return bytes == 0;
}

static int bench_initials(uint32_t want)
{
	_cleanup_(quic_opener_freep) struct quic_opener *o = NULL;
	_cleanup_(freep) struct quic_hello *q = malloc(sizeof(*q));
	size_t count = load("tests/data/quic/*.bin");
	double t;

	if (!count || !q || quic_opener_new(&o))
		return 1;
	t = seconds();
	for (uint32_t i = 0; i < want; i++) {
		memset(q, 0, sizeof(*q));
		if (quic_hello_add(o, q, files[i % count].b, files[i % count].len) != QUIC_COMPLETE)
			return 1;
	}
	t = seconds() - t;
	say("QUIC Initials opened", want / t, "Initials/s of one core", 20000);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 400000;

	return bench_hellos(n) || bench_initials(n / 10 + 1);
}
