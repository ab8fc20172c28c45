/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "daemon/clock.h"
#include "daemon/server.h"
#include "export/metrics.h"

#define TEXT_AGE NSEC_PER_SEC

struct http {
	struct watch watch; /* first */
	struct MHD_Daemon *mhd;
	http_text_fn text;
	void *ctx;
	char *kept; /* the newest text */
	size_t kept_len;
	uint64_t kept_at;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": no unix socket */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static int address_of(const char *where, union address *a, socklen_t *len, struct reason *r)
{
	const char *colon = strrchr(where, ':');
	char host[64] = "", *end;
	unsigned long port;

	*a = (union address){};
	if (*where == '/') {
		if (strlen(where) >= sizeof(a->un.sun_path))
			return reason_set(r, -EINVAL, "\"%s\" is too long for a socket", where);
		a->un.sun_family = AF_UNIX;
		strcpy(a->un.sun_path, where);
		*len = sizeof(a->un);
		return 0;
	}
	if (colon && colon - where < (long)sizeof(host))
		memcpy(host, where, colon - where);
	port = colon ? strtoul(colon + 1, &end, 10) : 0;
	if (!colon || colon[1] < '0' || colon[1] > '9' || *end || !port || port > 65535)
		return reason_set(r, -EINVAL, "\"%s\" is neither ADDRESS:PORT nor a path", where);
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
		*len = sizeof(a->v4);
	} else if (*host == '[' && host[strlen(host) - 1] == ']' &&
		   (host[strlen(host) - 1] = '\0',
		    inet_pton(AF_INET6, host + 1, &a->v6.sin6_addr)) == 1) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
		*len = sizeof(a->v6);
	} else {
		return reason_set(r, -EINVAL, "\"%s\" is neither ADDRESS:PORT nor a path", where);
	}
	if (!is_loopback(a))
		return reason_set(
			r, -EINVAL,
			"\"%s\" is not on loopback; use 127.0.0.1, [::1] or a unix socket, and "
			"a proxy of your own for others",
			where);
	return 0;
}

int http_where(const char *where, struct reason *r)
{
	union address a;
	socklen_t len;

	return address_of(where, &a, &len, r);
}

/* ---- answers ------------------------------------------------------------------------ */

static enum MHD_Result say(struct MHD_Connection *c, unsigned int status, const char *text)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result done;

	if (!r)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static bool refresh(struct http *h)
{
	uint64_t now = clock_read(CLOCK_MONOTONIC);

	if (h->kept && now < h->kept_at + TEXT_AGE)
		return true;
	free(h->kept);
	h->kept = h->text(h->ctx, &h->kept_len);
	h->kept_at = now;
	return h->kept != NULL;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_len, void **seen)
{
	static int once;
	struct http *h = ctx;
	struct MHD_Response *r;
	enum MHD_Result done;

	/* First called when only the head of the request is there. */
	if (!*seen) {
		*seen = &once;
		return MHD_YES;
	}
	if (*body_len) {
		*body_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	if (strcmp(url, "/metrics"))
		return say(c, MHD_HTTP_NOT_FOUND, "metrics are at /metrics\n");
	if (!refresh(h))
		return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	r = MHD_create_response_from_buffer(h->kept_len, h->kept, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, METRICS_TYPE);
	done = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return done;
}

/* ---- life ----------------------------------------------------------------------------- */

static int listen_at(struct http *h, const char *where, struct reason *r)
{
	union address a;
	socklen_t len;
	mode_t mask;
	int err = address_of(where, &a, &len, r), fd, one = 1;

	if (err)
		return err;
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return reason_set(r, -errno, "make a socket: %s", strerror(errno));
	if (a.any.sa_family == AF_UNIX)
		unlink(where); /* of a dead daemon */
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	mask = umask(0111); /* as open as a port of loopback */
	err = bind(fd, &a.any, len) ? -errno : 0;
	umask(mask);
	if (!err && listen(fd, HTTP_CLIENTS))
		err = -errno;
	if (err) {
		close(fd);
		return reason_set(r, err, "metrics: listen at %s: %s", where, strerror(-err));
	}
	if (a.any.sa_family == AF_UNIX)
		strcpy(h->path, where);
	return fd;
}

static void http_ready(struct watch *w, uint32_t events)
{
	MHD_run(((struct http *)w)->mhd);
}

int http_open(int epoll_fd, const char *where, http_text_fn text, void *ctx, struct http **out,
	      struct reason *r)
{
	struct http *h = calloc(1, sizeof(*h));
	struct epoll_event e = { .events = EPOLLIN };
	const union MHD_DaemonInfo *info;
	int fd;

	if (!h)
		return reason_set(r, -ENOMEM, "out of memory");
	h->watch.ready = http_ready;
	h->text = text;
	h->ctx = ctx;
	fd = listen_at(h, where, r);
	if (fd < 0) {
		free(h);
		return fd;
	}
	h->mhd =
		MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, h, MHD_OPTION_LISTEN_SOCKET,
				 fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_CLIENTS,
				 MHD_OPTION_CONNECTION_TIMEOUT, 10u,
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
	if (!h->mhd)
		close(fd);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	e.data.ptr = &h->watch;
	if (!info || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, info->epoll_fd, &e)) {
		http_free(h);
		return reason_set(r, -EIO, "metrics: libmicrohttpd would not start at %s", where);
	}
	*out = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->mhd)
		MHD_stop_daemon(h->mhd); /* its epoll goes, and with it our watch */
	if (*h->path)
		unlink(h->path);
	free(h->kept);
	free(h);
}

void http_tick(struct http *h)
{
	if (h)
		MHD_run(h->mhd);
}
