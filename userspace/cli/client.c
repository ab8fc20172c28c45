/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "cli/cli.h"

static int send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		p += n;
		len -= n;
	}
	return 0;
}

static int receive_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!n)
			return -ECONNRESET;
		p += n;
		len -= n;
	}
	return 0;
}

int frame_send(int fd, const json_t *doc)
{
	_cleanup_(freep) char *text = json_dumps(doc, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	uint32_t head = htonl((uint32_t)len);
	int err;

	if (!text)
		return -EINVAL;
	if (len > FRAME_MAX)
		return -EMSGSIZE;
	err = send_all(fd, &head, sizeof(head));
	return err ? err : send_all(fd, text, len);
}

int frame_receive(int fd, size_t max, json_t **out)
{
	_cleanup_(freep) char *text = NULL;
	uint32_t head;
	int err = receive_all(fd, &head, sizeof(head));
	json_t *doc;

	if (err)
		return err;
	head = ntohl(head);
	if (head > max)
		return -EMSGSIZE;
	text = malloc(head + 1);
	if (!text)
		return -ENOMEM;
	err = receive_all(fd, text, head);
	if (err)
		return err;
	doc = json_loadb(text, head, JSON_REJECT_DUPLICATES, NULL);
	if (!doc)
		return -EBADMSG;
	*out = doc;
	return 0;
}

void reply_free(struct reply *r)
{
	json_decref(r->data);
	r->data = NULL;
}

/* Where complaints of this thread go; text NULL: to the person at stderr. */
static _Thread_local struct {
	char *text;
	size_t size;
} quiet;

static int complain(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int complain(int code, const char *fmt, ...)
{
	char said[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	if (!quiet.text)
		return cli_fail(code, "%s", said);
	snprintf(quiet.text, quiet.size, "%s", said);
	return code;
}

static int no_connection(int err)
{
	const char *at = cli.socket;

	if (err == EACCES || err == EPERM)
		return complain(
			CLI_DENIED,
			"connect %s: not permitted. Try: sudo, or a user of the group that owns "
			"the socket",
			at);
	if (err == ENOENT || err == ECONNREFUSED || err == ENOTDIR)
		return complain(
			CLI_NO_DAEMON,
			"connect %s: winnowd is not running%s. Try: sudo systemctl start winnowd, "
			"or --socket PATH if its socket is elsewhere",
			at, err == ECONNREFUSED ? " (nobody listens there)" : " (no socket there)");
	if (err == EAGAIN || err == ETIMEDOUT)
		return complain(
			CLI_NO,
			"connect %s: winnowd took no connection in %d s. Try: journalctl -u "
			"winnowd",
			at, CLIENT_TIMEOUT);
	return complain(CLI_NO, "connect %s: %s. Try: ls -l %s", at, strerror(err), at);
}

/* A descriptor, or minus the exit code, with the error said. */
static int client_connect(void)
{
	struct timeval patience = { .tv_sec = CLIENT_TIMEOUT };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = -1;

	if (strlen(cli.socket) >= sizeof(a.sun_path))
		return -complain(CLI_USAGE,
				 "--socket %s: a socket path has at most %zu characters. Give a "
				 "shorter one",
				 cli.socket, sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, cli.socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -complain(CLI_NO, "open a socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -no_connection(errno);
	return take_fd(fd);
}

static int no_answer(const char *verb, int err)
{
	switch (-err) {
	case ETIMEDOUT:
		return complain(CLI_NO,
				"%s: winnowd did not answer in %d s. Try: journalctl -u winnowd",
				verb, CLIENT_TIMEOUT);
	case ECONNRESET:
	case EPIPE:
		return complain(CLI_NO,
				"%s: winnowd closed the connection before its answer was complete. "
				"Try again, and journalctl -u winnowd if it repeats",
				verb);
	case EMSGSIZE:
		return complain(
			CLI_NO,
			"%s: the frame on %s is longer than %u bytes. Try: winnow --version on "
			"both sides",
			verb, cli.socket, FRAME_MAX);
	case EBADMSG:
		return complain(
			CLI_NO,
			"%s: what answers on %s does not speak winnow. Check --socket and the "
			"version of winnowd",
			verb, cli.socket);
	default:
		return complain(CLI_NO, "%s: talk to %s: %s", verb, cli.socket, strerror(-err));
	}
}

/* Fills r from a reply document; -EBADMSG when it is none. Prints its error. */
static int reply_read(const char *verb, const json_t *doc, struct reply *r)
{
	const json_t *code = json_object_get(doc, "exit");
	const json_t *error = json_object_get(doc, "error");
	json_t *data = json_object_get(doc, "data");

	if (!json_is_integer(code) || json_integer_value(code) < CLI_DONE ||
	    json_integer_value(code) > CLI_REFUSED)
		return -EBADMSG;
	r->exit = (int)json_integer_value(code);
	r->data = json_is_null(data) ? NULL : json_incref(data);
	if (json_is_string(error))
		complain(r->exit, "%s", json_string_value(error));
	else if (r->exit && !r->data)
		complain(r->exit,
			 "%s: winnowd refused and gave no reason. Try: journalctl -u winnowd",
			 verb);
	return 0;
}

int client_ask(const char *verb, json_t *args, struct reply *r)
{
	json_t *ask = json_pack("{s:s, s:o}", "verb", verb, "args", args ? args : json_object());
	json_t *doc = NULL;
	int fd, err;

	*r = (struct reply){ 0 };
	fd = client_connect();
	if (fd < 0) {
		json_decref(ask);
		return r->exit = -fd;
	}
	err = ask ? frame_send(fd, ask) : -ENOMEM;
	if (!err)
		err = frame_receive(fd, FRAME_MAX, &doc);
	if (!err)
		err = reply_read(verb, doc, r);
	if (err)
		r->exit = no_answer(verb, err);
	close(fd);
	json_decref(ask);
	json_decref(doc);
	return r->exit;
}

int client_try(const char *verb, json_t *args, struct reply *r, char *why, size_t size)
{
	why[0] = '\0';
	quiet.text = why;
	quiet.size = size;
	client_ask(verb, args, r);
	quiet.text = NULL;
	return r->exit;
}
