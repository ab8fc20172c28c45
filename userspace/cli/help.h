/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * help.h - what the command table says, for people, manuals and shells.
 */
#ifndef WINNOW_CLI_HELP_H
#define WINNOW_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* "rule add" and "winnow rule add MATCH... [--dry-run]"; cmd NULL: of winnow itself. */
const char *command_name(const struct command *cmd, char *out, size_t size);
const char *command_usage(const struct command *cmd, char *out, size_t size);

/* One command, else all of one object, else the overview. */
void help_print(FILE *out, const char *object, const struct command *cmd);
/* COMMANDS and OPTIONS of winnow(8), as scdoc source. */
void manual_print(FILE *out);
/* Every `result` of winnow.hello/1, for winnow-fingerprints(7). */
void manual_results(FILE *out);
void manual_metrics(FILE *out);

void completion_bash(FILE *out);
void completion_zsh(FILE *out);
void completion_fish(FILE *out);

#endif
