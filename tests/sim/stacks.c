/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/stacks.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/sim/chance.h"

#define SUITES_AT    (4 + 2 + 32)
#define EXTS_MAX     64
#define EXT_PADDING  0x0015
#define EXT_PSK      0x0029
#define EXT_VARIANT  0x5000
#define PSK_IDENTITY 128
#define PSK_BINDER   32

static const struct program {
	const char *name;
	enum stack_kind kind;
	enum slowness slowness;
	bool permutes;
} programs[] = {
	{ "wreq-chrome_142", DESKTOP, QUICK, true },
	{ "wreq-firefox_151", DESKTOP, QUICK, false },
	{ "wreq-opera_131", DESKTOP, QUICK, true },
	{ "wreq-safari_26.4", DESKTOP, QUICK, false },
	{ "wreq-chrome_120", DESKTOP, QUICK, true },
	{ "wreq-firefox_128", DESKTOP, QUICK, false },
	{ "wreq-chrome_100", DESKTOP, QUICK, false },
	{ "wreq-firefox_117", DESKTOP, QUICK, false },
	{ "wreq-safari_ios_26.2", MOBILE, QUICK, false },
	{ "wreq-okhttp_5", MOBILE, QUICK, false },
	{ "python", SDK, QUICK, false },
	{ "node", SDK, QUICK, false },
	{ "java", SDK, QUICK, false },
	{ "openssl-tls13", SDK, SLOW_START, false },
	{ "openssl-alpn", SDK, QUICK, false },
	{ "gnutls", SDK, QUICK, false },
	{ "curl-h2", SCRIPT, SLOW_CA, false },
	{ "wget", SCRIPT, QUICK, false },
	{ "curl-ip", SCRIPT, SLOW_CA, false },
	{ "gnutls-tls12", SCRIPT, QUICK, false },
	{ "openssl-tls12", SCRIPT, QUICK, false },
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static const uint32_t kind_size[STACK_KINDS] = { 900, 700, 800, 600 };

/* ---- the bytes ------------------------------------------------------------------ */

static size_t get16(const uint8_t *b, size_t at)
{
	return b[at] << 8 | b[at + 1];
}

static void set16(uint8_t *b, size_t at, size_t v)
{
	b[at] = v >> 8;
	b[at + 1] = v;
}

/* Where the extensions' length stands, 0 if this is not a hello with some. */
static size_t extensions_at(const uint8_t *b, size_t len)
{
	size_t at = SUITES_AT;

	if (len < at + 8 || b[0] != 1)
		return 0;
	at += 1 + b[at];
	at += 2 + get16(b, at);
	at += 1 + b[at];
	return at + 2 <= len && at + 2 + get16(b, at) == len ? at : 0;
}

static void set_lengths(uint8_t *b, size_t exts, size_t len)
{
	set16(b, exts, len - exts - 2);
	b[1] = 0;
	set16(b, 2, len - 4);
}

/* Another program: the same hello with an empty extension that only it sends. */
static size_t vary(const uint8_t *hello, size_t len, uint32_t number, uint8_t *out)
{
	size_t at = extensions_at(hello, len) + 2;

	memcpy(out, hello, at);
	set16(out, at, EXT_VARIANT + number + (number >= 0x0a00) * 0x100);
	set16(out, at + 2, 0);
	memcpy(out + at + 4, hello + at, len - at);
	set_lengths(out, at - 2, len + 4);
	return len + 4;
}

size_t stacks_hello(const struct stack *k, uint64_t order, bool permute, bool psk,
		    uint8_t out[HELLO_ROOM])
{
	size_t exts = extensions_at(k->hello, k->len), end = k->len, n = 0, to = exts + 2;
	uint16_t at[EXTS_MAX];
	uint64_t s = order;

	memcpy(out, k->hello, exts + 2);
	for (int i = 0; i < 32; i++) /* client random */
		out[6 + i] = mix(order + i);
	for (size_t i = exts + 2; i < end && n < EXTS_MAX; i += 4 + get16(k->hello, i + 2))
		at[n++] = i;
	/* GREASE stays at both ends, as Chrome does; padding stays last. */
	for (size_t i = n - 2; permute && i > 1; i--) {
		uint32_t j = 1 + below(&s, i);
		uint16_t was = at[i];

		if (get16(k->hello, at[i]) == EXT_PADDING || get16(k->hello, at[j]) == EXT_PADDING)
			continue;
		at[i] = at[j];
		at[j] = was;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = 4 + get16(k->hello, at[i] + 2);

		memcpy(out + to, k->hello + at[i], len);
		to += len;
	}
	if (psk) {
		set16(out, to, EXT_PSK);
		set16(out, to + 2, 2 + 2 + PSK_IDENTITY + 4 + 2 + 1 + PSK_BINDER);
		set16(out, to + 4, 2 + PSK_IDENTITY + 4);
		set16(out, to + 6, PSK_IDENTITY);
		memset(out + to + 8, order, PSK_IDENTITY + 4);
		to += 8 + PSK_IDENTITY + 4;
		set16(out, to, 1 + PSK_BINDER);
		out[to + 2] = PSK_BINDER;
		memset(out + to + 3, order >> 8, PSK_BINDER);
		to += 3 + PSK_BINDER;
	}
	set_lengths(out, exts, to);
	return to;
}

/* ---- the files ------------------------------------------------------------------ */

static FILE *open_hello(const char *name)
{
	char self[512], path[1024];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	snprintf(path, sizeof(path), "tests/data/hellos/%s.bin", name);
	f = fopen(path, "re");
	if (f || n < 0)
		return f;
	self[n] = '\0';
	for (char *slash; !f && (slash = strrchr(self, '/')); *slash = '\0') {
		snprintf(path, sizeof(path), "%.*s/tests/data/hellos/%s.bin", (int)(slash - self),
			 self, name);
		f = fopen(path, "re");
	}
	return f;
}

static int read_hello(const struct program *p, uint8_t out[HELLO_ROOM], size_t *len,
		      struct reason *r)
{
	_cleanup_(fclosep) FILE *f = open_hello(p->name);

	if (!f)
		return reason_set(r, -ENOENT,
				  "tests/data/hellos/%s.bin is neither here nor above the program; "
				  "run it in the source tree",
				  p->name);
	*len = fread(out, 1, HELLO_ROOM - 512, f);
	if (!extensions_at(out, *len))
		return reason_set(r, -EINVAL, "tests/data/hellos/%s.bin is no ClientHello",
				  p->name);
	return 0;
}

static int set_hello(struct stack *k, const uint8_t *hello, size_t len)
{
	k->hello = malloc(len);
	if (!k->hello)
		return -ENOMEM;
	memcpy(k->hello, hello, len);
	k->len = len;
	return 0;
}

/* Resumption is the program's habit: browsers keep sessions, scripts do not. */
static float habit(enum stack_kind kind, uint64_t *s)
{
	return kind == SDK ? range(s, 0, .4) : kind == SCRIPT ? 0 : range(s, .4, .7);
}

static int fill_kind(struct stacks *s, enum stack_kind kind, uint64_t *seed, struct reason *r)
{
	static uint8_t hello[PROGRAMS][HELLO_ROOM], varied[HELLO_ROOM];
	const struct program *p[PROGRAMS];
	size_t len[PROGRAMS] = {}, n = 0;
	int err = 0;

	for (size_t i = 0; i < PROGRAMS && !err; i++) {
		if (programs[i].kind != kind)
			continue;
		p[n] = &programs[i];
		err = read_hello(p[n], hello[n], &len[n], r);
		n++;
	}
	for (uint32_t i = 0; i < s->n[kind] && !err; i++) {
		struct stack *k = &s->stack[s->first[kind] + i];
		size_t from = i < n ? i : 1 + i % (n - 1), l = len[from];

		k->kind = kind;
		k->slowness = p[from]->slowness;
		k->permutes = p[from]->permutes;
		k->resumes = habit(kind, seed);
		if (i >= n)
			l = vary(hello[from], len[from], s->first[kind] + i, varied);
		err = set_hello(k, i < n ? hello[from] : varied, l);
	}
	return err;
}

static int popularity(struct stacks *s, enum stack_kind kind, double top)
{
	float *c = malloc(s->n[kind] * sizeof(*c));
	double sum = 0, at = 0;

	if (!c)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n[kind]; i++)
		sum += pow(i + 1, -s->alpha);
	for (uint32_t i = 0; i < s->n[kind]; i++) {
		double share = pow(i + 1, -s->alpha) / sum;

		if (top > 0)
			share = i ? share * (1 - top) / (1 - 1 / sum) : top;
		c[i] = at += share;
	}
	s->cumulated[kind] = c;
	return 0;
}

int stacks_open(struct stacks *s, uint64_t seed, double top, struct reason *r)
{
	uint64_t draw = hash2(seed, 0x57ac);
	uint32_t at = 0;
	int err = 0;

	*s = (struct stacks){ .alpha = range(&draw, 1, 1.4) };
	for (enum stack_kind k = 0; k < STACK_KINDS && !err; k++) {
		s->first[k] = at;
		s->n[k] = kind_size[k];
		at += kind_size[k];
		err = fill_kind(s, k, &draw, r);
		if (!err)
			err = popularity(s, k, top);
	}
	return err;
}

void stacks_close(struct stacks *s)
{
	for (size_t i = 0; i < STACKS; i++)
		free(s->stack[i].hello);
	for (size_t i = 0; i < STACK_KINDS; i++)
		free(s->cumulated[i]);
}

uint32_t stacks_draw(const struct stacks *s, enum stack_kind kind, double u)
{
	const float *c = s->cumulated[kind];
	uint32_t lo = 0, hi = s->n[kind] - 1;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (c[mid] < u)
			lo = mid + 1;
		else
			hi = mid;
	}
	return s->first[kind] + lo;
}

uint32_t stacks_spare(struct stacks *s, uint32_t i, enum stack_kind kind)
{
	uint32_t number = STACKS_REAL + i % STACKS_SPARE;
	struct stack *k = &s->stack[number];
	const struct stack *base = &s->stack[s->first[kind]];
	uint8_t hello[HELLO_ROOM];

	if (!k->hello) {
		*k = *base;
		k->hello = NULL;
		k->slowness = QUICK;
		if (set_hello(k, hello, vary(base->hello, base->len, number, hello)))
			abort();
	}
	return number;
}

/* ---- TCP ------------------------------------------------------------------------ */

const struct tcp_shape tcp_shapes[TCP_STACKS] = {
	[TCP_LINUX] = { "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", 64, 7, 1460, 64240,
			"mstnw", true },
	[TCP_WINDOWS] = { "4:128:0:1460:65535,8:mss,nop,ws,nop,nop,sok:df,id+:0", 128, 8, 1460,
			  65535, "mnwnns", true },
	[TCP_APPLE] = { "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", 64, 6, 1460,
			65535, "mnwnntse", true },
	[TCP_ANDROID] = { "4:64:0:1460:65535,9:mss,sok,ts,nop,ws:df,id+:0", 64, 9, 1460, 65535,
			  "mstnw", true },
	[TCP_PPPOE] = { "4:64:0:1452:mss*20,4:mss,sok,ts,nop,ws:df,id+:0", 64, 4, 1452, 29040,
			"mstnw", true },
	[TCP_BOX] = { "4:64:0:1460:mss*10,5:mss,nop,nop,sok,nop,ws:df:0", 64, 5, 1460, 14600,
		      "mnnsnw", false },
	[TCP_OLD_WINDOWS] = { "4:128:0:1440:8192,2:mss,nop,nop,sok,nop,ws:df,id+:0", 128, 2, 1440,
			      8192, "mnnsnw", true },
	[TCP_TUNNEL] = { "4:64:0:1380:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", 64, 7, 1380, 60720,
			 "mstnw", true },
};

enum tcp_stack tcp_of(enum stack_kind kind, double u)
{
	if (kind == DESKTOP)
		return u < .58   ? TCP_WINDOWS
		       : u < .80 ? TCP_APPLE
		       : u < .90 ? TCP_LINUX
		       : u < .94 ? TCP_PPPOE
		       : u < .97 ? TCP_OLD_WINDOWS
				 : TCP_TUNNEL;
	if (kind == MOBILE)
		return u < .5 ? TCP_APPLE : u < .97 ? TCP_ANDROID : TCP_TUNNEL;
	return u < .82 ? TCP_LINUX : u < .9 ? TCP_WINDOWS : u < .95 ? TCP_APPLE : TCP_PPPOE;
}

void tcp_signature(const struct tcp_shape *t, bool v6, char out[96])
{
	const char *quirks = strrchr(t->signature, ':');

	snprintf(out, 96, "%s", t->signature);
	if (!v6)
		return;
	while (quirks[-1] != ':')
		quirks--;
	snprintf(out, 96, "6%.*s:0", (int)(quirks - t->signature) - 1, t->signature + 1);
}
