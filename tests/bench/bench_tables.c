/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_tables.c - what tallies cost to keep and to read, against LRU_HASH.
 *
 *	bench_tables [--quick] [read|memory]...
 *	bench_tables fill PINS CONNECTIONS
 *
 * read:   a million tallies, made by a million connections, read and ranked as the
 *         daemon does for `source list` (the newest 10,000 come out); LRU_HASH: read by
 *         bpf_map_lookup_batch().
 * memory: bytes that each slot more takes, and bytes a row that is held with at most 1 in
 *         1,000 lost.
 * fill:   connections through the programs that a daemon has pinned, each from a source
 *         of its own.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kern/internal.h"
#include "model/snapshot.h"
#include "tests/bench/lib_drive.h"

static bool quick;
static uint64_t seed = 7;

/* The key of a tally, as a hash table would have it. */
struct row_key {
	uint64_t src, stack;
	uint16_t service;
	uint8_t family, proto;
	uint32_t zero;
};

static int lru_create(uint32_t entries)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "lru_tallies", sizeof(struct row_key),
				sizeof(struct tally), entries, NULL);

	if (fd < 0)
		die("make an LRU_HASH of %u: %s", entries, strerror(errno));
	return fd;
}

static void lru_fill(int fd, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct row_key key = {
			.src = draw(&seed), .stack = 1, .service = 443, .family = 4
		};
		struct tally row = { .src = key.src, .connections = 1 };

		if (bpf_map_update_elem(fd, &key, &row, BPF_ANY))
			die("LRU_HASH refuses a row: %s", strerror(errno));
	}
}

/* Reads all of it; the number of rows. */
static uint32_t lru_read(int fd, uint32_t room, struct row_key *keys, struct tally *rows)
{
	uint32_t in = 0, out = 0, n = 0, count;
	int err = 0;

	while (!err && n < room) {
		count = room - n < 65536 ? room - n : 65536;
		err = bpf_map_lookup_batch(fd, n ? &in : NULL, &out, keys + n, rows + n, &count,
					   NULL);
		if (err && errno != ENOENT)
			die("read LRU_HASH: %s", strerror(errno));
		n += count;
		in = out;
	}
	return n;
}

/* What the kernel charges a map. */
static double map_bytes(int fd)
{
	char path[64], line[128];
	_cleanup_(fclosep) FILE *f = NULL;
	unsigned long long bytes = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			return bytes;
	die("%s does not say what a map takes", path);
}

/* What it charges for that many sets of tallies. */
static double sets_bytes(uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sets", 4, sizeof(struct tally_set), n, &o);
	double bytes;

	if (fd < 0)
		die("make %u sets: %s", n, strerror(errno));
	bytes = map_bytes(fd);
	close(fd);
	return bytes;
}

static size_t rows_used(struct kern *k, size_t *slots)
{
	size_t n_sets, n = 0;
	const struct tally_set *sets = kern_tallies(k, &n_sets);

	for (size_t i = 0; i < n_sets * WAYS; i++)
		n += sets[i / WAYS].slot[i % WAYS].connections != 0;
	if (slots)
		*slots = n_sets * WAYS;
	return n;
}

struct filler {
	struct drive *d;
	struct story story;
	struct bytes *hellos;
	uint32_t xdp, tc, room;
};

static struct filler *filler_new(uint32_t room, int xdp_fd, int tc_fd)
{
	struct filler *f = calloc(1, sizeof(*f));

	if (!f || !hellos_recorded(&f->hellos))
		die("no hellos in tests/data/hellos");
	f->room = room;
	f->d = drive_open(room);
	f->xdp = drive_xdp(f->d, xdp_fd);
	f->tc = drive_tc(f->d, tc_fd);
	story_new(&f->story, &f->hellos[0]);
	return f;
}

static void filler_free(struct filler *f)
{
	drive_free(f->d);
	free(f->hellos);
	free(f);
}

static void fill(struct filler *f, uint32_t n)
{
	while (n) {
		uint32_t now = n < f->room ? n : f->room;

		clients_draw(drive_patches(f->d), now, &seed);
		story_tell(f->d, &f->story, f->xdp, f->tc, 0, now);
		n -= now;
	}
}

/* ---- read -------------------------------------------------------------------------------- */

#define LISTED 10000 /* `source list` without a limit of its own */

static double read_and_rank(struct kern *k, size_t want)
{
	struct snapshot *s = snapshot_new((uint64_t)wall_ns(), 0);
	double t = cpu_ns();
	size_t n, total;
	const struct tally_set *sets = kern_tallies(k, &n);

	if (!s || snapshot_add_newest(s, sets, n, LISTED, &total))
		die("out of memory");
	t = cpu_ns() - t;
	if (total != want || s->n_rows != LISTED)
		die("%zu rows were read of %zu", total, want);
	for (size_t i = 1; i < s->n_rows; i++)
		if (s->rows[i - 1].last_seen < s->rows[i].last_seen)
			die("the rows are not ranked");
	snapshot_free(s);
	return t / 1e6;
}

static void read_all(void)
{
	uint32_t n = quick ? 100000 : 1000000, rounds = quick ? 3 : 11;
	struct series mine = {}, peer = {}, ratio = {};
	struct row_key *keys = malloc(sizeof(*keys) * 2 * n);
	struct tally *rows = malloc(sizeof(*rows) * 2 * n);
	int lru = lru_create(n + n / 16);
	struct filler *f;
	struct kern_config c;
	struct kern *k;
	size_t held;

	if (!keys || !rows)
		die("out of memory");
	kern_config_default(&c);
	c.tallies = 4 * n;
	k = winnow_open(&c);
	f = filler_new(n, winnow_program(k, PROG_XDP), winnow_program(k, PROG_EGRESS));
	fill(f, n);
	held = rows_used(k, NULL);
	if (held < n / 100 * 99)
		die("%zu tallies of %u connections", held, n);
	lru_fill(lru, n);
	memset(keys, 1, sizeof(*keys) * 2 * n);
	memset(rows, 1, sizeof(*rows) * 2 * n);
	for (uint32_t i = 0; i < rounds; i++) {
		double t = cpu_ns();
		uint32_t got = lru_read(lru, 2 * n, keys, rows);

		t = (cpu_ns() - t) / 1e6;
		if (got < n / 100 * 99)
			die("LRU_HASH held %u rows of %u", got, n);
		series_add(&peer, t);
		series_add(&mine, read_and_rank(k, held));
		series_add(&ratio, mine.v[i] / t);
	}
	result_say(&(struct result){ .name = quick ? "100,000 tallies read and ranked"
						   : "1,000,000 tallies read and ranked",
				     .unit = "ms",
				     .against = "LRU_HASH read in batches",
				     .value = &mine,
				     .peer = &peer,
				     .ratio = &ratio,
				     .goal = RATIO_AT_MOST,
				     .bound = 0.02 });
	series_free(&mine);
	series_free(&peer);
	series_free(&ratio);
	filler_free(f);
	kern_free(k);
	close(lru);
	free(keys);
	free(rows);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Rows a table of `slots` holds until more than 1 in 1,000 of those given to it is gone. */
static uint32_t lru_usable(uint32_t slots, double *bytes)
{
	struct row_key *keys = malloc(sizeof(*keys) * 2 * slots);
	struct tally *rows = malloc(sizeof(*rows) * 2 * slots);
	uint32_t step = slots / 64, given = 0, held = 0, usable = 0;
	int fd = lru_create(slots);

	if (!keys || !rows)
		die("out of memory");
	while (given < slots + step) {
		lru_fill(fd, step);
		given += step;
		held = lru_read(fd, 2 * slots, keys, rows);
		if (given - held > given / 1000)
			break;
		usable = held;
	}
	*bytes = map_bytes(fd);
	close(fd);
	free(keys);
	free(rows);
	return usable;
}

#define FEW_SETS 64 /* whole pages, whatever a set's size */

static void memory(void)
{
	uint32_t rows = quick ? 16384 : 262144, step = rows / 64, given = 0, peer_usable;
	struct series slot = {}, mine = {}, peer = {}, ratio = {};
	size_t usable = 0, held, slots;
	struct filler *f;
	struct kern_config c;
	double bytes, peer_bytes;
	struct kern *k;

	kern_config_default(&c);
	c.tallies = rows;
	c.flows = 4 * rows;
	k = winnow_open(&c);
	f = filler_new(step, winnow_program(k, PROG_XDP), winnow_program(k, PROG_EGRESS));
	do {
		fill(f, step);
		given += step;
		held = rows_used(k, &slots);
		if (winnow_count(k, COUNTER_TALLY_EVICTED) > given / 1000)
			break;
		usable = held;
	} while (given < slots);
	bytes = map_bytes(kern_map_fd(k, "tallies"));
	peer_usable = lru_usable(rows, &peer_bytes);
	if (!usable || !peer_usable)
		die("a table holds nothing");
	series_add(&slot, (bytes - sets_bytes(FEW_SETS)) / (slots - FEW_SETS * WAYS));
	result_say(&(struct result){ .name = "bytes a slot of the tallies",
				     .unit = "B",
				     .value = &slot,
				     .goal = VALUE_AT_MOST,
				     .bound = 128 });
	series_add(&mine, bytes / usable);
	series_add(&peer, peer_bytes / peer_usable);
	series_add(&ratio, mine.v[0] / peer.v[0]);
	result_say(&(struct result){ .name = "bytes a usable tally (at most 0.1% evicted)",
				     .unit = "B",
				     .against = "LRU_HASH of as many",
				     .value = &mine,
				     .peer = &peer,
				     .ratio = &ratio });
	series_free(&slot);
	series_free(&mine);
	series_free(&peer);
	series_free(&ratio);
	filler_free(f);
	kern_free(k);
}

/* ---- a daemon's programs -------------------------------------------------------------------- */

static int pinned(const char *pins, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

/* No device: the tc program runs here, so it is what proves. */
static void fill_pinned(const char *pins, uint32_t n)
{
	int fd = pinned(pins, "maps/control");
	struct control *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct filler *f;

	if (c == MAP_FAILED)
		die("map the settings: %s", strerror(errno));
	c->proof = PROOF_EGRESS;
	f = filler_new(16384, pinned(pins, "progs/" PROG_XDP), pinned(pins, "progs/" PROG_EGRESS));
	fill(f, n);
	filler_free(f);
}

int main(int argc, char **argv)
{
	bool read = false, mem = false;

	if (argc == 4 && !strcmp(argv[1], "fill")) {
		fill_pinned(argv[2], strtoul(argv[3], NULL, 10));
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		quick |= !strcmp(argv[i], "--quick");
		read |= !strcmp(argv[i], "read");
		mem |= !strcmp(argv[i], "memory");
	}
	if (read || !mem)
		read_all();
	if (mem || !read)
		memory();
	return 0;
}
