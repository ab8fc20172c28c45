/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - the control socket: who asks, what he may, and no way to stop us.
 *
 * A stream socket, 0660, or the one that systemd hands over. The kernel says who the peer is
 * (SO_PEERCRED, and SO_PEERGROUPS for his other groups): root and the daemon's own user may do
 * everything, members of the socket's group may read, others nothing.
 *
 * Bounds: SERVER_CLIENTS at a time - one more pushes out the one that has been
 * quiet longest; a request within 10 s of its first byte, a reply taken within
 * 60 s, idle for 60 s; one request of a client at a time; 256 MiB of replies.
 * All reads and writes are non-blocking.
 */
#ifndef WINNOW_DAEMON_SERVER_H
#define WINNOW_DAEMON_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "daemon/frame.h"

#define SERVER_CLIENTS 256

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool reads, writes;
};

/* Something epoll watches; event.data.ptr points here. */
struct watch {
	void (*ready)(struct watch *w, uint32_t events);
};

struct server;

/* Answers one request. a is zeroed before. */
typedef void (*server_fn)(void *ctx, const struct peer *p, const struct request *q,
			  struct answer *a);

/* Listens at `path`; group "" leaves the socket to root. */
int server_open(int epoll_fd, const char *path, const char *group, server_fn fn, void *ctx,
		struct server **out, struct reason *r);
void server_free(struct server *s);

/* Closes what took too long. `now`: ns of any steady clock. */
void server_tick(struct server *s, uint64_t now);

struct server_counts {
	size_t clients;
	uint64_t requests, bad, pushed_out, timed_out;
};
void server_counts(const struct server *s, struct server_counts *out);

#endif
