/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void child(int (*program)(int, char **), const char *const *argv, bool typing)
{
	static const int caught[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS };
	int argc = 0;

	/* cmocka would jump out of a crash and go on with the tests in the child. */
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		signal(caught[i], SIG_DFL);
	if (!typing)
		dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	while (argv[argc])
		argc++;
	_exit(program(argc, (char **)argv));
}

/* A terminal answers EIO when its other side is gone. */
static void collect(int fd, char *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len + 1 < size &&
	       ((n = read(fd, to + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? n : 0;
	to[len] = '\0';
	close(fd);
}

static void run(int (*program)(int, char **), const char *const *argv, int columns,
		const char *typed, struct captured *c)
{
	struct winsize size = { .ws_col = columns, .ws_row = 24 };
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, status;
	pid_t pid;

	memset(c, 0, sizeof(*c));
	fflush(NULL); /* or the child says again what we have not yet said */
	if (columns) {
		pid = forkpty(&out[0], NULL, NULL, &size);
	} else {
		if (pipe(out) || pipe(err))
			abort();
		pid = fork();
	}
	if (pid < 0)
		abort();
	if (!pid) {
		if (!columns) {
			dup2(out[1], STDOUT_FILENO);
			dup2(err[1], STDERR_FILENO);
		}
		child(program, argv, typed != NULL);
	}
	if (!columns) {
		close(out[1]);
		close(err[1]);
	}
	if (typed && write(out[0], typed, strlen(typed)) < 0)
		abort();
	/* What a command says on stderr fits into the pipe, so out comes first. */
	collect(out[0], c->out, sizeof(c->out));
	if (!columns)
		collect(err[0], c->err, sizeof(c->err));
	waitpid(pid, &status, 0);
	c->exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void capture(int (*program)(int, char **), const char *const *argv, int columns, struct captured *c)
{
	run(program, argv, columns, NULL, c);
}

void capture_typing(int (*program)(int, char **), const char *const *argv, const char *typed,
		    struct captured *c)
{
	run(program, argv, 80, typed, c);
}
