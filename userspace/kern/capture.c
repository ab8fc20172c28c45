/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pcap/pcap.h>
#include <pcap/sll.h>

#include <linux/if_ether.h>

#include "base/cleanup.h"
#include "kern/pcap_file.h"
#include "kern/pcapng.h"

#define FRAME_MAX    CAPTURE_FRAME_MAX
#define NULL_LEN     4
#define STREAM_BYTES (128 << 10)

struct capture {
	pcap_t *pcap;
	FILE *file;              /* both owned by pcap */
	FILE *even;              /* what pcap reads: file itself unless it is pcapng */
	struct pcap_file *plain; /* NULL: pcap reads on */
	int fd, wake;
	atomic_uint_least64_t at; /* bytes read */
	uint64_t size;
	uint64_t last_ns;
	int link;
	bool any;
	char stream[STREAM_BYTES];
	uint8_t buf[ETH_HLEN + FRAME_MAX];
};

static bool readable(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_NULL:
	case DLT_LOOP:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
		return true;
	default:
		return false;
	}
}

static bool is_compressed(const char *path)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	_cleanup_(fclosep) FILE *f = fopen(path, "rbe");
	uint8_t b[4] = {};

	return f && fread(b, 1, sizeof(b), f) == sizeof(b) &&
	       (!memcmp(b, gzip, sizeof(gzip)) || !memcmp(b, zstd, sizeof(zstd)));
}

static int not_a_capture(const char *path, FILE *f, const char *said, struct reason *r)
{
	if (feof(f))
		return reason_set(r, -ENODATA, "%s is empty or ends inside the file header", path);
	if (is_compressed(path))
		return reason_set(r, -EBADMSG,
				  "%s is compressed. Try: zcat (or zstdcat) %s | winnow replay -",
				  path, path);
	return reason_set(r, -EBADMSG, "%s is no capture file (%s)", path, said);
}

/* A pipe may be silent for long: whoever wants an end wakes it. */
static ssize_t source_read(void *cookie, char *b, size_t n)
{
	struct capture *c = cookie;
	struct pollfd p[] = { { .fd = c->fd, .events = POLLIN },
			      { .fd = c->wake, .events = POLLIN } };
	ssize_t got;

	do {
		if (!c->size && poll(p, 2, -1) > 0 && p[1].revents) {
			errno = ECANCELED;
			return -1;
		}
		got = !c->size && !p[0].revents ? -1 : read(c->fd, b, n);
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got > 0)
		c->at += got;
	return got;
}

static int source_close(void *cookie)
{
	struct capture *c = cookie;

	close(c->wake);
	return c->fd == STDIN_FILENO ? 0 : close(c->fd);
}

static int source_open(struct capture *c, const char *path, struct reason *r)
{
	static const cookie_io_functions_t io = { .read = source_read, .close = source_close };
	struct stat st;

	c->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (c->fd < 0)
		return reason_set(r, -errno, "open %s: %s", path, strerror(errno));
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->file = c->wake < 0 ? NULL : fopencookie(c, "r", io);
	if (!c->file) {
		source_close(c);
		return reason_set(r, -ENOMEM, "out of memory");
	}
	/* Asked for a buffer of a size without one, glibc takes one of its own size. */
	setvbuf(c->file, c->stream, _IOFBF, sizeof(c->stream));
	if (!fstat(c->fd, &st) && S_ISDIR(st.st_mode)) {
		fclose(c->file);
		return reason_set(r, -EISDIR, "open %s: is a directory", path);
	}
	c->size = S_ISREG(st.st_mode) ? st.st_size : 0;
	return 0;
}

/* libpcap has seen to the header, and to what may be wrong with it. */
static int read_on_plain(struct capture *c)
{
	uint8_t head[PCAP_FILE_HEAD];
	int err;

	if (!c->size || c->fd == STDIN_FILENO ||
	    pread(c->fd, head, sizeof(head), 0) != sizeof(head))
		return 0;
	err = pcap_file_new(head, pcap_snapshot(c->pcap), source_read, c, &c->plain);
	if (err)
		return err == -EPROTONOSUPPORT ? 0 : err;
	if (lseek(c->fd, sizeof(head), SEEK_SET) < 0)
		return -errno;
	c->at = sizeof(head);
	return 0;
}

int capture_open(const char *path, struct capture **out, struct reason *r)
{
	_cleanup_(capture_freep) struct capture *c = NULL;
	const char *name = strcmp(path, "-") ? path : "standard input";
	char said[PCAP_ERRBUF_SIZE];
	int err;

	c = calloc(1, sizeof(*c));
	if (!c)
		return reason_set(r, -ENOMEM, "out of memory");
	err = source_open(c, path, r);
	if (err)
		return err;
	c->even = pcapng_even(c->file, FRAME_MAX);
	if (!c->even) {
		fclose(c->file);
		return reason_set(r, -ENOMEM, "out of memory");
	}
	c->pcap =
		pcap_fopen_offline_with_tstamp_precision(c->even, PCAP_TSTAMP_PRECISION_NANO, said);
	if (!c->pcap) {
		err = not_a_capture(name, c->even, said, r);
		fclose(c->even);
		return err;
	}
	c->link = pcap_datalink(c->pcap);
	if (!readable(c->link)) {
		const char *known = pcap_datalink_val_to_name(c->link);

		return reason_set(r, -EPROTONOSUPPORT,
				  "%s has link type %s (%d), which winnow does not read. Try: a "
				  "capture of an Ethernet device, or of \"any\"",
				  name, known ? known : "unknown", c->link);
	}
	err = read_on_plain(c);
	if (err)
		return reason_set(r, err, "read %s: %s", name, strerror(-err));
	*out = take_ptr(c);
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	if (c->pcap)
		pcap_close(c->pcap);
	pcap_file_free(c->plain);
	free(c);
}

void capture_freep(struct capture **c)
{
	capture_free(*c);
}

static uint16_t u16(const uint8_t *b)
{
	return b[0] << 8 | b[1];
}

static uint16_t ip_version(const uint8_t *b, size_t len)
{
	if (len && b[0] >> 4 == 4)
		return ETH_P_IP;
	if (len && b[0] >> 4 == 6)
		return ETH_P_IPV6;
	return 0;
}

/* The address family of a BSD loopback header: its numbers differ between
 * systems, and DLT_NULL is in the byte order of whoever wrote the file. */
static uint16_t null_protocol(int link, const uint8_t *b)
{
	uint32_t family = (uint32_t)u16(b) << 16 | u16(b + 2);

	if (link == DLT_NULL && family > 0xffff)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2:
		return ETH_P_IP;
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* Darwin */
		return ETH_P_IPV6;
	default:
		return 0;
	}
}

/* Length of the link header and the EtherType behind it; false: cut inside. */
static bool link_header(int link, const uint8_t *b, size_t len, size_t *skip, uint16_t *proto)
{
	switch (link) {
	case DLT_NULL:
	case DLT_LOOP:
		*skip = NULL_LEN;
		if (len < *skip)
			return false;
		*proto = null_protocol(link, b);
		return true;
	case DLT_LINUX_SLL:
		*skip = SLL_HDR_LEN;
		if (len < *skip)
			return false;
		*proto = u16(b + offsetof(struct sll_header, sll_protocol));
		return true;
	case DLT_LINUX_SLL2:
		*skip = SLL2_HDR_LEN;
		if (len < *skip)
			return false;
		*proto = u16(b + offsetof(struct sll2_header, sll2_protocol));
		return true;
	default:
		*skip = 0;
		*proto = ip_version(b, len);
		return true;
	}
}

/* 02-... is locally administered: nobody's. */
static void as_ethernet(struct capture *c, const uint8_t *b, size_t len, struct capture_frame *f)
{
	static const uint8_t nobody[2 * ETH_ALEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	uint16_t proto = 0;
	size_t skip = 0;

	if (!link_header(c->link, b, len, &skip, &proto))
		skip = len;
	memcpy(c->buf, nobody, sizeof(nobody));
	c->buf[12] = proto >> 8;
	c->buf[13] = proto;
	memcpy(c->buf + ETH_HLEN, b + skip, len - skip);
	f->data = c->buf;
	f->len = ETH_HLEN + len - skip;
	f->wire_len = f->wire_len - skip + ETH_HLEN;
}

static enum capture_end pcap_next_frame(struct capture *c, struct capture_frame *f,
					struct reason *r)
{
	struct pcap_pkthdr *h;
	const u_char *b;

	switch (pcap_next_ex(c->pcap, &h, &b)) {
	case 1:
		break;
	case PCAP_ERROR_BREAK:
		return CAPTURE_END;
	default:
		reason_set(r, -EBADMSG, "%s", pcap_geterr(c->pcap));
		return feof(c->even) ? CAPTURE_TRUNCATED : CAPTURE_BROKEN;
	}
	if (h->caplen > FRAME_MAX) {
		reason_set(r, -EBADMSG, "a frame of %u bytes", h->caplen);
		return CAPTURE_BROKEN;
	}
	*f = (struct capture_frame){
		.data = b,
		.len = h->caplen,
		.wire_len = h->len < h->caplen ? h->caplen : h->len,
		.time_ns = pcap_time(h->ts.tv_sec, h->ts.tv_usec), /* nanoseconds: see open */
	};
	return CAPTURE_FRAME;
}

enum capture_end capture_next(struct capture *c, struct capture_frame *f, struct reason *r)
{
	enum capture_end end = c->plain ? pcap_file_next(c->plain, f, r) : pcap_next_frame(c, f, r);

	if (end != CAPTURE_FRAME)
		return end;
	f->back = c->any && f->time_ns < c->last_ns;
	c->any = true;
	c->last_ns = f->time_ns;
	if (c->link != DLT_EN10MB)
		as_ethernet(c, f->data, f->len, f);
	return CAPTURE_FRAME;
}

void capture_interrupt(struct capture *c)
{
	static const uint64_t one = 1;

	if (write(c->wake, &one, sizeof(one)) < 0)
		return; /* woken already */
}

uint64_t capture_position(const struct capture *c, uint64_t *size)
{
	*size = c->size;
	return c->at;
}
