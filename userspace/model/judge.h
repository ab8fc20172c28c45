/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge.h - the whole judgement of an event stream behind one small face: hellos and
 * connections in, farms and a plan out.
 *
 * `winnow replay --events` and the closed loop of the scenario generator use the same
 * calls, so that neither can do better than the other. The header stands in model/
 * because those who make traffic may see nothing of detect/; the code stands in the
 * room judge/, above tls/ (what a hello means), detect/ (the verdict) and store/ (what
 * is remembered), none of which may include another.
 *
 * Time:   the events' own; nothing here reads a clock. judge_event() and
 *         judge_advance() judge every window that ends on the way.
 * Errors: 0 or -errno; `r` has a sentence where there is one.
 */
#ifndef WINNOW_MODEL_JUDGE_H
#define WINNOW_MODEL_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "model/event.h"
#include "model/farm.h"
#include "model/plan.h"

struct judge;

struct judge_config {
	uint64_t window;         /* ns; 0: the default, 60 s */
	uint64_t baseline_until; /* ns since 1970: traffic before is clean; 0: none is */
	uint16_t holdout;        /* per 10,000 sources of a plan, whom its rules leave out */
	const char *state_dir;   /* history of earlier streams, and of this one; NULL: none */
};

int judge_new(const struct judge_config *c, struct judge **out, struct reason *r);
/* Writes what has to be remembered first, where there is a state_dir. */
void judge_free(struct judge *j);
void judge_freep(struct judge **j);

/* A ClientHello, handshake header included; *index is what events call it by, counted
 * from 0 in the order they are given. -EINVAL: it cannot be parsed. */
int judge_hello(struct judge *j, const uint8_t *message, size_t len, uint32_t *index);

/* In order of time; windows that end before e->t are judged first. -ERANGE: it goes
 * back by more than a second; -EINVAL: no such hello. */
int judge_event(struct judge *j, const struct event_conn *e);
/* Judges every window that ends by `until`. */
int judge_advance(struct judge *j, uint64_t until);

/* Nobody asks for farms and plan of the windows that are judged meanwhile: they are not
 * listed, which for a farm of 25,000 sources would be a copy of 10 MB a window. */
void judge_unheard(struct judge *j, bool on);

/* Of the last window judged; valid until the next call that judges. */
const struct farms *judge_farms(const struct judge *j);
const struct plan *judge_plan(const struct judge *j);
/* What the stacks in them are called; valid as long as the judge. */
struct farm_names judge_names(const struct judge *j);

/* The plan's rules of this farm ("f1") are in force from now, or no longer. -ENOENT:
 * there is no such farm. */
int judge_enforce(struct judge *j, const char *farm, bool on);
/* This connection met a rule and failed: no tally, as on the wire. What rules do to a farm
 * is seen in those that come instead, and in those held out. */
int judge_blocked(struct judge *j, const struct event_conn *e);

#endif
