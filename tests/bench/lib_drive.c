/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bench/lib_drive.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/if_link.h>

#include "base/time.h"
#include "kern/internal.h"
#include "tests/bench/driver.skel.h"

#define FLIGHT_BYTES 3000  /* of a server's first flight */
#define PIECE        16384 /* connections that are in their handshake at a time */

struct drive {
	struct driver_bpf *skel;
	struct patch *patches;
	uint32_t room, targets;
};

/* The kernel calls XDP programs through a dispatcher that is patched, and waited for,
 * when a program comes or goes; a test run brings its own. One that is attached
 * somewhere is there already: to the loopback of a namespace of our own. Without, each
 * lap takes 30 ms longer, which is not measured. */
static void stay(const struct driver_bpf *skel)
{
	static bool away;

	if (!away && unshare(CLONE_NEWNET))
		return;
	away = true;
	bpf_xdp_attach(1, bpf_program__fd(skel->progs.drive_xdp), XDP_FLAGS_SKB_MODE, NULL);
}

struct drive *drive_sender(uint32_t patches)
{
	struct drive *d = calloc(1, sizeof(*d));

	if (!d)
		die("out of memory");
	libbpf_set_print(NULL);
	d->room = patches;
	d->skel = driver_bpf__open();
	if (!d->skel || bpf_map__set_max_entries(d->skel->maps.patches, patches) ||
	    driver_bpf__load(d->skel))
		die("load the driver: %s. Try: run as root", strerror(errno));
	d->patches = mmap(NULL, (size_t)patches * sizeof(d->patches[0]), PROT_READ | PROT_WRITE,
			  MAP_SHARED, bpf_map__fd(d->skel->maps.patches), 0);
	if (d->patches == MAP_FAILED)
		die("map the patches: %s", strerror(errno));
	return d;
}

struct drive *drive_open(uint32_t patches)
{
	struct drive *d = drive_sender(patches);

	stay(d->skel);
	return d;
}

void drive_free(struct drive *d)
{
	if (!d)
		return;
	munmap(d->patches, (size_t)d->room * sizeof(d->patches[0]));
	driver_bpf__destroy(d->skel);
	free(d);
}

struct patch *drive_patches(struct drive *d)
{
	return d->patches;
}

static uint32_t add_target(struct drive *d, const struct bpf_map *map, int prog_fd)
{
	uint32_t at = d->targets++;

	if (at >= TARGETS || bpf_map_update_elem(bpf_map__fd(map), &at, &prog_fd, BPF_ANY))
		die("a program cannot be called by the driver: %s", strerror(errno));
	return at;
}

uint32_t drive_xdp(struct drive *d, int prog_fd)
{
	return add_target(d, d->skel->maps.xdp_targets, prog_fd);
}

uint32_t drive_tc(struct drive *d, int prog_fd)
{
	return add_target(d, d->skel->maps.tc_targets, prog_fd) | 1U << 31;
}

double drive_run(struct drive *d, uint32_t target, const struct lap *lap)
{
	bool tc = target >> 31;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = lap->frame->b,
		    .data_size_in = lap->frame->len, .repeat = lap->n);
	double t;

	if (lap->first + lap->n > d->room)
		die("no patches %u to %u", lap->first, lap->first + lap->n);
	d->skel->bss->target = target & ~(1U << 31);
	d->skel->bss->next = lap->first;
	d->skel->bss->seq_add = lap->seq_add;
	d->skel->bss->ack_add = lap->ack_add;
	t = cpu_ns();
	if (bpf_prog_test_run_opts(bpf_program__fd(tc ? d->skel->progs.drive_tc
						      : d->skel->progs.drive_xdp),
				   &run))
		die("test run: %s", strerror(errno));
	t = cpu_ns() - t;
	if (run.retval != lap->expect)
		die("a packet of %zu bytes had verdict %u, not %u", lap->frame->len, run.retval,
		    lap->expect);
	if (d->skel->bss->next != lap->first + lap->n)
		die("%u packets ran, not %u", d->skel->bss->next - lap->first, lap->n);
	return t / lap->n;
}

void drive_send(struct drive *d, const struct frame *f, uint32_t device, uint32_t clients,
		uint32_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->b, .data_size_in = f->len, .repeat = n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	d->skel->bss->next = 0;
	d->skel->bss->clients = clients;
	d->skel->bss->device = device;
	if (bpf_prog_test_run_opts(bpf_program__fd(d->skel->progs.send), &run))
		die("send live frames: %s", strerror(errno));
}

/* ---- clients ------------------------------------------------------------------- */

void clients_draw(struct patch *p, uint32_t n, uint64_t *seed)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t a = draw(seed), b = draw(seed);

		p[i] = (struct patch){
			.addr = 0x10000000 | (a & 0x0fffffff),
			.seq = b,
			.ack = b >> 32,
			.port = 1024 + (a >> 32) % 64000,
		};
	}
}

/* What Linux offers: MSS 1460, SACK, timestamps, window scale 7. */
static const uint8_t syn_options[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
				       0, 1, 0, 0,    0, 0, 1, 3,  3, 7 };
static const uint8_t timestamps[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1 };

static void any_frame(struct frame *f, bool from_server, uint16_t dport, struct segment *s)
{
	struct path p = path_v4(1, 40000);

	p.dport = dport;
	frame_tcp(f, &p, from_server, s);
}

void client_frame(struct frame *f, bool from_server, uint16_t dport, uint8_t flags,
		  const void *data, size_t len)
{
	any_frame(f, from_server, dport,
		  &(struct segment){ .flags = flags,
				     .options = timestamps,
				     .options_len = sizeof(timestamps),
				     .data = data,
				     .len = len });
}

void client_syn(struct frame *f, bool from_server, uint16_t dport)
{
	any_frame(f, from_server, dport,
		  &(struct segment){ .flags = from_server ? SYN | ACK : SYN,
				     .window = 64240,
				     .options = syn_options,
				     .options_len = sizeof(syn_options) });
}

/* ---- winnow --------------------------------------------------------------------- */

struct kern *winnow_open(const struct kern_config *c)
{
	struct timespec boot;
	struct control *ctl;
	struct reason r = {};
	struct kern *k;

	if (kern_open(c, &k, &r))
		die("%s", r.text);
	ctl = kern_control(k);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ctl->proof = PROOF_EGRESS;
	ctl->name_budget = 1000;
	ctl->source_name_budget = 8;
	ctl->heartbeat = boot.tv_sec * NSEC_PER_SEC;
	ctl->max_unattended = 15 * 60 * NSEC_PER_SEC;
	kern_ports(k)->tcp[443 / 64] |= 1ULL << 443 % 64;
	return k;
}

int winnow_program(struct kern *k, const char *name)
{
	int fd = kern_prog_fd(k, name);

	if (fd < 0)
		die("there is no program %s", name);
	return fd;
}

uint64_t winnow_count(struct kern *k, unsigned int counter)
{
	uint64_t n[COUNTER_MAX];

	if (kern_counters(k, n))
		die("read the counters");
	return n[counter];
}

void story_new(struct story *s, const struct bytes *hello)
{
	static const uint8_t flight_two[64] = { 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53 };
	static struct bytes wire;

	record_wrap(&wire, hello);
	s->hello_len = wire.len;
	client_syn(&s->frame[PHASE_SYN], false, 443);
	client_syn(&s->frame[PHASE_SYNACK], true, 443);
	client_frame(&s->frame[PHASE_ACK], false, 443, ACK, NULL, 0);
	client_frame(&s->frame[PHASE_HELLO], false, 443, ACK | PSH, wire.b, wire.len);
	client_frame(&s->frame[PHASE_PROOF], false, 443, ACK, NULL, 0);
	client_frame(&s->frame[PHASE_FLIGHT], false, 443, ACK | PSH, flight_two,
		     sizeof(flight_two));
}

double story_phase(struct drive *d, const struct story *s, enum phase phase, uint32_t xdp,
		   uint32_t tc, uint32_t first, uint32_t n)
{
	uint32_t seq = phase > PHASE_SYN, ack = phase > PHASE_SYNACK;

	if (phase > PHASE_HELLO) {
		seq += s->hello_len;
		ack += FLIGHT_BYTES;
	}
	return drive_run(d, phase == PHASE_SYNACK ? tc : xdp,
			 &(struct lap){ .frame = &s->frame[phase],
					.first = first,
					.n = n,
					.seq_add = seq,
					.ack_add = ack,
					.expect =
						phase == PHASE_SYNACK ? (uint32_t)-1 : XDP_PASS });
}

void story_tell(struct drive *d, const struct story *s, uint32_t xdp, uint32_t tc, uint32_t first,
		uint32_t n)
{
	for (uint32_t at = 0; at < n; at += PIECE)
		for (int phase = 0; phase < PHASES; phase++)
			story_phase(d, s, phase, xdp, tc, first + at,
				    n - at < PIECE ? n - at : PIECE);
}

uint32_t story_seq(const struct story *s)
{
	return 1 + s->hello_len + 64;
}

uint32_t story_ack(void)
{
	return 1 + FLIGHT_BYTES;
}

void winnow_dump(struct kern *k)
{
	static const char *const names[] = {
#define X(id, name, text) "parse " name,
		PARSE_RESULTS(X)
#undef X
#define X(id, name, text) "hello " name,
			HELLO_RESULTS(X)
#undef X
#define X(id, name, text) name,
				COUNTERS(X)
#undef X
	};
	uint64_t n[COUNTER_MAX];

	if (kern_counters(k, n))
		return;
	for (int i = 0; i < COUNTER_MAX; i++)
		if (n[i])
			fprintf(stderr, "bench:   %s %llu\n", names[i], (unsigned long long)n[i]);
}
