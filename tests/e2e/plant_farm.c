/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plant_farm - a farm that a stopped winnowd will remember: into the state directory of a
 * daemon that has been there once.
 *
 *	plant_farm STATE_DIR N		flagged, with members 192.0.2.1 to N
 *	plant_farm STATE_DIR N STACK	proposed, with rules on the stack of that key at
 *					10.9.0.1 to N; the second half of them are no members
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "model/farm.h"
#include "model/plan.h"
#include "store/secret.h"
#include "store/store.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static void propose(struct farm *farm, struct plan *plan, struct plan_rule *rules,
		    const char *stack)
{
	size_t n = farm->n_members;

	farm->state = FARM_PROPOSE;
	farm->stack = strtoull(stack, NULL, 16);
	farm->proposed_at = farm->flagged_at;
	for (size_t i = 0; i < n; i++) {
		farm->members[i].src = 0x0a090001 + i;
		farm->members[i].posterior = 0.999;
		rules[i] = (struct plan_rule){ .src = 0x0a090001 + i,
					       .stack = farm->stack,
					       .family = 4,
					       .action = RULE_RESET,
					       .expires = now_ns() + 3600 * NSEC_PER_SEC,
					       .posterior = 0.999,
					       .reason = "planted" };
	}
	farm->n_members = n / 2;
	plan->rules = rules;
	plan->n_rules = n;
	plan->farms->rules = n;
}

static int put(const char *dir, size_t n, const char *stack)
{
	struct farm farm = { .state = FARM_FLAG,
			     .stack = 0x1122334455667788,
			     .service = 443,
			     .watched_at = now_ns(),
			     .flagged_at = now_ns(),
			     .nearest_benign = "a fleet",
			     .n_members = n };
	struct farms farms = { .farm = &farm, .n = 1, .time = now_ns() };
	_cleanup_(freep) struct farm_member *members = calloc(n, sizeof(*members));
	_cleanup_(freep) struct plan_rule *rules = calloc(n, sizeof(*rules));
	struct plan_farm planned = {};
	struct plan plan = { .farms = &planned, .n_farms = 1 };
	struct secret secret;
	struct store *s = NULL;
	struct reason r = {};
	char file[256];
	int err;

	farm.members = members;
	strcpy(farm.id, "f1");
	for (size_t i = 0; members && i < n; i++)
		members[i] = (struct farm_member){ .src = 0xc0000201 + i, .family = 4 };
	if (members && rules && stack)
		propose(&farm, &plan, rules, stack);
	snprintf(file, sizeof(file), "%s/secret", dir);
	err = members && rules ? secret_read(file, &secret, &r) : -1;
	snprintf(file, sizeof(file), "%s/state.db", dir);
	err = err ? err : store_open(file, &s, &r);
	err = err ? err : store_number_set(s, "farms_secret", secret_id(&secret));
	err = err ? err : store_farms_put(s, &farms, &plan);
	if (err)
		fprintf(stderr, "plant_farm: %s: %s\n", file, *r.text ? r.text : "not written");
	store_free(s);
	return err;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4 || atoi(argv[2]) < 1) {
		fputs("usage: plant_farm STATE_DIR N [STACK]\n", stderr);
		return 2;
	}
	return put(argv[1], atoi(argv[2]), argv[3]) ? 1 : 0;
}
