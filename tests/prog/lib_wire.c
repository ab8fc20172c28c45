/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_wire.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "../unit/lib_kern.h"

#define PATIENCE 5 /* seconds for one frame */

struct wire {
	int in, out; /* packet sockets on w1 and w0 */
	uint32_t w0;
	uint64_t seen; /* frames that w0's program has counted */
};

static int packet_socket(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* 0: it receives nothing */

	if (fd < 0 || bind(fd, (void *)&at, sizeof(at)))
		fail_msg("packet socket on %s: %s", device, strerror(errno));
	return fd;
}

static void counted(struct bench *b, uint64_t out[COUNTER_MAX])
{
	assert_int_equal(kern_device_counters(b->k, b->wire->w0, out), 0);
}

void wire_attach(struct bench *b, enum attach_mode mode)
{
	uint64_t n[COUNTER_MAX];
	struct reason r;

	/* Nothing but our own frames, of any size. */
	for (const char *const *d = (const char *const[]){ "w0", "w1", NULL }; *d; d++)
		lab_run("ip link set %s mtu %d && ip link set %s arp off &&"
			" echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6",
			*d, WIRE_MTU, *d, *d);
	b->wire = calloc(1, sizeof(*b->wire));
	b->wire->w0 = if_nametoindex("w0");
	if (kern_attach(b->k, "w0", mode, &r))
		fail_msg("%s", r.text);
	/* How a client whose server was reset is told is each mode's own. */
	b->c->mirror = 0;
	b->wire->in = packet_socket("w1");
	b->wire->out = packet_socket("w0");
	counted(b, n);
	b->wire->seen = n[COUNTER_PACKETS];
}

void wire_release(struct bench *b)
{
	struct reason r;

	if (kern_detach(b->k, "w0", &r))
		fail_msg("%s", r.text);
	close(b->wire->in);
	close(b->wire->out);
	free(b->wire);
	b->wire = NULL;
}

static void send_frame(int fd, const struct frame *f)
{
	if (send(fd, f->b, f->len, 0) != (ssize_t)f->len)
		fail_msg("send %zu bytes: %s", f->len, strerror(errno));
}

/* The program has counted one frame more: what became of it. */
static uint32_t await(struct bench *b, const uint64_t was[COUNTER_MAX])
{
	time_t until = time(NULL) + PATIENCE;
	uint64_t n[COUNTER_MAX];

	do
		counted(b, n);
	while (n[COUNTER_PACKETS] == b->wire->seen && time(NULL) <= until);
	assert_int_equal(n[COUNTER_PACKETS], ++b->wire->seen);
	return n[COUNTER_DROP] > was[COUNTER_DROP] ? XDP_DROP : XDP_PASS;
}

uint32_t wire_run(struct bench *b, const struct frame *f, bool egress)
{
	uint64_t was[COUNTER_MAX];

	if (egress) {
		send_frame(b->wire->out, f);
		return 0;
	}
	counted(b, was);
	send_frame(b->wire->in, f);
	return await(b, was);
}
