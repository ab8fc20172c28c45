/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"

#define ANCESTORS_MAX 64

int process_parse(const char *stat, struct process *out)
{
	/* A name may hold anything, parentheses too; the last one ends it. */
	const char *open = strchr(stat, '('), *close = strrchr(stat, ')');
	unsigned long long ticks;
	int parent, session, terminal, len;

	if (!open || !close || close < open ||
	    sscanf(close + 1,
		   " %*c %d %*d %d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &parent, &session, &terminal, &ticks) != 4)
		return -EINVAL;
	len = close - open - 1;
	*out = (struct process){ .parent = parent, .session = session, .terminal = terminal };
	snprintf(out->comm, sizeof(out->comm), "%.*s", len, open + 1);
	out->began = ticks * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
	return 0;
}

static int process_read(pid_t pid, struct process *out)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[32], stat[1024];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -ESRCH;
	n = fread(stat, 1, sizeof(stat) - 1, f);
	stat[n] = '\0';
	return process_parse(stat, out) ? -ESRCH : 0;
}

static void older(uint64_t *began, const struct process *p)
{
	if (p->began < *began)
		*began = p->began;
}

static void older_leader(uint64_t *began, pid_t session)
{
	struct process leader;

	if (!process_read(session, &leader))
		older(began, &leader);
}

int session_began(pid_t pid, uint64_t *out)
{
	struct process p;
	uint64_t began;

	if (pid <= 0 || process_read(pid, &p))
		return -ESRCH;
	began = p.began;
	older_leader(&began, p.session);
	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		if (p.terminal || !strncmp(p.comm, "tmux", 4) || !strcasecmp(p.comm, "screen")) {
			older(&began, &p);
			older_leader(&began, p.session);
		}
		pid = p.parent;
		if (pid <= 1)
			break;
		if (process_read(pid, &p))
			return -ESRCH;
	}
	*out = began;
	return 0;
}
