/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/version.h"
#include "abi.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "lib_capture.h"

static struct captured c;

#define run(...) capture(cli_main, (const char *const[]){ "winnow", __VA_ARGS__, NULL }, 0, &c)

/* ---- words ---------------------------------------------------------------- */

static void every_command_is_found_by_its_own_words(void **state)
{
	struct candidates names;

	(void)state;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		const char *first = cmd->object ? cmd->object : cmd->verb;

		assert_string_equal(command_first(first, &names), first);
		assert_ptr_equal(command_find(cmd->object, cmd->verb, &names), cmd);
	}
}

static void every_unambiguous_prefix_finds_the_same_command(void **state)
{
	struct candidates names;
	int found = 0;

	(void)state;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		for (size_t len = 1; len < strlen(cmd->verb); len++) {
			char prefix[32];
			const struct command *got;

			snprintf(prefix, sizeof(prefix), "%.*s", (int)len, cmd->verb);
			got = command_find(cmd->object, prefix, &names);
			if (names.n == 1) {
				assert_ptr_equal(got, cmd);
				found++;
			} else {
				assert_true(names.n > 1);
				assert_null(got);
			}
		}
	}
	assert_true(found > 40);
}

static void a_mistyped_word_is_near_to_what_was_meant(void **state)
{
	(void)state;
	assert_string_equal(command_like(NULL, "statsu"), "status");
	assert_string_equal(command_like(NULL, "paln"), "plan");
	assert_string_equal(command_like("rule", "lits"), "list");
	assert_null(command_like("rule", "status")); /* of another object, or of none */
	assert_null(command_like(NULL, "zzzzzz"));
	assert_null(command_like(NULL, ""));
}

static void an_ambiguous_word_names_all_it_could_be(void **state)
{
	struct candidates names;
	char text[64];

	(void)state;
	assert_null(command_first("s", &names));
	assert_string_equal(candidates_text(&names, text, sizeof(text)), "source, status");
	run("s");
	assert_int_equal(c.exit, CLI_USAGE);
	assert_non_null(strstr(c.err, "source, status"));
	assert_string_equal(c.out, "");
}

static void ls_means_list_and_nothing_matches_the_empty_word(void **state)
{
	struct candidates names;

	(void)state;
	assert_ptr_equal(command_find("rule", "ls", &names), command_find("rule", "list", &names));
	assert_null(command_find("rule", "", &names));
	assert_null(command_first("", &names));
	assert_int_equal(names.n, 0);
}

static void every_level_answers_help(void **state)
{
	(void)state;
	run("help");
	assert_int_equal(c.exit, 0);
	assert_non_null(strstr(c.out, "rule check ADDR"));
	run("ru", "help");
	assert_int_equal(c.exit, 0);
	assert_non_null(strstr(c.out, "winnow rule flush"));
	run("rule", "add", "help");
	assert_int_equal(c.exit, 0);
	assert_non_null(strstr(c.out, "Usage: winnow rule add MATCH..."));
	run("rule", "check", "--help");
	assert_int_equal(c.exit, 0);
	assert_non_null(strstr(c.out, "--stack NAME"));
	run("help", "al", "d");
	assert_int_equal(c.exit, 0);
	assert_non_null(strstr(c.out, "Usage: winnow allow del CIDR"));
	assert_string_equal(c.err, "");
}

/* ---- usage ---------------------------------------------------------------- */

/* Each is exit 2, silent on stdout, and says the word it did not like. */
static void wrong_lines_are_usage_and_say_which_word(void **state)
{
	static const struct {
		const char *argv[6], *says;
	} wrong[] = {
		{ { "winnow", "frobnicate", NULL }, "frobnicate" },
		{ { "winnow", "rule", "frobnicate", NULL }, "rule frobnicate" },
		{ { "winnow", "rule", NULL }, NULL },
		{ { "winnow", NULL }, NULL },
		{ { "winnow", "attach", NULL }, "DEV is missing" },
		{ { "winnow", "attach", "a", "b", NULL }, "b: one word too many" },
		{ { "winnow", "attach", "a", "--mode", NULL }, "native|generic" },
		{ { "winnow", "attach", "a", "--mode=", NULL }, "native|generic" },
		{ { "winnow", "attach", "a", "--mode=nat", NULL }, "--mode nat" },
		{ { "winnow", "detach", "a", "--mode=native", NULL },
		  "--mode=native: no such option" },
		{ { "winnow", "rule", "flush", "--yes=1", NULL }, "takes no value" },
		{ { "winnow", "status", "-j", "-j", NULL }, "given twice" },
		{ { "winnow", "status", "-j", "--csv", NULL }, "exclude each other" },
		{ { "winnow", "status", "--frob", NULL }, "--frob" },
		{ { "winnow", "rule", "del", "x7", NULL }, "x7: not a handle" },
		{ { "winnow", "rule", "del", "0", NULL }, "0: not a handle" },
		{ { "winnow", "rule", "del", "4294967296", NULL }, "not a handle" },
		{ { "winnow", "rule", "check", "1.2.3", NULL }, "1.2.3: not an IPv4" },
		{ { "winnow", "source", "show", "::g", NULL }, "::g: not an IPv4" },
		{ { "winnow", "rule", "add", "src", "\xff\xfe", NULL }, "not UTF-8" },
		{ { "winnow", "source", "list", "--limit=50001", NULL }, "50001" },
		{ { "winnow", "source", "list", "--limit=1x", NULL }, "1x" },
		{ { "winnow", "panic", "of", NULL }, "of: expected off" },
		{ { "winnow", "allow", "add", "::1", "because", NULL }, "because: expected" },
		{ { "winnow", "allow", "add", "::1", "reason", NULL }, "is missing" },
		{ { "winnow", "completion", "tcsh", NULL }, "tcsh" },
		{ { "winnow", "help", "frob", NULL }, "frob" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		capture(cli_main, wrong[i].argv, 0, &c);
		if (c.exit != CLI_USAGE || (wrong[i].says && !strstr(c.err, wrong[i].says)))
			fail_msg("case %zu: exit %d, said: %s", i, c.exit, c.err);
		assert_string_equal(c.out, "");
		assert_true(strlen(c.err) > 20);
	}
}

static void destructive_verbs_need_yes_where_nobody_can_be_asked(void **state)
{
	(void)state;
	run("rule", "flush");
	assert_int_equal(c.exit, CLI_USAGE);
	assert_non_null(strstr(c.err, "--yes"));
	run("panic", "off");
	assert_int_equal(c.exit, CLI_USAGE);
	assert_non_null(strstr(c.err, "--yes"));
}

static void version_is_one_line(void **state)
{
	(void)state;
	run("--version");
	assert_int_equal(c.exit, 0);
	assert_string_equal(c.out, "winnow " WINNOW_VERSION "\n");
}

/* Fault 85: escape codes typed or pasted into a word come back harmless. */
static void a_wrong_word_cannot_move_the_cursor(void **state)
{
	(void)state;
	run("\x1b[2J\x9b");
	assert_int_equal(c.exit, CLI_USAGE);
	assert_null(strchr(c.err, '\x1b'));
	assert_null(strchr(c.err, '\x9b'));
	assert_non_null(strstr(c.err, "\\x1b[2J"));
}

static int onto_a_full_disk(int argc, char **argv)
{
	return freopen("/dev/full", "w", stdout) ? cli_main(argc, argv) : -1;
}

static void a_full_disk_is_a_failure(void **state)
{
	(void)state;
	capture(onto_a_full_disk, (const char *const[]){ "winnow", "help", NULL }, 0, &c);
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "No space left"));
}

/* ---- help, completion and manual agree ---------------------------------------- */

static char *printed(void (*print)(FILE *))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	print(f);
	fclose(f);
	return text;
}

static void overview(FILE *f)
{
	help_print(f, NULL, NULL);
}

static int count(const char *text, const char *needle)
{
	int n = 0;

	for (const char *p = text; (p = strstr(p, needle)); p++)
		n++;
	return n;
}

static void help_and_manual_hold_each_command_once_and_no_other(void **state)
{
	char *help = printed(overview), *manual = printed(manual_print);
	int n = 0;

	(void)state;
	for (const struct command *cmd = commands; cmd->verb; cmd++, n++) {
		char name[64], line[128];

		command_name(cmd, name, sizeof(name));
		snprintf(line, sizeof(line), "\n## %s\n", name);
		assert_int_equal(count(manual, line), 1);
		snprintf(line, sizeof(line), "\n  %s ", name);
		assert_int_equal(count(help, line), 1);
		for (const struct cli_option *o = cmd->options; o->name; o++) {
			snprintf(line, sizeof(line), "\n*%s*", o->name);
			assert_true(count(manual, line) >= 1);
		}
	}
	assert_int_equal(count(manual, "\n## "), n);
	free(help);
	free(manual);
}

static char *shell(const char *command)
{
	static char text[1 << 17];
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	return pclose(f) ? NULL : text;
}

static void winnow_8_is_accepted_by_scdoc_and_shows_every_usage_line(void **state)
{
	char *source = printed(manual_print), *page;
	char path[] = "/tmp/winnow-manual-XXXXXX", command[256];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	dprintf(fd, "winnow(8)\n\n# NAME\n\nwinnow - test\n\n%s", source);
	close(fd);
	snprintf(command, sizeof(command), "scdoc <%s | sed 's/\\\\f.//g; s/\\\\&//g; s/\\\\//g'",
		 path);
	page = shell(command);
	unlink(path);
	assert_non_null(page);
	assert_non_null(strstr(page,
			       "winnow rule add MATCH... action ACTION [for DURATION] reason TEXT "
			       "[--dry-run]"));
	assert_non_null(strstr(page, "winnow attach DEV [--mode native|generic]"));
	free(source);
}

/* The page that is shipped, whole: scdoc takes it, and each result is in it once. */
static void winnow_fingerprints_7_lists_every_result(void **state)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		HELLO_RESULTS(X)
#undef X
	};
	static char page[32768];
	char *results = printed(manual_results), path[] = "/tmp/winnow-results-XXXXXX";
	char command[512], line[64];
	int fd = mkstemp(path);
	size_t n;
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	dprintf(fd, "%s", results);
	close(fd);
	snprintf(command, sizeof(command),
		 "sed -e '/^@RESULTS@$/r %s' -e '/^@RESULTS@$/d' "
		 "userspace/share/man/winnow-fingerprints.7.scd | scdoc | "
		 "sed 's/\\\\f.//g; s/\\\\&//g; s/\\\\//g'",
		 path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(page, 1, sizeof(page) - 1, f);
	page[n] = '\0';
	assert_int_equal(pclose(f), 0);
	unlink(path);
	for (size_t i = 0; i < HELLO_RESULT_MAX; i++) {
		snprintf(line, sizeof(line), "\n%s\n", names[i]);
		assert_int_equal(count(page, line), 1);
	}
	assert_non_null(strstr(page, "SIGNATURE"));
	free(results);
}

/* What bash offers for a line whose last word is being typed. */
static void bash_offers(const char *words, int cword, char *out, size_t size)
{
	char path[] = "/tmp/winnow-bash-XXXXXX", command[512];
	int fd = mkstemp(path);
	char *script = printed(completion_bash), *got;

	assert_true(fd >= 0);
	dprintf(fd, "%s", script);
	close(fd);
	snprintf(command, sizeof(command),
		 "bash -c '. %s; COMP_WORDS=(%s); COMP_CWORD=%d; _winnow; echo \" ${COMPREPLY[*]} "
		 "\"'",
		 path, words, cword);
	got = shell(command);
	unlink(path);
	free(script);
	assert_non_null(got);
	snprintf(out, size, "%s", got);
}

static void bash_offers_exactly_the_table(void **state)
{
	char got[4096], want[64];

	(void)state;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		const char *first = cmd->object ? cmd->object : cmd->verb;

		bash_offers("winnow \"\"", 1, got, sizeof(got));
		snprintf(want, sizeof(want), " %s ", first);
		assert_non_null(strstr(got, want));
		if (!cmd->object)
			continue;
		snprintf(want, sizeof(want), "winnow %s \"\"", cmd->object);
		bash_offers(want, 2, got, sizeof(got));
		snprintf(want, sizeof(want), " %s ", cmd->verb);
		assert_non_null(strstr(got, want));
	}
	bash_offers("winnow fp \"\"", 2, got, sizeof(got));
	assert_string_equal(got, " list show label help \n");
	bash_offers("winnow attach eth0 --mode \"\"", 4, got, sizeof(got));
	assert_string_equal(got, " native generic \n");
	bash_offers("winnow rule flush --", 3, got, sizeof(got));
	assert_non_null(strstr(got, " --yes "));
	assert_non_null(strstr(got, " --dry-run "));
	assert_null(strstr(got, " --mode "));
	bash_offers("winnow attach l", 2, got, sizeof(got));
	assert_non_null(strstr(got, " lo "));
}

static void zsh_and_fish_hold_every_command_and_option(void **state)
{
	char *zsh = printed(completion_zsh), *fish = printed(completion_fish);

	(void)state;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		char want[128];

		snprintf(want, sizeof(want), "'%s:", cmd->verb);
		assert_non_null(strstr(zsh, want));
		snprintf(want, sizeof(want), " -a %s -d ", cmd->verb);
		assert_non_null(strstr(fish, want));
		for (const struct cli_option *o = cmd->options; o->name; o++) {
			snprintf(want, sizeof(want), "'%s[", o->name);
			assert_non_null(strstr(zsh, want));
			if (o->name[1] == '-')
				snprintf(want, sizeof(want), " -l %s ", o->name + 2);
			else
				snprintf(want, sizeof(want), " -s %s ", o->name + 1);
			assert_non_null(strstr(fish, want));
		}
	}
	free(zsh);
	free(fish);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_found_by_its_own_words),
		cmocka_unit_test(every_unambiguous_prefix_finds_the_same_command),
		cmocka_unit_test(a_mistyped_word_is_near_to_what_was_meant),
		cmocka_unit_test(an_ambiguous_word_names_all_it_could_be),
		cmocka_unit_test(ls_means_list_and_nothing_matches_the_empty_word),
		cmocka_unit_test(every_level_answers_help),
		cmocka_unit_test(wrong_lines_are_usage_and_say_which_word),
		cmocka_unit_test(destructive_verbs_need_yes_where_nobody_can_be_asked),
		cmocka_unit_test(version_is_one_line),
		cmocka_unit_test(a_wrong_word_cannot_move_the_cursor),
		cmocka_unit_test(a_full_disk_is_a_failure),
		cmocka_unit_test(help_and_manual_hold_each_command_once_and_no_other),
		cmocka_unit_test(winnow_fingerprints_7_lists_every_result),
		cmocka_unit_test(winnow_8_is_accepted_by_scdoc_and_shows_every_usage_line),
		cmocka_unit_test(bash_offers_exactly_the_table),
		cmocka_unit_test(zsh_and_fish_hold_every_command_and_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
