/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slab.h - many small pieces of memory, each known by a number of 32 bits.
 *
 * Pieces of one size (in steps of 8 bytes) lie side by side in chunks, chunks in blocks of a
 * huge page. A chunk whose last piece was given back may serve another size after that; a
 * block without pieces goes back.
 *
 * In:     1 to SLAB_MOST bytes; a piece is aligned to 8, and the 8 bytes behind it may be
 *         read.
 * Cost:   at most 7 bytes a piece, one chunk that is not full a size, a block that is not
 *         full, 24 bytes a chunk.
 * Bound:  2^32 - 1 steps of 8 bytes: 32 GB.
 * Errors: 0 is no piece: no memory.
 */
#ifndef WINNOW_BASE_SLAB_H
#define WINNOW_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_MOST  640
#define SLAB_STEP  8
#define SLAB_CHUNK 65536 /* bytes */

struct slab_chunk;
struct slab_block;

struct slab {
	/* private */
	struct slab_chunk *chunks;
	size_t n, room;
	struct slab_block *blocks;
	size_t n_blocks, room_blocks;
	uint32_t empty;                       /* chunks without pieces, by their next */
	uint32_t open[SLAB_MOST / SLAB_STEP]; /* by size: chunks with room; + 1 */
};

/* Nothing is allocated: zeros are an empty slab. */
void slab_clear(struct slab *s);

uint32_t slab_take(struct slab *s, size_t len);
void slab_give(struct slab *s, uint32_t piece);
/* The piece for `len` bytes, what was in it lost: itself where they fit as they would in
 * a new one. 0: no memory, and the piece is as it was. */
uint32_t slab_fit(struct slab *s, uint32_t piece, size_t len);

void *slab_at(const struct slab *s, uint32_t piece);

#endif
