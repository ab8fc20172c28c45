/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slab.h"

#define PIECES 20000

static uint32_t piece[PIECES];
static size_t len[PIECES];

static size_t len_of(uint32_t i)
{
	return 1 + (i * 2654435761U >> 16) % SLAB_MOST;
}

static void write_all_of(struct slab *s, uint32_t i)
{
	memset(slab_at(s, piece[i]), i * 31, len[i]);
}

static void is_untouched(const struct slab *s, uint32_t i)
{
	const uint8_t *at = slab_at(s, piece[i]);

	for (size_t k = 0; k < len[i]; k++)
		assert_int_equal(at[k], (uint8_t)(i * 31));
}

/* Of all sizes; every third goes, every second changes its size. */
static void pieces_never_overlap(void **state)
{
	struct slab s = {};

	for (uint32_t i = 0; i < PIECES; i++) {
		len[i] = len_of(i);
		piece[i] = slab_take(&s, len[i]);
		assert_int_not_equal(piece[i], 0);
		assert_int_equal((uintptr_t)slab_at(&s, piece[i]) % SLAB_STEP, 0);
		write_all_of(&s, i);
	}
	for (uint32_t i = 0; i < PIECES; i += 3)
		slab_give(&s, piece[i]);
	for (uint32_t i = 1; i < PIECES; i += 3) {
		len[i] = len_of(i + 7);
		piece[i] = slab_fit(&s, piece[i], len[i]);
		write_all_of(&s, i);
	}
	for (uint32_t i = 0; i < PIECES; i++)
		if (i % 3)
			is_untouched(&s, i);
	slab_clear(&s);
}

static void a_piece_that_fits_stays(void **state)
{
	struct slab s = {};
	uint32_t p = slab_take(&s, 33);

	assert_int_equal(slab_fit(&s, p, 40), p);
	assert_int_not_equal(slab_fit(&s, p, 41), p);
	slab_clear(&s);
}

/* All of one size go; as many of another take no new chunk. */
static void memory_of_one_size_serves_another(void **state)
{
	struct slab s = {};
	size_t chunks;

	for (uint32_t i = 0; i < PIECES; i++)
		piece[i] = slab_take(&s, 64);
	chunks = s.n;
	for (uint32_t i = 0; i < PIECES; i++)
		slab_give(&s, piece[i]);
	for (uint32_t i = 0; i < PIECES; i++)
		piece[i] = slab_take(&s, 56);
	assert_int_equal(s.n, chunks);
	slab_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_never_overlap),
		cmocka_unit_test(a_piece_that_fits_stays),
		cmocka_unit_test(memory_of_one_size_serves_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
