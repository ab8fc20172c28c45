/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.h - a hash table of fixed-size keys and values.
 *
 * Rows lie densely in the order they were added, so a loop over them is plain
 * and gives the same answer in every run, whatever the hash:
 *
 *	for (size_t i = 0; i < t.n; i++)
 *		use(table_key(&t, i), table_value(&t, i));
 *
 * Removing moves the last row into the gap: to remove while looping, count
 * i down. Keys and values are copied, aligned as their sizes may ask for (up to 8), keys
 * compared by memcmp (no padding in them). Pointers into the table hold until the next
 * add or remove.
 *
 * The hash is salted once per process, so keys chosen by a stranger cannot
 * be aimed at one slot. Not for several threads at once.
 *
 * Cost:   key and value, aligned, and 5 to 11 bytes of index per row; an expected number
 *         of probes below 3.
 * Errors: -ENOMEM (the table is as it was), or NULL where said.
 * Source: open addressing with backward shift, Knuth TAOCP 3, 6.4, algorithm R.
 */
#ifndef WINNOW_BASE_TABLE_H
#define WINNOW_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	size_t n; /* rows */
	/* private */
	size_t key_len, value_off, row_len;
	size_t room; /* rows allocated */
	size_t mask; /* slots - 1 */
	unsigned char *rows;
	uint32_t *slots;
};

/* Sizes in bytes, key 1 or more, value 0 for a set. Allocates nothing. */
void table_init(struct table *t, size_t key_len, size_t value_len);
/* All rows go, the memory too; the table can be used again. */
void table_clear(struct table *t);
static inline void table_clearp(struct table *t)
{
	table_clear(t);
}

/* The value, or NULL. */
void *table_find(const struct table *t, const void *key);
/* The same for n <= TABLE_AT_ONCE keys, one behind the other: they wait for memory
 * together. */
#define TABLE_AT_ONCE 32
void table_find_all(const struct table *t, const void *keys, size_t n, void **values);
/* Its slot is on its way from memory when the key is looked for or added a little later. */
void table_ask(const struct table *t, const void *key);
/* Room for n rows in all, so that adding them moves nothing. -ENOMEM. */
int table_reserve(struct table *t, size_t n);
/* The value of that key, zeroed if the row is new (*added, may be NULL).
 * NULL: no memory. */
void *table_add(struct table *t, const void *key, bool *added);
/* True if it was there. */
bool table_remove(struct table *t, const void *key);
/* Row i goes; the last row takes its number. */
void table_remove_at(struct table *t, size_t i);

/* Salted as the tables are. */
uint32_t table_hash(const void *key, size_t len);

/* Which row a value that was found or added stands in. */
static inline size_t table_row(const struct table *t, const void *value)
{
	return (size_t)((const unsigned char *)value - t->value_off - t->rows) / t->row_len;
}

/* Row i < t->n. */
static inline const void *table_key(const struct table *t, size_t i)
{
	return t->rows + i * t->row_len;
}

static inline void *table_value(const struct table *t, size_t i)
{
	return t->rows + i * t->row_len + t->value_off;
}

#endif
