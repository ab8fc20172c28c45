/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stacks.h - chance, and made-up client stacks with well-formed hellos of their own.
 * Only scenario.c includes it.
 */
#ifndef WINNOW_SIM_STACKS_H
#define WINNOW_SIM_STACKS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACKS 14

/* ---- chance ------------------------------------------------------------------ */

static uint64_t seed_state;

static uint64_t bits(void)
{
	uint64_t z = seed_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static double uniform(void)
{
	return ((bits() >> 11) + 0.5) / 9007199254740992.0;
}

static double range(double lo, double hi)
{
	return lo + (hi - lo) * uniform();
}

static unsigned int below(unsigned int n)
{
	return bits() % n;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static double lognormal(double median, double sigma)
{
	return median * exp(sigma * normal());
}

static double exponential(double mean)
{
	return -mean * log(uniform());
}

/* ---- stacks -------------------------------------------------------------------- */

enum stack_kind { BROWSER, SDK, SCRIPT };

struct stack {
	enum stack_kind kind;
	bool permutes, slow_ca;
	double resumes;
	double share;
	uint8_t hello[400];
	size_t len;
};

static struct stack stacks[STACKS];

static const char *const signatures[] = {
	"4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
	"4:128:0:1460:65535,8:mss,nop,ws,nop,nop,sok:df,id+:0",
	"4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0",
	"4:64:0:1460:65535,9:mss,sok,ts,nop,ws:df,id+:0",
	"4:64:0:1452:mss*20,4:mss,sok,ts,nop,ws:df,id+:0",
	"4:64:0:1460:mss*10,5:mss,nop,nop,sok,nop,ws:df:0",
	"4:128:0:1440:8192,2:mss,nop,nop,sok,nop,ws:df,id+:0",
};
#define SIGNATURES (sizeof(signatures) / sizeof(signatures[0]))

static size_t put16(uint8_t *b, size_t at, unsigned int v)
{
	b[at] = v >> 8;
	b[at + 1] = v;
	return at + 2;
}

/* A well-formed ClientHello whose ciphers and extensions are this stack's own. */
static void build_hello(struct stack *s, unsigned int number)
{
	static const uint16_t pool[] = { 0x0005, 0x0012, 0x0017, 0xff01, 0x0016, 0x0031,
					 0x001b, 0x4469, 0x001c, 0x0022, 0x0018, 0x3374 };
	size_t at = 0, list;
	uint8_t *b = s->hello;

	b[at++] = 1;
	at += 3;
	at = put16(b, at, 0x0303);
	for (int i = 0; i < 32; i++)
		b[at++] = bits();
	b[at++] = 0;
	list = at;
	at += 2;
	if (s->kind == BROWSER)
		at = put16(b, at, 0x1a1a);
	at = put16(b, at, 0x1301);
	at = put16(b, at, 0x1302);
	for (unsigned int i = 0; i < 4 + number % 5; i++)
		at = put16(b, at, 0xc023 + ((number * 7 + i * 3) % 40));
	put16(b, list, at - list - 2);
	b[at++] = 1;
	b[at++] = 0;
	list = at;
	at += 2;
	if (s->kind == BROWSER) {
		at = put16(b, at, 0x2a2a);
		at = put16(b, at, 0);
	}
	for (unsigned int i = 0; i < 12; i++) {
		if (!((number * 2654435761U >> i) & 1) && i > 2)
			continue;
		at = put16(b, at, pool[i]);
		at = put16(b, at, pool[i] == 0xff01 ? 1 : 0);
		if (pool[i] == 0xff01)
			b[at++] = 0;
	}
	at = put16(b, at, 0x000d); /* signature algorithms */
	at = put16(b, at, 6);
	at = put16(b, at, 4);
	at = put16(b, at, 0x0403);
	at = put16(b, at, 0x0804 + number % 3);
	at = put16(b, at, 0x002b); /* TLS 1.3 */
	at = put16(b, at, 3);
	b[at++] = 2;
	at = put16(b, at, 0x0304);
	put16(b, list, at - list - 2);
	b[1] = 0;
	put16(b, 2, at - 4);
	s->len = at;
}

static void build_stacks(void)
{
	double sum = 0, alpha = range(0.9, 1.3);

	for (unsigned int i = 0; i < STACKS; i++) {
		struct stack *s = &stacks[i];

		s->kind = i < 4 ? BROWSER : i < 9 ? SDK : SCRIPT;
		s->permutes = i < 2;
		s->slow_ca = s->kind == SCRIPT && i % 2;
		s->resumes = s->kind == BROWSER ? range(.4, .7) : s->kind == SDK ? range(0, .4) : 0;
		s->share = pow(i + 1, -alpha) * (s->kind == SCRIPT ? .6 : 1);
		sum += s->share;
		build_hello(s, i);
	}
	for (unsigned int i = 0; i < STACKS; i++)
		stacks[i].share /= sum;
	stacks[STACKS - 1].share = 0; /* nobody's own, until a farm or a release */
}

#endif
