/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ClientHello parser and its names, over any bytes. Each input is taken as it
 * is, and once more with its type and length made true, so that mutations reach
 * the lists. Properties:
 *
 * - bytes past the end decide nothing; what is refused leaves nothing behind;
 * - what parses has names, and every offset is inside the message;
 * - the keys computed from the names are the parser's.
 *
 * Seeds: tests/fuzz/corpus/hello, tests/data/hellos. Faults 33-35, 100.
 */
#include <stdlib.h>
#include <string.h>

#include "tls/names.h"

#define check(condition)                  \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

static const struct secret secret = { .k = { 11, 22, 33, 44 } };
static struct namer *namer;

static void check_inside(const struct hello *h, uint16_t off, uint16_t len)
{
	check(off <= h->len && len <= h->len - off);
}

static void check_names(const uint8_t *msg, const struct hello *h)
{
	const struct names *names;
	uint64_t key;

	check_inside(h, h->ciphers_off, h->ciphers_len);
	check_inside(h, h->extensions_off, h->extensions_len);
	check_inside(h, h->sni_off, h->sni_len);
	check_inside(h, h->alpn_off, h->alpn_len);
	check_inside(h, h->sigalgs_off, h->sigalgs_len);
	check_inside(h, h->groups_off, h->groups_len);
	check_inside(h, h->points_off, h->points_len);
	check_inside(h, h->versions_off, h->versions_len);
	check(h->ja4_key && h->stack_key && h->order_hash);
	check(h->n_stack_extensions <= h->n_extensions);

	check(!namer_name(namer, msg, h->len, h, &names));
	check(strlen(names->ja4) == 36 && strlen(names->stack) == 36);
	check(strlen(names->order) == 12 && strlen(names->ja3) == 32);
	check(!names_key_from_raw(names->ja4_r, &secret, &key) && key == h->ja4_key);
	check(!names_key_from_raw(names->stack_r, &secret, &key) && key == h->stack_key);
	check(!names_order_from_raw(names->order_r, &secret, &key) && key == h->order_hash);
	check(names->sni.at == NULL || (names->sni.at >= msg && names->sni.len <= h->len));
}

static void check_message(const uint8_t *msg, size_t len)
{
	static struct hello_buf clean, dirty;
	struct hello a = { .transport = 't' }, b = { .transport = 't' }, zero = a;
	int result;

	memset(&clean, 0, sizeof(clean));
	memset(&dirty, 0xff, sizeof(dirty));
	memcpy(clean.b, msg, len);
	memcpy(dirty.b, msg, len);
	result = hello_parse(&clean, len, &secret, &a);
	check(result >= 0 && result < HELLO_RESULT_MAX);
	check(hello_parse(&dirty, len, &secret, &b) == result && !memcmp(&a, &b, sizeof(a)));
	if (result == HELLO_OK)
		check_names(msg, &a);
	else
		check(!memcmp(&a, &zero, sizeof(a)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *exact;

	if (len > HELLO_MAX)
		return 0;
	if (!namer && namer_new(&namer))
		abort();
	/* a block of just this size, so that the sanitizer sees a read past it */
	exact = malloc(len ? len : 1);
	if (!exact)
		abort();
	memcpy(exact, data, len);
	check_message(exact, len);
	if (len >= 4) {
		exact[0] = HELLO_TYPE;
		exact[1] = 0;
		exact[2] = (len - 4) >> 8;
		exact[3] = len - 4;
		check_message(exact, len);
	}
	free(exact);
	return 0;
}
