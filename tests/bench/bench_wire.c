/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_wire.c - the ends of a veth pair, each in a namespace; scripts/bench runs them.
 *
 *	bench_wire hold DEVICE           attach what standard input says: none, empty, drop
 *	                                 or winnow; "counts": what winnow has seen
 *	bench_wire send DEVICE FRAMES    SYNs of 10,000 sources, each of which a rule drops
 *	bench_wire sink                  take what comes to port 443
 *	bench_wire bulk ADDRESS SECONDS  send to it; bytes a second
 *
 * A bulk connection begins as a TLS one does, so that its flow is classified.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kern/internal.h"
#include "tests/bench/lib_drive.h"
#include "tests/bench/lib_peers.h"

#define SOURCES 10000
#define FLIGHT  3000

static void draw_sources(struct patch *p)
{
	uint64_t seed = 9;

	clients_draw(p, SOURCES, &seed);
}

/* ---- the edge ---------------------------------------------------------------------- */

static struct kern *with_rules(void)
{
	struct patch *p = calloc(SOURCES, sizeof(*p));
	struct kern_config c;
	struct reason why = {};
	struct kern *k;

	kern_config_default(&c);
	k = winnow_open(&c);
	draw_sources(p);
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct rule r = {
			.handle = i + 1, .gen = i + 1, .action = RULE_DROP, .canary = 10000
		};
		struct rule_match m = { .src = { .net.lo = ADDR_V4_MARK | p[i].addr,
						 .plen = 128 } };

		if (kern_rule_put(k, i + 1, &r, &m, &why))
			die("%s", why.text);
	}
	free(p);
	return k;
}

static struct bpf_link *attach(struct bpf_program *prog, const char *device)
{
	struct bpf_link *l = bpf_program__attach_xdp(prog, if_nametoindex(device));

	if (!l)
		die("attach to %s: %s", device, strerror(errno));
	return l;
}

static void hold(const char *device)
{
	struct peers_bpf *p = peers_open("pass drop", NULL);
	struct kern *k = with_rules();
	struct bpf_link *link = NULL;
	bool winnow = false;
	char line[64];
	struct reason r = {};

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "counts")) {
			printf("%llu %llu %llu\n",
			       (unsigned long long)winnow_count(k, COUNTER_DROP),
			       (unsigned long long)winnow_count(k, COUNTER_HELLO_PROVED),
			       (unsigned long long)winnow_count(k, COUNTER_OUT_OF_WINDOW));
			fflush(stdout);
			continue;
		}
		bpf_link__destroy(link);
		link = NULL;
		if (winnow && kern_detach(k, device, &r))
			die("%s", r.text);
		winnow = !strcmp(line, "winnow");
		if (winnow && (kern_attach(k, device, ATTACH_NATIVE, &r) || r.text[0]))
			die("%s", r.text);
		if (!strcmp(line, "empty"))
			link = attach(p->progs.pass, device);
		else if (!strcmp(line, "drop"))
			link = attach(p->progs.drop, device);
		puts("ok");
		fflush(stdout);
	}
	bpf_link__destroy(link);
	kern_free(k);
	peers_bpf__destroy(p);
}

/* ---- senders ------------------------------------------------------------------------ */

static void send_frames(const char *device, uint32_t n)
{
	struct frame *f = malloc(sizeof(*f));
	struct drive *d = drive_sender(SOURCES);
	double t;

	draw_sources(drive_patches(d));
	client_syn(f, false, 443);
	t = wall_ns();
	drive_send(d, f, if_nametoindex(device), SOURCES, n);
	printf("%.0f\n", wall_ns() - t);
	drive_free(d);
	free(f);
}

static void all(int fd, const void *b, size_t len)
{
	for (const char *at = b; len;) {
		ssize_t n = write(fd, at, len);

		if (n <= 0)
			die("send: %s", strerror(errno));
		at += n;
		len -= n;
	}
}

static void some(int fd, size_t len)
{
	static char b[1 << 18];

	while (len) {
		ssize_t n = read(fd, b, len < sizeof(b) ? len : sizeof(b));

		if (n <= 0)
			die("the connection ended early");
		len -= n;
	}
}

static size_t hello_wire(struct bytes *wire)
{
	struct bytes *hellos;

	if (!hellos_recorded(&hellos))
		die("no hellos in tests/data/hellos");
	record_wrap(wire, &hellos[0]);
	free(hellos);
	return wire->len;
}

static void serve(int c, const struct bytes *hello)
{
	static char b[1 << 18];
	uint64_t got = 0;
	ssize_t n;

	some(c, hello->len);
	all(c, b, FLIGHT);
	while ((n = read(c, b, sizeof(b))) > 0)
		got += n;
	dprintf(c, "%llu", (unsigned long long)got);
	close(c);
}

static void sink(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(443) };
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, c;
	static struct bytes hello;

	hello_wire(&hello);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 16))
		die("listen: %s", strerror(errno));
	while ((c = accept(s, NULL, NULL)) >= 0)
		serve(c, &hello);
}

static void bulk(const char *address, double seconds)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(443) };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	static struct bytes hello;
	static char b[1 << 17];
	char got[32] = "";
	double t;

	hello_wire(&hello);
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
	    connect(s, (struct sockaddr *)&a, sizeof(a)))
		die("connect %s: %s", address, strerror(errno));
	all(s, hello.b, hello.len);
	some(s, FLIGHT);
	usleep(20000); /* the flight is acknowledged before the answer goes out */
	t = wall_ns();
	while (wall_ns() - t < seconds * 1e9)
		all(s, b, sizeof(b));
	shutdown(s, SHUT_WR);
	if (read(s, got, sizeof(got) - 1) <= 0)
		die("the sink does not say what it got");
	t = wall_ns() - t;
	printf("%.0f\n", strtod(got, NULL) / t * 1e9);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		hold(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "send"))
		send_frames(argv[2], strtoul(argv[3], NULL, 10));
	else if (argc == 2 && !strcmp(argv[1], "sink"))
		sink();
	else if (argc == 4 && !strcmp(argv[1], "bulk"))
		bulk(argv[2], strtod(argv[3], NULL));
	else
		die("usage: bench_wire hold DEVICE | send DEVICE FRAMES | sink | "
		    "bulk ADDRESS SECONDS");
	return 0;
}
