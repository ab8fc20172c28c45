/* SPDX-License-Identifier: BSD-2-Clause */
/* store/farms.c: farms, evidence, members and plan in the state database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "model/farm.h"
#include "model/plan.h"
#include "model/rule.h"
#include "store/store.h"

static char path[] = "/tmp/winnow-farms-XXXXXX";
static struct store *s;

static int set_up(void **state)
{
	struct reason r;
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || close(fd))
		return -1;
	return store_open(path, &s, &r);
}

static int tear_down(void **state)
{
	char file[64];

	store_free(s);
	unlink(path);
	snprintf(file, sizeof(file), "%s-wal", path);
	unlink(file);
	snprintf(file, sizeof(file), "%s-shm", path);
	unlink(file);
	return 0;
}

/* Everything a window can say, of `n` members. */
static void made_up(struct farms *f, struct plan *p, const char *id, uint64_t stack, size_t n)
{
	size_t at = f->n++;
	struct farm *a;

	f->farm = realloc(f->farm, f->n * sizeof(*f->farm));
	a = &f->farm[at];
	*a = (struct farm){
		.state = FARM_PROPOSE,
		.stack = stack,
		.service = 443,
		.onset = 1000000000000000001ULL,
		.watched_at = 2000000000000000002ULL,
		.flagged_at = 3000000000000000003ULL,
		.proposed_at = 4000000000000000004ULL,
		.exchanges_before_flag = 77,
		.share = 0.1234567890123,
		.share_lo = 0.1,
		.share_hi = 0.2,
		.gain = 33.25,
		.bits = 12.5,
		.prior = -16.6,
		.evidence = { 4.5, 3.25, -1, 2 },
		.without = { 1, 2, 3, 4 },
		.nearest_benign = "a fleet",
		.n_lines = 2,
		.gate = "spread 0.5, needs 0.6",
		.sources = 340,
		.known = 320,
		.split = 300,
		.clean_sources = 40,
		.members = calloc(n, sizeof(*a->members)),
		.n_members = n,
	};
	snprintf(a->id, sizeof(a->id), "%s", id);
	for (size_t i = 0; i < 2; i++) {
		a->line[i] = (struct farm_line){ .family = i,
						 .name = i ? "even" : "split",
						 .known = true,
						 .value = 6.5 + i,
						 .error = 0.25,
						 .farm = 3,
						 .benign = -3,
						 .bits = 5.5 };
		strcpy(a->line[i].text, "296 of 300");
	}
	p->rules = realloc(p->rules, (p->n_rules + n) * sizeof(*p->rules));
	for (size_t i = 0; i < n; i++) {
		a->members[i] = (struct farm_member){ .src = 0xffffffff00000000ULL - i,
						      .family = i % 2 ? 6 : 4,
						      .service = 443,
						      .posterior = 0.999 - i * 1e-6,
						      .connections = 10,
						      .exchanges = 20,
						      .direct = 1,
						      .split = 9,
						      .dstar = 456,
						      .first_seen = 1000000000000000005ULL };
		p->rules[p->n_rules] = (struct plan_rule){ .src = a->members[i].src,
							   .stack = stack,
							   .family = a->members[i].family,
							   .d1_min = i % 3 ? 0 : 100,
							   .dstar_min = i % 3 ? 0 : 270,
							   .split_min = 2,
							   .split_dstar = 150,
							   .not_resumed = i % 5 == 0,
							   .action = RULE_RESET,
							   .holdout = 200,
							   .expires = 5000000000000000005ULL,
							   .farm = at,
							   .posterior = 0.995,
							   .exchanges = 20 };
		strcpy(p->rules[p->n_rules++].reason, "posterior 0.995");
	}
	p->spared = realloc(p->spared, (p->n_spared + 1) * sizeof(*p->spared));
	p->spared[p->n_spared] =
		(struct plan_spared){ .src = 7, .stack = stack, .family = 4, .farm = at };
	strcpy(p->spared[p->n_spared++].why, "on the allow list");
	p->gates = realloc(p->gates, (p->n_gates + 1) * sizeof(*p->gates));
	p->gates[p->n_gates] = (struct plan_gate){ .farm = at, .name = "history", .met = false };
	strcpy(p->gates[p->n_gates++].text, "days of history: 0.1, needs 7");
	p->farms = realloc(p->farms, (p->n_farms + 1) * sizeof(*p->farms));
	p->farms[p->n_farms++] = (struct plan_farm){ .collateral = { 0.3, 6, 2, 0.993, 1e-5, 2e-4 },
						     .rules = n,
						     .spared = 1,
						     .stops = 6000 };
}

static char *text_of(const struct farms *f, const struct plan *p)
{
	json_t *doc = json_pack("[o, o]", farms_json(f, p, NULL), plan_json(p, f, NULL));
	char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(doc);
	assert_non_null(text);
	return text;
}

static void by_source(struct plan *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t j = i; j && p->rules[j].farm == p->rules[j - 1].farm &&
				   p->rules[j].src < p->rules[j - 1].src;
		     j--) {
			struct plan_rule t = p->rules[j];

			p->rules[j] = p->rules[j - 1];
			p->rules[j - 1] = t;
		}
}

static void what_was_put_comes_back(void **state)
{
	_cleanup_(farms_clearp) struct farms f = { .time = 9000000000000000009ULL }, g = {};
	_cleanup_(plan_clearp) struct plan p = { .time = 9000000000000000009ULL }, q = {};
	_cleanup_(freep) char *a = NULL, *b = NULL;

	made_up(&f, &p, "f1", 5, 30);
	made_up(&f, &p, "f12", 0xffffffffffffffffULL, 3);
	by_source(&p);
	assert_int_equal(store_farms_put(s, &f, &p), 0);
	assert_int_equal(store_farms_put(s, &f, &p), 0); /* again: nothing doubles */
	assert_int_equal(store_farms(s, &g, &q), 0);
	a = text_of(&f, &p);
	b = text_of(&g, &q);
	assert_string_equal(a, b);
	assert_true(g.farm[0].share == f.farm[0].share); /* to the last bit */
	assert_true(g.farm[0].members[29].posterior == f.farm[0].members[29].posterior);
}

static void a_farm_that_is_over_is_history_and_its_number_is_taken(void **state)
{
	_cleanup_(farms_clearp) struct farms f = { .time = 100 }, g = {};
	_cleanup_(plan_clearp) struct plan p = {}, q = {};
	uint32_t last;

	assert_int_equal(store_farm_last(s, &last), 0);
	assert_int_equal(last, 0);
	made_up(&f, &p, "f7", 5, 3);
	made_up(&f, &p, "f41", 6, 3);
	assert_int_equal(store_farms_put(s, &f, &p), 0);
	farms_clear(&f);
	plan_clear(&p);
	f.time = 200;
	made_up(&f, &p, "f7", 5, 2);
	assert_int_equal(store_farms_put(s, &f, &p), 0);
	assert_int_equal(store_farms(s, &g, &q), 0);
	assert_int_equal(g.n, 1);
	assert_string_equal(g.farm[0].id, "f7");
	assert_int_equal(g.farm[0].n_members, 2);
	assert_int_equal(q.n_rules, 2);
	assert_int_equal(store_farm_last(s, &last), 0);
	assert_int_equal(last, 41);
	assert_int_equal(store_farms_clear(s), 0);
	assert_int_equal(store_farm_last(s, &last), 0);
	assert_int_equal(last, 0);
}

/* Either the window before or this one, never half of each. */
static void a_write_that_fails_leaves_the_window_before(void **state)
{
	_cleanup_(farms_clearp) struct farms f = { .time = 100 }, g = {};
	_cleanup_(plan_clearp) struct plan p = {}, q = {};
	sqlite3 *db;

	made_up(&f, &p, "f1", 5, 3);
	assert_int_equal(store_farms_put(s, &f, &p), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "CREATE TRIGGER full BEFORE INSERT ON plan_gates BEGIN"
				      " SELECT RAISE(ABORT, 'full'); END",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	f.time = 200;
	f.farm[0].state = FARM_DECAY;
	assert_int_not_equal(store_farms_put(s, &f, &p), 0);
	assert_non_null(strstr(store_error(s), "full"));
	assert_int_equal(store_farms(s, &g, &q), 0);
	assert_int_equal(g.farm[0].state, FARM_PROPOSE);
	assert_int_equal(g.farm[0].n_members, 3);
	assert_int_equal(q.n_gates, 1);
}

/* ---- how farms went ------------------------------------------------------------ */

static void sum_points(void *ctx, const struct farm_point *p)
{
	struct farm_point *sum = ctx;

	sum->births += p->births;
	sum->members++;
	sum->share = p->share;
	assert_true(p->time > sum->time); /* oldest first */
	sum->time = p->time;
}

/* Fault 94: what is older than the caller says. */
static void points_come_back_in_order_and_old_ones_go(void **state)
{
	const char *farms[] = { "f1", "f2" };
	struct farm_point sum = {};
	uint64_t last;

	(void)state;
	for (uint64_t t = 1; t <= 20; t++) {
		struct farm_point p[] = {
			{ .time = t * 1000, .state = "watch", .share = t / 100.0, .births = 2 },
			{ .time = t * 1000, .state = "flag", .births = 1 },
		};

		assert_return_code(store_points_put(s, farms, p, 2, t > 10 ? (t - 10) * 1000 : 0),
				   0);
	}
	assert_return_code(store_points(s, "f1", sum_points, &sum), 0);
	assert_int_equal(sum.members, 11); /* 10,000 to 20,000 */
	assert_int_equal(sum.births, 22);
	assert_true(sum.share == 0.2);
	assert_return_code(store_point_last(s, "f2", &last), 0);
	assert_int_equal(last, 20000);
	assert_return_code(store_point_last(s, "f3", &last), 0);
	assert_int_equal(last, 0);
}

static struct rule_entry rule_of_f8(const char *text)
{
	struct rule_entry e = { .origin = strdup("farm:f8"), .created = 5, .canary = 10000 };
	struct reason r;

	assert_int_equal(rule_parse(text, &e.spec, &r), 0);
	return e;
}

static int64_t rows(const char *sql)
{
	sqlite3_stmt *q = NULL;
	sqlite3 *db = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

/* Fault 94, by a moved clock; days_forget() and points have tests of their own. */
static void addresses_go_28_days_after_what_they_were_kept_for(void **state)
{
	const uint64_t day = 86400 * NSEC_PER_SEC, over = 1000 * day;
	_cleanup_(farms_clearp) struct farms f = { .time = over - 5 };
	_cleanup_(plan_clearp) struct plan p = {};
	_cleanup_(rule_entry_clear) struct rule_entry gone = rule_of_f8(
							      "src 10.0.0.1 action drop reason x"),
						      live = rule_of_f8(
							      "src 10.0.0.2 action drop reason x");
	uint64_t hits, would;
	uint32_t last;

	(void)state;
	made_up(&f, &p, "f7", 5, 3);
	made_up(&f, &p, "f8", 6, 3);
	assert_int_equal(store_farms_put(s, &f, &p), 0);
	farms_clear(&f);
	plan_clear(&p);
	f.time = over;
	made_up(&f, &p, "f7", 5, 3);
	assert_int_equal(store_farms_put(s, &f, &p), 0); /* f8 is over */
	assert_int_equal(store_rules_add(s, &gone, 1), 0);
	assert_int_equal(store_rules_add(s, &live, 1), 0);
	assert_int_equal(store_rule_gone(s, gone.handle, "expired", over,
					 &(struct rule_hits){ .connections = 9 }),
			 0);

	assert_int_equal(store_forget(s, over + 28 * day), 0);
	assert_int_equal(rows("SELECT count(*) FROM members WHERE farm = 'f8'"), 3);
	assert_int_equal(rows("SELECT count(*) FROM rules WHERE text LIKE '%10.0.0.1%'"), 1);
	assert_int_equal(store_forget(s, over + 28 * day + 1), 0);
	assert_int_equal(rows("SELECT count(*) FROM members WHERE farm = 'f8'"), 0);
	assert_int_equal(rows("SELECT count(*) FROM plan WHERE farm = 'f8'"), 0);
	assert_int_equal(rows("SELECT count(*) FROM plan_spared WHERE farm = 'f8'"), 0);
	assert_int_equal(rows("SELECT count(*) FROM rules WHERE text LIKE '%10.0.0.1%'"), 0);

	/* What is not over stays, and so do numbers and sums. */
	assert_int_equal(rows("SELECT count(*) FROM members WHERE farm = 'f7'"), 3);
	assert_int_equal(rows("SELECT count(*) FROM rules WHERE text LIKE '%10.0.0.2%'"), 1);
	assert_int_equal(store_farm_last(s, &last), 0);
	assert_int_equal(last, 8);
	assert_int_equal(store_farm_hits(s, "f8", &hits, &would), 0);
	assert_int_equal(hits, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_farm_that_is_over_is_history_and_its_number_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_write_that_fails_leaves_the_window_before, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(addresses_go_28_days_after_what_they_were_kept_for,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(points_come_back_in_order_and_old_ones_go, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
