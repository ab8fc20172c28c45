/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counts.c - one bit for each word that is not 0, for each of these a byte that says where
 * in it the bytes begin and how many there are, then those bytes.
 */
#include "detect/counts.h"

#include <string.h>

_Static_assert(offsetof(struct counts, zero) + 4 == COUNTS_WORDS * 8, "counts are 60 words");
#define ROW_WORDS (sizeof(struct tally) / 8)

typedef uint64_t __attribute__((may_alias)) word;

/* DSTAR_NONE becomes 0, what is not kept, too. */
static void row_kept(const struct tally *row, struct tally *out)
{
	*out = (struct tally){ .tcp_key = row->tcp_key, .state = row->state };
	memcpy(out->d1dstar, row->d1dstar, sizeof(out->d1dstar));
	memcpy(out->gaps, row->gaps, sizeof(out->gaps));
	for (int i = 0; i < DSTAR_KEPT; i++)
		out->dstar[i] = row->dstar[i] ^ DSTAR_NONE;
}

/* Where bytes that are not 0 begin, and how many there are up to the last. */
static uint8_t extent(uint64_t v)
{
	unsigned int first = __builtin_ctzll(v) / 8, last = 7 - __builtin_clzll(v) / 8;

	return first << 4 | (last - first + 1);
}

static uint64_t low_bytes(unsigned int n)
{
	return ~0ULL >> (64 - 8 * n);
}

size_t counts_pack(const struct counts *c, uint8_t out[COUNTS_MOST])
{
	const word *all = (const word *)c;
	uint64_t value[COUNTS_WORDS], used = 0;
	uint8_t how[COUNTS_WORDS], *at;
	struct tally row;
	size_t n = 0;

	row_kept(&c->row, &row);
	for (size_t i = 0; i < COUNTS_WORDS; i++) {
		uint64_t v = i < ROW_WORDS ? ((const word *)&row)[i] : all[i];

		if (!v)
			continue;
		used |= 1ULL << i;
		how[n] = extent(v);
		value[n] = v >> 8 * (how[n] >> 4);
		n++;
	}
	memcpy(out, &used, sizeof(used));
	memcpy(out + sizeof(used), how, n);
	at = out + sizeof(used) + n;
	for (size_t i = 0; i < n; at += how[i++] & 15)
		memcpy(at, &value[i], sizeof(value[i]));
	return at - out;
}

void counts_unpack(const uint8_t *in, struct counts *c)
{
	const uint8_t *how = in + sizeof(uint64_t), *at;
	word *all = (word *)c;
	uint64_t used, v;

	memset(c, 0, sizeof(*c));
	memcpy(&used, in, sizeof(used));
	at = how + __builtin_popcountll(used);
	for (; used; used &= used - 1) {
		unsigned int n = *how & 15;

		memcpy(&v, at, sizeof(v));
		at += n;
		all[__builtin_ctzll(used)] = (v & low_bytes(n)) << 8 * (*how++ >> 4);
	}
	for (int i = 0; i < DSTAR_KEPT; i++)
		c->row.dstar[i] ^= DSTAR_NONE;
}

bool counts_whole(const uint8_t *in, size_t len)
{
	uint64_t used;
	size_t n, bytes;

	if (len < sizeof(used) || len > COUNTS_MOST - COUNTS_SLACK)
		return false;
	memcpy(&used, in, sizeof(used));
	n = __builtin_popcountll(used);
	if (used >> COUNTS_WORDS || len - sizeof(used) < n)
		return false;
	bytes = sizeof(used) + n;
	for (size_t i = 0; i < n; i++) {
		uint8_t how = in[sizeof(used) + i], many = how & 15;

		if (!many || (how >> 4) + many > 8)
			return false;
		bytes += many;
	}
	return bytes == len;
}
