/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay_farms.h - the judge at the end of a replay, of packets or of events.
 *
 * judge/feed.h says how packets are fed; for events farms_events() does all of it.
 * farms_print() shows what stands at the end.
 */
#ifndef WINNOW_CLI_REPLAY_FARMS_H
#define WINNOW_CLI_REPLAY_FARMS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "judge/feed.h"

/* A whole stream of events. *stop (may be NULL): end early. Returns 0, or -errno
 * with a sentence; what was read until then is judged. */
int farms_events(struct judge *j, FILE *in, const volatile sig_atomic_t *stop, struct reason *r);

/* winnow.farms/1, or winnow.plan/1. */
int farms_print(const struct judge *j, bool plan, FILE *out);
/* For people: each farm line by line, with counts. */
int farms_explain(const struct judge *j, FILE *out);

/* `--baseline-until`: RFC 3339, or seconds since 1970. -EINVAL. */
int farms_time(const char *text, uint64_t *ns);

#endif
