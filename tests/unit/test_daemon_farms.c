/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd with farms that its database remembers: listed, planned, applied,
 * enforced, decayed. Needs root; skipped without.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/lib_winnowd.h"

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "model/farm.h"
#include "model/plan.h"
#include "store/secret.h"
#include "store/store.h"

#define STACK 0x1122334455667788ULL

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static struct farms farms;
static struct plan plan;

/* n members 203.0.113.1 and on, each with a rule that lasts so long. */
static void plan_farm(const char *id, enum farm_state state, uint32_t first, size_t n,
		      uint64_t lasts)
{
	struct farm *f;

	farms.farm = realloc(farms.farm, (farms.n + 1) * sizeof(*f));
	f = &farms.farm[farms.n];
	*f = (struct farm){ .state = state,
			    .stack = STACK + farms.n,
			    .service = 443,
			    .flagged_at = 5,
			    .watched_at = 4,
			    .nearest_benign = "a fleet",
			    .members = calloc(n, sizeof(*f->members)),
			    .n_members = n };
	snprintf(f->id, sizeof(f->id), "%s", id);
	plan.rules = realloc(plan.rules, (plan.n_rules + n) * sizeof(*plan.rules));
	plan.farms = realloc(plan.farms, (plan.n_farms + 1) * sizeof(*plan.farms));
	for (size_t i = 0; i < n; i++) {
		f->members[i] =
			(struct farm_member){ .src = first + i, .family = 4, .service = 443 };
		plan.rules[plan.n_rules++] = (struct plan_rule){ .src = first + i,
								 .stack = f->stack,
								 .family = 4,
								 .action = RULE_RESET,
								 .expires = now_ns() + lasts,
								 .farm = farms.n };
		strcpy(plan.rules[plan.n_rules - 1].reason, "posterior 0.999");
	}
	plan.farms[plan.n_farms++] = (struct plan_farm){ .rules = n };
	farms.n++;
}

/* Into the database of a daemon that has been there once, for its secret. */
static void plant(const char *more)
{
	char file[128];
	struct secret secret;
	struct reason r;
	struct store *s;

	write_conf(more);
	daemon_up(NULL);
	daemon_end(SIGTERM);
	snprintf(file, sizeof(file), "%s/state/secret", dir);
	assert_int_equal(secret_read(file, &secret, &r), 0);
	s = database();
	farms.time = now_ns();
	assert_int_equal(store_number_set(s, "farms_secret", secret_id(&secret)), 0);
	assert_int_equal(store_farms_put(s, &farms, &plan), 0);
	store_free(s);
	daemon_up(NULL);
}

static int clean(void **state)
{
	farms_clear(&farms);
	plan_clear(&plan);
	return remove_all(state);
}

/* "id state in_force planned", of every farm. */
static const char *standing(void)
{
	static char text[256];
	json_t *reply = ask("farm.list", NULL), *f, *r;
	size_t i, k, n;

	text[0] = '\0';
	json_array_foreach(json_object_get(json_object_get(reply, "data"), "farms"), i, f) {
		n = 0;
		json_array_foreach(json_object_get(f, "rules"), k, r)
			n += json_is_integer(json_object_get(r, "handle"));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s %zu/%zu",
			 *text ? ", " : "", json_string_value(json_object_get(f, "id")),
			 json_string_value(json_object_get(f, "state")), n,
			 json_array_size(json_object_get(f, "rules")));
	}
	json_decref(reply);
	return text;
}

static int apply(const char *id, bool dry, const char *error)
{
	json_t *ids = json_array();

	if (id)
		json_array_append_new(ids, json_string(id));
	return exit_of("plan.apply", json_pack("{s:o, s:b}", "ids", ids, "dry_run", dry), error);
}

static void a_plan_is_applied_once_and_outlives_a_restart(void **state)
{
	json_t *reply, *r;
	size_t i;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 90, 3600 * NSEC_PER_SEC);
	plan_farm("f2", FARM_FLAG, 0xc0000201, 3, 3600 * NSEC_PER_SEC);
	plant("");
	assert_string_equal(standing(), "f1 propose 0/90, f2 flag 0/3");
	assert_int_equal(apply(NULL, true, NULL), 0);
	assert_int_equal(listed(), 0);
	assert_int_equal(apply("f9", false, "no farm f9"), 1);
	assert_int_equal(apply("f2", false, "f2 is in state flag"), 6);
	assert_int_equal(listed(), 0);
	assert_int_equal(apply(NULL, false, NULL), 0);
	assert_string_equal(standing(), "f1 enforce 90/90, f2 flag 0/3");
	assert_int_equal(apply("f1", false, NULL), 0);
	assert_int_equal(listed(), 90);
	reply = ask("rule.list", NULL);
	json_array_foreach(json_object_get(json_object_get(reply, "data"), "rules"), i, r) {
		assert_string_equal(json_string_value(json_object_get(r, "origin")), "farm:f1");
		assert_string_equal(json_string_value(json_object_get(r, "action")), "reset");
		assert_true(json_is_true(json_object_get(r, "in_force")));
		assert_true(json_is_string(json_object_get(r, "expires")));
		assert_true(json_is_string(json_object_get(json_object_get(r, "match"), "src")));
		assert_true(json_is_string(json_object_get(json_object_get(r, "match"), "stack")));
	}
	json_decref(reply);
	daemon_end(SIGKILL);
	daemon_up(NULL);
	assert_string_equal(standing(), "f1 enforce 90/90, f2 flag 0/3");
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 90);
	assert_int_equal(in_database(), 90);
}

/* 127 slots: 90 fit, 60 more do not, and then none of the 60 is there. */
static void a_farm_whose_rules_do_not_fit_gets_none(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 90, 3600 * NSEC_PER_SEC);
	plan_farm("f2", FARM_PROPOSE, 0xc0000201, 60, 3600 * NSEC_PER_SEC);
	plant("");
	assert_int_equal(apply(NULL, false, "full"), 5);
	assert_string_equal(standing(), "f1 enforce 90/90, f2 propose 0/60");
	assert_int_equal(listed(), 90);
	assert_int_equal(apply("f2", false, "full"), 1);
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 90);
	assert_int_equal(in_database(), 90);
}

/* 57: members that are allowed, the gateway or this host get no rule, and it is said. */
static void protected_members_are_spared(void **state)
{
	json_t *reply, *spared;
	char *text;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 5, 3600 * NSEC_PER_SEC);
	plan_farm("f2", FARM_PROPOSE, 0xc633640a, 1, 3600 * NSEC_PER_SEC); /* 198.51.100.10 */
	plant("");
	assert_string_equal(standing(), "f1 propose 0/5, f2 propose 0/0");
	assert_int_equal(exit_of("allow.add",
				 json_pack("{s:s, s:s}", "cidr", "203.0.113.2", "reason", "a bank"),
				 NULL),
			 0);
	assert_int_equal(apply("f2", false, "every member is spared"), 6);
	assert_int_equal(apply("f1", false, NULL), 0);
	assert_int_equal(listed(), 4);
	reply = ask("plan.show", NULL);
	spared = json_object_get(json_array_get(json_object_get(json_object_get(reply, "data"),
								"farms"),
						0),
				 "spared");
	assert_int_equal(json_array_size(spared), 1);
	text = json_dumps(spared, 0);
	assert_non_null(strstr(text, "a bank"));
	free(text);
	json_decref(reply);
	daemon_end(SIGTERM);
}

static void when_the_last_rule_expires_the_farm_decays(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 3, 3 * NSEC_PER_SEC);
	plant("[detect]\nwindow = 1s");
	assert_int_equal(apply("f1", false, NULL), 0);
	assert_string_equal(standing(), "f1 enforce 3/3");
	for (int i = 0; i < 2000 && strcmp(standing(), "f1 decay 0/3"); i++)
		nap();
	assert_string_equal(standing(), "f1 decay 0/3");
	assert_int_equal(listed(), 0);
	daemon_end(SIGTERM);
}

/* Keys of farms are of the secret; under another one they would name somebody else. */
static void farms_of_another_secret_are_forgotten(void **state)
{
	struct store *s;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 3, 3600 * NSEC_PER_SEC);
	plant("");
	assert_string_equal(standing(), "f1 propose 0/3");
	daemon_end(SIGTERM);
	s = database();
	assert_int_equal(store_number_set(s, "farms_secret", 1), 0);
	store_free(s);
	daemon_up(NULL);
	assert_string_equal(standing(), "");
	assert_true(logged("another secret"));
	daemon_end(SIGTERM);
}

int main(void)
{
#define claim(f) cmocka_unit_test_setup_teardown(f, fresh, clean)
	const struct CMUnitTest tests[] = {
		claim(a_plan_is_applied_once_and_outlives_a_restart),
		claim(a_farm_whose_rules_do_not_fit_gets_none),
		claim(protected_members_are_spared),
		claim(when_the_last_rule_expires_the_farm_decays),
		claim(farms_of_another_secret_are_forgotten),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
