/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay` as its user meets it. Faults 70, 84, 85. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <linux/capability.h>

#include "cli/cli.h"
#include "cli/replay.h"
#include "lib_capture.h"

#define CURL  "tests/replay/curl.pcap"
#define SPLIT "tests/replay/split-segments.pcap"

static struct captured c;

#define run(...) capture(cli_main, (const char *const[]){ "winnow", __VA_ARGS__, NULL }, 0, &c)

#define need_kernel()                          \
	do {                                   \
		(void)state;                   \
		if (kern_missing_capability()) \
			skip();                \
	} while (0)

static bool has_port(const struct ports *p, unsigned int port)
{
	return p->tcp[port / 64] >> port % 64 & 1 && p->udp[port / 64] >> port % 64 & 1;
}

static void ports_are_lists_ranges_or_any(void **state)
{
	static const char *const wrong[] = { "",      "x",      "443,",
					     ",443",  "0",      "65536",
					     "9-8",   "443-",   "-443",
					     "443;8", "1,2,,3", "any,443",
					     "+443",  "4 43",   "99999999999999999999" };
	struct ports p;

	(void)state;
	assert_int_equal(replay_ports("443,8443,9000-9002,65535", &p), 0);
	assert_true(has_port(&p, 443) && has_port(&p, 8443) && has_port(&p, 65535));
	assert_true(has_port(&p, 9000) && has_port(&p, 9002));
	assert_false(has_port(&p, 444) || has_port(&p, 8999) || has_port(&p, 9003));
	assert_int_equal(replay_ports("any", &p), 0);
	assert_true(has_port(&p, 1) && has_port(&p, 65535));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(replay_ports(wrong[i], &p), -EINVAL);
}

static void wrong_arguments_are_usage_errors(void **state)
{
	(void)state;
	run("replay");
	assert_int_equal(c.exit, CLI_USAGE);
	run("replay", "--ports", "https", CURL);
	assert_int_equal(c.exit, CLI_USAGE);
	assert_non_null(strstr(c.err, "https: not a list of ports"));
	run("replay", "--hellos", "--sources", CURL);
	assert_int_equal(c.exit, CLI_USAGE);
	run("replay", "--csv", "--hellos", CURL);
	assert_int_equal(c.exit, CLI_USAGE);
	run("replay", CURL, CURL);
	assert_int_equal(c.exit, CLI_USAGE);
	assert_string_equal(c.out, "");
}

static void files_that_are_no_captures_exit_1_with_a_sentence(void **state)
{
	need_kernel();
	run("replay", "/nosuch");
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "open /nosuch: No such file"));
	run("replay", "Makefile");
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "Makefile is no capture file"));
	run("replay", "/dev/null");
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "is empty"));
	run("replay", "tests");
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "is a directory"));
}

/* design.md: names and order of the keys are a contract. */
static void a_hello_has_the_keys_of_the_contract_in_order(void **state)
{
	static const char *const keys[] = {
		"schema",   "time",     "src",     "sport",   "dst",    "dport",  "transport",
		"ja4",      "ja4_r",    "ja3",     "stack",   "order",  "sni",    "alpn",
		"tcp",      "segments", "records", "resumed", "rtt_us", "d1_us",  "d2_us",
		"dstar_us", "flight",   "piggy",   "ccs",     "proof",  "result",
	};
	const char *key, *line;
	json_t *o, *v;
	size_t i = 0;

	need_kernel();
	run("replay", "--hellos", "--jsonl", SPLIT);
	assert_int_equal(c.exit, CLI_DONE);
	line = strchr(c.out, '\n');
	assert_ptr_equal(line, c.out + strlen(c.out) - 1); /* one line */
	o = json_loads(c.out, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	json_object_foreach(o, key, v) {
		assert_true(i < sizeof(keys) / sizeof(keys[0]));
		assert_string_equal(key, keys[i++]);
	}
	assert_int_equal(i, sizeof(keys) / sizeof(keys[0]));
	assert_string_equal(json_string_value(json_object_get(o, "schema")), "winnow.hello/1");
	assert_int_equal(json_integer_value(json_object_get(o, "segments")), 3);
	json_decref(o);
}

static void json_is_one_document_even_without_a_hello(void **state)
{
	json_t *o;

	need_kernel();
	run("replay", "-j", "tests/replay/resumed.pcap");
	o = json_loads(c.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "schema")), "winnow.hellos/1");
	assert_int_equal(json_array_size(json_object_get(o, "hellos")), 2);
	json_decref(o);
	run("replay", "-j", "--ports", "80", CURL);
	assert_int_equal(c.exit, CLI_DONE);
	o = json_loads(c.out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(o, "hellos")), 0);
	json_decref(o);
	assert_non_null(strstr(c.err, "Try: --ports any"));
}

static void sources_are_what_was_proved(void **state)
{
	json_t *o;

	need_kernel();
	run("replay", "--sources", "--jsonl", "tests/replay/resumed.pcap");
	assert_int_equal(c.exit, CLI_DONE);
	o = json_loads(c.out, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "schema")), "winnow.source/1");
	assert_string_equal(json_string_value(json_object_get(o, "src")), "198.51.100.7");
	assert_int_equal(json_integer_value(json_object_get(o, "service")), 443);
	assert_int_equal(json_integer_value(json_object_get(o, "connections")), 2);
	assert_int_equal(json_integer_value(json_object_get(o, "resumed")), 1);
	json_decref(o);
	/* a capture that ends before the server's answer proves nothing */
	run("replay", "--sources", "--jsonl", "tests/replay/truncated.pcap");
	assert_int_equal(c.exit, CLI_NO);
	assert_string_equal(c.out, "");
	assert_non_null(strstr(c.err, "1 unproved"));
}

static void the_table_names_the_hello_and_takes_no_orders_from_it(void **state)
{
	need_kernel();
	run("replay", SPLIT);
	assert_int_equal(c.exit, CLI_DONE);
	assert_non_null(strstr(c.out, "t13d3111p1_e8f1e7e78f70_1f22a2ca17c4"));
	assert_non_null(strstr(c.out, "example.test"));
	assert_null(strchr(c.out, '\033'));
	assert_non_null(strstr(c.err, " packets, 1 hellos, 1 named, 0 unproved; 0 lost"));
}

static int without_bpf(int argc, char **argv)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {};

	syscall(SYS_capget, &h, d);
	d[0].effective &= ~(1U << CAP_SYS_ADMIN);
	d[CAP_BPF / 32].effective &= ~(1U << CAP_BPF % 32);
	syscall(SYS_capset, &h, d);
	return cli_main(argc, argv);
}

/* 70 */
static void a_missing_capability_exits_4_and_is_named(void **state)
{
	need_kernel();
	capture(without_bpf, (const char *const[]){ "winnow", "replay", CURL, NULL }, 0, &c);
	assert_int_equal(c.exit, CLI_DENIED);
	assert_string_equal(c.err, "winnow: replay: CAP_BPF is missing. Try: run as root\n");
}

/* Does a thread of `pid` wait in system call `nr`? */
static bool waits_in(pid_t pid, long nr)
{
	char path[320];
	bool found = false;
	struct dirent *d;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (!found && tasks && (d = readdir(tasks))) {
		long at = -1;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/syscall", pid, d->d_name);
		f = fopen(path, "r");
		found = f && fscanf(f, "%ld", &at) == 1 && at == nr;
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

/* Its standard input is a pipe that never ends: the capture, then silence. */
static int fed_by_a_pipe(int argc, char **argv)
{
	int feed[2], file = open(CURL, O_RDONLY);
	pid_t self = getpid(), pid;
	char b[65536];
	ssize_t n;

	n = read(file, b, sizeof(b));
	if (file < 0 || n <= 0 || pipe(feed) || write(feed[1], b, n) != n)
		return 99;
	pid = fork();
	if (pid == 0) {
		/* The signal comes when the reader has taken it all and waits. */
		while (!waits_in(self, SYS_poll))
			usleep(1000);
		kill(self, SIGINT);
		_exit(0);
	}
	dup2(feed[0], STDIN_FILENO);
	return cli_main(argc, argv);
}

static void an_interrupt_prints_what_there_is_and_exits_130(void **state)
{
	need_kernel();
	capture(fed_by_a_pipe, (const char *const[]){ "winnow", "replay", "--jsonl", "-", NULL }, 0,
		&c);
	assert_int_equal(c.exit, CLI_INTERRUPTED);
	assert_non_null(strstr(c.out, "\"result\":\"ok\""));
	assert_non_null(strstr(c.err, "22 packets, 1 hellos"));
}

static int to_a_closed_pipe(int argc, char **argv)
{
	int out[2];

	if (pipe(out))
		return 99;
	close(out[0]);
	dup2(out[1], STDOUT_FILENO);
	setvbuf(stdout, NULL, _IONBF, 0);
	return cli_main(argc, argv);
}

/* 85 */
static void a_closed_pipe_ends_it_without_a_signal(void **state)
{
	need_kernel();
	capture(to_a_closed_pipe,
		(const char *const[]){ "winnow", "replay", "--jsonl", CURL, NULL }, 0, &c);
	assert_int_equal(c.exit, CLI_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_lists_ranges_or_any),
		cmocka_unit_test(wrong_arguments_are_usage_errors),
		cmocka_unit_test(files_that_are_no_captures_exit_1_with_a_sentence),
		cmocka_unit_test(a_hello_has_the_keys_of_the_contract_in_order),
		cmocka_unit_test(json_is_one_document_even_without_a_hello),
		cmocka_unit_test(sources_are_what_was_proved),
		cmocka_unit_test(the_table_names_the_hello_and_takes_no_orders_from_it),
		cmocka_unit_test(a_missing_capability_exits_4_and_is_named),
		cmocka_unit_test(an_interrupt_prints_what_there_is_and_exits_130),
		cmocka_unit_test(a_closed_pipe_ends_it_without_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
