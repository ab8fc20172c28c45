/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "store/secret.h"
#include "store/store.h"

#define JA4 "t13d1516h2_8daaf6152771_02713d6af862"

static char dir[] = "/tmp/winnow-store-XXXXXX", path[PATH_MAX];

static int fresh(void **state)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	return 0;
}

static int remove_all(void **state)
{
	char cmd[PATH_MAX + 16];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct store *opened(void)
{
	struct store *s = NULL;
	struct reason r = {};

	if (store_open(path, &s, &r))
		fail_msg("%s", r.text);
	return s;
}

/* What somebody with the file and the sqlite3 program can do. */
static int tamper(const char *sql)
{
	sqlite3 *db;
	int code;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	code = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return code;
}

static struct rule_entry entry(const char *text)
{
	struct rule_entry e = { .origin = strdup("operator"), .created = 5, .canary = 10000 };
	struct reason r;

	assert_int_equal(rule_parse(text, &e.spec, &r), 0);
	return e;
}

struct seen {
	int n;
	uint32_t handle[8], gen[8];
	enum rule_phase phase[8];
	uint64_t ja4[8];
	char origin[32];
};

static int see_rule(void *ctx, struct rule_entry *e, enum rule_phase phase)
{
	struct seen *seen = ctx;

	seen->handle[seen->n] = e->handle;
	seen->gen[seen->n] = e->gen;
	seen->ja4[seen->n] = e->ja4_key;
	seen->phase[seen->n++] = phase;
	snprintf(seen->origin, sizeof(seen->origin), "%s", e->origin);
	rule_entry_clear(e);
	return 0;
}

static void rules_outlive_the_process_with_their_phase(void **state)
{
	_cleanup_(rule_entry_clear) struct rule_entry a =
		entry("src 10.0.0.1 action drop reason x");
	_cleanup_(rule_entry_clear) struct rule_entry b =
		entry("ja4 " JA4 " action count reason y");
	struct store *s = opened();
	struct seen seen = {};

	(void)state;
	assert_int_equal(store_rules_add(s, &a, 1), 0);
	assert_int_equal(store_rules_add(s, &b, 1), 0);
	assert_int_equal(store_rule_phase(s, b.handle, RULE_LIVE), 0);
	assert_int_equal((b.ja4_key = 0xfedcba9876543210ULL, store_rule_keys(s, &b)), 0);
	store_free(s);

	s = opened();
	assert_int_equal(store_rules(s, see_rule, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.phase[0], RULE_PENDING);
	assert_int_equal(seen.phase[1], RULE_LIVE);
	assert_true(seen.ja4[1] == 0xfedcba9876543210ULL);
	assert_string_equal(seen.origin, "operator");
	store_free(s);
}

static void a_handle_is_never_given_twice(void **state)
{
	struct store *s = opened();
	uint32_t last = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		_cleanup_(rule_entry_clear) struct rule_entry e =
			entry("src 10.0.0.1 action drop reason x");

		assert_int_equal(store_rules_add(s, &e, 1), 0);
		assert_true(e.handle > last && e.gen > last);
		last = e.handle;
		assert_int_equal(store_rule_gone(s, e.handle, "deleted", 9, NULL), 0);
		store_free(s);
		s = opened();
	}
	assert_int_equal(store_rule_floor(s, 700, 900), 0);
	{
		_cleanup_(rule_entry_clear) struct rule_entry e =
			entry("src 10.0.0.1 action drop reason x");
		struct seen seen = {};

		assert_int_equal(store_rules_add(s, &e, 1), 0);
		assert_int_equal(e.handle, 701);
		assert_int_equal(e.gen, 901);
		assert_int_equal(store_rule_regen(s, &e), 0);
		assert_int_equal(e.gen, 902);
		assert_int_equal(store_rules(s, see_rule, &seen), 0);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.gen[0], 902);
	}
	store_free(s);
}

static void a_transaction_is_all_or_nothing(void **state)
{
	_cleanup_(rule_entry_clear) struct rule_entry a =
		entry("src 10.0.0.1 action drop reason x");
	struct store *s = opened();
	struct seen seen = {};

	(void)state;
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_rules_add(s, &a, 1), 0);
	store_rollback(s);
	assert_int_equal(store_rules(s, see_rule, &seen), 0);
	assert_int_equal(seen.n, 0);
	store_free(s);
}

/* Fault 77, the database's part: what was committed before kill -9 is there. */
static void what_was_committed_survives_kill_9(void **state)
{
	struct seen seen = {};
	struct store *s;
	int status;
	pid_t child;

	(void)state;
	store_free(opened());
	child = fork();
	if (!child) {
		struct rule_entry e = entry("src 10.0.0.1 action drop reason x");

		s = opened();
		if (store_rules_add(s, &e, 1))
			_exit(1);
		store_begin(s);
		store_rule_phase(s, e.handle, RULE_LIVE);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	s = opened();
	assert_int_equal(store_rules(s, see_rule, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.phase[0], RULE_PENDING);
	store_free(s);
}

static void count_allow(void *ctx, const struct allow_row *row)
{
	int *n = ctx;

	++*n;
	assert_string_equal(row->reason, "office");
}

static void allowed_networks_come_and_go(void **state)
{
	struct allow_row row = { .reason = "office", .origin = "operator" };
	struct store *s = opened();
	int n = 0;

	(void)state;
	assert_int_equal(cidr_parse("2001:db8::/32", &row.net), 0);
	assert_int_equal(store_allow_put(s, &row), 0);
	assert_int_equal(store_allow_put(s, &row), 0);
	assert_int_equal(store_allows(s, count_allow, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_allow_remove(s, &row.net), 0);
	assert_int_equal(store_allow_remove(s, &row.net), -ENOENT);
	store_free(s);
}

static void keep_name(void *ctx, const struct name_row *row)
{
	struct name_row *out = ctx;

	assert_string_equal(row->name, "n");
	assert_string_equal(row->raw, "r");
	*out = *row;
}

static void names_keep_their_first_sight(void **state)
{
	struct name_row in = { NAME_JA4, 0x8000000000000001ULL, "n", "r", NULL, 7, 100, 100 };
	struct name_row out = {};
	struct store *s = opened();

	(void)state;
	assert_int_equal(store_name_put(s, &in), 0);
	in.first_seen = in.last_seen = 200;
	assert_int_equal(store_name_put(s, &in), 0);
	assert_int_equal(store_names(s, keep_name, &out), 0);
	assert_true(out.key == 0x8000000000000001ULL && out.stack == 7);
	assert_int_equal(out.first_seen, 100);
	assert_int_equal(out.last_seen, 200);
	assert_int_equal(store_name_forget(s, NAME_JA4, in.key), 0);
	store_free(s);
}

static void audited(struct store *s, int n)
{
	for (int i = 0; i < n; i++) {
		struct audit_row row = { .time = 1000 + i,
					 .uid = i,
					 .verb = "rule.add",
					 .args = "{}",
					 .result = 0,
					 .detail = i ? "7" : NULL };

		assert_int_equal(store_audit(s, &row), 0);
	}
}

/* Fault 95. */
static void a_changed_audit_is_named(void **state)
{
	struct store *s = opened();
	struct reason r = {};
	uint64_t rows;

	(void)state;
	audited(s, 5);
	assert_int_equal(store_audit_verify(s, &rows, &r), 0);
	assert_int_equal(rows, 5);
	store_free(s);

	assert_int_not_equal(tamper("UPDATE audit SET uid = 1 WHERE seq = 3"), SQLITE_OK);
	assert_int_not_equal(tamper("DELETE FROM audit WHERE seq = 3"), SQLITE_OK);
	assert_int_equal(tamper("DROP TRIGGER audit_keeps;"
				"UPDATE audit SET uid = 1000 WHERE seq = 3"),
			 SQLITE_OK);
	s = opened();
	assert_int_equal(store_audit_verify(s, &rows, &r), -EBADMSG);
	assert_string_equal(r.text, "audit row 3 was changed");
	store_free(s);

	assert_int_equal(tamper("DROP TRIGGER audit_stays; DELETE FROM audit WHERE seq = 3"),
			 SQLITE_OK);
	s = opened();
	assert_int_equal(store_audit_verify(s, &rows, &r), -EBADMSG);
	assert_string_equal(r.text, "audit row 3 is missing");
	store_free(s);
}

/* Fault 95: what is left of a chain that was cut at the end fits together. */
static void an_audit_that_was_cut_short_is_named(void **state)
{
	struct store *s = opened();
	struct reason r = {};
	uint64_t rows;

	(void)state;
	audited(s, 5);
	store_free(s);
	assert_int_equal(tamper("DROP TRIGGER audit_stays; DELETE FROM audit WHERE seq > 3"),
			 SQLITE_OK);
	s = opened();
	assert_int_equal(store_audit_verify(s, &rows, &r), -EBADMSG);
	assert_string_equal(r.text, "audit row 4 and what follows is missing: 5 were written");
	store_free(s);
}

static void take_verb(void *ctx, const struct audit_row *row)
{
	uint64_t *sum = ctx;

	assert_non_null(row->verb);
	*sum = *sum * 10 + row->seq;
}

static void the_newest_audit_rows_come_oldest_first(void **state)
{
	_cleanup_(store_freep) struct store *s = opened();
	uint64_t order = 0;

	(void)state;
	audited(s, 5);
	assert_int_equal(store_audit_rows(s, 3, take_verb, &order), 0);
	assert_int_equal(order, 345);
}

/* Fault 76: junk, and a page overwritten in the middle. */
static void a_damaged_file_is_named_and_set_aside(void **state)
{
	_cleanup_(rule_entry_clear) struct rule_entry e =
		entry("src 10.0.0.1 action drop reason x");
	char aside[PATH_MAX];
	struct store *s = opened();
	struct reason r = {};
	FILE *f;

	(void)state;
	assert_int_equal(store_rules_add(s, &e, 1), 0);
	audited(s, 200);
	store_free(s);
	f = fopen(path, "r+");
	assert_non_null(f);
	for (int page = 1; page < 6; page++) {
		fseek(f, page * 4096, SEEK_SET);
		for (int i = 0; i < 4096; i++)
			fputc(0x5a, f);
	}
	fclose(f);
	assert_int_equal(store_open(path, &s, &r), -EUCLEAN);
	assert_int_equal(store_quarantine(path, 1772366400000000000ULL, aside), 0);
	assert_non_null(strstr(aside, "state.db.damaged-2026-03-01T12:00:00Z"));
	assert_int_equal(access(aside, F_OK), 0);
	s = opened();
	store_free(s);

	f = fopen(path, "w");
	fputs("this is no database, but it is long enough to look like one to somebody "
	      "who does not read it",
	      f);
	fclose(f);
	assert_int_equal(store_open(path, &s, &r), -EUCLEAN);
}

static void a_newer_layout_is_refused_not_damaged(void **state)
{
	struct store *s = opened();
	struct reason r = {};

	(void)state;
	store_free(s);
	assert_int_equal(tamper("PRAGMA user_version = 99"), SQLITE_OK);
	assert_int_equal(store_open(path, &s, &r), -EPROTO);
	assert_non_null(strstr(r.text, "newer winnow"));
}

static void nobody_else_can_read_the_files(void **state)
{
	struct secret a, b;
	char file[PATH_MAX];
	struct reason r = {};
	struct stat st;

	(void)state;
	store_free(opened());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);

	snprintf(file, sizeof(file), "%s/secret", dir);
	assert_int_equal(secret_read(file, &b, &r), -ENOENT);
	assert_int_equal(secret_draw(&a), 0);
	assert_false(secret_is_zero(&a));
	assert_int_equal(secret_write(file, &a, &r), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(secret_read(file, &b, &r), 0);
	assert_true(secret_equal(&a, &b));
	assert_true(secret_id(&a) == secret_id(&b));
	b.k[3] ^= 1;
	assert_true(secret_id(&a) != secret_id(&b));

	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(secret_read(file, &b, &r), -EPERM);
	assert_non_null(strstr(r.text, "chmod 600"));
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(truncate(file, 30), 0);
	assert_int_equal(secret_read(file, &b, &r), -EBADMSG);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(rules_outlive_the_process_with_their_phase),
		claim(a_handle_is_never_given_twice),
		claim(a_transaction_is_all_or_nothing),
		claim(what_was_committed_survives_kill_9),
		claim(allowed_networks_come_and_go),
		claim(names_keep_their_first_sight),
		claim(a_changed_audit_is_named),
		claim(an_audit_that_was_cut_short_is_named),
		claim(the_newest_audit_rows_come_oldest_first),
		claim(a_damaged_file_is_named_and_set_aside),
		claim(a_newer_layout_is_refused_not_damaged),
		claim(nobody_else_can_read_the_files),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
