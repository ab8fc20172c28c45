/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A farm's rules act on 1% of the sources, then 10%, then all; who is in is a keyed hash
 * of (epoch, source, stack) in the kernel, so a source is in or out as a whole.
 *
 * Ruled sources whose connections still come through - the holdout, those not yet in -
 * go on to be judged, as do those of whom a rule on D* stops the second flight. One that
 * has been no member for two windows on end, while its rule met a proved connection, is
 * a proved benign hit of the plan. (One window's doubt is none: of 300 exits some are
 * undecided in any; and an exit that fell silent is nobody's.) When there are more of
 * them than the plan said at most (upper95), every rule of the farm counts again.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "daemon/farms_internal.h"
#include "model/json.h"
#include "model/rule_json.h"

struct canary {
	uint64_t since; /* ns since 1970; 0: none */
	uint64_t bound; /* benign sources, thousandths */
};

static const char *key_of(const char *what, const char *farm, char out[48])
{
	snprintf(out, 48, "canary_%s.%s", what, farm);
	return out;
}

/* -ENOENT: there is none. Half of one is none either, and no reason to roll anything back. */
static int canary_read(struct daemon *d, const char *farm, struct canary *out)
{
	char key[48];
	int err;

	*out = (struct canary){};
	if (!d->store)
		return -ENOENT;
	err = store_number(d->store, key_of("since", farm, key), &out->since);
	if (!err && !out->since)
		return -ENOENT;
	return err ?: store_number(d->store, key_of("bound", farm, key), &out->bound);
}

static void canary_write(struct daemon *d, const char *farm, const struct canary *c)
{
	char key[48];

	if (d->store && (store_number_set(d->store, key_of("since", farm, key), c->since) ||
			 store_number_set(d->store, key_of("bound", farm, key), c->bound)))
		trouble_set(d, "canary", "%s", store_error(d->store));
}

void canary_begin(struct daemon *d, const char *farm, double bound, const struct clock *c)
{
	canary_write(d, farm, &(struct canary){ .since = c->real, .bound = fmax(bound, 1) * 1000 });
}

static bool is_of(const struct rule_entry *e, const char *farm)
{
	const char *of = rule_farm(e);

	return of && !strcmp(of, farm);
}

uint16_t canary_stage(struct daemon *d, const char *farm)
{
	uint16_t stage = 10000;

	for (size_t i = 0; i < d->rules.n; i++)
		if (is_of(d->rules.at[i], farm) && !d->rules.at[i]->shadow &&
		    d->rules.at[i]->canary < stage)
			stage = d->rules.at[i]->canary;
	return stage;
}

/* ---- proved benign hits ------------------------------------------------------------- */

struct place {
	uint64_t src, stack, family, plen;
};

static bool add_place(const struct farm *f, const struct farm_member *m, uint64_t plen,
		      struct table *out)
{
	uint64_t src = plen < 64 ? m->src >> (64 - plen) << (64 - plen) : m->src;

	return table_add(out, &(struct place){ src, f->stack, m->family, plen }, NULL) != NULL;
}

static int members_of(const struct farm *f, struct table *out)
{
	for (size_t i = 0; i < f->n_members; i++) {
		const struct farm_member *m = &f->members[i];

		if (m->posterior < 0.5)
			continue;
		if (!add_place(f, m, m->family == 4 ? 128 : 64, out) ||
		    (m->family == 6 && (!add_place(f, m, 56, out) || !add_place(f, m, 48, out))))
			return -ENOMEM;
	}
	return 0;
}

/* Whether its source has been acquitted for so long, and was met meanwhile. */
static bool is_benign(const struct daemon *d, struct rule_entry *e, bool member, uint64_t met,
		      const struct clock *c)
{
	if (member || !e->acquitted) {
		e->acquitted = member ? 0 : c->mono;
		e->met = met;
		return false;
	}
	return met > e->met && c->mono - e->acquitted >= 2 * d->cfg.detect.config.window;
}

static size_t benign_hits(struct daemon *d, const struct farm *f)
{
	_cleanup_(table_clearp) struct table members;
	struct clock c = clock_now();
	size_t n = 0;

	table_init(&members, sizeof(struct place), 0);
	if (members_of(f, &members))
		return 0;
	for (size_t i = 0; i < d->rules.n; i++) {
		struct rule_entry *e = d->rules.at[i];
		struct rule_hits hits;
		struct place at = { .stack = e->stack_key, .plen = e->spec.src.plen };
		uint8_t family;

		if (!is_of(e, f->id))
			continue;
		hits = rulebook_hits(&d->rules, &c, e);
		at.src = source_of(e->spec.src.net, &family);
		at.family = family;
		n += is_benign(d, e, table_find(&members, &at), hits.connections + hits.would, &c);
	}
	return n;
}

/* ---- steps ------------------------------------------------------------------------------ */

static int change_all(struct daemon *d, const char *farm, const struct rule_change *change,
		      const char *verb, const char *detail)
{
	_cleanup_(freep) uint32_t *handle = calloc(d->rules.n + 1, sizeof(*handle));
	struct clock c = clock_now();
	char args[64];
	struct audit_row audit = {
		.time = c.real, .uid = geteuid(), .verb = verb, .args = args, .detail = detail
	};
	struct reason r = {};
	size_t n = 0;
	int err;

	if (!handle)
		return -ENOMEM;
	snprintf(args, sizeof(args), "{\"farm\":\"%s\"}", farm);
	for (size_t i = 0; i < d->rules.n; i++)
		if (is_of(d->rules.at[i], farm))
			handle[n++] = d->rules.at[i]->handle;
	err = rulebook_change(&d->rules, &c, handle, n, change, &audit, &r);
	if (err)
		trouble_set(d, "canary", "farm %s: %s", farm, r.text);
	return err;
}

static void roll_back(struct daemon *d, const struct farm *f, size_t hits, const struct canary *c)
{
	struct rule_change change = { .what = CHANGE_COUNT };
	char detail[128];

	snprintf(detail, sizeof(detail), "%zu benign sources hit, at most %.1f were expected", hits,
		 c->bound / 1000.0);
	if (change_all(d, f->id, &change, "canary.rollback", detail))
		return;
	canary_write(d, f->id, &(struct canary){});
	trouble_set(d, "canary", "farm %s: rolled back, its rules only count: %s", f->id, detail);
	farms_settle_states(d, d->verdicts);
}

static void advance(struct daemon *d, const struct farm *f, uint16_t stage, struct canary *c,
		    const struct clock *now)
{
	struct rule_change change = { .what = CHANGE_CANARY,
				      .canary = stage < 1000 ? 1000 : 10000 };
	char detail[64];

	snprintf(detail, sizeof(detail), "%d%% of the sources", change.canary / 100);
	if (change_all(d, f->id, &change, "canary.advance", detail))
		return;
	log_note("canary: farm %s: %s", f->id, detail);
	c->since = now->real;
	canary_write(d, f->id, c);
}

void canary_tick(struct daemon *d, const struct clock *now)
{
	for (size_t i = 0; i < d->verdicts->farms.n; i++) {
		const struct farm *f = &d->verdicts->farms.farm[i];
		struct canary c;
		uint16_t stage;
		size_t hits;

		if (canary_read(d, f->id, &c))
			continue;
		hits = benign_hits(d, f);
		stage = canary_stage(d, f->id);
		if (hits * 1000 > c.bound)
			roll_back(d, f, hits, &c);
		else if (stage < 10000 && now->real - c.since >= d->cfg.canary_step)
			advance(d, f, stage, &c, now);
	}
}

json_t *canary_json(struct daemon *d, const char *farm)
{
	const struct farm *f = farm_find(d->verdicts, farm);
	struct canary c;
	int err = f ? canary_read(d, farm, &c) : -ENOENT;

	if (err && err != -ENOENT)
		json_miss();
	if (err)
		return json_null();
	return json_pack("{s:f, s:o, s:I, s:f}", "share", canary_stage(d, farm) / 10000.0, "since",
			 time_json(c.since), "benign_hits", (json_int_t)benign_hits(d, f),
			 "benign_at_most", c.bound / 1000.0);
}
