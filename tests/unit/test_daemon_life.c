/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd with the real kernel, in a network namespace of its own: what
 * it keeps through kill -9, lost files, lost pins and a lost secret. Needs root;
 * skipped without.
 */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib_winnowd.h"

#include "base/cleanup.h"
#include "store/secret.h"
#include "store/store.h"
#include "tls/names.h"

#define RAW "t13d0302h2_1301,1302,1303_0005,000a_0403,0804"

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

static void count_told(void *ctx, const struct audit_row *row)
{
	size_t *n = ctx;

	if (!strcmp(row->verb, "rule.flush"))
		*n = 0;
	else if (!row->result)
		*n += !strcmp(row->verb, "rule.add") - !strcmp(row->verb, "rule.del");
}

/* Rules that the audit says are there. */
static size_t in_audit(void)
{
	_cleanup_(store_freep) struct store *s = database();
	size_t n = 0;

	assert_int_equal(store_audit_rows(s, 1000, count_told, &n), 0);
	return n;
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
		assert_int_equal(in_audit(), steps[i].after);
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
	assert_int_equal(exit_of("allow.add",
				 json_pack("{s:s, s:s}", "cidr", "198.51.100.0/24", "reason",
					   "ours"),
				 NULL),
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

static size_t devices(void)
{
	json_t *reply = ask("status", NULL);
	size_t n = json_array_size(json_object_get(json_object_get(reply, "data"), "devices"));

	json_decref(reply);
	return n;
}

static void a_device_detached_by_hand_stays_so(void **state)
{
	(void)state;
	write_conf("interfaces = v0\n");
	daemon_up(NULL);
	assert_int_equal(devices(), 1);
	assert_int_equal(exit_of("detach", json_pack("{s:s}", "device", "v0"), NULL), 0);
	/* Three ticks of 100 ms. */
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	assert_int_equal(devices(), 0);
	assert_int_equal(exit_of("attach", json_pack("{s:s}", "device", "v0"), NULL), 0);
	assert_int_equal(devices(), 1);
	assert_int_equal(exit_of("attach", json_pack("{s:s}", "device", "none0"), "none0"), 1);
	daemon_end(SIGKILL);
	daemon_up(NULL);
	assert_int_equal(devices(), 1);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Whether v0 carries a program, by the kernel's own word. */
static bool v0_has_a_program(void)
{
	return !system("ip -d link show v0 2>/dev/null | grep -q 'prog/xdp'");
}

/* Fault 63: the pinned link of the old device is dead and says nothing. With a tick of
 * five minutes only the netlink watch can notice. */
static void a_device_made_again_is_attached_within_a_second(void **state)
{
	long long gone;

	(void)state;
	tick = "5m";
	write_conf("interfaces = v0\n");
	daemon_up(NULL);
	tick = "100ms";
	assert_true(v0_has_a_program());
	for (int i = 0; i < 3; i++) {
		assert_int_equal(system("ip link del v0 && ip link add v0 type veth peer name v1"),
				 0);
		gone = now_ms();
		while (!v0_has_a_program() && now_ms() - gone < 5000)
			nap();
		if (now_ms() - gone >= 1000)
			fail_msg("%lld ms without a program", now_ms() - gone);
	}
	assert_int_equal(system("ip addr add 198.51.100.10/24 dev v0 && ip link set v0 up && "
				"ip link set v1 up && ip route add default via 198.51.100.1"),
			 0);
	assert_int_equal(devices(), 1);
}

/* CapEff of each of its threads, or-ed. */
static unsigned long long capabilities(void)
{
	char line[256], command[96];
	unsigned long long all = 0, one;
	FILE *f;

	snprintf(command, sizeof(command), "cat /proc/%d/task/*/status", daemon_pid);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &one) == 1 ||
		    sscanf(line, "CapPrm: %llx", &one) == 1)
			all |= one;
	pclose(f);
	return all;
}

/* After the attachment CAP_NET_ADMIN is left (and root's way past file modes). What a
 * daemon has to do for months goes on working: rules of every kind, allows, reload, a
 * device that comes back, audit. */
static void capabilities_go_and_everything_still_works(void **state)
{
	(void)state;
	write_conf("interfaces = v0\n");
	daemon_up(NULL);
	assert_int_equal(capabilities() & ~(1ULL << 12 | 1ULL << 1), 0);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.9 action drop reason x"), NULL),
			 0);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.0.0/16 action drop reason x"), NULL),
			 0);
	assert_int_equal(exit_of("rule.add", rule("stack " RAW " action reset reason z"), NULL), 0);
	assert_int_equal(exit_of("allow.add",
				 json_pack("{s:s, s:s}", "cidr", "192.0.2.0/24", "reason", "x"),
				 NULL),
			 0);
	assert_int_equal(exit_of("rule.del", json_pack("{s:i}", "handle", 2), NULL), 0);
	assert_int_equal(exit_of("detach", json_pack("{s:s}", "device", "v0"), NULL), 0);
	assert_false(v0_has_a_program());
	assert_int_equal(exit_of("attach", json_pack("{s:s}", "device", "v0"), NULL), 0);
	assert_true(v0_has_a_program());
	assert_int_equal(system("tc filter show dev v0 egress | grep -q winnow_egress"), 0);
	assert_int_equal(exit_of("audit.verify", NULL, NULL), 0);
	kill(daemon_pid, SIGHUP);
	for (int i = 0; i < 1000 && !logged("configuration read again"); i++)
		nap();
	assert_true(logged("configuration read again"));
	assert_int_equal(listed(), 2);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 2);
}

/* As a user who is in the socket's group and nothing else. */
static int exit_of_member(const char *verb, json_t *args)
{
	gid_t group = getgrnam("nogroup")->gr_gid;
	pid_t child = fork();
	int status;

	if (!child) {
		if (setgroups(1, &group) || setgid(12345) || setuid(12345))
			_exit(99);
		_exit(exit_of(verb, args, NULL));
	}
	json_decref(args);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/* Fault 79. */
static void a_group_member_reads_and_what_he_may_not_is_audited(void **state)
{
	uint64_t before, after;
	struct store *s;
	struct reason r;

	(void)state;
	write_conf("group = nogroup\n");
	assert_int_equal(chmod(dir, 0755), 0);
	daemon_up(NULL);
	assert_int_equal(listed(), 0); /* answered: its own start is in the audit by now */
	s = database();
	assert_int_equal(store_audit_verify(s, &before, &r), 0);
	assert_int_equal(exit_of_member("rule.list", json_object()), 0);
	assert_int_equal(exit_of_member("rule.add", rule("src 203.0.113.9 action drop reason x")),
			 4);
	assert_int_equal(exit_of_member("panic", json_pack("{s:b}", "on", 1)), 4);
	assert_int_equal(listed(), 0);
	assert_int_equal(store_audit_verify(s, &after, &r), 0);
	assert_int_equal(after, before + 2);
	store_free(s);
}

/* Fault 100, where the tables are empty and lists have no memory yet. */
static void every_question_has_an_answer_before_anything_came(void **state)
{
	static const char *const verbs[] = { "status",      "source.list", "fp.list",
					     "rule.list",   "farm.list",   "plan.show",
					     "allow.list",  "events",      "audit.list",
					     "config.show", "audit.verify" };

	(void)state;
	daemon_up(NULL);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		print_message("%s\n", verbs[i]);
		assert_int_equal(exit_of(verbs[i], NULL, NULL), 0);
	}
	assert_int_equal(exit_of("source.show", json_pack("{s:s}", "addr", "192.0.2.1"),
				 "never seen"),
			 1);
	assert_int_equal(exit_of("fp.show",
				 json_pack("{s:s}", "name", "t13d0000h2_000000000000_000000000000"),
				 NULL),
			 1);
	assert_int_equal(exit_of("farm.show", json_pack("{s:s}", "id", "f1"), "no farm"), 1);
	assert_int_equal(exit_of("rule.check", json_pack("{s:s}", "addr", "192.0.2.1"), NULL), 1);
	daemon_end(SIGTERM);
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

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(void)
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
		claim(a_device_detached_by_hand_stays_so),
		claim(a_device_made_again_is_attached_within_a_second),
		claim(capabilities_go_and_everything_still_works),
		claim(a_group_member_reads_and_what_he_may_not_is_audited),
		claim(every_question_has_an_answer_before_anything_came),
		claim(stop_detaches_when_asked_to),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests_name("winnowd", tests, NULL, NULL);
}
