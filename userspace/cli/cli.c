/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/rows.h"

#define SOCKET_DEFAULT "/run/winnow/control.sock"
#define GIVEN_MAX      32

struct cli cli;

/* The command line as it is understood so far. */
static struct line {
	const char *object;
	const struct command *cmd;
	bool help, version;
	char **words; /* words[0] is the verb */
	int n_words;
	struct {
		const char *name, *value;
	} given[GIVEN_MAX];
	int n_given;
} line;

const char *cli_option(const char *name)
{
	for (int i = 0; i < line.n_given; i++)
		if (!strcmp(line.given[i].name, name))
			return line.given[i].value;
	return NULL;
}

long long cli_number(const char *text, long long least, long long most)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end || end == text || n < least || n > most ? -1 : n;
}

static char *sentence(const char *fmt, va_list ap)
{
	_cleanup_(freep) char *text = NULL;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text_safe(text);
}

void cli_no_memory(void)
{
	log_error("out of memory");
	exit(CLI_NO);
}

int cli_fail(int code, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = sentence(fmt, ap);
	va_end(ap);
	log_error("%s", text ? text : "no memory");
	return code;
}

int cli_usage(const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	char name[64], usage[256];
	va_list ap;

	va_start(ap, fmt);
	text = sentence(fmt, ap);
	va_end(ap);
	log_error("%s: %s. Usage: %s",
		  line.cmd ? command_name(line.cmd, name, sizeof(name)) : "winnow",
		  text ? text : "no memory", command_usage(line.cmd, usage, sizeof(usage)));
	return CLI_USAGE;
}

/* ---- reading the line ----------------------------------------------------- */

static int unknown_word(const char *word, const struct candidates *c)
{
	const char *meant = command_like(line.object, word);
	char names[256];

	candidates_text(c, names, sizeof(names));
	if (c->n)
		return cli_fail(CLI_USAGE, "%s: ambiguous, it could be %s. Write more of it", word,
				names);
	return cli_fail(CLI_USAGE, "%s%s%s: no such command%s%s%s Try: winnow%s%s help",
			line.object ? line.object : "", line.object ? " " : "", word,
			meant ? "; did you mean \"" : ".", meant ? meant : "", meant ? "\"?" : "",
			line.object ? " " : "", line.object ? line.object : "");
}

static int take_word(char *word)
{
	struct candidates c;

	if (line.cmd) {
		line.words[line.n_words++] = word;
		return 0;
	}
	if (!line.object) {
		const char *first = command_first(word, &c);

		if (!first)
			return unknown_word(word, &c);
		if (object_find(first)) {
			line.object = first;
			return 0;
		}
		word = (char *)first;
	} else if (!strcmp(word, "help")) {
		line.help = true;
		return 0;
	}
	line.cmd = command_find(line.object, word, &c);
	if (!line.cmd)
		return unknown_word(word, &c);
	line.words[line.n_words++] = (char *)line.cmd->verb;
	return 0;
}

static bool is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);

	/* Nouns are upper case and take anything. */
	if (!strchr(choices, '|') || strpbrk(choices, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		return true;
	for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (!strncmp(p, value, len) && (p[len] == '|' || !p[len]))
			return true;
	return false;
}

/* argv[*i] is an option; moves *i over its value. */
static int take_option(int argc, char **argv, int *i)
{
	const char *text = argv[*i], *equals = strchr(text, '='), *value = "";
	_cleanup_(freep) char *name = equals ? strndup(text, equals - text) : strdup(text);
	const struct cli_option *o = name ? option_find(line.cmd, name) : NULL;

	if (!o)
		return cli_usage("%s: no such option", text);
	if (!o->value && equals)
		return cli_usage("%s: the option takes no value", o->name);
	if (o->value && equals)
		value = equals + 1;
	else if (o->value && ++*i < argc)
		value = argv[*i];
	else if (o->value)
		return cli_usage("%s: its value is missing (%s)", o->name, o->value);
	if (o->value && !*value)
		return cli_usage("%s: its value is empty (%s)", o->name, o->value);
	if (o->value && !is_choice(o->value, value))
		return cli_usage("%s %s: not one of %s", o->name, value, o->value);
	if (cli_option(o->name))
		return cli_usage("%s: given twice", o->name);
	if (line.n_given == GIVEN_MAX)
		return cli_usage("%s: too many options", text);
	line.given[line.n_given].name = o->name;
	line.given[line.n_given++].value = value;
	return 0;
}

static int read_line(int argc, char **argv)
{
	bool only_words = false;
	int err = 0;

	for (int i = 1; i < argc && !err; i++) {
		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && argv[i][0] == '-' && argv[i][1])
			err = take_option(argc, argv, &i);
		else
			err = take_word(argv[i]);
	}
	if (err)
		return err;
	line.help |= cli_option("--help") != NULL;
	line.version = cli_option("--version") != NULL;
	if (line.n_words == 2 && !strcmp(line.words[1], "help") && line.cmd->run != cmd_help)
		line.help = true;
	return 0;
}

/* ---- the surroundings ------------------------------------------------------- */

static int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;
	int n;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_col)
		return ws.ws_col;
	n = columns ? atoi(columns) : 0;
	return n > 0 ? n : 80;
}

static bool wants_color(void)
{
	const char *when = cli_option("--color"), *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when && strcmp(when, "auto"))
		return !strcmp(when, "always");
	return isatty(STDOUT_FILENO) && !(no && *no) && term && *term && strcmp(term, "dumb");
}

static int look_around(void)
{
	static const struct {
		const char *option;
		enum cli_format format;
	} formats[] = { { "-j", FORMAT_JSON },
			{ "--jsonl", FORMAT_JSONL },
			{ "--csv", FORMAT_CSV } };
	const char *env = getenv("WINNOW_SOCKET"), *option = cli_option("--socket");
	int n = 0;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (cli_option(formats[i].option)) {
			cli.format = formats[i].format;
			n++;
		}
	}
	if (n > 1)
		return cli_usage("-j, --jsonl and --csv exclude each other: give one");
	cli.socket = option ? option : env && *env ? env : SOCKET_DEFAULT;
	cli.width = terminal_width();
	cli.color = wants_color();
	return 0;
}

/* A full disk must not look like success; a reader that left wants no talk. */
static int flush(int code)
{
	bool failed = ferror(stdout);

	if (fflush(stdout) || failed)
		return errno == EPIPE
			       ? CLI_NO
			       : cli_fail(CLI_NO, "write standard output: %s", strerror(errno));
	return code;
}

static int run(void)
{
	int err;

	if (line.version) {
		printf("winnow %s\n", WINNOW_VERSION);
		return CLI_DONE;
	}
	if (line.help) {
		help_print(stdout, line.object, line.cmd);
		return CLI_DONE;
	}
	if (!line.cmd) {
		help_print(stderr, line.object, NULL);
		return CLI_USAGE;
	}
	if (line.n_words - 1 < line.cmd->words_min)
		return cli_usage("%s is missing", line.cmd->args);
	if (line.cmd->words_max >= 0 && line.n_words - 1 > line.cmd->words_max)
		return cli_usage("%s: one word too many", line.words[line.cmd->words_max + 1]);
	err = look_around();
	return err ? err : line.cmd->run(line.n_words, line.words);
}

/* jansson 2.14 goes wrong, not back, where a buffer of its lexer cannot grow. */
static void *json_memory(size_t n)
{
	void *p = malloc(n);

	if (!p)
		cli_no_memory();
	return p;
}

int cli_main(int argc, char **argv)
{
	_cleanup_(freep) char **words = calloc(argc + 1, sizeof(*words));
	int code;

	log_open("winnow", LOG_NOTE);
	json_set_alloc_funcs(json_memory, free);
	cli = (struct cli){ 0 };
	line = (struct line){ .words = words };
	if (!words)
		return cli_fail(CLI_NO, "start: no memory");
	code = read_line(argc, argv);
	return flush(code ? code : run());
}
