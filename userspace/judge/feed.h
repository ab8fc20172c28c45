/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feed.h - what a judge takes beside events (model/judge.h): settings as an operator
 * has them, and windows of tables that were filled elsewhere (packets).
 *
 * For packets the caller feeds it: judge_name() for each hello, and whenever the
 * capture's clock reaches judge_due(), judge_window() with a snapshot.
 */
#ifndef WINNOW_JUDGE_FEED_H
#define WINNOW_JUDGE_FEED_H

#include "detect/config.h"
#include "model/judge.h"
#include "model/snapshot.h"

/* Whose keys a state directory holds: secret_id() of the tables', or of events. */
#define JUDGE_EVENTS 1

/* `state_dir` may be NULL. */
int judge_open(const struct detect_config *c, const char *state_dir, uint64_t secret,
	       struct judge **out, struct reason *r);

/* Writes what has to be remembered; nothing without a state_dir. judge_free() does it,
 * too, but cannot say what failed. */
int judge_keep(struct judge *j, struct reason *r);
/* What went wrong in the last call that failed, if there is more to say than errno. */
const char *judge_error(const struct judge *j);

/* A key seen, and what it is called; a second time is cheap. */
int judge_name(struct judge *j, uint64_t stack, const char *name, const char *ja4,
	       uint32_t hello_flags);
/* Tells a snapshot what is known of the stacks. */
int judge_stacks(const struct judge *j, struct snapshot *s);

/* Other settings from the next window on. */
void judge_configure(struct judge *j, const struct detect_config *c);
/* Traffic is clean for so long from the first event on, ns. */
void judge_clean_for(struct judge *j, uint64_t baseline);

/* End of the running window, ns since 1970, once a first time is known. */
uint64_t judge_due(struct judge *j, uint64_t now);
/* The window that ends at `at` is not judged: nothing has come yet. */
void judge_skip(struct judge *j, uint64_t at);
int judge_window(struct judge *j, const struct snapshot *s);

/* Events: the time the last exchange given so far ends. */
uint64_t judge_last(const struct judge *j);

#endif
