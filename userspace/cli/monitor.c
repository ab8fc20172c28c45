/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of the daemon as they come; it keeps the newest, we ask again and again. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"

#define ASK_EVERY_NS 200000000
#define LAST_MAX     1000

static const char *paint(const char *level)
{
	if (!strcmp(level, "error"))
		return "31";
	return strcmp(level, "warning") ? "0" : "33";
}

static void print_event(const json_t *e)
{
	const char *level = json_text_at(e, "level", "");
	_cleanup_(freep) char *text = NULL;

	if (cli.format != FORMAT_TABLE) {
		json_print(stdout, e, true);
		return;
	}
	text = text_safe(json_text_at(e, "text", ""));
	if (cli.color)
		printf("%s  \033[%sm%-7s\033[0m  %s\n", json_text_at(e, "time", ""), paint(level),
		       level, text);
	else
		printf("%s  %-7s  %s\n", json_text_at(e, "time", ""), level, text);
}

int cmd_monitor(int argc, char **argv)
{
	long long most = -1, last = 0, seen = 0;
	json_int_t next = -1;

	if (cli.format == FORMAT_CSV || cli.format == FORMAT_JSON)
		return cli_usage("events are lines, text or --jsonl");
	if (cli_option("-n") && (most = cli_number(cli_option("-n"), 1, 1000000000)) < 0)
		return cli_usage("-n: expected a number");
	if (cli_option("--last") && (last = cli_number(cli_option("--last"), 0, LAST_MAX)) < 0)
		return cli_usage("--last: expected a number up to %d", LAST_MAX);
	for (;;) {
		_cleanup_(reply_free) struct reply r = { 0 };
		json_t *e;
		size_t i;

		client_ask("events",
			   next < 0 ? json_pack("{s:I}", "last", (json_int_t)last)
				    : json_pack("{s:I}", "after", next),
			   &r);
		if (!r.data)
			return r.exit;
		next = json_int_at(r.data, "next");
		if (json_int_at(r.data, "missed"))
			say("%lld events came too fast and are not shown.",
			    (long long)json_int_at(r.data, "missed"));
		json_array_foreach(json_object_get(r.data, "events"), i, e) {
			print_event(e);
			if (++seen == most)
				return CLI_DONE;
		}
		if (fflush(stdout))
			return CLI_NO;
		nanosleep(&(struct timespec){ .tv_nsec = ASK_EVERY_NS }, NULL);
	}
}
