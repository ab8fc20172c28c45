/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h - since when somebody is logged in, as /proc tells.
 *
 * The oldest of: the leader of his session; every ancestor that has a terminal, and
 * its session's leader (so sudo, su and subshells do not make an old login young); a
 * tmux or screen server above him. Daemons that only wait for logins have no
 * terminal and do not count.
 */
#ifndef WINNOW_DAEMON_SESSION_H
#define WINNOW_DAEMON_SESSION_H

#include <stdint.h>
#include <sys/types.h>

/* ns of CLOCK_BOOTTIME. -ESRCH: /proc does not say (he is gone, or it is hidden). */
int session_began(pid_t pid, uint64_t *out);

/* One line of /proc/PID/stat. */
struct process {
	char comm[32];
	pid_t parent, session;
	int terminal;   /* 0: none */
	uint64_t began; /* ns of CLOCK_BOOTTIME */
};
int process_parse(const char *stat, struct process *out); /* -EINVAL */

#endif
