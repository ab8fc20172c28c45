/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib_winnowd.h"

static json_t *data(const char *verb)
{
	json_t *reply = ask(verb, NULL), *doc = json_incref(json_object_get(reply, "data"));

	json_decref(reply);
	return doc;
}

/* "VALUE @ ORIGIN" of a key in force. */
static const char *in_force(const char *key)
{
	static char text[256];
	json_t *doc = data("config.show"), *row;
	size_t i;

	text[0] = '\0';
	json_array_foreach(json_object_get(doc, "settings"), i, row)
		if (!strcmp(json_string_value(json_object_get(row, "key")), key))
			snprintf(text, sizeof(text), "%s @ %s",
				 json_string_value(json_object_get(row, "value")),
				 json_string_value(json_object_get(row, "origin")));
	json_decref(doc);
	return text;
}

static bool in_trouble(const char *part)
{
	json_t *doc = data("status"), *row;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(doc, "troubles"), i, row)
		found |= strstr(json_string_value(json_object_get(row, "text")), part) != NULL;
	json_decref(doc);
	return found;
}

/* Where the lines given to write_conf() begin. */
static int first_line(void)
{
	char line[256];
	FILE *f = fopen(conf, "r");
	int n = 1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && strncmp(line, "ports", 5))
		n++;
	fclose(f);
	return n;
}

/* Fault 80: lines for [winnow] and what must be said of them; the lines are counted from where
 * these begin. */
static void a_bad_file_is_refused_whole_by_file_and_line(void **state)
{
	static const struct {
		const char *lines;
		int line;
		const char *said;
	} bad[] = {
		{ "ports = 9443\nprots = 1", 1, "unknown key \"prots\"; did you mean \"ports\"?" },
		{ "ports = 9443\nports = 9444", 1, "ports is set twice" },
		{ "ports = 9443\nallow = 10.0.0.1/8", 1, "allow: \"10.0.0.1/8\" has bits set" },
		{ "ports = 9443\nallow = 10.0.0.0/33", 1, "allow: \"10.0.0.0/33\" is no address" },
		{ "ports = 9443\nallow = 10.0.0.0/8 10.0.0.0/8", 1,
		  "allow: 10.0.0.0/8 is there twice" },
		{ "ports = 9443\nmetrics = 192.0.2.1:80", 1,
		  "metrics: \"192.0.2.1:80\" is not on" },
		{ "ports = 9443\nstate_dir = /elsewhere", 1, "state_dir is set twice" },
		{ "ports = 9443\n[detect]\nwindow = 1", 2, "window: \"1\" is no duration" },
		{ "ports = 9443\n\xef\xbb\xbfmode = native", 1, "unknown key" },
		{ "ports = 9443\r\nmode = fast\r", 1, "mode: \"fast\" is none of" },
	};
	char origin[160];
	int first;

	(void)state;
	write_conf("ports = 8443");
	daemon_up(NULL);
	first = first_line();
	snprintf(origin, sizeof(origin), "8443 @ %s:%d", conf, first);
	assert_string_equal(in_force("ports"), origin);
	assert_string_equal(in_force("mode"), "native @ default");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char said[320];

		write_conf(bad[i].lines);
		snprintf(said, sizeof(said), "%s:%d: %s", conf, first + bad[i].line, bad[i].said);
		assert_int_equal(exit_of("config.reload", NULL, said), 1);
		assert_true(in_trouble(said));
		assert_string_equal(in_force("ports"), origin);
	}
	write_conf("ports = 9443");
	assert_int_equal(exit_of("config.reload", NULL, NULL), 0);
	assert_false(in_trouble(conf));
	snprintf(origin, sizeof(origin), "9443 @ %s:%d", conf, first);
	assert_string_equal(in_force("ports"), origin);
}

static void what_needs_a_restart_is_refused_by_name(void **state)
{
	(void)state;
	write_conf("");
	daemon_up(NULL);
	write_conf("group = 0\nports = 9443");
	assert_int_equal(exit_of("config.reload", NULL, "group has changed, which needs a restart"),
			 1);
	assert_string_equal(in_force("ports"), "443 @ default");
}

static size_t open_files(void)
{
	char path[64];
	size_t n = 0;
	DIR *at;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_pid);
	at = opendir(path);
	assert_non_null(at);
	while (readdir(at))
		n++;
	closedir(at);
	return n;
}

/* The program the kernel has on v0; it changes when anybody attaches again. */
static long program(void)
{
	FILE *p =
		popen("ip -d link show v0 | sed -n 's/.*prog\\/xdp id \\([0-9]*\\).*/\\1/p'", "r");
	long id = 0;

	assert_non_null(p);
	assert_int_equal(fscanf(p, "%ld", &id), 1);
	pclose(p);
	return id;
}

/* Faults 81 and 65. */
static void a_storm_of_sighup_detaches_nothing_and_leaks_nothing(void **state)
{
	size_t files;
	long id;

	(void)state;
	write_conf("interfaces = v0\nports = 8443\nmetrics = 127.0.0.1:9751");
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 192.0.2.1 action drop reason x"), NULL), 0);
	for (int i = 0; i < 40; i++)
		nap(); /* the connections of the questions above close */
	files = open_files();
	id = program();
	for (int i = 0; i < 5000; i++) {
		if (i % 500 == 0)
			write_conf("interfaces = v0\nports = 8443\nmetrics = 127.0.0.1:9751");
		if (i % 500 == 250)
			write_conf("interfaces = v0\nprots = 1");
		kill(daemon_pid, SIGHUP);
		if (i % 25 == 0)
			nap();
	}
	write_conf("interfaces = v0\nports = 9443\nmetrics = 127.0.0.1:9751");
	assert_int_equal(exit_of("config.reload", NULL, NULL), 0);
	assert_non_null(strstr(in_force("ports"), "9443 @"));
	assert_int_equal(program(), id);
	for (int i = 0; i < 400 && open_files() != files; i++)
		nap();
	assert_int_equal(open_files(), files);
	assert_int_equal(listed(), 1);
	assert_true(only_rule("in_force"));
}

/* Fault 80, overlap: who allows a network in an incident is not stopped by the rules
 * it is about; a rule that overlaps what is allowed is refused. */
static void an_allowed_network_wins_over_rules_before_and_after(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 192.0.2.1 action drop reason x"), NULL), 0);
	write_conf("allow = 192.0.2.0/24");
	assert_int_equal(exit_of("config.reload", NULL, NULL), 0);
	assert_true(logged("allow = 192.0.2.0/24: 1 rules do nothing there now"));
	assert_int_equal(exit_of("rule.add", rule("src 192.0.2.2 action drop reason x"),
				 "allow list"),
			 6);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(a_bad_file_is_refused_whole_by_file_and_line),
		claim(what_needs_a_restart_is_refused_by_name),
		claim(a_storm_of_sighup_detaches_nothing_and_leaks_nothing),
		claim(an_allowed_network_wins_over_rules_before_and_after),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
