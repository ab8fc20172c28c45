/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon/daemon.h"

static int usage(FILE *to, int code)
{
	fputs("usage: winnowd [-c FILE] [-f] [-t]\n"
	      "  -c FILE  read only FILE, not /usr/lib/winnow and /etc/winnow\n"
	      "  -f       stay in the foreground, as it always does\n"
	      "  -t       check the configuration and stop\n"
	      "  -V       print the version\n",
	      to);
	return code;
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

int main(int argc, char **argv)
{
	bool check = false;
	const char *file = NULL;
	struct daemon *d;
	int opt, code;

	log_open("winnowd", LOG_NOTE);
	while ((opt = getopt(argc, argv, "c:fthV")) != -1) {
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'f':
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
	d = calloc(1, sizeof(*d));
	if (!d)
		return EXIT_NO;
	code = daemon_start(d, file);
	if (code == EXIT_DONE)
		code = daemon_run(d);
	daemon_stop(d);
	free(d);
	return code;
}
