/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/memory.h"

static int all_are(const uint8_t *at, size_t n, uint8_t what)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != what)
			return 0;
	return 1;
}

static void it_is_aligned_to_a_line_or_to_a_huge_page(void **state)
{
	static const size_t len[] = {
		1, 63, 4096, MEMORY_HUGE - 1, MEMORY_HUGE, 5 * MEMORY_HUGE / 2
	};

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		_cleanup_(freep) uint8_t *at = memory_new(len[i]);
		size_t to = len[i] < MEMORY_HUGE ? MEMORY_LINE : MEMORY_HUGE;

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % to, 0);
		memset(at, 0xa5, len[i]);
	}
}

/* What was there before must not show. */
static void zeroed_is_zero(void **state)
{
	static const size_t len[] = { 1000, 3 * MEMORY_HUGE / 2 };

	for (size_t i = 0; i < 2; i++) {
		uint8_t *at = memory_new(len[i]);

		memset(at, 0xa5, len[i]);
		free(at);
		at = memory_zeroed(len[i]);
		assert_true(all_are(at, len[i], 0));
		free(at);
	}
}

static void more_keeps_what_was_used(void **state)
{
	uint8_t *at = memory_more(NULL, 0, 100);

	memset(at, 1, 100);
	at = memory_more(at, 100, MEMORY_HUGE);
	assert_true(all_are(at, 100, 1));
	memset(at, 2, MEMORY_HUGE);
	at = memory_more(at, MEMORY_HUGE, 4 * MEMORY_HUGE);
	assert_true(all_are(at, MEMORY_HUGE, 2));
	free(at);
}

#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed, and ends what asks for too much */
static long resident(void)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/statm", "r");
	long total = 0, now = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &total, &now), 2);
	return now * sysconf(_SC_PAGESIZE);
}

/* An array that grew to 64 MB has left nothing of the smaller ones behind. */
static void what_it_grew_from_goes_back(void **state)
{
	size_t len = MEMORY_HUGE;
	uint8_t *at = memory_new(len);
	long before = resident();

	memset(at, 1, len);
	for (; len < 64 << 20; len *= 2) {
		at = memory_more(at, len, 2 * len);
		memset(at + len, 1, len);
	}
	assert_in_range(resident() - before, 0, len + len / 8);
	free(at);
}

/* More than there are addresses. */
static void too_much_is_no_memory(void **state)
{
	void *at = memory_new(100);

	assert_null(memory_new(SIZE_MAX / 2));
	assert_null(memory_zeroed(SIZE_MAX / 2));
	assert_null(memory_more(at, 100, SIZE_MAX / 2));
	free(at); /* still there */
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_aligned_to_a_line_or_to_a_huge_page),
		cmocka_unit_test(zeroed_is_zero),
		cmocka_unit_test(more_keeps_what_was_used),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(what_it_grew_from_goes_back),
		cmocka_unit_test(too_much_is_no_memory),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
