/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/memory.h"

/* A piece's number is that of its first step of 8 bytes, all chunks counted. The last step
 * of a chunk is no piece's, so that it may be read behind one. */
#define CHUNK_STEPS  (SLAB_CHUNK / SLAB_STEP)
#define BLOCK_CHUNKS (MEMORY_HUGE / SLAB_CHUNK)

struct slab_chunk {
	uint8_t *at;             /* NULL: without pieces */
	uint32_t next, previous; /* with room, of one size; + 1 */
	uint16_t steps;          /* a piece */
	uint16_t fresh;          /* steps never given out begin here */
	uint16_t free;           /* the piece that came back last; its number within + 1 */
	uint16_t live;
};

/* Of the chunks with the same number but for the last bits. */
struct slab_block {
	uint8_t *at; /* NULL: without chunks */
	size_t live;
};

/* What a piece that came back holds. */
static uint16_t *next_free(const struct slab_chunk *c, uint16_t step)
{
	return (uint16_t *)(c->at + (size_t)step * SLAB_STEP);
}

static uint16_t steps_of(size_t len)
{
	return (len + SLAB_STEP - 1) / SLAB_STEP;
}

void slab_clear(struct slab *s)
{
	for (size_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i].at);
	free(s->blocks);
	free(s->chunks);
	memset(s, 0, sizeof(*s));
}

void *slab_at(const struct slab *s, uint32_t piece)
{
	return s->chunks[piece / CHUNK_STEPS].at + (size_t)(piece % CHUNK_STEPS) * SLAB_STEP;
}

static void link_open(struct slab *s, uint32_t i)
{
	struct slab_chunk *c = &s->chunks[i];
	uint32_t *head = &s->open[c->steps - 1];

	c->previous = 0;
	c->next = *head;
	if (*head)
		s->chunks[*head - 1].previous = i + 1;
	*head = i + 1;
}

static void unlink_open(struct slab *s, uint32_t i)
{
	struct slab_chunk *c = &s->chunks[i];

	if (c->next)
		s->chunks[c->next - 1].previous = c->previous;
	if (c->previous)
		s->chunks[c->previous - 1].next = c->next;
	else
		s->open[c->steps - 1] = c->next;
}

/* Where chunk i is. */
static uint8_t *block_take(struct slab *s, uint32_t i)
{
	struct slab_block *b;

	if (i / BLOCK_CHUNKS == s->n_blocks) {
		if (array_room(&s->blocks, s->n_blocks, &s->room_blocks, sizeof(*s->blocks)))
			return NULL;
		s->blocks[s->n_blocks++] = (struct slab_block){};
	}
	b = &s->blocks[i / BLOCK_CHUNKS];
	if (!b->live)
		b->at = memory_new(MEMORY_HUGE);
	if (!b->at)
		return NULL;
	b->live++;
	return b->at + i % BLOCK_CHUNKS * SLAB_CHUNK;
}

static void block_give(struct slab *s, uint32_t i)
{
	struct slab_block *b = &s->blocks[i / BLOCK_CHUNKS];

	if (--b->live)
		return;
	free(b->at);
	b->at = NULL;
}

static int chunk_new(struct slab *s, uint16_t steps)
{
	uint32_t i = s->empty ? s->empty - 1 : s->n;
	uint8_t *at;

	if (s->n >= UINT32_MAX / CHUNK_STEPS ||
	    (!s->empty && array_room(&s->chunks, s->n, &s->room, sizeof(*s->chunks))))
		return -ENOMEM;
	at = block_take(s, i);
	if (!at)
		return -ENOMEM;
	if (s->empty)
		s->empty = s->chunks[i].next;
	else
		s->n++;
	/* Piece 0 is no piece. */
	s->chunks[i] = (struct slab_chunk){ .at = at, .steps = steps, .fresh = i == 0 };
	link_open(s, i);
	return 0;
}

static int has_room(const struct slab_chunk *c)
{
	return c->free || c->fresh + c->steps < CHUNK_STEPS;
}

uint32_t slab_take(struct slab *s, size_t len)
{
	uint16_t steps = steps_of(len), at;
	struct slab_chunk *c;
	uint32_t i;

	if (!s->open[steps - 1] && chunk_new(s, steps))
		return 0;
	i = s->open[steps - 1] - 1;
	c = &s->chunks[i];
	if (c->free) {
		at = c->free - 1;
		c->free = *next_free(c, at);
	} else {
		at = c->fresh;
		c->fresh += steps;
	}
	c->live++;
	if (!has_room(c))
		unlink_open(s, i);
	return i * CHUNK_STEPS + at;
}

void slab_give(struct slab *s, uint32_t piece)
{
	uint32_t i = piece / CHUNK_STEPS;
	struct slab_chunk *c = &s->chunks[i];
	uint16_t at = piece % CHUNK_STEPS;

	if (!has_room(c))
		link_open(s, i);
	*next_free(c, at) = c->free;
	c->free = at + 1;
	if (--c->live)
		return;
	unlink_open(s, i);
	block_give(s, i);
	*c = (struct slab_chunk){ .next = s->empty };
	s->empty = i + 1;
}

uint32_t slab_fit(struct slab *s, uint32_t piece, size_t len)
{
	uint32_t other;

	if (piece && s->chunks[piece / CHUNK_STEPS].steps == steps_of(len))
		return piece;
	other = slab_take(s, len);
	if (other && piece)
		slab_give(s, piece);
	return other;
}
