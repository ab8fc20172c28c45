/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

static void say_list(const char *fmt, va_list ap)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *safe = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		cli_no_memory();
	safe = text_safe(text);
	fprintf(stderr, "%s\n", safe);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_list(fmt, ap);
	va_end(ap);
}

int ask_act(const char *verb, json_t *args, const char *fmt, ...)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	va_list ap;

	if (client_ask(verb, args, &r) != CLI_DONE)
		return r.exit;
	if (cli.format == FORMAT_JSON || cli.format == FORMAT_JSONL) {
		if (r.data)
			json_print(stdout, r.data, cli.format == FORMAT_JSONL);
		return CLI_DONE;
	}
	va_start(ap, fmt);
	say_list(fmt, ap);
	va_end(ap);
	return CLI_DONE;
}

int ask_rows(const char *verb, json_t *args, const char *list, const char *row_schema,
	     const struct column *cols, const char *none)
{
	_cleanup_(reply_free) struct reply r = { 0 };

	client_ask(verb, args, &r);
	return r.data ? rows_print(r.data, list, row_schema, cols, none, r.exit) : r.exit;
}

#define PAGE_RULES 4000 /* 2 MB of answer */

int ask_rules(void (*page)(void *ctx, json_t *doc), void *ctx)
{
	json_int_t after = 0;

	for (bool more = true; more;) {
		_cleanup_(reply_free) struct reply r = { 0 };
		json_t *args = json_pack("{s:I, s:i}", "after", after, "limit", PAGE_RULES);

		client_ask("rule.list", args, &r);
		if (!r.data || r.exit)
			return r.exit ? r.exit : CLI_NO;
		page(ctx, r.data);
		more = json_is_integer(json_object_get(r.data, "next"));
		after = json_int_at(r.data, "next");
	}
	return CLI_DONE;
}

/* The daemon sees who is logged in, but not through what: sudo, a container. */
json_t *with_how(json_t *args)
{
	json_t *how = json_pack("{s:b, s:s*, s:s*}", "dry_run", cli_option("--dry-run") != NULL,
				"confirm_within", cli_option("--confirm-within"), "ssh_connection",
				getenv("SSH_CONNECTION"));

	if (cli_option("--enforce"))
		json_object_set_new(how, "enforce", json_true());
	if (cli_option("--count"))
		json_object_set_new(how, "count", json_true());
	json_object_update_new(args, how);
	return args;
}

int ask_first(const char *question)
{
	char line[64];

	if (cli_option("--yes"))
		return CLI_DONE;
	if (!isatty(STDIN_FILENO))
		return cli_usage("it asks first, and standard input is not a terminal. Add --yes");
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(line, sizeof(line), stdin) &&
	    (!strcasecmp(line, "y\n") || !strcasecmp(line, "yes\n")))
		return CLI_DONE;
	say("Nothing was changed.");
	return CLI_NO;
}
