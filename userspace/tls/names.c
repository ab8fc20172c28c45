/* SPDX-License-Identifier: BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "mix.h"
#include "tls/names.h"

/* Longest: "GREASE," an extension; "65535," a number; a group is two bytes of message. */
#define TEXT_RAW   (16 + 5 * (HELLO_CIPHERS_MAX + HELLO_EXTENSIONS_MAX + HELLO_SIGALGS_MAX))
#define TEXT_ORDER (7 * HELLO_EXTENSIONS_MAX + 1)
#define TEXT_JA3   (16 + 6 * (HELLO_CIPHERS_MAX + HELLO_EXTENSIONS_MAX + HELLO_MAX / 2) + 4 * 255)

#define SHORT_LIST 64 /* compared each with each; beyond, qsort() is faster */

struct list {
	size_t n;
	uint16_t v[HELLO_MAX / 2];
};

struct namer {
	EVP_MD_CTX *sha256; /* one for each: a change of digest allocates */
	EVP_MD_CTX *md5;
	struct names names;
	struct list ciphers, extensions, sigalgs, groups, sorted;
	const char *suites; /* in hex, sorted */
	size_t suites_len;
	char suites_part[14]; /* of their digest, '_' in front, NUL behind */
	char text[3 * TEXT_RAW + TEXT_ORDER + TEXT_JA3 + 8]; /* put_number() */
	char *at;                                            /* where text goes on */
	struct hello_buf buf;
};

/* Ready for EVP_DigestInit_ex2() without a digest; NULL: no memory, or no such digest. */
static EVP_MD_CTX *digest_new(const char *name)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!md || !ctx || !EVP_DigestInit_ex2(ctx, md, NULL)) {
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_MD_free(md); /* the context has its own hold of it */
	return ctx;
}

int namer_new(struct namer **out)
{
	_cleanup_(namer_freep) struct namer *n = NULL;

	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->sha256 = digest_new("SHA256");
	n->md5 = digest_new("MD5");
	if (!n->sha256 || !n->md5)
		return -ENOMEM;
	*out = take_ptr(n);
	return 0;
}

void namer_free(struct namer *n)
{
	if (!n)
		return;
	EVP_MD_CTX_free(n->sha256);
	EVP_MD_CTX_free(n->md5);
	free(n);
}

void namer_freep(struct namer **n)
{
	namer_free(*n);
}

enum hello_result namer_parse(struct namer *n, const uint8_t *msg, size_t len,
			      const struct secret *secret, char transport, struct hello *h)
{
	memset(h, 0, sizeof(*h));
	h->transport = transport;
	if (len > HELLO_MAX)
		return HELLO_TOO_LONG;
	memcpy(n->buf.b, msg, len);
	return hello_parse(&n->buf, len, secret, h);
}

/* ---- lists ------------------------------------------------------------------ */

static uint16_t u16_at(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Whole 16-bit items, GREASE left out. */
static void list_read(struct list *l, const uint8_t *p, size_t len)
{
	l->n = 0;
	for (; len >= 2; p += 2, len -= 2)
		if (!hello_is_grease(u16_at(p)))
			l->v[l->n++] = u16_at(p);
}

/* The same behind a 16-bit length, which a malformed list may overstate. */
static void list_read_prefixed(struct list *l, const uint8_t *p, size_t len)
{
	l->n = 0;
	if (len < 2)
		return;
	list_read(l, p + 2, u16_at(p) < len - 2 ? u16_at(p) : len - 2);
}

static int u16_compare(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

#define LANES 4
typedef int32_t lanes __attribute__((vector_size(4 * LANES)));

/* Each item's place is the number of those before it, counted four at a time: no branch
 * to guess, which is most of what sorting so few costs. Equal ones stay as they were. */
static void short_list_sort(struct list *out, const struct list *in)
{
	lanes key[SHORT_LIST / LANES];
	size_t n_lanes = (in->n + LANES - 1) / LANES;

	for (size_t i = 0; i < n_lanes * LANES; i++)
		key[i / LANES][i % LANES] =
			i < in->n ? in->v[i] * SHORT_LIST + (int32_t)i : INT32_MAX;
	for (size_t i = 0; i < in->n; i++) {
		lanes before = {};

		for (size_t k = 0; k < n_lanes; k++)
			before += key[k] < in->v[i] * SHORT_LIST + (int32_t)i;
		out->v[-(before[0] + before[1] + before[2] + before[3])] = in->v[i];
	}
}

static void list_sort(struct list *out, const struct list *in)
{
	out->n = in->n;
	if (in->n <= SHORT_LIST) {
		short_list_sort(out, in);
		return;
	}
	memcpy(out->v, in->v, in->n * sizeof(in->v[0]));
	qsort(out->v, out->n, sizeof(out->v[0]), u16_compare);
}

static bool is_state(uint16_t type)
{
	return type < 64 && EXT_STATE_BITS >> type & 1;
}

/* Four digits at once: a nibble a byte, and 'a' - '0' - 10 more from ten on. */
static char *put_hex4(char *at, uint16_t v)
{
	uint32_t x = v;

	x = (x | x << 8) & 0x00ff00ff;
	x = (x | x << 4) & 0x0f0f0f0f;
	x = htobe32(x + 0x30303030 + ((x + 0x06060606) >> 4 & 0x01010101) * 39);
	memcpy(at, &x, sizeof(x));
	return at + sizeof(x);
}

/* Types as sent; *order gets the same with GREASE named and no 0029. */
static int extensions_read(struct namer *n, const uint8_t *p, size_t len)
{
	struct list *l = &n->extensions;

	l->n = 0;
	n->names.order_r = n->at;
	for (int i = 0; len >= 4; i++) {
		uint16_t type = u16_at(p);
		size_t item = 4 + (size_t)u16_at(p + 2);

		if (item > len || i == HELLO_EXTENSIONS_MAX)
			return -EINVAL;
		if (hello_is_grease(type)) {
			memcpy(n->at, "GREASE,", 7);
			n->at += 7;
		} else {
			l->v[l->n++] = type;
			if (type != EXT_PSK) {
				n->at = put_hex4(n->at, type);
				*n->at++ = ',';
			}
		}
		p += item;
		len -= item;
	}
	if (n->at != n->names.order_r)
		n->at--;
	*n->at++ = '\0';
	return len ? -EINVAL : 0;
}

/* ---- text ------------------------------------------------------------------- */

enum keep { KEEP_ALL, KEEP_LISTED, KEEP_STACK };

static char *put_hex(char *at, const struct list *l, enum keep keep)
{
	char *start = at;

	for (size_t i = 0; i < l->n; i++) {
		uint16_t v = l->v[i];

		if (keep != KEEP_ALL && (v == EXT_SNI || v == EXT_ALPN))
			continue;
		if (keep == KEEP_STACK && is_state(v))
			continue;
		if (at != start)
			*at++ = ',';
		at = put_hex4(at, v);
	}
	return at;
}

/* All five digits at once, a byte each, and those that lead pushed out. Writes eight
 * bytes: there is room behind every list. */
static char *put_number(char *at, uint16_t v)
{
	int n = 1 + (v > 9) + (v > 99) + (v > 999) + (v > 9999);
	uint64_t digits = v / 10000 | v / 1000 % 10 << 8 | v / 100 % 10 << 16 |
			  (uint32_t)(v / 10 % 10) << 24 | (uint64_t)(v % 10) << 32;

	digits = htole64((digits + 0x3030303030) >> 8 * (5 - n));
	memcpy(at, &digits, sizeof(digits));
	return at + n;
}

static char *put_numbers(char *at, const struct list *l)
{
	*at++ = ',';
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			*at++ = '-';
		at = put_number(at, l->v[i]);
	}
	return at;
}

static char *put_head(char *at, const struct hello *h, unsigned int n_extensions)
{
	unsigned int c = h->n_ciphers < 99 ? h->n_ciphers : 99;
	unsigned int e = n_extensions < 99 ? n_extensions : 99;

	*at++ = h->transport;
	hello_version_text(h->version, at);
	at += 2;
	*at++ = h->flags & HELLO_HAS_SNI ? 'd' : 'i';
	*at++ = '0' + c / 10;
	*at++ = '0' + c % 10;
	*at++ = '0' + e / 10;
	*at++ = '0' + e % 10;
	hello_alpn_text(h->alpn_first | h->alpn_last, h->alpn_first, h->alpn_last, at);
	return at + 2;
}

/* The first `digits` of a digest in hex, and a NUL. */
static int put_digest(EVP_MD_CTX *ctx, const char *from, size_t len, char *out, size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];

	if (!EVP_DigestInit_ex2(ctx, NULL, NULL) || !EVP_DigestUpdate(ctx, from, len) ||
	    !EVP_DigestFinal_ex(ctx, sum, NULL))
		return -EIO;
	for (size_t i = 0; i < digits; i++)
		out[i] = hex[i & 1 ? sum[i / 2] & 15 : sum[i / 2] >> 4];
	out[digits] = '\0';
	return 0;
}

/* A list that is empty is printed as zeros, not as the hash of nothing. */
static int put_part(struct namer *n, const char *from, size_t len, bool empty, char *out)
{
	out[0] = '_';
	if (!empty)
		return put_digest(n->sha256, from, len, out + 1, 12);
	memcpy(out + 1, "000000000000", 13);
	return 0;
}

/* What JA4 and the stack have in common: the cipher suites, in n->at, and their part. */
static int ciphers_write(struct namer *n)
{
	char *end;

	list_sort(&n->sorted, &n->ciphers);
	end = put_hex(n->at, &n->sorted, KEEP_ALL);
	n->suites = n->at;
	n->suites_len = end - n->at;
	n->at = end;
	return put_part(n, n->suites, n->suites_len, !n->suites_len, n->suites_part);
}

/* JA4 and JA4_r, or the stack's, from the sorted extensions. */
static int ja4_write(struct namer *n, const struct hello *h, enum keep keep, char *ja4,
		     const char **raw)
{
	unsigned int count = keep == KEEP_STACK ? h->n_stack_extensions : h->n_extensions;
	char *at = n->at, *extensions;
	bool empty;
	int err;

	*raw = at;
	at = put_head(at, h, count);
	memcpy(ja4, *raw, 10);
	*at++ = '_';
	memcpy(at, n->suites, n->suites_len);
	at += n->suites_len;
	memcpy(ja4 + 10, n->suites_part, sizeof(n->suites_part));
	*at++ = '_';
	extensions = at;
	at = put_hex(at, &n->sorted, keep);
	empty = at == extensions;
	if (n->sigalgs.n) {
		*at++ = '_';
		at = put_hex(at, &n->sigalgs, KEEP_ALL);
	}
	err = put_part(n, extensions, at - extensions, empty, ja4 + 23);
	*at++ = '\0';
	n->at = at;
	return err;
}

static int ja3_write(struct namer *n, const struct hello *h, const uint8_t *points, size_t len)
{
	char *at = n->at;
	size_t n_points = 0;

	n->names.ja3_text = at;
	at = put_number(at, h->legacy_version);
	at = put_numbers(at, &n->ciphers);
	at = put_numbers(at, &n->extensions);
	at = put_numbers(at, &n->groups);
	*at++ = ',';
	if (len)
		n_points = points[0] < len - 1 ? points[0] : len - 1;
	for (size_t i = 0; i < n_points; i++) {
		if (i)
			*at++ = '-';
		at = put_number(at, points[1 + i]);
	}
	n->at = at + 1;
	*at = '\0';
	return put_digest(n->md5, n->names.ja3_text, at - n->names.ja3_text, n->names.ja3, 32);
}

/* ---- SNI and ALPN ------------------------------------------------------------- */

/* The first host name; what is malformed or of another type is no name. */
static struct name_bytes sni_read(const uint8_t *p, size_t len)
{
	if (len < 5 || p[2] != 0 || u16_at(p + 3) > len - 5)
		return (struct name_bytes){ 0 };
	return (struct name_bytes){ .at = p + 5, .len = u16_at(p + 3) };
}

static size_t alpn_read(const uint8_t *p, size_t len, struct name_bytes *out)
{
	size_t n = 0;

	for (size_t off = 2; off < len && n < NAMES_ALPN_MAX && p[off] < len - off;
	     off += 1 + (size_t)p[off])
		out[n++] = (struct name_bytes){ .at = p + off + 1, .len = p[off] };
	return n;
}

static bool inside(size_t len, uint16_t off, uint16_t field)
{
	return off <= len && field <= len - off;
}

static bool fits(const struct hello *h, size_t len)
{
	return h->len == len && len <= HELLO_MAX && inside(len, h->ciphers_off, h->ciphers_len) &&
	       inside(len, h->extensions_off, h->extensions_len) &&
	       inside(len, h->sni_off, h->sni_len) && inside(len, h->alpn_off, h->alpn_len) &&
	       inside(len, h->sigalgs_off, h->sigalgs_len) &&
	       inside(len, h->groups_off, h->groups_len) &&
	       inside(len, h->points_off, h->points_len) &&
	       h->ciphers_len <= 2 * HELLO_CIPHERS_MAX &&
	       h->sigalgs_len <= 2 * HELLO_SIGALGS_MAX + 2;
}

int namer_name(struct namer *n, const uint8_t *msg, size_t len, const struct hello *h,
	       const struct names **out)
{
	struct names *names = &n->names;
	int err;

	if (!fits(h, len))
		return -EINVAL;
	n->at = n->text;
	list_read(&n->ciphers, msg + h->ciphers_off, h->ciphers_len);
	list_read_prefixed(&n->sigalgs, msg + h->sigalgs_off, h->sigalgs_len);
	list_read_prefixed(&n->groups, msg + h->groups_off, h->groups_len);
	err = extensions_read(n, msg + h->extensions_off, h->extensions_len);
	if (err)
		return err;
	err = put_digest(n->sha256, names->order_r, strlen(names->order_r), names->order, 12);
	if (err)
		return err;
	err = ciphers_write(n);
	if (err)
		return err;
	list_sort(&n->sorted, &n->extensions);
	err = ja4_write(n, h, KEEP_LISTED, names->ja4, &names->ja4_r);
	if (err)
		return err;
	if (h->n_stack_extensions == h->n_extensions) {
		memcpy(names->stack, names->ja4, sizeof(names->stack));
		names->stack_r = names->ja4_r;
	} else {
		err = ja4_write(n, h, KEEP_STACK, names->stack, &names->stack_r);
		if (err)
			return err;
	}
	err = ja3_write(n, h, msg + h->points_off, h->points_len);
	if (err)
		return err;
	names->sni = sni_read(msg + h->sni_off, h->sni_len);
	names->n_alpn = alpn_read(msg + h->alpn_off, h->alpn_len, names->alpn);
	*out = names;
	return 0;
}

/* ---- the way back --------------------------------------------------------------- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at *p, which moves behind them. */
static int take_hex(const char **p, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		int v = hex_value(**p);

		if (v < 0)
			return -EINVAL;
		*out = *out << 4 | v;
		++*p;
	}
	return 0;
}

/* The next item of a list that ends at '_' or NUL: 1, 0 at the end, or -EINVAL. */
static int next_item(const char **p, bool first, uint32_t *out)
{
	if (**p == '_' || **p == '\0')
		return 0;
	if (!first && *(*p)++ != ',')
		return -EINVAL;
	return take_hex(p, out) ? -EINVAL : 1;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int take_head(const char *raw, struct mix_head *head)
{
	if (strnlen(raw, 11) < 11 || (raw[0] != 't' && raw[0] != 'q') ||
	    (raw[3] != 'd' && raw[3] != 'i') || !is_digit(raw[4]) || !is_digit(raw[5]) ||
	    !is_digit(raw[6]) || !is_digit(raw[7]) || raw[10] != '_')
		return -EINVAL;
	*head = (struct mix_head){
		.transport = raw[0],
		.version = { raw[1], raw[2] },
		.sni = raw[3],
		.n_ciphers = (raw[4] - '0') * 10 + raw[5] - '0',
		.n_extensions = (raw[6] - '0') * 10 + raw[7] - '0',
		.alpn = { raw[8], raw[9] },
	};
	return 0;
}

int names_key_from_raw(const char *raw, const struct secret *secret, uint64_t *key)
{
	uint64_t ciphers = 0, extensions = 0, sigalgs = secret->k[2];
	struct mix_head head;
	const char *p;
	uint32_t v;
	int more;

	if (take_head(raw, &head))
		return -EINVAL;
	p = raw + 11;
	for (bool first = true; (more = next_item(&p, first, &v)) > 0; first = false)
		ciphers += mix_cipher(secret, v);
	if (more < 0 || *p++ != '_')
		return -EINVAL;
	for (bool first = true; (more = next_item(&p, first, &v)) > 0; first = false)
		extensions += mix_extension(secret, v);
	if (more < 0)
		return -EINVAL;
	if (*p == '_') {
		p++;
		for (bool first = true; (more = next_item(&p, first, &v)) > 0; first = false)
			sigalgs = mix_next(sigalgs, v);
		if (more < 0)
			return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	*key = mix_key(secret, &head, ciphers, extensions, sigalgs);
	return 0;
}

int names_order_from_raw(const char *raw, const struct secret *secret, uint64_t *order_hash)
{
	uint64_t order = secret->k[3];
	const char *p = raw;
	uint32_t v;

	while (*p) {
		if (p != raw && *p++ != ',')
			return -EINVAL;
		if (!strncmp(p, "GREASE", 6)) {
			p += 6;
			order = mix_next(order, 0);
		} else if (!take_hex(&p, &v)) {
			order = mix_next(order, v + 1);
		} else {
			return -EINVAL;
		}
	}
	*order_hash = order ? order : 1;
	return 0;
}
