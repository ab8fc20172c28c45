/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/table.h"

static void an_empty_table_answers_without_memory(void **state)
{
	struct table t;
	uint64_t key = 7;

	(void)state;
	table_init(&t, sizeof(key), 0);
	assert_null(table_find(&t, &key));
	assert_false(table_remove(&t, &key));
	assert_null(t.rows);
	table_clear(&t);
}

static void a_new_row_is_zero_and_an_old_one_keeps_its_value(void **state)
{
	_cleanup_(table_clearp) struct table t;
	uint64_t key = 7, *value;
	bool added;

	(void)state;
	table_init(&t, sizeof(key), sizeof(*value));
	value = table_add(&t, &key, &added);
	assert_true(added);
	assert_int_equal(*value, 0);
	*value = 42;
	value = table_add(&t, &key, &added);
	assert_false(added);
	assert_int_equal(*value, 42);
	assert_ptr_equal(table_find(&t, &key), value);
	assert_int_equal(t.n, 1);
}

/* A removed slot filled with what lay there before would show here. */
static void a_row_that_comes_back_is_zero_again(void **state)
{
	_cleanup_(table_clearp) struct table t;
	uint64_t key = 7;

	(void)state;
	table_init(&t, sizeof(key), sizeof(uint64_t));
	*(uint64_t *)table_add(&t, &key, NULL) = 42;
	assert_true(table_remove(&t, &key));
	assert_int_equal(*(uint64_t *)table_add(&t, &key, NULL), 0);
}

static void keys_of_odd_length_differ_in_every_byte(void **state)
{
	_cleanup_(table_clearp) struct table t;
	char key[13] = {};

	(void)state;
	table_init(&t, sizeof(key), 1);
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = 1;
		*(char *)table_add(&t, key, NULL) = 'a' + i;
		key[i] = 0;
	}
	assert_int_equal(t.n, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = 1;
		assert_int_equal(*(char *)table_find(&t, key), 'a' + i);
		key[i] = 0;
	}
	assert_null(table_find(&t, key));
}

static void rows_stay_in_the_order_they_came(void **state)
{
	_cleanup_(table_clearp) struct table t;

	(void)state;
	table_init(&t, sizeof(uint32_t), 0);
	for (uint32_t key = 1000; key > 0; key--)
		assert_non_null(table_add(&t, &key, NULL));
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(*(const uint32_t *)table_key(&t, i), 1000 - i);
}

static void rows_can_be_removed_while_counting_down(void **state)
{
	_cleanup_(table_clearp) struct table t;
	uint32_t key;

	(void)state;
	table_init(&t, sizeof(key), 0);
	for (key = 0; key < 500; key++)
		table_add(&t, &key, NULL);
	for (size_t i = t.n; i-- > 0;)
		if (*(const uint32_t *)table_key(&t, i) % 3)
			table_remove_at(&t, i);
	assert_int_equal(t.n, 167);
	for (key = 0; key < 500; key++)
		assert_int_equal(table_find(&t, &key) != NULL, key % 3 == 0);
}

/* 200,000 random steps against a plain array as the truth: runs of collisions
 * that wrap around, growth and backward shifts all occur. */
static void agrees_with_a_plain_array_over_random_steps(void **state)
{
	enum { KEYS = 3000 };
	static uint32_t truth[KEYS]; /* 0: not there */
	_cleanup_(table_clearp) struct table t;
	unsigned int seed = 1;
	size_t n = 0;

	(void)state;
	table_init(&t, sizeof(uint64_t), sizeof(uint32_t));
	for (uint32_t step = 1; step <= 200000; step++) {
		uint64_t key = rand_r(&seed) % KEYS;
		uint32_t *value;

		/* Mostly adding, then mostly removing, in turn. */
		if (rand_r(&seed) % 4 < (step / 20000 % 2 ? 1 : 3)) {
			value = table_add(&t, &key, NULL);
			assert_int_equal(*value, truth[key]);
			n += !truth[key];
			*value = truth[key] = step;
		} else {
			assert_int_equal(table_remove(&t, &key), truth[key] != 0);
			n -= truth[key] != 0;
			truth[key] = 0;
		}
		assert_int_equal(t.n, n);
		if (step % 5000)
			continue;
		for (key = 0; key < KEYS; key++) {
			value = table_find(&t, &key);
			assert_int_equal(value ? *value : 0, truth[key]);
		}
	}
}

/* Added rows stay where they are, and each is found. */
static void reserved_rows_do_not_move(void **state)
{
	_cleanup_(table_clearp) struct table t;
	uint64_t n = 100000, *first;

	table_init(&t, sizeof(uint64_t), sizeof(uint64_t));
	for (uint64_t key = 0; key < 10; key++)
		*(uint64_t *)table_add(&t, &key, NULL) = key + 1;
	assert_int_equal(table_reserve(&t, n), 0);
	first = table_value(&t, 0);
	for (uint64_t key = 10; key < n; key++)
		*(uint64_t *)table_add(&t, &key, NULL) = key + 1;
	assert_ptr_equal(table_value(&t, 0), first);
	assert_int_equal(table_reserve(&t, 5), 0);
	for (uint64_t key = 0; key < n; key++) {
		table_ask(&t, &key);
		assert_int_equal(*(uint64_t *)table_find(&t, &key), key + 1);
	}
	assert_null(table_find(&t, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_answers_without_memory),
		cmocka_unit_test(a_new_row_is_zero_and_an_old_one_keeps_its_value),
		cmocka_unit_test(a_row_that_comes_back_is_zero_again),
		cmocka_unit_test(keys_of_odd_length_differ_in_every_byte),
		cmocka_unit_test(rows_stay_in_the_order_they_came),
		cmocka_unit_test(rows_can_be_removed_while_counting_down),
		cmocka_unit_test(reserved_rows_do_not_move),
		cmocka_unit_test(agrees_with_a_plain_array_over_random_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
