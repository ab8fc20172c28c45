/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const struct column columns[] = {
	{ .head = "network", .key = "cidr" },
	{ .head = "age", .key = "created", .kind = COL_AGE },
	{ .head = "origin", .key = "origin", .elastic = true },
	{ .head = "reason", .key = "reason", .elastic = true },
	{ 0 },
};

int cmd_allow_list(int argc, char **argv)
{
	return ask_rows("allow.list", NULL, "allows", "winnow.allow/1", columns,
			"No network is allowed yet. Try: winnow allow add 192.0.2.0/24 reason "
			"\"our office\"");
}

/* argv[from..] with one space between; NULL: no memory. */
static char *words_joined(int argc, char **argv, int from)
{
	size_t len = 1;
	char *text;

	for (int i = from; i < argc; i++)
		len += strlen(argv[i]) + 1;
	text = calloc(1, len);
	for (int i = from; text && i < argc; i++) {
		if (i > from)
			strcat(text, " ");
		strcat(text, argv[i]);
	}
	return text;
}

int cmd_allow_add(int argc, char **argv)
{
	_cleanup_(freep) char *reason = NULL;

	if (argc == 2)
		return cli_usage("a reason is missing, like: reason \"our office\"");
	if (strcmp(argv[2], "reason"))
		return cli_usage("%s: expected the word reason and a text", argv[2]);
	if (argc == 3)
		return cli_usage("the text behind reason is missing");
	reason = words_joined(argc, argv, 3);
	if (!reason)
		return cli_fail(CLI_NO, "allow add: no memory");
	return ask_act("allow.add", json_pack("{s:s, s:s}", "cidr", argv[1], "reason", reason),
		       "%s: allowed; no rule touches it from now on.", argv[1]);
}

int cmd_allow_del(int argc, char **argv)
{
	const char *within = cli_option("--confirm-within");

	return ask_act("allow.del", with_how(json_pack("{s:s}", "cidr", argv[1])),
		       "%s: no longer allowed; rules may touch it.%s%s%s", argv[1],
		       within ? " Allowed again in " : "", within ? within : "",
		       within ? ", unless `winnow commit confirm` comes first." : "");
}
