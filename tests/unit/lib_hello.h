/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_hello.h - ClientHellos to order, for the tests.
 *
 * In:  a list of suites and a list of extensions with their data.
 * Out: the handshake message, type byte first.
 */
#ifndef WINNOW_TESTS_LIB_HELLO_H
#define WINNOW_TESTS_LIB_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "tls/names.h"

#define GREASE 0x0a0a

struct spec_extension {
	uint16_t type;
	uint16_t len;
	uint8_t data[300];
};

struct spec {
	uint16_t version;
	uint8_t session_id; /* bytes */
	size_t n_ciphers;
	uint16_t ciphers[600];
	size_t n_extensions;
	struct spec_extension extensions[200];
};

struct message {
	size_t len;
	uint8_t b[64 * 1024];
};

/* The newest published Chrome lists (152), in the order Chrome had before it
 * began to shuffle: JA4 t13d1517h2_8daaf6152771_cb7bf5808d99. */
void spec_chrome(struct spec *s);
struct spec_extension *spec_find(struct spec *s, uint16_t type);
struct spec_extension *spec_get(struct spec *s, uint16_t type); /* it must be there */
struct spec_extension *spec_add(struct spec *s, uint16_t type); /* without data */
void spec_remove(struct spec *s, uint16_t type);                /* each of that type */
/* The extension's data: u16 items behind a length of `prefix` bytes; bytes; one name. */
void spec_items(struct spec_extension *e, int prefix, const uint16_t *items, size_t n);
void spec_bytes(struct spec_extension *e, const void *bytes, size_t len);
void spec_alpn(struct spec_extension *e, const void *name, size_t len);
/* Fisher-Yates over the extensions; *seed moves on. */
void spec_shuffle(struct spec *s, uint64_t *seed);
uint64_t next_random(uint64_t *seed);

void spec_write(const struct spec *s, struct message *out);

extern const struct secret test_secret;

/* Names of a hello that must parse; fails the test otherwise. */
const struct names *named(const struct message *m, struct hello *h);
const struct names *named_spec(const struct spec *s, struct hello *h);
enum hello_result parsed(const uint8_t *msg, size_t len, struct hello *h);

#endif
