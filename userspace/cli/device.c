/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"

int cmd_attach(int argc, char **argv)
{
	const char *mode = cli_option("--mode") ? cli_option("--mode") : "native";

	return ask_act("attach", json_pack("{s:s, s:s}", "device", argv[1], "mode", mode),
		       "%s: attached in %s mode. `winnow status` shows what it sees.", argv[1],
		       mode);
}

int cmd_detach(int argc, char **argv)
{
	return ask_act("detach", json_pack("{s:s}", "device", argv[1]),
		       "%s: detached. Tallies and rules stay.", argv[1]);
}

int cmd_panic(int argc, char **argv)
{
	bool off = argc > 1;
	int code;

	/* "on" is what `panic` alone means; people in a hurry type it. */
	if (off && !strcmp(argv[1], "on"))
		off = false;
	else if (off && strcmp(argv[1], "off"))
		return cli_usage("%s: expected off, or nothing", argv[1]);
	code = off ? ask_first("Let the rules drop again?") : CLI_DONE;
	if (code)
		return code;
	return ask_act("panic", json_pack("{s:b}", "on", !off), "%s",
		       off ? "Panic is over: the rules act again."
			   : "Panic: nothing is dropped any more. `winnow panic off` ends it.");
}
