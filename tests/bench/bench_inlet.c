/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_inlet.c - packets of a capture a second: replay, and one system call a packet.
 *
 *	bench_inlet FILE ROUNDS
 *
 * Both read the file (from the page cache), choose each frame's way and leave the
 * programs with the same tables. The peer feeds frame by frame and throws away the
 * events; replay also joins them to hellos. Loading the programs is not timed.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "kern/replay.h"
#include "tests/bench/lib_stat.h"

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
	t = wall_ns();
	if (replay_run(p, c, &r) != REPLAY_DONE)
		die("%s", r.text);
	t = wall_ns() - t;
	*frames = replay_stats(p)->frames;
	return t;
}

static double one_by_one(const char *path, struct kern *k, uint64_t *frames)
{
	_cleanup_(capture_freep) struct capture *c = open_capture(path);
	struct capture_frame f;
	struct reason r = {};
	double t = wall_ns();

	*frames = 0;
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
	_cleanup_(kern_freep) struct kern *k = NULL;
	struct series mine = {}, peer = {}, ratio = {};
	struct kern_config c;
	struct reason r = {};

	if (rounds < 1)
		die("usage: bench_inlet FILE ROUNDS");
	ports.tcp[443 / 64] |= 1ULL << 443 % 64;
	kern_config_default(&c);
	c.replay = true;
	if (kern_open(&c, &k, &r))
		die("%s", r.text);
	*kern_ports(k) = ports;
	for (int i = 0; i < rounds; i++) {
		uint64_t frames, again, hellos;
		double a = one_by_one(argv[1], k, &frames), b = replayed(argv[1], &again, &hellos);

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
