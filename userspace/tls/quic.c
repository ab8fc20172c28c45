/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/cleanup.h"
#include "tls/quic.h"

#define TAG_LEN    16
#define SAMPLE_LEN 16
#define PACKET_MAX 65535
#define DCID_MIN   8 /* of a client's first Initial (RFC 9000, 7.2) */

static const struct quic_version {
	uint32_t first, last;
	uint8_t initial_type;
	uint8_t salt[20];
	const char *key, *iv, *hp; /* labels */
} versions[] = {
	{ QUIC_V1,
	  QUIC_V1,
	  0,
	  { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
	    0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_DRAFT(33),
	  QUIC_DRAFT(34),
	  0,
	  { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
	    0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_V2,
	  QUIC_V2,
	  1,
	  { 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
	    0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
	  "quicv2 key",
	  "quicv2 iv",
	  "quicv2 hp" },
	{ QUIC_V2_DRAFT,
	  QUIC_V2_DRAFT,
	  1,
	  { 0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d,
	    0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a, 0xe3, 0xe5, 0xd3 },
	  "quicv2 key",
	  "quicv2 iv",
	  "quicv2 hp" },
	{ QUIC_DRAFT(29),
	  QUIC_DRAFT(32),
	  0,
	  { 0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
	    0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99 },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_DRAFT(23),
	  QUIC_DRAFT(28),
	  0,
	  { 0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
	    0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02 },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_MVFST,
	  QUIC_MVFST,
	  0,
	  { 0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
	    0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02 },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_T051,
	  QUIC_T051,
	  0,
	  { 0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50,
	    0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d },
	  "quic key",
	  "quic iv",
	  "quic hp" },
	{ QUIC_DRAFT(22),
	  QUIC_DRAFT(22),
	  0,
	  { 0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a,
	    0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a },
	  "quic key",
	  "quic iv",
	  "quic hp" },
};

struct quic_opener {
	EVP_KDF *hkdf;
	EVP_CIPHER *gcm, *ecb;
	EVP_CIPHER_CTX *ctx;
	uint8_t header[PACKET_MAX]; /* of one packet, protection removed */
	uint8_t plain[PACKET_MAX];
	struct quic_hello other; /* quic_hello_opens() */
};

int quic_opener_new(struct quic_opener **out)
{
	_cleanup_(quic_opener_freep) struct quic_opener *o = NULL;

	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	o->gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	o->ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
	o->ctx = EVP_CIPHER_CTX_new();
	if (!o->hkdf || !o->gcm || !o->ecb || !o->ctx)
		return -ENOMEM;
	*out = take_ptr(o);
	return 0;
}

void quic_opener_free(struct quic_opener *o)
{
	if (!o)
		return;
	EVP_KDF_free(o->hkdf);
	EVP_CIPHER_free(o->gcm);
	EVP_CIPHER_free(o->ecb);
	EVP_CIPHER_CTX_free(o->ctx);
	free(o);
}

void quic_opener_freep(struct quic_opener **o)
{
	quic_opener_free(*o);
}

/* ---- reading -------------------------------------------------------------------- */

struct cursor {
	const uint8_t *at, *end;
};

static size_t left(const struct cursor *c)
{
	return c->end - c->at;
}

/* The next `len` bytes, or NULL if there are fewer. */
static const uint8_t *take(struct cursor *c, uint64_t len)
{
	const uint8_t *at = c->at;

	if (len > left(c))
		return NULL;
	c->at += len;
	return at;
}

static bool take_varint(struct cursor *c, uint64_t *out)
{
	const uint8_t *p = take(c, 1);
	size_t more;

	if (!p)
		return false;
	more = (1U << (*p >> 6)) - 1;
	*out = *p & 0x3f;
	p = take(c, more);
	if (!p)
		return false;
	while (more--)
		*out = *out << 8 | *p++;
	return true;
}

static bool take_cid(struct cursor *c, uint8_t *len, uint8_t out[QUIC_CID_MAX])
{
	const uint8_t *p = take(c, 1);

	if (!p || *p > QUIC_CID_MAX)
		return false;
	*len = *p;
	p = take(c, *len);
	if (!p)
		return false;
	memcpy(out, p, *len);
	return true;
}

/* A version that nobody has, sent to be refused: what clients then encrypt with was
 * draft 29's keys (RFC 9000, 15). */
static bool version_reserved(uint32_t version)
{
	return (version & 0x0f0f0f0f) == 0x0a0a0a0a;
}

static const struct quic_version *version_find(uint32_t version)
{
	if (version_reserved(version))
		version = QUIC_DRAFT(29);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (versions[i].first <= version && version <= versions[i].last)
			return &versions[i];
	return NULL;
}

static bool take_header(struct cursor *c, struct quic_header *h)
{
	const uint8_t *p = take(c, 5);
	const struct quic_version *v;

	if (!p || !(p[0] & 0x80))
		return false;
	h->version = (uint32_t)p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4];
	v = version_find(h->version);
	h->initial = v && (p[0] >> 4 & 3) == v->initial_type;
	return take_cid(c, &h->dcid_len, h->dcid) && take_cid(c, &h->scid_len, h->scid);
}

bool quic_header_read(const uint8_t *datagram, size_t len, struct quic_header *out)
{
	struct cursor c = { .at = datagram, .end = datagram + len };

	*out = (struct quic_header){ 0 };
	return take_header(&c, out);
}

/* ---- keys ----------------------------------------------------------------------- */

static bool hkdf(EVP_KDF *kdf, int mode, const uint8_t *key, size_t key_len, const char *extra,
		 const uint8_t *data, size_t data_len, uint8_t *out, size_t out_len)
{
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_len),
		OSSL_PARAM_construct_octet_string(extra, (void *)data, data_len),
		OSSL_PARAM_construct_end(),
	};
	bool done = ctx && EVP_KDF_derive(ctx, out, out_len, params) > 0;

	EVP_KDF_CTX_free(ctx);
	return done;
}

/* HKDF-Expand-Label of TLS 1.3, without a context. */
static bool expand(EVP_KDF *kdf, const uint8_t secret[32], const char *label, uint8_t *out,
		   size_t out_len)
{
	uint8_t info[64];
	size_t len = strlen(label);

	info[0] = 0;
	info[1] = out_len;
	info[2] = 6 + len;
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, len);
	info[9 + len] = 0;
	return hkdf(kdf, EVP_KDF_HKDF_MODE_EXPAND_ONLY, secret, 32, OSSL_KDF_PARAM_INFO, info,
		    10 + len, out, out_len);
}

static bool keys_derive(struct quic_opener *o, struct quic_hello *hello,
			const struct quic_header *h)
{
	const struct quic_version *v = version_find(h->version);
	uint8_t initial[32], client[32];

	hello->version = h->version;
	hello->keyed = hkdf(o->hkdf, EVP_KDF_HKDF_MODE_EXTRACT_ONLY, h->dcid, h->dcid_len,
			    OSSL_KDF_PARAM_SALT, v->salt, sizeof(v->salt), initial, 32) &&
		       expand(o->hkdf, initial, "client in", client, 32) &&
		       expand(o->hkdf, client, v->key, hello->key, sizeof(hello->key)) &&
		       expand(o->hkdf, client, v->iv, hello->iv, sizeof(hello->iv)) &&
		       expand(o->hkdf, client, v->hp, hello->hp, sizeof(hello->hp));
	return hello->keyed;
}

/* ---- protection ------------------------------------------------------------------- */

static bool header_mask(struct quic_opener *o, const uint8_t hp[16], const uint8_t *sample,
			uint8_t mask[SAMPLE_LEN])
{
	int n;

	return EVP_EncryptInit_ex2(o->ctx, o->ecb, hp, NULL, NULL) &&
	       EVP_CIPHER_CTX_set_padding(o->ctx, 0) &&
	       EVP_EncryptUpdate(o->ctx, mask, &n, sample, SAMPLE_LEN);
}

/* Plain bytes into o->plain; their number, or -1. */
static int payload_open(struct quic_opener *o, const struct quic_hello *hello,
			const uint8_t *header, size_t header_len, uint32_t number,
			const uint8_t *body, size_t body_len)
{
	size_t len = body_len - TAG_LEN;
	uint8_t nonce[12], tag[TAG_LEN];
	int n;

	memcpy(nonce, hello->iv, sizeof(nonce));
	for (int i = 0; i < 4; i++)
		nonce[11 - i] ^= number >> 8 * i;
	memcpy(tag, body + len, TAG_LEN);
	if (!EVP_DecryptInit_ex2(o->ctx, o->gcm, hello->key, nonce, NULL) ||
	    !EVP_DecryptUpdate(o->ctx, NULL, &n, header, header_len) ||
	    !EVP_DecryptUpdate(o->ctx, o->plain, &n, body, len) ||
	    !EVP_CIPHER_CTX_ctrl(o->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) ||
	    EVP_DecryptFinal_ex(o->ctx, o->plain + n, &n) <= 0)
		return -1;
	return len;
}

/* ---- frames ----------------------------------------------------------------------- */

/* All or nothing: bytes that differ from earlier ones are refused before any is kept. */
static enum quic_result crypto_add(struct quic_hello *h, uint64_t off, const uint8_t *data,
				   size_t len)
{
	if (off > HELLO_MAX || len > HELLO_MAX - off)
		return QUIC_TOO_LONG;
	for (size_t i = 0; i < len; i++)
		if (h->seen[(off + i) / 8] >> (off + i) % 8 & 1 && h->bytes[off + i] != data[i])
			return QUIC_DIFFERS;
	for (size_t i = 0; i < len; i++) {
		h->seen[(off + i) / 8] |= 1U << (off + i) % 8;
		h->bytes[off + i] = data[i];
	}
	while (h->have < HELLO_MAX && h->seen[h->have / 8] >> h->have % 8 & 1)
		h->have++;
	return QUIC_MORE;
}

static bool skip_ack(struct cursor *c, bool ecn)
{
	uint64_t ranges, n;

	if (!take_varint(c, &n) || !take_varint(c, &n) || !take_varint(c, &ranges) ||
	    !take_varint(c, &n))
		return false;
	if (ranges > left(c))
		return false;
	for (ranges = ranges * 2 + (ecn ? 3 : 0); ranges; ranges--)
		if (!take_varint(c, &n))
			return false;
	return true;
}

static enum quic_result frame_read(struct quic_hello *h, struct cursor *c)
{
	uint64_t type, off, len;
	const uint8_t *data;

	if (!take_varint(c, &type))
		return QUIC_BAD_FRAME;
	if (type == 0x08 && h->version == QUIC_T051)
		type = 0x06; /* its number for CRYPTO */
	switch (type) {
	case 0x00: /* PADDING */
	case 0x01: /* PING */
		return QUIC_MORE;
	case 0x02: /* ACK */
	case 0x03:
		return skip_ack(c, type == 3) ? QUIC_MORE : QUIC_BAD_FRAME;
	case 0x06: /* CRYPTO */
		if (!take_varint(c, &off) || !take_varint(c, &len))
			return QUIC_BAD_FRAME;
		data = take(c, len);
		return data ? crypto_add(h, off, data, len) : QUIC_BAD_FRAME;
	case 0x1c: /* CONNECTION_CLOSE: nothing follows that matters */
		c->at = c->end;
		return QUIC_MORE;
	default:
		return QUIC_BAD_FRAME;
	}
}

static enum quic_result frames_read(struct quic_hello *h, const uint8_t *plain, size_t len)
{
	struct cursor c = { .at = plain, .end = plain + len };

	while (left(&c)) {
		enum quic_result r = frame_read(h, &c);

		if (r != QUIC_MORE)
			return r;
	}
	return QUIC_MORE;
}

/* ---- packets ---------------------------------------------------------------------- */

/* Takes the protection off one Initial, from `start` to its packet number and on. */
static enum quic_result packet_open(struct quic_opener *o, struct quic_hello *hello,
				    const uint8_t *start, const uint8_t *number_at, size_t len)
{
	size_t header_len, number_len;
	uint8_t mask[SAMPLE_LEN];
	uint32_t number = 0;
	int plain;

	if (!header_mask(o, hello->hp, number_at + 4, mask))
		return QUIC_FAILED;
	number_len = 1 + ((start[0] ^ mask[0]) & 3);
	header_len = number_at - start + number_len;
	memcpy(o->header, start, header_len);
	o->header[0] ^= mask[0] & 0x0f;
	for (size_t i = 0; i < number_len; i++) {
		uint8_t *p = &o->header[header_len - number_len + i];

		*p ^= mask[1 + i];
		number = number << 8 | *p;
	}
	plain = payload_open(o, hello, o->header, header_len, number, number_at + number_len,
			     len - number_len);
	return plain < 0 ? QUIC_NOT_AUTHENTIC : frames_read(hello, o->plain, plain);
}

/* The packet that begins at c; c moves behind it. */
static enum quic_result packet_add(struct quic_opener *o, struct quic_hello *hello,
				   struct cursor *c)
{
	const uint8_t *start = c->at, *number_at;
	struct quic_header h = { 0 };
	enum quic_result r;
	uint64_t token, len;
	bool keyed = hello->keyed;

	if (!(start[0] & 0x80))
		return QUIC_NOT_INITIAL;
	if (!take_header(c, &h))
		return QUIC_BAD_PACKET;
	if (!version_find(h.version) || (keyed && h.version != hello->version))
		return QUIC_BAD_VERSION;
	if (!h.initial)
		return QUIC_NOT_INITIAL;
	if (!take_varint(c, &token) || !take(c, token) || !take_varint(c, &len))
		return QUIC_BAD_PACKET;
	number_at = c->at;
	if (!take(c, len) || len < 4 + SAMPLE_LEN || (!keyed && h.dcid_len < DCID_MIN))
		return QUIC_BAD_PACKET;
	if (!keyed && !keys_derive(o, hello, &h))
		return QUIC_FAILED;
	r = packet_open(o, hello, start, number_at, len);
	if (r == QUIC_NOT_AUTHENTIC)
		hello->keyed = keyed; /* keys that open nothing are no keys */
	return r;
}

bool quic_hello_opens(struct quic_opener *o, const struct quic_hello *hello,
		      const uint8_t *datagram, size_t len)
{
	struct cursor c = { .at = datagram, .end = datagram + len };
	struct quic_hello *other = &o->other;
	enum quic_result r;

	if (!hello->keyed || !len || len > PACKET_MAX)
		return false;
	memset(other, 0, sizeof(*other));
	other->version = hello->version;
	other->keyed = true;
	memcpy(other->key, hello->key, sizeof(other->key));
	memcpy(other->iv, hello->iv, sizeof(other->iv));
	memcpy(other->hp, hello->hp, sizeof(other->hp));
	r = packet_add(o, other, &c);
	return r == QUIC_MORE || r == QUIC_DIFFERS || r == QUIC_TOO_LONG || r == QUIC_BAD_FRAME;
}

static enum quic_result hello_state(struct quic_hello *hello)
{
	if (hello->have < 4)
		return QUIC_MORE;
	hello->len = 4 + ((uint32_t)hello->bytes[1] << 16 | hello->bytes[2] << 8 | hello->bytes[3]);
	if (hello->len > HELLO_MAX)
		return QUIC_TOO_LONG;
	return hello->have < hello->len ? QUIC_MORE : QUIC_COMPLETE;
}

enum quic_result quic_hello_add(struct quic_opener *o, struct quic_hello *hello,
				const uint8_t *datagram, size_t len)
{
	struct cursor c = { .at = datagram, .end = datagram + len };
	bool taken = false;

	if (hello_state(hello) == QUIC_COMPLETE)
		return QUIC_COMPLETE;
	if (hello->datagrams >= QUIC_DATAGRAMS_MAX || len > PACKET_MAX)
		return QUIC_TOO_LONG;
	if (!len)
		return QUIC_NOT_INITIAL;
	while (left(&c)) {
		enum quic_result r = packet_add(o, hello, &c);

		if (r == QUIC_DIFFERS || r == QUIC_TOO_LONG || r == QUIC_BAD_FRAME)
			return r;
		/* behind an Initial may be packets of other kinds, or filling */
		if (r != QUIC_MORE && !taken)
			return r;
		if (r != QUIC_MORE)
			break;
		taken = true;
	}
	hello->datagrams++;
	return hello_state(hello);
}
