/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/pcapng.h"

#include <stdbool.h>
#include <stdlib.h>

#define SECTION    0x0a0d0d0aU /* block types; this one reads the same both ways */
#define INTERFACE  1
#define BYTE_MAGIC 0x1a2b3c4dU
#define HEAD       12   /* type, length, a section's byte order */
#define SNAPLEN_AT HEAD /* of an interface: type, length, link type, this */
#define BLOCK_MIN  12

struct even {
	FILE *in;
	uint32_t snaplen;
	uint64_t at;  /* offset in the block */
	uint64_t len; /* of the block, 0: not known yet */
	uint32_t type;
	bool swapped, lost; /* lost: not a block, let libpcap say so */
	uint8_t head[HEAD];
};

static uint32_t u32(const struct even *e, const uint8_t *b)
{
	uint32_t v = (uint32_t)b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;

	return e->swapped ? __builtin_bswap32(v) : v;
}

/* A byte of the block's head; behind its last one the block is known. */
static void head_byte(struct even *e, uint8_t byte)
{
	e->head[e->at++] = byte;
	if (e->at < HEAD)
		return;
	if (u32(e, e->head) == SECTION) {
		e->swapped = false;
		e->swapped = u32(e, e->head + 8) != BYTE_MAGIC;
		e->lost |= u32(e, e->head + 8) != BYTE_MAGIC;
	}
	e->type = u32(e, e->head);
	e->len = u32(e, e->head + 4);
	e->lost |= e->len < BLOCK_MIN || e->len % 4;
}

static void even_out(struct even *e, uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n && !e->lost;) {
		uint64_t rest;

		if (e->at < HEAD) {
			head_byte(e, b[i++]);
		} else if (e->type == INTERFACE && e->at < SNAPLEN_AT + 4 && e->at < e->len - 4) {
			unsigned int k = e->at++ - SNAPLEN_AT;

			b[i++] = e->snaplen >> (e->swapped ? 24 - 8 * k : 8 * k);
		} else {
			rest = e->len - e->at;
			if (rest > n - i)
				rest = n - i;
			e->at += rest;
			i += rest;
		}
		if (e->at >= HEAD && e->at == e->len)
			e->at = 0;
	}
}

static ssize_t even_read(void *cookie, char *b, size_t n)
{
	struct even *e = cookie;
	size_t got = fread(b, 1, n, e->in);

	if (!got && ferror(e->in))
		return -1;
	even_out(e, (uint8_t *)b, got);
	return got;
}

static int even_close(void *cookie)
{
	struct even *e = cookie;
	int err = e->in == stdin ? 0 : fclose(e->in);

	free(e);
	return err;
}

FILE *pcapng_even(FILE *in, uint32_t snaplen)
{
	static const cookie_io_functions_t io = { .read = even_read, .close = even_close };
	int first = getc(in);
	struct even *e;
	FILE *out;

	ungetc(first, in);
	if (first != (SECTION & 0xff))
		return in;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->in = in;
	e->snaplen = snaplen;
	out = fopencookie(e, "r", io);
	if (!out)
		free(e);
	return out; /* with a small buffer: a pipe is waited for until it is full */
}
