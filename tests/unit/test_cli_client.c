/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults 78 and 85, seen from the client: a peer that is slow, short or hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "lib_capture.h"

static struct captured c;
static char dir[] = "/tmp/winnow-cli-XXXXXX", at[64];

/* ---- frames --------------------------------------------------------------- */

/* A child writes these bytes in pieces of `piece` and closes. */
static int peer_writes(const void *data, size_t len, size_t piece, pid_t *pid)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	*pid = fork();
	assert_true(*pid >= 0);
	if (!*pid) {
		close(fd[0]);
		for (size_t off = 0; off < len; off += piece)
			if (write(fd[1], (const char *)data + off,
				  len - off < piece ? len - off : piece) < 0)
				_exit(1);
		_exit(0);
	}
	close(fd[1]);
	return fd[0];
}

static int received(const void *data, size_t len, size_t piece, size_t max, json_t **out)
{
	pid_t pid;
	int fd = peer_writes(data, len, piece, &pid), err;

	*out = NULL;
	err = frame_receive(fd, max, out);
	close(fd);
	waitpid(pid, NULL, 0);
	return err;
}

static size_t frame(char *to, const char *text)
{
	uint32_t len = htonl((uint32_t)strlen(text));

	memcpy(to, &len, 4);
	memcpy(to + 4, text, strlen(text));
	return 4 + strlen(text);
}

static void a_frame_sent_is_the_frame_received(void **state)
{
	json_t *sent = json_pack("{s:s, s:[i,i], s:n}", "verb", "a\"b\n\xc3\xa4", "args", 1, -2,
				 "x"),
	       *got;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(frame_send(fd[0], sent), 0);
	assert_int_equal(frame_receive(fd[1], FRAME_MAX, &got), 0);
	assert_true(json_equal(sent, got));
	json_decref(sent);
	json_decref(got);
	close(fd[0]);
	close(fd[1]);
}

static void a_frame_that_comes_byte_by_byte_is_whole(void **state)
{
	char data[128];
	size_t len = frame(data, "{\"exit\":0,\"error\":null,\"data\":{\"n\":[1,2,3]}}");
	json_t *got;

	(void)state;
	for (size_t piece = 1; piece < 9; piece++) {
		assert_int_equal(received(data, len, piece, 100, &got), 0);
		assert_int_equal(json_integer_value(json_object_get(got, "exit")), 0);
		json_decref(got);
	}
}

static void a_frame_cut_anywhere_is_a_reset_not_a_document(void **state)
{
	char data[64];
	size_t len = frame(data, "{\"exit\":0}");
	json_t *got;

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(received(data, cut, 64, 100, &got), -ECONNRESET);
	assert_int_equal(received(data, len, 64, 100, &got), 0);
	json_decref(got);
}

static void a_length_beyond_the_limit_is_refused_unread(void **state)
{
	char data[64] = "\xff\xff\xff\xff{}";
	json_t *got;
	size_t len;

	(void)state;
	assert_int_equal(received(data, 6, 64, FRAME_MAX, &got), -EMSGSIZE);
	len = frame(data, "{\"a\":1}");
	assert_int_equal(received(data, len, 64, 6, &got), -EMSGSIZE);
	assert_int_equal(received(data, len, 64, 7, &got), 0);
	json_decref(got);
}

static void what_is_no_json_document_is_a_bad_message(void **state)
{
	static const char *const bad[] = { "",        "{", "nonsense", "{}{}", "{\"a\":1,\"a\":2}",
					   "\xff\xff" };
	char data[64], *deep = malloc(100000);
	json_t *got;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(received(data, frame(data, bad[i]), 64, 100, &got), -EBADMSG);
	memset(deep + 4, '[', 99996);
	memcpy(deep, &(uint32_t){ htonl(99996) }, 4);
	assert_int_equal(received(deep, 100000, 4096, FRAME_MAX, &got), -EBADMSG);
	free(deep);
}

/* ---- exit codes ------------------------------------------------------------- */

#define run(...)                                                                                   \
	capture(cli_main, (const char *const[]){ "winnow", "--socket", at, __VA_ARGS__, NULL }, 0, \
		&c)

static void nobody_there_is_exit_3_and_says_how_to_start_it(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	unlink(at);
	run("status");
	assert_int_equal(c.exit, CLI_NO_DAEMON);
	assert_non_null(strstr(c.err, "systemctl start winnowd"));
	assert_string_equal(c.out, "");

	/* A socket file that a killed daemon left behind. */
	strcpy(a.sun_path, at);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	run("rule", "list", "-j");
	assert_int_equal(c.exit, CLI_NO_DAEMON);
	assert_non_null(strstr(c.err, "nobody listens there"));
	unlink(at);
}

static int as_nobody(int argc, char **argv)
{
	return setgid(65534) || setuid(65534) ? -1 : cli_main(argc, argv);
}

static void a_socket_of_others_is_exit_4(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	if (geteuid())
		skip();
	strcpy(a.sun_path, at);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	chmod(at, 0600);
	chmod(dir, 0755);
	capture(as_nobody, (const char *const[]){ "winnow", "--socket", at, "status", NULL }, 0,
		&c);
	assert_int_equal(c.exit, CLI_DENIED);
	assert_non_null(strstr(c.err, "not permitted"));
	close(fd);
	unlink(at);
}

static void a_path_too_long_for_a_socket_is_usage(void **state)
{
	char path[200];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	capture(cli_main, (const char *const[]){ "winnow", "--socket", path, "status", NULL }, 0,
		&c);
	assert_int_equal(c.exit, CLI_USAGE);
}

static int (*program)(int, char **) = cli_main;

static int onto_a_closed_pipe(int argc, char **argv)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe(fd))
		return -1;
	dup2(fd[1], STDOUT_FILENO);
	close(fd[0]);
	return cli_main(argc, argv);
}

#define RULES                                                                                   \
	"{\"exit\":0,\"error\":null,\"data\":{\"schema\":\"winnow.rules/"                       \
	"1\",\"rules\":[{\"handle\":7,"                                                         \
	"\"match\":{\"src\":\"192.0.2.1\",\"ja4\":null},\"action\":\"reset\",\"expires\":null," \
	"\"origin\":\"operator\",\"reason\":\"=1+1\"}]}}"

/* Runs the line against a peer that reads one question, then sends `len` bytes. */
static void against_bytes(const char *answer, size_t len, const char *const *argv, int columns,
			  json_t **question)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), copy[2];
	pid_t pid;

	strcpy(a.sun_path, at);
	unlink(at);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, copy), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int s = accept(fd, NULL, NULL);
		json_t *q;

		if (s < 0 || frame_receive(s, FRAME_MAX, &q) || frame_send(copy[1], q))
			_exit(1);
		_exit(write(s, answer, len) != (ssize_t)len);
	}
	close(fd);
	close(copy[1]);
	capture(program, argv, columns, &c);
	assert_int_equal(frame_receive(copy[0], FRAME_MAX, question), 0);
	close(copy[0]);
	waitpid(pid, NULL, 0);
	unlink(at);
}

static void against(const char *text, const char *const *argv, int columns)
{
	char data[8192];
	json_t *question;

	against_bytes(data, frame(data, text), argv, columns, &question);
	json_decref(question);
}

#define LINE(...)                                           \
	(const char *const[])                               \
	{                                                   \
		"winnow", "--socket", at, __VA_ARGS__, NULL \
	}

static void the_daemon_s_exit_code_and_sentence_are_the_command_s(void **state)
{
	char text[128];

	(void)state;
	for (int code = CLI_NO; code <= CLI_REFUSED; code++) {
		snprintf(text, sizeof(text),
			 "{\"exit\":%d,\"error\":\"sentence %d\",\"data\":null}", code, code);
		against(text, LINE("rule", "del", "7"), 0);
		assert_int_equal(c.exit, code);
		snprintf(text, sizeof(text), "winnow: sentence %d\n", code);
		assert_string_equal(c.err, text);
		assert_string_equal(c.out, "");
	}
}

static void an_answer_that_is_none_is_a_failure_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"[]", "{}", "{\"exit\":7}", "{\"exit\":\"0\"}", "{\"exit\":-1}", "x"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		against(bad[i], LINE("status"), 0);
		assert_int_equal(c.exit, CLI_NO);
		assert_non_null(strstr(c.err, "does not speak winnow"));
	}
	against("{\"exit\":1,\"error\":null,\"data\":null}", LINE("status"), 0);
	assert_int_equal(c.exit, CLI_NO);
	assert_true(strlen(c.err) > 20);
}

static void half_an_answer_is_a_failure_with_a_reason(void **state)
{
	json_t *question;

	(void)state;
	against_bytes("\0\0\0\x40{\"exit\":0", 13, LINE("rule", "list"), 0, &question);
	assert_int_equal(c.exit, CLI_NO);
	assert_non_null(strstr(c.err, "before its answer was complete"));
	json_decref(question);
}

static void a_rule_goes_over_in_the_words_that_were_typed(void **state)
{
	char data[256];
	json_t *q, *want;

	(void)state;
	against_bytes(data, frame(data, "{\"exit\":0,\"data\":{\"rules\":[{\"handle\":41}]}}"),
		      LINE("rule", "add", "src", "192.0.2.1", "state", "split>=3", "action", "drop",
			   "reason", "a  b\"c", "--dry-run"),
		      0, &q);
	want = json_pack("{s:s, s:{s:[s,s,s,s,s,s,s,s], s:b}}", "verb", "rule.add", "args", "words",
			 "src", "192.0.2.1", "state", "split>=3", "action", "drop", "reason",
			 "a  b\"c", "dry_run", 1);
	assert_true(json_equal(q, want));
	json_decref(q);
	json_decref(want);

	against("{\"exit\":0,\"data\":{\"rules\":[{\"handle\":41}]}}",
		LINE("rule", "add", "src", "192.0.2.1", "action", "drop", "reason", "x"), 0);
	assert_int_equal(c.exit, 0);
	assert_string_equal(c.out, "41\n");
}

/* Fault 83: under sudo or in a container only the client knows its SSH peer. */
static void a_rule_goes_over_with_the_ssh_connection_it_must_not_cut(void **state)
{
	char data[256];
	json_t *q;

	(void)state;
	setenv("SSH_CONNECTION", "198.51.100.7 50000 192.0.2.1 22", 1);
	against_bytes(data,
		      frame(data, "{\"exit\":6,\"error\":\"your own connection\",\"data\":null}"),
		      LINE("rule", "add", "src", "198.51.100.7", "action", "drop", "reason", "x"),
		      0, &q);
	unsetenv("SSH_CONNECTION");
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(q, "args"), "ssh_connection")),
			    "198.51.100.7 50000 192.0.2.1 22");
	json_decref(q);
	assert_int_equal(c.exit, CLI_REFUSED);
	assert_string_equal(c.err, "winnow: your own connection\n");
}

static void a_list_that_was_cut_says_so(void **state)
{
	char data[256];
	json_t *q;

	(void)state;
	against_bytes(data,
		      frame(data, "{\"exit\":0,\"data\":{\"sources\":[{\"src\":\"192.0.2.1\"}],"
				  "\"total\":7,\"truncated\":true}}"),
		      LINE("source", "list", "--limit", "1", "--csv"), 0, &q);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(q, "args"), "limit")),
			 1);
	json_decref(q);
	assert_non_null(strstr(c.err, "The newest 1 of 7"));
}

static void rule_check_says_its_paragraph_and_keeps_the_answer_as_exit_code(void **state)
{
	(void)state;
	against("{\"exit\":1,\"error\":null,\"data\":{\"schema\":\"winnow.check/"
		"1\",\"text\":\"Nothing of it.\"}}",
		LINE("rule", "check", "192.0.2.1"), 0);
	assert_int_equal(c.exit, CLI_NO);
	assert_string_equal(c.out, "Nothing of it.\n");
	assert_string_equal(c.err, "");
	against("{\"exit\":0,\"error\":null,\"data\":{\"schema\":\"winnow.check/"
		"1\",\"text\":\"Rule 7.\"}}",
		LINE("rule", "check", "192.0.2.1", "-j"), 0);
	assert_int_equal(c.exit, CLI_DONE);
	assert_non_null(strstr(c.out, "\"schema\": \"winnow.check/1\""));
}

/* Anything but yes, the end of input too, changes nothing and asks nobody. */
static void on_a_terminal_flush_asks_and_only_yes_goes_on(void **state)
{
	static const char *const no[] = { "n\n", "\n", "yesterday\n", "\x04" };

	(void)state;
	unlink(at);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		capture_typing(cli_main, LINE("rule", "flush"), no[i], &c);
		assert_int_equal(c.exit, CLI_NO);
		assert_non_null(strstr(c.out, "Remove every rule? [y/N]"));
		assert_non_null(strstr(c.out, "Nothing was changed."));
	}
	/* Yes goes on to the daemon, which is not there. */
	capture_typing(cli_main, LINE("rule", "flush"), "yes\n", &c);
	assert_int_equal(c.exit, CLI_NO_DAEMON);
}

static void yes_lets_flush_through_where_nobody_can_be_asked(void **state)
{
	(void)state;
	against("{\"exit\":0,\"data\":{\"schema\":\"winnow.flushed/1\",\"rules\":2}}",
		LINE("rule", "flush", "--yes"), 0);
	assert_int_equal(c.exit, CLI_DONE);
	assert_string_equal(c.err, "2 rules removed.\n");
}

#define SOURCE                                                                                                                                  \
	"{\"exit\":0,\"error\":null,\"data\":{\"schema\":\"winnow.sources/1\",\"time\":"                                                        \
	"\"2026-03-01T12:00:00Z\",\"sources\":[{\"src\":\"192.0.2.1\",\"stack\":"                                                               \
	"\"t13d1516h2_8daaf6152771_d8a2da3f94cd\\u001b[2J\\u009b\\u202e\",\"service\":443,"                                                     \
	"\"connections\":12,\"exchanges\":345,\"bytes_in\":1500,\"bytes_out\":2500000,"                                                         \
	"\"last_seen\":\"2026-03-01T11:58:30Z\",\"dstar_last_us\":[1000,3000,2000,90000,null],\"dstar_resumed\":[false,false,false,true,null]," \
	"\"resumed\":3,\"piggy\":0}]}}"

/* Fault 85: 20 columns, no TERM, escape codes in a name. */
static void a_terminal_of_any_width_gets_no_escape_code_from_a_name(void **state)
{
	static const int widths[] = { 1, 20, 40, 80, 200 };

	(void)state;
	unsetenv("TERM");
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		against(SOURCE, LINE("source", "list"), widths[i]);
		assert_int_equal(c.exit, 0);
		assert_null(strchr(c.out, '\x1b'));
		assert_null(strstr(c.out, "\xc2\x9b"));
		assert_null(strstr(c.out, "\xe2\x80\xae"));
		assert_non_null(strstr(c.out, "192.0.2.1"));
	}
	/* From where the columns fit, no line is longer than the terminal. */
	against(SOURCE, LINE("source", "list"), 100);
	for (char *line = strtok(c.out, "\r\n"); line; line = strtok(NULL, "\r\n"))
		assert_true(strlen(line) <= 100);
}

static void a_pipe_gets_every_column_whole(void **state)
{
	(void)state;
	against(SOURCE, LINE("source", "ls"), 0);
	assert_non_null(strstr(c.out, "t13d1516h2_8daaf6152771_d8a2da3f94cd\\x1b[2J"));
	assert_non_null(strstr(c.out, "2.0ms"));
	assert_non_null(strstr(c.out, "2.5M"));
	against(SOURCE, LINE("source", "ls", "--csv"), 0);
	assert_int_equal(
		strncmp(c.out,
			"src,stack,service,connections,exchanges,bytes_in,bytes_out,last_seen,"
			"dstar_median_us,flags,label,os,asn,country\n192.0.2.1,",
			111),
		0);
	assert_non_null(strstr(c.out, ",2500000,2026-03-01T11:58:30Z,2000,resumed,,,,\n"));
	against(SOURCE, LINE("source", "ls", "--jsonl"), 0);
	assert_int_equal(strncmp(c.out, "{\"schema\":\"winnow.source/1\",\"src\":\"192.0.2.1\"",
				 45),
			 0);
	assert_null(strchr(c.out, '\x1b'));
	assert_null(strstr(c.out, "\xc2\x9b"));
}

/* What a program sets before it starts decides over colour. */
static const char *term, *no_color;

static int in_that_terminal(int argc, char **argv)
{
	setenv("TERM", term, 1);
	if (no_color)
		setenv("NO_COLOR", no_color, 1);
	return cli_main(argc, argv);
}

static void color_is_asked_for_or_a_terminal_s_and_never_alone(void **state)
{
	static const struct {
		const char *term, *no_color, *when;
		int columns;
		bool colored;
	} cases[] = {
		{ "xterm", NULL, "auto", 120, true }, { "xterm", NULL, "auto", 0, false },
		{ "xterm", "1", "auto", 120, false }, { "xterm", "", "auto", 120, true },
		{ "dumb", NULL, "auto", 120, false }, { "xterm", NULL, "never", 120, false },
		{ "dumb", "1", "always", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		term = cases[i].term;
		no_color = cases[i].no_color;
		program = in_that_terminal;
		against(RULES, LINE("rule", "list", "--color", cases[i].when), cases[i].columns);
		program = cli_main;
		if ((strchr(c.out, '\x1b') != NULL) != cases[i].colored)
			fail_msg("case %zu: %s", i, c.out);
		assert_non_null(strstr(c.out, "reset"));
	}
}

static void a_reader_that_left_ends_the_program_without_talk(void **state)
{
	(void)state;
	program = onto_a_closed_pipe;
	against(RULES, LINE("rule", "list"), 0);
	program = cli_main;
	assert_int_equal(c.exit, CLI_NO);
	assert_string_equal(c.err, "");
}

static int stop(void **state)
{
	(void)state;
	unlink(at);
	return rmdir(dir);
}

static int start(void **state)
{
	(void)state;
	unsetenv("SSH_CONNECTION");
	if (!mkdtemp(dir))
		return -1;
	snprintf(at, sizeof(at), "%s/s", dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_sent_is_the_frame_received),
		cmocka_unit_test(a_frame_that_comes_byte_by_byte_is_whole),
		cmocka_unit_test(a_frame_cut_anywhere_is_a_reset_not_a_document),
		cmocka_unit_test(a_length_beyond_the_limit_is_refused_unread),
		cmocka_unit_test(what_is_no_json_document_is_a_bad_message),
		cmocka_unit_test(nobody_there_is_exit_3_and_says_how_to_start_it),
		cmocka_unit_test(a_socket_of_others_is_exit_4),
		cmocka_unit_test(a_path_too_long_for_a_socket_is_usage),
		cmocka_unit_test(the_daemon_s_exit_code_and_sentence_are_the_command_s),
		cmocka_unit_test(an_answer_that_is_none_is_a_failure_with_a_reason),
		cmocka_unit_test(half_an_answer_is_a_failure_with_a_reason),
		cmocka_unit_test(a_rule_goes_over_in_the_words_that_were_typed),
		cmocka_unit_test(a_rule_goes_over_with_the_ssh_connection_it_must_not_cut),
		cmocka_unit_test(a_list_that_was_cut_says_so),
		cmocka_unit_test(rule_check_says_its_paragraph_and_keeps_the_answer_as_exit_code),
		cmocka_unit_test(on_a_terminal_flush_asks_and_only_yes_goes_on),
		cmocka_unit_test(yes_lets_flush_through_where_nobody_can_be_asked),
		cmocka_unit_test(a_terminal_of_any_width_gets_no_escape_code_from_a_name),
		cmocka_unit_test(a_pipe_gets_every_column_whole),
		cmocka_unit_test(color_is_asked_for_or_a_terminal_s_and_never_alone),
		cmocka_unit_test(a_reader_that_left_ends_the_program_without_talk),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
