/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "base/cleanup.h"
#include "kern/follow.h"
#include "kern/reader.h"
#include "kern/replay_clock.h"

#define FLOW_BITS 1024 /* a power of two */

_Static_assert(BATCH_FRAMES *SEGMENT_HEAD <= BATCH_BYTES, "finish() fills a batch with heads");

struct replay {
	struct replay_config config;
	struct kern *kern;
	struct follow *follow;
	struct replay_clock clock;
	uint64_t ticked; /* latest time the tick was told */
	uint64_t due;    /* when it wants to be told again */
	struct replay_stats stats;
	/* Flows with a QUIC packet the programs have not seen, or whose events wait. */
	uint64_t quic_flows[FLOW_BITS / 64];
	bool quic_waits;
};

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
	err = kern_open(&p->config.kern, &p->kern, r);
	if (err)
		return err;
	*kern_ports(p->kern) = c->ports;
	err = kern_proxies_set(p->kern, c->proxies, c->n_proxies, r);
	if (err)
		return err;
	err = follow_new(&p->config, p->kern, &p->clock, &p->follow);
	if (err)
		return reason_set(r, err, "begin a thread: %s", strerror(-err));
	*out = take_ptr(p);
	return 0;
}

void replay_free(struct replay *p)
{
	if (!p)
		return;
	follow_free(p->follow);
	kern_free(p->kern);
	free(p);
}

void replay_freep(struct replay **p)
{
	replay_free(*p);
}

/* A frame that no batch has room for. */
static int feed_alone(struct replay *p, struct follow_frames *f, unsigned int way)
{
	const struct reader_frame *frame = &f->frames[0];
	struct batch_answer answer;
	int err = follow_wait(p->follow); /* the ring is empty now: there is room for it */

	if (!err)
		err = kern_batch_alone(p->kern, f->times[0].time, frame->data, frame->len, way,
				       &answer);
	f->answers = &answer;
	f->end = 1;
	if (!err)
		err = follow_add(p->follow, f);
	return err ? err : follow_wait(p->follow);
}

/* Frames from .. end - 1 of a batch through the programs. */
static int feed(struct replay *p, unsigned int which, const struct reader_batch *b, uint32_t from,
		uint32_t end)
{
	const struct batch *room = kern_batch(p->kern, which);
	struct follow_frames f = { .frames = b ? b->frames : NULL,
				   .times = room->frames,
				   .answers = room->answers,
				   .at = from };
	bool waited = false;
	uint32_t at = from;
	int err = 0;

	if (b && b->alone && from < end)
		return feed_alone(p, &f, b->frames[0].way);
	while (!err && at < end) {
		err = kern_batch_run(p->kern, which, &at, end);
		if (!err && at == f.at && waited) /* the ring was empty: it is the frame */
			err = -EIO;
		f.end = at;
		if (!err)
			err = follow_add(p->follow, &f);
		f.at = at;
		waited = at < end; /* for room in the ring */
		if (!err && waited)
			err = follow_wait(p->follow);
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

static bool quic_opens(const struct reader_frame *f)
{
	return is_quic(f) && f->s.first & QUIC_LONG_HEADER;
}

static void quic_note(struct replay *p, const struct reader_frame *f)
{
	uint32_t bit = flow_bit(&f->s);

	if (!quic_opens(f))
		return;
	p->quic_flows[bit / 64] |= 1ULL << bit % 64;
	p->quic_waits = true;
}

static void quic_forget(struct replay *p)
{
	if (p->quic_waits)
		memset(p->quic_flows, 0, sizeof(p->quic_flows));
	p->quic_waits = false;
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

/* Must all that was said of the frames before it be known first? What QUIC tells the
 * programs comes at the same frame each time: with the first one nothing is under way. */
static bool is_apart(const struct replay *p, const struct reader_frame *f)
{
	return tick_is_due(p, f) || replay_clock_jumps(&p->clock, f->time_ns) ||
	       quic_must_wait(p, f) || (quic_opens(f) && !p->quic_waits) || p->config.one_run;
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

		if (is_apart(p, f)) {
			err = feed(p, which, b, start, i);
			if (!err)
				err = follow_wait(p->follow);
			quic_forget(p);
			start = i;
		}
		room->frames[i].time = replay_clock_at(&p->clock, f->time_ns);
		if (tick_is_due(p, f) && !err) {
			p->ticked = f->time_ns;
			p->due = p->config.tick(p->config.ctx, f->time_ns);
		}
		quic_note(p, f);
		count_frame(p, f, room->frames[i].time, epochs);
	}
	if (!err)
		err = feed(p, which, b, start, end);
	if (!err && p->quic_waits)
		err = follow_wait(p->follow);
	quic_forget(p);
	return err;
}

/* Ends the connections whose handshake is still open (unfinished.h) and hands out
 * the hellos that still wait. */
static int finish(struct replay *p, bool broken)
{
	struct batch *room = kern_batch(p->kern, 0);
	int err = follow_wait(p->follow), ended;
	uint8_t frame[SEGMENT_HEAD];
	uint32_t n;

	do {
		size_t len;

		for (n = 0; n < BATCH_FRAMES && !broken; n++) {
			len = follow_unfinished(p->follow, frame);
			if (!len)
				break;
			memcpy(room->bytes + n * SEGMENT_HEAD, frame, len);
			room->frames[n] = (struct batch_frame){ .time = p->clock.last,
								.off = n * SEGMENT_HEAD,
								.len = len,
								.way = BATCH_INGRESS };
		}
		if (n && !err)
			err = feed(p, 0, NULL, 0, n);
		if (!err)
			err = follow_wait(p->follow);
	} while (n && !err);
	ended = follow_finish(p->follow);
	follow_counts(p->follow, &p->stats.hellos, &p->stats.handshakes);
	return err ? err : ended;
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
		reader_leave(reader, which);
		follow_return(p->follow, reader, which);
		which = (which + 1) % BATCHES;
		from = 0;
	}
	if (!err && end == CAPTURE_FRAME) { /* stopped: what has been read counts */
		const struct reader_batch *b = reader_look(reader, which);

		err = play(p, which, b, from, b->n);
	}
	follow_wait(p->follow);        /* an error of its is found again by finish() */
	reader_free(take_ptr(reader)); /* the batches are ours again */
	ended = finish(p, err);
	if (!err)
		err = ended;
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
