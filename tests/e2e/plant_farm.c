/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plant_farm - a farm that a stopped winnowd will remember: into the state directory of a
 * daemon that has been there once.
 *
 *	plant_farm STATE_DIR N		flagged, with members 192.0.2.1 to N
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

static int put(const char *dir, size_t n)
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
	snprintf(file, sizeof(file), "%s/secret", dir);
	err = members ? secret_read(file, &secret, &r) : -1;
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
	if (argc != 3 || atoi(argv[2]) < 1) {
		fputs("usage: plant_farm STATE_DIR N\n", stderr);
		return 2;
	}
	return put(argv[1], atoi(argv[2])) ? 1 : 0;
}
