/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

int cmd_replay(int argc, char **argv)
{
	return cli_fail(CLI_NO, "replay: not part of this build");
}
