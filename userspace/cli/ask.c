/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

static void say_list(const char *fmt, va_list ap)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *safe = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	safe = text ? text_safe(text) : NULL;
	if (safe)
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

/* Page by page, so that a frame stays small; lines are printed as they come. */
int ask_rows(const char *verb, const char *list, const char *row_schema, const struct column *cols,
	     const char *none)
{
	bool streams = cli.format == FORMAT_JSONL || cli.format == FORMAT_CSV;
	_cleanup_(reply_free) struct reply all = { 0 };
	json_int_t from = 0, next;

	client_ask(verb, NULL, &all);
	if (!all.data)
		return all.exit;
	if (streams)
		rows_print(all.data, list, row_schema, cols, none, all.exit);
	for (next = json_int_at(all.data, "next"); next > from;) {
		_cleanup_(reply_free) struct reply page = { 0 };

		from = next;
		client_ask(verb, json_pack("{s:I}", "from", from), &page);
		if (!page.data)
			return page.exit;
		if (streams)
			rows_more(page.data, list, row_schema, cols);
		else
			json_array_extend(json_object_get(all.data, list),
					  json_object_get(page.data, list));
		next = json_int_at(page.data, "next");
	}
	json_object_del(all.data, "next");
	return streams ? all.exit : rows_print(all.data, list, row_schema, cols, none, all.exit);
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
