/* SPDX-License-Identifier: BSD-2-Clause */
/* Many frames in one test run, packet by packet the same as one at a time and as the
 * attached programs: every capture of tests/replay, and what no capture has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include "base/cleanup.h"
#include "kern/internal.h"
#include "kern/replay.h"
#include "lib_corpus.h"
#include "lib_kern.h"
#include "tls/quic_book.h"

#define MTU 9000

static int gather(void **state)
{
	corpus_gather();
	return 0;
}

/* ---- three ways ----------------------------------------------------------------- */

struct record {
	uint32_t verdict, n_events;
	uint64_t events; /* hash of them */
	uint64_t counters[COUNTER_MAX];
};

struct way {
	struct kern *k;
	struct record *record, *at;
	uint32_t n_events;
};

static uint64_t hash(uint64_t h, const void *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *)b)[i]) * 0x100000001b3ULL;
	return h;
}

/* Attributed to the record that is open; those of a batch are kept in order. */
static uint64_t *batch_events;
static size_t n_batch_events;

static void on_event(void *ctx, const struct event_head *e)
{
	struct way *w = ctx;
	uint64_t h = hash(0xcbf29ce484222325ULL, e, e->len);

	if (w->at) {
		w->at->n_events++;
		w->at->events = hash(w->at->events, &h, sizeof(h));
	} else {
		batch_events[n_batch_events++] = h;
	}
}

static const struct secret secret = { { 1, 2, 3, 4 } };

static void way_open(struct way *w, bool batch)
{
	struct kern_config c = lab_config(NULL, true);
	struct reason r;

	memset(w, 0, sizeof(*w));
	c.batch = batch;
	c.ring_bytes = 256 << 10; /* a batch has to be drained in between */
	if (kern_open(&c, &w->k, &r))
		fail_msg("%s", r.text);
	kern_control(w->k)->secret = secret;
	*kern_ports(w->k) = corpus_ports;
	w->record = calloc(n_corpus, sizeof(*w->record));
}

static void way_close(struct way *w)
{
	kern_free(w->k);
	free(w->record);
}

static void one_at_a_time(struct way *w, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++) {
		const struct corpus_frame *f = &corpus[i];
		struct record *r = &w->record[i];
		uint32_t verdict = XDP_PASS, unused;

		w->at = r;
		if (f->way & REPLAY_EGRESS)
			assert_int_equal(kern_feed(w->k, f->time_ns, f->b, f->len, true, &unused),
					 0);
		if (f->way & REPLAY_INGRESS)
			assert_int_equal(kern_feed(w->k, f->time_ns, f->b, f->len, false, &verdict),
					 0);
		assert_true(kern_events_drain(w->k, on_event, w) >= 0);
		r->verdict = verdict;
		assert_int_equal(kern_counters(w->k, r->counters), 0);
	}
}

/* Events first .. answers[].events - 1 are frame after frame's. */
static void take_answers(struct way *w, const struct batch_answer *a, const size_t *which, size_t n)
{
	n_batch_events = 0;
	w->at = NULL;
	assert_true(kern_events_drain(w->k, on_event, w) >= 0);
	for (size_t i = 0, e = 0; i < n; i++) {
		struct record *r = &w->record[which[i]];

		r->verdict = a[i].verdict;
		for (; w->n_events != a[i].events; w->n_events++, e++) {
			assert_true(e < n_batch_events);
			r->n_events++;
			r->events = hash(r->events, &batch_events[e], sizeof(batch_events[e]));
		}
	}
}

static size_t runs;

static void flush(struct way *w, unsigned int which, const size_t *index, uint32_t n)
{
	struct batch *b = kern_batch(w->k, which);

	for (uint32_t at = 0, was = 0; at < n; was = at) {
		assert_int_equal(kern_batch_run(w->k, which, &at, n), 0);
		assert_true(at > was);
		take_answers(w, b->answers + was, index + was, at - was);
		runs++;
	}
}

static void many_at_a_time(struct way *w, size_t from, size_t end, uint32_t most)
{
	static size_t index[BATCH_FRAMES];
	uint32_t n = 0, off = 0;
	unsigned int which = 0;

	for (size_t i = from; i < end; i++) {
		const struct corpus_frame *f = &corpus[i];
		struct batch *b = kern_batch(w->k, which);
		struct batch_answer alone;

		if (n == most || off >= BATCH_BYTES || f->len > BATCH_FRAME) {
			flush(w, which, index, n);
			which = (which + 1) % BATCHES;
			b = kern_batch(w->k, which);
			n = off = 0;
		}
		if (f->len > BATCH_FRAME) {
			assert_int_equal(kern_batch_alone(w->k, f->time_ns, f->b, f->len, f->way,
							  &alone),
					 0);
			take_answers(w, &alone, &i, 1);
			continue;
		}
		b->frames[n] = (struct batch_frame){ f->time_ns, off, f->len, f->way };
		if (f->len < ETH_HLEN) {
			kern_feed_short(w->k, f->len);
			b->frames[n].way = 0;
		} else {
			memcpy(b->bytes + off, f->b, f->len);
			off += f->len;
		}
		index[n++] = i;
	}
	flush(w, which, index, n);
}

/* ---- compared -------------------------------------------------------------------- */

static void table_equal(struct way *a, struct way *b, const char *name)
{
	struct bpf_map *m = bpf_object__find_map_by_name(kern_object(a->k), name);
	size_t len = bpf_map__value_size(m);
	_cleanup_(freep) uint8_t *x = calloc(2, len);
	size_t used = 0;

	for (uint32_t i = 0; i < bpf_map__max_entries(m); i++) {
		assert_int_equal(bpf_map_lookup_elem(kern_map_fd(a->k, name), &i, x), 0);
		assert_int_equal(bpf_map_lookup_elem(kern_map_fd(b->k, name), &i, x + len), 0);
		if (memcmp(x, x + len, len))
			fail_msg("%s: row %u differs", name, i);
		for (size_t k = 0; k < len; k++)
			used += x[k] != 0;
	}
	if (!used)
		fail_msg("%s: nothing in it", name);
}

static void ways_equal(struct way *a, struct way *b, size_t from, size_t end, bool counters)
{
	static const char *const tables[] = { "tallies",         "orders",     "flows",
					      "handshake_heads", "handshakes", "syns" };
	uint64_t x[COUNTER_MAX], y[COUNTER_MAX];
	size_t events = 0;

	for (size_t i = from; i < end; i++) {
		const struct record *p = &a->record[i], *q = &b->record[i];

		if (p->verdict != q->verdict || p->n_events != q->n_events ||
		    p->events != q->events)
			fail_msg("frame %zu (%u bytes): verdict %u and %u, events %u and %u", i,
				 corpus[i].len, p->verdict, q->verdict, p->n_events, q->n_events);
		if (counters)
			for (int c = 0; c < COUNTER_MAX; c++)
				if (p->counters[c] != q->counters[c])
					fail_msg("frame %zu: counter %d is %llu and %llu", i, c,
						 (unsigned long long)p->counters[c],
						 (unsigned long long)q->counters[c]);
		events += p->n_events;
	}
	assert_true(events > CORPUS_HELLOS);
	assert_int_equal(kern_counters(a->k, x), 0);
	assert_int_equal(kern_counters(b->k, y), 0);
	assert_memory_equal(x, y, sizeof(x));
	assert_int_equal(x[COUNTER_RING_LOST], 0);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		table_equal(a, b, tables[i]);
}

static void one_run_is_packet_by_packet_what_many_runs_are(void **state)
{
	static const uint32_t sizes[] = { BATCH_FRAMES, 7, 1 };
	struct way one, many;

	need_lab();
	way_open(&one, false);
	one_at_a_time(&one, 0, n_corpus);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		runs = 0;
		way_open(&many, true);
		many_at_a_time(&many, 0, n_corpus, sizes[i]);
		ways_equal(&one, &many, 0, n_corpus, false);
		print_message("%zu frames, at most %u at a time: %zu runs\n", n_corpus, sizes[i],
			      runs);
		way_close(&many);
	}
	way_close(&one);
}

/* A reset trims its frame and changes its bytes; the frames after it are whole. */
static void put_rules(struct kern *k, const uint64_t *ja4, size_t n, bool resets)
{
	static const uint8_t all[] = { RULE_RESET, RULE_DROP, RULE_REJECT, RULE_COUNT };
	static const uint8_t plain[] = { RULE_DROP, RULE_COUNT, RULE_DROP, RULE_COUNT };
	const uint8_t *actions = resets ? all : plain;
	struct reason why = {};

	for (size_t i = 0; i < n; i++) {
		struct rule r = {
			.gen = 100 + i, .handle = 100 + i, .action = actions[i % 4], .canary = 10000
		};
		struct rule_match m = { .ja4 = ja4[i] };

		assert_int_equal(kern_rule_put(k, 1 + i, &r, &m, &why), 0);
	}
}

#define KEYS_MAX 16

struct keys {
	uint64_t ja4[KEYS_MAX];
	size_t n;
};

static void on_key(void *ctx, const struct event_head *e)
{
	const struct event_hello *h = (const void *)e;
	struct keys *k = ctx;

	if (e->type != EVENT_HELLO || h->result != HELLO_OK || k->n == KEYS_MAX)
		return;
	for (size_t i = 0; i < k->n; i++)
		if (k->ja4[i] == h->hello.ja4_key)
			return;
	k->ja4[k->n++] = h->hello.ja4_key;
}

static void learn_keys(struct keys *k)
{
	struct way w;
	uint32_t verdict;

	memset(k, 0, sizeof(*k));
	way_open(&w, false);
	for (size_t i = 0; i < n_corpus; i++) {
		if (!(corpus[i].way & REPLAY_INGRESS))
			continue;
		kern_feed(w.k, corpus[i].time_ns, corpus[i].b, corpus[i].len, false, &verdict);
		kern_events_drain(w.k, on_key, k);
	}
	way_close(&w);
}

static void frames_that_rules_rewrite_leave_the_next_ones_whole(void **state)
{
	uint64_t counters[COUNTER_MAX];
	struct way one, many;
	struct keys keys;

	need_lab();
	learn_keys(&keys);
	assert_true(keys.n >= 4);
	way_open(&one, false);
	way_open(&many, true);
	put_rules(one.k, keys.ja4, keys.n, true);
	put_rules(many.k, keys.ja4, keys.n, true);
	one_at_a_time(&one, 0, n_corpus);
	many_at_a_time(&many, 0, n_corpus, BATCH_FRAMES);
	ways_equal(&one, &many, 0, n_corpus, false);
	assert_int_equal(kern_counters(many.k, counters), 0);
	print_message("%llu resets, %llu rejects, %llu drops\n",
		      (unsigned long long)counters[COUNTER_RESET],
		      (unsigned long long)counters[COUNTER_REJECT],
		      (unsigned long long)counters[COUNTER_DROP]);
	assert_true(counters[COUNTER_RESET] && counters[COUNTER_REJECT] && counters[COUNTER_DROP]);
	way_close(&one);
	way_close(&many);
}

/* ---- attached --------------------------------------------------------------------- */

static int raw_socket(const char *device)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* The verdict is what the programs count last. */
static void wait_packets(struct kern *k, uint64_t n, size_t frame)
{
	uint64_t c[COUNTER_MAX];

	for (int i = 0; i < 20000; i++) {
		assert_int_equal(kern_counters(k, c), 0);
		if (c[COUNTER_PASS] + c[COUNTER_DROP] + c[COUNTER_RESET] + c[COUNTER_REJECT] >= n)
			return;
		usleep(50);
	}
	fail_msg("frame %zu (%u bytes) never came", frame, corpus[frame].len);
}

/* Verdicts are seen in the counters, which know each of them. */
static void over_the_wire(struct way *w, size_t end)
{
	int in = raw_socket("w1"), out = raw_socket("w0");
	uint64_t n = 0;

	for (size_t i = 0; i < end; i++) {
		const struct corpus_frame *f = &corpus[i];

		w->at = &w->record[i];
		*w->k->virtual_ns = f->time_ns;
		if (f->way & REPLAY_EGRESS)
			assert_int_equal(send(out, f->b, f->len, 0), f->len);
		if (f->way & REPLAY_INGRESS) {
			assert_int_equal(send(in, f->b, f->len, 0), f->len);
			wait_packets(w->k, ++n, i);
		}
		assert_true(kern_events_drain(w->k, on_event, w) >= 0);
		assert_int_equal(kern_counters(w->k, w->at->counters), 0);
	}
	close(in);
	close(out);
}

static void captures_are_to_the_attached_programs_what_they_are_to_a_replay(void **state)
{
	struct way one, live;
	struct keys keys;
	struct reason r;
	size_t end = 0;

	need_lab();
	while (end < n_corpus && corpus[end].len >= ETH_HLEN && corpus[end].len <= MTU)
		end++; /* the odd lengths come last */
	lab_run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
		"net.ipv6.conf.default.disable_ipv6=1");
	lab_run("ip link add w0 mtu %d type veth peer name w1 mtu %d && ip link set w0 up && "
		"ip link set w1 up",
		MTU, MTU);
	learn_keys(&keys);
	way_open(&one, false);
	way_open(&live, false);
	if (kern_attach(live.k, "w0", ATTACH_NATIVE, &r))
		fail_msg("%s", r.text);
	/* What an attachment found that it can do; a replay can neither. */
	kern_control(live.k)->proof = kern_control(one.k)->proof;
	kern_control(live.k)->mirror = kern_control(one.k)->mirror;
	/* No resets: the third program takes their mark off the flow, to tell the client. */
	put_rules(one.k, keys.ja4, keys.n / 2, false);
	put_rules(live.k, keys.ja4, keys.n / 2, false);
	one_at_a_time(&one, 0, end);
	over_the_wire(&live, end);
	for (size_t i = 0; i < end; i++)
		one.record[i].verdict = 0; /* told by the counters */
	ways_equal(&one, &live, 0, end, true);
	way_close(&live);
	way_close(&one);
	lab_run("ip link del w0");
}

/* ---- the whole replay ----------------------------------------------------------------- */

struct said {
	uint64_t hash;
	size_t n, quic, ticks;
	struct quic_book *book;
	struct replay *replay;
};

static void on_hello(void *ctx, const struct replay_hello *h)
{
	struct said *s = ctx;

	s->n++;
	s->quic += h->hello->hello.transport == 'q';
	s->hash = hash(s->hash, &h->time_ns, sizeof(h->time_ns));
	if (h->hello->place == HELLO_LATER) /* its keys are under a secret of its own */
		s->hash = hash(s->hash, h->hello->bytes, h->hello->hello_len);
	else
		s->hash = hash(s->hash, h->hello, h->hello->head.len);
	if (h->handshake)
		s->hash = hash(s->hash, h->handshake, sizeof(*h->handshake));
}

static int on_quic(void *ctx, const struct event_quic *e, struct quic_news *out)
{
	return quic_book_event(((struct said *)ctx)->book, e, out);
}

static bool on_expire(void *ctx, uint64_t now, const struct event_hello **hello)
{
	return quic_book_expire(((struct said *)ctx)->book, now, hello);
}

/* The tables as they stand each half second. */
static uint64_t on_tick(void *ctx, uint64_t at)
{
	struct said *s = ctx;
	size_t n;
	const struct tally_set *t = kern_tallies(replay_kern(s->replay), &n);

	s->ticks++;
	s->hash = hash(s->hash, t, n * sizeof(*t));
	return at / 500000000 * 500000000 + 500000000;
}

static void play(const char *path, bool one_run, struct said *s)
{
	struct replay_config c = { .kern = lab_config(NULL, true),
				   .ports = corpus_ports,
				   .hello = on_hello,
				   .quic = on_quic,
				   .quic_expire = on_expire,
				   .tick = on_tick,
				   .later = true,
				   .one_run = one_run,
				   .ctx = s };
	_cleanup_(capture_freep) struct capture *capture = NULL;
	_cleanup_(quic_book_freep) struct quic_book *book = NULL;
	_cleanup_(replay_freep) struct replay *p = NULL;
	uint64_t counters[COUNTER_MAX];
	struct reason r = {};

	memset(s, 0, sizeof(*s));
	if (capture_open(path, &capture, &r) || replay_new(&c, &p, &r))
		fail_msg("%s", r.text);
	kern_control(replay_kern(p))->secret = secret;
	assert_int_equal(quic_book_new(&secret, &book), 0);
	s->book = book;
	s->replay = p;
	if (replay_run(p, capture, &r) != REPLAY_DONE)
		fail_msg("%s", r.text);
	assert_int_equal(replay_stats(p)->frames, n_corpus);
	assert_int_equal(kern_counters(replay_kern(p), counters), 0);
	s->hash = hash(s->hash, counters, sizeof(counters));
}

static void a_replay_of_batches_says_what_one_frame_at_a_time_says(void **state)
{
	char path[] = "/tmp/winnow-test-batch.XXXXXX";
	struct said one, many;

	need_lab();
	close(mkstemp(path));
	corpus_write(path);
	play(path, true, &one);
	play(path, false, &many);
	unlink(path);
	print_message("%zu hellos, %zu over QUIC, %zu ticks\n", many.n, many.quic, many.ticks);
	assert_int_equal(one.n, many.n);
	assert_int_equal(one.quic, many.quic);
	assert_int_equal(one.ticks, many.ticks);
	assert_true(many.n > 20 && many.quic >= 3 && many.ticks > 10);
	assert_int_equal(one.hash, many.hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_run_is_packet_by_packet_what_many_runs_are),
		cmocka_unit_test(frames_that_rules_rewrite_leave_the_next_ones_whole),
		cmocka_unit_test(captures_are_to_the_attached_programs_what_they_are_to_a_replay),
		cmocka_unit_test(a_replay_of_batches_says_what_one_frame_at_a_time_says),
	};

	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	batch_events = calloc(1 << 20, sizeof(*batch_events));
	lab_enter();
	/* Each processor has its own places for SYNs. */
	sched_setaffinity(0, sizeof(one), &one);
	return cmocka_run_group_tests(tests, gather, NULL);
}
