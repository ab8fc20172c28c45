/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/memory.h"

#define FIRST_SLOTS 16

/* A slot is the number of its row + 1, which fits the bits of the mask, and above them
 * those of the hash that did not choose the slot: they spare most looks at wrong rows.
 * 0: free. */

/* What a type of that size may have to be aligned to. */
static size_t alignment(size_t size)
{
	size_t lowest = size & -size;

	return lowest && lowest < 8 ? lowest : 8;
}

static size_t rounded(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* splitmix64 finalizer: every input bit reaches every output bit. */
static uint64_t mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* From the 16 random bytes the kernel gives every process: cannot fail. Mixed,
 * because the C library uses the same bytes for its own guards. */
static uint64_t salt(void)
{
	static uint64_t drawn;

	if (!drawn) {
		memcpy(&drawn, (const void *)getauxval(AT_RANDOM), sizeof(drawn));
		drawn = mix64(drawn ^ 0x7461626c65ULL) | 1;
	}
	return drawn;
}

uint32_t table_hash(const void *key, size_t len)
{
	const unsigned char *at = key;
	uint64_t h = salt(), word;

	for (; len >= 8; at += 8, len -= 8) {
		memcpy(&word, at, 8);
		h = mix64(h ^ word);
	}
	if (len) {
		word = 0;
		memcpy(&word, at, len);
		h = mix64(h ^ word);
	}
	return h;
}

void table_init(struct table *t, size_t key_len, size_t value_len)
{
	size_t key = alignment(key_len), value = value_len ? alignment(value_len) : 1;
	size_t off = rounded(key_len, value);

	*t = (struct table){
		.key_len = key_len,
		.value_off = off,
		.row_len = rounded(off + value_len, key > value ? key : value),
	};
}

void table_clear(struct table *t)
{
	free(t->rows);
	free(t->slots);
	t->rows = NULL;
	t->slots = NULL;
	t->n = t->room = t->mask = 0;
}

/* In place: most keys are two to four words, and memcmp() is a call. */
static bool same_key(const unsigned char *a, const unsigned char *b, size_t len)
{
	uint64_t x, y;

	for (; len >= 8; a += 8, b += 8, len -= 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y)
			return false;
	}
	return !len || !memcmp(a, b, len);
}

/* The slot of that key, or the free slot where it would go. */
static size_t slot_of(const struct table *t, const void *key, uint32_t hash)
{
	uint32_t mask = t->mask, i = hash & mask;

	while (t->slots[i]) {
		if (!((t->slots[i] ^ hash) & ~mask) &&
		    same_key(table_key(t, (t->slots[i] & mask) - 1), key, t->key_len))
			break;
		i = (i + 1) & mask;
	}
	return i;
}

static void *value_at(const struct table *t, size_t slot)
{
	uint32_t row = t->slots[slot] & t->mask;

	return row ? table_value(t, row - 1) : NULL;
}

void *table_find(const struct table *t, const void *key)
{
	size_t i;

	if (!t->n)
		return NULL;
	i = slot_of(t, key, table_hash(key, t->key_len));
	return value_at(t, i);
}

void table_find_all(const struct table *t, const void *keys, size_t n, void **values)
{
	const unsigned char *key = keys;
	uint32_t hash[TABLE_AT_ONCE];

	for (size_t i = 0; i < n; i++) {
		hash[i] = table_hash(key + i * t->key_len, t->key_len);
		if (t->n)
			__builtin_prefetch(&t->slots[hash[i] & t->mask]);
	}
	for (size_t i = 0; i < n && t->n; i++) {
		uint32_t row = t->slots[hash[i] & t->mask] & t->mask;

		if (row)
			__builtin_prefetch(table_key(t, row - 1));
	}
	for (size_t i = 0; i < n; i++)
		values[i] = t->n ? value_at(t, slot_of(t, key + i * t->key_len, hash[i])) : NULL;
}

void table_ask(const struct table *t, const void *key)
{
	if (t->slots)
		__builtin_prefetch(&t->slots[table_hash(key, t->key_len) & t->mask]);
}

static int grow_rows(struct table *t, size_t room)
{
	unsigned char *rows;

	if (room >= UINT32_MAX)
		return -ENOMEM;
	rows = memory_more(t->rows, t->n * t->row_len, room * t->row_len);
	if (!rows)
		return -ENOMEM;
	t->rows = rows;
	t->room = room;
	return 0;
}

/* Kept at most three quarters full. Keys lie in order: to hash them again is cheap. */
static int grow_slots(struct table *t, size_t n_slots)
{
	uint32_t *slots = n_slots > UINT32_MAX ? NULL : memory_zeroed(n_slots * sizeof(*slots));
	uint32_t mask = n_slots - 1;

	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	for (size_t first = 0, n; first < t->n; first += n) {
		uint32_t hash[TABLE_AT_ONCE];

		n = t->n - first < TABLE_AT_ONCE ? t->n - first : TABLE_AT_ONCE;
		for (size_t k = 0; k < n; k++) {
			hash[k] = table_hash(table_key(t, first + k), t->key_len);
			__builtin_prefetch(&slots[hash[k] & mask], 1);
		}
		for (size_t k = 0; k < n; k++) {
			uint32_t i = hash[k] & mask;

			while (slots[i])
				i = (i + 1) & mask;
			slots[i] = (hash[k] & ~mask) | (first + k + 1);
		}
	}
	return 0;
}

static bool too_full(size_t n, size_t n_slots)
{
	return 4 * n > 3 * n_slots;
}

int table_reserve(struct table *t, size_t n)
{
	size_t had = t->slots ? t->mask + 1 : 0, n_slots = had ? had : FIRST_SLOTS;
	int err = n > t->room ? grow_rows(t, n) : 0;

	while (too_full(n, n_slots))
		n_slots *= 2;
	return !err && n_slots > had ? grow_slots(t, n_slots) : err;
}

void *table_add(struct table *t, const void *key, bool *added)
{
	uint32_t hash = table_hash(key, t->key_len);
	unsigned char *row;
	size_t i;

	if (added)
		*added = false;
	if (t->n) {
		i = slot_of(t, key, hash);
		if (t->slots[i])
			return value_at(t, i);
	}
	if (t->n == t->room && grow_rows(t, t->room ? 2 * t->room : FIRST_SLOTS / 2))
		return NULL;
	if (!t->slots && grow_slots(t, FIRST_SLOTS))
		return NULL;
	if (too_full(t->n + 1, t->mask + 1) && grow_slots(t, 2 * (t->mask + 1)))
		return NULL;

	row = t->rows + t->n * t->row_len;
	memset(row, 0, t->row_len);
	memcpy(row, key, t->key_len);
	i = slot_of(t, key, hash);
	t->n++;
	t->slots[i] = (hash & ~(uint32_t)t->mask) | t->n;
	if (added)
		*added = true;
	return row + t->value_off;
}

static size_t home_of(const struct table *t, size_t slot)
{
	return table_hash(table_key(t, (t->slots[slot] & t->mask) - 1), t->key_len) & t->mask;
}

/* Frees a slot; later slots of the same run move up so that none is cut off. */
static void slot_free(struct table *t, size_t gap)
{
	size_t i = gap;

	for (;;) {
		size_t home;

		t->slots[gap] = 0;
		do {
			i = (i + 1) & t->mask;
			if (!t->slots[i])
				return;
			home = home_of(t, i);
		} while (((i - home) & t->mask) < ((i - gap) & t->mask));
		t->slots[gap] = t->slots[i];
		gap = i;
	}
}

static void remove_slot(struct table *t, size_t slot)
{
	size_t row = (t->slots[slot] & t->mask) - 1, last = t->n - 1;

	slot_free(t, slot);
	if (row != last) {
		const void *key = table_key(t, last);
		uint32_t *of = &t->slots[slot_of(t, key, table_hash(key, t->key_len))];

		*of = (*of & ~(uint32_t)t->mask) | (row + 1);
		memcpy(t->rows + row * t->row_len, key, t->row_len);
	}
	t->n--;
}

bool table_remove(struct table *t, const void *key)
{
	size_t i;

	if (!t->n)
		return false;
	i = slot_of(t, key, table_hash(key, t->key_len));
	if (!t->slots[i])
		return false;
	remove_slot(t, i);
	return true;
}

void table_remove_at(struct table *t, size_t i)
{
	const void *key = table_key(t, i);

	remove_slot(t, slot_of(t, key, table_hash(key, t->key_len)));
}
