/* SPDX-License-Identifier: BSD-2-Clause */
/* days.c - when a day is over: what it looked like goes into the ledger. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "detect/internal.h"

#define WATCHED_DAYS 7
#define LEDGER_LEAST 50 /* sources of a cohort worth a table */
/* Lately has to be about a day: 20 to 48 hours. */
#define HORIZON_LEAST (20 * 3600 * NSEC_PER_SEC)
#define HORIZON_MOST  (48 * 3600 * NSEC_PER_SEC)

uint32_t days_of(uint64_t ns)
{
	/* The window that ends at midnight belongs to the day before. */
	return (ns - 1) / NSEC_PER_DAY;
}

size_t days_known(const struct detect *d, const struct cohort_id *key)
{
	return ledger_days(ledger_find(&d->ledger, key), days_of(d->windows.now) + 1);
}

void detect_past(struct detect *d, past_fn find, void *ctx)
{
	d->past = find;
	d->past_ctx = ctx;
}

size_t days_past(const struct detect *d, const struct record_id *id, struct past out[PAST_DAYS])
{
	struct past key = { .src = id->src,
			    .stack = id->stack,
			    .service = id->service,
			    .family = id->family,
			    .proto = id->proto };

	return d->past ? d->past(d->past_ctx, &key, out) : 0;
}

uint32_t detect_day(struct detect *d, struct past **rows, size_t *n)
{
	uint32_t day = d->day_ended;

	*rows = NULL;
	*n = 0;
	if (!day)
		return 0;
	*rows = take_ptr(d->day_rows);
	*n = d->n_day_rows;
	d->n_day_rows = 0;
	d->day_ended = 0;
	return day;
}

static uint16_t at_most(uint32_t v)
{
	return v > 0xffff ? 0xffff : v;
}

/* What is written of one source. */
static void day_row(struct detect *d, const struct cohort_member *m, uint16_t cell, float counted)
{
	const struct record *r = &d->windows.records[m->record];
	const struct record_id *id = record_id(&d->windows, m->record);
	struct counts c;
	struct view lately;

	record_counts(&d->windows, m->record, &c);
	lately = counts_lately(&c);
	d->day_rows[d->n_day_rows++] = (struct past){
		.src = id->src,
		.stack = id->stack,
		.service = id->service,
		.family = id->family,
		.proto = id->proto,
		.tcp_key = c.row.tcp_key,
		.connections = lately.connections,
		.exchanges = lately.exchanges,
		.first_seen = r->first_seen / NSEC_PER_SEC,
		.last_seen = r->last_moved / NSEC_PER_SEC,
		.cell = cell,
		.posterior = 10000 * m->weight,
		.counted = 10000 * counted,
		.direct = at_most(lately.direct),
		.split = at_most(lately.split),
		.resumed = at_most(lately.resumed),
		.dstar = at_most(m->dstar),
		.rtt_min = r->rtt_min,
	};
}

static void remember_cell(struct record *r, uint16_t cell)
{
	memmove(r->cell + 1, r->cell, (DAY_CELLS - 1) * sizeof(r->cell[0]));
	r->cell[0] = cell;
	r->days += r->days < DAY_CELLS;
}

/* What is flagged does not become ordinary; what is only watched does after a week. */
static bool is_suspected(const struct detect *d, const struct cohort_state *state)
{
	return state &&
	       (state->verdict.state >= FARM_FLAG ||
		(state->verdict.state == FARM_WATCH &&
		 state->verdict.watched_at + WATCHED_DAYS * NSEC_PER_DAY > d->windows.now));
}

/* Of a farm that passes for people most weights are small, and what they leave would be as
 * many split sources as are there: in a few days all of it would be ordinary. So while a
 * cohort is suspected no larger share of it is split than was. */
static int ordinary_split(const struct detect *d, const struct cohort_id *key,
			  const struct cohort *all, const struct mixture_row *rows, float *out)
{
	_cleanup_(freep) float *history = calloc(CELLS, sizeof(*history));
	double sum, was = 0, split = 0, rest = 0;

	if (!history)
		return -ENOMEM;
	sum = ledger_history(ledger_find(&d->ledger, key), days_of(d->windows.now) + 1, history);
	for (int c = 0; c < CELLS; c++) {
		struct mixture_row row = cell_row(c);

		was += row_is_split(&row) ? history[c] : 0;
	}
	for (size_t i = 0; i < all->n; i++)
		*(row_is_split(&rows[i]) ? &split : &rest) += 1 - all->members[i].weight;
	/* A split source more than none, or the first honest one would be the farm's. */
	was = (was + 1) / fmax(sum - was, 1) * rest;
	*out = split > was ? was / split : 1;
	return 0;
}

/* Not when a day ends: it is six fits more, and few cohorts are ever judged. */
int days_settle(struct detect *d, const struct cohort_id *key)
{
	struct ledger_stack *s = ledger_find(&d->ledger, key);
	uint32_t until = days_of(d->windows.now) + 1;
	int at[LEDGER_DAYS], err = 0;
	size_t n = s ? ledger_unsettled(s, until, at) : 0;

	for (size_t i = 0; i < n && !err; i++) {
		double score;

		err = fit_left_out(d, key, at[i], until, &score);
		if (!err)
			ledger_score(s, s->number[at[i]], score, ledger_days(s, until) - 1);
	}
	return err;
}

/* A day's table of one cohort; members of what is suspected are no part of it. */
static int close_cohort(struct detect *d, const struct cohort_id *key, const struct group *g,
			uint32_t day)
{
	struct cohort_state *state = table_find(&d->cohorts, key), passing = {};
	bool suspected = is_suspected(d, state);
	bool kept = g->sources >= LEDGER_LEAST, has = fit_has_days(d, key);
	_cleanup_(freep) struct mixture_row *rows = NULL;
	_cleanup_(freep) uint8_t *holds = NULL;
	_cleanup_(freep) float *full = NULL;
	struct ledger_stack *s;
	struct cohort all = {};
	struct cells cells;
	float ordinary = 1;
	size_t before;
	int err;

	full = calloc(CELLS, sizeof(*full));
	if (!full)
		return -ENOMEM;
	err = survey_cohort(d, key, g, &all, &rows, &holds);
	if (state)
		passing.origin = state->origin;
	if (!err && kept && (has || suspected))
		err = fit_cohort(d, &passing, &all, rows, holds);
	if (!err && suspected && has)
		err = ordinary_split(d, key, &all, rows, &ordinary);
	for (size_t i = 0; i < all.n && !err; i++) {
		uint16_t cell = cell_of(&rows[i]);
		float counted = suspected ? 1 - all.members[i].weight : 1;

		if (row_is_split(&rows[i]))
			counted *= ordinary;
		full[cell] += counted;
		remember_cell(&d->windows.records[all.members[i].record], cell);
		if (d->past)
			day_row(d, &all.members[i], cell, counted);
	}
	free(all.members);
	if (err || !kept)
		return err;
	before = days_known(d, key);
	s = ledger_add(&d->ledger, key);
	if (!s || cells_pack(full, &cells))
		return -ENOMEM;
	ledger_put(s, day, &cells);
	/* The first day begins from nothing - no source has a session to resume - and is like no
	 * other. */
	if (!suspected && before)
		ledger_score(s, day, passing.component.llr, before);
	return 0;
}

/* ---- a day at a time, or some of it a window ------------------------------------------- */

static void forget_rows(struct detect *d)
{
	free(d->day_rows);
	d->day_rows = NULL;
	d->n_day_rows = 0;
	table_clear(&d->closed);
	d->closing = 0;
}

int days_close(struct detect *d, uint32_t day, size_t sources)
{
	uint64_t horizon = d->config.window * d->config.horizon;

	if (horizon < HORIZON_LEAST || horizon > HORIZON_MOST)
		return 0;
	forget_rows(d);
	d->closing = day;
	return days_go_on(d, sources);
}

int days_go_on(struct detect *d, size_t sources)
{
	const struct table *cohorts = &d->windows.cohorts;
	int err = survey_take(d);

	if (!err && d->past) {
		/* Cohorts may have grown since the first part. */
		struct past *more =
			reallocarray(d->day_rows, d->n_day_rows + d->windows.n + 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		d->day_rows = more;
	}
	for (size_t i = 0; i < cohorts->n && !err; i++) {
		const struct cohort_id *key = table_key(cohorts, i);
		const struct group *g = &d->survey.groups[i];

		if (!g->sources || table_find(&d->closed, key))
			continue;
		if (!sources)
			return 0; /* the rest in the next window */
		if (!table_add(&d->closed, key, NULL))
			return -ENOMEM;
		err = close_cohort(d, key, g, d->closing);
		sources = sources > g->sources ? sources - g->sources : 0;
	}
	d->day = d->day_ended = d->closing;
	d->closing = 0;
	table_clear(&d->closed);
	return err;
}

/* ---- days of an earlier life ------------------------------------------------------------- */

static int by_cohort(const void *a, const void *b)
{
	const struct past *x = *(const struct past *const *)a, *y = *(const struct past *const *)b;

	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	return (x->service > y->service) - (x->service < y->service);
}

static int recall_cohort(struct detect *d, uint32_t day, const struct past **rows, size_t n,
			 float *full)
{
	struct cohort_id key = { rows[0]->stack, rows[0]->service };
	struct ledger_stack *s;
	struct cells cells;
	bool clean = true;

	if (n < LEDGER_LEAST)
		return 0;
	memset(full, 0, CELLS * sizeof(*full));
	for (size_t i = 0; i < n; i++) {
		clean = clean && rows[i]->counted == 10000;
		if (rows[i]->cell < CELLS)
			full[rows[i]->cell] += rows[i]->counted / 1e4F;
	}
	s = ledger_add(&d->ledger, &key);
	if (!s || cells_pack(full, &cells))
		return -ENOMEM;
	ledger_put(s, day, &cells);
	if (clean) /* to be scored when it is asked for */
		ledger_score(s, day, 0, 0);
	return 0;
}

int detect_recall_day(struct detect *d, uint32_t day, const struct past *rows, size_t n)
{
	_cleanup_(freep) const struct past **at = malloc((n + 1) * sizeof(*at));
	_cleanup_(freep) float *full = malloc(CELLS * sizeof(*full));
	int err = at && full ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		at[i] = &rows[i];
	if (!err)
		qsort(at, n, sizeof(*at), by_cohort);
	for (size_t i = 0, same; i < n && !err; i += same) {
		for (same = 1; i + same < n && !by_cohort(&at[i], &at[i + same]);)
			same++;
		err = recall_cohort(d, day, at + i, same, full);
	}
	if (!err && day > d->day)
		d->day = day;
	return err;
}

void days_recall(const struct detect *d, struct record *r, const struct record_id *id)
{
	struct past past[PAST_DAYS];
	size_t n = r->days || r->recalled ? 0 : days_past(d, id, past);

	r->recalled = true;
	for (size_t i = 0; i < n && r->days < DAY_CELLS; i++)
		if (past[i].cell < CELLS)
			r->cell[r->days++] = past[i].cell;
}
