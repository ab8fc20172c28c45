/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd with the real kernel, in a network namespace of its own: what
 * it keeps through kill -9, lost files, lost pins and a lost secret. Needs root;
 * skipped without.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <jansson.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kern/kern.h"
#include "store/secret.h"
#include "store/store.h"
#include "tls/names.h"

#define RAW "t13d0302h2_1301,1302,1303_0005,000a_0403,0804"

static char dir[64], pins[96], conf[96], winnowd[4096];
static pid_t daemon_pid;

/* ---- a daemon to handle -------------------------------------------------------- */

static void write_conf(const char *more)
{
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	fprintf(f,
		"[winnow]\nstate_dir = %s/state\nrun_dir = %s/run\nbpffs = %s\ntick = 100ms\n%s\n"
		"[tables]\ntallies = 512\norders = 512\nflows = 512\nhandshakes = 512\n"
		"rules = 128\nprefixes = 128\nreassembly = 64\nring_bytes = 65536\n",
		dir, dir, pins, more);
	fclose(f);
}

/* Waits for a line of its talk; the rest goes to DIR/log. */
static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static pid_t spawn(const char *stop_at)
{
	char log[96];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(log, sizeof(log), "%s/log", dir);
	if (!freopen(log, "a", stderr))
		_exit(99);
	if (stop_at)
		setenv("WINNOW_STOP_AT", stop_at, 1);
	execl(winnowd, winnowd, "-f", "-c", conf, NULL);
	_exit(98);
}

static bool logged(const char *text)
{
	_cleanup_(freep) char *line = NULL;
	_cleanup_(fclosep) FILE *f = NULL;
	char log[96];
	size_t room = 0;

	snprintf(log, sizeof(log), "%s/log", dir);
	f = fopen(log, "r");
	while (f && getline(&line, &room, f) >= 0)
		if (strstr(line, text))
			return true;
	return false;
}

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", dir);
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

static void daemon_up(const char *stop_at)
{
	daemon_pid = spawn(stop_at);
	for (int i = 0; i < 2000; i++) {
		int fd = dial(), status;

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (waitpid(daemon_pid, &status, WNOHANG) == daemon_pid)
			fail_msg("winnowd ended with status %x, see %s/log", status, dir);
		nap();
	}
	fail_msg("winnowd does not answer");
}

static void daemon_end(int signal_number)
{
	int status;

	if (!daemon_pid)
		return;
	kill(daemon_pid, signal_number);
	waitpid(daemon_pid, &status, 0);
	daemon_pid = 0;
	/* Asked to stop it says 0; a sanitizer's finding would not. */
	if (signal_number == SIGTERM && status)
		fail_msg("winnowd ended with status %x, see %s/log", status, dir);
}

static int send_request(const char *verb, json_t *args)
{
	json_t *q = json_pack("{s:s, s:o}", "verb", verb, "args", args ? args : json_object());
	_cleanup_(freep) char *text = json_dumps(q, JSON_COMPACT);
	uint32_t n = htonl(strlen(text));
	int fd = dial();

	json_decref(q);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &n, 4), 4);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static json_t *ask(const char *verb, json_t *args)
{
	_cleanup_(closep) int fd = send_request(verb, args);
	_cleanup_(freep) char *body = NULL;
	json_t *reply;
	uint32_t n;

	assert_int_equal(recv(fd, &n, 4, MSG_WAITALL), 4);
	body = malloc(ntohl(n));
	assert_int_equal(recv(fd, body, ntohl(n), MSG_WAITALL), ntohl(n));
	reply = json_loadb(body, ntohl(n), 0, NULL);
	assert_non_null(reply);
	return reply;
}

/* The exit code; `error`, if not NULL, is part of the sentence. */
static int exit_of(const char *verb, json_t *args, const char *error)
{
	json_t *reply = ask(verb, args);
	int code = (int)json_integer_value(json_object_get(reply, "exit"));
	const char *said = json_string_value(json_object_get(reply, "error"));

	if (error && (!said || !strstr(said, error)))
		fail_msg("%s: \"%s\" does not say \"%s\"", verb, said ? said : "", error);
	json_decref(reply);
	return code;
}

static json_t *rule(const char *text)
{
	return json_pack("{s:s}", "rule", text);
}

static size_t listed(void)
{
	json_t *reply = ask("rule.list", NULL);
	size_t n = json_array_size(json_object_get(json_object_get(reply, "data"), "rules"));

	json_decref(reply);
	return n;
}

/* "in_force", "bound" ... of the only rule. */
static bool only_rule(const char *key)
{
	json_t *reply = ask("rule.list", NULL);
	json_t *rules = json_object_get(json_object_get(reply, "data"), "rules");
	bool yes = json_is_true(json_object_get(json_array_get(rules, 0), key));

	assert_int_equal(json_array_size(rules), 1);
	json_decref(reply);
	return yes;
}

/* What the kernel has, asked without the daemon, which must be down. */
static struct kern *kernel(void)
{
	struct kern_config c = { .tallies = 512,
				 .orders = 512,
				 .flows = 512,
				 .handshakes = 512,
				 .rules = 128,
				 .prefixes = 128,
				 .ring_bytes = 65536,
				 .reassembly = 64,
				 .pin_dir = pins };
	struct kern *k = NULL;
	struct reason r = {};

	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	assert_true(kern_adopted(k));
	return k;
}

static size_t in_kernel(void)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	size_t n, used = 0;
	struct rule *slots = kern_rules(k, &n);

	for (size_t i = 1; i < n; i++)
		used += slots[i].gen != 0;
	return used;
}

static struct store *database(void)
{
	struct store *s = NULL;
	struct reason r = {};
	char path[96];

	snprintf(path, sizeof(path), "%s/state/state.db", dir);
	if (store_open(path, &s, &r))
		fail_msg("%s", r.text);
	return s;
}

static int phases[4];

static int count_phase(void *ctx, struct rule_entry *e, enum rule_phase phase)
{
	(void)ctx;
	phases[phase]++;
	rule_entry_clear(e);
	return 0;
}

static size_t in_database(void)
{
	_cleanup_(store_freep) struct store *s = database();
	struct reason r = {};
	uint64_t rows;

	memset(phases, 0, sizeof(phases));
	assert_int_equal(store_rules(s, count_phase, NULL), 0);
	assert_int_equal(phases[RULE_PENDING] + phases[RULE_LEAVING], 0);
	assert_int_equal(store_audit_verify(s, &rows, &r), 0);
	assert_true(rows > 0);
	return phases[RULE_LIVE];
}

static void remove_path(const char *fmt, const char *base)
{
	char cmd[256], path[128];

	snprintf(path, sizeof(path), fmt, base);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
}

static int fresh(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/winnow-life-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/%s", dir + 5);
	snprintf(conf, sizeof(conf), "%s/winnow.conf", dir);
	write_conf("");
	return 0;
}

static int remove_all(void **state)
{
	(void)state;
	daemon_end(SIGKILL);
	remove_path("%s", pins);
	remove_path("%s", dir);
	return 0;
}

/* ---- claims ------------------------------------------------------------------------ */

static void rules_come_and_go_in_all_three_places(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.9 action drop reason x"), NULL),
			 0);
	assert_int_equal(exit_of("rule.add",
				 rule("src 203.0.0.0/16 ports any action count reason y"), NULL),
			 0);
	assert_int_equal(exit_of("rule.add", rule("stack " RAW " action reset reason z"), NULL), 0);
	assert_int_equal(listed(), 3);
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 2), NULL), 0);
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 2), "no rule 2"), 1);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 2);
	assert_int_equal(in_database(), 2);
	daemon_up(NULL);
	assert_int_equal(listed(), 2);
	assert_int_equal(exit_of("rule.flush", NULL, NULL), 0);
	assert_int_equal(listed(), 0);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
	assert_int_equal(in_database(), 0);
}

/* Fault 77: stopped and killed at each step. A rule whose add was not finished in
 * the kernel is not there afterwards, one that was is; likewise for removing. */
static void kill_9_at_any_step_leaves_one_answer(void **state)
{
	static const struct {
		const char *step;
		bool adds;
		size_t after;
	} steps[] = {
		{ "add-pending", true, 1 },  { "add-kernel", true, 2 },  { "add-live", true, 2 },
		{ "del-leaving", false, 0 }, { "del-kernel", false, 0 }, { "del-gone", false, 0 },
	};
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		_cleanup_(closep) int fd = -1;

		daemon_up(NULL);
		assert_int_equal(exit_of("rule.flush", NULL, NULL), 0);
		assert_int_equal(exit_of("rule.add", rule("src 203.0.113.1 action drop reason x"),
					 NULL),
				 0);
		json_t *reply = ask("rule.list", NULL);
		json_t *first =
			json_array_get(json_object_get(json_object_get(reply, "data"), "rules"), 0);
		json_int_t handle = json_integer_value(json_object_get(first, "handle"));

		json_decref(reply);
		daemon_end(SIGTERM);

		daemon_up(steps[i].step);
		if (steps[i].adds)
			fd = send_request("rule.add",
					  rule("ja4 " RAW " src 203.0.113.2 action drop reason y"));
		else
			fd = send_request("rule.del", json_pack("{s:I}", "handle", handle));
		assert_int_equal(waitpid(daemon_pid, &status, WUNTRACED), daemon_pid);
		assert_true(WIFSTOPPED(status));
		daemon_end(SIGKILL);

		daemon_up(NULL);
		if (listed() != steps[i].after)
			fail_msg("%s: %zu rules", steps[i].step, listed());
		daemon_end(SIGTERM);
		assert_int_equal(in_kernel(), steps[i].after);
		assert_int_equal(in_database(), steps[i].after);
	}
}

/* Fault 76: rules outlive the database; the file is set aside. */
static void a_damaged_database_costs_no_rule(void **state)
{
	char path[96];
	FILE *f;

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.1 action drop for 1h reason x"),
				 NULL),
			 0);
	assert_int_equal(exit_of("rule.add",
				 rule("src 203.0.0.0/16 stack " RAW
				      " state seen>=2 action limit 2/s reason y"),
				 NULL),
			 0);
	assert_int_equal(exit_of("allow.add", json_pack("{s:s}", "cidr", "198.51.100.0/24"), NULL),
			 0);
	daemon_end(SIGKILL);
	snprintf(path, sizeof(path), "%s/state/state.db", dir);
	f = fopen(path, "w");
	fputs("somebody wrote over it", f);
	fclose(f);
	remove_path("%s/state/state.db-wal", dir);

	daemon_up(NULL);
	assert_true(logged("state.db.damaged-"));
	assert_int_equal(listed(), 2);
	assert_int_equal(exit_of("rule.add", rule("src 198.51.100.1 action drop reason x"),
				 "on the allow list"),
			 6);
	/* What is recovered can be removed, and its handles are not given again. */
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 2), NULL), 0);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.4 action drop reason x"), NULL),
			 0);
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 3), NULL), 0);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 1);
	assert_int_equal(in_database(), 1);
}

/* Fault 76. */
static void without_a_database_rules_hold_and_none_is_added(void **state)
{
	char path[96];

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.1 action drop reason x"), NULL),
			 0);
	daemon_end(SIGTERM);
	remove_path("%s/state/state.db*", dir);
	snprintf(path, sizeof(path), "%s/state/state.db", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	daemon_up(NULL);
	assert_int_equal(listed(), 1);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.2 action drop reason x"),
				 "cannot be written"),
			 1);
	assert_int_equal(exit_of("panic", json_pack("{s:b}", "on", 1), NULL), 0);
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 1), "out of force now"),
			 5);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
}

/* A reboot: pins gone, files there. */
static void rules_come_back_after_a_reboot(void **state)
{
	struct secret before, after;

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("stack " RAW " action drop for 1h reason x"),
				 NULL),
			 0);
	daemon_end(SIGTERM);
	{
		_cleanup_(kern_freep) struct kern *k = kernel();

		before = kern_control(k)->secret;
	}
	remove_path("%s", pins);
	daemon_up(NULL);
	assert_true(only_rule("in_force"));
	daemon_end(SIGTERM);
	{
		_cleanup_(kern_freep) struct kern *k = kernel();

		after = kern_control(k)->secret;
	}
	assert_true(secret_equal(&before, &after));
	assert_int_equal(in_kernel(), 1);
}

/* Pins and secret gone: the rule is there under its new key. */
static void a_lost_secret_keys_the_rules_again(void **state)
{
	_cleanup_(kern_freep) struct kern *k = NULL;
	struct rule_match match[128] = {};
	uint64_t key;

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("stack " RAW " action drop reason x"), NULL), 0);
	assert_int_equal(exit_of("rule.add",
				 rule("stack key:00ff00ff00ff00ff action drop reason x"), NULL),
			 0);
	daemon_end(SIGTERM);
	remove_path("%s", pins);
	remove_path("%s/state/secret", dir);
	daemon_up(NULL);
	assert_true(logged("keyed again"));
	assert_true(only_rule("in_force"));
	daemon_end(SIGTERM);

	k = kernel();
	assert_int_equal(kern_rule_matches(k, match), 0);
	assert_int_equal(names_key_from_raw(RAW, &kern_control(k)->secret, &key), 0);
	for (size_t i = 1; i < 128; i++)
		if (match[i].stack)
			assert_true(match[i].stack == key);
}

static void a_lost_secret_file_is_written_from_the_pins(void **state)
{
	_cleanup_(kern_freep) struct kern *k = NULL;
	struct secret file;
	struct reason r;
	char path[96];

	(void)state;
	daemon_up(NULL);
	daemon_end(SIGTERM);
	remove_path("%s/state/secret", dir);
	daemon_up(NULL);
	assert_true(logged("the pinned tables' own is used"));
	daemon_end(SIGTERM);
	snprintf(path, sizeof(path), "%s/state/secret", dir);
	assert_int_equal(secret_read(path, &file, &r), 0);
	k = kernel();
	assert_true(secret_equal(&file, &kern_control(k)->secret));
}

static void a_rule_waits_for_its_name(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add",
				 rule("ja4 t13d1516h2_8daaf6152771_02713d6af862 action drop "
				      "reason x"),
				 NULL),
			 0);
	assert_false(only_rule("bound"));
	assert_false(only_rule("in_force"));
	daemon_end(SIGKILL);
	daemon_up(NULL);
	assert_false(only_rule("bound"));
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
	assert_int_equal(in_database(), 1);
}

static void expired_rules_leave_also_when_nobody_was_there(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.1 action drop for 1s reason x"),
				 NULL),
			 0);
	assert_int_equal(listed(), 1);
	for (int i = 0; i < 1000 && listed(); i++)
		nap();
	assert_int_equal(listed(), 0);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.1 action drop for 1s reason x"),
				 NULL),
			 0);
	daemon_end(SIGKILL);
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 100000000 }, NULL);
	daemon_up(NULL);
	assert_int_equal(listed(), 0);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
	assert_int_equal(in_database(), 0);
}

/* Fault 66: the table has 127 places. */
static void a_full_rule_table_refuses_and_keeps_what_it_has(void **state)
{
	char text[64];

	(void)state;
	daemon_up(NULL);
	for (int i = 0; i < 127; i++) {
		snprintf(text, sizeof(text), "src 203.0.113.%d action drop reason x", i + 1);
		assert_int_equal(exit_of("rule.add", rule(text), NULL), 0);
	}
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.200 action drop reason x"),
				 "rule table full (127)"),
			 1);
	assert_int_equal(listed(), 127);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 127);
	assert_int_equal(in_database(), 127);
}

/* Fault 83. */
static void nobody_locks_himself_out(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule("src 198.51.100.10 action drop reason x"),
				 "this host's own address"),
			 6);
	assert_int_equal(exit_of("rule.add", rule("src 198.51.100.1 action drop reason x"),
				 "the default gateway"),
			 6);
	assert_int_equal(exit_of("rule.add", rule("src 10.0.0.0/8 action drop reason x"),
				 "wider than /16"),
			 6);
	assert_int_equal(exit_of("rule.add",
				 json_pack("{s:s, s:s}", "rule",
					   "src 192.0.2.0/24 action drop reason x",
					   "ssh_connection", "192.0.2.77 5 198.51.100.10 22"),
				 "your own SSH session"),
			 6);
	assert_int_equal(listed(), 0);
}

/* Fault 97. */
static void a_second_daemon_names_the_first(void **state)
{
	char text[64];
	int status;
	pid_t second;

	(void)state;
	daemon_up(NULL);
	second = spawn(NULL);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 1);
	snprintf(text, sizeof(text), "runs already, pid %d ", daemon_pid);
	assert_true(logged(text));
	assert_int_equal(exit_of("status", NULL, NULL), 0);
}

static bool protects(int port)
{
	json_t *reply = ask("status", NULL), *v;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "ports"), i, v)
		found |= json_integer_value(v) == port;
	json_decref(reply);
	return found;
}

/* Faults 80, 81. */
static void a_reload_is_all_or_nothing(void **state)
{
	(void)state;
	daemon_up(NULL);
	write_conf("ports = 8443\nallow = 192.0.2.0/24\n");
	for (int i = 0; i < 200; i++)
		kill(daemon_pid, SIGHUP);
	for (int i = 0; i < 1000 && !protects(8443); i++)
		nap();
	assert_true(protects(8443));
	assert_int_equal(exit_of("rule.add", rule("src 192.0.2.1 action drop reason x"),
				 "allow list"),
			 6);
	write_conf("ports = 9443\nprots = 1\n");
	kill(daemon_pid, SIGHUP);
	for (int i = 0; i < 1000 && !logged("did you mean \"ports\""); i++)
		nap();
	assert_true(logged("did you mean \"ports\""));
	assert_true(protects(8443));
	assert_false(protects(9443));
	assert_int_equal(exit_of("allow.del", json_pack("{s:s}", "cidr", "192.0.2.0/24"),
				 "by the configuration"),
			 1);
}

static void stop_detaches_when_asked_to(void **state)
{
	(void)state;
	write_conf("on_stop = detach\n");
	daemon_up(NULL);
	assert_int_equal(access(pins, F_OK), 0);
	daemon_end(SIGTERM);
	assert_int_not_equal(access(pins, F_OK), 0);
}

/* ---- the world ------------------------------------------------------------------------ */

static int own_network(void)
{
	if (getuid() || unshare(CLONE_NEWNET))
		return -1;
	return system("ip link set lo up && ip link add v0 type veth peer name v1 && "
		      "ip addr add 198.51.100.10/24 dev v0 && ip link set v0 up && "
		      "ip link set v1 up && ip route add default via 198.51.100.1");
}

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		claim(rules_come_and_go_in_all_three_places),
		claim(kill_9_at_any_step_leaves_one_answer),
		claim(a_damaged_database_costs_no_rule),
		claim(without_a_database_rules_hold_and_none_is_added),
		claim(rules_come_back_after_a_reboot),
		claim(a_lost_secret_keys_the_rules_again),
		claim(a_lost_secret_file_is_written_from_the_pins),
		claim(a_rule_waits_for_its_name),
		claim(expired_rules_leave_also_when_nobody_was_there),
		claim(a_full_rule_table_refuses_and_keeps_what_it_has),
		claim(nobody_locks_himself_out),
		claim(a_second_daemon_names_the_first),
		claim(a_reload_is_all_or_nothing),
		claim(stop_detaches_when_asked_to),
	};
	ssize_t n = readlink("/proc/self/exe", winnowd, sizeof(winnowd) - 16);
	char *slash;

	(void)argc;
	(void)argv;
	/* build/tests/unit/test_x -> build/winnowd */
	winnowd[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 3 && (slash = strrchr(winnowd, '/')); i++)
		*slash = '\0';
	strcat(winnowd, "/winnowd");
	if (kern_missing_capability() || own_network()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests_name("winnowd", tests, NULL, NULL);
}
