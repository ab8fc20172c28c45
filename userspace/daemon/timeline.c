/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "daemon/detector.h"
#include "model/farm.h"
#include "model/json.h"
#include "model/rule_json.h"

#define KEPT       (28 * NSEC_PER_DAY)
#define POINTS_MAX 720

/* Rules of the farm in force, and what they and those before them stopped. */
static int rules_of(struct daemon *d, const struct clock *c, const char *farm, struct farm_point *p)
{
	int err = store_farm_hits(d->store, farm, &p->hits, &p->would);

	for (size_t i = 0; !err && i < d->rules.n; i++) {
		const struct rule_entry *e = d->rules.at[i];
		struct rule_hits hits;

		if (!e->origin || strncmp(e->origin, "farm:", 5) || strcmp(e->origin + 5, farm))
			continue;
		hits = rulebook_hits(&d->rules, c, e);
		p->rules += e->index != 0;
		p->hits += hits.connections;
		p->would += hits.would;
	}
	return err;
}

static int point_of(struct daemon *d, const struct clock *c, const struct farm *f, uint64_t now,
		    struct farm_point *p)
{
	uint64_t before;
	int err = store_point_last(d->store, f->id, &before);

	*p = (struct farm_point){ .time = now,
				  .state = farm_state_name[f->state],
				  .share = f->share,
				  .bits = f->bits,
				  .members = f->n_members };
	for (size_t i = 0; i < f->n_members; i++) {
		p->exchanges += f->members[i].exchanges;
		p->births += f->members[i].first_seen > before;
	}
	return err ? err : rules_of(d, c, f->id, p);
}

void timeline_note(struct daemon *d)
{
	const struct farms *f = &d->verdicts->farms;
	_cleanup_(freep) struct farm_point *points = calloc(f->n + 1, sizeof(*points));
	_cleanup_(freep) const char **ids = calloc(f->n + 1, sizeof(*ids));
	struct clock c = clock_now();
	int err = 0;

	if (!d->store || !points || !ids)
		return;
	for (size_t i = 0; !err && i < f->n; i++) {
		ids[i] = f->farm[i].id;
		err = point_of(d, &c, &f->farm[i], f->time, &points[i]);
	}
	if (!err && f->n)
		err = store_points_put(d->store, ids, points, f->n,
				       f->time > KEPT ? f->time - KEPT : 0);
	if (err)
		trouble_set(d, "history", "how farms went is not written: %s",
			    store_error(d->store));
	else
		trouble_set(d, "history", NULL);
}

struct history {
	json_t *points;
	size_t every, n; /* windows a point, windows so far */
	uint64_t births;
};

static void count(void *ctx, const struct farm_point *p)
{
	++*(size_t *)ctx;
}

static void point_json(void *ctx, const struct farm_point *p)
{
	struct history *h = ctx;

	h->births += p->births;
	if (++h->n % h->every)
		return;
	json_array_append_new(h->points,
			      json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
					"time", time_json(p->time), "state", p->state, "share",
					json_round(p->share), "bits", json_round(p->bits),
					"members", (json_int_t)p->members, "births",
					(json_int_t)h->births, "exchanges",
					(json_int_t)p->exchanges, "rules", (json_int_t)p->rules,
					"hits", (json_int_t)p->hits, "would",
					(json_int_t)p->would));
	h->births = 0;
}

json_t *document_history(struct daemon *d, const char *farm)
{
	struct history h = { .points = json_array() };
	size_t n = 0;

	if (d->store && !store_points(d->store, farm, count, &n)) {
		h.every = (n + POINTS_MAX - 1) / POINTS_MAX;
		h.every = h.every ? h.every : 1;
		h.n = h.every - n % h.every; /* the newest window ends a point */
		store_points(d->store, farm, point_json, &h);
	}
	return json_pack("{s:s, s:s, s:o}", "schema", "winnow.history/1", "farm", farm, "points",
			 h.points);
}
