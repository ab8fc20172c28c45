/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calendar.c - who acts next: a ring of one-second slots, and a heap of the second at
 * hand. A source due beyond the ring waits in its slot for another round.
 *
 * Cost: O(1) a source and round, and the logarithm of how many act in one second.
 * Source: Brown 1988, "Calendar queues".
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/world.h"

#define SLOTS  (1U << 17) /* 36 hours */
#define WIDTH  1000000    /* us */
#define NOBODY UINT32_MAX

struct due {
	int64_t at;
	uint32_t who;
};

int calendar_open(struct world *w)
{
	w->slots = malloc(SLOTS * sizeof(*w->slots));
	if (!w->slots)
		return -ENOMEM;
	for (size_t i = 0; i < SLOTS; i++)
		w->slots[i] = NOBODY;
	w->slot = -1;
	return 0;
}

void calendar_close(struct world *w)
{
	free(w->slots);
	free(w->heap);
}

static int push(struct world *w, struct due d)
{
	size_t i;

	if (w->heap_n == w->heap_room) {
		size_t room = w->heap_room ? w->heap_room * 2 : 1024;
		struct due *more = realloc(w->heap, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->heap = more;
		w->heap_room = room;
	}
	for (i = w->heap_n++; i && w->heap[(i - 1) / 2].at > d.at; i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = d;
	return 0;
}

static struct due pop(struct world *w)
{
	struct due top = w->heap[0], last = w->heap[--w->heap_n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->heap_n) {
		if (child + 1 < w->heap_n && w->heap[child + 1].at < w->heap[child].at)
			child++;
		if (w->heap[child].at >= last.at)
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return top;
}

int calendar_add(struct world *w, uint32_t i)
{
	struct source *s = &w->sources[i];
	int64_t slot;

	if (s->next == NEVER || s->next > (int64_t)s->until * 1000000)
		return 0;
	if (s->next < 0)
		s->next = 0;
	slot = s->next / WIDTH;
	if (slot <= w->slot)
		return push(w, (struct due){ s->next, i });
	s->link = w->slots[slot % SLOTS];
	w->slots[slot % SLOTS] = i;
	return 0;
}

/* Those of the next slot that are due in it go to the heap, the others stay. */
static int turn(struct world *w)
{
	uint32_t i = w->slots[++w->slot % SLOTS], next;

	w->slots[w->slot % SLOTS] = NOBODY;
	for (; i != NOBODY; i = next) {
		struct source *s = &w->sources[i];

		next = s->link;
		if (s->next / WIDTH <= w->slot) {
			if (push(w, (struct due){ s->next, i }))
				return -ENOMEM;
			continue;
		}
		s->link = w->slots[w->slot % SLOTS];
		w->slots[w->slot % SLOTS] = i;
	}
	return 0;
}

uint32_t calendar_next(struct world *w)
{
	while (!w->heap_n) {
		if (w->slot * (double)WIDTH >= w->c.length * 1e6 || turn(w))
			return NOBODY;
	}
	return pop(w).who;
}
