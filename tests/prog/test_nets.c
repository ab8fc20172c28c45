/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules on networks, both families: the longest around a source speaks, whatever the set
 * is, while it changes, and when it is exchanged as a whole. Fault 73. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "kern/internal.h"
#include "lib_bench.h"

static uint64_t seed = 11;
static struct frame f;

/* What the rules are, by slot; plen 0: none. */
static struct cidr kept[8192];
static uint32_t n_slots;
static uint32_t gen;

/* Few bits to begin with, so that networks lie in each other. */
static struct addr draw_addr(bool v4)
{
	uint64_t x = draw(&seed), y = draw(&seed);

	if (v4)
		return addr_v4(0x20000000 | (x & 3) << 21 | (x >> 8 & 3) << 11 | (x >> 16 & 0x7ff));
	return (struct addr){ 0x2000000000000000ULL | (x & 3) << 40 | (x >> 8 & 3) << 30 |
				      (x >> 16 & 3) << 14 | (x >> 24 & 3),
			      (y & 3) << 62 | (y >> 8 & 3) << 30 | (y >> 16 & 7) };
}

static struct cidr draw_cidr(void)
{
	bool v4 = draw(&seed) % 2;
	uint8_t plen = v4 ? 96 + draw(&seed) % 33 : 1 + draw(&seed) % 128;

	return (struct cidr){ addr_mask(draw_addr(v4), plen), plen };
}

static void begun(struct bench *b)
{
	n_slots = b->k->rules.n;
	assert_true(n_slots <= 8192);
	memset(kept, 0, sizeof(kept));
	seed = 11;
}

static int put(struct bench *b, uint32_t i, struct cidr c)
{
	struct rule r = { .handle = i, .gen = ++gen, .action = RULE_DROP, .canary = 10000 };
	struct reason why = {};
	int err = kern_rule_put(b->k, i, &r, &(struct rule_match){ .src = c }, &why);

	if (!err)
		kept[i] = c;
	return err;
}

static void removed(struct bench *b, uint32_t i)
{
	assert_int_equal(kern_rule_remove(b->k, i, &(struct rule_match){ .src = kept[i] }), 0);
	kept[i].plen = 0;
}

/* Plainly: the longest of all; of equal ones the oldest, which has the lowest gen. */
static uint32_t oracle(const struct bench *b, struct addr a)
{
	const struct rule *slots = b->k->rules.at;
	uint32_t best = 0;

	for (uint32_t i = 1; i < n_slots; i++) {
		if (!kept[i].plen || addr_is_v4(a) != addr_is_v4(kept[i].net) ||
		    !cidr_has(&kept[i], a))
			continue;
		if (!best || kept[i].plen > kept[best].plen ||
		    (kept[i].plen == kept[best].plen && slots[i].gen < slots[best].gen))
			best = i;
	}
	return best;
}

/* The rule that a packet from there meets, by whose number moves. */
static uint32_t met(struct bench *b, struct addr a, uint32_t want)
{
	struct path p = addr_is_v4(a) ? path_v4(1, 1) : path_v6(1, 1);
	uint64_t before = kern_rule_unproved(b->k, want);
	int verdict;

	p.client = a;
	frame_tcp(&f, &p, false, &(struct segment){ .flags = SYN });
	verdict = bench_in(b, &f);
	assert_int_equal(verdict, want ? XDP_DROP : XDP_PASS);
	return !want || kern_rule_unproved(b->k, want) == before + 1 ? want : UINT32_MAX;
}

static void agrees(struct bench *b, int n)
{
	for (int i = 0; i < n; i++) {
		struct addr a = draw_addr(draw(&seed) % 2);
		uint32_t near = 1 + draw(&seed) % (n_slots - 1), want;

		/* Half of them in or just beside a network. */
		if (i % 2 && kept[near].plen) {
			uint8_t bit = draw(&seed) % 129;

			a = kept[near].net;
			if (bit < 64)
				a.lo ^= 1ULL << bit % (addr_is_v4(a) ? 32 : 64);
			else if (bit < 128 && !addr_is_v4(a))
				a.hi ^= 1ULL << bit % 60;
		}
		if (addr_is_v4(a) && (!((uint32_t)a.lo >> 24) || (uint32_t)a.lo >> 24 >= 127))
			continue;
		want = oracle(b, a);
		assert_int_equal(met(b, a, want), want);
	}
}

/* Rules come and go one by one or, half the time, many at once. */
static void the_longest_network_around_a_source_speaks(void **state)
{
	struct bench *b = bench_of(state);
	bool once = false;

	begun(b);
	for (int step = 0; step < 1200; step++) {
		uint32_t i = 1 + draw(&seed) % (n_slots - 1);

		if (kept[i].plen)
			removed(b, i);
		else if (((struct rule *)b->k->rules.at)[i].gen == 0)
			put(b, i, draw_cidr());
		if (step % 60)
			continue;
		if (once)
			kern_rules_commit(b->k);
		agrees(b, 400);
		once = !once;
		if (once)
			assert_int_equal(kern_rules_begin(b->k), 0);
	}
}

/* Every length there is around one address, of both families: each speaks when the
 * longer ones are gone. */
static void all_lengths_at_once(void **state)
{
	struct bench *b = bench_of(state);
	struct addr v4 = addr_v4(0x2d2d2d2d), v6 = { 0x2d2d2d2d2d2d2d2dULL, 0x2d2d2d2d2d2d2d2dULL };
	uint32_t i = 1;

	begun(b);
	for (int plen = 96; plen <= 128; plen++)
		assert_int_equal(put(b, i++, (struct cidr){ addr_mask(v4, plen), plen }), 0);
	for (int plen = 1; plen <= 128; plen++)
		assert_int_equal(put(b, i++, (struct cidr){ addr_mask(v6, plen), plen }), 0);
	for (uint32_t last = 33 + 128; last > 33; last--) {
		assert_int_equal(met(b, v6, last), last);
		removed(b, last);
	}
	for (uint32_t last = 33; last; last--) {
		assert_int_equal(met(b, v4, last), last);
		removed(b, last);
	}
	assert_int_equal(met(b, v4, 0), 0);
	assert_int_equal(met(b, v6, 0), 0);
}

/* 66: as many as the configuration says, and not one more. */
static void a_full_table_holds_them_all_and_refuses_the_next(void **state)
{
	struct bench *b = bench_of(state);
	struct reason why = {};

	begun(b);
	for (uint32_t i = 1; i < n_slots; i++) {
		uint64_t x = draw(&seed);

		assert_int_equal(put(b, i,
				     i % 3 ? (struct cidr){ addr_v4(0x20000000 + 3 * i), 128 }
					   : (struct cidr){ { x | 1ULL << 61, 0 }, 64 }),
				 0);
	}
	assert_int_equal(put(b, n_slots, (struct cidr){ addr_v4(1), 128 }), -ENOSPC);
	agrees(b, 2000);
	/* An exchange needs room for both. */
	assert_int_equal(kern_rules_begin(b->k), 0);
	removed(b, 5);
	assert_int_equal(kern_rule_put(b->k, 5, &(struct rule){ .gen = 1 << 30 },
				       &(struct rule_match){ .src = draw_cidr() }, &why),
			 -ENOSPC);
	assert_non_null(strstr(why.text, "together until they are exchanged"));
	kern_rules_commit(b->k);
	assert_int_equal(put(b, 5, draw_cidr()), 0);
	agrees(b, 200);
}

/* 77: killed between the writes of a change. */
static void a_start_writes_anew_what_was_left_half_done(void **state)
{
	struct bench *b = bench_of(state);
	struct nets *n = &b->k->nets;

	begun(b);
	for (uint32_t i = 1; i < 150; i++)
		put(b, i, draw_cidr());
	agrees(b, 200);
	memset(n->roots.at, 0, n->roots.n * sizeof(uint64_t));
	memset(n->deep.at, 0xff, n->deep.n * sizeof(uint64_t));
	assert_int_equal(nets_open(b->k, true), 0);
	agrees(b, 1000);
}

struct traffic {
	struct bench *b;
	bool stop;
	uint64_t packets, passed;
};

static void *traffic_run(void *arg)
{
	struct traffic *t = arg;
	static struct frame frame;
	struct path p = path_v4(1, 1), q = path_v6(1, 1);

	for (uint32_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_RELAXED); i++) {
		uint32_t verdict = 0;

		p.client = addr_v4(0x20000000 | (i % 100) << 12 | (i & 0xff));
		q.client = (struct addr){ 0x2000000000000000ULL | (uint64_t)(i % 100) << 16, i };
		frame_tcp(&frame, i % 2 ? &p : &q, false, &(struct segment){ .flags = SYN });
		if (kern_feed(t->b->k, t->b->t * 1000, frame.b, frame.len, false, &verdict))
			break;
		t->packets++;
		t->passed += verdict != XDP_DROP;
	}
	return NULL;
}

/* Two sets of other networks around the same sources: a packet meets the one or the
 * other, never neither, and never a rule that is on its way out. */
static void sets_are_exchanged_under_traffic_without_a_gap(void **state)
{
	struct bench *b = bench_of(state);
	struct traffic t = { .b = b };
	uint32_t base = 1, rounds = 0;
	pthread_t thread;

	begun(b);
	for (int i = 0; i < 100; i++) {
		put(b, base + 2 * i, (struct cidr){ addr_v4(0x20000000 | i << 12), 96 + 20 });
		put(b, base + 2 * i + 1,
		    (struct cidr){ { 0x2000000000000000ULL | (uint64_t)i << 16, 0 }, 48 });
	}
	assert_int_equal(pthread_create(&thread, NULL, traffic_run, &t), 0);
	while (rounds < 40 || __atomic_load_n(&t.packets, __ATOMIC_RELAXED) < 20000) {
		uint32_t next = base == 1 ? 1001 : 1;
		uint8_t longer = ++rounds % 2 * 3;

		assert_int_equal(kern_rules_begin(b->k), 0);
		for (int i = 0; i < 200; i++)
			removed(b, base + i);
		for (int i = 0; i < 100; i++) {
			put(b, next + 2 * i,
			    (struct cidr){ addr_v4(0x20000000 | i << 12), 96 + 20 + longer });
			put(b, next + 2 * i + 1,
			    (struct cidr){ { 0x2000000000000000ULL | (uint64_t)i << 16, 0 },
					   48 + longer });
		}
		kern_rules_commit(b->k);
		base = next;
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("%llu packets, %u exchanges\n", (unsigned long long)t.packets, rounds);
	assert_true(t.packets >= 20000);
	assert_int_equal(t.passed, 0);
}

static int setup_many(void **state)
{
	*state = geteuid() ? NULL : bench_open(&(struct bench_sizes){ .rules = 6000 });
	return 0;
}

#define FEW(t)  cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)
#define MANY(t) cmocka_unit_test_setup_teardown(t, setup_many, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FEW(the_longest_network_around_a_source_speaks),
		MANY(the_longest_network_around_a_source_speaks),
		FEW(all_lengths_at_once),
		MANY(all_lengths_at_once),
		MANY(a_full_table_holds_them_all_and_refuses_the_next),
		FEW(a_start_writes_anew_what_was_left_half_done),
		MANY(a_start_writes_anew_what_was_left_half_done),
		MANY(sets_are_exchanged_under_traffic_without_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
