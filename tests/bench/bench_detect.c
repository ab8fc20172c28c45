/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_detect.c - what the detector takes at a million sources of 20,000 stacks: time of a
 * window and memory of its own.
 *
 *	bench_detect [--quick]
 *
 * Sources are alone in their /24, or nearly; stacks are popular as a cube. A clean window in
 * which all begin, some in which a tenth moves, the window that ends the clean time, then
 * windows that are judged. Tables are a shared mapping as the kernel's are, so that anonymous
 * memory is the detector's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/time.h"
#include "detect/detect.h"
#include "detect/state.h"
#include "tally.h"
#include "tests/bench/lib_drive.h"

#define SERVICE 443
#define STACKS  20000
#define BEGAN   (1767247200 * NSEC_PER_SEC) /* 2026-01-01, 6 in the morning */

static uint64_t seed = 11;

struct site {
	struct detect *d;
	struct tally_set *sets;
	size_t n, n_sets;
	uint64_t now;
};

static double unit(void)
{
	return (double)(draw(&seed) >> 11) / (1ULL << 53);
}

static struct tally_row *row_at(struct site *s, size_t i)
{
	return &s->sets[i / WAYS].slot[i % WAYS];
}

/* One connection of two exchanges: to one in fifty over a relay. */
static void visit(struct site *s, size_t i)
{
	struct tally_row *t = row_at(s, i);
	uint32_t stamp = (uint32_t)(s->now >> STAMP_SHIFT) - (uint32_t)(unit() * 1000);
	bool relay = i % 50 == 0;
	uint32_t dstar = (relay ? 400 : 5) + (uint32_t)(30 * unit());

	tally_connection(t, 1 + i % 7, draw(&seed) % 3 == 0);
	tally_handshake(t, 100 + i % 300, 3 + i % 20, dstar, 0);
	tally_exchange(t, stamp);
	tally_exchange(t, stamp + 100);
	tally_bytes(t, 900, 12000);
	s->sets[i / WAYS].heat[i % WAYS] = stamp + 100;
}

static void begin(struct site *s, size_t i)
{
	struct tally_row *t = row_at(s, i);
	double popular = unit();

	*t = (struct tally_row){ .src = draw(&seed) >> 32,
				 .stack = 1 + (uint64_t)(STACKS * popular * popular * popular),
				 .service = SERVICE,
				 .family = 4,
				 .proto = 6 };
	tally_begin(t, s->now >> STAMP_SHIFT);
	s->sets[i / WAYS].tag[i % WAYS] = 1;
	visit(s, i);
}

static void site_new(struct site *s, size_t n)
{
	struct detect_config c = detect_config_default();

	s->n = n;
	s->n_sets = (n + WAYS - 1) / WAYS;
	s->now = BEGAN;
	s->sets = mmap(NULL, s->n_sets * sizeof(*s->sets), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	c.baseline_until = BEGAN + 8 * c.window;
	s->d = detect_new(&c);
	if (s->sets == MAP_FAILED || !s->d)
		die("out of memory");
}

/* Copied some at a time, as from the kernel's tables. */
static int read_rows(void *ctx, snapshot_rows_fn fn, void *fn_ctx)
{
	struct snapshot *some = snapshot_new(0, 0);
	const struct site *s = ctx;
	int err = some ? snapshot_each_set(some, s->sets, s->n_sets, fn, fn_ctx) : -ENOMEM;

	snapshot_free(some);
	return err;
}

/* ms of one window: its rows read and judged. */
static double window(struct site *s)
{
	struct snapshot snapshot = { .time = s->now, .read = read_rows, .read_ctx = s };
	double t = cpu_ns();
	struct farms farms;
	struct plan plan;

	if (detect_step(s->d, &snapshot, &farms, &plan))
		die("out of memory");
	t = cpu_ns() - t;
	farms_clear(&farms);
	plan_clear(&plan);
	if (detect_records(s->d) < s->n - s->n / 100)
		die("%zu records of %zu rows", detect_records(s->d), s->n);
	return t / 1e6;
}

static void windows(struct site *s, size_t n, size_t share, struct series *out)
{
	while (n--) {
		s->now += detect_config_default().window;
		for (size_t i = 0; i < s->n; i++)
			if (share == 1 || draw(&seed) % share == 0)
				visit(s, i);
		series_add(out, window(s));
	}
}

/* MB of anonymous memory, now or at its most. */
static double memory(const char *what)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	double kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kb = strtod(line + strlen(what), NULL);
	if (f)
		fclose(f);
	return kb / 1024;
}

static void say(const char *name, const char *unit, struct series *v, double bound)
{
	result_say(&(struct result){ .name = name,
				     .unit = unit,
				     .value = v,
				     .goal = bound ? VALUE_AT_MOST : NO_GOAL,
				     .bound = bound });
	series_free(v);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && !strcmp(argv[1], "--quick");
	struct series first = {}, clean = {}, learn = {}, tenth = {}, all = {}, own = {}, most = {};
	struct site s = {};
	double before;

	site_new(&s, quick ? 50000 : 1000000);
	for (size_t i = 0; i < s.n; i++)
		begin(&s, i);
	before = memory("RssAnon:");
	series_add(&most, memory("VmHWM:"));
	series_add(&first, window(&s));
	windows(&s, 3, 10, &clean);
	s.now = BEGAN + 8 * detect_config_default().window;
	windows(&s, 1, 10, &learn);
	windows(&s, 5, 10, &tenth);
	windows(&s, 3, 1, &all);
	series_add(&own, memory("RssAnon:") - before);
	most.v[0] = memory("VmHWM:") - most.v[0];
	say("first window", "ms", &first, quick ? 0 : 1000);
	say("clean window, a tenth moved", "ms", &clean, 0);
	say("window that ends the clean time", "ms", &learn, quick ? 0 : 1000);
	say("judged window, a tenth moved", "ms", &tenth, quick ? 0 : 1000);
	say("judged window, all moved", "ms", &all, quick ? 0 : 1000);
	say("the detector's own memory after that", "MB", &own, 0);
	say("the same at its most", "MB", &most, 0);
	detect_free(s.d);
	return 0;
}
