/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"

static json_t *result(const json_t *row)
{
	static const char *const words[] = { "done",   "no",      "usage",  "?",
					     "denied", "in part", "refused" };
	json_int_t code = json_int_at(row, "result");

	return json_string(code >= 0 && code < 7 ? words[code] : "?");
}

static const char *paint_result(const char *text)
{
	return !strcmp(text, "done") ? NULL : "33";
}

static const struct column columns[] = {
	{ .head = "seq", .key = "seq", .kind = COL_COUNT },
	{ .head = "time", .key = "time" },
	{ .head = "uid", .key = "uid", .kind = COL_COUNT },
	{ .head = "verb", .key = "verb" },
	{ .head = "result", .key = "result", .derive = result, .paint = paint_result },
	{ .head = "detail", .key = "detail", .elastic = true },
	{ .head = "args", .key = "args", .elastic = true },
	{ 0 },
};

static int verify(void)
{
	_cleanup_(reply_free) struct reply r = { 0 };

	if (client_ask("audit.verify", NULL, &r) != CLI_DONE)
		return r.exit;
	if (cli.format == FORMAT_CSV)
		fields_csv(stdout, r.data);
	else if (cli.format != FORMAT_TABLE)
		json_print(stdout, r.data, cli.format == FORMAT_JSONL);
	else
		say("%lld rows, each as it was written.", (long long)json_int_at(r.data, "rows"));
	return r.exit;
}

int cmd_audit(int argc, char **argv)
{
	const char *limit = cli_option("--limit");
	long long n = limit ? cli_number(limit, 1, 50000) : 100;

	if (argc > 1 && strcmp(argv[1], "verify"))
		return cli_usage("%s: expected verify, or nothing", argv[1]);
	if (n < 0)
		return cli_usage("%s: expected a number from 1 to 50000", limit);
	if (argc > 1)
		return verify();
	return ask_rows("audit.list", json_pack("{s:I}", "limit", (json_int_t)n), "audit",
			"winnow.audit_row/1", columns, "Nothing has been done yet.");
}
