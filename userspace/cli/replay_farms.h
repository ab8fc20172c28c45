/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay_farms.h - the detector at the end of a replay, of packets or of events.
 *
 * For packets the caller feeds it: farms_name() for each hello, and whenever the
 * capture's clock reaches farms_due(), farms_window() with a snapshot. For events
 * farms_events() does all of it. farms_print() shows what stands at the end.
 */
#ifndef WINNOW_CLI_REPLAY_FARMS_H
#define WINNOW_CLI_REPLAY_FARMS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "detect/config.h"
#include "detect/detect.h"

struct farms_run;

int farms_new(const struct detect_config *c, struct farms_run **out);
void farms_free(struct farms_run *f);
void farms_freep(struct farms_run **f);

/* A key seen, and what it is called; a second time is cheap. */
int farms_name(struct farms_run *f, uint64_t stack, const char *name, const char *ja4,
	       uint32_t hello_flags);

/* Other settings from the next window on. */
void farms_configure(struct farms_run *f, const struct detect_config *c);
/* Events: traffic is clean for so long from the first one on, ns. */
void farms_clean_for(struct farms_run *f, uint64_t baseline);
/* The window that ends at `at` is not judged: nothing has come yet. */
void farms_skip(struct farms_run *f, uint64_t at);

/* Tells a snapshot what is known of the stacks. */
int farms_stacks(const struct farms_run *f, struct snapshot *s);

/* End of the running window, ns since 1970, once a first time is known. */
uint64_t farms_due(struct farms_run *f, uint64_t now);
int farms_window(struct farms_run *f, const struct snapshot *s);

/* A whole stream of events. *stop (may be NULL): end early. Returns 0, or -errno
 * with a sentence; what was read until then is judged. */
int farms_events(struct farms_run *f, FILE *in, const volatile sig_atomic_t *stop,
		 struct reason *r);

/* winnow.farms/1, or winnow.plan/1. */
int farms_print(const struct farms_run *f, bool plan, FILE *out);
/* For people: each farm line by line, with counts. */
int farms_explain(const struct farms_run *f, FILE *out);

/* `--baseline-until`: RFC 3339, or seconds since 1970. -EINVAL. */
int farms_time(const char *text, uint64_t *ns);

#endif
