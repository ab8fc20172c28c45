/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/handout.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kern/thread.h"

#define BUFFERS 4
#define ROOM    (256 << 10)

/* Followed by the hello. */
struct given {
	uint64_t time_ns;
	uint32_t len; /* with the hello, a multiple of 8 */
	bool joined;
	struct event_handshake handshake;
};

_Static_assert(sizeof(struct given) % 8 == 0, "the hello follows");
_Static_assert(ROOM > 4 * HELLO_MAX, "a hello fits");

struct buffer {
	size_t len;
	bool full; /* the thread's; under the lock */
	uint8_t b[ROOM] __attribute__((aligned(8)));
};

struct handout {
	handout_fn fn;
	void *ctx;
	struct buffer buffer[BUFFERS];
	unsigned int filling; /* adder's alone */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool quit; /* under the lock */
};

static void hand_out(struct handout *h, const struct buffer *b)
{
	for (size_t at = 0; at < b->len;) {
		const struct given *g = (const void *)(b->b + at);

		h->fn(h->ctx, g->time_ns, (const void *)(g + 1), g->joined ? &g->handshake : NULL);
		at += g->len;
	}
}

static void *run(void *arg)
{
	struct handout *h = arg;
	unsigned int which = 0;

	for (;; which = (which + 1) % BUFFERS) {
		struct buffer *b = &h->buffer[which];

		pthread_mutex_lock(&h->lock);
		while (!b->full && !h->quit)
			pthread_cond_wait(&h->change, &h->lock);
		pthread_mutex_unlock(&h->lock);
		if (!b->full)
			return NULL;
		hand_out(h, b);
		b->len = 0;
		pthread_mutex_lock(&h->lock);
		b->full = false;
		pthread_cond_broadcast(&h->change);
		pthread_mutex_unlock(&h->lock);
	}
}

int handout_new(handout_fn fn, void *ctx, struct handout **out)
{
	struct handout *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->fn = fn;
	h->ctx = ctx;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->change, NULL);
	err = thread_begin(&h->thread, run, h);
	if (err) {
		free(h);
		return err;
	}
	*out = h;
	return 0;
}

/* Hands the buffer under way over, and waits for the next to be free. */
static void turn(struct handout *h)
{
	pthread_mutex_lock(&h->lock);
	h->buffer[h->filling].full = true;
	pthread_cond_broadcast(&h->change);
	h->filling = (h->filling + 1) % BUFFERS;
	while (h->buffer[h->filling].full)
		pthread_cond_wait(&h->change, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

void handout_add(struct handout *h, uint64_t time_ns, const struct event_hello *hello,
		 const struct event_handshake *handshake)
{
	size_t len = (sizeof(struct given) + hello->head.len + 7) / 8 * 8;
	struct buffer *b = &h->buffer[h->filling];
	struct given *g;

	if (b->len + len > ROOM) {
		turn(h);
		b = &h->buffer[h->filling];
	}
	g = (struct given *)(b->b + b->len);
	g->time_ns = time_ns;
	g->len = len;
	g->joined = handshake;
	if (handshake)
		g->handshake = *handshake;
	memcpy(g + 1, hello, hello->head.len);
	b->len += len;
}

void handout_flush(struct handout *h, bool all)
{
	bool busy = false;

	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < BUFFERS; i++)
		busy |= h->buffer[i].full;
	pthread_mutex_unlock(&h->lock);
	if (h->buffer[h->filling].len && (all || !busy))
		turn(h);
	pthread_mutex_lock(&h->lock);
	for (int i = 0; all && i < BUFFERS; i++)
		while (h->buffer[i].full)
			pthread_cond_wait(&h->change, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

void handout_free(struct handout *h)
{
	if (!h)
		return;
	handout_flush(h, true);
	pthread_mutex_lock(&h->lock);
	h->quit = true;
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->change);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
