/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli.h - the `winnow` program: one table of commands, one file per group.
 *
 * A command is a row of commands.c. main() reads the options of the whole line
 * against that row, so a command never parses options itself: argv[0] is its
 * verb, argv[1..argc-1] are its words, and cli_option() gives the options. The
 * row is also the source of help, completion and the man page.
 *
 * stdout is data in the format the caller asked for, stderr is talk.
 */
#ifndef WINNOW_CLI_H
#define WINNOW_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_DONE = 0, /* done, or yes */
	CLI_NO = 1,   /* no, not found, failed */
	CLI_USAGE = 2,
	CLI_NO_DAEMON = 3,
	CLI_DENIED = 4,
	CLI_PARTIAL = 5, /* applied in part */
	CLI_REFUSED = 6, /* by a safety rule */
	CLI_INTERRUPTED = 130,
};

enum cli_format { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV };

struct cli {
	enum cli_format format;
	bool color;         /* of stdout */
	int width;          /* columns of the terminal on stdout; 0: not a terminal */
	const char *socket; /* of winnowd */
};

extern struct cli cli;

struct cli_option {
	const char *name;  /* "--mode" */
	const char *value; /* "native|generic": choices; "DEV": a noun; NULL: a flag */
	const char *help;
};

#define CLI_OPTIONS_MAX 12

struct command {
	const char *object; /* "rule"; NULL: the verb stands alone */
	const char *verb;
	const char *args; /* words, as the usage line shows them */
	const char *summary;
	int (*run)(int argc, char **argv);
	int words_min, words_max; /* words_max -1: any number */
	const char *help;         /* what a reader of `winnow VERB help` needs to know */
	struct cli_option options[CLI_OPTIONS_MAX]; /* name NULL ends them */
};

/* The whole program: parse, dispatch, flush. Returns the exit code. */
int cli_main(int argc, char **argv);

/* The value of an option of the running command: "" for a flag, NULL: not given. */
const char *cli_option(const char *name);

/* The decimal number in a word, or -1: not one between least and most. */
long long cli_number(const char *text, long long least, long long most);

/* "winnow: SENTENCE" on stderr (what failed, on what, what to do); returns code. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Half an answer is none: says that there is no memory and ends with CLI_NO. */
void cli_no_memory(void) __attribute__((noreturn));
/* The same with the usage line of the running command; returns CLI_USAGE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int cmd_status(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_source_list(int argc, char **argv);
int cmd_source_show(int argc, char **argv);
int cmd_fp_list(int argc, char **argv);
int cmd_fp_show(int argc, char **argv);
int cmd_rule_list(int argc, char **argv);
int cmd_rule_add(int argc, char **argv);
int cmd_rule_enforce(int argc, char **argv);
int cmd_rule_import(int argc, char **argv);
int cmd_rule_export(int argc, char **argv);
int cmd_rule_del(int argc, char **argv);
int cmd_rule_check(int argc, char **argv);
int cmd_rule_flush(int argc, char **argv);
int cmd_allow_list(int argc, char **argv);
int cmd_allow_add(int argc, char **argv);
int cmd_allow_del(int argc, char **argv);
int cmd_farm_list(int argc, char **argv);
int cmd_farm_show(int argc, char **argv);
int cmd_farm_explain(int argc, char **argv);
int cmd_plan_show(int argc, char **argv);
int cmd_plan_apply(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_fp_label(int argc, char **argv);
int cmd_farm_confirm(int argc, char **argv);
int cmd_farm_dismiss(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_config_check(int argc, char **argv);
int cmd_config_show(int argc, char **argv);
int cmd_config_reload(int argc, char **argv);
int cmd_commit_confirm(int argc, char **argv);
int cmd_commit_rollback(int argc, char **argv);
int cmd_panic(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_capture(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
