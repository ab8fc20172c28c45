/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real winnowd with farms that its database remembers: listed, planned, applied,
 * enforced, decayed. Needs root; skipped without.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib_winnowd.h"

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "model/farm.h"
#include "model/plan.h"
#include "store/days.h"
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

static uint64_t the_secret(void)
{
	char file[128];
	struct secret secret;
	struct reason r;

	snprintf(file, sizeof(file), "%s/state/secret", dir);
	assert_int_equal(secret_read(file, &secret, &r), 0);
	return secret_id(&secret);
}

/* Into the database of a daemon that has been there once, for its secret. */
static void plant(const char *more)
{
	struct store *s;

	write_conf(more);
	daemon_up(NULL);
	daemon_end(SIGTERM);
	s = database();
	farms.time = now_ns();
	assert_int_equal(store_number_set(s, "farms_secret", the_secret()), 0);
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

/* ---- canary, confirm, caps -------------------------------------------------------------- */

/* "canary holdout" of all rules, or "mixed". */
static const char *share(void)
{
	static char text[64];
	json_t *reply = ask("rule.list", NULL), *r;
	double canary = -1, holdout = -1;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(reply, "data"), "rules"), i, r) {
		double c = json_number_value(json_object_get(r, "canary"));
		double h = json_number_value(json_object_get(r, "holdout"));

		if (i && (c != canary || h != holdout)) {
			json_decref(reply);
			return "mixed";
		}
		canary = c;
		holdout = h;
	}
	json_decref(reply);
	snprintf(text, sizeof(text), "%g %g", canary, holdout);
	return text;
}

static void await(const char *(*what)(void), const char *want)
{
	for (int i = 0; i < 3000 && strcmp(what(), want); i++)
		nap();
	assert_string_equal(what(), want);
}

static void a_canary_goes_from_1_to_10_to_100_percent(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 5, 3600 * NSEC_PER_SEC);
	plant("canary_step = 2s");
	assert_int_equal(exit_of("plan.apply", json_pack("{s:[], s:b}", "ids", "canary", 1), NULL),
			 0);
	assert_string_equal(share(), "0.01 0.02");
	await(share, "0.1 0.02");
	daemon_end(SIGKILL);
	daemon_up(NULL);
	await(share, "1 0.02");
	daemon_end(SIGTERM);
	assert_int_equal(in_database(), 5);
}

static const char *acting(void)
{
	static char text[64];
	json_t *reply = ask("rule.list", NULL), *r;
	json_t *rules = json_object_get(json_object_get(reply, "data"), "rules");
	size_t i, n = 0, all = json_array_size(rules);

	json_array_foreach(rules, i, r)
		n += !json_is_true(json_object_get(r, "only_counts"));
	json_decref(reply);
	snprintf(text, sizeof(text), "%zu of %zu", n, all);
	return text;
}

/* One more proved connection that met each rule on 203.0.113.`first` and over. */
static size_t meet(unsigned int first)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	struct rule_match *match;
	struct rule *slots;
	size_t n, met = 0;

	slots = kern_rules(k, &n);
	match = calloc(n, sizeof(*match));
	assert_int_equal(kern_rule_matches(k, match), 0);
	for (size_t i = 1; i < n; i++) {
		if (!slots[i].gen || (uint32_t)match[i].src.net.lo < 0xcb007100 + first)
			continue;
		slots[i].would_hit++;
		met++;
	}
	free(match);
	return met;
}

/* Three sources that the detector holds for no members for two windows go on being met;
 * the plan had said one at most. What they were met with before is no hit: then they may
 * have been the farm's. */
static void too_many_benign_hits_roll_a_farm_back(void **state)
{

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 20, 3600 * NSEC_PER_SEC);
	farms.farm[0].n_members = 17;
	for (size_t i = 0; i < 17; i++)
		farms.farm[0].members[i].posterior = 0.999;
	plant("canary_step = 1h\n[detect]\nwindow = 1s");
	assert_int_equal(exit_of("plan.apply", json_pack("{s:[], s:b}", "ids", "canary", 1), NULL),
			 0);
	assert_string_equal(acting(), "20 of 20");
	daemon_end(SIGTERM);
	assert_int_equal(meet(1 + 17), 3);
	daemon_up(NULL);
	sleep(4); /* two windows and more */
	assert_string_equal(acting(), "20 of 20");
	daemon_end(SIGTERM);
	daemon_up(NULL);
	for (int i = 0; i < 60 && strcmp(acting(), "0 of 20"); i++) {
		assert_int_equal(meet(1), 20); /* of members it may be as much as it likes */
		usleep(200000);
	}
	await(acting, "0 of 20");
	assert_string_equal(standing(), "f1 decay 20/20");
	assert_true(logged("3 benign sources hit, at most 1.0 were expected"));
	daemon_end(SIGTERM);
	assert_int_equal(in_database(), 20);
}

static json_t *enforce_within(const char *within)
{
	return json_pack("{s:[], s:b, s:s}", "ids", "enforce", 1, "confirm_within", within);
}

/* Fault 82, of a whole farm: what only counted counts again, what was added goes. */
static void an_unconfirmed_plan_is_taken_back(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 20, 3600 * NSEC_PER_SEC);
	plant("enforce = each");
	assert_int_equal(exit_of("plan.apply", json_pack("{s:[]}", "ids"), NULL), 0);
	assert_string_equal(acting(), "0 of 20");
	assert_string_equal(standing(), "f1 propose 20/20");
	assert_int_equal(exit_of("plan.apply", enforce_within("4s"), NULL), 0);
	assert_string_equal(acting(), "20 of 20");
	await(acting, "0 of 20");
	assert_int_equal(exit_of("rule.flush", NULL, NULL), 0);
	assert_int_equal(exit_of("plan.apply", enforce_within("4s"), NULL), 0);
	assert_string_equal(acting(), "20 of 20");
	daemon_end(SIGKILL);
	nanosleep(&(struct timespec){ .tv_sec = 4, .tv_nsec = 100000000 }, NULL);
	daemon_up(NULL);
	assert_string_equal(acting(), "0 of 0");
	daemon_end(SIGTERM);
	assert_int_equal(in_kernel(), 0);
	assert_int_equal(in_database(), 0);
}

static void farms_get_no_more_rules_than_the_cap(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 90, 3600 * NSEC_PER_SEC);
	plant("max_rules = 64");
	assert_int_equal(apply("f1", false, "max_rules is 64"), 6);
	assert_int_equal(listed(), 0);
}

/* Seven sources are ruled; three of the members were first seen after that. Three are no
 * half of what was ruled. */
static void what_grows_back_is_shown(void **state)
{
	json_t *reply, *hydra;
	uint64_t later;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 7, 3600 * NSEC_PER_SEC);
	later = now_ns() + 60 * NSEC_PER_SEC;
	farms.farm[0].onset = now_ns() - 600 * NSEC_PER_SEC;
	for (size_t i = 0; i < 7; i++) {
		farms.farm[0].members[i].posterior = 0.999;
		farms.farm[0].members[i].first_seen = i < 4 ? farms.farm[0].onset : later;
		farms.farm[0].members[i].connections = i < 4 ? 50 : 2;
	}
	plant("");
	assert_int_equal(apply("f1", false, NULL), 0);
	reply = ask("farm.show", json_pack("{s:s}", "id", "f1"));
	hydra = json_object_get(json_array_get(json_object_get(json_object_get(reply, "data"),
							       "farms"),
					       0),
				"hydra");
	assert_int_equal(json_integer_value(json_object_get(hydra, "ruled")), 7);
	assert_int_equal(json_integer_value(json_object_get(hydra, "births")), 3);
	assert_int_equal(json_integer_value(json_object_get(hydra, "ruled_again")), 3);
	assert_int_equal(json_integer_value(json_object_get(hydra, "connections_before_rule")), 2);
	/* 3 births, nearly none expected, of 7 ruled. */
	assert_true(json_number_value(json_object_get(hydra, "displacement_percent")) > 40);
	assert_true(json_number_value(json_object_get(hydra, "displacement_percent")) < 43);
	assert_true(json_is_null(json_object_get(hydra, "half_life_seconds")));
	json_decref(reply);
	daemon_end(SIGTERM);
}

/* ---- stored days ------------------------------------------------------------------------ */

static struct past past_row(uint32_t src, uint64_t stack, uint32_t exchanges, double posterior)
{
	return (struct past){ .src = src,
			      .stack = stack,
			      .service = 443,
			      .family = 4,
			      .proto = 6,
			      .connections = exchanges,
			      .exchanges = exchanges,
			      .posterior = 10000 * posterior };
}

static void write_day(uint32_t day, struct past *rows, size_t n)
{
	struct days *days;
	struct reason r;
	char path[96];

	snprintf(path, sizeof(path), "%s/state/days", dir);
	assert_int_equal(days_open(path, the_secret(), &days, &r), 0);
	assert_int_equal(days_write(days, day, rows, n, &r), 0);
	days_free(days);
}

static double number(const json_t *o, const char *path, const char *key)
{
	return json_number_value(json_object_get(json_object_get(o, path), key));
}

/* What a plan names of networks that are to be handled with care is bounded. */
static void a_plan_that_names_many_protected_sources_is_not_applied(void **state)
{
	json_t *reply, *gates, *g;
	size_t i, seen = 0;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 7, 3600 * NSEC_PER_SEC);
	plant("protected = 203.0.113.4/30\nmax_protected = 3");
	assert_int_equal(apply("f1", false, "sources of protected networks: 4, may be 3"), 6);
	assert_int_equal(listed(), 0);
	reply = ask("plan.show", NULL);
	gates = json_object_get(json_array_get(json_object_get(json_object_get(reply, "data"),
							       "farms"),
					       0),
				"gates");
	json_array_foreach(gates, i, g)
		if (!strcmp(json_string_value(json_object_get(g, "gate")), "protected")) {
			assert_true(json_is_false(json_object_get(g, "met")));
			seen++;
		}
	assert_int_equal(seen, 1);
	json_decref(reply);
	/* What it would hit may be counted. */
	assert_int_equal(exit_of("plan.apply", json_pack("{s:[s], s:b}", "ids", "f1", "count", 1),
				 NULL),
			 0);
	assert_int_equal(listed(), 7);
	daemon_end(SIGTERM);
	write_conf("protected = 203.0.113.4/30\nmax_protected = 4");
	daemon_up(NULL);
	assert_int_equal(apply("f1", false, NULL), 0);
	daemon_end(SIGTERM);
}

/* The farm's first address was somebody's three days ago, with the same stack: 7
 * exchanges that the rule would have cost him. Its second is one of the farm's since the
 * day before yesterday; a third source of that stack has no rule. */
static void a_plan_says_what_it_would_have_hit_on_stored_days(void **state)
{
	uint32_t today = now_ns() / (86400 * NSEC_PER_SEC);
	struct past old[] = { past_row(0xcb007101, STACK, 7, 0), past_row(0xcb007109, STACK, 5, 0),
			      past_row(0xcb007101, STACK + 5, 100, 0) };
	struct past new[] = { past_row(0xcb007101, STACK, 40, 0.9),
			      past_row(0xcb007102, STACK, 60, 0.9),
			      past_row(0xcb007109, STACK, 5, 0) };
	json_t *reply, *farm, *days;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 2, 3600 * NSEC_PER_SEC);
	for (int i = 0; i < 2; i++)
		farms.farm[0].members[i].posterior = 0.999;
	farms.farm[0].onset = (today - 2) * 86400 * NSEC_PER_SEC;
	plant("protected = 203.0.113.0/31 198.51.100.0/24");
	reply = ask("plan.show", NULL);
	farm = json_array_get(json_object_get(json_object_get(reply, "data"), "farms"), 0);
	assert_true(json_is_null(json_object_get(json_object_get(farm, "would_hit"), "days")));
	json_decref(reply);
	daemon_end(SIGTERM);
	write_day(today - 3, old, 3);
	write_day(today - 2, new, 3);
	daemon_up(NULL);
	reply = ask("plan.show", NULL);
	farm = json_array_get(json_object_get(json_object_get(reply, "data"), "farms"), 0);
	days = json_object_get(json_object_get(farm, "would_hit"), "days");
	assert_int_equal(json_integer_value(json_object_get(days, "days")), 2);
	assert_int_equal(json_integer_value(json_object_get(days, "sources")), 2);
	assert_int_equal(json_integer_value(json_object_get(days, "exchanges_at_most")), 107);
	assert_true(fabs(number(days, "farm", "exchanges_at_most") - 99.9) < 0.01);
	assert_true(fabs(number(days, "benign", "exchanges_at_most") - 7.1) < 0.01);
	assert_true(fabs(number(days, "benign", "sources") - 1.001) < 0.001);
	assert_true(fabs(number(days, "benign", "worst_day_sources") - 1.001) < 0.01);
	assert_true(number(days, "benign", "upper95") == 2);
	assert_int_equal(json_integer_value(json_object_get(days, "protected")), 1);
	json_decref(reply);
	/* A hand-written rule on the whole stack meets the third one, too. */
	reply = ask("rule.add",
		    json_pack("{s:s, s:b}", "rule", "src 203.0.113.0/24 action reset reason x",
			      "dry_run", 1));
	farm = json_array_get(json_object_get(json_object_get(reply, "data"), "rules"), 0);
	days = json_object_get(json_object_get(farm, "collateral"), "days");
	assert_int_equal(json_integer_value(json_object_get(days, "sources")), 3);
	assert_int_equal(json_integer_value(json_object_get(days, "exchanges_at_most")), 217);
	assert_non_null(
		strstr(json_string_value(json_object_get(json_object_get(reply, "data"), "text")),
		       "On 2 stored days: 3 sources, 217 exchanges"));
	json_decref(reply);
	daemon_end(SIGTERM);
}

/* What an operator says of a farm is shown with it, audited, and outlives a restart; it
 * changes no rule. */
static void a_farm_is_confirmed_or_dismissed_by_an_operator(void **state)
{
	const char *mark, *why;
	json_t *reply, *farm;

	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 3, 3600 * NSEC_PER_SEC);
	plant("");
	assert_int_equal(exit_of("farm.mark",
				 json_pack("{s:s, s:s, s:s}", "id", "f9", "mark", "dismissed",
					   "reason", "x"),
				 "no farm f9"),
			 1);
	assert_int_equal(exit_of("farm.mark",
				 json_pack("{s:s, s:s}", "id", "f1", "mark", "dismissed"),
				 "reason: expected"),
			 2);
	assert_int_equal(exit_of("farm.mark",
				 json_pack("{s:s, s:s, s:s}", "id", "f1", "mark", "dismissed",
					   "reason", "our own load test"),
				 NULL),
			 0);
	daemon_end(SIGTERM);
	daemon_up(NULL);
	reply = ask("farm.list", NULL);
	farm = json_array_get(json_object_get(json_object_get(reply, "data"), "farms"), 0);
	assert_int_equal(json_unpack(farm, "{s:s, s:s}", "mark", &mark, "mark_reason", &why), 0);
	assert_string_equal(mark, "dismissed");
	assert_string_equal(why, "our own load test");
	json_decref(reply);
	assert_string_equal(standing(), "f1 propose 0/3");
	assert_int_equal(exit_of("farm.mark", json_pack("{s:s}", "id", "f1"), NULL), 0);
	assert_int_equal(exit_of("farm.mark", json_pack("{s:s}", "id", "f1"), "nothing is noted"),
			 1);
	daemon_end(SIGTERM);
}

static int mark(const char *id, const char *what)
{
	return exit_of("farm.mark",
		       json_pack("{s:s, s:s, s:s}", "id", id, "mark", what, "reason", "x"), NULL);
}

static bool followed(void)
{
	json_t *reply = ask("plan.show", NULL);
	json_t *list = json_object_get(json_object_get(reply, "data"), "farms");
	bool yes = json_is_true(json_object_get(json_array_get(list, 0), "followed"));

	json_decref(reply);
	return yes;
}

static void a_dismissed_farm_is_not_applied(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 3, 3600 * NSEC_PER_SEC);
	plan_farm("f2", FARM_PROPOSE, 0xc0000201, 2, 3600 * NSEC_PER_SEC);
	plant("");
	assert_int_equal(mark("f1", "dismissed"), 0);
	assert_int_equal(apply("f1", false, "f1 is dismissed"), 6);
	assert_int_equal(apply("f1", true, "f1 is dismissed"), 6);
	assert_int_equal(apply(NULL, false, NULL), 0);
	assert_string_equal(standing(), "f1 propose 0/3, f2 enforce 2/2");
	assert_int_equal(mark("f1", "confirmed"), 0);
	assert_int_equal(apply("f1", false, NULL), 0);
	assert_string_equal(standing(), "f1 enforce 3/3, f2 enforce 2/2");
	daemon_end(SIGTERM);
}

/* Over a restart, but not beyond the last of its rules. */
static void following_ends_with_the_last_rule_that_acts(void **state)
{
	plan_farm("f1", FARM_PROPOSE, 0xcb007101, 3, 3600 * NSEC_PER_SEC);
	plant("[detect]\nwindow = 1s");
	assert_int_equal(apply("f1", false, NULL), 0);
	assert_false(followed());
	assert_int_equal(exit_of("plan.apply", json_pack("{s:[s], s:b}", "ids", "f1", "follow", 1),
				 NULL),
			 0);
	assert_true(followed());
	daemon_end(SIGKILL);
	daemon_up(NULL);
	assert_true(followed());
	assert_int_equal(exit_of("rule.flush", NULL, NULL), 0);
	for (int i = 0; i < 2000 && followed(); i++)
		nap();
	assert_false(followed());
	assert_int_equal(apply("f1", false, "f1 is in state decay"), 6);
	daemon_end(SIGTERM);
}

/* History is history: without it the daemon goes on, and says so. */
static void a_damaged_day_file_is_named_and_stops_nothing(void **state)
{
	char path[160];
	FILE *f;

	(void)state;
	write_conf("");
	daemon_up(NULL);
	daemon_end(SIGTERM);
	snprintf(path, sizeof(path), "%s/state/days/2026-01-01.days", dir);
	f = fopen(path, "w"); /* the directory is there already */
	assert_non_null(f);
	fputs("no head", f);
	fclose(f);
	daemon_up(NULL);
	assert_true(logged("2026-01-01.days is cut off inside its head. Move it away"));
	daemon_end(SIGTERM);
	assert_int_equal(unlink(path), 0);
	daemon_up(NULL);
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
		claim(a_canary_goes_from_1_to_10_to_100_percent),
		claim(too_many_benign_hits_roll_a_farm_back),
		claim(a_plan_that_names_many_protected_sources_is_not_applied),
		claim(an_unconfirmed_plan_is_taken_back),
		claim(farms_get_no_more_rules_than_the_cap),
		claim(what_grows_back_is_shown),
		claim(a_plan_says_what_it_would_have_hit_on_stored_days),
		claim(a_dismissed_farm_is_not_applied),
		claim(following_ends_with_the_last_rule_that_acts),
		claim(a_farm_is_confirmed_or_dismissed_by_an_operator),
		claim(a_damaged_day_file_is_named_and_stops_nothing),
	};

	if (!daemon_possible()) {
		print_message("skipped: needs root, and a network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
