/* SPDX-License-Identifier: BSD-2-Clause */
/* survey.c - one look at every record, then the sources of one cohort at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "detect/internal.h"

void survey_init(struct survey *y)
{
	memset(y, 0, sizeof(*y));
	table_init(&y->split, sizeof(struct source_id), sizeof(uint32_t));
}

void survey_clear(struct survey *y)
{
	free(y->glances);
	free(y->next);
	free(y->groups);
	table_clear(&y->split);
}

static bool held(const struct detect *d, const struct record_id *id, const struct record *r,
		 const struct view *clean)
{
	return r->in_clean && clean->split > clean->direct &&
	       baseline_source(&d->baseline, id->src, id->family) & SITE_SPLIT;
}

/* Of one address: how many of its stacks are split. */
static int count_split(struct table *t, const struct record_id *id, bool more)
{
	struct source_id key = { id->src, id->family };
	uint32_t *n = table_add(t, &key, NULL);

	if (!n)
		return -ENOMEM;
	*n += more ? 1 : -1;
	if (!*n)
		table_remove(t, &key);
	return 0;
}

/* What a source adds to its cohort; `by` is -1 to take it off again. */
static void count_glance(struct survey *y, uint32_t cohort, const struct glance *e, int by)
{
	struct group *g = &y->groups[cohort];

	if (!e->active)
		return;
	g->sources += by;
	g->split += e->state == DELAY_SPLIT && !e->held ? by : 0;
	g->exchanges += by * (double)e->exchanges;
	y->exchanges += by * (double)e->exchanges;
}

static int glance(struct detect *d, size_t i)
{
	const struct record_id *id = record_id(&d->windows, i);
	const struct record *r = &d->windows.records[i];
	struct glance *g = &d->survey.glances[i], was = *g;
	struct counts c;
	struct view lately;

	*g = (struct glance){ .active = record_active(r) };
	if (g->active) {
		record_counts(&d->windows, i, &c);
		lately = counts_lately(&c);
		g->exchanges = lately.exchanges;
		g->state = delays_of(&d->baseline, &d->config, &c.row, &lately).state;
		g->held = g->state == DELAY_SPLIT && held(d, id, r, &c.clean);
	}
	count_glance(&d->survey, d->windows.cohort[i], &was, -1);
	count_glance(&d->survey, d->windows.cohort[i], g, 1);
	if ((g->state == DELAY_SPLIT) != (was.state == DELAY_SPLIT))
		return count_split(&d->survey.split, id, g->state == DELAY_SPLIT);
	return 0;
}

/* Whether glances of before no longer hold. Drift of less than 0.5 ms is none. */
static bool all_changed(const struct detect *d)
{
	const struct survey *y = &d->survey;
	const struct baseline *b = &d->baseline;

	return !y->taken || y->shape != d->windows.shape || y->learnt != b->learnt ||
	       y->waits != b->waits || b->drift > y->drift + 5 || y->drift > b->drift + 5;
}

static void begin_anew(struct detect *d)
{
	struct survey *y = &d->survey;

	table_clear(&y->split);
	y->n = 0;
	y->n_groups = 0;
	y->exchanges = 0;
	y->shape = d->windows.shape;
	y->learnt = d->baseline.learnt;
	y->waits = d->baseline.waits;
	y->drift = d->baseline.drift;
}

/* Room for cohorts and records that are new, each record behind the others of its cohort. */
static int make_room(struct detect *d)
{
	struct survey *y = &d->survey;

	for (; y->n_groups < d->windows.cohorts.n; y->n_groups++) {
		if (array_room(&y->groups, y->n_groups, &y->room_groups, sizeof(*y->groups)))
			return -ENOMEM;
		y->groups[y->n_groups] = (struct group){ .first = NO_RECORD, .last = NO_RECORD };
	}
	for (; y->n < d->windows.n; y->n++) {
		struct group *g = &y->groups[d->windows.cohort[y->n]];

		if (array_room(&y->glances, y->n, &y->room_glances, sizeof(*y->glances)) ||
		    array_room(&y->next, y->n, &y->room_next, sizeof(*y->next)))
			return -ENOMEM;
		y->glances[y->n] = (struct glance){};
		y->next[y->n] = NO_RECORD;
		if (g->first == NO_RECORD)
			g->first = y->n;
		else
			y->next[g->last] = y->n;
		g->last = y->n;
	}
	return 0;
}

int survey_take(struct detect *d)
{
	struct survey *y = &d->survey;
	bool all = all_changed(d);
	int err;

	if (all)
		begin_anew(d);
	y->taken = false;
	err = make_room(d);
	for (size_t i = 0; all && !err && i < y->n; i++) {
		if (i + RECORDS_AHEAD < y->n)
			record_ask_counts(&d->windows, i + RECORDS_AHEAD);
		err = glance(d, i);
	}
	for (size_t i = 0; !all && !err && i < d->windows.n_moved; i++) {
		if (i + RECORDS_AHEAD < d->windows.n_moved)
			record_ask(&d->windows, d->windows.moved[i + RECORDS_AHEAD]);
		if (i + RECORDS_AHEAD / 2 < d->windows.n_moved)
			record_ask_counts(&d->windows, d->windows.moved[i + RECORDS_AHEAD / 2]);
		err = glance(d, d->windows.moved[i]);
	}
	y->taken = !err; /* or all is taken again */
	return err;
}

/* Its sources that did anything lately: how many. */
static size_t active_of(const struct survey *y, const struct group *g, uint32_t *out)
{
	size_t n = 0;

	for (uint32_t i = g->first; i != NO_RECORD; i = y->next[i]) {
		if (y->glances[i].active)
			out[n++] = i;
	}
	return n;
}

int survey_cohort(const struct detect *d, const struct cohort_id *key, const struct group *g,
		  struct cohort *c, struct mixture_row **rows, uint8_t **holds)
{
	_cleanup_(freep) uint32_t *at = malloc((g->sources + 1) * sizeof(*at));
	uint64_t begun = windows_since(&d->windows);
	size_t n;

	c->stack = key->stack;
	c->service = key->service;
	c->members = calloc(g->sources + 1, sizeof(*c->members));
	*rows = calloc(g->sources + 1, sizeof(**rows));
	*holds = calloc(g->sources + 1, sizeof(**holds));
	if (!at || !c->members || !*rows || !*holds)
		return -ENOMEM;
	n = active_of(&d->survey, g, at);
	for (size_t k = 0; k < n; k++) {
		uint32_t i = at[k];
		const struct record_id *id = record_id(&d->windows, i);
		const struct record *r = &d->windows.records[i];
		struct source_id source = { id->src, id->family };
		struct cohort_member *m = &c->members[c->n];
		const uint32_t *others;
		struct delays delays;
		struct counts counts;
		struct view lately;

		if (k + RECORDS_AHEAD < n)
			record_ask(&d->windows, at[k + RECORDS_AHEAD]);
		if (k + RECORDS_AHEAD / 2 < n)
			record_ask_counts(&d->windows, at[k + RECORDS_AHEAD / 2]);
		record_counts(&d->windows, i, &counts);
		lately = counts_lately(&counts);
		delays = delays_of(&d->baseline, &d->config, &counts.row, &lately);
		m->src = id->src;
		m->family = id->family;
		m->held = held(d, id, r, &counts.clean);
		m->split = delays.state;
		others = table_find(&d->survey.split, &source);
		m->was_direct = counts.clean.direct > 0;
		m->shared = others && *others > (m->split == DELAY_SPLIT);
		m->tcp_key = counts.row.tcp_key;
		m->connections = lately.connections;
		m->exchanges = lately.exchanges;
		m->resumed = lately.resumed;
		m->moved = record_moved(&d->windows, r) ? r->moved : 0;
		m->dstar = delays.dstar;
		m->far = delays.far;
		m->nearest = delays.nearest;
		m->kept = delays.n;
		m->measured = delays.measured;
		m->waiting = delays.waiting;
		m->first_seen = r->first_seen;
		m->seconds =
			(double)(d->windows.now - (r->first_seen > begun ? r->first_seen : begun)) /
			1e9;
		memcpy(m->gaps, lately.gaps, sizeof(m->gaps));
		m->record = i;
		member_handshakes(m, &lately, &counts.clean);
		(*rows)[c->n] =
			features_of(&d->baseline, &counts.row, &lately, &delays, m->seconds);
		(*holds)[c->n] = m->held;
		c->n++;
	}
	return 0;
}
