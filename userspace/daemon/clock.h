/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the daemon's only look at the time: three clocks at once.
 *
 * The programs stamp with CLOCK_MONOTONIC and expire rules by CLOCK_BOOTTIME;
 * people and the database want ns since 1970. A clock step moves what is shown,
 * never what is enforced.
 */
#ifndef WINNOW_DAEMON_CLOCK_H
#define WINNOW_DAEMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/time.h"

struct clock {
	uint64_t real; /* ns since 1970 */
	uint64_t mono;
	uint64_t boot;
};

static inline uint64_t clock_read(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static inline struct clock clock_now(void)
{
	return (struct clock){
		.real = clock_read(CLOCK_REALTIME),
		.mono = clock_read(CLOCK_MONOTONIC),
		.boot = clock_read(CLOCK_BOOTTIME),
	};
}

/* 0 stays 0: never. */
static inline uint64_t clock_real_of_boot(const struct clock *c, uint64_t boot)
{
	return boot ? c->real + boot - c->boot : 0;
}

static inline uint64_t clock_real_of_mono(const struct clock *c, uint64_t mono)
{
	return mono ? c->real + mono - c->mono : 0;
}

/* A time that is past becomes 1, long ago, not 0. */
static inline uint64_t clock_boot_of_real(const struct clock *c, uint64_t real)
{
	if (!real)
		return 0;
	return real + c->boot > c->real ? real + c->boot - c->real : 1;
}

#endif
