/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - what a detector has to remember over a restart, and what is told to
 * it from outside while it runs.
 *
 * detect_save() gives everything - records, baselines, orders, cohorts - as bytes
 * that only the same layout on the same machine reads back; another layout is
 * -EPROTO and the caller begins anew, with detect_recall() for each farm it still
 * knows: number and times of the farm stay, what it stood on is learnt again.
 *
 * Keys of stacks depend on the secret: who draws a new one throws the bytes away.
 *
 * Errors: -ENOMEM; -EBADMSG: damaged; -EPROTO: another layout. After an error of
 * detect_restore() the detector is as new.
 */
#ifndef WINNOW_DETECT_STATE_H
#define WINNOW_DETECT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/detect.h"
#include "detect/settings.h"

/* A piece at a time, in order, so that nothing the size of the detector is copied; the
 * first error of `take` is that of the call. */
typedef int (*detect_take_fn)(void *ctx, const void *bytes, size_t len);
int detect_save_to(const struct detect *d, detect_take_fn take, void *ctx);
/* All of it, malloc'ed. */
int detect_save(const struct detect *d, void **out, size_t *len);
int detect_restore(struct detect *d, const void *bytes, size_t len);

/* The tables that snapshots come from are new: their rows count from nothing again. */
void detect_tables_anew(struct detect *d);

/* A farm of an earlier life: the same stack and service gets this number, state
 * and times again. */
int detect_recall(struct detect *d, const struct farm *f);
/* New farms get numbers above this one. */
void detect_numbers_above(struct detect *d, uint32_t id);
/* Rules of this farm are in force now, or none is any more (then it decays). */
void detect_enforced(struct detect *d, uint64_t stack, uint16_t service, bool on);

/* From the next step on; what was learnt stays. */
void detect_configure(struct detect *d, const struct detect_config *c);
const struct detect_config *detect_configured(const struct detect *d);

/* Until when traffic is clean, from the first snapshot with rows in it: `baseline`
 * after the oldest of them began, or after the window that saw them when that is
 * longer ago than a window. 0: nothing has come yet. A time that was given stays. */
uint64_t detect_clean_until(const struct detect_settings *s, const struct snapshot *first);

#endif
