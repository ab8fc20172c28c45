/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib_quic.h"

static void must(int ok)
{
	if (!ok)
		abort();
}

static size_t put_varint(uint8_t *p, uint64_t v)
{
	must(v < 1U << 30);
	p[0] = 0x80 | v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
	return 4;
}

void frames_fill(struct frames *f, uint8_t type, size_t n)
{
	must(f->len + n <= sizeof(f->b));
	memset(f->b + f->len, type, n);
	f->len += n;
}

void frames_crypto(struct frames *f, uint64_t off, const uint8_t *data, size_t len)
{
	must(f->len + 9 + len <= sizeof(f->b));
	f->b[f->len++] = 6;
	f->len += put_varint(f->b + f->len, off);
	f->len += put_varint(f->b + f->len, len);
	memcpy(f->b + f->len, data, len);
	f->len += len;
}

void initial_append(struct datagram *d, const struct quic_hello *keys, uint32_t number,
		    const char *token, const struct frames *f)
{
	static const uint8_t dcid[8] = { 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *start = d->b + d->len, *p = start, *body, mask[32], nonce[12];
	int n;

	must(ctx && d->len + 64 + strlen(token) + f->len <= sizeof(d->b));
	*p++ = keys->version == QUIC_V2 ? 0xd3 : 0xc3;
	for (int i = 24; i >= 0; i -= 8)
		*p++ = keys->version >> i;
	*p++ = sizeof(dcid);
	memcpy(p, dcid, sizeof(dcid));
	p += sizeof(dcid);
	*p++ = 0;
	p += put_varint(p, strlen(token));
	memcpy(p, token, strlen(token));
	p += strlen(token);
	p += put_varint(p, 4 + f->len + 16);
	for (int i = 24; i >= 0; i -= 8)
		*p++ = number >> i;
	body = p;

	memcpy(nonce, keys->iv, sizeof(nonce));
	for (int i = 0; i < 4; i++)
		nonce[11 - i] ^= number >> 8 * i;
	must(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, keys->key, nonce) &&
	     EVP_EncryptUpdate(ctx, NULL, &n, start, body - start) &&
	     EVP_EncryptUpdate(ctx, body, &n, f->b, f->len) &&
	     EVP_EncryptFinal_ex(ctx, body + n, &n) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, body + f->len));
	must(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, keys->hp, NULL) &&
	     EVP_EncryptUpdate(ctx, mask, &n, body, 16));
	start[0] ^= mask[0] & 15;
	for (int i = 0; i < 4; i++)
		body[i - 4] ^= mask[1 + i];
	d->len = body + f->len + 16 - d->b;
	EVP_CIPHER_CTX_free(ctx);
}
