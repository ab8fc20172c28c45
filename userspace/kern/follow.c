/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/follow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "kern/join.h"
#include "kern/later.h"
#include "kern/thread.h"
#include "kern/unfinished.h"

#define QUEUE (2 * BATCHES) /* of each its frames, and that it is given back */

struct item {
	struct follow_frames frames;
	struct reader *reader; /* not NULL: give `which` back, and no frames */
	unsigned int which;
};

struct follow {
	const struct replay_config *config;
	struct kern *kern;
	const struct replay_clock *clock;
	struct join *join;
	struct later *later; /* NULL: not asked for */
	struct unfinished unfinished;
	struct follow_frames now; /* `at`: the frame whose events are taken */
	bool begun;               /* that frame */
	uint32_t told;            /* events taken */
	uint64_t hellos, handshakes;
	int err; /* of an event */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	/* Under the lock: */
	struct item queue[QUEUE];
	unsigned int first, n;
	int ended; /* the error that ended it */
	bool quit;
};

static void on_hello(void *ctx, const struct event_hello *hello,
		     const struct event_handshake *handshake)
{
	struct follow *f = ctx;
	struct replay_hello h = { .time_ns = replay_clock_real(f->clock, hello->head.time),
				  .hello = hello,
				  .handshake = handshake };

	f->hellos++;
	if (f->config->hello)
		f->config->hello(f->config->ctx, &h);
}

static int on_later(void *ctx, const struct event_hello *e)
{
	struct follow *f = ctx;

	return join_event(f->join, &e->head);
}

/* ---- frames and their events -------------------------------------------------------- */

static int on_quic(struct follow *f, const struct event_quic *e)
{
	struct quic_news news;
	int err;

	if (!f->config->quic || e->head.len < sizeof(*e))
		return 0;
	err = f->config->quic(f->config->ctx, e, &news);
	if (!err)
		err = kern_quic_news(f->kern, &news);
	if (!err && news.hello)
		err = join_event(f->join, &news.hello->head);
	return err;
}

static int quic_expire(struct follow *f, uint64_t now)
{
	const struct replay_config *c = f->config;
	const struct event_hello *hello;
	int err = 0;

	while (!err && c->quic_expire && c->quic_expire(c->ctx, now, &hello))
		err = hello ? join_event(f->join, &hello->head) : 0;
	return err;
}

/* Before the events of a frame: the handshake it ends must find the row. */
static int frame_begin(struct follow *f, const struct reader_frame *frame, uint64_t now)
{
	return frame->client ? unfinished_segment(&f->unfinished, &frame->s, frame->data, now) : 0;
}

static int frame_end(struct follow *f, const struct reader_frame *frame, uint64_t now)
{
	int err = 0;

	if (frame->client && f->later)
		err = later_segment(f->later, &frame->s, frame->data, frame->len, now);
	if (!err)
		err = quic_expire(f, now);
	join_advance(f->join, now);
	return err;
}

/* The frames whose events have all been taken; `all`: there are no more. */
static void settle(struct follow *f, bool all)
{
	struct follow_frames *s = &f->now;

	for (; s->at < s->end; s->at++) {
		const struct reader_frame *frame = s->frames ? &s->frames[s->at] : NULL;
		uint64_t now = s->times[s->at].time;
		int err = 0;

		if (frame && !f->begun)
			err = frame_begin(f, frame, now);
		f->begun = true;
		if (!all && s->answers[s->at].events != f->told)
			return; /* the next event is its own */
		if (frame && !err)
			err = frame_end(f, frame, now);
		f->begun = false;
		if (err)
			f->err = err;
	}
}

static void on_event(void *ctx, const struct event_head *e)
{
	struct follow *f = ctx;
	int err;

	settle(f, false);
	f->told++;
	err = e->type == EVENT_QUIC ? on_quic(f, (const void *)e) : join_event(f->join, e);
	if (!err && f->later && e->type == EVENT_HELLO)
		err = later_known(f->later, (const void *)e, e->time);
	if (e->type == EVENT_HANDSHAKE) {
		f->handshakes++;
		unfinished_end(&f->unfinished, e);
	}
	if (err)
		f->err = err;
}

/* The ring may hold events of frames that run meanwhile: they are left there. */
static int follow_events(struct follow *f, const struct follow_frames *frames)
{
	uint32_t n = frames->answers[frames->end - 1].events - f->told;
	int err;

	f->now = *frames;
	err = kern_events_take(f->kern, n, on_event, f);
	settle(f, true);
	return err ? err : f->err;
}

/* ---- the thread ----------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct follow *f = arg;

	pthread_mutex_lock(&f->lock);
	while (f->n || !f->quit) {
		struct item *i = &f->queue[f->first];
		int err = f->ended;

		if (!f->n) {
			pthread_cond_wait(&f->change, &f->lock);
			continue;
		}
		pthread_mutex_unlock(&f->lock);
		if (i->reader)
			reader_return(i->reader, i->which);
		else if (!err)
			err = follow_events(f, &i->frames);
		pthread_mutex_lock(&f->lock);
		f->ended = err;
		f->first = (f->first + 1) % QUEUE;
		f->n--;
		pthread_cond_broadcast(&f->change);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static int add(struct follow *f, const struct item *i)
{
	int err;

	pthread_mutex_lock(&f->lock);
	while (f->n == QUEUE)
		pthread_cond_wait(&f->change, &f->lock);
	f->queue[(f->first + f->n) % QUEUE] = *i;
	f->n++;
	err = f->ended;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* ---- the other side -------------------------------------------------------------------- */

int follow_add(struct follow *f, const struct follow_frames *frames)
{
	return frames->at < frames->end ? add(f, &(struct item){ .frames = *frames }) : 0;
}

void follow_return(struct follow *f, struct reader *r, unsigned int which)
{
	add(f, &(struct item){ .reader = r, .which = which });
}

int follow_wait(struct follow *f)
{
	int err;

	pthread_mutex_lock(&f->lock);
	while (f->n)
		pthread_cond_wait(&f->change, &f->lock);
	err = f->ended;
	pthread_mutex_unlock(&f->lock);
	return err;
}

size_t follow_unfinished(struct follow *f, uint8_t out[SEGMENT_HEAD])
{
	return unfinished_take(&f->unfinished, out);
}

int follow_finish(struct follow *f)
{
	int err = f->later ? later_finish(f->later) : 0;

	if (!err)
		err = quic_expire(f, UINT64_MAX);
	join_finish(f->join);
	return err;
}

void follow_counts(const struct follow *f, uint64_t *hellos, uint64_t *handshakes)
{
	*hellos = f->hellos;
	*handshakes = f->handshakes;
}

static void discard(struct follow *f)
{
	join_free(f->join);
	later_free(f->later);
	unfinished_free(&f->unfinished);
	free(f);
}

int follow_new(const struct replay_config *c, struct kern *k, const struct replay_clock *clock,
	       struct follow **out)
{
	struct follow *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->config = c;
	f->kern = k;
	f->clock = clock;
	unfinished_init(&f->unfinished);
	f->join = join_new(on_hello, f);
	if (c->later)
		f->later = later_new(&kern_control(k)->secret, on_later, f);
	err = f->join && (f->later || !c->later) ? 0 : -ENOMEM;
	if (!err) {
		pthread_mutex_init(&f->lock, NULL);
		pthread_cond_init(&f->change, NULL);
		err = thread_begin(&f->thread, run, f);
	}
	if (err) {
		discard(f);
		return err;
	}
	*out = f;
	return 0;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->quit = true;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	pthread_cond_destroy(&f->change);
	pthread_mutex_destroy(&f->lock);
	discard(f);
}
