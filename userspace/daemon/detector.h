/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * detector.h - the detector in a thread of its own, a window at a time.
 *
 * The daemon's loop says when a window has ended and takes the answer when
 * `answered` says so; in between it serves its clients. The thread reads the mapped
 * tables, judges, and writes what the detector has to remember to a file: when a farm
 * has changed its state at once, otherwise as often as takes a hundredth of the time. Between the
 * two threads only whole jobs and whole answers change hands.
 *
 * Beside the file, in days/, is what each source did on each of the last 28 days
 * (store/days.h), written when a day is over. Where the file is lost, damaged or of
 * another version, what the stacks looked like comes back from those days.
 *
 * Windows end at whole multiples of their length by the clock of people, told once
 * and then counted by the steady one, so that time never goes back for the detector.
 */
#ifndef WINNOW_DAEMON_DETECTOR_H
#define WINNOW_DAEMON_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "daemon/clock.h"
#include "detect/settings.h"
#include "kern/kern.h"
#include "model/farm.h"
#include "model/plan.h"

struct detector;

/* What one window said. */
struct verdicts {
	struct farms farms;
	struct plan plan;
	bool judged; /* false: the clean time, or nothing has come yet; no farms then */
	bool saved;  /* the file has this state */
	uint64_t baseline_until;
	uint64_t read_ns, judge_ns, save_ns;
	size_t rows, records;
	int err;
	struct reason reason;
};

void verdicts_free(struct verdicts *v);

struct detector_start {
	const struct kern *kern;
	const struct detect_settings *settings;
	const char *file; /* what is remembered */
	uint64_t secret;  /* its id: keys of another secret mean nothing */
	/* What the database knows, used where the file does not. */
	const struct farms *farms;
	uint32_t last;
};

/* `r`: what could not be read back, if anything. */
int detector_new(const struct detector_start *s, struct detector **out, struct reason *r);
/* Waits for the thread, which saves its state first. */
void detector_free(struct detector *d);

int detector_fd(const struct detector *d); /* readable: an answer waits */

/* A hello of this stack was seen. */
int detector_hello(struct detector *d, uint64_t stack, uint32_t flags);
/* Rules of this farm are in force, or none is any more. */
int detector_enforced(struct detector *d, uint64_t stack, uint16_t service, bool on);
void detector_configure(struct detector *d, const struct detect_settings *s);

/* ns of the steady clock at which detector_tick() wants to be called next. */
uint64_t detector_due(const struct detector *d);
/* A window has ended, unless it is too early. Busy with the one before: that one is
 * longer then, and counted in detector_late(). */
void detector_tick(struct detector *d, const struct clock *c);
uint64_t detector_late(const struct detector *d);

/* NULL: nothing new. */
struct verdicts *detector_take(struct detector *d);

#endif
