/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "kern/join.h"
#include "kern/replay_clock.h"

#define PROGRESS_EVERY 4096 /* frames */

struct replay {
	struct replay_config config;
	struct kern *kern;
	struct join *join;
	struct replay_clock clock;
	struct replay_stats stats;
	int err; /* of an event */
};

static void on_hello(void *ctx, const struct event_hello *hello,
		     const struct event_handshake *handshake)
{
	struct replay *p = ctx;
	struct replay_hello h = {
		.time_ns = replay_clock_real(&p->clock, hello->head.time),
		.hello = hello,
		.handshake = handshake,
	};

	p->stats.hellos++;
	if (p->config.hello)
		p->config.hello(p->config.ctx, &h);
}

static void on_event(void *ctx, const struct event_head *e)
{
	struct replay *p = ctx;
	int err = join_event(p->join, e);

	p->stats.handshakes += e->type == EVENT_HANDSHAKE;
	if (err)
		p->err = err;
}

int replay_new(const struct replay_config *c, struct replay **out, struct reason *r)
{
	_cleanup_(replay_freep) struct replay *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return reason_set(r, -ENOMEM, "out of memory");
	p->config = *c;
	p->config.kern.pin_dir = NULL;
	p->config.kern.replay = true;
	p->join = join_new(on_hello, p);
	if (!p->join)
		return reason_set(r, -ENOMEM, "out of memory");
	err = kern_open(&p->config.kern, &p->kern, r);
	if (err)
		return err;
	*kern_ports(p->kern) = c->ports;
	*out = take_ptr(p);
	return 0;
}

void replay_free(struct replay *p)
{
	if (!p)
		return;
	join_free(p->join);
	kern_free(p->kern);
	free(p);
}

void replay_freep(struct replay **p)
{
	replay_free(*p);
}

void replay_finish(struct replay *p)
{
	join_finish(p->join);
}

int replay_frame(struct replay *p, const struct capture_frame *f)
{
	int way = replay_direction(&p->config.ports, f->data, f->len), err = 0;
	size_t epochs = p->clock.n;
	uint32_t verdict;
	uint64_t now;

	now = replay_clock_at(&p->clock, f->time_ns);
	if (!p->stats.frames++)
		p->stats.first_ns = f->time_ns;
	p->stats.last_ns = f->time_ns;
	p->stats.bytes += f->wire_len;
	p->stats.cut += f->wire_len > f->len;
	p->stats.back += f->back;
	p->stats.epochs += epochs && p->clock.n > epochs;
	if (way & REPLAY_EGRESS)
		err = kern_feed(p->kern, now, f->data, f->len, true, &verdict);
	if (!err && way & REPLAY_INGRESS)
		err = kern_feed(p->kern, now, f->data, f->len, false, &verdict);
	if (err)
		return err;
	err = kern_events_drain(p->kern, on_event, p);
	if (err < 0)
		return err;
	join_advance(p->join, now);
	return p->err;
}

enum replay_end replay_run(struct replay *p, struct capture *c, struct reason *r)
{
	static const enum replay_end ends[] = {
		[CAPTURE_END] = REPLAY_DONE,
		[CAPTURE_TRUNCATED] = REPLAY_TRUNCATED,
		[CAPTURE_BROKEN] = REPLAY_BROKEN,
	};
	const volatile sig_atomic_t *stop = p->config.stop;
	enum capture_end end = CAPTURE_FRAME;
	struct capture_frame f;
	uint64_t size;
	int err = 0;

	while (!err && !(stop && *stop)) {
		end = capture_next(c, &f, r);
		if (end != CAPTURE_FRAME)
			break;
		err = replay_frame(p, &f);
		if (p->config.progress && p->stats.frames % PROGRESS_EVERY == 0) {
			uint64_t at = capture_position(c, &size);

			p->config.progress(p->config.ctx, at, size);
		}
	}
	replay_finish(p);
	if (err) {
		reason_set(r, err, "frame %llu: %s", (unsigned long long)p->stats.frames,
			   strerror(-err));
		return REPLAY_FAILED;
	}
	/* A read that the signal cut short looks like a broken file. */
	return stop && *stop && end != CAPTURE_END ? REPLAY_INTERRUPTED : ends[end];
}

struct kern *replay_kern(struct replay *p)
{
	return p->kern;
}

const struct replay_stats *replay_stats(const struct replay *p)
{
	return &p->stats;
}

uint64_t replay_time(const struct replay *p, uint64_t virtual_ns)
{
	return replay_clock_real(&p->clock, virtual_ns);
}

uint64_t replay_stamp_time(const struct replay *p, uint32_t stamp)
{
	return replay_clock_real(&p->clock, (uint64_t)stamp << STAMP_SHIFT);
}
