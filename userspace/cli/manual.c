/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of winnow(8) that the command table knows, as scdoc source; the
 * prose around it is share/man/winnow.8.scd.
 */
#include <ctype.h>
#include <string.h>

#include "abi.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "export/metrics.h"

/* Plain text: * _ and \ would be markup, a first character other than a letter
 * could begin a list or a table. */
static void plain(FILE *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr("*_\\", s[i]) || (!i && strchr("[]-#|.`", s[i])))
			fputc('\\', out);
		fputc(s[i], out);
	}
}

static void text(FILE *out, const char *s)
{
	plain(out, s, strlen(s));
}

/* Lines that begin with two spaces are shown as they are. */
static void paragraphs(FILE *out, const char *s)
{
	bool literal = false;

	while (*s) {
		size_t len = strcspn(s, "\n");
		bool wants = len > 2 && !strncmp(s, "  ", 2);

		if (wants != literal)
			fputs(literal ? "```\n\n" : "\n```\n", out);
		literal = wants;
		if (literal)
			fwrite(s + 2, 1, len - 2, out);
		else
			plain(out, s, len);
		fputc('\n', out);
		s += len;
		s += *s == '\n';
	}
	fputs(literal ? "```\n\n" : "\n", out);
}

static void options(FILE *out, const struct cli_option *o)
{
	for (; o->name; o++) {
		fprintf(out, "*%s*", o->name);
		if (o->value) {
			fputs(" _", out);
			text(out, o->value);
			fputc('_', out);
		}
		fputs("\n\t", out);
		text(out, o->help);
		fputs("\n\n", out);
	}
}

void manual_print(FILE *out)
{
	char name[64];

	fputs("# COMMANDS\n\n", out);
	for (const struct command *c = commands; c->verb; c++) {
		fprintf(out, "## %s\n\n*winnow %s*", command_name(c, name, sizeof(name)), name);
		if (*c->args) {
			fputc(' ', out);
			text(out, c->args);
		}
		for (const struct cli_option *o = c->options; o->name; o++)
			fprintf(out, " [*%s*%s%s]", o->name, o->value ? " " : "",
				o->value ? o->value : "");
		fputs("\n\n", out);
		fputc(toupper((unsigned char)c->summary[0]), out);
		text(out, c->summary + 1);
		fputs(".\n\n", out);
		paragraphs(out, c->help);
		options(out, c->options);
	}
	fputs("# OPTIONS OF EVERY COMMAND\n\n", out);
	options(out, global_options);
}

void manual_results(FILE *out)
{
	static const struct {
		const char *name, *text;
	} results[] = {
#define X(id, name, text) { name, text },
		HELLO_RESULTS(X)
#undef X
	};

	for (size_t i = 0; i < HELLO_RESULT_MAX; i++) {
		fputs("*", out);
		text(out, results[i].name);
		fputs("*\n\t", out);
		text(out, results[i].text);
		fputs(".\n\n", out);
	}
}

void manual_metrics(FILE *out)
{
	for (int f = 0; f < METRIC_FAMILY_MAX; f++) {
		const struct metric_family_info *i = &metric_families[f];

		fprintf(out, "*%s*", i->name);
		if (*i->labels) {
			fputs(" {", out);
			text(out, i->labels);
			fputs("}", out);
		}
		fprintf(out, ", %s\n\t", i->type);
		text(out, i->help);
		fputs("\n\n", out);
	}
}
