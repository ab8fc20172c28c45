/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "daemon/clock.h"

#define REQUEST_TIME (10 * NSEC_PER_SEC)
#define REPLY_TIME   (60 * NSEC_PER_SEC)
#define IDLE_TIME    (60 * NSEC_PER_SEC)
#define REPLIES_MAX  (256u << 20)
#define REPLY_LARGE  (1u << 20)

struct client {
	struct watch watch; /* first */
	struct server *server;
	int fd; /* -1: free */
	struct peer peer;
	uint8_t head[FRAME_HEAD];
	char *in; /* after the head; NULL until it is whole */
	size_t n_head, n_in, len_in;
	char *out;
	size_t n_out, len_out;
	bool last;      /* close after this reply */
	uint64_t since; /* this request, this reply, or quiet */
};

struct server {
	struct watch watch; /* first: of the listening socket */
	int fd, epoll_fd;
	gid_t group;
	bool has_group;
	bool given; /* by systemd, who keeps it */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	server_fn fn;
	void *ctx;
	size_t replies; /* bytes not yet sent */
	bool large;     /* a large one was sent since the last tick */
	struct server_counts counts;
	struct client clients[SERVER_CLIENTS];
};

static uint64_t now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* ---- clients ------------------------------------------------------------------- */

static void client_close(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	free(c->in);
	free(c->out);
	c->server->replies -= c->len_out;
	c->server->counts.clients--;
	*c = (struct client){ .watch = c->watch, .server = c->server, .fd = -1 };
}

static void client_watch(struct client *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = &c->watch };

	epoll_ctl(c->server->epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* False: the client is gone. */
static bool client_flush(struct client *c)
{
	while (c->n_out < c->len_out) {
		ssize_t n = send(c->fd, c->out + c->n_out, c->len_out - c->n_out,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			client_watch(c, EPOLLOUT);
			return true;
		}
		if (n <= 0) {
			client_close(c);
			return false;
		}
		c->n_out += n;
	}
	if (c->last) {
		client_close(c);
		return false;
	}
	c->server->replies -= c->len_out;
	c->server->large |= c->len_out > REPLY_LARGE;
	free(c->out);
	c->out = NULL;
	c->n_out = c->len_out = 0;
	c->since = now();
	client_watch(c, EPOLLIN);
	return true;
}

static bool client_answer(struct client *c, struct answer *a)
{
	size_t len;
	char *frame = answer_frame(a, &len);

	if (!frame || c->server->replies + len > REPLIES_MAX) {
		free(frame);
		client_close(c);
		return false;
	}
	c->out = frame;
	c->len_out = len;
	c->n_out = 0;
	c->server->replies += len;
	c->since = now();
	return client_flush(c);
}

static bool client_refuse(struct client *c, const struct reason *why)
{
	struct answer a = { .exit = EXIT_USAGE, .error = *why };

	c->server->counts.bad++;
	c->last = true;
	return client_answer(c, &a);
}

static bool client_request(struct client *c)
{
	struct answer a = {};
	struct request q;
	struct reason why;

	if (request_parse(c->in, c->len_in, &q, &why))
		return client_refuse(c, &why);
	free(c->in);
	c->in = NULL;
	c->n_head = c->n_in = c->len_in = 0;
	c->server->counts.requests++;
	c->server->fn(c->server->ctx, &c->peer, &q, &a);
	request_clear(&q);
	return client_answer(c, &a);
}

/* Bytes for the head, then for the body; true: go on reading. */
static bool client_took(struct client *c, size_t n)
{
	struct reason why;

	if (!c->n_head && !c->in)
		c->since = now();
	if (!c->in) {
		c->n_head += n;
		if (c->n_head < FRAME_HEAD)
			return true;
		if (frame_request_len(c->head, &c->len_in, &why)) {
			client_refuse(c, &why);
			return false;
		}
		c->in = malloc(c->len_in);
		if (!c->in)
			client_close(c);
		return c->fd >= 0;
	}
	c->n_in += n;
	if (c->n_in < c->len_in)
		return true;
	client_request(c);
	return false; /* others first; what is left is still readable */
}

static void client_read(struct client *c)
{
	for (;;) {
		char *at = c->in ? c->in + c->n_in : (char *)c->head + c->n_head;
		size_t room = c->in ? c->len_in - c->n_in : FRAME_HEAD - c->n_head;
		ssize_t n = recv(c->fd, at, room, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			client_close(c);
			return;
		}
		if (!client_took(c, n))
			return;
	}
}

static void client_ready(struct watch *w, uint32_t events)
{
	struct client *c = (struct client *)w;

	if (c->fd < 0)
		return;
	if (c->out)
		client_flush(c);
	else if (events & EPOLLIN)
		client_read(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_close(c);
}

/* ---- who is there ----------------------------------------------------------------- */

static bool in_group(int fd, gid_t gid, gid_t group)
{
	gid_t list[256];
	socklen_t len = sizeof(list);

	if (gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(list[0]); i++)
		if (list[i] == group)
			return true;
	return false;
}

static int peer_of(const struct server *s, int fd, struct peer *p)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred u;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len))
		return -errno;
	*p = (struct peer){ .uid = u.uid, .gid = u.gid, .pid = u.pid };
	p->writes = u.uid == 0 || u.uid == geteuid();
	p->reads = p->writes || (s->has_group && in_group(fd, u.gid, s->group));
	return 0;
}

static struct client *client_free(struct server *s)
{
	struct client *quiet = &s->clients[0];

	for (size_t i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0)
			return c;
		if (c->since < quiet->since)
			quiet = c;
	}
	s->counts.pushed_out++;
	client_close(quiet);
	return quiet;
}

static void server_ready(struct watch *w, uint32_t events)
{
	struct server *s = (struct server *)w;
	struct epoll_event e = { .events = EPOLLIN };
	struct client *c;
	struct peer p;
	int fd;

	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (peer_of(s, fd, &p)) {
		close(fd);
		return;
	}
	c = client_free(s);
	c->fd = fd;
	c->peer = p;
	c->since = now();
	s->counts.clients++;
	e.data.ptr = &c->watch;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e))
		client_close(c);
}

/* ---- the socket ------------------------------------------------------------------- */

static int group_of(const char *name, gid_t *out)
{
	struct group *g = getgrnam(name);
	char *end;

	if (g) {
		*out = g->gr_gid;
		return 0;
	}
	*out = strtoul(name, &end, 10);
	return *name && !*end ? 0 : -ENOENT;
}

/* A socket that systemd made: its path, mode and group are the unit's. */
static int take_given(struct server *s, struct reason *r)
{
	int n = sd_listen_fds(1);

	if (n <= 0)
		return -ENOENT;
	s->fd = SD_LISTEN_FDS_START;
	s->given = true;
	if (n > 1 || sd_is_socket_unix(s->fd, SOCK_STREAM, 1, NULL, 0) <= 0)
		return reason_set(r, -EINVAL,
				  "what the service manager gave is not one listening unix socket. "
				  "Try: one ListenStream= in winnowd.socket");
	return fcntl(s->fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int bind_at(struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	strcpy(a.sun_path, s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	unlink(s->path); /* of a dead daemon: the pid file says we are alone */
	mask = umask(0117);
	err = bind(s->fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
	umask(mask);
	if (!err && s->has_group && chown(s->path, -1, s->group))
		err = -errno;
	if (!err && listen(s->fd, 128))
		err = -errno;
	return err;
}

static int listen_at(struct server *s, struct reason *r)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->watch };
	int err = take_given(s, r);

	if (err == -EINVAL)
		return err;
	if (err == -ENOENT)
		err = bind_at(s);
	if (!err && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->fd, &e))
		err = -errno;
	return err ? reason_set(r, err, "listen at %s: %s", s->path, strerror(-err)) : 0;
}

int server_open(int epoll_fd, const char *path, const char *group, server_fn fn, void *ctx,
		struct server **out, struct reason *r)
{
	struct server *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return reason_set(r, -ENOMEM, "out of memory");
	s->watch.ready = server_ready;
	s->fd = -1;
	s->epoll_fd = epoll_fd;
	s->fn = fn;
	s->ctx = ctx;
	s->has_group = group[0] != '\0';
	for (size_t i = 0; i < SERVER_CLIENTS; i++)
		s->clients[i] =
			(struct client){ .watch.ready = client_ready, .server = s, .fd = -1 };
	if (s->has_group)
		err = group_of(group, &s->group);
	if (err)
		reason_set(r, err, "group = %s: there is no such group", group);
	else if (strlen(path) >= sizeof(s->path))
		err = reason_set(r, -ENAMETOOLONG, "%s: too long for a socket", path);
	if (!err) {
		strcpy(s->path, path);
		err = listen_at(s, r);
	}
	if (err) {
		server_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SERVER_CLIENTS; i++)
		client_close(&s->clients[i]);
	if (s->fd >= 0) {
		close(s->fd);
		if (!s->given)
			unlink(s->path);
	}
	free(s);
}

void server_tick(struct server *s, uint64_t at)
{
	for (size_t i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->clients[i];
		uint64_t limit = c->out               ? REPLY_TIME
				 : c->n_head || c->in ? REQUEST_TIME
						      : IDLE_TIME;

		if (c->fd < 0 || at < c->since + limit)
			continue;
		s->counts.timed_out++;
		client_close(c);
	}
	/* The document behind a reply is six times its size in small pieces, which the
	 * allocator keeps: 20,000 rules listed once were 18 MB for good. */
	if (s->large)
		malloc_trim(0);
	s->large = false;
}

void server_counts(const struct server *s, struct server_counts *out)
{
	*out = s->counts;
}
