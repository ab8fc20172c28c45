/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commands.h - the table of commands and how a typed word finds its row.
 *
 * Help, completion and the man page walk the same rows; nothing else lists
 * commands. A word may be any unambiguous prefix, an exact word always wins,
 * `ls` means list.
 */
#ifndef WINNOW_CLI_COMMANDS_H
#define WINNOW_CLI_COMMANDS_H

#include <stddef.h>

#include "cli/cli.h"

extern const struct command commands[]; /* ends with verb NULL */
extern const struct cli_option global_options[];

struct object {
	const char *name, *summary;
};
extern const struct object objects[]; /* ends with name NULL */

/* Names that a word could mean, for the sentence of an error. */
#define CANDIDATES_MAX 32
struct candidates {
	const char *name[CANDIDATES_MAX];
	size_t n;
};

/* The full first word (an object, or a verb alone) that `word` means. Out: `c`
 * holds what matched: n == 1 when the name is returned, 0 for nothing, more for
 * an ambiguous prefix (NULL is returned). */
const char *command_first(const char *word, struct candidates *c);
/* The row that `word` means among the verbs of `object` (NULL: verbs alone). */
const struct command *command_find(const char *object, const char *word, struct candidates *c);
/* The verb of `object` (NULL: verbs alone, and objects) that is two letters from `word`
 * or less and nearest to it; NULL: none. */
const char *command_like(const char *object, const char *word);
/* "status, source, fp" into out. */
const char *candidates_text(const struct candidates *c, char *out, size_t size);

/* Whether `name` is an object, and so is followed by a verb. */
const struct object *object_find(const char *name);
/* An option of the row or of every command; NULL: no such. cmd may be NULL. */
const struct cli_option *option_find(const struct command *cmd, const char *name);

#endif
