/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/pcapng.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SECTION   0x0a0d0d0a
#define BLOCK_INTERFACE 1
#define BLOCK_PACKET    6
#define BYTE_ORDER_MARK 0x1a2b3c4d
#define LINK_ETHERNET   1
#define OPTION_COMMENT  1
#define OPTION_TSRESOL  9
#define COMMENT_MAX     1024

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

struct block {
	uint8_t bytes[2048 + COMMENT_MAX];
	size_t len;
};

static void add(struct block *b, const void *at, size_t len)
{
	memcpy(b->bytes + b->len, at, len);
	b->len += len;
}

static void add_u16(struct block *b, uint16_t v)
{
	add(b, &v, sizeof(v));
}

static void add_u32(struct block *b, uint32_t v)
{
	add(b, &v, sizeof(v));
}

static void add_padded(struct block *b, const void *at, size_t len)
{
	static const uint8_t zero[4];

	add(b, at, len);
	add(b, zero, padded(len) - len);
}

static void option(struct block *b, uint16_t code, const void *at, size_t len)
{
	add_u16(b, code);
	add_u16(b, len);
	add_padded(b, at, len);
}

static int put(FILE *f, uint32_t type, const struct block *b)
{
	uint32_t head[2] = { type, b->len + 12 };

	if (fwrite(head, sizeof(head), 1, f) != 1 || fwrite(b->bytes, b->len, 1, f) != 1 ||
	    fwrite(&head[1], sizeof(head[1]), 1, f) != 1)
		return -EIO;
	return 0;
}

int pcapng_begin(FILE *f, uint32_t snaplen)
{
	struct block section = {}, device = {};
	uint8_t nanoseconds = 9;
	int err;

	add_u32(&section, BYTE_ORDER_MARK);
	add_u16(&section, 1);
	add_u16(&section, 0);
	add_u32(&section, UINT32_MAX); /* of a length not known */
	add_u32(&section, UINT32_MAX);
	err = put(f, BLOCK_SECTION, &section);
	if (err)
		return err;
	add_u16(&device, LINK_ETHERNET);
	add_u16(&device, 0);
	add_u32(&device, snaplen);
	option(&device, OPTION_TSRESOL, &nanoseconds, 1);
	add_u32(&device, 0); /* the end of options */
	return put(f, BLOCK_INTERFACE, &device);
}

int pcapng_packet(FILE *f, uint64_t time_ns, const void *bytes, size_t len, size_t frame_len,
		  const char *comment)
{
	struct block b = {};
	size_t n = comment ? strlen(comment) : 0;

	if (len > 1024)
		return -EINVAL;
	add_u32(&b, 0);
	add_u32(&b, time_ns >> 32);
	add_u32(&b, time_ns);
	add_u32(&b, len);
	add_u32(&b, frame_len);
	add_padded(&b, bytes, len);
	if (n) {
		option(&b, OPTION_COMMENT, comment, n > COMMENT_MAX ? COMMENT_MAX : n);
		add_u32(&b, 0);
	}
	return put(f, BLOCK_PACKET, &b);
}
