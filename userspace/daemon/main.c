/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon/daemon.h"

static int usage(FILE *to, int code)
{
	fputs("usage: winnowd [-c FILE] [-f] [-t]\n"
	      "  -c FILE  read only FILE, not /usr/lib/winnow and /etc/winnow\n"
	      "  -f       stay in the foreground\n"
	      "  -t       check the configuration and stop\n"
	      "  -V       print the version\n",
	      to);
	return code;
}

/* The parent waits until the child is ready, and ends as it began. */
static int to_background(int *ready)
{
	unsigned char code = EXIT_NO;
	int ends[2], status;
	pid_t child;

	if (pipe(ends))
		return log_fail(-errno, "make a pipe");
	child = fork();
	if (child < 0)
		return log_fail(-errno, "fork");
	if (!child) {
		close(ends[0]);
		setsid();
		*ready = ends[1];
		return 0;
	}
	close(ends[1]);
	if (read(ends[0], &code, 1) != 1 && waitpid(child, &status, 0) == child &&
	    WIFEXITED(status))
		code = WEXITSTATUS(status);
	_exit(code);
}

static int check_only(const char *file)
{
	struct config *c = calloc(1, sizeof(*c));
	struct reason r;
	int err = c ? config_read(file, c, &r) : -ENOMEM;

	free(c);
	if (err == -ENOMEM)
		return EXIT_NO;
	if (err)
		log_error("%s", r.text);
	return err ? EXIT_USAGE : EXIT_DONE;
}

static void say_ready(int fd, int code)
{
	unsigned char byte = code;

	if (fd < 0)
		return;
	if (write(fd, &byte, 1) != 1)
		log_warn("nobody waits for us");
	close(fd);
}

int main(int argc, char **argv)
{
	bool foreground = false, check = false;
	const char *file = NULL;
	struct daemon *d;
	int opt, code, ready = -1;

	log_open("winnowd", LOG_NOTE);
	while ((opt = getopt(argc, argv, "c:fthV")) != -1) {
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'f':
			foreground = true;
			break;
		case 't':
			check = true;
			break;
		case 'h':
			return usage(stdout, EXIT_DONE);
		case 'V':
			puts("winnowd " WINNOW_VERSION);
			return EXIT_DONE;
		default:
			return usage(stderr, EXIT_USAGE);
		}
	}
	if (optind != argc)
		return usage(stderr, EXIT_USAGE);
	if (check)
		return check_only(file);
	if (!foreground && to_background(&ready))
		return EXIT_NO;
	d = calloc(1, sizeof(*d));
	if (!d)
		return EXIT_NO;
	code = daemon_start(d, file);
	say_ready(ready, code);
	if (code == EXIT_DONE)
		code = daemon_run(d);
	daemon_stop(d);
	free(d);
	return code;
}
