/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_rules.c - ns of a packet that a rule drops, against xdp-filter and LPM_TRIE.
 *
 *	bench_rules [--quick] [exact|prefix]...
 *
 * winnow: 100,000 exact sources, and 1,000,000 prefixes of both families. xdp-filter:
 * the program of the package (xdpfilt_alw_ip, the smallest that knows addresses), loaded
 * here as it is, its table filled with the 10,000 addresses it holds at most. LPM_TRIE:
 * a program that looks the source up and does nothing else.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "kern/internal.h"
#include "tests/bench/lib_drive.h"
#include "tests/bench/lib_peers.h"

#define FILTER_MAX 10000 /* xdp-filter's addresses */
#define LEAST      "  the least: one line of as large a table read"

static bool quick;
static uint64_t seed = 3;

/* ---- xdp-filter --------------------------------------------------------------------- */

/* As `xdp-filter load -f ipv4; xdp-filter ip -m src` fill it: source, in the low bits
 * of the value. */
static struct bpf_object *filter_open(const struct patch *p, uint32_t n, int *fd)
{
	glob_t g = {};
	struct bpf_object *o;
	struct bpf_program *prog;
	struct bpf_map *m;
	int cpus = libbpf_num_possible_cpus();
	uint64_t *value = calloc(cpus, sizeof(*value));

	if (glob("/usr/lib/*/bpf/xdpfilt_alw_ip.o", 0, NULL, &g))
		die("xdp-filter is missing. Try: sudo scripts/deps --bench");
	o = bpf_object__open(g.gl_pathv[0]);
	globfree(&g);
	prog = o ? bpf_object__next_program(o, NULL) : NULL;
	if (!prog)
		die("xdp-filter's object cannot be read");
	/* Called from a program that takes frags; never pinned. */
	bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_XDP_HAS_FRAGS);
	bpf_object__for_each_map(m, o)
		bpf_map__set_pin_path(m, NULL);
	if (bpf_object__load(o))
		die("xdp-filter does not load: %s", strerror(errno));
	m = bpf_object__find_map_by_name(o, "filter_ipv4");
	if (!m || bpf_map__max_entries(m) < n)
		die("xdp-filter holds fewer than %u addresses", n);
	for (int i = 0; i < cpus; i++)
		value[i] = 1;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t key[4];

		put32(key, p[i].addr);
		if (bpf_map_update_elem(bpf_map__fd(m), key, value, BPF_ANY))
			die("xdp-filter takes no rule %u: %s", i, strerror(errno));
	}
	*fd = bpf_program__fd(prog);
	free(value);
	return o;
}

/* ---- rules -------------------------------------------------------------------------- */

static struct cidr cidr_v4(uint32_t a, unsigned int plen)
{
	uint32_t mask = plen ? ~0U << (32 - plen) : 0;

	return (struct cidr){ .net.lo = ADDR_V4_MARK | (a & mask), .plen = 96 + plen };
}

static int put_rule(struct kern *k, uint32_t index, const struct cidr *c, uint8_t action)
{
	struct rule r = { .handle = index, .gen = index, .action = action, .canary = 10000 };
	struct rule_match m = { .src = *c };
	struct reason why = {};
	int err = kern_rule_put(k, index, &r, &m, &why);

	/* Two drawn alike make a chain, and a chain has an end: the next one, then. */
	if (err && err != -E2BIG)
		die("rule %u: %s", index, why.text);
	return err;
}

/* What lists of networks hold: mostly /24, some longer and shorter; one in ten IPv6.
 * Rules that pass and rules that drop keep apart, so that none is inside another kind's. */
static struct cidr draw_prefix(bool v6, bool pass)
{
	static const uint8_t lengths[16] = { 24, 24, 24, 24, 24, 24, 24, 24,
					     24, 22, 23, 25, 26, 27, 28, 20 };
	uint64_t x = draw(&seed);

	if (v6)
		return (struct cidr){ .net.hi = 0x2000000000000000ULL | (x >> 3 & ~0xffffULL),
				      .plen = 48 };
	return cidr_v4((pass ? 0x70000000 : 0x01000000) + (x >> 8) % 0x6b000000U, lengths[x & 15]);
}

/* Ten laps of sources each. */
enum { EXACT, FILTERED, DROPPED, PASSED, FREE, SETS };
#define LAPS 10

struct bench {
	struct drive *d;
	uint32_t lap; /* packets */
	struct frame *syn, *fragment;
	uint32_t empty, filter;
};

static struct patch *sources(const struct bench *b, int set)
{
	return drive_patches(b->d) + (size_t)set * LAPS * b->lap;
}

struct contender {
	uint32_t target;
	int set;
	const struct frame *frame;
	uint32_t verdict;
};

/* Whoever comes first meets the lap's sources in pages that nobody has touched, and would pay
 * for all: so the empty program has been there before each of them. */
static void contend(struct bench *b, const struct contender *c, int n, struct series *out)
{
	uint32_t rounds = quick ? 5 : 61;

	for (uint32_t i = 0; i < rounds; i++)
		for (int j = 0; j < n; j++) {
			struct lap lap = { .frame = c[j].frame,
					   .first = (c[j].set * LAPS + i % LAPS) * b->lap,
					   .n = b->lap,
					   .expect = XDP_PASS };
			double ns;

			drive_run(b->d, b->empty, &lap);
			lap.expect = c[j].verdict;
			ns = drive_run(b->d, c[j].target, &lap);
			if (i)
				series_add(&out[j], ns);
		}
}

/* mine - floor against other - floor_other. */
static void say(const char *name, const char *against, const struct series *mine,
		const struct series *floor, const struct series *other,
		const struct series *floor_other, double bound)
{
	struct series value = {}, peer = {}, ratio = {};

	series_less(&value, mine, floor);
	series_less(&peer, other, floor_other);
	series_ratio(&ratio, &value, &peer, NULL);
	result_say(&(struct result){ .name = name,
				     .unit = "ns",
				     .against = against,
				     .value = &value,
				     .peer = &peer,
				     .ratio = &ratio,
				     .goal = bound > 0 ? RATIO_AT_MOST : NO_GOAL,
				     .bound = bound });
	series_free(&value);
	series_free(&peer);
	series_free(&ratio);
}

static void clear(struct series *s, int n)
{
	for (int i = 0; i < n; i++)
		series_free(&s[i]);
}

/* Three rules a line (nets.h). */
static struct peers_bpf *least_open(uint32_t rules)
{
	return peers_open("one_line", &(struct peer_sizes){ .rows = rules / 3 });
}

static void exact(struct bench *b, uint32_t rules)
{
	struct peers_bpf *p = least_open(rules);
	struct kern_config c;
	struct kern *k;
	uint64_t drops;

	kern_config_default(&c);
	c.rules = rules + 1;
	k = winnow_open(&c);
	for (uint32_t i = 0; i < rules; i++) {
		struct cidr src = cidr_v4(sources(b, EXACT)[i].addr, 32);

		put_rule(k, i + 1, &src, RULE_DROP);
	}
	drops = winnow_count(k, COUNTER_DROP);
	{
		struct series s[4] = {};
		const struct contender who[] = {
			{ b->empty, EXACT, b->syn, XDP_PASS },
			{ b->filter, FILTERED, b->syn, XDP_DROP },
			{ drive_xdp(b->d, winnow_program(k, PROG_XDP)), EXACT, b->syn, XDP_DROP },
			{ drive_xdp(b->d, peer(p->progs.one_line)), EXACT, b->syn, XDP_DROP },
		};

		contend(b, who, 4, s);
		say(quick ? "drop by exact rule among 10,000" : "drop by exact rule among 100,000",
		    "xdp-filter, 10,000 addresses", &s[2], &s[0], &s[1], &s[0], 0.6);
		say(LEAST, "xdp-filter, 10,000 addresses", &s[3], &s[0], &s[1], &s[0], 0);
		clear(s, 4);
	}
	if (winnow_count(k, COUNTER_DROP) - drops != (quick ? 5ULL : 61ULL) * b->lap)
		die("not every packet with a rule was dropped");
	peers_bpf__destroy(p);
	kern_free(k);
}

/* Fills both tables with the same prefixes, and the sets with sources from all over. */
static struct kern *prefixes_open(struct bench *b, uint32_t rules, int trie)
{
	uint32_t at[SETS] = {}, full = LAPS * b->lap;
	struct kern_config c;
	struct kern *k;

	kern_config_default(&c);
	c.rules = c.prefixes = rules + 1;
	k = winnow_open(&c);
	for (uint32_t i = 0; i < rules; i++) {
		bool v6 = i % 10 == 9, pass = i / 10 % 2;
		struct cidr src = draw_prefix(v6, pass);
		struct prefix_key key = { .plen = src.plen };
		uint32_t value = i + 1, set = pass ? PASSED : DROPPED;

		if (put_rule(k, i + 1, &src, pass ? RULE_PASS : RULE_DROP))
			continue;
		addr_to_bytes(src.net, key.addr);
		if (bpf_map_update_elem(trie, &key, &value, BPF_ANY))
			die("LPM_TRIE takes no entry %u: %s", i, strerror(errno));
		if (!v6 && at[set] < full && at[set] <= (uint64_t)i * full / rules)
			sources(b, set)[at[set]++].addr =
				(uint32_t)src.net.lo | (draw(&seed) & ~0U >> (src.plen - 96));
	}
	for (int set = DROPPED; set <= PASSED; set++)
		for (uint32_t n = at[set]; at[set] < full; at[set]++)
			sources(b, set)[at[set]].addr = sources(b, set)[at[set] % n].addr;
	while (at[FREE] < full) {
		struct prefix_key key = { .plen = 128 };
		uint32_t a = 0x01000000 + (draw(&seed) >> 8) % 0xdb000000U, value;

		addr_to_bytes((struct addr){ .lo = ADDR_V4_MARK | a }, key.addr);
		if (a >> 24 != 127 && bpf_map_lookup_elem(trie, &key, &value))
			sources(b, FREE)[at[FREE]++].addr = a;
	}
	return k;
}

static void shuffle(struct patch *p, uint32_t n)
{
	for (uint32_t i = n - 1; i; i--) {
		uint32_t j = draw(&seed) % (i + 1), a = p[i].addr;

		p[i].addr = p[j].addr;
		p[j].addr = a;
	}
}

/* What a look-up adds: the same program without prefix rules is the floor. The packet
 * is a fragment, which is not looked at further: one that matches meets a rule that
 * says pass, and that rule is read, too. */
static void added(struct bench *b, const char *name, const char *against, int set, uint32_t many,
		  uint32_t none, uint32_t trie, double bound)
{
	struct series s[4] = {};
	const struct contender who[] = {
		{ b->empty, set, b->fragment, XDP_PASS },
		{ trie, set, b->fragment, set == FREE ? XDP_PASS : XDP_DROP },
		{ none, set, b->fragment, XDP_PASS },
		{ many, set, b->fragment, XDP_PASS },
	};

	contend(b, who, 4, s);
	say(name, against, &s[3], &s[2], &s[1], &s[0], bound);
	clear(s, 4);
}

static void prefixes(struct bench *b, uint32_t rules)
{
	struct peers_bpf *p = peers_open("lpm_drop", &(struct peer_sizes){ .trie = rules });
	struct kern *k, *without;
	uint32_t winnow, none, trie;
	struct kern_config c;

	k = prefixes_open(b, rules, bpf_map__fd(p->maps.trie));
	kern_config_default(&c);
	without = winnow_open(&c);
	trie = drive_xdp(b->d, peer(p->progs.lpm_drop));
	winnow = drive_xdp(b->d, winnow_program(k, PROG_XDP));
	none = drive_xdp(b->d, winnow_program(without, PROG_XDP));
	shuffle(sources(b, DROPPED), LAPS * b->lap);
	shuffle(sources(b, PASSED), LAPS * b->lap);
	{
		struct series s[4] = {};
		struct peers_bpf *least = least_open(rules);
		const struct contender who[] = {
			{ b->empty, DROPPED, b->syn, XDP_PASS },
			{ b->filter, FILTERED, b->syn, XDP_DROP },
			{ winnow, DROPPED, b->syn, XDP_DROP },
			{ drive_xdp(b->d, peer(least->progs.one_line)), DROPPED, b->syn, XDP_DROP },
		};

		contend(b, who, 4, s);
		say(quick ? "drop by prefix among 100,000" : "drop by prefix among 1,000,000",
		    "xdp-filter, 10,000 addresses", &s[2], &s[0], &s[1], &s[0], 1.0);
		say(LEAST, "xdp-filter, 10,000 addresses", &s[3], &s[0], &s[1], &s[0], 0);
		clear(s, 4);
		peers_bpf__destroy(least);
	}
	added(b,
	      quick ? "added by 100,000 prefixes, source in one"
		    : "added by 1,000,000 prefixes, source in one",
	      "added by LPM_TRIE", PASSED, winnow, none, trie, 0.1);
	added(b,
	      quick ? "added by 100,000 prefixes, source in none"
		    : "added by 1,000,000 prefixes, source in none",
	      "added by LPM_TRIE", FREE, winnow, none, trie, 0);
	kern_free(k);
	kern_free(without);
	peers_bpf__destroy(p);
}

/* No part named: all of them. */
static bool wanted(int argc, char **argv, const char *part)
{
	bool found = argc < 2;

	for (int i = 1; i < argc; i++)
		found |= !strcmp(argv[i], part);
	return found;
}

int main(int argc, char **argv)
{
	uint32_t rules;
	struct bench b = {};
	struct peers_bpf *p = peers_open("pass", NULL);
	struct bpf_object *filter;
	int fd;

	quick = argc > 1 && !strcmp(argv[1], "--quick");
	argc -= quick;
	argv += quick;
	rules = quick ? 100000 : 1000000;
	b.lap = rules / 100;
	b.d = drive_open(SETS * LAPS * b.lap);
	b.syn = malloc(sizeof(*b.syn));
	b.fragment = malloc(sizeof(*b.fragment));
	client_syn(b.syn, false, 443);
	memcpy(b.fragment, b.syn, sizeof(*b.fragment));
	b.fragment->b[b.fragment->l3 + 6] |= 0x20; /* more fragments */
	clients_draw(sources(&b, EXACT), SETS * LAPS * b.lap, &seed);
	if (LAPS * b.lap > FILTER_MAX) /* the same addresses in each lap */
		for (uint32_t i = FILTER_MAX; i < LAPS * b.lap; i++)
			sources(&b, FILTERED)[i].addr = sources(&b, FILTERED)[i % FILTER_MAX].addr;
	b.empty = drive_xdp(b.d, peer(p->progs.pass));
	filter = filter_open(sources(&b, FILTERED), FILTER_MAX, &fd);
	b.filter = drive_xdp(b.d, fd);
	if (wanted(argc, argv, "exact"))
		exact(&b, LAPS * b.lap);
	if (wanted(argc, argv, "prefix"))
		prefixes(&b, rules);
	bpf_object__close(filter);
	peers_bpf__destroy(p);
	drive_free(b.d);
	free(b.syn);
	free(b.fragment);
	return 0;
}
