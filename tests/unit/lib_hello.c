/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_hello.h"

const struct secret test_secret = { .k = { 0x243f6a8885a308d3, 0x13198a2e03707344,
					   0xa4093822299f31d0, 0x082efa98ec4e6c89 } };

static void put16(uint8_t *p, size_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

struct spec_extension *spec_add(struct spec *s, uint16_t type)
{
	struct spec_extension *e = &s->extensions[s->n_extensions++];

	*e = (struct spec_extension){ .type = type };
	return e;
}

struct spec_extension *spec_find(struct spec *s, uint16_t type)
{
	for (size_t i = 0; i < s->n_extensions; i++)
		if (s->extensions[i].type == type)
			return &s->extensions[i];
	return NULL;
}

struct spec_extension *spec_get(struct spec *s, uint16_t type)
{
	struct spec_extension *e = spec_find(s, type);

	if (!e)
		abort();
	return e;
}

void spec_remove(struct spec *s, uint16_t type)
{
	struct spec_extension *e;

	while ((e = spec_find(s, type))) {
		size_t i = e - s->extensions;

		memmove(e, e + 1, (--s->n_extensions - i) * sizeof(*e));
	}
}

void spec_bytes(struct spec_extension *e, const void *bytes, size_t len)
{
	assert_true(len <= sizeof(e->data));
	memcpy(e->data, bytes, len);
	e->len = len;
}

void spec_items(struct spec_extension *e, int prefix, const uint16_t *items, size_t n)
{
	uint8_t *at = e->data;

	if (prefix == 2)
		*at++ = n * 2 >> 8;
	if (prefix)
		*at++ = n * 2;
	for (size_t i = 0; i < n; i++, at += 2)
		put16(at, items[i]);
	e->len = at - e->data;
}

void spec_alpn(struct spec_extension *e, const void *name, size_t len)
{
	put16(e->data, len + 1);
	e->data[2] = len;
	memcpy(e->data + 3, name, len);
	e->len = len + 3;
}

void spec_chrome(struct spec *s)
{
	static const uint16_t ciphers[] = { GREASE, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
					    0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
					    0x009c, 0x009d, 0x002f, 0x0035 };
	static const uint16_t sigalgs[] = { 0x3a3a, 0x0904, 0x0905, 0x0906, 0x0403, 0x0804,
					    0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601 };
	static const uint16_t groups[] = { 0x2a2a, 0x11ec, 0x001d, 0x0017, 0x0018 };
	static const uint16_t versions[] = { 0x4a4a, 0x0304, 0x0303 };
	static const uint16_t types[] = { 0x1a1a, 0x0000, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023,
					  0x0010, 0x0005, 0x000d, 0x0012, 0x0033, 0x002d, 0x002b,
					  0x001b, 0x44cd, 0xfe0d, 0xca34, 0xdada };
	static const uint8_t sni[] = "\0\x0e\0\0\x0b"
				     "example.com";

	memset(s, 0, sizeof(*s));
	s->version = 0x0303;
	s->session_id = 32;
	s->n_ciphers = sizeof(ciphers) / sizeof(ciphers[0]);
	memcpy(s->ciphers, ciphers, sizeof(ciphers));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		spec_add(s, types[i]);
	spec_bytes(spec_get(s, 0x0000), sni, sizeof(sni) - 1);
	spec_bytes(spec_get(s, 0x0010), "\0\x0c\2h2\x08http/1.1", 14);
	spec_bytes(spec_get(s, 0x000b), "\1\0", 2);
	spec_bytes(spec_get(s, 0x002d), "\1\1", 2);
	spec_bytes(spec_get(s, 0x0033), "\0\x0f\x2a\x2a\0\1\0\x11\xec\0\2xy\0\x1d\0\0", 17);
	spec_items(spec_get(s, 0x000d), 2, sigalgs, 12);
	spec_items(spec_get(s, 0x000a), 2, groups, 5);
	spec_items(spec_get(s, 0x002b), 1, versions, 3);
}

/* splitmix64: the same tests everywhere, from a seed. */
uint64_t next_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void spec_shuffle(struct spec *s, uint64_t *seed)
{
	for (size_t i = s->n_extensions; i > 1; i--) {
		size_t j = next_random(seed) % i;
		struct spec_extension e = s->extensions[j];

		s->extensions[j] = s->extensions[i - 1];
		s->extensions[i - 1] = e;
	}
}

void spec_write(const struct spec *s, struct message *out)
{
	uint8_t *p = out->b, *block;

	*p++ = HELLO_TYPE;
	p += 3;
	put16(p, s->version);
	memset(p + 2, 0x5a, 32);
	p += 34;
	*p++ = s->session_id;
	memset(p, 0xa5, s->session_id);
	p += s->session_id;
	put16(p, s->n_ciphers * 2);
	p += 2;
	for (size_t i = 0; i < s->n_ciphers; i++, p += 2)
		put16(p, s->ciphers[i]);
	*p++ = 1;
	*p++ = 0;
	block = p;
	p += 2;
	for (size_t i = 0; i < s->n_extensions; i++) {
		const struct spec_extension *e = &s->extensions[i];

		put16(p, e->type);
		put16(p + 2, e->len);
		memcpy(p + 4, e->data, e->len);
		p += 4 + e->len;
	}
	put16(block, p - block - 2);
	if (!s->n_extensions)
		p = block;
	out->len = p - out->b;
	assert_true(out->len <= sizeof(out->b));
	out->b[1] = (out->len - 4) >> 16;
	put16(out->b + 2, out->len - 4);
}

static struct namer *the_namer(void)
{
	static struct namer *n;

	if (!n)
		assert_int_equal(namer_new(&n), 0);
	return n;
}

enum hello_result parsed(const uint8_t *msg, size_t len, struct hello *h)
{
	return namer_parse(the_namer(), msg, len, &test_secret, 't', h);
}

const struct names *named(const struct message *m, struct hello *h)
{
	const struct names *names;

	assert_int_equal(parsed(m->b, m->len, h), HELLO_OK);
	assert_int_equal(namer_name(the_namer(), m->b, m->len, h, &names), 0);
	return names;
}

const struct names *named_spec(const struct spec *s, struct hello *h)
{
	static struct message m;

	spec_write(s, &m);
	return named(&m, h);
}
