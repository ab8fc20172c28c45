/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring that nobody reads, a sketch that somebody aims at, keys that go while a table is
 * walked, and what the loaded object has none of. Faults 47, 48, 67, 74. */
#include <pthread.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib_bench.h"
#include "kern/internal.h"
#include "key.bpf.h"

static struct bytes msg;

static struct path from(uint32_t n)
{
	struct path p = path_v4(0, 1024 + n % 60000);

	p.client.lo = ADDR_V4_MARK | (0x0a000000 + n);
	return p;
}

static struct bench *bench_or_skip(const struct bench_sizes *s)
{
	if (geteuid()) {
		print_message("skipped: needs root to load programs\n");
		skip();
	}
	return bench_open(s);
}

/* ---- fault 48 -------------------------------------------------------------------------- */

#define SOURCES     1000
#define CONNECTIONS 500000 /* two events and more each */

static void connect_all(struct bench *b, uint32_t n, bool read)
{
	hello_build(&msg, &(struct hello_spec){});
	for (uint32_t i = 0; i < n; i++) {
		struct path p = from(i % SOURCES);
		struct conn c;

		p.sport = 1024 + i / SOURCES;
		conn_whole(&c, b, &p, &msg);
		bench_after(b, MSEC);
		if (read)
			bench_events(b);
	}
}

/* With each event read they are so many a connection; unread, those in the ring and those
 * counted as lost are as many, and no row has a connection less. */
static void a_ring_nobody_reads_loses_what_it_counts_and_no_tally(void **state)
{
	struct bench *b = bench_or_skip(&(struct bench_sizes){ .tallies = 8192 });
	size_t each;

	(void)state;
	connect_all(b, 100, true);
	expect_count(b, RING_LOST, 0);
	each = b->hello.n + b->handshake.n;
	assert_int_equal(each % 100, 0);
	each /= 100;
	assert_true(each >= 2);
	bench_free(b);

	b = bench_open(&(struct bench_sizes){ .tallies = 8192, .ring_bytes = 4096 });
	bench_mark(b);
	connect_all(b, CONNECTIONS, false);
	bench_events(b); /* what had room */
	assert_true(b->hello.n + b->handshake.n > 0);
	expect_count(b, RING_LOST, each * CONNECTIONS - b->hello.n - b->handshake.n);
	expect_count(b, TALLY_EVICTED, 0);
	assert_int_equal(bench_tallies(b), SOURCES);
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct path p = from(i);

		assert_int_equal(bench_tally(b, &p, 0)->connections, CONNECTIONS / SOURCES);
	}
	/* and the reader that is back has the next one */
	b->hello.n = 0;
	connect_all(b, 1, true);
	assert_int_equal(b->hello.n, 1);
	bench_free(b);
}

/* ---- fault 47 -------------------------------------------------------------------------- */

#define AIMED 64

/* Sources that share a bit of the sketch for whoever knows this secret. */
static void aim(const struct secret *s, struct path out[AIMED])
{
	for (uint32_t i = 0, n = 0; n < AIMED; i++) {
		struct path p = from(i);
		uint64_t source = source_word(&p.client, 4);

		if (key_source(s, source, 0) >> 58 == 17)
			out[n++] = p;
	}
}

static uint16_t distinct(const struct secret *s, const struct path list[AIMED])
{
	struct bench *b = bench_open(NULL);
	const struct order_tally *o;
	struct hello h;
	uint16_t n;

	b->c->secret = *s;
	hello_build(&msg, &(struct hello_spec){});
	for (int i = 0; i < AIMED; i++) {
		struct conn c;

		conn_whole(&c, b, &list[i], &msg);
		bench_after(b, 100 * MSEC);
	}
	h = bench_keys(b, &msg);
	o = bench_order(b, h.stack_key, h.order_hash);
	assert_non_null(o);
	assert_int_equal(o->connections, AIMED);
	n = o->distinct;
	bench_free(b);
	return n;
}

/* Linear counting of 62 sources in 64 bits: 40 are expected, 28 are 4 deviations off. */
static void a_sketch_is_hit_only_by_who_knows_the_secret(void **state)
{
	const struct secret known = { { 1, 2, 3, 4 } }, drawn = { { 5, 6, 7, 8 } };
	struct path list[AIMED];

	(void)state;
	bench_free(bench_or_skip(NULL));
	aim(&known, list);
	assert_int_equal(distinct(&known, list), 3); /* the aim is true */
	assert_in_range(distinct(&drawn, list), 28, AIMED);
}

/* ---- fault 67 -------------------------------------------------------------------------- */

struct churn {
	int fd;
	bool stop;
	uint64_t written;
};

static void *churn(void *arg)
{
	struct churn *c = arg;

	for (uint64_t key = 1; !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); key++) {
		uint64_t old = key - 100;

		bpf_map_update_elem(c->fd, &key, &key, BPF_ANY);
		bpf_map_delete_elem(c->fd, &old);
		__atomic_fetch_add(&c->written, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Keys come and go under the walk: it ends all the same. */
static void a_walk_ends_while_keys_come_and_go(void **state)
{
	struct bench *b = bench_or_skip(NULL);
	struct churn c = { .fd = kern_map_fd(b->k, "named") };
	uint64_t key, before;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	while (__atomic_load_n(&c.written, __ATOMIC_RELAXED) < 1000)
		;
	before = __atomic_load_n(&c.written, __ATOMIC_RELAXED);
	do
		assert_int_equal(kern_names_forget(b->k), 0);
	while (__atomic_load_n(&c.written, __ATOMIC_RELAXED) < before + 10000);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(kern_names_forget(b->k), 0);
	assert_int_not_equal(bpf_map_get_next_key(c.fd, NULL, &key), 0);
	bench_free(b);
}

static void gone(void *ctx, const struct cidr *c)
{
	struct bench *b = ctx;
	struct cidr next = *c;

	/* the one that comes next is no longer there */
	next.net.lo++;
	kern_allow_remove(b->k, &next);
	b->hello.n++;
}

static void a_list_is_read_while_its_entries_go(void **state)
{
	struct bench *b = bench_or_skip(NULL);
	struct reason r;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		struct cidr c = { { 0, ADDR_V4_MARK | (0x0a000000 + i) }, 128 };

		assert_int_equal(kern_allow_put(b->k, &c, &r), 0);
	}
	assert_int_equal(kern_allows(b->k, gone, b), 0);
	assert_in_range(b->hello.n, 50, 100);
	bench_free(b);
}

/* ---- fault 74 -------------------------------------------------------------------------- */

/* Programs are replaced by link updates; there is no array of programs to edit. */
static void no_program_is_called_through_an_array(void **state)
{
	struct bench *b = bench_or_skip(NULL);
	const struct bpf_map *m;
	size_t n = 0;

	(void)state;
	bpf_object__for_each_map(m, kern_object(b->k)) {
		assert_int_not_equal(bpf_map__type(m), BPF_MAP_TYPE_PROG_ARRAY);
		n++;
	}
	assert_true(n > 10);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_nobody_reads_loses_what_it_counts_and_no_tally),
		cmocka_unit_test(a_sketch_is_hit_only_by_who_knows_the_secret),
		cmocka_unit_test(a_walk_ends_while_keys_come_and_go),
		cmocka_unit_test(a_list_is_read_while_its_entries_go),
		cmocka_unit_test(no_program_is_called_through_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
