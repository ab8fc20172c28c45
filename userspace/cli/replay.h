/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.h - what the files of `winnow replay` share.
 *
 * A view is what the command prints: it sees each hello as it comes and the
 * tables at the end. Hellos are written at once, so memory stays flat however
 * long the capture is; sources and farms are written by finish().
 */
#ifndef WINNOW_CLI_REPLAY_H
#define WINNOW_CLI_REPLAY_H

#include "kern/replay.h"
#include "model/hello_json.h"
#include "tls/names.h"

struct replay_name {
	const struct replay_hello *h;
	const struct hello_text *text;
	const struct names *names; /* NULL: the hello could not be named */
};

struct replay_view {
	/* Before anything is read. What the tables are keyed with may be changed, where they
	 * go on from earlier ones. */
	int (*begin)(struct secret *secret, struct reason *r);
	/* -errno ends nothing; the summary says that something was not printed. */
	int (*hello)(const struct replay_name *n);
	int (*finish)(struct replay *p);
	/* May be NULL. Before a frame, with its time, ns since 1970; answers when next. */
	uint64_t (*tick)(struct replay *p, uint64_t at);
};

extern const struct replay_view replay_hellos, replay_sources, replay_farms;

/* Reads the options of --farms and --events. 0 or an exit code. */
int replay_farms_options(void);
/* `winnow replay --events`: an exit code. */
int replay_events(const char *path, const volatile sig_atomic_t *stop);

/* "443,8443,9000-9100" or "any". -EINVAL. */
int replay_ports(const char *text, struct ports *out);

#endif
