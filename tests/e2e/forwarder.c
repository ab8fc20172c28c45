/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forwarder.c - distance, loss and disorder between namespaces, where there is no netem.
 *
 *	forwarder RULES DEV_A DEV_B [RULES DEV_A DEV_B]...
 *
 * Joins each pair of devices like a cable: what comes in at one side leaves at the
 * other, both directions, after the delay of its source plus the delay of its
 * destination. Prints "ready" once frames pass; SIGTERM prints counts and ends.
 *
 * Rules, one a line, the longest prefix of an address wins:
 *	CIDR DELAY_MS [JITTER_MS [LOSS_% [DUP_% [REORDER_%]]]]
 * The delay is one way. Jitter is exponential and keeps the order of frames, except
 * for the reordered share, which skips its delay. No rule, or no IP: no delay.
 *
 * Frames keep their checksum and segmentation offloads (virtio_net_hdr), so no
 * device needs anything turned off. Bounded: 64 MiB in flight, the rest is dropped
 * and counted. Measured under SCHED_FIFO on a busy two-core guest: round trips of
 * 10-40 ms are 0.1-0.2 ms too long; the rare worst frame waits for the hypervisor.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <math.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"

#define FRAME_MAX     (sizeof(struct virtio_net_hdr) + 65536 + 128)
#define IN_FLIGHT_MAX (64UL << 20)
#define RULES_MAX     8192
#define RULE_BUCKETS  16384 /* power of two, > RULES_MAX */
#define BATCH         64    /* frames taken from one side before the other is looked at */
#define LINKS_MAX     4

struct distance {
	struct cidr net;
	int64_t delay, jitter;           /* ns */
	double loss, duplicate, reorder; /* shares */
	int64_t last[2];                 /* latest due time handed out, per direction */
	bool used;
};

struct distances {
	struct distance bucket[RULE_BUCKETS];
	bool has_plen[129];
};

struct frame {
	int64_t due;
	uint64_t nth; /* keeps frames of equal due time in order */
	int out;
	uint32_t len;
	uint8_t bytes[];
};

struct link {
	struct distances *rules;
	int fd[2];
};

static struct link links[LINKS_MAX];
static int n_links;

static struct frame **heap;
static size_t n_heap, heap_room, in_flight;
static uint64_t n_frames, n_sent, n_lost, n_full, n_refused;
static uint64_t n_waited, n_late; /* of those that had a delay; by more than 1 ms */
static int64_t late_max;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = sig;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double chance(void)
{
	return drand48();
}

/* ---- rules ------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The rule of this very prefix, or the free place where it belongs. */
static struct distance *distance_slot(struct distances *r, struct addr net, uint8_t plen)
{
	size_t at = mix(net.hi ^ mix(net.lo ^ plen)) % RULE_BUCKETS;

	while (r->bucket[at].used &&
	       (r->bucket[at].net.plen != plen || r->bucket[at].net.net.hi != net.hi ||
		r->bucket[at].net.net.lo != net.lo))
		at = (at + 1) % RULE_BUCKETS;
	return &r->bucket[at];
}

static struct distance *distance_of(struct distances *r, struct addr a)
{
	for (int plen = 128; plen >= 0; plen--) {
		struct distance *d;

		if (!r->has_plen[plen])
			continue;
		d = distance_slot(r, addr_mask(a, plen), plen);
		if (d->used)
			return d;
	}
	return NULL;
}

static int distances_read(const char *path, struct distances **out)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	struct distances *r = calloc(1, sizeof(*r));
	char line[256], net[128];
	int nth = 0, n = 0;

	if (!f || !r)
		return log_fail(-errno, "open %s", path);
	while (fgets(line, sizeof(line), f)) {
		double delay, jitter = 0, loss = 0, dup = 0, reorder = 0;
		struct distance *d;
		struct cidr c;

		nth++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "%127s %lf %lf %lf %lf %lf", net, &delay, &jitter, &loss, &dup,
			   &reorder) < 2 ||
		    cidr_parse(net, &c) || ++n > RULES_MAX)
			return log_fail(-EINVAL, "%s:%d", path, nth);
		d = distance_slot(r, c.net, c.plen);
		*d = (struct distance){ .net = c,
					.delay = delay * 1e6,
					.jitter = jitter * 1e6,
					.loss = loss / 100,
					.duplicate = dup / 100,
					.reorder = reorder / 100,
					.used = true };
		r->has_plen[c.plen] = true;
	}
	*out = r;
	return 0;
}

/* Both ends of a frame; false: not IP. Bytes are as on the wire. */
static bool frame_ends(const uint8_t *eth, size_t len, struct addr *src, struct addr *dst)
{
	uint16_t type = len >= 14 ? eth[12] << 8 | eth[13] : 0;

	if (type == ETHERTYPE_IP && len >= 34) {
		*src = addr_v4(eth[26] << 24 | eth[27] << 16 | eth[28] << 8 | eth[29]);
		*dst = addr_v4(eth[30] << 24 | eth[31] << 16 | eth[32] << 8 | eth[33]);
		return true;
	}
	if (type == ETHERTYPE_IPV6 && len >= 54) {
		*src = addr_from_bytes(eth + 22);
		*dst = addr_from_bytes(eth + 38);
		return true;
	}
	return false;
}

/* ---- queue: a binary heap by due time ------------------------------------------ */

static bool before(const struct frame *a, const struct frame *b)
{
	return a->due != b->due ? a->due < b->due : a->nth < b->nth;
}

static void queue_push(struct frame *f)
{
	size_t i = n_heap++;

	if (n_heap > heap_room) {
		heap_room = heap_room ? 2 * heap_room : 1024;
		heap = realloc(heap, heap_room * sizeof(*heap));
		if (!heap)
			abort();
	}
	for (; i && before(f, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = f;
	in_flight += f->len;
}

static struct frame *queue_pop(void)
{
	struct frame *top = heap[0], *last = heap[--n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < n_heap) {
		if (child + 1 < n_heap && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	in_flight -= top->len;
	return top;
}

/* ---- forwarding ------------------------------------------------------------------ */

static void frame_send(int fd, const void *bytes, size_t len)
{
	if (send(fd, bytes, len, MSG_DONTWAIT) == (ssize_t)len)
		n_sent++;
	else
		n_refused++; /* device down, or the peer's queue is full: lost, as on a wire */
}

static void frame_keep(int out, const void *bytes, size_t len, int64_t due)
{
	struct frame *f;

	if (in_flight + len > IN_FLIGHT_MAX) {
		n_full++;
		return;
	}
	f = malloc(sizeof(*f) + len);
	if (!f) {
		n_full++;
		return;
	}
	*f = (struct frame){ .due = due, .nth = n_frames, .out = out, .len = len };
	memcpy(f->bytes, bytes, len);
	queue_push(f);
}

/* Adds what one end's rule does to the frame; false: lost. */
static bool distance_apply(struct distance *d, int direction, int64_t *due, bool *dup)
{
	int64_t at;

	if (!d)
		return true;
	if (d->loss && chance() < d->loss)
		return false;
	*dup |= d->duplicate && chance() < d->duplicate;
	if (d->reorder && chance() < d->reorder)
		return true;
	at = *due + d->delay;
	if (d->jitter) {
		at -= d->jitter * log(1 - chance());
		if (at < d->last[direction])
			at = d->last[direction];
		d->last[direction] = at;
	}
	*due = at;
	return true;
}

static void frame_take(struct link *l, int side, const uint8_t *bytes, size_t len)
{
	const size_t head = sizeof(struct virtio_net_hdr);
	int64_t arrived = now_ns(), due = arrived;
	int out = l->fd[!side];
	struct addr src, dst;
	bool dup = false;

	n_frames++;
	if (frame_ends(bytes + head, len - head, &src, &dst) &&
	    (!distance_apply(distance_of(l->rules, src), side, &due, &dup) ||
	     !distance_apply(distance_of(l->rules, dst), side, &due, &dup))) {
		n_lost++;
		return;
	}
	if (due == arrived)
		frame_send(out, bytes, len);
	else
		frame_keep(out, bytes, len, due);
	if (dup)
		frame_keep(out, bytes, len, due);
}

/* Everything that is due; returns ns until the next, -1 if nothing waits. */
static int64_t queue_run(void)
{
	while (n_heap) {
		int64_t late = now_ns() - heap[0]->due;
		struct frame *f;

		if (late < 0)
			return -late;
		f = queue_pop();
		n_waited++;
		n_late += late > 1000000;
		if (late > late_max)
			late_max = late;
		frame_send(f->out, f->bytes, f->len);
		free(f);
	}
	return -1;
}

static int device_open(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = if_nametoindex(name) };
	int on = 1, room = 16 << 20;

	if (fd < 0)
		return log_fail(-errno, "open a packet socket (are you root?)");
	if (!at.sll_ifindex)
		return log_fail(-ENODEV, "%s", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return log_fail(-errno, "listen on %s", name);
	return fd;
}

static void run(void)
{
	static uint8_t bytes[FRAME_MAX];
	struct pollfd p[2 * LINKS_MAX];
	struct timespec wait;
	sigset_t none;

	sigemptyset(&none);
	for (int i = 0; i < 2 * n_links; i++)
		p[i] = (struct pollfd){ .fd = links[i / 2].fd[i % 2], .events = POLLIN };

	while (!stop) {
		int64_t ns = queue_run();

		wait.tv_sec = ns / 1000000000;
		wait.tv_nsec = ns % 1000000000;
		if (ppoll(p, 2 * n_links, ns < 0 ? NULL : &wait, &none) <= 0)
			continue;
		for (int i = 0; i < 2 * n_links; i++) {
			for (int n = 0; p[i].revents && n < BATCH; n++) {
				ssize_t len = recv(p[i].fd, bytes, sizeof(bytes), 0);

				if (len <= (ssize_t)sizeof(struct virtio_net_hdr))
					break;
				frame_take(&links[i / 2], i % 2, bytes, len);
			}
			queue_run();
		}
	}
}

int main(int argc, char **argv)
{
	struct sched_param fifo = { .sched_priority = 10 };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t term;

	log_open("forwarder", LOG_NOTE);
	if (argc < 4 || (argc - 1) % 3 || (argc - 1) / 3 > LINKS_MAX) {
		fprintf(stderr, "usage: forwarder RULES DEV_A DEV_B [RULES DEV_A DEV_B]...\n");
		return 2;
	}
	for (int i = 1; i < argc; i += 3) {
		struct link *l = &links[n_links++];

		if (distances_read(argv[i], &l->rules))
			return 1;
		for (int side = 0; side < 2; side++) {
			l->fd[side] = device_open(argv[i + 1 + side]);
			if (l->fd[side] < 0)
				return 1;
		}
	}
	srand48(1); /* the same losses in every run */

	/* A late frame is a wrong distance; each frame is a few microseconds' work. */
	if (sched_setscheduler(0, SCHED_FIFO, &fifo))
		log_note("no real-time priority (%s): frames may be late", strerror(errno));

	/* Signals arrive only while we wait, so that none is missed. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigaddset(&term, SIGINT);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	puts("ready");
	fflush(stdout);
	run();
	fprintf(stderr,
		"forwarder: %lu frames, %lu sent, %lu lost by rule, %lu over the bound, %lu "
		"refused, %lu of %lu late by more than 1 ms, %.3f ms at most\n",
		n_frames, n_sent, n_lost, n_full, n_refused, n_late, n_waited, late_max / 1e6);
	return 0;
}
