/* SPDX-License-Identifier: BSD-2-Clause */
/* survey.c - one look at every record, then the sources of one cohort at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/internal.h"

void survey_clear(struct survey *y)
{
	free(y->delays);
	free(y->next);
	table_clear(&y->split);
	table_clear(&y->groups);
}

/* Of one address: how many of its stacks are split. */
static int count_split(struct table *t, const struct record_id *id)
{
	struct source_id key = { id->src, id->family };
	uint32_t *n = table_add(t, &key, NULL);

	if (!n)
		return -ENOMEM;
	++*n;
	return 0;
}

static bool held(const struct detect *d, const struct record_id *id, const struct record *r)
{
	return r->in_clean && r->clean.split > r->clean.direct &&
	       baseline_source(&d->baseline, id->src, id->family) & SITE_SPLIT;
}

static bool active(const struct record *r)
{
	return r->newer.connections || r->older.connections || r->newer.exchanges ||
	       r->older.exchanges;
}

int survey_take(const struct detect *d, struct survey *y)
{
	memset(y, 0, sizeof(*y));
	table_init(&y->split, sizeof(struct source_id), sizeof(uint32_t));
	table_init(&y->groups, sizeof(struct cohort_id), sizeof(struct group));
	y->delays = calloc(d->windows.n + 1, sizeof(*y->delays));
	y->next = calloc(d->windows.n + 1, sizeof(*y->next));
	if (!y->delays || !y->next)
		return -ENOMEM;
	for (size_t i = d->windows.n; i-- > 0;) {
		const struct record_id *id = record_id(&d->windows, i);
		const struct record *r = &d->windows.records[i];
		struct cohort_id key = { id->stack, id->service };
		struct view lately;
		struct group *g;
		bool added;

		if (!active(r))
			continue;
		lately = record_lately(r);
		y->delays[i] = delays_of(&d->baseline, &d->config, &r->row, &lately);
		y->exchanges += lately.exchanges;
		g = table_add(&y->groups, &key, &added);
		if (!g)
			return -ENOMEM;
		y->next[i] = added ? NO_RECORD : g->first;
		g->first = i;
		g->sources++;
		g->exchanges += lately.exchanges;
		if (y->delays[i].state != DELAY_SPLIT)
			continue;
		if (!held(d, id, r))
			g->split++;
		if (count_split(&y->split, id))
			return -ENOMEM;
	}
	return 0;
}

int survey_cohort(const struct detect *d, const struct survey *y, const struct cohort_id *key,
		  const struct group *g, struct cohort *c, struct mixture_row **rows,
		  uint8_t **holds)
{
	uint64_t begun = d->windows.older_since;

	c->stack = key->stack;
	c->service = key->service;
	c->members = calloc(g->sources + 1, sizeof(*c->members));
	*rows = calloc(g->sources + 1, sizeof(**rows));
	*holds = calloc(g->sources + 1, sizeof(**holds));
	if (!c->members || !*rows || !*holds)
		return -ENOMEM;
	for (uint32_t i = g->first; i != NO_RECORD; i = y->next[i]) {
		const struct record_id *id = record_id(&d->windows, i);
		const struct record *r = &d->windows.records[i];
		struct source_id source = { id->src, id->family };
		struct cohort_member *m = &c->members[c->n];
		struct view lately = record_lately(r);
		const uint32_t *others;

		m->src = id->src;
		m->family = id->family;
		m->held = held(d, id, r);
		m->split = y->delays[i].state;
		others = table_find(&y->split, &source);
		m->shared = others && *others > (m->split == DELAY_SPLIT);
		m->tcp_key = r->row.tcp_key;
		m->connections = lately.connections;
		m->exchanges = lately.exchanges;
		m->moved = r->moved_window == d->windows.number ? r->moved : 0;
		m->bytes_in = lately.bytes_in;
		m->bytes_out = lately.bytes_out;
		m->dstar = y->delays[i].dstar;
		m->shortest = y->delays[i].shortest;
		m->measured = y->delays[i].measured;
		m->waiting = y->delays[i].waiting;
		m->first_seen = r->first_seen;
		m->seconds =
			(double)(d->windows.now - (r->first_seen > begun ? r->first_seen : begun)) /
			1e9;
		memcpy(m->gaps, lately.gaps, sizeof(m->gaps));
		m->record = i;
		member_handshakes(m, r);
		(*rows)[c->n] =
			features_of(&d->baseline, &r->row, &lately, &y->delays[i], m->seconds);
		(*holds)[c->n] = m->held;
		c->n++;
	}
	return 0;
}
