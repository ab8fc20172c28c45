/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_inlet.c - packets of a capture a second: replay, and one system call a packet.
 *
 *	bench_inlet FILE ROUNDS
 *
 * Both read the file (from the page cache), choose each frame's way and leave the
 * programs with the same tables, which were empty. The peer feeds frame by frame and throws
 * away the events; replay also joins them to hellos. Not timed: loading the programs, and
 * meeting the tables' pages for the first time, which both have to do, and which on a
 * virtual machine may take longer than all that replay does.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "kern/internal.h"
#include "kern/replay.h"
#include "tests/bench/lib_stat.h"

#define AT_ONCE 64 /* rows */

static struct ports ports;

static void nobody(void *ctx, const struct event_head *e)
{
	(void)ctx;
	(void)e;
}

static void count_hello(void *ctx, const struct replay_hello *h)
{
	uint64_t *n = ctx;

	(void)h;
	++*n;
}

static struct capture *open_capture(const char *path)
{
	struct reason r = {};
	struct capture *c;

	if (capture_open(path, &c, &r))
		die("%s: %s", path, r.text);
	return c;
}

static void meet_pages(const struct kern *k, const char *table)
{
	int fd = kern_map_fd(k, table);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), from, next, n = 0;
	_cleanup_(freep) char *rows = NULL;
	_cleanup_(freep) uint32_t *keys = NULL;
	bool begun = false;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		die("no table %s", table);
	keys = calloc(AT_ONCE, sizeof(*keys));
	rows = calloc(AT_ONCE, info.value_size);
	if (!keys || !rows)
		die("out of memory");
	for (uint32_t met = 0; met < info.max_entries; met += n) {
		n = AT_ONCE;
		if (bpf_map_lookup_batch(fd, begun ? &from : NULL, &next, keys, rows, &n, NULL) &&
		    errno != ENOENT)
			die("table %s cannot be read", table);
		begun = true;
		from = next;
	}
}

static void meet_tables(const struct kern *k)
{
	static const char *const tables[] = { "flows", "handshakes", "tallies", "orders",
					      "reassembly" };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		meet_pages(k, tables[i]);
}

static double replayed(const char *path, uint64_t *frames, uint64_t *hellos)
{
	struct replay_config config = { .ports = ports, .hello = count_hello, .ctx = hellos };
	_cleanup_(replay_freep) struct replay *p = NULL;
	_cleanup_(capture_freep) struct capture *c = open_capture(path);
	struct reason r = {};
	double t;

	kern_config_default(&config.kern);
	*hellos = 0;
	if (replay_new(&config, &p, &r))
		die("%s", r.text);
	meet_tables(replay_kern(p));
	t = wall_ns();
	if (replay_run(p, c, &r) != REPLAY_DONE)
		die("%s", r.text);
	t = wall_ns() - t;
	*frames = replay_stats(p)->frames;
	return t;
}

static double one_by_one(const char *path, uint64_t *frames)
{
	_cleanup_(kern_freep) struct kern *k = NULL;
	_cleanup_(capture_freep) struct capture *c = open_capture(path);
	struct kern_config config;
	struct capture_frame f;
	struct reason r = {};
	double t;

	kern_config_default(&config);
	config.replay = true;
	if (kern_open(&config, &k, &r))
		die("%s", r.text);
	*kern_ports(k) = ports;
	meet_tables(k);
	*frames = 0;
	t = wall_ns();
	while (capture_next(c, &f, &r) == CAPTURE_FRAME) {
		struct segment s = segment_read(f.data, f.len);
		int way = replay_direction(&ports, &s);
		uint32_t verdict;

		if ((way & REPLAY_EGRESS &&
		     kern_feed(k, f.time_ns, f.data, f.len, true, &verdict)) ||
		    (way & REPLAY_INGRESS &&
		     kern_feed(k, f.time_ns, f.data, f.len, false, &verdict)))
			die("a frame was refused");
		if (kern_events_drain(k, nobody, NULL) < 0)
			die("the ring cannot be read");
		++*frames;
	}
	return wall_ns() - t;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 0;
	struct series mine = {}, peer = {}, ratio = {};

	if (rounds < 1)
		die("usage: bench_inlet FILE ROUNDS");
	ports.tcp[443 / 64] |= 1ULL << 443 % 64;
	for (int i = 0; i < rounds; i++) {
		uint64_t frames, again, hellos;
		double a = one_by_one(argv[1], &frames), b = replayed(argv[1], &again, &hellos);

		if (frames != again || !hellos)
			die("one saw %llu frames, the other %llu", (unsigned long long)frames,
			    (unsigned long long)again);
		series_add(&peer, frames / a * 1e3);
		series_add(&mine, frames / b * 1e3);
		series_add(&ratio, a / b);
	}
	result_say(&(struct result){ .name = "replay of a capture",
				     .unit = "Mpps",
				     .against = "one system call a packet",
				     .value = &mine,
				     .peer = &peer,
				     .ratio = &ratio,
				     .goal = RATIO_AT_LEAST,
				     .bound = 5 });
	series_free(&mine);
	series_free(&peer);
	series_free(&ratio);
	return 0;
}
