/* SPDX-License-Identifier: BSD-2-Clause */
/* The newest rows of a table are the ones a whole sort would put first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/snapshot.h"

#define SETS 512
#define NOW  (1ULL << 60)

static struct tally_set sets[SETS];
static uint64_t seed;

static uint32_t some(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

/* A table in which `share` of 16 slots are in use, seen lately, long ago or "later". */
static size_t fill(uint64_t with, unsigned int share, uint32_t ages)
{
	size_t n = 0;

	seed = with;
	memset(sets, 0, sizeof(sets));
	for (size_t i = 0; i < SETS * WAYS; i++) {
		sets[i / WAYS].slot[i % WAYS].src = i;
		sets[i / WAYS].heat[i % WAYS] = (uint32_t)(NOW >> STAMP_SHIFT) - some() % ages + 2;
		if (some() % 16 >= share)
			continue;
		sets[i / WAYS].tag[i % WAYS] = 1;
		n++;
	}
	return n;
}

static uint32_t age_of(const struct tally *t)
{
	uint32_t age = (uint32_t)(NOW >> STAMP_SHIFT) - t->last_seen;

	return age >> 31 ? 0 : age;
}

static int by_age(const void *a, const void *b)
{
	uint32_t x = age_of(a), y = age_of(b);

	return (x > y) - (x < y);
}

static void the_newest_rows_are_those_that_a_sort_puts_first(void **state)
{
	static const size_t limits[] = { 1, 2, 7, 100, 1000, 100000 };
	static const uint32_t ages[] = { 1, 5, 4000, 0x7fffffff };

	(void)state;
	for (size_t round = 0; round < 6 * 4 * 17; round++) {
		size_t limit = limits[round % 6], total, n;
		struct snapshot *all = snapshot_new(NOW, 0), *some_of = snapshot_new(NOW, 0);

		n = fill(round + 1, round / 24, ages[round / 6 % 4]);
		assert_int_equal(snapshot_add_sets(all, sets, SETS, NULL, 0), 0);
		assert_int_equal(snapshot_add_newest(some_of, sets, SETS, limit, &total), 0);
		assert_int_equal(total, n);
		assert_int_equal(some_of->n_rows, n < limit ? n : limit);
		if (n)
			qsort(all->rows, n, sizeof(all->rows[0]), by_age);
		for (size_t i = 0; i < some_of->n_rows; i++) {
			assert_int_equal(age_of(&some_of->rows[i]), age_of(&all->rows[i]));
			assert_true(
				sets[some_of->rows[i].src / WAYS].tag[some_of->rows[i].src % WAYS]);
			sets[some_of->rows[i].src / WAYS].tag[some_of->rows[i].src % WAYS] = 0;
		}
		snapshot_free(all);
		snapshot_free(some_of);
	}
}

static void a_row_that_changes_hands_is_skipped_and_counted(void **state)
{
	struct snapshot *s = snapshot_new(NOW, 0);
	size_t total, n = fill(3, 16, 100);

	(void)state;
	sets[5].slot[3].gen = 7;
	assert_int_equal(snapshot_add_newest(s, sets, SETS, SETS * WAYS, &total), 0);
	assert_int_equal(total, n);
	assert_int_equal(s->n_rows, n - 1);
	assert_int_equal(s->losses.rows_skipped, 1);
	snapshot_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_rows_are_those_that_a_sort_puts_first),
		cmocka_unit_test(a_row_that_changes_hands_is_skipped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
