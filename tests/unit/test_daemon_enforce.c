/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd: counting before acting, changes that undo themselves, locks.
 * Needs root; skipped without.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib_winnowd.h"

#include "base/cleanup.h"
#include "base/time.h"
#include "daemon/clock.h"
#include "daemon/session.h"

/* ---- asking ------------------------------------------------------------------------ */

/* As somebody who logs in now: a session of his own, nobody of ours above him. */
static int exit_of_new_login(const char *verb)
{
	int to[2], code = -1;
	pid_t child;

	/* /proc tells a start in ticks of 10 ms: in the tick of the change it is no later. */
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_int_equal(pipe(to), 0);
	child = fork();
	if (!child) {
		setsid();
		if (fork())
			_exit(0);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL); /* the parent is gone */
		code = exit_of(verb, NULL, NULL);
		_exit(write(to[1], &code, sizeof(code)) < 0);
	}
	waitpid(child, NULL, 0);
	close(to[1]);
	assert_int_equal(read(to[0], &code, sizeof(code)), sizeof(code));
	close(to[0]);
	return code;
}

static json_t *rule_within(const char *text, const char *within)
{
	return json_pack("{s:s, s:s}", "rule", text, "confirm_within", within);
}

static json_t *enforce(int handle, const char *within)
{
	return json_pack("{s:i, s:s*}", "handle", handle, "confirm_within", within);
}

/* A text of the only rule. */
static const char *text_of_rule(const char *key)
{
	static char text[128];
	json_t *reply = ask("rule.list", NULL), *v;
	json_t *rules = json_object_get(json_object_get(reply, "data"), "rules");

	assert_int_equal(json_array_size(rules), 1);
	v = json_object_get(json_array_get(rules, 0), key);
	snprintf(text, sizeof(text), "%s", json_is_string(v) ? json_string_value(v) : "null");
	json_decref(reply);
	return text;
}

static bool commit_waits(void)
{
	json_t *reply = ask("status", NULL);
	bool waits = json_is_object(json_object_get(json_object_get(reply, "data"), "commit"));

	json_decref(reply);
	return waits;
}

/* Of the only rule in the kernel; the daemon must be down. */
static struct rule slot(void)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	struct rule found = {};
	size_t n;
	struct rule *slots = kern_rules(k, &n);

	for (size_t i = 1; i < n; i++)
		if (slots[i].gen)
			found = slots[i];
	return found;
}

static uint64_t boot(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

#define DROP "src 203.0.113.9 action drop for 2h reason x"

/* ---- counting first ------------------------------------------------------------------ */

static void a_new_install_only_counts_until_an_act_says_more(void **state)
{
	(void)state;
	write_conf("enforce = each\n");
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule(DROP), NULL), 0);
	assert_true(only_rule("only_counts"));
	daemon_end(SIGTERM);
	assert_true(slot().flags & RULE_SHADOW);
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.enforce", enforce(1, NULL), NULL), 0);
	assert_false(only_rule("only_counts"));
	daemon_end(SIGKILL);
	assert_false(slot().flags & RULE_SHADOW);
	daemon_up(NULL);
	assert_false(only_rule("only_counts"));
	assert_int_equal(exit_of("rule.enforce", json_pack("{s:i, s:b}", "handle", 1, "count", 1),
				 NULL),
			 0);
	assert_true(only_rule("only_counts"));
	daemon_end(SIGTERM);
	assert_true(slot().flags & RULE_SHADOW);
}

static void enforce_no_counts_whatever_an_act_says(void **state)
{
	(void)state;
	write_conf("enforce = no\n");
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", json_pack("{s:s, s:b}", "rule", DROP, "enforce", 1),
				 NULL),
			 0);
	daemon_end(SIGTERM);
	assert_true(slot().flags & RULE_SHADOW);
}

/* Fault 77: whatever step it is killed at, the three say the same afterwards. */
static void kill_9_while_a_rule_is_enforced_leaves_one_answer(void **state)
{
	static const char *const steps[] = { "change-written", "change-kernel" };
	int status;

	(void)state;
	write_conf("enforce = each\n");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		_cleanup_(closep) int fd = -1;

		daemon_up(NULL);
		assert_int_equal(exit_of("rule.flush", NULL, NULL), 0);
		assert_int_equal(exit_of("rule.add", rule(DROP), NULL), 0);
		daemon_end(SIGTERM);
		daemon_up(steps[i]);
		fd = send_request("rule.enforce", enforce((int)i + 1, NULL));
		assert_int_equal(waitpid(daemon_pid, &status, WUNTRACED), daemon_pid);
		assert_true(WIFSTOPPED(status));
		daemon_end(SIGKILL);
		daemon_up(NULL);
		assert_false(only_rule("only_counts"));
		daemon_end(SIGTERM);
		assert_false(slot().flags & RULE_SHADOW);
		assert_int_equal(in_database(), 1);
	}
}

/* ---- commit ---------------------------------------------------------------------------- */

/* Fault 82: the daemon is killed; the kernel ends the rule all the same. */
static void an_unconfirmed_rule_ends_without_the_daemon(void **state)
{
	uint64_t added = boot();

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule_within(DROP, "4s"), NULL), 0);
	assert_string_equal(text_of_rule("pending"), "added");
	assert_true(commit_waits());
	daemon_end(SIGKILL);
	assert_true(slot().expires > added);
	assert_true(slot().expires < boot() + 4 * NSEC_PER_SEC);
	daemon_up(NULL); /* it goes on waiting */
	assert_string_equal(text_of_rule("pending"), "added");
	daemon_end(SIGKILL);
	nap_ms(4000);
	daemon_up(NULL);
	assert_int_equal(listed(), 0);
	assert_false(commit_waits());
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
	assert_int_equal(in_database(), 0);
}

/* Fault 82: the session that made the changes may be the last one that got in. */
static void only_a_younger_session_confirms(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("commit.confirm", NULL, "no changes wait"), 1);
	assert_int_equal(exit_of("rule.add", rule_within(DROP, "1h"), NULL), 0);
	assert_int_equal(exit_of("rule.add", rule_within(DROP, "1h"), "wait for a confirmation"),
			 1);
	assert_int_equal(exit_of("commit.confirm", NULL, "older than the changes"), 6);
	assert_string_equal(text_of_rule("pending"), "added");
	assert_int_equal(exit_of_new_login("commit.confirm"), 0);
	assert_string_equal(text_of_rule("pending"), "null");
	assert_false(commit_waits());
	daemon_end(SIGKILL);
	assert_true(slot().expires > boot() + 7000 * NSEC_PER_SEC);
	daemon_up(NULL);
	assert_string_equal(text_of_rule("pending"), "null");
	daemon_end(SIGTERM);
	assert_true(slot().expires > boot() + 7000 * NSEC_PER_SEC);
}

static void rollback_takes_everything_back_at_once(void **state)
{
	(void)state;
	write_conf("enforce = each\n");
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule_within(DROP, "1h"), NULL), 0);
	assert_int_equal(exit_of("commit.rollback", NULL, NULL), 0);
	assert_int_equal(listed(), 0);
	assert_int_equal(exit_of("rule.add", rule(DROP), NULL), 0);
	assert_int_equal(exit_of("rule.enforce", enforce(2, "1h"), NULL), 0);
	assert_string_equal(text_of_rule("pending"), "enforced");
	assert_int_equal(exit_of("commit.rollback", NULL, NULL), 0);
	assert_true(only_rule("only_counts"));
	assert_string_equal(text_of_rule("pending"), "null");
	daemon_end(SIGTERM);
	assert_true(slot().flags & RULE_SHADOW);
	assert_true(slot().expires > boot() + 7000 * NSEC_PER_SEC);
}

/* Fault 82: an enforced rule counts again, it does not go. */
static void an_unconfirmed_enforcement_counts_again(void **state)
{
	(void)state;
	write_conf("enforce = each\n");
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.add", rule(DROP), NULL), 0);
	assert_int_equal(exit_of("rule.enforce", enforce(1, "2s"), NULL), 0);
	assert_false(only_rule("only_counts"));
	for (int i = 0; i < 1000 && !only_rule("only_counts"); i++)
		nap();
	assert_true(only_rule("only_counts"));
	assert_true(logged("nobody confirmed in time"));
	/* Killed before the deadline: the next start finds it passed. */
	assert_int_equal(exit_of("rule.enforce", enforce(1, "2s"), NULL), 0);
	daemon_end(SIGKILL);
	assert_false(slot().flags & RULE_SHADOW);
	nap_ms(2100);
	daemon_up(NULL);
	assert_true(only_rule("only_counts"));
	daemon_end(SIGTERM);
	assert_int_equal(in_database(), 1);
}

static json_t *allow(const char *net, const char *within)
{
	return json_pack("{s:s, s:s, s:s*}", "cidr", net, "reason", "ours", "confirm_within",
			 within);
}

static size_t allowed_by_operators(void)
{
	json_t *reply = ask("allow.list", NULL), *v;
	size_t i, n = 0;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "allows"), i, v)
		n += !strcmp(json_string_value(json_object_get(v, "origin")), "operator");
	json_decref(reply);
	return n;
}

/* Fault 82: what was allowed is only suspended. */
static void a_deleted_allow_comes_back_unless_confirmed(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("allow.add", allow("192.0.2.0/24", NULL), NULL), 0);
	assert_int_equal(exit_of("allow.del", allow("192.0.2.0/24", "2s"), NULL), 0);
	daemon_end(SIGKILL);
	nap_ms(2100);
	daemon_up(NULL);
	assert_false(commit_waits());
	assert_int_equal(allowed_by_operators(), 1);
	assert_int_equal(exit_of("rule.add", rule("src 192.0.2.1 action drop reason x"),
				 "on the allow list"),
			 6);
	assert_int_equal(exit_of("allow.del", allow("192.0.2.0/24", "1h"), NULL), 0);
	assert_int_equal(exit_of_new_login("commit.confirm"), 0);
	assert_int_equal(allowed_by_operators(), 0);
	daemon_end(SIGKILL);
	daemon_up(NULL);
	assert_int_equal(allowed_by_operators(), 0);
}

/* ---- sessions -------------------------------------------------------------------------- */

static void a_process_is_read_whatever_its_name(void **state)
{
	struct process p;

	(void)state;
	assert_int_equal(process_parse("42 (a) 1 (b)) S 7 42 42 34816 42 4194560 1 2 3 4 5 6 7 8 "
				       "20 0 1 0 12345 99 1",
				       &p),
			 0);
	assert_string_equal(p.comm, "a) 1 (b)");
	assert_int_equal(p.parent, 7);
	assert_int_equal(p.session, 42);
	assert_int_equal(p.terminal, 34816);
	assert_int_equal(p.began, 12345 * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK)));
	assert_int_not_equal(process_parse("42 (cut", &p), 0);
}

static void a_child_is_as_old_as_its_session(void **state)
{
	uint64_t ours, theirs;
	pid_t child;

	(void)state;
	assert_int_equal(session_began(getpid(), &ours), 0);
	assert_true(ours <= boot());
	nap_ms(50);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	assert_int_equal(session_began(child, &theirs), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(theirs, ours);
	assert_int_not_equal(session_began(child, &theirs), 0);
}

/* ---- locks ------------------------------------------------------------------------------- */

static json_int_t refusals(void)
{
	json_t *reply = ask("status", NULL);
	json_int_t n = json_integer_value(
		json_object_get(json_object_get(json_object_get(reply, "data"), "clients"),
				"refused"));

	json_decref(reply);
	return n;
}

static size_t refused_in_audit(void)
{
	json_t *reply = ask("audit.list", NULL), *v;
	size_t i, n = 0;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "audit"), i, v)
		n += json_integer_value(json_object_get(v, "result")) == 6;
	json_decref(reply);
	return n;
}

/* Fault 83: refused, counted, audited. */
static void each_attempt_to_lock_oneself_out_is_counted_and_audited(void **state)
{
	static const char *const attempts[] = {
		"src 198.51.100.1 action drop reason x", /* the gateway */
		"src 0.0.0.0/0 action drop reason x",    "src 10.0.0.0/8 action drop reason x",
		"src ::/0 action count reason x",        "src 127.0.0.1 action drop reason x",
		"src fe80::/64 action drop reason x",
	};
	size_t n = sizeof(attempts) / sizeof(attempts[0]);

	(void)state;
	daemon_up(NULL);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(exit_of("rule.add", rule(attempts[i]), NULL), 6);
	assert_int_equal(refusals(), n);
	assert_int_equal(refused_in_audit(), n);
	assert_int_equal(listed(), 0);
	assert_int_equal(exit_of("audit.verify", NULL, NULL), 0);
}

static void what_the_host_needs_is_always_allowed(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("allow.del", json_pack("{s:s}", "cidr", "198.51.100.1"),
				 "always allowed: the default gateway"),
			 1);
	daemon_end(SIGKILL);
	assert_int_equal(system("ip route replace default via 198.51.100.2"), 0);
	daemon_up(NULL);
	assert_int_equal(exit_of("allow.del", json_pack("{s:s}", "cidr", "198.51.100.1"),
				 "not on the allow list"),
			 1);
	assert_int_equal(exit_of("allow.del", json_pack("{s:s}", "cidr", "198.51.100.2"),
				 "always allowed: the default gateway"),
			 1);
	assert_int_equal(system("ip route replace default via 198.51.100.1"), 0);
}

static void an_allowed_network_needs_a_reason(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("allow.add", json_pack("{s:s}", "cidr", "192.0.2.0/24"), "reason"),
			 2);
}

/* A row as the programs leave it; the daemon must be down. */
static void plant_tally(struct tally_set *sets, size_t i, uint32_t src, uint64_t stack)
{
	uint32_t stamp = clock_read(CLOCK_MONOTONIC) >> STAMP_SHIFT;

	sets[i / WAYS].slot[i % WAYS] = (struct tally_row){ .src = src,
							    .stack = stack,
							    .family = 4,
							    .proto = 6,
							    .service = 443,
							    .connections = 10,
							    .exchanges = 20,
							    .first_seen = stamp };
	sets[i / WAYS].heat[i % WAYS] = stamp;
	sets[i / WAYS].tag[i % WAYS] = 1;
}

static bool in_trouble(const char *about)
{
	json_t *reply = ask("status", NULL), *v;
	bool yes = false;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "troubles"), i, v)
		yes |= !strcmp(json_string_value(json_object_get(v, "about")), about);
	json_decref(reply);
	return yes;
}

static bool is_built_in(const char *net)
{
	json_t *reply = ask("allow.list", NULL), *v;
	bool yes = false;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "allows"), i, v)
		yes |= !strcmp(json_string_value(json_object_get(v, "cidr")), net) &&
		       !strcmp(json_string_value(json_object_get(v, "origin")), "built-in");
	json_decref(reply);
	return yes;
}

/* 83. Metrics are served on loopback or a unix socket only, so whoever scrapes them is
 * allowed with loopback. */
static void loopback_link_local_and_the_gateway_are_allowed_unasked(void **state)
{
	static const char *const nets[] = { "127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10",
					    "198.51.100.1" };
	char text[96];

	(void)state;
	daemon_up(NULL);
	for (int i = 0; i < 500 && !is_built_in("198.51.100.1"); i++)
		nap();
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		assert_true(is_built_in(nets[i]));
		snprintf(text, sizeof(text), "src %s action drop reason x", nets[i]);
		assert_int_equal(exit_of("rule.add", rule(text), NULL), 6);
	}
	daemon_end(SIGTERM);
}

/* One address with six of eight stacks is nobody's own; its neighbour may be ruled. */
static void the_address_of_a_balancer_takes_no_rule(void **state)
{
	struct tally_set *sets;
	struct kern *k;
	size_t n;

	(void)state;
	daemon_up(NULL);
	daemon_end(SIGTERM);
	k = kernel();
	sets = (struct tally_set *)kern_tallies(k, &n);
	for (size_t i = 0; i < 6; i++)
		plant_tally(sets, i, 0xcb007109, 100 + i);
	plant_tally(sets, 6, 0xcb007108, 106);
	plant_tally(sets, 7, 0xcb007108, 107);
	kern_free(k);
	daemon_up(NULL);
	for (int i = 0; i < 500 && !in_trouble("balancer"); i++)
		nap();
	assert_true(in_trouble("balancer"));
	assert_int_equal(exit_of("rule.add", rule(DROP), "203.0.113.9 carries 6 of the 8 stacks"),
			 6);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.0/24 action drop reason x"),
				 "proxy_from"),
			 6);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.9 action count reason x"), NULL),
			 0);
	assert_int_equal(exit_of("rule.add", rule("src 203.0.113.8 action drop reason x"), NULL),
			 0);
}

/* The day's sources of a dry run are those of the tallies; nobody of them is a farm's. */
static void a_dry_run_counts_sources_and_says_who_is_spared(void **state)
{
	struct tally_set *sets;
	json_t *reply, *data, *day;
	struct kern *k;
	size_t n;

	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("allow.add", allow("203.0.113.1", NULL), NULL), 0);
	daemon_end(SIGTERM);
	k = kernel();
	sets = (struct tally_set *)kern_tallies(k, &n);
	for (uint32_t i = 0; i < 40; i++)
		plant_tally(sets, i, 0xcb007100 + i, 0x77);
	kern_free(k);
	daemon_up(NULL);
	reply = ask("rule.add",
		    json_pack("{s:s, s:b}", "rule",
			      "stack key:0000000000000077 action reset reason x", "dry_run", 1));
	assert_int_equal(json_integer_value(json_object_get(reply, "exit")), 6);
	data = json_object_get(reply, "data");
	day = json_object_get(json_object_get(json_array_get(json_object_get(data, "rules"), 0),
					      "collateral"),
			      "day");
	assert_int_equal(json_integer_value(json_object_get(day, "sources")), 40);
	assert_int_equal(json_integer_value(json_object_get(day, "all_sources")), 40);
	assert_int_equal(json_integer_value(json_object_get(day, "exchanges_at_most")), 800);
	assert_int_equal(json_integer_value(json_object_get(day, "allowed")), 1);
	day = json_object_get(day, "benign");
	assert_int_equal(json_number_value(json_object_get(day, "sources")), 40);
	assert_int_equal(json_number_value(json_object_get(day, "upper95")), 40);
	assert_true(json_is_string(json_object_get(data, "refused")));
	json_decref(reply);
	assert_int_equal(listed(), 0);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(a_new_install_only_counts_until_an_act_says_more),
		claim(enforce_no_counts_whatever_an_act_says),
		claim(kill_9_while_a_rule_is_enforced_leaves_one_answer),
		claim(an_unconfirmed_rule_ends_without_the_daemon),
		claim(only_a_younger_session_confirms),
		claim(rollback_takes_everything_back_at_once),
		claim(an_unconfirmed_enforcement_counts_again),
		claim(a_deleted_allow_comes_back_unless_confirmed),
		claim(a_process_is_read_whatever_its_name),
		claim(a_child_is_as_old_as_its_session),
		claim(each_attempt_to_lock_oneself_out_is_counted_and_audited),
		claim(what_the_host_needs_is_always_allowed),
		claim(an_allowed_network_needs_a_reason),
		claim(loopback_link_local_and_the_gateway_are_allowed_unasked),
		claim(the_address_of_a_balancer_takes_no_rule),
		claim(a_dry_run_counts_sources_and_says_who_is_spared),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
