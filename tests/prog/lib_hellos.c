/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_frames.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void bytes_add(struct bytes *out, const void *b, size_t len)
{
	if (out->len + len > sizeof(out->b))
		abort();
	if (len)
		memcpy(out->b + out->len, b, len);
	out->len += len;
}

static void add16(struct bytes *out, uint16_t v)
{
	uint8_t b[2];

	put16(b, v);
	bytes_add(out, b, 2);
}

static void extension(struct bytes *out, uint16_t type, const void *data, size_t len)
{
	add16(out, type);
	add16(out, len);
	bytes_add(out, data, len);
}

static void extensions(struct bytes *e, const struct hello_spec *s)
{
	static const uint8_t sni[] = { 0,   14,  0,   0,   11,  'e', 'x', 'a',
				       'm', 'p', 'l', 'e', '.', 'n', 'e', 't' };
	static const uint8_t groups[] = { 0, 6, 0, 29, 0, 23, 0, 24 }, points[] = { 1, 0 };
	static const uint8_t alpn[] = { 0,   12,  2,   'h', '2', 8,   'h',
					't', 't', 'p', '/', '1', '.', '1' };
	static const uint8_t sigalgs[] = { 0, 8, 4, 3, 8, 4, 4, 1, 5, 3 };
	static const uint8_t versions[] = { 4, 3, 4, 3, 3 }, modes[] = { 1, 1 };
	uint8_t shares[38] = { 0, 36, 0, 29, 0, 32 }, psk[76] = { 0, 38, 0, 32 };

	memset(shares + 6, 0xa5, 32);
	memset(psk + 4, 0x5a, 36);
	psk[40] = 0;
	psk[41] = 33;
	psk[42] = 32;
	memset(psk + 43, 0x77, 32);
	extension(e, 0x0000, sni, sizeof(sni));
	if (s->shuffled)
		extension(e, 0x0010, alpn, sizeof(alpn));
	extension(e, 0x000b, points, sizeof(points));
	extension(e, 0x000a, groups, sizeof(groups));
	if (!s->shuffled)
		extension(e, 0x0010, alpn, sizeof(alpn));
	extension(e, 0x000d, sigalgs, sizeof(sigalgs));
	extension(e, 0x002b, versions, sizeof(versions));
	extension(e, 0x002d, modes, sizeof(modes));
	extension(e, 0x0033, shares, sizeof(shares));
	if (s->cookie)
		extension(e, 0x002c, "\0\2ab", 4);
	if (s->early_data)
		extension(e, 0x002a, NULL, 0);
	if (s->psk || s->early_data)
		extension(e, 0x0029, psk, 75);
}

void hello_build(struct bytes *out, const struct hello_spec *s)
{
	_cleanup_(freep) struct bytes *e = calloc(1, sizeof(*e));
	static const uint16_t ciphers[] = {
		0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030
	};
	uint8_t random[32];
	size_t len;

	extensions(e, s);
	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = i * 7 + s->variant;
	out->len = 0;
	bytes_add(out, "\1\0\0\0\3\3", 6);
	bytes_add(out, random, sizeof(random));
	bytes_add(out, "\40", 1);
	bytes_add(out, random, sizeof(random));
	add16(out, sizeof(ciphers) + (s->variant >> 16 ? 4 : 2));
	for (size_t i = 0; i < sizeof(ciphers) / 2; i++)
		add16(out, ciphers[i]);
	add16(out, 0x1400 + s->variant);
	if (s->variant >> 16)
		add16(out, 0xd000 + (s->variant >> 16));
	bytes_add(out, "\1\0", 2);
	len = out->len + 2 + e->len;
	if (s->len > len + 4) {
		static const uint8_t zeros[HELLO_BYTES];
		size_t psk = s->psk || s->early_data ? 79 : 0, pad = s->len - len - 4;

		/* Before the pre-shared key, which is always last. */
		e->len -= psk;
		memmove(e->b + e->len + 4 + pad, e->b + e->len, psk);
		extension(e, 0x0015, zeros, pad);
		e->len += psk;
	}
	add16(out, e->len);
	bytes_add(out, e->b, e->len);
	len = out->len - 4;
	out->b[1] = len >> 16;
	put16(out->b + 2, len);
}

size_t hellos_recorded(struct bytes **out)
{
	const char *dir = getenv("WINNOW_HELLOS");
	char pattern[512];
	struct bytes *all;
	glob_t g;
	size_t n = 0;

	*out = NULL;
	snprintf(pattern, sizeof(pattern), "%s/*.bin", dir ? dir : "tests/data/hellos");
	if (glob(pattern, 0, NULL, &g))
		return 0;
	all = calloc(g.gl_pathc, sizeof(*all));
	for (size_t i = 0; all && i < g.gl_pathc; i++) {
		_cleanup_(fclosep) FILE *f = fopen(g.gl_pathv[i], "rb");

		if (f)
			all[n].len = fread(all[n].b, 1, sizeof(all[n].b), f);
		if (f && all[n].len)
			n++;
	}
	globfree(&g);
	*out = all;
	return n;
}

void records_wrap(struct bytes *out, const struct bytes *msg, const size_t *sizes, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t body = i + 1 == n ? msg->len - at : sizes[i];
		uint8_t head[5] = { 22, 3, i ? 3 : 1 };

		if (at + body > msg->len)
			abort();
		put16(head + 3, body);
		bytes_add(out, head, sizeof(head));
		bytes_add(out, msg->b + at, body);
		at += body;
	}
}

void record_wrap(struct bytes *out, const struct bytes *msg)
{
	out->len = 0;
	records_wrap(out, msg, NULL, 1);
}
