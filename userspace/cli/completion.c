/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One word list for each place of the line, for the three shells. Nouns that a
 * shell can list itself (DEV, FILE, DIR, PATH) are listed; others stay silent.
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/help.h"

static bool of_object(const struct command *c, const char *object)
{
	return c->object ? object && !strcmp(c->object, object) : !object;
}

static void verbs(FILE *out, const char *object)
{
	for (const struct command *c = commands; c->verb; c++)
		if (of_object(c, object))
			fprintf(out, "%s ", c->verb);
}

static void option_names(FILE *out, const struct cli_option *o)
{
	for (; o->name; o++)
		fprintf(out, "%s ", o->name);
}

/* "native|generic" as words; nothing for a noun. */
static void choices(FILE *out, const char *text)
{
	if (strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.<"))
		return;
	for (; *text; text++)
		if (!strchr("[]", *text))
			fputc(*text == '|' ? ' ' : *text, out);
}

static bool is_path(const char *noun)
{
	return noun && (!strcmp(noun, "FILE") || !strcmp(noun, "DIR") || !strcmp(noun, "PATH"));
}

static void bash_command(FILE *out, const struct command *c)
{
	char name[64];

	fprintf(out, "\t'%s')\n", command_name(c, name, sizeof(name)));
	if (!strcmp(c->args, "DEV"))
		fputs("\t\twords=$(command ls /sys/class/net)\n", out);
	else if (is_path(c->args))
		fputs("\t\tfiles=1\n", out);
	else if (*c->args) {
		fputs("\t\twords='", out);
		choices(out, c->args);
		fputs("'\n", out);
	}
	fputs("\t\toptions='", out);
	option_names(out, c->options);
	fputs("' ;;\n", out);
}

static void bash_values(FILE *out, const struct cli_option *o)
{
	for (; o->name; o++) {
		if (!o->value)
			continue;
		fprintf(out, "\t%s) ", o->name);
		if (is_path(o->value)) {
			fputs("mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")", out);
		} else {
			fputs("mapfile -t COMPREPLY < <(compgen -W '", out);
			choices(out, o->value);
			fputs("' -- \"$cur\")", out);
		}
		fputs("; return ;;\n", out);
	}
}

void completion_bash(FILE *out)
{
	fputs("# bash completion for winnow; made by `winnow completion bash`.\n"
	      "_winnow()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal i command='' words='' options='' files=''\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase $prev in\n",
	      out);
	bash_values(out, global_options);
	for (const struct command *c = commands; c->verb; c++)
		bash_values(out, c->options);
	fputs("\tesac\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in -*) continue ;; esac\n"
	      "\t\tcase $command in\n"
	      "\t\t'') command=${COMP_WORDS[i]} ;;\n"
	      "\t\t",
	      out);
	for (const struct object *o = objects; o->name; o++)
		fprintf(out, "%s%s", o == objects ? "" : "|", o->name);
	fputs(") command=\"$command ${COMP_WORDS[i]}\" ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $command in\n"
	      "\t'') words='",
	      out);
	for (const struct object *o = objects; o->name; o++)
		fprintf(out, "%s ", o->name);
	verbs(out, NULL);
	fputs("' ;;\n", out);
	for (const struct object *o = objects; o->name; o++) {
		fprintf(out, "\t'%s') words='", o->name);
		verbs(out, o->name);
		fputs("help' ;;\n", out);
	}
	for (const struct command *c = commands; c->verb; c++)
		bash_command(out, c);
	fputs("\tesac\n"
	      "\tcase $cur in -*) words=\"$options ",
	      out);
	option_names(out, global_options);
	fputs("\" files='' ;; esac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"\n"
	      "\t\tif [[ $files ]]; then compgen -f -- \"$cur\"; fi)\n"
	      "}\n"
	      "complete -o filenames -F _winnow winnow\n",
	      out);
}

/* Inside '...' of zsh and fish; a colon or bracket would end a description. */
static void quoted(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else
			fputc(strchr(":[]", *s) ? ' ' : *s, out);
	}
}

static void zsh_options(FILE *out, const struct cli_option *o)
{
	for (; o->name; o++) {
		fprintf(out, " '%s[", o->name);
		quoted(out, o->help);
		fputc(']', out);
		if (is_path(o->value)) {
			fputs(":path:_files", out);
		} else if (o->value) {
			fputs(":value:(", out);
			choices(out, o->value);
			fputc(')', out);
		}
		fputc('\'', out);
	}
}

static void zsh_verbs(FILE *out, const char *object)
{
	for (const struct command *c = commands; c->verb; c++) {
		if (!of_object(c, object))
			continue;
		fprintf(out, " '%s:", c->verb);
		quoted(out, c->summary);
		fputc('\'', out);
	}
}

static void zsh_command(FILE *out, const struct command *c)
{
	char name[64];

	fprintf(out, "\t'%s') _arguments", command_name(c, name, sizeof(name)));
	zsh_options(out, c->options);
	zsh_options(out, global_options);
	if (!strcmp(c->args, "DEV"))
		fputs(" '*:device:_net_interfaces'", out);
	else if (is_path(c->args))
		fputs(" '*:file:_files'", out);
	else if (*c->args) {
		fputs(" '*:word:(", out);
		choices(out, c->args);
		fputs(")'", out);
	}
	fputs(" ;;\n", out);
}

void completion_zsh(FILE *out)
{
	fputs("#compdef winnow\n# zsh completion for winnow; made by `winnow completion zsh`.\n"
	      "local -a first verbs\nlocal command=${words[2]}\n"
	      "first=(",
	      out);
	for (const struct object *o = objects; o->name; o++) {
		fprintf(out, " '%s:", o->name);
		quoted(out, o->summary);
		fputc('\'', out);
	}
	zsh_verbs(out, NULL);
	fputs(" )\n"
	      "if (( CURRENT == 2 )); then\n"
	      "\tif [[ $PREFIX == -* ]]; then _arguments",
	      out);
	zsh_options(out, global_options);
	fputs("; else _describe command first; fi\n"
	      "\treturn\nfi\n"
	      "case $command in\n",
	      out);
	for (const struct object *o = objects; o->name; o++) {
		fprintf(out, "%s) verbs=(", o->name);
		zsh_verbs(out, o->name);
		fputs(" )\n\tif (( CURRENT == 3 )); then _describe verb verbs; return; fi\n"
		      "\tcommand=\"$command ${words[3]}\"; shift 2 words; (( CURRENT -= 2 )) ;;\n",
		      out);
	}
	fputs("*) shift words; (( CURRENT -= 1 )) ;;\n"
	      "esac\n"
	      "case $command in\n",
	      out);
	for (const struct command *c = commands; c->verb; c++)
		zsh_command(out, c);
	fputs("esac\n", out);
}

static void fish_row(FILE *out, const char *condition, const char *word, const char *summary)
{
	fprintf(out, "complete -c winnow -n '%s' -a %s -d '", condition, word);
	quoted(out, summary);
	fputs("'\n", out);
}

static void fish_options(FILE *out, const char *condition, const struct cli_option *o)
{
	for (; o->name; o++) {
		bool is_long = o->name[1] == '-';

		fprintf(out, "complete -c winnow%s -%c %s", condition, is_long ? 'l' : 's',
			o->name + (is_long ? 2 : 1));
		if (is_path(o->value)) {
			fputs(" -rF", out);
		} else if (o->value) {
			fputs(" -x -a '", out);
			choices(out, o->value);
			fputc('\'', out);
		}
		fputs(" -d '", out);
		quoted(out, o->help);
		fputs("'\n", out);
	}
}

static void fish_command(FILE *out, const struct command *c)
{
	char seen[128], when[160];

	if (c->object)
		snprintf(seen, sizeof(seen),
			 "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s",
			 c->object, c->verb);
	else
		snprintf(seen, sizeof(seen), "__fish_seen_subcommand_from %s", c->verb);
	snprintf(when, sizeof(when), " -n '%s'", seen);
	fish_options(out, when, c->options);
	if (is_path(c->args)) {
		fprintf(out, "complete -c winnow%s -F\n", when);
	} else if (!strcmp(c->args, "DEV")) {
		fprintf(out, "complete -c winnow%s -a '(command ls /sys/class/net)'\n", when);
	} else if (strpbrk(c->args, "|[") && !strpbrk(c->args, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
		fprintf(out, "complete -c winnow%s -a '", when);
		choices(out, c->args);
		fputs("'\n", out);
	}
}

void completion_fish(FILE *out)
{
	char condition[192];

	fputs("# fish completion for winnow; made by `winnow completion fish`.\n"
	      "complete -c winnow -f\n",
	      out);
	for (const struct object *o = objects; o->name; o++)
		fish_row(out, "__fish_use_subcommand", o->name, o->summary);
	for (const struct command *c = commands; c->verb; c++)
		if (!c->object)
			fish_row(out, "__fish_use_subcommand", c->verb, c->summary);
	for (const struct object *o = objects; o->name; o++) {
		size_t len = snprintf(
			condition, sizeof(condition),
			"__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from",
			o->name);

		for (const struct command *c = commands; c->verb && len < sizeof(condition); c++)
			if (of_object(c, o->name))
				len += snprintf(condition + len, sizeof(condition) - len, " %s",
						c->verb);
		for (const struct command *c = commands; c->verb; c++)
			if (of_object(c, o->name))
				fish_row(out, condition, c->verb, c->summary);
	}
	fish_options(out, "", global_options);
	for (const struct command *c = commands; c->verb; c++)
		fish_command(out, c);
}

int cmd_completion(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *out);
	} shells[] = { { "bash", completion_bash },
		       { "zsh", completion_zsh },
		       { "fish", completion_fish } };

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (!strcmp(argv[1], shells[i].shell)) {
			shells[i].print(stdout);
			return CLI_DONE;
		}
	}
	return cli_usage("%s: not a shell that it knows", argv[1]);
}
