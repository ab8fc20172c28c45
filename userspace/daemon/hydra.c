/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What grows back after a farm's rules bite: members born since then, beyond as many as
 * were to be expected; how soon half of what was ruled is replaced; how many of the new
 * ones are ruled, and how many connections they had until then. What a rule on D* acts
 * on is tallied, too: its hits are not counted as theirs.
 *
 * A birth is the first time a member was seen. Expected is the rate of births in the
 * second half of the time between the farm's onset and the first rule that acted: in the
 * first it is still coming. A farm that was still growing makes that high, and
 * displacement a lower bound.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "daemon/farms_internal.h"
#include "model/json.h"
#include "model/rule_json.h"

struct source {
	uint64_t src, family;
};

struct hydra {
	uint64_t bite;      /* ns since 1970; 0: no rule acts */
	struct table ruled; /* struct source: of rules that act -> u64, hits tallied */
	size_t first;       /* of those, with the first lot */
	uint64_t *born;     /* after the bite, sorted */
	uint64_t *before;   /* connections of those that are ruled again, sorted */
	size_t n_born, n_again, n_before; /* before: in the second half of its time */
};

#define LOT_NS (10 * NSEC_PER_SEC) /* rules of one act */

static bool acts_for(const struct rule_entry *e, const char *farm)
{
	const char *of = rule_farm(e);

	return of && !e->shadow && !strcmp(of, farm);
}

static int take_rules(const struct rulebook *b, const char *farm, struct hydra *h)
{
	struct clock c = clock_now();

	for (size_t i = 0; i < b->n; i++)
		if (acts_for(b->at[i], farm) && (!h->bite || b->at[i]->created < h->bite))
			h->bite = b->at[i]->created;
	for (size_t i = 0; i < b->n; i++) {
		const struct rule_entry *e = b->at[i];
		struct source s = {};
		uint64_t *hits;
		uint8_t family;

		if (!acts_for(e, farm) || !rule_names_source(&e->spec))
			continue;
		s.src = source_of(e->spec.src.net, &family);
		s.family = family;
		hits = table_add(&h->ruled, &s, NULL);
		if (!hits)
			return -ENOMEM;
		if (e->spec.dstar_min)
			*hits += rulebook_hits(b, &c, e).connections;
		h->first += e->created <= h->bite + LOT_NS;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int take_births(const struct farm *f, struct hydra *h)
{
	uint64_t half = h->bite - (h->bite > f->onset ? h->bite - f->onset : 0) / 2;

	h->born = calloc(f->n_members + 1, sizeof(*h->born));
	h->before = calloc(f->n_members + 1, sizeof(*h->before));
	if (!h->born || !h->before)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_members; i++) {
		const struct farm_member *m = &f->members[i];
		const uint64_t *hits;

		if (m->first_seen <= h->bite) {
			h->n_before += m->first_seen > half;
			continue;
		}
		h->born[h->n_born++] = m->first_seen;
		hits = table_find(&h->ruled, &(struct source){ m->src, m->family });
		if (hits)
			h->before[h->n_again++] =
				m->connections > *hits ? m->connections - *hits : 0;
	}
	qsort(h->born, h->n_born, sizeof(*h->born), by_number);
	qsort(h->before, h->n_again, sizeof(*h->before), by_number);
	return 0;
}

static json_t *hydra_doc(const struct farm *f, const struct hydra *h, uint64_t now)
{
	double span = now > h->bite ? now - h->bite : 0;
	double before = h->bite > f->onset ? (h->bite - f->onset) / 2.0 : 0;
	double expected = before > 0 ? h->n_before * span / before : 0;
	double excess = fmax(0, h->n_born - expected);
	size_t half = (h->first + 1) / 2;

	return json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "since", time_json(h->bite),
			 "ruled", (json_int_t)h->first, "births", (json_int_t)h->n_born,
			 "births_expected", json_round(expected), "displacement_percent",
			 h->first ? json_round(100 * excess / h->first) : json_null(),
			 "half_life_seconds",
			 half && h->n_born >= half ? json_round((h->born[half - 1] - h->bite) / 1e9)
						   : json_null(),
			 "ruled_again", (json_int_t)h->n_again, "connections_before_rule",
			 h->n_again ? json_integer((json_int_t)h->before[h->n_again / 2])
				    : json_null());
}

json_t *hydra_json(struct daemon *d, const char *farm)
{
	const struct farm *f = farm_find(d->verdicts, farm);
	struct hydra h = {};
	json_t *doc = NULL;

	table_init(&h.ruled, sizeof(struct source), sizeof(uint64_t));
	if (f && !take_rules(&d->rules, farm, &h) && h.bite && !take_births(f, &h))
		doc = hydra_doc(f, &h, d->verdicts->farms.time);
	table_clear(&h.ruled);
	free(h.born);
	free(h.before);
	return doc ? doc : json_null();
}
