/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon/daemon.h"

#define LARGE (1 << 20)

static int usage(FILE *to, int code)
{
	fputs("usage: winnowd [-c FILE] [-f] [-t|-T|-K]\n"
	      "  -c FILE  read only FILE, not /usr/lib/winnow and /etc/winnow\n"
	      "  -f       stay in the foreground, as it always does\n"
	      "  -t       check the configuration and stop\n"
	      "  -T       the same, and print it as JSON\n"
	      "  -K       print the keys there are, for winnow.conf(5)\n"
	      "  -V       print the version\n",
	      to);
	return code;
}

static int check_only(const char *file, bool show)
{
	_cleanup_(freep) struct config *c = calloc(1, sizeof(*c));
	struct reason r;
	int err = c ? config_read(file, c, &r) : -ENOMEM;
	json_t *doc;

	if (err == -ENOMEM)
		return EXIT_NO;
	if (err) {
		log_error("%s", r.text);
		return EXIT_USAGE;
	}
	if (!show)
		return EXIT_DONE;
	doc = config_json(c);
	if (!doc || json_dumpf(doc, stdout, JSON_COMPACT) || putchar('\n') < 0 || fflush(stdout))
		err = -EIO;
	json_decref(doc);
	return err ? EXIT_NO : EXIT_DONE;
}

/* scdoc: * _ and \ would be markup. */
static void plain(const char *s)
{
	for (; *s; s++) {
		if (strchr("*_\\", *s))
			putchar('\\');
		putchar(*s);
	}
}

static int print_keys(void)
{
	const char *section = "";
	struct config_key k;

	for (size_t i = 0; config_key(i, &k) && k.help; i++) {
		if (strcmp(section, k.section))
			printf("## [%s]\n\n", section = k.section);
		printf("*%s* = ", k.name);
		plain(*k.value ? k.value : "(empty)");
		fputs("\n\t", stdout);
		plain(k.help);
		fputs("\n\n", stdout);
	}
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	bool check = false, show = false;
	const char *file = NULL;
	struct daemon *d;
	int opt, code;

	log_open("winnowd", LOG_NOTE);
	while ((opt = getopt(argc, argv, "c:ftTKhV")) != -1) {
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'f':
			break;
		case 'T':
			show = true;
			/* fallthrough */
		case 't':
			check = true;
			break;
		case 'K':
			return print_keys();
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
		return check_only(file, show);
	/* What is large goes back when it is freed. By itself the allocator learns from the
	 * detector's arrays to keep them: 60 MB in holes at a million tallies. */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	d = calloc(1, sizeof(*d));
	if (!d) {
		log_fail(-ENOMEM, "start");
		return EXIT_NO;
	}
	code = daemon_start(d, file);
	if (code == EXIT_DONE)
		code = daemon_run(d);
	daemon_stop(d);
	free(d);
	return code;
}
