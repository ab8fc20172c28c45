/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/pcap_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_US 0xa1b2c3d4U
#define MAGIC_NS 0xa1b23c4dU

#define RECORD_HEAD 16
#define PIECE       (256 << 10)

struct pcap_file {
	pcap_read_fn read_more;
	void *ctx;
	bool swapped;
	uint32_t scale; /* ns in a unit of its fractions */
	uint32_t snaplen;
	size_t at, end; /* what has been read and not yet been taken */
	uint8_t b[RECORD_HEAD + CAPTURE_FRAME_MAX + PIECE];
};

uint64_t pcap_time(int64_t seconds, int64_t ns)
{
	if (seconds < 0)
		seconds = (uint32_t)seconds;
	if (ns < 0 || ns >= 1000000000)
		ns = 999999999;
	return seconds * 1000000000ULL + ns;
}

static uint32_t u32(const struct pcap_file *p, const uint8_t *b)
{
	uint32_t v;

	memcpy(&v, b, sizeof(v));
	return p->swapped ? __builtin_bswap32(v) : v;
}

static uint16_t u16(const struct pcap_file *p, const uint8_t *b)
{
	uint16_t v;

	memcpy(&v, b, sizeof(v));
	return p->swapped ? __builtin_bswap16(v) : v;
}

static bool magic_read(struct pcap_file *p, const uint8_t *head)
{
	uint32_t magic = u32(p, head);

	p->swapped = magic == __builtin_bswap32(MAGIC_US) || magic == __builtin_bswap32(MAGIC_NS);
	magic = u32(p, head);
	p->scale = magic == MAGIC_US ? 1000 : 1;
	return magic == MAGIC_US || magic == MAGIC_NS;
}

int pcap_file_new(const uint8_t head[PCAP_FILE_HEAD], uint32_t snaplen, pcap_read_fn read_more,
		  void *ctx, struct pcap_file **out)
{
	struct pcap_file *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->read_more = read_more;
	p->ctx = ctx;
	p->swapped = false;
	p->snaplen = snaplen;
	p->at = p->end = 0;
	/* Before 2.4 the lengths of a frame stood the other way round. */
	if (!magic_read(p, head) || u16(p, head + 4) != 2 || u16(p, head + 6) != 4) {
		free(p);
		return -EPROTONOSUPPORT;
	}
	*out = p;
	return 0;
}

void pcap_file_free(struct pcap_file *p)
{
	free(p);
}

/* `n` bytes from p->at on. How many there are: fewer at the end of the file. -errno */
static ssize_t ask(struct pcap_file *p, size_t n)
{
	ssize_t got;

	if (p->end - p->at >= n)
		return n;
	memmove(p->b, p->b + p->at, p->end - p->at);
	p->end -= p->at;
	p->at = 0;
	while (p->end < n) {
		got = p->read_more(p->ctx, (char *)p->b + p->end, PIECE);
		if (got < 0)
			return -errno;
		if (!got)
			return p->end;
		p->end += got;
	}
	return n;
}

static enum capture_end broken_off(ssize_t got, size_t want, const char *what, struct reason *r)
{
	if (got < 0) {
		reason_set(r, got, "error reading dump file: %s", strerror(-got));
		return CAPTURE_BROKEN;
	}
	reason_set(r, -EBADMSG, "truncated dump file; tried to read %zu %s bytes, only got %zd",
		   want, what, got);
	return CAPTURE_TRUNCATED;
}

enum capture_end pcap_file_next(struct pcap_file *p, struct capture_frame *f, struct reason *r)
{
	ssize_t got = ask(p, RECORD_HEAD);
	const uint8_t *head = p->b + p->at;
	uint32_t caplen, len;

	if (!got)
		return CAPTURE_END;
	if (got != RECORD_HEAD)
		return broken_off(got, RECORD_HEAD, "header", r);
	caplen = u32(p, head + 8);
	len = u32(p, head + 12);
	if (caplen > CAPTURE_FRAME_MAX) {
		reason_set(r, -EBADMSG,
			   "invalid packet capture length %u, bigger than snaplen of %u", caplen,
			   p->snaplen);
		return CAPTURE_BROKEN;
	}
	got = ask(p, RECORD_HEAD + caplen);
	if (got != RECORD_HEAD + (ssize_t)caplen)
		return broken_off(got < 0 ? got : got - RECORD_HEAD, caplen, "captured", r);
	head = p->b + p->at;
	*f = (struct capture_frame){
		.data = head + RECORD_HEAD,
		.len = caplen < p->snaplen ? caplen : p->snaplen,
		.time_ns = pcap_time(u32(p, head), (int64_t)u32(p, head + 4) * p->scale),
	};
	f->wire_len = len < f->len ? f->len : len;
	p->at += RECORD_HEAD + caplen;
	return CAPTURE_FRAME;
}
