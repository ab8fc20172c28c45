/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "detect/window.h"

#define FIRST_SLOTS 16

/* A slot is a record's number + 1 in the bits of the mask, above them those of the hash; 0:
 * free. There are slots for all records, so that their numbers fit below the mask. */

static uint32_t hash_of(uint64_t src, uint8_t family)
{
	struct source_id id = { src, family };

	return table_hash(&id, sizeof(id));
}

void addresses_clear(struct addresses *a)
{
	free(a->slots);
	memset(a, 0, sizeof(*a));
}

static uint32_t slot_of(const struct addresses *a, const struct table *ids, uint64_t src,
			uint8_t family, uint32_t hash)
{
	uint32_t i = hash & a->mask;

	for (; a->slots[i]; i = (i + 1) & a->mask) {
		const struct record_id *id;

		if ((a->slots[i] ^ hash) & ~a->mask)
			continue;
		id = table_key(ids, (a->slots[i] & a->mask) - 1);
		if (id->src == src && id->family == family)
			break;
	}
	return i;
}

/* For records up to number `i`. */
static int grow(struct addresses *a, const struct table *ids, size_t i)
{
	struct addresses old = *a, now = { .n = a->n, .mask = FIRST_SLOTS - 1 };

	while (4 * (i + 1) > 3 * ((size_t)now.mask + 1))
		now.mask = 2 * now.mask + 1;
	now.slots = memory_zeroed(((size_t)now.mask + 1) * sizeof(*now.slots));
	if (!now.slots)
		return -ENOMEM;
	for (size_t k = 0; old.slots && k <= old.mask; k++) {
		const struct record_id *id;
		uint32_t hash, at;

		if (!old.slots[k])
			continue;
		id = table_key(ids, (old.slots[k] & old.mask) - 1);
		hash = hash_of(id->src, id->family);
		for (at = hash & now.mask; now.slots[at];)
			at = (at + 1) & now.mask;
		now.slots[at] = (hash & ~now.mask) | (old.slots[k] & old.mask);
	}
	free(old.slots);
	*a = now;
	return 0;
}

int addresses_add(struct addresses *a, const struct table *ids, size_t i, size_t *first)
{
	const struct record_id *id = table_key(ids, i);
	uint32_t hash = hash_of(id->src, id->family), at;

	if ((!a->slots || 4 * (i + 1) > 3 * ((size_t)a->mask + 1)) && grow(a, ids, i))
		return -ENOMEM;
	at = slot_of(a, ids, id->src, id->family, hash);
	if (!a->slots[at]) {
		a->slots[at] = (hash & ~a->mask) | (i + 1);
		a->n++;
	}
	*first = (a->slots[at] & a->mask) - 1;
	return 0;
}

size_t addresses_find(const struct addresses *a, const struct table *ids, uint64_t src,
		      uint8_t family)
{
	uint32_t at;

	if (!a->slots)
		return NO_ADDRESS;
	at = slot_of(a, ids, src, family, hash_of(src, family));
	return a->slots[at] ? (a->slots[at] & a->mask) - 1 : NO_ADDRESS;
}

void addresses_ask(const struct addresses *a, uint64_t src, uint8_t family)
{
	if (a->slots)
		__builtin_prefetch(&a->slots[hash_of(src, family) & a->mask]);
}
