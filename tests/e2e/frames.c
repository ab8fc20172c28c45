/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frames.c - raw TCP frames, for what an honest kernel would never send.
 *
 *	frames DEV MAC <COMMANDS
 *
 * Ethernet frames out of DEV to the neighbour MAC, checksums right unless told
 * otherwise. One command a line; a number may be "?": random. SRC needs not be ours
 * (use 192.0.2.0/24 or 2001:db8:ffff::/48 where a kernel must not answer for it).
 *
 *	send SRC SPORT DST DPORT FLAGS SEQ ACK [FILE [bad]]	FLAGS of SAFRP; bad: checksum
 *	visit HOW SRC SPORT DST DPORT FILE [DECOY FILE2]
 *						a client: shake hands, send FILE (a hello),
 *						acknowledge what the server says, end by RST
 *		HOW: plain	ACK, then the hello when 20 ms have passed
 *		     piggy	the hello carries the handshake's ACK
 *		     batch	ACK and hello leave in one system call
 *		     silent	as plain, but the server's answer is never acknowledged
 *		     cut:N	as plain, in segments of N bytes
 *		     swap:N	the same, in reverse order
 *		DECOY, which the server does not take, just before FILE:
 *		     sum	FILE2 with a bad checksum
 *		     ahead	FILE2 acknowledging what the server has not sent
 *		     rst, fin	an end with a bad checksum
 *		     over	FILE2 over the first half of FILE once that has arrived
 *	flood N RATE CIDR DST DPORT		SYNs from random sources of CIDR, RATE a second
 *
 * Each command prints one line: "sent", "visited BYTES" (of the server, that were
 * acknowledged), "flooded N". Exit 1 if a visit got no answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"

#define FRAME_MAX 1600
#define DATA_MAX  16384
#define BATCH     64
#define SEGMENTS  512
#define ANSWER_MS 2000 /* how long a visit waits for the server */
#define QUIET_MS  100  /* the server has said all it has to say */

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct flow4 { /* the four-tuple of one connection */
	struct addr src, dst;
	uint16_t sport, dport;
};

struct frame {
	size_t len;
	uint8_t b[FRAME_MAX];
};

static int sock;
static uint8_t our_mac[6], their_mac[6];
static uint64_t random_state;

static uint64_t random_word(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void pause_ns(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&t, NULL);
}

static uint32_t number(const char *text)
{
	return *text == '?' ? random_word() : strtoul(text, NULL, 0);
}

/* ---- frames ------------------------------------------------------------------- */

static uint32_t sum16(uint32_t sum, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += b[i] << 8 | b[i + 1];
	if (len & 1)
		sum += b[len - 1] << 8;
	return sum;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static size_t put_ip(uint8_t *ip, const struct flow4 *f, size_t len)
{
	uint8_t a[16];

	if (addr_is_v4(f->src)) {
		memset(ip, 0, 20);
		ip[0] = 0x45;
		put16(ip + 2, 20 + len);
		put16(ip + 4, random_word());
		ip[6] = 0x40; /* DF */
		ip[8] = 64;
		ip[9] = IPPROTO_TCP;
		put32(ip + 12, f->src.lo);
		put32(ip + 16, f->dst.lo);
		put16(ip + 10, fold(sum16(0, ip, 20)));
		return 20;
	}
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, len);
	ip[6] = IPPROTO_TCP;
	ip[7] = 64;
	addr_to_bytes(f->src, a);
	memcpy(ip + 8, a, 16);
	addr_to_bytes(f->dst, a);
	memcpy(ip + 24, a, 16);
	return 40;
}

static void frame_make(struct frame *fr, const struct flow4 *f, int flags, uint32_t seq,
		       uint32_t ack, const uint8_t *data, size_t len)
{
	static const uint8_t options[] = {
		2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 1, 1
	}; /* MSS 1460 ... */
	size_t opt = flags & SYN ? sizeof(options) : 0, head;
	uint8_t *ip = fr->b + 14, *tcp;
	uint32_t sum;

	memcpy(fr->b, their_mac, 6);
	memcpy(fr->b + 6, our_mac, 6);
	put16(fr->b + 12, addr_is_v4(f->src) ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	head = put_ip(ip, f, 20 + opt + len);
	tcp = ip + head;
	memset(tcp, 0, 20);
	put16(tcp, f->sport);
	put16(tcp + 2, f->dport);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = (20 + opt) / 4 << 4;
	tcp[13] = flags;
	put16(tcp + 14, 64240);
	memcpy(tcp + 20, options, opt);
	memcpy(tcp + 20 + opt, data, len);

	sum = IPPROTO_TCP + 20 + opt + len;
	sum = head == 20 ? sum16(sum, ip + 12, 8) : sum16(sum, ip + 8, 32);
	put16(tcp + 16, fold(sum16(sum, tcp, 20 + opt + len)));
	fr->len = 14 + head + 20 + opt + len;
}

/* All in one system call, in this order. */
static void frames_send(struct frame *fr, size_t n)
{
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];

	while (n) {
		size_t some = n < BATCH ? n : BATCH;

		for (size_t i = 0; i < some; i++) {
			iov[i] = (struct iovec){ fr[i].b, fr[i].len };
			m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i],
							      .msg_iovlen = 1 } };
		}
		for (size_t sent = 0; sent < some;) {
			int r = sendmmsg(sock, m + sent, some - sent, 0);

			if (r > 0)
				sent += r;
			else if (errno != ENOBUFS && errno != EAGAIN)
				exit(-log_fail(1, "send: %s", strerror(errno)));
			else
				pause_ns(100000);
		}
		fr += some;
		n -= some;
	}
}

/* ---- what comes back -------------------------------------------------------------- */

struct answer {
	int flags;
	uint32_t seq, ack;
	size_t len;
};

/* Is this frame the other direction of f? */
static bool answer_read(const uint8_t *b, size_t n, const struct flow4 *f, struct answer *out)
{
	bool v4 = addr_is_v4(f->src);
	const uint8_t *ip = b + 14, *tcp;
	size_t head = v4 ? 20 : 40, total;
	uint8_t src[16], dst[16];

	if (n < 14 + head + 20 || (b[12] << 8 | b[13]) != (v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6) ||
	    ip[v4 ? 9 : 6] != IPPROTO_TCP)
		return false;
	addr_to_bytes(f->dst, src);
	addr_to_bytes(f->src, dst);
	if (v4 ? memcmp(ip + 12, src + 12, 4) || memcmp(ip + 16, dst + 12, 4)
	       : memcmp(ip + 8, src, 16) || memcmp(ip + 24, dst, 16))
		return false;
	tcp = ip + head;
	if ((tcp[0] << 8 | tcp[1]) != f->dport || (tcp[2] << 8 | tcp[3]) != f->sport)
		return false;
	total = v4 ? (size_t)(ip[2] << 8 | ip[3]) : (size_t)(ip[4] << 8 | ip[5]) + 40;
	out->flags = tcp[13];
	out->seq = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	out->ack = (uint32_t)tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11];
	out->len = total - head - (tcp[12] >> 4) * 4;
	return true;
}

static bool answer_wait(const struct flow4 *f, int ms, struct answer *out)
{
	static uint8_t b[65536 + 128];
	int64_t until = now_ns() + ms * 1000000LL, left;

	while ((left = until - now_ns()) > 0) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, left / 1000000 + 1) <= 0)
			continue;
		n = recv(sock, b, sizeof(b), MSG_DONTWAIT);
		if (n > 0 && answer_read(b, n, f, out))
			return true;
	}
	return false;
}

/* ---- commands ----------------------------------------------------------------------- */

static size_t file_read(const char *path, uint8_t out[DATA_MAX])
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");

	if (!f)
		exit(-log_fail(-1, "open %s", path));
	return fread(out, 1, DATA_MAX, f);
}

static struct flow4 flow_parse(char **w)
{
	struct flow4 f = { .sport = number(w[1]), .dport = number(w[3]) };

	if (addr_parse(w[0], &f.src) || addr_parse(w[2], &f.dst))
		exit(-log_fail(-1, "addresses %s, %s", w[0], w[2]));
	return f;
}

static int command_send(char **w, int n)
{
	struct flow4 f = flow_parse(w);
	struct frame fr;
	uint8_t data[DATA_MAX];
	size_t len = n > 7 ? file_read(w[7], data) : 0;
	int flags = 0;

	for (const char *c = w[4]; *c; c++)
		flags |= *c == 'S'   ? SYN
			 : *c == 'A' ? ACK
			 : *c == 'F' ? FIN
			 : *c == 'R' ? RST
				     : PSH;
	if (len > 1460)
		len = 1460;
	frame_make(&fr, &f, flags, number(w[5]), number(w[6]), data, len);
	if (n > 8 && !strcmp(w[8], "bad"))
		fr.b[fr.len - len - 4] ^= 0x5a;
	frames_send(&fr, 1);
	puts("sent");
	return 0;
}

/* The hello in segments of `cut` bytes, behind the handshake's ACK if there is one. */
static size_t visit_frames(struct frame *fr, const struct flow4 *f, const char *how, uint32_t isn,
			   uint32_t theirs, const uint8_t *hello, size_t len)
{
	bool cuts = !strncmp(how, "cut:", 4), swaps = !strncmp(how, "swap:", 5);
	size_t step = cuts ? strtoul(how + 4, NULL, 10) : swaps ? strtoul(how + 5, NULL, 10) : 1400;
	size_t n = 0, first;

	if (strcmp(how, "piggy"))
		frame_make(&fr[n++], f, ACK, isn + 1, theirs, NULL, 0);
	first = n;
	for (size_t off = 0; off < len && n < SEGMENTS; off += step)
		frame_make(&fr[n++], f, ACK | PSH, isn + 1 + off, theirs, hello + off,
			   len - off < step ? len - off : step);
	if (swaps) {
		for (size_t a = first, b = n - 1; a < b; a++, b--) {
			struct frame other = fr[a];

			fr[a] = fr[b];
			fr[b] = other;
		}
	}
	return n;
}

static void checksum_break(struct frame *fr)
{
	fr->b[14 + (fr->b[12] == 0x08 ? 20 : 40) + 16] ^= 0x5a;
}

static void decoy_send(const struct flow4 *f, const char *kind, const char *file, uint32_t isn,
		       uint32_t theirs, const uint8_t *hello, size_t len)
{
	static struct frame fr;
	uint8_t other[DATA_MAX];
	size_t n = file_read(file, other), half = len / 2;

	if (n > 1400)
		n = 1400;
	if (!strcmp(kind, "over")) {
		frame_make(&fr, f, ACK | PSH, isn + 1, theirs, hello, half);
		frames_send(&fr, 1);
		frame_make(&fr, f, ACK | PSH, isn + 1, theirs, other, n < half ? n : half);
	} else if (!strcmp(kind, "ahead")) {
		frame_make(&fr, f, ACK | PSH, isn + 1, theirs + 100000, other, n);
	} else if (!strcmp(kind, "sum")) {
		frame_make(&fr, f, ACK | PSH, isn + 1, theirs, other, n);
		checksum_break(&fr);
	} else {
		frame_make(&fr, f, ACK | (kind[0] == 'r' ? RST : FIN), isn + 1, theirs, NULL, 0);
		checksum_break(&fr);
	}
	frames_send(&fr, 1);
	pause_ns(5000000);
}

static int command_visit(char **w, int n)
{
	static struct frame fr[SEGMENTS];
	struct flow4 f = flow_parse(w + 1);
	uint32_t isn = random_word(), start, theirs;
	uint8_t hello[DATA_MAX];
	size_t len = file_read(w[5], hello), n_frames;
	struct answer a;

	if (n != 6 && n != 8)
		return log_fail(-EINVAL, "visit HOW SRC SPORT DST DPORT FILE [DECOY FILE2]");
	frame_make(fr, &f, SYN, isn, 0, NULL, 0);
	frames_send(fr, 1);
	do {
		if (!answer_wait(&f, ANSWER_MS, &a))
			return log_fail(-ETIMEDOUT, "no SYN|ACK for %s", w[1]);
	} while ((a.flags & (SYN | ACK)) != (SYN | ACK) || a.ack != isn + 1);
	start = theirs = a.seq + 1;

	n_frames = visit_frames(fr, &f, w[0], isn, theirs, hello, len);
	if (!strcmp(w[0], "piggy") || !strcmp(w[0], "batch")) {
		frames_send(fr, n_frames);
	} else {
		frames_send(fr, 1);
		pause_ns(20000000);
		if (n == 8)
			decoy_send(&f, w[6], w[7], isn, theirs, hello, len);
		frames_send(fr + 1, n_frames - 1);
	}

	/* Acknowledge as a kernel would: whatever came in order, at once. */
	while (answer_wait(&f, theirs == start ? ANSWER_MS : QUIET_MS, &a)) {
		if (a.flags & RST) {
			puts("reset");
			return 0;
		}
		if (!a.len || a.seq != theirs || !strcmp(w[0], "silent"))
			continue;
		theirs += a.len;
		frame_make(fr, &f, ACK, isn + 1 + len, theirs, NULL, 0);
		frames_send(fr, 1);
	}
	frame_make(fr, &f, RST | ACK, isn + 1 + len, theirs, NULL, 0);
	frames_send(fr, 1);
	printf("visited %u\n", theirs - start);
	return theirs == start && strcmp(w[0], "silent");
}

static int command_flood(char **w, int n)
{
	static struct frame fr[BATCH];
	size_t count = strtoul(w[0], NULL, 10), rate = strtoul(w[1], NULL, 10), sent = 0;
	int64_t began = now_ns(), due;
	struct flow4 f = {};
	struct cidr c;

	if (n != 5 || !rate || cidr_parse(w[2], &c) || addr_parse(w[3], &f.dst))
		return log_fail(-EINVAL, "flood N RATE CIDR DST DPORT");
	f.dport = number(w[4]);
	while (sent < count) {
		size_t some = count - sent < BATCH ? count - sent : BATCH;

		for (size_t i = 0; i < some; i++) {
			struct addr r = { .hi = random_word(), .lo = random_word() };
			struct addr keep = addr_mask(r, c.plen);

			f.src.hi = c.net.hi | (r.hi ^ keep.hi);
			f.src.lo = c.net.lo | (r.lo ^ keep.lo);
			f.sport = 1024 + random_word() % 64000;
			frame_make(&fr[i], &f, SYN, random_word(), 0, NULL, 0);
		}
		frames_send(fr, some);
		sent += some;
		due = began + (int64_t)(sent * 1000000000ULL / rate);
		if (due > now_ns())
			pause_ns(due - now_ns());
	}
	printf("flooded %zu\n", sent);
	return 0;
}

static int device_open(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = if_nametoindex(name) };
	struct ifreq r = {};
	int on = 1;

	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (sock < 0 || ioctl(sock, SIOCGIFHWADDR, &r) ||
	    setsockopt(sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    bind(sock, (struct sockaddr *)&at, sizeof(at)))
		return log_fail(-errno, "open %s", name);
	memcpy(our_mac, r.ifr_hwaddr.sa_data, 6);
	return 0;
}

int main(int argc, char **argv)
{
	char line[1024], *w[16];
	int err = 0;

	log_open("frames", LOG_NOTE);
	if (argc != 3 ||
	    sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &their_mac[0], &their_mac[1],
		   &their_mac[2], &their_mac[3], &their_mac[4], &their_mac[5]) != 6) {
		fprintf(stderr, "usage: frames DEV MAC <COMMANDS\n");
		return 2;
	}
	if (device_open(argv[1]))
		return 1;
	random_state = now_ns();

	while (fgets(line, sizeof(line), stdin)) {
		int n = 0;

		for (char *at = strtok(line, " \t\n"); at && n < 16; at = strtok(NULL, " \t\n"))
			w[n++] = at;
		if (!n || w[0][0] == '#')
			continue;
		if (!strcmp(w[0], "send") && n >= 8)
			err |= command_send(w + 1, n - 1);
		else if (!strcmp(w[0], "visit") && n >= 7)
			err |= command_visit(w + 1, n - 1);
		else if (!strcmp(w[0], "flood") && n >= 6)
			err |= command_flood(w + 1, n - 1);
		else
			err |= log_fail(-EINVAL, "command %s", w[0]);
		fflush(stdout);
	}
	return err != 0;
}
