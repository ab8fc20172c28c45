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
#include "model/farm.h"
#include "model/plan.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_farm_that_is_over_is_history_and_its_number_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_write_that_fails_leaves_the_window_before, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
