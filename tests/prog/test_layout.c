/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loaded program beside the host's reader and parser: every recorded hello in
 * hundreds of layouts - records, what stands before them, segments, order, repetition,
 * early data behind - and the same with bytes of it changed, over buffers that hold
 * other bytes. One answer each time. Faults 22, 24, 25, 28, 32, 33; tests/fuzz/fuzz_layout.c
 * goes on from here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib_layout.h"

#define LAYOUTS 100 /* of each hello */
#define SCRIPT  96

static struct layout l;
static struct layout_answer a;
static struct bytes msg;

static int one_slot(void **state)
{
	*state = geteuid() ? NULL : bench_open(&(struct bench_sizes){ .reassembly = 1 });
	return 0;
}

static void fill(uint8_t *b, size_t len, uint64_t *seed)
{
	for (size_t i = 0; i < len; i++)
		b[i] = draw(seed) >> 24;
}

/* `changes` bytes of each message are other ones. Answers how many were named. */
static size_t try_all(struct bench *b, uint64_t seed, size_t layouts, unsigned int changes,
		      size_t *tried)
{
	uint8_t script[SCRIPT];
	struct bytes *all;
	size_t n = hellos_recorded(&all), named = 0;

	assert_true(n >= 30);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < layouts; k++) {
			const char *wrong;

			fill(script, sizeof(script), &seed);
			if (!changes)
				script[0] &= 0x7f;
			msg = all[i];
			for (unsigned int c = 0; c < changes; c++)
				msg.b[draw(&seed) % msg.len] = draw(&seed);
			layout_make(&l, script, sizeof(script), msg.b, msg.len);
			wrong = layout_check(b, &l, &a);
			if (wrong)
				fail_msg("hello %zu, layout %zu: %s", i, k, wrong);
			named += a.result == HELLO_OK;
			++*tried;
		}
	free(all);
	return named;
}

static void every_layout_of_a_hello_has_one_answer(void **state)
{
	struct bench *b = bench_of(state);
	size_t tried = 0, named = try_all(b, 22, LAYOUTS, 0, &tried);

	print_message("%zu layouts, %zu named\n", tried, named);
	/* The others have nine records and more, or something before them. */
	assert_true(named >= tried / 4);
}

static void changed_bytes_change_both_answers_alike(void **state)
{
	struct bench *b = bench_of(state);
	size_t tried = 0, named = try_all(b, 33, LAYOUTS / 2, 2, &tried);

	print_message("%zu layouts of changed hellos, %zu named\n", tried, named);
	assert_true(named < tried);
}

#define ONE_SLOT(t) cmocka_unit_test_setup_teardown(t, one_slot, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE_SLOT(every_layout_of_a_hello_has_one_answer),
		ONE_SLOT(changed_bytes_change_both_answers_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
