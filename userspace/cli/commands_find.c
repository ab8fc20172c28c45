/* SPDX-License-Identifier: BSD-2-Clause */
/* How a typed word finds its row in the table of commands. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const struct object *object_find(const char *name)
{
	for (const struct object *o = objects; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

static void candidate_add(struct candidates *c, const char *name)
{
	if (c->n < CANDIDATES_MAX)
		c->name[c->n++] = name;
}

/* 2: the very word, 1: a prefix, 0: neither. */
static int word_fits(const char *word, const char *name)
{
	size_t len = strlen(word);

	if (!strcmp(word, name))
		return 2;
	return len && !strncmp(word, name, len);
}

const char *command_first(const char *word, struct candidates *c)
{
	c->n = 0;
	for (const struct object *o = objects; o->name; o++) {
		int fits = word_fits(word, o->name);

		if (fits == 2) {
			c->n = 1;
			return c->name[0] = o->name;
		}
		if (fits)
			candidate_add(c, o->name);
	}
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		int fits = cmd->object ? 0 : word_fits(word, cmd->verb);

		if (fits == 2) {
			c->n = 1;
			return c->name[0] = cmd->verb;
		}
		if (fits)
			candidate_add(c, cmd->verb);
	}
	return c->n == 1 ? c->name[0] : NULL;
}

static int same_object(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

const struct command *command_find(const char *object, const char *word, struct candidates *c)
{
	const struct command *found = NULL;

	if (object && !strcmp(word, "ls"))
		word = "list";
	c->n = 0;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		int fits = same_object(object, cmd->object) ? word_fits(word, cmd->verb) : 0;

		if (fits == 2) {
			c->n = 1;
			c->name[0] = cmd->verb;
			return cmd;
		}
		if (fits) {
			candidate_add(c, cmd->verb);
			found = cmd;
		}
	}
	return c->n == 1 ? found : NULL;
}

#define LIKE 2 /* letters apart */

static void like(const char *word, const char *name, const char **nearest, unsigned int *distance)
{
	unsigned int d = text_distance(word, name);

	if (d >= *distance || d >= strlen(name))
		return;
	*nearest = name;
	*distance = d;
}

const char *command_like(const char *object, const char *word)
{
	unsigned int distance = LIKE + 1;
	const char *nearest = NULL;

	for (const struct command *cmd = commands; cmd->verb; cmd++)
		if (same_object(object, cmd->object))
			like(word, cmd->verb, &nearest, &distance);
	for (const struct object *o = objects; !object && o->name; o++)
		like(word, o->name, &nearest, &distance);
	return nearest;
}

const char *candidates_text(const struct candidates *c, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->n && len < size; i++)
		len += snprintf(out + len, size - len, "%s%s", i ? ", " : "", c->name[i]);
	return out;
}

static const struct cli_option *option_in(const struct cli_option *o, const char *name)
{
	for (; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

const struct cli_option *option_find(const struct command *cmd, const char *name)
{
	const struct cli_option *o = cmd ? option_in(cmd->options, name) : NULL;

	if (!strcmp(name, "-h"))
		name = "--help";
	return o ? o : option_in(global_options, name);
}
