/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "base/cleanup.h"
#include "kern/handout.h"
#include "kern/join.h"
#include "kern/later.h"
#include "kern/reader.h"
#include "kern/replay_clock.h"
#include "kern/unfinished.h"

#define FLOW_BITS 1024 /* a power of two */

_Static_assert(BATCH_FRAMES *SEGMENT_HEAD <= BATCH_BYTES, "finish() fills a batch with heads");

/* Frames that the programs have seen, while what they sent is taken frame by frame. */
struct settling {
	const struct reader_frame *frames; /* NULL: they are ours, and end connections */
	const struct batch_frame *times;
	const struct batch_answer *answers;
	uint32_t at, end;
	bool begun; /* frame `at` */
};

struct replay {
	struct replay_config config;
	struct kern *kern;
	struct join *join;
	struct handout *handout;
	struct unfinished unfinished;
	struct later *later; /* NULL: not asked for */
	bool broken;         /* the kernel refused a frame: no more of them */
	struct replay_clock clock;
	uint64_t ticked; /* latest time the tick was told */
	uint64_t due;    /* when it wants to be told again */
	struct replay_stats stats;
	struct settling settling;
	uint32_t told; /* events taken */
	/* Flows with a QUIC packet the programs have not seen, or whose events wait. */
	uint64_t quic_flows[FLOW_BITS / 64];
	bool quic_waits;
	int err; /* of an event */
};

static void on_hello(void *ctx, const struct event_hello *hello,
		     const struct event_handshake *handshake)
{
	struct replay *p = ctx;

	p->stats.hellos++;
	if (p->handout)
		handout_add(p->handout, replay_clock_real(&p->clock, hello->head.time), hello,
			    handshake);
}

static void give(void *ctx, uint64_t time_ns, const struct event_hello *hello,
		 const struct event_handshake *handshake)
{
	struct replay_hello h = { .time_ns = time_ns, .hello = hello, .handshake = handshake };
	struct replay *p = ctx;

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

/* Before the events of a frame: the handshake it ends must find the row. */
static int frame_begin(struct replay *p, const struct reader_frame *f, uint64_t now)
{
	return f->client ? unfinished_segment(&p->unfinished, &f->s, f->data, now) : 0;
}

static int frame_end(struct replay *p, const struct reader_frame *f, uint64_t now)
{
	int err = 0;

	if (f->client && p->later)
		err = later_segment(p->later, &f->s, f->data, f->len, now);
	if (!err)
		err = quic_expire(p, now);
	join_advance(p->join, now);
	return err;
}

/* The frames whose events have all been taken; `all`: there are no more. */
static void settle(struct replay *p, bool all)
{
	struct settling *s = &p->settling;

	for (; s->at < s->end; s->at++) {
		const struct reader_frame *f = s->frames ? &s->frames[s->at] : NULL;
		uint64_t now = s->times[s->at].time;
		int err = 0;

		if (f && !s->begun)
			err = frame_begin(p, f, now);
		s->begun = true;
		if (!all && s->answers[s->at].events != p->told)
			return; /* the next event is its own */
		if (f && !err)
			err = frame_end(p, f, now);
		s->begun = false;
		if (err)
			p->err = err;
	}
}

static void on_event(void *ctx, const struct event_head *e)
{
	struct replay *p = ctx;
	int err;

	settle(p, false);
	p->told++;
	err = e->type == EVENT_QUIC ? on_quic(p, (const void *)e) : join_event(p->join, e);
	if (!err && p->later && e->type == EVENT_HELLO)
		err = later_known(p->later, (const void *)e, e->time);
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
	p->config.kern.batch = true;
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
	if (c->hello) {
		err = handout_new(give, p, &p->handout);
		if (err)
			return reason_set(r, err, "begin a thread: %s", strerror(-err));
	}
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
	handout_free(p->handout);
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

/* What the programs said of frames s->at .. end - 1. */
static int take_events(struct replay *p, uint32_t end)
{
	int err;

	p->settling.end = end;
	err = kern_events_drain(p->kern, on_event, p);
	settle(p, true);
	return err < 0 ? err : p->err;
}

/* Frames from .. end - 1 of a batch through the programs. */
static int feed(struct replay *p, unsigned int which, const struct reader_batch *b, uint32_t from,
		uint32_t end)
{
	const struct batch *room = kern_batch(p->kern, which);
	struct batch_answer alone;
	uint32_t at = from;
	int err = 0;

	p->settling = (struct settling){ .frames = b ? b->frames : NULL,
					 .times = room->frames,
					 .answers = room->answers,
					 .at = from };
	if (b && b->alone && from < end) {
		p->settling.answers = &alone;
		err = kern_batch_alone(p->kern, room->frames[0].time, b->frames[0].data,
				       b->frames[0].len, b->frames[0].way, &alone);
		return err ? err : take_events(p, end);
	}
	while (!err && at < end) {
		uint32_t was = at;

		err = kern_batch_run(p->kern, which, &at, end);
		if (!err && at == was) /* the ring is empty now: it was the frame */
			err = -EIO;
		if (at > was && !err)
			err = take_events(p, at);
	}
	if (err && b && at < end)
		p->stats.frames -= end - at - 1; /* those behind it were not seen */
	return err;
}

/* ---- what must not wait ------------------------------------------------------------ */

static bool is_quic(const struct reader_frame *f)
{
	return f->way & BATCH_INGRESS && f->s.proto == IPPROTO_UDP && f->s.payload;
}

/* Either direction's. */
static uint32_t flow_bit(const struct segment *s)
{
	uint64_t h = s->key.src.hi + s->key.dst.hi + s->key.src.lo + s->key.dst.lo +
		     ((uint64_t)(s->key.sport + s->key.dport) << 40);

	return (h * 0x9e3779b97f4a7c15ULL) >> 32 & (FLOW_BITS - 1);
}

/* A client's QUIC packet may need what userspace reads in one before it. */
static bool quic_must_wait(const struct replay *p, const struct reader_frame *f)
{
	uint32_t bit = flow_bit(&f->s);

	return p->quic_waits && is_quic(f) && p->quic_flows[bit / 64] >> bit % 64 & 1;
}

static void quic_note(struct replay *p, const struct reader_frame *f)
{
	uint32_t bit = flow_bit(&f->s);

	if (!is_quic(f) || !(f->s.first & QUIC_LONG_HEADER))
		return;
	p->quic_flows[bit / 64] |= 1ULL << bit % 64;
	p->quic_waits = true;
}

static void quic_told(struct replay *p)
{
	if (p->quic_waits)
		memset(p->quic_flows, 0, sizeof(p->quic_flows));
	p->quic_waits = false;
}

static void told_all(struct replay *p, bool all)
{
	if (p->handout)
		handout_flush(p->handout, all);
}

static bool tick_is_due(const struct replay *p, const struct reader_frame *f)
{
	return p->config.tick && f->time_ns > p->ticked && f->time_ns >= p->due;
}

static void count_frame(struct replay *p, const struct reader_frame *f, uint64_t now, size_t epochs)
{
	if (!p->stats.frames++)
		p->stats.first_ns = f->time_ns;
	p->stats.last_ns = f->time_ns;
	p->stats.bytes += f->wire_len;
	p->stats.cut += f->wire_len > f->len;
	p->stats.back += f->back;
	p->stats.epochs += epochs && p->clock.n > epochs;
	if (f->way && f->len < ETH_HLEN)
		kern_feed_short(p->kern, f->len);
}

static int play(struct replay *p, unsigned int which, const struct reader_batch *b, uint32_t from,
		uint32_t end)
{
	struct batch *room = kern_batch(p->kern, which);
	uint32_t start = from;
	int err = 0;

	for (uint32_t i = from; i < end && !err; i++) {
		const struct reader_frame *f = &b->frames[i];
		size_t epochs = p->clock.n;
		bool tick = tick_is_due(p, f);

		room->frames[i].time = replay_clock_at(&p->clock, f->time_ns);
		if (tick || quic_must_wait(p, f) || p->config.one_run) {
			err = feed(p, which, b, start, i);
			quic_told(p);
			start = i;
		}
		if (tick && !err) {
			told_all(p, true);
			p->ticked = f->time_ns;
			p->due = p->config.tick(p->config.ctx, f->time_ns);
		}
		quic_note(p, f);
		count_frame(p, f, room->frames[i].time, epochs);
	}
	if (!err)
		err = feed(p, which, b, start, end);
	quic_told(p);
	told_all(p, false);
	return err;
}

/* Ends the connections whose handshake is still open (unfinished.h) and hands out
 * the hellos that still wait. */
static int finish(struct replay *p, bool broken)
{
	struct batch *room = kern_batch(p->kern, 0);
	uint8_t frame[SEGMENT_HEAD];
	uint32_t n;
	int err = 0;

	do {
		size_t len;

		for (n = 0; n < BATCH_FRAMES && !broken; n++) {
			len = unfinished_take(&p->unfinished, frame);
			if (!len)
				break;
			memcpy(room->bytes + n * SEGMENT_HEAD, frame, len);
			room->frames[n] = (struct batch_frame){ .time = p->clock.last,
								.off = n * SEGMENT_HEAD,
								.len = len,
								.way = BATCH_INGRESS };
		}
		if (n)
			err = feed(p, 0, NULL, 0, n);
	} while (n && !err);
	if (!err && p->later)
		err = later_finish(p->later);
	if (!err)
		err = quic_expire(p, UINT64_MAX);
	join_finish(p->join);
	told_all(p, true);
	return err;
}

static void progress(struct replay *p, const struct capture *c)
{
	uint64_t size, at = capture_position(c, &size);

	if (p->config.progress)
		p->config.progress(p->config.ctx, at, size);
}

enum replay_end replay_run(struct replay *p, struct capture *c, struct reason *r)
{
	static const enum replay_end ends[] = {
		[CAPTURE_END] = REPLAY_DONE,
		[CAPTURE_TRUNCATED] = REPLAY_TRUNCATED,
		[CAPTURE_BROKEN] = REPLAY_BROKEN,
	};
	const volatile sig_atomic_t *stop = p->config.stop;
	_cleanup_(reader_freep) struct reader *reader = NULL;
	enum capture_end end = CAPTURE_FRAME;
	uint32_t from = 0;
	unsigned int which = 0;
	int err, ended;

	err = reader_new(c, p->kern, &p->config.ports, &reader);
	if (err) {
		reason_set(r, err, "begin to read: %s", strerror(-err));
		return REPLAY_FAILED;
	}
	while (!err && end == CAPTURE_FRAME && !(stop && *stop)) {
		const struct reader_batch *b = reader_wait(reader, which, from);
		bool closed = b && b->closed;
		uint32_t n = b ? b->n : from;

		err = play(p, which, b, from, n);
		from = n;
		progress(p, c);
		if (!closed || err)
			continue;
		end = b->end;
		if (end != CAPTURE_FRAME)
			*r = b->why;
		reader_return(reader, which);
		which = (which + 1) % BATCHES;
		from = 0;
	}
	if (!err && end == CAPTURE_FRAME) { /* stopped: what has been read counts */
		const struct reader_batch *b = reader_look(reader, which);

		err = play(p, which, b, from, b->n);
	}
	reader_free(take_ptr(reader)); /* the batches are ours again */
	ended = finish(p, err);
	if (ended && !err)
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
