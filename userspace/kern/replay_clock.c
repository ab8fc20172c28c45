/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/replay_clock.h"

#define SECOND  1000000000LL
#define HOUR    (3600 * SECOND)
#define MARGIN  (60 * SECOND) /* between epochs: longer than any handshake lives */
#define FORWARD (365 * 24 * HOUR)

static uint64_t begin_epoch(struct replay_clock *c, uint64_t ns, uint64_t at)
{
	c->epoch[c->n++] = (struct replay_epoch){ .start = at, .base = (int64_t)(ns - at) };
	c->last = at;
	return at;
}

static int64_t in_epoch(const struct replay_clock *c, uint64_t ns)
{
	return (int64_t)ns - c->epoch[c->n - 1].base;
}

bool replay_clock_jumps(const struct replay_clock *c, uint64_t ns)
{
	int64_t v;

	if (!c->n)
		return true;
	v = in_epoch(c, ns);
	return c->n < REPLAY_EPOCHS_MAX &&
	       (v + SECOND < (int64_t)c->last || v > (int64_t)c->last + FORWARD);
}

uint64_t replay_clock_at(struct replay_clock *c, uint64_t ns)
{
	int64_t v;

	/* Whole hours are kept: a virtual time differs from the real one by hours. */
	if (!c->n)
		return begin_epoch(c, ns, HOUR + ns % HOUR);
	if (replay_clock_jumps(c, ns))
		return begin_epoch(c, ns, c->last + MARGIN);
	v = in_epoch(c, ns);
	if (v > (int64_t)c->last)
		c->last = v;
	return c->last;
}

uint64_t replay_clock_real(const struct replay_clock *c, uint64_t virtual_ns)
{
	size_t i = c->n;

	if (!i)
		return virtual_ns;
	while (i > 1 && c->epoch[i - 1].start > virtual_ns)
		i--;
	return virtual_ns + c->epoch[i - 1].base;
}
