/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/help.h"

#include <string.h>

#include "cli/commands.h"

const char *command_name(const struct command *cmd, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", cmd->object ? cmd->object : "", cmd->object ? " " : "",
		 cmd->verb);
	return out;
}

const char *command_usage(const struct command *cmd, char *out, size_t size)
{
	char name[64];
	size_t len;

	if (!cmd) {
		snprintf(out, size, "winnow COMMAND (winnow help lists them)");
		return out;
	}
	len = snprintf(out, size, "winnow %s%s%s", command_name(cmd, name, sizeof(name)),
		       *cmd->args ? " " : "", cmd->args);
	for (const struct cli_option *o = cmd->options; o->name && len < size; o++)
		len += snprintf(out + len, size - len, " [%s%s%s]", o->name, o->value ? " " : "",
				o->value ? o->value : "");
	return out;
}

static void line_print(FILE *out, int width, const char *left, const char *right)
{
	/* Too long for its column: the explanation goes to the next line. */
	if ((int)strlen(left) > width)
		fprintf(out, "  %s\n  %*s  %s\n", left, width, "", right);
	else
		fprintf(out, "  %-*s  %s\n", width, left, right);
}

static void options_print(FILE *out, const struct cli_option *o)
{
	char left[128];

	for (; o->name; o++) {
		snprintf(left, sizeof(left), "%s%s%s", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		line_print(out, 26, left, o->help);
	}
}

static void overview(FILE *out)
{
	char left[128];

	fputs("winnow finds account farms by what their sources share, and drops them by rule.\n\n"
	      "Usage: winnow COMMAND [WORDS] [OPTIONS]   (any unambiguous prefix of a word will "
	      "do)\n\n"
	      "Commands\n",
	      out);
	for (const struct command *c = commands; c->verb; c++) {
		if (c->object)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", c->verb, *c->args ? " " : "", c->args);
		line_print(out, 26, left, c->summary);
	}
	for (const struct object *o = objects; o->name; o++) {
		fprintf(out, "\n%s: %s\n", o->name, o->summary);
		for (const struct command *c = commands; c->verb; c++) {
			if (!c->object || strcmp(c->object, o->name))
				continue;
			snprintf(left, sizeof(left), "%s %s%s%s", c->object, c->verb,
				 strlen(c->args) > 14 ? " ..."
				 : *c->args           ? " "
						      : "",
				 strlen(c->args) > 14 ? "" : c->args);
			line_print(out, 26, left, c->summary);
		}
	}
	fputs("\nOptions of every command\n", out);
	options_print(out, global_options);
	fputs("\nExit codes: 0 done or yes, 1 no or failed, 2 usage, 3 winnowd not running,\n"
	      "4 not permitted, 5 applied in part, 6 refused by a safety rule.\n"
	      "`winnow COMMAND help` explains one command.\n",
	      out);
}

static void one_object(FILE *out, const char *object)
{
	char usage[256];

	fprintf(out, "winnow %s: %s\n\n", object, object_find(object)->summary);
	for (const struct command *c = commands; c->verb; c++)
		if (c->object && !strcmp(c->object, object))
			fprintf(out, "  %s\n      %s\n", command_usage(c, usage, sizeof(usage)),
				c->summary);
}

static void one_command(FILE *out, const struct command *cmd)
{
	char text[256];

	fprintf(out, "winnow %s: %s\n\n", command_name(cmd, text, sizeof(text)), cmd->summary);
	fprintf(out, "Usage: %s\n\n%s\n", command_usage(cmd, text, sizeof(text)), cmd->help);
	if (cmd->options[0].name) {
		fputs("\nOptions\n", out);
		options_print(out, cmd->options);
	}
	fputs("\nOptions of every command\n", out);
	options_print(out, global_options);
}

void help_print(FILE *out, const char *object, const struct command *cmd)
{
	if (cmd)
		one_command(out, cmd);
	else if (object)
		one_object(out, object);
	else
		overview(out);
}

int cmd_help(int argc, char **argv)
{
	const struct command *cmd = NULL;
	const char *first, *object;
	struct candidates c;
	char names[256];

	if (cli_option("--scdoc")) {
		manual_print(stdout);
		return CLI_DONE;
	}
	if (cli_option("--results")) {
		manual_results(stdout);
		return CLI_DONE;
	}
	if (cli_option("--metrics")) {
		manual_metrics(stdout);
		return CLI_DONE;
	}
	if (argc == 1) {
		overview(stdout);
		return CLI_DONE;
	}
	first = command_first(argv[1], &c);
	object = first && object_find(first) ? first : NULL;
	if (first && !object)
		cmd = command_find(NULL, first, &c);
	else if (object && argc == 3)
		cmd = command_find(object, argv[2], &c);
	if (c.n > 1)
		return cli_fail(CLI_USAGE, "help %s: ambiguous, it could be %s. Write more of it",
				argv[argc - 1], candidates_text(&c, names, sizeof(names)));
	if (!first || (argc == 3 && (!cmd || !object)))
		return cli_fail(CLI_USAGE, "help %s: no such command. Try: winnow help",
				argv[argc - 1]);
	help_print(stdout, object, cmd);
	return CLI_DONE;
}
