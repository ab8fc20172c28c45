/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "kern/join.h"
#include "kern/later.h"
#include "kern/replay_clock.h"
#include "kern/unfinished.h"

#define PROGRESS_EVERY 4096 /* frames */

struct replay {
	struct replay_config config;
	struct kern *kern;
	struct join *join;
	struct unfinished unfinished;
	struct later *later; /* NULL: not asked for */
	bool broken;         /* the kernel refused a frame: no more of them */
	struct replay_clock clock;
	uint64_t ticked; /* latest time the tick was told */
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

static int on_quic(struct replay *p, const struct event_quic *e)
{
	struct quic_news news;
	int err;

	if (!p->config.quic || e->head.len < sizeof(*e))
		return 0;
	err = p->config.quic(p->config.ctx, e, &news);
	if (!err)
		err = kern_quic_news(p->kern, &news);
	if (!err && news.hello)
		err = join_event(p->join, &news.hello->head);
	return err;
}

static int quic_expire(struct replay *p, uint64_t now)
{
	const struct event_hello *hello;
	int err = 0;

	while (!err && p->config.quic_expire && p->config.quic_expire(p->config.ctx, now, &hello))
		err = hello ? join_event(p->join, &hello->head) : 0;
	return err;
}

static void on_event(void *ctx, const struct event_head *e)
{
	struct replay *p = ctx;
	int err = e->type == EVENT_QUIC ? on_quic(p, (const void *)e) : join_event(p->join, e);

	if (p->later && e->type == EVENT_HELLO)
		later_known(p->later, (const void *)e, e->time);
	if (e->type == EVENT_HANDSHAKE) {
		p->stats.handshakes++;
		unfinished_end(&p->unfinished, e);
	}
	if (err)
		p->err = err;
}

static int on_later(void *ctx, const struct event_hello *e)
{
	struct replay *p = ctx;

	return join_event(p->join, &e->head);
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
	unfinished_init(&p->unfinished);
	p->join = join_new(on_hello, p);
	if (!p->join)
		return reason_set(r, -ENOMEM, "out of memory");
	err = kern_open(&p->config.kern, &p->kern, r);
	if (err)
		return err;
	*kern_ports(p->kern) = c->ports;
	err = kern_proxies_set(p->kern, c->proxies, c->n_proxies, r);
	if (err)
		return err;
	if (c->later) {
		p->later = later_new(&kern_control(p->kern)->secret, on_later, p);
		if (!p->later)
			return reason_set(r, -ENOMEM, "out of memory");
	}
	*out = take_ptr(p);
	return 0;
}

void replay_free(struct replay *p)
{
	if (!p)
		return;
	join_free(p->join);
	unfinished_free(&p->unfinished);
	later_free(p->later);
	kern_free(p->kern);
	free(p);
}

void replay_freep(struct replay **p)
{
	replay_free(*p);
}

static int feed(struct replay *p, uint64_t now, const uint8_t *frame, size_t len, int way)
{
	uint32_t verdict;
	int err = 0;

	if (way & REPLAY_EGRESS)
		err = kern_feed(p->kern, now, frame, len, true, &verdict);
	if (!err && way & REPLAY_INGRESS)
		err = kern_feed(p->kern, now, frame, len, false, &verdict);
	if (!err)
		err = kern_events_drain(p->kern, on_event, p);
	return err < 0 ? err : p->err;
}

int replay_finish(struct replay *p)
{
	uint8_t frame[SEGMENT_HEAD];
	int err = 0;
	size_t len;

	while (!err && !p->broken && (len = unfinished_take(&p->unfinished, frame)))
		err = feed(p, p->clock.last, frame, len, REPLAY_INGRESS);
	if (!err && p->later)
		err = later_finish(p->later);
	if (!err)
		err = quic_expire(p, UINT64_MAX);
	join_finish(p->join);
	return err;
}

int replay_frame(struct replay *p, const struct capture_frame *f)
{
	struct segment s = segment_read(f->data, f->len);
	int way = replay_direction(&p->config.ports, &s), err;
	bool client = replay_is_client(&p->config.ports, &s);
	size_t epochs = p->clock.n;
	uint64_t now;

	now = replay_clock_at(&p->clock, f->time_ns);
	if (!p->stats.frames++)
		p->stats.first_ns = f->time_ns;
	if (f->time_ns > p->ticked && p->config.tick) {
		p->ticked = f->time_ns;
		p->config.tick(p->config.ctx, f->time_ns);
	}
	p->stats.last_ns = f->time_ns;
	p->stats.bytes += f->wire_len;
	p->stats.cut += f->wire_len > f->len;
	p->stats.back += f->back;
	p->stats.epochs += epochs && p->clock.n > epochs;
	/* Before it is fed: the handshake it ends must find the row. */
	if (client) {
		err = unfinished_segment(&p->unfinished, &s, f->data, now);
		if (err)
			return err;
	}
	err = feed(p, now, f->data, f->len, way);
	p->broken = err;
	if (!err && client && p->later)
		err = later_segment(p->later, &s, f->data, f->len, now);
	if (!err)
		err = quic_expire(p, now);
	join_advance(p->join, now);
	return err;
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
	if (replay_finish(p) && !err)
		err = p->err ? p->err : -EIO;
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

uint64_t replay_now(const struct replay *p)
{
	return p->clock.last;
}

uint64_t replay_time(const struct replay *p, uint64_t virtual_ns)
{
	return replay_clock_real(&p->clock, virtual_ns);
}

uint64_t replay_stamp_time(const struct replay *p, uint32_t stamp)
{
	return replay_clock_real(&p->clock, (uint64_t)stamp << STAMP_SHIFT);
}
