/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - one document over HTTP, on loopback or a unix socket.
 *
 * GET or HEAD of /metrics; 404 and 405 else. In the daemon's own loop: nothing here
 * waits for a client. The text is made at most once a second, whoever asks how
 * often.
 *
 * Bounds: HTTP_CLIENTS at a time, 16 KiB of request, 10 s without a byte.
 */
#ifndef WINNOW_DAEMON_HTTP_H
#define WINNOW_DAEMON_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

#define HTTP_CLIENTS 16

struct http;

/* A malloc'ed text; NULL: no memory. */
typedef char *(*http_text_fn)(void *ctx, size_t *len);

/* `where`: "127.0.0.1:9751", "[::1]:9751" or the path of a unix socket, as
 * config.h checked it. */
int http_open(int epoll_fd, const char *where, http_text_fn text, void *ctx, struct http **out,
	      struct reason *r);
void http_free(struct http *h);
/* Ends what took too long. */
void http_tick(struct http *h);

/* 0, or -EINVAL: neither loopback with a port nor a path. */
int http_where(const char *where, struct reason *r);

#endif
