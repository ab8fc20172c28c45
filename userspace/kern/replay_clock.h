/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay_clock.h - a capture's time as a clock that never goes back.
 *
 * See replay.h for what it promises. Units: nanoseconds.
 * Bound: 1,024 epochs; after that every step back stands still.
 */
#ifndef WINNOW_KERN_REPLAY_CLOCK_H
#define WINNOW_KERN_REPLAY_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_EPOCHS_MAX 1024

struct replay_epoch {
	uint64_t start; /* virtual */
	int64_t base;   /* virtual + base = since 1970 */
};

struct replay_clock {
	struct replay_epoch epoch[REPLAY_EPOCHS_MAX];
	size_t n;
	uint64_t last; /* virtual */
};

/* Virtual time of a frame of time `ns` since 1970. */
uint64_t replay_clock_at(struct replay_clock *c, uint64_t ns);
/* Will that begin another epoch? */
bool replay_clock_jumps(const struct replay_clock *c, uint64_t ns);
/* And back. */
uint64_t replay_clock_real(const struct replay_clock *c, uint64_t virtual_ns);

#endif
