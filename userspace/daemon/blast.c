/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/blast.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/check.h"
#include "daemon/detector.h"
#include "detect/stats.h"
#include "model/json.h"
#include "store/days.h"

#define MINUTES      10
#define CROWD_STACKS 5 /* fewer are one person's programs */
#define MEMBER       0.5

struct source_id {
	uint64_t src, family;
};

struct member_id {
	uint64_t src, stack, family;
};

static int take_members(struct daemon *d, struct blast_view *v)
{
	const struct farms *farms = d->verdicts ? &d->verdicts->farms : NULL;

	for (size_t i = 0; farms && i < farms->n; i++) {
		const struct farm *f = &farms->farm[i];

		for (size_t k = 0; f->state != FARM_WATCH && k < f->n_members; k++) {
			const struct farm_member *m = &f->members[k];
			struct member_id id = { m->src, f->stack, m->family };
			struct blast_member *p = table_add(&v->members, &id, NULL);

			if (!p)
				return -ENOMEM;
			*p = (struct blast_member){ m->posterior, f->onset / NSEC_PER_DAY };
		}
	}
	return 0;
}

const struct blast_member *blast_member(const struct blast_view *v, uint64_t src, uint8_t family,
					uint64_t stack)
{
	return table_find(&v->members, &(struct member_id){ src, stack, family });
}

static double posterior(const struct blast_view *v, const struct tally *t)
{
	const struct blast_member *m = blast_member(v, t->src, t->family, t->stack);

	return m ? m->posterior : 0;
}

static bool in_period(const struct blast_view *v, const struct tally *t, enum blast_period p)
{
	uint64_t now = v->snap->time + v->snap->epoch;
	uint64_t span = p == BLAST_MINUTES ? MINUTES * 60 * NSEC_PER_SEC : NSEC_PER_DAY;

	return snapshot_ns(v->snap, t->last_seen) + span >= now;
}

bool blast_is_protected(const struct daemon *d, struct addr a)
{
	for (size_t i = 0; i < d->cfg.n_protected; i++)
		if (cidr_has(&d->cfg.protected[i], a))
			return true;
	return false;
}

struct source_sum {
	bool met;
	double benign, member; /* 1 - posterior of what is met, and the highest of all */
};

static void row_of(const struct blast_view *v, const struct rule_entry *e, const struct tally *t,
		   struct source_sum *s, struct blast *b)
{
	double p = posterior(v, t);

	s->member = fmax(s->member, p);
	if (e && !check_meets(v->d, e, v->snap, t))
		return;
	s->benign = s->met ? fmax(s->benign, 1 - p) : 1 - p;
	s->met = true;
	b->connections += t->connections;
	b->exchanges += t->exchanges;
	b->farm_exchanges += p * t->exchanges;
	b->benign_exchanges += (1 - p) * t->exchanges;
}

/* All rows of one source; `e` NULL: every rule. */
static void source_of_rule(const struct blast_view *v, const struct rule_entry *e, uint32_t first,
			   enum blast_period p, struct blast *b)
{
	struct source_sum s = {};
	const struct tally *t = NULL;
	bool seen = false;

	for (uint32_t i = first; i; i = v->next[i - 1]) {
		t = &v->snap->rows[i - 1];
		if (!in_period(v, t, p))
			continue;
		seen = true;
		row_of(v, e, t, &s, b);
	}
	if (!seen)
		return;
	b->all_sources++;
	b->all_outside += s.member < MEMBER;
	if (!s.met)
		return;
	b->sources++;
	b->benign_sources += s.benign;
	b->farm_sources += 1 - s.benign;
	b->outside += s.member < MEMBER;
	b->allowed += allowbook_holds(&v->d->allows, source_addr(t->src, t->family)) != NULL;
	b->protected += blast_is_protected(v->d, source_addr(t->src, t->family));
}

int blast_of(const struct blast_view *v, const struct rule_entry *e, enum blast_period p,
	     struct blast *out)
{
	struct source_id id = {};
	uint8_t family;
	uint32_t *first;

	*out = (struct blast){};
	if (rule_names_source(&e->spec)) {
		id.src = source_of(e->spec.src.net, &family);
		id.family = family;
		first = table_find(&v->sources, &id);
		if (first)
			source_of_rule(v, e, *first, p, out);
	} else {
		for (size_t i = 0; i < v->sources.n; i++)
			source_of_rule(v, e, *(uint32_t *)table_value(&v->sources, i), p, out);
	}
	out->all_sources = v->all[p].all_sources;
	out->all_outside = v->all[p].all_outside;
	out->upper95 = out->sources ? fmin(stats_upper95(out->benign_sources, 1), out->sources) : 0;
	return 0;
}

static int index_rows(struct blast_view *v)
{
	v->next = calloc(v->snap->n_rows + 1, sizeof(v->next[0]));
	if (!v->next)
		return -ENOMEM;
	for (size_t i = 0; i < v->snap->n_rows; i++) {
		const struct tally *t = &v->snap->rows[i];
		struct source_id id = { t->src, t->family };
		uint32_t *first = table_add(&v->sources, &id, NULL);

		if (!first)
			return -ENOMEM;
		v->next[i] = *first;
		*first = i + 1;
	}
	return 0;
}

static bool find_crowd(const struct blast_view *v, struct blast_crowd *out)
{
	_cleanup_(table_clearp) struct table stacks;
	size_t most = 0, at = 0;

	table_init(&stacks, sizeof(uint64_t), 0);
	for (size_t i = 0; i < v->snap->n_rows; i++)
		if (v->snap->rows[i].stack && in_period(v, &v->snap->rows[i], BLAST_DAY))
			table_add(&stacks, &v->snap->rows[i].stack, NULL);
	for (size_t i = 0; i < v->sources.n; i++) {
		size_t n = 0;

		for (uint32_t k = *(uint32_t *)table_value(&v->sources, i); k; k = v->next[k - 1])
			n += v->snap->rows[k - 1].stack &&
			     in_period(v, &v->snap->rows[k - 1], BLAST_DAY);
		if (n > most) {
			most = n;
			at = i;
		}
	}
	if (most < CROWD_STACKS || 2 * most <= stacks.n)
		return false;
	*out = (struct blast_crowd){ .stacks = most, .of = stacks.n };
	{
		const struct source_id *id = table_key(&v->sources, at);

		out->addr = source_addr(id->src, id->family);
	}
	return true;
}

int blast_look(struct daemon *d, struct blast_view *out)
{
	int err;

	*out = (struct blast_view){ .d = d };
	table_init(&out->sources, sizeof(struct source_id), sizeof(uint32_t));
	table_init(&out->members, sizeof(struct member_id), sizeof(struct blast_member));
	out->snap = daemon_snapshot(d);
	err = out->snap ? index_rows(out) : -ENOMEM;
	if (!err)
		err = take_members(d, out);
	for (int p = 0; !err && p < BLAST_PERIODS; p++)
		for (size_t i = 0; i < out->sources.n; i++)
			source_of_rule(out, NULL, *(uint32_t *)table_value(&out->sources, i), p,
				       &out->all[p]);
	if (err)
		blast_clear(out);
	else
		out->crowded = find_crowd(out, &out->crowd);
	return err;
}

void blast_clear(struct blast_view *v)
{
	snapshot_free(v->snap);
	days_free(v->days);
	table_clear(&v->sources);
	table_clear(&v->members);
	free(v->next);
	*v = (struct blast_view){};
}

void blast_add(struct blast *sum, const struct blast *b)
{
	sum->sources += b->sources;
	sum->connections += b->connections;
	sum->exchanges += b->exchanges;
	sum->farm_sources += b->farm_sources;
	sum->farm_exchanges += b->farm_exchanges;
	sum->benign_sources += b->benign_sources;
	sum->benign_exchanges += b->benign_exchanges;
	sum->outside += b->outside;
	sum->allowed += b->allowed;
	sum->protected += b->protected;
	sum->all_sources = b->all_sources;
	sum->all_outside = b->all_outside;
	sum->upper95 = fmin(stats_upper95(sum->benign_sources, 1), sum->sources);
}

json_t *blast_period_json(const struct blast *b)
{
	return json_pack(
		"{s:I, s:I, s:I, s:{s:o, s:o}, s:{s:o, s:o, s:o}, s:I, s:I, s:I, s:I, s:I}",
		"sources", (json_int_t)b->sources, "connections_at_most",
		(json_int_t)b->connections, "exchanges_at_most", (json_int_t)b->exchanges, "farm",
		"sources", json_round(b->farm_sources), "exchanges_at_most",
		json_round(b->farm_exchanges), "benign", "sources", json_round(b->benign_sources),
		"upper95", json_round(b->upper95), "exchanges_at_most",
		json_round(b->benign_exchanges), "outside_farms", (json_int_t)b->outside, "allowed",
		(json_int_t)b->allowed, "protected", (json_int_t)b->protected, "all_sources",
		(json_int_t)b->all_sources, "all_outside_farms", (json_int_t)b->all_outside);
}

static json_t *period_json(const struct blast_view *v, const struct rule_entry *e,
			   enum blast_period p)
{
	struct blast b;

	blast_of(v, e, p, &b);
	return blast_period_json(&b);
}

json_t *blast_json(const struct blast_view *v, const struct rule_entry *e)
{
	struct blast_past past;

	blast_past_of(v, e, &past);
	return json_pack("{s:o, s:o, s:o}", "minutes", period_json(v, e, BLAST_MINUTES), "day",
			 period_json(v, e, BLAST_DAY), "days", blast_past_json(&past));
}
