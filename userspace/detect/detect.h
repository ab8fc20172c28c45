/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * detect.h - the detector: snapshots in, farms and a plan out. Pure: no I/O, no
 * clock but the snapshots', the same input the same answer.
 *
 *   snapshot -> window -> baseline | features -> mixture -> facts -> class -> verdict
 *            -> members -> plan
 *
 * Call detect_step() once a window with the snapshot that closes it, and once
 * exactly at baseline_until. Until then nothing is judged. Without any clean time
 * (baseline_until in the past, or baseline_windows 0) there are no baselines: a
 * stack is then an own stack, with the gates of one.
 *
 * Errors: -ENOMEM; the detector can go on with the next snapshot.
 */
#ifndef WINNOW_DETECT_DETECT_H
#define WINNOW_DETECT_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/config.h"
#include "model/farm.h"
#include "model/past.h"
#include "model/plan.h"
#include "model/snapshot.h"

struct detect;

struct detect *detect_new(const struct detect_config *c);
void detect_free(struct detect *d);
void detect_freep(struct detect **d);

/* *farms and *plan are overwritten; clear them with farms_clear, plan_clear. Their
 * strings and names point into the detector. Either may be NULL. */
int detect_step(struct detect *d, const struct snapshot *s, struct farms *farms, struct plan *plan);

/* When the next window ends, ns since 1970, for somebody who feeds it at `now`. */
uint64_t detect_next(const struct detect *d, uint64_t now);

/* The day that the last detect_step() ended, if it did: one row a (source, stack,
 * service) that did anything, the caller's to free. 0: no day ended. */
uint32_t detect_day(struct detect *d, struct past **rows, size_t *n);
/* Where what was written of earlier days is found again; NULL: nowhere, and no rows. */
void detect_past(struct detect *d, past_fn find, void *ctx);
/* A day written by an earlier life, for a detector that remembers nothing else: what its
 * stacks looked like is history again. In any order of days. Clean days are scored
 * again once seven are known. */
int detect_recall_day(struct detect *d, uint32_t day, const struct past *rows, size_t n);

/* The end of the last window, ns since 1970; 0: there was none. */
uint64_t detect_now(const struct detect *d);
size_t detect_records(const struct detect *d);

#endif
