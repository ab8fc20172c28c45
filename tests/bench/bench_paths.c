/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_paths.c - ns a packet on the ways through the program, against floors and peers.
 *
 *	bench_paths [--quick] [unprotected|data|new|hello|split|verifier]...
 *
 * Every packet of a run is another connection's (driver.bpf.c). A path's time is what
 * it takes beyond the driver in front of an empty program, in the same piece.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/sha.h>

#include "kern/internal.h"
#include "tests/bench/lib_drive.h"
#include "tests/bench/lib_peers.h"
#include "tls/names.h"

static bool quick;
static uint64_t seed = 1;

/* Takes the floor off both and says what is left. */
static void say(const char *name, const char *against, const struct series *mine,
		const struct series *peers, const struct series *floor, enum goal goal,
		double bound)
{
	struct series value = {}, other = {}, ratio = {};

	series_less(&value, mine, floor);
	series_less(&other, peers, floor);
	series_ratio(&ratio, &value, &other, NULL);
	result_say(&(struct result){ .name = name,
				     .unit = "ns",
				     .against = against,
				     .value = &value,
				     .peer = &other,
				     .ratio = &ratio,
				     .goal = goal,
				     .bound = bound });
	series_free(&value);
	series_free(&other);
	series_free(&ratio);
}

/* ---- a packet to a port that is not protected -------------------------------------- */

static void unprotected(void)
{
	uint32_t n = quick ? 20000 : 200000, rounds = quick ? 5 : 41;
	struct drive *d = drive_open(n);
	struct peers_bpf *p = peers_open("pass", NULL);
	struct kern_config c;
	struct series floor = {}, mine = {}, value = {};
	static const uint8_t data[500];
	struct frame *f = malloc(sizeof(*f));
	struct lap lap = { .frame = f, .n = n, .expect = XDP_PASS };
	uint32_t empty, winnow;
	struct kern *k;

	kern_config_default(&c);
	k = winnow_open(&c);
	clients_draw(drive_patches(d), n, &seed);
	client_frame(f, false, 8080, ACK | PSH, data, sizeof(data));
	empty = drive_xdp(d, peer(p->progs.pass));
	winnow = drive_xdp(d, winnow_program(k, PROG_XDP));
	drive_run(d, empty, &lap);
	drive_run(d, winnow, &lap);
	for (uint32_t i = 0; i < rounds; i++) {
		series_add(&floor, drive_run(d, empty, &lap));
		series_add(&mine, drive_run(d, winnow, &lap));
	}
	if (winnow_count(k, COUNTER_PARSE_NOT_OURS) != (uint64_t)n * (rounds + 1))
		die("packets to an unprotected port were not counted as such");
	series_less(&value, &mine, &floor);
	result_say(&(struct result){ .name = "packet to an unprotected port, beyond empty XDP_PASS",
				     .unit = "ns",
				     .against = "empty XDP_PASS",
				     .value = &value,
				     .peer = &floor,
				     .goal = VALUE_AT_MOST,
				     .bound = 10 });
	series_free(&floor);
	series_free(&mine);
	series_free(&value);
	kern_free(k);
	peers_bpf__destroy(p);
	drive_free(d);
	free(f);
}

/* ---- a data packet of one of a million flows ------------------------------------------ */

#define SLICES 16
#define AGE    3 /* packets of 1,400 bytes from slice to slice: 64 KiB in all */

struct kinds {
	const char *name, *against;
	uint32_t len;     /* of payload */
	uint32_t ack_add; /* a pass: the server's answer to what went before */
	enum goal goal;
};

static void flow_passes(struct drive *d, struct kern *k, struct peers_bpf *p, uint32_t n,
			const struct kinds *kind, uint32_t *seq, uint32_t *ack,
			const uint32_t target[4])
{
	uint32_t passes = quick ? 2 : 6, pieces = quick ? 4 : 16, piece = n / pieces;
	struct series s[4] = {};
	static const uint8_t data[1400];
	struct frame *f = malloc(sizeof(*f));
	uint64_t bad = winnow_count(k, COUNTER_OUT_OF_WINDOW),
		 unknown = winnow_count(k, COUNTER_NO_RECORD), missed = p->bss->misses;

	client_frame(f, false, 443, kind->len ? ACK | PSH : ACK, data, kind->len);
	for (uint32_t pass = 0; pass < passes; pass++) {
		*ack += kind->ack_add;
		for (uint32_t i = 0; i < pieces; i++)
			for (int t = 0; t < 4; t++)
				series_add(&s[t], drive_run(d, target[t],
							    &(struct lap){ .frame = f,
									   .first = i * piece,
									   .n = piece,
									   .seq_add = *seq,
									   .ack_add = *ack,
									   .expect = XDP_PASS }));
		*seq += kind->len;
	}
	if (winnow_count(k, COUNTER_OUT_OF_WINDOW) - bad > n / 100 ||
	    winnow_count(k, COUNTER_NO_RECORD) - unknown > (uint64_t)n * passes / 100)
		die("flows were not known");
	if (p->bss->misses - missed > (uint64_t)n * passes / 100)
		die("the peer did not know %llu flows", p->bss->misses - missed);
	say(kind->name, kind->against, &s[2], &s[1], &s[0], kind->goal, 0.6);
	if (kind->goal)
		say("  the least: parsed, one row of as large a table written", kind->against,
		    &s[3], &s[1], &s[0], NO_GOAL, 0);
	for (int t = 0; t < 4; t++)
		series_free(&s[t]);
	free(f);
}

/* Bytes that the tallies hold, of all sources, and those that flows hold back. */
static uint64_t tallied(struct kern *k, uint64_t *connections)
{
	size_t n_sets, n_flows;
	const struct tally_set *sets = kern_tallies(k, &n_sets);
	const struct flow_set *flows = kern_flows(k, &n_flows);
	uint64_t bytes = 0;

	for (size_t i = 0; i < n_flows * WAYS; i++)
		bytes += flows[i / WAYS].slot[i % WAYS].held_in;

	*connections = 0;
	for (size_t i = 0; i < n_sets * WAYS; i++) {
		bytes += sets[i / WAYS].slot[i % WAYS].bytes_in;
		*connections += sets[i / WAYS].slot[i % WAYS].connections;
	}
	return bytes;
}

/* Flows are of different age: what is done now and then (every 64 KiB, say) is done
 * for a part of them in each pass. */
static void flows_age(struct drive *d, uint32_t winnow, uint32_t n, uint32_t seq, uint32_t ack)
{
	struct patch *p = drive_patches(d);
	static const uint8_t data[1400];
	struct frame *f = malloc(sizeof(*f));

	client_frame(f, false, 443, ACK | PSH, data, sizeof(data));
	for (uint32_t slice = 0; slice < SLICES; slice++) {
		uint32_t first = (uint64_t)n * slice / SLICES,
			 end = (uint64_t)n * (slice + 1) / SLICES;

		for (uint32_t i = 0; i < slice * AGE; i++) {
			drive_run(d, winnow,
				  &(struct lap){ .frame = f,
						 .first = first,
						 .n = end - first,
						 .seq_add = seq,
						 .ack_add = ack,
						 .expect = XDP_PASS });
			for (uint32_t j = first; j < end; j++)
				p[j].seq += sizeof(data);
		}
	}
	free(f);
}

/* From here on they come in another order than the one they began in. An LRU_HASH gives
 * out its rows in the order of memory: asked in that order, it waits for none of them. */
static void flows_shuffle(struct patch *p, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = draw(&seed) % i;
		struct patch was = p[i - 1];

		p[i - 1] = p[j];
		p[j] = was;
	}
}

static void data_packets(void)
{
	uint32_t n = quick ? 50000 : 1000000, seq, ack, target[4], tc;
	struct drive *d = drive_open(n);
	struct peers_bpf *p =
		peers_open("pass lru_add one_row",
			   &(struct peer_sizes){ .lru_flows = n + n / 16,
						 .rows = 4 * n / WAYS *
							 (sizeof(struct flow_set) / 64) });
	struct story *story = malloc(sizeof(*story));
	struct kern_config c;
	struct kern *k;
	struct bytes *hellos;
	uint64_t bytes, connections, before;

	kern_config_default(&c);
	c.flows = c.tallies = 4 * n; /* what holds so many with next to no evictions */
	k = winnow_open(&c);
	if (!hellos_recorded(&hellos))
		die("no hellos in tests/data/hellos");
	story_new(story, &hellos[0]);
	clients_draw(drive_patches(d), n, &seed);
	target[0] = drive_xdp(d, peer(p->progs.pass));
	target[1] = drive_xdp(d, peer(p->progs.lru_add));
	target[2] = drive_xdp(d, winnow_program(k, PROG_XDP));
	target[3] = drive_xdp(d, peer(p->progs.one_row));
	tc = drive_tc(d, winnow_program(k, PROG_EGRESS));
	story_tell(d, story, target[2], tc, 0, n);
	tallied(k, &connections);
	if (connections < n - n / 100)
		die("%llu of %u connections were tallied", (unsigned long long)connections, n);
	seq = story_seq(story);
	ack = story_ack();
	flows_age(d, target[2], n, seq, ack);
	before = tallied(k, &connections);
	drive_run(d, target[1],
		  &(struct lap){
			  .frame = &story->frame[PHASE_FLIGHT], .n = n, .expect = XDP_PASS });
	flows_shuffle(drive_patches(d), n);
	flow_passes(d, k, p, n,
		    &(struct kinds){ "data packet of a classified flow", "LRU_HASH lookup and add",
				     500, 0, RATIO_AT_MOST },
		    &seq, &ack, target);
	bytes = tallied(k, &connections) - before;
	/* Evicted rows take theirs along, and flows may hold some. */
	if (bytes < (uint64_t)n * (quick ? 2 : 6) * 500 / 100 * 80) {
		winnow_dump(k);
		die("only %llu bytes were tallied", (unsigned long long)bytes);
	}
	flow_passes(d, k, p, n,
		    &(struct kinds){ "first packet of an exchange", "LRU_HASH lookup and add", 500,
				     2000, NO_GOAL },
		    &seq, &ack, target);
	flow_passes(d, k, p, n,
		    &(struct kinds){ "pure ACK of a classified flow", "LRU_HASH lookup and add", 0,
				     1000, NO_GOAL },
		    &seq, &ack, target);
	kern_free(k);
	peers_bpf__destroy(p);
	drive_free(d);
	free(hellos);
	free(story);
}

/* ---- every source new ------------------------------------------------------------------ */

static void new_sources(void)
{
	uint32_t n = quick ? 50000 : 500000, rows = quick ? 65536 : 1048576;
	uint32_t passes = quick ? 3 : 8, pieces = quick ? 2 : 10, piece = n / pieces, target[4];
	struct drive *d = drive_open(n);
	struct peers_bpf *p =
		peers_open("pass lru_insert one_row",
			   &(struct peer_sizes){ .lru_handshakes = rows,
						 .rows = rows / WAYS *
							 (sizeof(struct handshake_head) / 64) });
	struct frame *f = malloc(sizeof(*f));
	struct kern_config c;
	struct kern *k;
	struct series s[4] = {};
	uint64_t syns;

	kern_config_default(&c);
	c.handshakes = rows;
	k = winnow_open(&c);
	client_syn(f, false, 443);
	target[0] = drive_xdp(d, peer(p->progs.pass));
	target[1] = drive_xdp(d, peer(p->progs.lru_insert));
	target[2] = drive_xdp(d, winnow_program(k, PROG_XDP));
	target[3] = drive_xdp(d, peer(p->progs.one_row));
	syns = winnow_count(k, COUNTER_SYN);
	for (uint32_t pass = 0; pass < passes; pass++) {
		clients_draw(drive_patches(d), n, &seed);
		for (uint32_t i = 0; i < pieces; i++)
			for (int t = 0; t < 4; t++) {
				double ns = drive_run(d, target[t],
						      &(struct lap){ .frame = f,
								     .first = i * piece,
								     .n = piece,
								     .expect = XDP_PASS });

				if (pass >= passes / 3) /* the tables are full by then */
					series_add(&s[t], ns);
			}
	}
	if (winnow_count(k, COUNTER_SYN) - syns != (uint64_t)n * passes)
		die("SYNs were not counted");
	say("SYN, every source new", "LRU_HASH insert", &s[2], &s[1], &s[0], RATIO_AT_MOST, 0.4);
	say("  the least: parsed, one row of as large a table of heads written", "LRU_HASH insert",
	    &s[3], &s[1], &s[0], NO_GOAL, 0);
	for (int t = 0; t < 4; t++)
		series_free(&s[t]);
	kern_free(k);
	peers_bpf__destroy(p);
	drive_free(d);
	free(f);
}

/* ---- hellos ----------------------------------------------------------------------------- */

#define HELLOS 4096 /* connections a piece */

/* What JA4 digests of this hello, as blocks: the sorted ciphers, then the sorted
 * extensions with the signature algorithms behind them; and what OpenSSL makes of it. */
static void text_of(struct ja4_text *t, const struct bytes *hello, uint32_t want[2][8])
{
	static const struct secret secret = { { 11, 12, 13, 14 } };
	struct namer *namer;
	const struct names *names;
	struct hello h;
	const char *part;
	uint32_t at = 0;

	if (namer_new(&namer) ||
	    namer_parse(namer, hello->b, hello->len, &secret, 't', &h) != HELLO_OK ||
	    namer_name(namer, hello->b, hello->len, &h, &names))
		die("a recorded hello has no name");
	part = strchr(names->ja4_r, '_') + 1;
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 2; i++) {
		size_t len = i ? strlen(part) : strcspn(part, "_"), blocks = (len + 8) / 64 + 1;
		uint8_t raw[JA4_BLOCKS * 64] = {}, digest[32];

		if (at + blocks > JA4_BLOCKS)
			die("a hello's JA4 is too long");
		memcpy(raw, part, len);
		raw[len] = 0x80;
		put32(raw + blocks * 64 - 4, len * 8);
		for (size_t w = 0; w < blocks * 16; w++)
			t->words[at * 16 + w] = get32(raw + w * 4);
		t->blocks[i] = blocks;
		at += blocks;
		SHA256((const uint8_t *)part, len, digest);
		for (int w = 0; w < 8; w++)
			want[i][w] = get32(digest + w * 4);
		part += len + 1;
	}
	namer_free(namer);
}

struct hello_bench {
	struct drive *d;
	struct peers_bpf *p;
	struct kern *k;
	struct bytes *hellos;
	size_t n_hellos;
	struct ja4_text *text;
	struct story *story;
	uint32_t empty, winnow, tc, peer_program, walk, rows;
	struct series hello, proof, flight, whole, peer, ratio, least, least_ratio;
};

static void hello_open(struct hello_bench *b, const char *peers)
{
	struct peer_sizes sizes = {};
	struct kern_config c;

	memset(b, 0, sizeof(*b));
	kern_config_default(&c);
	c.reassembly = 16384;
	b->d = drive_open(HELLOS);
	/* Lines of the tables that a connection has a row in. */
	sizes.rows = c.handshakes / WAYS *
			     ((sizeof(struct handshake_head) + sizeof(struct handshake_set)) / 64) +
		     c.tallies / WAYS * (sizeof(struct tally_set) / 64) +
		     c.flows / WAYS * (sizeof(struct flow_set) / 64);
	b->p = peers_open(peers, &sizes);
	b->k = winnow_open(&c);
	b->n_hellos = hellos_recorded(&b->hellos);
	b->story = malloc(sizeof(*b->story));
	b->text = mmap(NULL, sizeof(*b->text), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(b->p->maps.ja4_text), 0);
	if (!b->n_hellos || !b->story || b->text == MAP_FAILED)
		die("no hellos in tests/data/hellos");
	b->empty = drive_xdp(b->d, peer(b->p->progs.pass));
	b->peer_program =
		drive_xdp(b->d, peer(strstr(peers, "sha_ja4") ? b->p->progs.sha_ja4
							      : b->p->progs.lru_reassemble));
	if (strstr(peers, "walk_row"))
		b->walk = drive_xdp(b->d, peer(b->p->progs.walk_row));
	if (strstr(peers, "three_rows"))
		b->rows = drive_xdp(b->d, peer(b->p->progs.three_rows));
	if (strstr(peers, "walk_halves"))
		b->walk = drive_xdp(b->d, peer(b->p->progs.walk_halves));
	b->winnow = drive_xdp(b->d, winnow_program(b->k, PROG_XDP));
	b->tc = drive_tc(b->d, winnow_program(b->k, PROG_EGRESS));
}

static void hello_close(struct hello_bench *b)
{
	struct series *all[] = { &b->hello, &b->proof, &b->flight, &b->whole,
				 &b->peer,  &b->ratio, &b->least,  &b->least_ratio };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		series_free(all[i]);
	munmap(b->text, sizeof(*b->text));
	kern_free(b->k);
	peers_bpf__destroy(b->p);
	drive_free(b->d);
	free(b->hellos);
	free(b->story);
}

static double phase(struct hello_bench *b, enum phase at)
{
	return story_phase(b->d, b->story, at, b->winnow, b->tc, 0, HELLOS);
}

static double lap(struct hello_bench *b, uint32_t target, const struct frame *f, uint32_t seq_add)
{
	return drive_run(b->d, target,
			 &(struct lap){ .frame = f,
					.n = HELLOS,
					.seq_add = seq_add,
					.ack_add = 1,
					.expect = XDP_PASS });
}

static void say_least(const char *name, const char *against, const struct hello_bench *b)
{
	result_say(&(struct result){ .name = name,
				     .unit = "ns",
				     .against = against,
				     .value = &b->least,
				     .peer = &b->peer,
				     .ratio = &b->least_ratio });
}

static void say_phase(const char *name, const char *against, const struct series *value)
{
	result_say(
		&(struct result){ .name = name, .unit = "ns", .against = against, .value = value });
}

/* One recorded hello, of new clients: whole in one segment. */
static void hello_round(struct hello_bench *b, const struct bytes *hello)
{
	uint64_t ok = winnow_count(b->k, COUNTER_HELLO_OK),
		 proved = winnow_count(b->k, COUNTER_HELLO_PROVED);
	uint64_t named = b->p->bss->named;
	double floor[3], hello_ns, proof_ns, flight_ns, sha, least;
	uint32_t want[2][8];

	clients_draw(drive_patches(b->d), HELLOS, &seed);
	story_new(b->story, hello);
	text_of(b->text, hello, want);
	phase(b, PHASE_SYN);
	phase(b, PHASE_SYNACK);
	phase(b, PHASE_ACK);
	floor[0] = lap(b, b->empty, &b->story->frame[PHASE_HELLO], 1);
	hello_ns = phase(b, PHASE_HELLO) - floor[0];
	floor[1] = lap(b, b->empty, &b->story->frame[PHASE_PROOF], 1);
	proof_ns = phase(b, PHASE_PROOF) - floor[1];
	floor[2] = lap(b, b->empty, &b->story->frame[PHASE_FLIGHT], 1);
	flight_ns = phase(b, PHASE_FLIGHT) - floor[2];
	sha = lap(b, b->peer_program, &b->story->frame[PHASE_HELLO], 1) - floor[0];
	least = lap(b, b->walk, &b->story->frame[PHASE_HELLO], 1) - floor[0] +
		lap(b, b->rows, &b->story->frame[PHASE_PROOF], 1) - floor[1];
	if (memcmp(b->p->bss->digests, want, sizeof(want)))
		die("the peer's SHA-256 is wrong");
	if (b->p->bss->named - named != HELLOS)
		die("the peer walked only %llu hellos", b->p->bss->named - named);
	/* Nine may want one set of records in a round, once in some hundred runs. */
	if (winnow_count(b->k, COUNTER_HELLO_OK) - ok < HELLOS - HELLOS / 1000 ||
	    winnow_count(b->k, COUNTER_HELLO_PROVED) - proved < HELLOS - HELLOS / 1000) {
		winnow_dump(b->k);
		die("not every hello was named and proved");
	}
	series_add(&b->hello, hello_ns);
	series_add(&b->proof, proof_ns);
	series_add(&b->flight, flight_ns);
	series_add(&b->whole, hello_ns + proof_ns);
	series_add(&b->peer, sha);
	series_add(&b->ratio, (hello_ns + proof_ns) / sha);
	series_add(&b->least, least);
	series_add(&b->least_ratio, least / sha);
}

static void whole_hellos(void)
{
	uint32_t rounds = quick ? 1 : 7;
	struct hello_bench b;

	hello_open(&b, "pass sha_ja4 walk_row three_rows");
	for (uint32_t r = 0; r < rounds; r++)
		for (size_t i = 0; i < b.n_hellos; i++)
			if (b.hellos[i].len <= 1400)
				hello_round(&b, &b.hellos[i]);
	result_say(&(struct result){
		.name = "whole ClientHello: parse, walk, keys, rules; proof and tally",
		.unit = "ns",
		.against = "SHA-256 of one JA4 in BPF",
		.value = &b.whole,
		.peer = &b.peer,
		.ratio = &b.ratio,
		.goal = RATIO_AT_MOST,
		.bound = 0.35 });
	say_phase("  of it: the hello's packet", NULL, &b.hello);
	say_phase("  of it: the ACK that proves and tallies it", NULL, &b.proof);
	say_phase("  and then: the second flight", NULL, &b.flight);
	say_least("  the least: parsed, copied, a row, walked; the ACK's three rows",
		  "SHA-256 of one JA4 in BPF", &b);
	hello_close(&b);
}

#define HALVES 256 /* hellos of which one half is there, at a time */

static double half(struct hello_bench *b, uint32_t target, const struct frame *f, uint32_t first,
		   uint32_t seq_add)
{
	return drive_run(b->d, target,
			 &(struct lap){ .frame = f,
					.first = first,
					.n = HALVES,
					.seq_add = seq_add,
					.ack_add = 1,
					.expect = XDP_PASS });
}

/* A hello that does not fit a segment: its two, and the peer's two. */
static void split_round(struct hello_bench *b, const struct bytes *hello)
{
	uint64_t ok = winnow_count(b->k, COUNTER_HELLO_OK), named = b->p->bss->named;
	static struct frame part[2];
	static struct bytes wire;
	const uint32_t target[4] = { b->empty, b->peer_program, b->winnow, b->walk },
		       at[2] = { 1, 1 + 1448 };
	double ns[4][2] = {}, whole, peer, least;

	record_wrap(&wire, hello);
	clients_draw(drive_patches(b->d), HELLOS, &seed);
	story_new(b->story, hello);
	client_frame(&part[0], false, 443, ACK, wire.b, 1448);
	client_frame(&part[1], false, 443, ACK | PSH, wire.b + 1448, wire.len - 1448);
	phase(b, PHASE_SYN);
	phase(b, PHASE_SYNACK);
	phase(b, PHASE_ACK);
	for (uint32_t first = 0; first < HELLOS; first += HALVES)
		for (int i = 0; i < 2; i++)
			for (int t = 0; t < 4; t++)
				ns[t][i] += half(b, target[t], &part[i], first, at[i]) * HALVES /
					    HELLOS;
	/* Two may want one slot; the one that came second goes unnamed. */
	if (winnow_count(b->k, COUNTER_HELLO_OK) - ok < HELLOS * 97 / 100 ||
	    b->p->bss->named - named != 2 * HELLOS) {
		winnow_dump(b->k);
		die("not every hello of two segments was named, by the peers %llu of %d",
		    b->p->bss->named - named, 2 * HELLOS);
	}
	phase(b, PHASE_PROOF);
	phase(b, PHASE_FLIGHT);
	whole = ns[2][0] + ns[2][1] - ns[0][0] - ns[0][1];
	peer = ns[1][0] + ns[1][1] - ns[0][0] - ns[0][1];
	least = ns[3][0] + ns[3][1] - ns[0][0] - ns[0][1];
	series_add(&b->hello, ns[2][0] - ns[0][0]);
	series_add(&b->proof, ns[2][1] - ns[0][1]);
	series_add(&b->whole, whole);
	series_add(&b->peer, peer);
	series_add(&b->ratio, whole / peer);
	series_add(&b->least, least);
	series_add(&b->least_ratio, least / peer);
}

static void split_hellos(void)
{
	uint32_t rounds = quick ? 1 : 11;
	struct hello_bench b;

	hello_open(&b, "pass lru_reassemble walk_halves");
	for (uint32_t r = 0; r < rounds; r++)
		for (size_t i = 0; i < b.n_hellos; i++)
			if (b.hellos[i].len > 1448 && b.hellos[i].len < 2 * 1448)
				split_round(&b, &b.hellos[i]);
	result_say(&(struct result){ .name = "ClientHello over two segments",
				     .unit = "ns",
				     .against = "reassembly in LRU_HASH values",
				     .value = &b.whole,
				     .peer = &b.peer,
				     .ratio = &b.ratio,
				     .goal = RATIO_AT_MOST,
				     .bound = 0.7 });
	say_phase("  of it: the first segment", NULL, &b.hello);
	say_phase("  of it: the second segment", NULL, &b.proof);
	say_least("  the least: each parsed, copied, a row; the whole walked",
		  "reassembly in LRU_HASH values", &b);
	hello_close(&b);
}

/* ---- what the verifier walks through, before any of it runs -------------------------------- */

static void walked(struct kern *k, const char *program, const char *name, double bound)
{
	struct series n = {};
	uint32_t insns;

	if (kern_verifier_instructions(k, program, &insns) || !insns)
		die("the verifier does not say what it walked");
	series_add(&n, insns);
	result_say(&(struct result){ .name = name,
				     .unit = "instructions",
				     .value = &n,
				     .goal = bound > 0 ? VALUE_AT_MOST : NO_GOAL,
				     .bound = bound });
	series_free(&n);
}

static void verifier(void)
{
	struct kern_config c;
	struct kern *k;

	kern_config_default(&c);
	k = winnow_open(&c);
	walked(k, PROG_XDP, "verifier instructions of " PROG_XDP, 100000);
	walked(k, PROG_EGRESS, "verifier instructions of " PROG_EGRESS, 0);
	kern_free(k);
}

/* ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} benches[] = {
	{ "unprotected", unprotected }, { "data", data_packets },  { "new", new_sources },
	{ "hello", whole_hellos },      { "split", split_hellos }, { "verifier", verifier },
};

int main(int argc, char **argv)
{
	int names = 0;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--quick"))
			quick = true;
		else
			names++;
	for (size_t b = 0; b < sizeof(benches) / sizeof(benches[0]); b++) {
		bool want = !names;

		for (int i = 1; i < argc; i++)
			want |= !strcmp(argv[i], benches[b].name);
		if (want)
			benches[b].run();
	}
	return 0;
}
