/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd with a hundred thousand rules, and with a thousand clients. Needs
 * root; skipped without.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib_winnowd.h"

#include "base/cleanup.h"
#include "daemon/clock.h"

#define DROP "src 203.0.113.9 action drop for 2h reason x"

static uint64_t boot(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

/* ---- many -------------------------------------------------------------------------------- */

#define MANY 100000
#define LOT  8000

static int read_back(void *ctx, struct rule_entry *e, enum rule_phase phase)
{
	uint8_t *seen = ctx;
	uint32_t i = (uint32_t)e->spec.src.net.lo - 0x0b000000;

	assert_int_equal(phase, RULE_LIVE);
	assert_true(i < MANY && !seen[i]);
	seen[i] = 1;
	rule_entry_clear(e);
	return 0;
}

/* ns of processor time so far. */
static uint64_t daemon_cpu(void)
{
	clockid_t clock;

	return clock_getcpuclockid(daemon_pid, &clock) ? 0 : clock_read(clock);
}

/* 11.0.0.0 and on: each found once, in the database and in the kernel. */
static void a_hundred_thousand_rules_are_read_back_equal(void **state)
{
	_cleanup_(freep) uint8_t *seen = calloc(MANY, 1);
	_cleanup_(freep) struct rule_match *match = NULL;
	uint64_t t = boot(), took;
	char text[96];
	size_t n, found = 0;

	(void)state;
	table_rules = 131072;
	write_conf("");
	daemon_up(NULL);
	t = boot();
	for (uint32_t i = 0; i < MANY;) {
		json_t *list = json_array();

		for (int k = 0; k < LOT && i < MANY; k++, i++) {
			snprintf(text, sizeof(text), "src 11.%u.%u.%u action drop for 1h reason %u",
				 i >> 16, i >> 8 & 255, i & 255, i);
			json_array_append_new(list, json_string(text));
		}
		assert_int_equal(exit_of("rule.import", json_pack("{s:o}", "rules", list), NULL),
				 0);
	}
	took = boot() - t;
	print_message("# 100,000 rules in %.2f s, %.2f s of winnowd's time\n", took / 1e9,
		      daemon_cpu() / 1e9);
	daemon_end(SIGKILL);
	{
		_cleanup_(store_freep) struct store *s = database();
		_cleanup_(kern_freep) struct kern *k = kernel();
		struct rule *slots = kern_rules(k, &n);

		assert_int_equal(store_rules(s, read_back, seen), 0);
		for (size_t i = 0; i < MANY; i++)
			assert_true(seen[i]);
		match = calloc(n, sizeof(*match));
		assert_int_equal(kern_rule_matches(k, match), 0);
		for (size_t i = 1; i < n; i++) {
			uint32_t at = (uint32_t)match[i].src.net.lo - 0x0b000000;

			if (!slots[i].gen)
				continue;
			assert_int_equal(match[i].src.plen, 128);
			assert_true(at < MANY && seen[at] == 1);
			seen[at] = 2;
			found++;
		}
		assert_int_equal(found, MANY);
	}
	t = boot();
	daemon_up(NULL);
	print_message("# started with them in %.2f s\n", (boot() - t) / 1e9);
	assert_int_equal(exit_of("rule.check", json_pack("{s:s}", "addr", "11.1.134.159"), NULL),
			 0);
	assert_int_equal(exit_of("rule.check", json_pack("{s:s}", "addr", "11.1.134.160"), NULL),
			 1);
	daemon_end(SIGTERM);
	table_rules = 128;
}

static void an_import_is_whole_or_not_at_all(void **state)
{
	(void)state;
	daemon_up(NULL);
	assert_int_equal(exit_of("rule.import",
				 json_pack("{s:[s,s]}", "rules", DROP,
					   "src 10.0.0.0/8 action drop "
					   "reason x"),
				 "rule 2 of them: src 10.0.0.0/8 is wider than /16"),
			 6);
	assert_int_equal(exit_of("rule.import", json_pack("{s:[s,s]}", "rules", DROP, "drop all"),
				 "rule 2 of them"),
			 2);
	assert_int_equal(listed(), 0);
	assert_int_equal(exit_of("rule.import", json_pack("{s:[s]}", "rules", DROP), NULL), 0);
	assert_int_equal(listed(), 1);
	assert_int_equal(exit_of("audit.verify", NULL, NULL), 0);
}

/* ---- a thousand clients ---------------------------------------------------------------------- */

#define CLIENTS 500 /* of each kind */

/* Half a head, half a frame, two gigabytes, junk, depth, silence. */
static void be_hostile(int i, int fd)
{
	static const char *const say[] = {
		"\0\0",
		"\0\0\1\0{\"verb\":",
		"\x80\0\0\0{}",
		"GET / HTTP/1.1\r\n\r\n",
		"\0\0\0\x10[[[[[[[[[[[[[[[[",
		"",
	};
	static const size_t len[] = { 2, 12, 6, 18, 20, 0 };
	int k = i % 6;

	if (write(fd, say[k], len[k]) < 0)
		return;
}

/* One question on a connection of its own; -1: pushed out already. */
static int begin_asking(void)
{
	static const char q[] = "\0\0\0\x1e{\"verb\":\"rule.list\",\"args\":{}}";
	int fd = dial();

	if (fd >= 0 && write(fd, q, sizeof(q) - 1) == sizeof(q) - 1)
		return fd;
	close(fd);
	return -1;
}

static bool is_answered(int fd)
{
	char byte;
	bool yes = fd >= 0 && recv(fd, &byte, 1, 0) == 1;

	close(fd);
	return yes;
}

static bool asks_again(void)
{
	for (int again = 0; again < 40; again++) {
		json_t *reply = ask_quietly("rule.list");

		if (reply) {
			json_decref(reply);
			return true;
		}
		nap();
	}
	return false;
}

/* That many honest ones at the same time. All are answered. */
static bool be_honest(int n)
{
	int fd[CLIENTS], answered = 0;

	for (int i = 0; i < n; i++)
		fd[i] = begin_asking();
	for (int i = 0; i < n; i++)
		answered += is_answered(fd[i]) || asks_again();
	return answered == n;
}

/* Fault 78. All thousand are there at once. Each honest client asks as `winnow` does,
 * again when it was pushed out. */
static void a_thousand_clients_half_of_them_hostile_are_survived(void **state)
{
	int hostile[CLIENTS], failed = 0, status;
	pid_t child[10];

	(void)state;
	daemon_up(NULL);
	for (int i = 0; i < CLIENTS; i++) {
		hostile[i] = dial();
		if (hostile[i] >= 0)
			be_hostile(i, hostile[i]);
		if (i % 50)
			continue;
		child[i / 50] = fork();
		if (!child[i / 50])
			_exit(!be_honest(CLIENTS / 10));
	}
	for (int i = 0; i < 10; i++) {
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		failed += status != 0;
	}
	assert_int_equal(failed, 0);
	assert_int_equal(exit_of("rule.add", rule(DROP), NULL), 0);
	for (int i = 0; i < CLIENTS; i++)
		if (hostile[i] >= 0)
			close(hostile[i]);
	assert_int_equal(listed(), 1);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 1);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(an_import_is_whole_or_not_at_all),
		claim(a_hundred_thousand_rules_are_read_back_equal),
		claim(a_thousand_clients_half_of_them_hostile_are_survived),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
