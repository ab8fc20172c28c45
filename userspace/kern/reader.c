/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/if_ether.h>

#include "base/cleanup.h"
#include "kern/replay.h"
#include "kern/thread.h"

#define PAUSE_NS 50000000L
/* Batches that a reader who has none waits for: to be woken for each costs more. */
#define FREE_AT_ONCE (BATCHES / 4)
/* A SYN|ACK or a connection id is told by the first bytes. */
#define EGRESS_BYTES 2048

struct reader {
	struct capture *capture;
	const struct ports *ports;
	struct batch *room[BATCHES];
	struct reader_batch batch[BATCHES];
	uint8_t *large[BATCHES]; /* the frame of a batch of one */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	/* Under the lock: */
	bool free[BATCHES], quit;
	unsigned int n_free;
};

/* ---- the thread ------------------------------------------------------------- */

/* Who is ahead of the others by all batches sleeps until there is something to do. */
static bool wait_free(struct reader *r, unsigned int which)
{
	bool go;

	pthread_mutex_lock(&r->lock);
	if (!r->free[which])
		while (r->n_free < FREE_AT_ONCE && !r->quit)
			pthread_cond_wait(&r->change, &r->lock);
	r->free[which] = false;
	r->n_free--;
	go = !r->quit;
	pthread_mutex_unlock(&r->lock);
	return go;
}

static void close_batch(struct reader *r, struct reader_batch *b, enum capture_end end)
{
	b->end = end;
	pthread_mutex_lock(&r->lock);
	b->closed = true;
	pthread_cond_broadcast(&r->change);
	pthread_mutex_unlock(&r->lock);
}

/* From here on they are the other thread's. No more is asked for than that order: to wait
 * for the lines that have been written took a third of the thread's time. */
static void hand_over(struct reader_batch *b, uint32_t n)
{
	atomic_store_explicit(&b->n, n, memory_order_release);
}

/* The frame at place `n`; false: it belongs into the next batch. */
static bool frame_add(struct reader *r, unsigned int which, uint32_t *off,
		      const struct capture_frame *f)
{
	struct reader_batch *b = &r->batch[which];
	struct batch *room = r->room[which];
	uint32_t n = b->n, len = f->len;
	struct reader_frame *to = &b->frames[n];

	to->s = segment_read(f->data, f->len);
	to->way = replay_direction(r->ports, &to->s);
	to->client = replay_is_client(r->ports, &to->s);
	to->time_ns = f->time_ns;
	to->len = f->len;
	to->wire_len = f->wire_len;
	to->back = f->back;
	to->data = NULL;
	if (to->way == BATCH_EGRESS && len > EGRESS_BYTES)
		len = EGRESS_BYTES;
	if (to->way && len > BATCH_FRAME) {
		if (n)
			return false;
		memcpy(r->large[which], f->data, len);
		to->data = r->large[which];
		b->alone = true;
		hand_over(b, 1);
		return true;
	}
	if (to->way && len >= ETH_HLEN) {
		if (*off >= BATCH_BYTES)
			return false;
		memcpy(room->bytes + *off, f->data, len);
		to->data = room->bytes + *off;
		room->frames[n].off = *off;
		room->frames[n].len = len;
		*off += (len + 7) / 8 * 8;
	}
	room->frames[n].way = to->data ? to->way : 0;
	hand_over(b, n + 1);
	return true;
}

static void *read_all(void *arg)
{
	struct reader *r = arg;
	enum capture_end end = CAPTURE_FRAME;
	struct capture_frame f;
	bool have = false; /* a frame that did not fit */

	for (unsigned int which = 0; end == CAPTURE_FRAME; which = (which + 1) % BATCHES) {
		struct reader_batch *b = &r->batch[which];
		uint32_t off = 0;

		if (!wait_free(r, which))
			break;
		while (b->n < BATCH_FRAMES && !b->alone) {
			if (!have)
				end = capture_next(r->capture, &f, &b->why);
			if (end != CAPTURE_FRAME)
				break;
			have = !frame_add(r, which, &off, &f);
			if (have)
				break;
		}
		close_batch(r, b, end);
	}
	return NULL;
}

/* ---- the other side ------------------------------------------------------------ */

static void discard(struct reader *r)
{
	for (unsigned int i = 0; i < BATCHES; i++)
		free(r->large[i]);
	free(r);
}

int reader_new(struct capture *c, struct kern *k, const struct ports *ports, struct reader **out)
{
	struct reader *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->capture = c;
	r->ports = ports;
	for (unsigned int i = 0; i < BATCHES; i++) {
		r->room[i] = kern_batch(k, i);
		r->free[i] = true;
		r->n_free++;
		r->large[i] = malloc(ETH_HLEN + CAPTURE_FRAME_MAX);
		if (!r->large[i])
			err = -ENOMEM;
	}
	if (err) {
		discard(r);
		return err;
	}
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->change, NULL);
	err = thread_begin(&r->thread, read_all, r);
	if (err) {
		discard(r);
		return err;
	}
	*out = r;
	return 0;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	pthread_cond_broadcast(&r->change);
	pthread_mutex_unlock(&r->lock);
	capture_interrupt(r->capture);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->change);
	pthread_mutex_destroy(&r->lock);
	discard(r);
}

void reader_freep(struct reader **r)
{
	reader_free(*r);
}

const struct reader_batch *reader_wait(struct reader *r, unsigned int which, uint32_t from)
{
	const struct reader_batch *b = &r->batch[which];
	struct timespec until;

	if (b->closed)
		return b;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PAUSE_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&r->lock);
	while (!b->closed && !pthread_cond_timedwait(&r->change, &r->lock, &until))
		;
	pthread_mutex_unlock(&r->lock);
	return b->closed || b->n > from ? b : NULL;
}

const struct reader_batch *reader_look(const struct reader *r, unsigned int which)
{
	return &r->batch[which];
}

void reader_leave(struct reader *r, unsigned int which)
{
	struct reader_batch *b = &r->batch[which];

	b->n = 0;
	b->alone = false;
	b->closed = false;
}

void reader_return(struct reader *r, unsigned int which)
{
	pthread_mutex_lock(&r->lock);
	r->free[which] = true;
	if (++r->n_free >= FREE_AT_ONCE)
		pthread_cond_broadcast(&r->change);
	pthread_mutex_unlock(&r->lock);
}
