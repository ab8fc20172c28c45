/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/baseline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/features.h"
#include "detect/stats.h"

#define THRESHOLD_LEAST   50 /* 0.1 ms */
#define THRESHOLD_GREASE  100
#define THRESHOLD_SCRIPT  400
#define SOURCES_LEAST     5
#define CONTROL_LOOKED_AT 4000 /* records, evenly over all */
#define DRIFT_STEP        5    /* 0.1 ms: less is no change */

struct tcp_id {
	uint64_t stack;
	uint64_t tcp_key;
};

/* A source while it is being learnt from. */
struct sample {
	uint32_t record, stack; /* rows of the records and of baseline.stacks */
	uint32_t tcp_key;
	uint16_t dstar, rtt_min;
	uint8_t n, state; /* as struct delays has them */
	struct mixture_row x;
};

/* The samples of one stack. */
struct run {
	uint64_t stack;
	uint32_t row; /* of baseline.stacks */
	uint32_t n;
	size_t first;
};

void baseline_init(struct baseline *b)
{
	memset(b, 0, sizeof(*b));
	table_init(&b->flags, sizeof(uint64_t), sizeof(uint32_t));
	table_init(&b->stacks, sizeof(uint64_t), sizeof(struct stack_baseline));
	table_init(&b->kinds, sizeof(uint64_t), sizeof(struct mixture));
	table_init(&b->tcp, sizeof(struct tcp_id), sizeof(uint32_t));
	table_init(&b->sources, sizeof(struct source_id), sizeof(uint8_t));
	table_init(&b->prefixes, sizeof(struct source_id), sizeof(uint8_t));
}

void baseline_clear(struct baseline *b)
{
	table_clear(&b->flags);
	table_clear(&b->stacks);
	table_clear(&b->kinds);
	table_clear(&b->tcp);
	table_clear(&b->sources);
	table_clear(&b->prefixes);
}

uint64_t network_of(uint64_t src, uint8_t family, enum network size)
{
	static const uint8_t four[] = { 24, 20, 16 }, six[] = { 48, 44, 40 };

	return family == 4 ? src >> (32 - four[size]) : src >> (64 - six[size]);
}

const struct stack_baseline *baseline_stack(const struct baseline *b, uint64_t stack)
{
	return table_find(&b->stacks, &stack);
}

const struct mixture *baseline_kinds(const struct baseline *b, uint64_t stack)
{
	return table_find(&b->kinds, &stack);
}

double baseline_split_share(const struct baseline *b, uint64_t stack)
{
	const struct stack_baseline *s = baseline_stack(b, stack);

	return s ? (s->split + 0.5) / (s->sources + 1) : b->split_share;
}

unsigned int baseline_r_bin(uint16_t rtt_min)
{
	return rtt_min == 0 ? 1 : rtt_min < 100 ? 0 : rtt_min <= 500 ? 1 : 2;
}

static uint32_t threshold_unknown(const struct baseline *b, uint64_t stack)
{
	const uint32_t *flags = table_find(&b->flags, &stack);

	return flags && *flags & (HELLO_GREASE_CIPHER | HELLO_GREASE_EXT) ? THRESHOLD_GREASE
									  : THRESHOLD_SCRIPT;
}

uint32_t baseline_threshold_of(const struct baseline *b, uint64_t stack,
			       const struct stack_baseline *s, uint16_t rtt_min)
{
	if (!s || !s->threshold[0])
		return threshold_unknown(b, stack);
	return s->threshold[baseline_r_bin(rtt_min)] + s->drift;
}

uint32_t baseline_threshold(const struct baseline *b, uint64_t stack, uint16_t rtt_min)
{
	return baseline_threshold_of(b, stack, baseline_stack(b, stack), rtt_min);
}

int baseline_flags(struct baseline *b, uint64_t stack, uint32_t hello_flags)
{
	uint32_t *flags = table_add(&b->flags, &stack, NULL);

	if (!flags)
		return -ENOMEM;
	*flags |= hello_flags;
	return 0;
}

uint32_t baseline_source(const struct baseline *b, uint64_t src, uint8_t family)
{
	struct source_id id = { src, family };
	const uint8_t *seen = table_find(&b->sources, &id);

	return seen ? *seen : 0;
}

uint32_t baseline_prefix(const struct baseline *b, uint64_t src, uint8_t family)
{
	struct source_id id = { network_of(src, family, NETWORK_SMALL), family };
	const uint8_t *seen = table_find(&b->prefixes, &id);

	return seen ? *seen : 0;
}

uint32_t baseline_tcp(const struct baseline *b, uint64_t stack, uint32_t tcp_key)
{
	struct tcp_id id = { stack, tcp_key };
	const uint32_t *n = table_find(&b->tcp, &id);

	return n ? *n : 0;
}

double baseline_body(double *v, size_t n)
{
	size_t kept = n;

	stats_quantile(v, n, 0.5); /* sorts */
	for (;;) {
		double median = stats_quantile_sorted(v, kept, 0.5);
		double cut = median + 30 + 3 * stats_mad_sorted(v, kept, median);
		size_t k = 0;

		while (k < kept && v[k] <= cut)
			k++;
		if (k == kept)
			break;
		kept = k;
	}
	return stats_quantile_sorted(v, kept, 0.99);
}

static void thresholds(const struct baseline *b, uint64_t stack, struct stack_baseline *s,
		       const struct sample *all, size_t n)
{
	_cleanup_(freep) double *v = malloc((n ? n : 1) * sizeof(*v));
	uint32_t highest = 0;

	for (int r = 0; v && r < R_BINS; r++) {
		size_t k = 0;
		double q;

		for (size_t i = 0; i < n; i++) {
			if (all[i].n && baseline_r_bin(all[i].rtt_min) == (unsigned int)r)
				v[k++] = all[i].dstar;
		}
		s->threshold[r] = 0;
		if (k < SOURCES_LEAST)
			continue;
		q = baseline_body(v, k) * (k < 100 ? 1.25 : 1);
		s->threshold[r] = fmax(THRESHOLD_LEAST, q);
		if (s->threshold[r] > highest)
			highest = s->threshold[r];
		s->own_threshold = true;
	}
	if (!highest)
		highest = threshold_unknown(b, stack);
	for (int r = 0; r < R_BINS; r++) {
		if (!s->threshold[r])
			s->threshold[r] = highest;
	}
}

static int count_tcp(struct baseline *b, uint64_t stack, uint32_t tcp_key)
{
	struct tcp_id id = { stack, tcp_key };
	uint32_t *n = table_add(&b->tcp, &id, NULL);

	if (!n)
		return -ENOMEM;
	++*n;
	return 0;
}

static struct source_id prefix_of(const struct record_id *id)
{
	return (struct source_id){ network_of(id->src, id->family, NETWORK_SMALL), id->family };
}

static int mark_site(struct baseline *b, const struct record_id *id, enum delay_state state)
{
	uint8_t seen = SITE_SEEN | (state == DELAY_SPLIT    ? SITE_SPLIT
				    : state == DELAY_DIRECT ? SITE_DIRECT
							    : 0);
	struct source_id source = { id->src, id->family };
	struct source_id prefix = prefix_of(id);
	uint8_t *s = table_add(&b->sources, &source, NULL);
	uint8_t *p = table_add(&b->prefixes, &prefix, NULL);

	if (!s || !p)
		return -ENOMEM;
	*s |= seen;
	*p |= seen;
	return 0;
}

/* Kinds of a stack: direct and split, each regular or not, on top of the site's. */
static int learn_kinds(struct baseline *b, uint64_t stack, const struct sample *all, size_t k)
{
	_cleanup_(freep) struct mixture_row *rows = malloc((k ? k : 1) * sizeof(*rows));
	_cleanup_(freep) float *w = malloc((k ? k : 1) * sizeof(*w));
	struct mixture *m = table_add(&b->kinds, &stack, NULL);

	if (!rows || !w || !m)
		return -ENOMEM;
	for (size_t i = 0; i < k; i++)
		rows[i] = all[i].x;
	m->n = 4;
	for (int kind = 0; kind < 4; kind++) {
		bool split = kind & 1, regular = kind & 2;
		double mass = 0;

		for (size_t i = 0; i < k; i++) {
			w[i] = row_is_split(&rows[i]) == split &&
			       (rows[i].x[5] == 1 || rows[i].x[5] == 2) == regular;
			mass += w[i];
		}
		mixture_count(rows, w, k, 2, split ? b->pool_split : b->pool, m->class[kind].theta);
		m->class[kind].weight = (mass + 0.5) / (k + 2);
	}
	mixture_refine(m, rows, k, 5, 2, NULL);
	/* Two more, never refined: what the site knows, should this stack do it too. */
	m->n = 6;
	memcpy(m->class[4].theta, b->pool, sizeof(b->pool));
	memcpy(m->class[5].theta, b->pool_split, sizeof(b->pool_split));
	m->class[4].weight = 0.5 * POOL_SOURCES / (k + POOL_SOURCES);
	m->class[5].weight = b->split_share * POOL_SOURCES / (k + POOL_SOURCES);
	for (size_t i = 0; i < m->n; i++) {
		double p = m->class[i].weight;

		if (i < 4)
			p *= (double)k / (k + POOL_SOURCES);
		m->class[i].weight = p;
		m->class[i].cap = i == 0 || i == 2 || i == 4
					  ? 1
					  : fmax(3 * p, p + 3 * sqrt(p / (k + POOL_SOURCES)) +
								2.0 / (k + POOL_SOURCES));
	}
	return 0;
}

static void gather_stack(struct stack_baseline *s, enum delay_state state, const struct view *v)
{
	struct sessions_seen seen;
	uint32_t gaps = 0;

	s->sources++;
	s->split += state == DELAY_SPLIT;
	s->direct += state == DELAY_DIRECT;
	s->exchanges += v->exchanges;
	seen = sessions_seen(v->connections, v->resumed);
	sessions_add(&s->sessions, &seen);
	for (int g = 0; g < GAP_BINS; g++)
		gaps += v->gaps[g];
	for (int g = 0; g < GAP_BINS && gaps; g++)
		s->gaps[g] += v->gaps[g] * (gaps > 8 ? 8.0 / gaps : 1);
}

static void learn_pool(struct baseline *b, const struct sample *all, size_t n)
{
	struct mixture_row *rows = malloc((n ? n : 1) * sizeof(*rows));
	float *w = malloc((n ? n : 1) * sizeof(*w));
	double known = 0, concealed = 0;

	if (rows && w) {
		for (size_t i = 0; i < n; i++) {
			rows[i] = all[i].x;
			w[i] = all[i].state != DELAY_SPLIT;
			known += all[i].state != DELAY_UNKNOWN;
			concealed += !w[i];
		}
		mixture_count(rows, w, n, 1, NULL, b->pool);
		for (size_t i = 0; i < n; i++)
			w[i] = !w[i];
		mixture_count(rows, w, n, 1, NULL, b->pool_split);
		/* Few or none were split: then split is flat among the split levels. */
		b->pool_split[1][1] = fmin(b->pool_split[1][1], 0.05);
		b->split_share = (concealed + 0.5) / (known + 20);
	}
	free(rows);
	free(w);
}

/* Every record seen clean, and how many each stack has. */
static int gather(struct baseline *b, const struct windows *w, const struct detect_config *c,
		  struct sample *all, size_t *n)
{
	struct counts counts;

	for (size_t i = 0; i < w->n; i++) {
		struct stack_baseline *s;
		struct delays d;

		record_counts(w, i, &counts);
		if (!counts.clean.connections)
			continue;
		s = table_add(&b->stacks, &counts.row.stack, NULL);
		if (!s)
			return -ENOMEM;
		d = delays_of(b, c, &counts.row, &counts.clean);
		s->handshakes += d.measured;
		s->waiting += d.waiting;
		all[(*n)++] = (struct sample){ .record = i,
					       .stack = table_row(&b->stacks, s),
					       .tcp_key = counts.row.tcp_key,
					       .dstar = d.dstar,
					       .rtt_min = counts.row.rtt_min,
					       .n = d.n };
	}
	return 0;
}

static int by_stack(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->stack > y->stack) - (x->stack < y->stack);
}

/* Each sample to its place, in place: a million of them are memory. */
static void put_in_order(struct sample *all, uint32_t *place, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		while (place[i] != i) {
			uint32_t to = place[i];
			struct sample x = all[to];

			all[to] = all[i];
			all[i] = x;
			place[i] = place[to];
			place[to] = to;
		}
	}
}

/* Those of one stack side by side, stacks in order of their keys. */
static int sort_samples(const struct baseline *b, struct sample *all, size_t n, struct run **out)
{
	_cleanup_(freep) struct run *runs = calloc(b->stacks.n + 1, sizeof(*runs));
	_cleanup_(freep) size_t *next = calloc(b->stacks.n + 1, sizeof(*next));
	_cleanup_(freep) uint32_t *place = malloc((n + 1) * sizeof(*place));
	size_t first = 0;

	if (!runs || !next || !place)
		return -ENOMEM;
	for (size_t i = 0; i < b->stacks.n; i++) {
		memcpy(&runs[i].stack, table_key(&b->stacks, i), sizeof(runs[i].stack));
		runs[i].row = i;
	}
	for (size_t i = 0; i < n; i++)
		runs[all[i].stack].n++;
	qsort(runs, b->stacks.n, sizeof(*runs), by_stack);
	for (size_t i = 0; i < b->stacks.n; i++) {
		runs[i].first = next[runs[i].row] = first;
		first += runs[i].n;
	}
	for (size_t i = 0; i < n; i++)
		place[i] = next[all[i].stack]++;
	put_in_order(all, place, n);
	*out = take_ptr(runs);
	return 0;
}

/* A clean view was counted before there was a threshold: again, from what is kept. */
static void recount(const struct baseline *b, const struct tally *row, struct view *clean)
{
	uint32_t threshold = baseline_threshold(b, row->stack, row->rtt_min);

	clean->direct = clean->split = 0;
	for (int d = 0; d < DSTAR_KEPT; d++) {
		uint16_t x = row->dstar[d];

		if (x == DSTAR_NONE)
			continue;
		if ((uint32_t)(x & ~DSTAR_RESUMED) >= threshold)
			clean->split++;
		else
			clean->direct++;
	}
}

/* Features but the one of TCP: for that all have to be counted. */
static int learn_source(struct baseline *b, struct windows *w, const struct detect_config *c,
			struct stack_baseline *s, struct sample *a)
{
	struct record *r = &w->records[a->record];
	struct counts counts;
	uint32_t direct, split;
	struct delays d;
	int err = 0;

	record_counts(w, a->record, &counts);
	d = delays_of(b, c, &counts.row, &counts.clean);
	if (d.state == DELAY_DIRECT)
		r->clean_dstar = d.dstar + 1;
	direct = counts.clean.direct;
	split = counts.clean.split;
	recount(b, &counts.row, &counts.clean);
	if (counts.clean.direct != direct || counts.clean.split != split)
		err = record_keep(w, a->record, &counts);
	gather_stack(s, d.state, &counts.clean);
	a->state = d.state;
	a->x = features_of(b, &counts.row, &counts.clean, &d,
			   (double)(w->now - r->first_seen) / 1e9);
	if (!err && a->tcp_key) {
		s->tcp_sources++;
		err = count_tcp(b, counts.row.stack, a->tcp_key);
		if (!err)
			err = count_tcp(b, 0, a->tcp_key);
	}
	return err ? err : mark_site(b, record_id(w, a->record), d.state);
}

/* Records lie in another order than samples: those to come are asked for. */
static void ask_for(const struct baseline *b, const struct windows *w, const struct sample *all,
		    size_t n, size_t i)
{
	if (i + RECORDS_AHEAD < n) {
		const struct record_id *id = record_id(w, all[i + RECORDS_AHEAD].record);
		struct source_id source = { id->src, id->family };
		struct source_id prefix = prefix_of(id);

		table_ask(&b->sources, &source);
		table_ask(&b->prefixes, &prefix);
		record_ask_counts(w, all[i + RECORDS_AHEAD].record);
	}
	if (i + 2 * RECORDS_AHEAD < n)
		record_ask(w, all[i + 2 * RECORDS_AHEAD].record);
}

/* `n`: samples from its first to the last of all. */
static int learn_stack(struct baseline *b, struct windows *w, const struct detect_config *c,
		       const struct run *run, struct sample *all, size_t n)
{
	struct stack_baseline *s = table_value(&b->stacks, run->row);
	int err = 0;

	thresholds(b, run->stack, s, all, run->n);
	s->seconds = (double)(b->until - b->from) / 1e9;
	for (size_t i = 0; i < run->n && !err; i++) {
		ask_for(b, w, all, n, i);
		err = learn_source(b, w, c, s, &all[i]);
	}
	return err;
}

int baseline_learn(struct baseline *b, struct windows *w, const struct detect_config *c)
{
	_cleanup_(freep) struct sample *all = malloc((w->n + 1) * sizeof(*all));
	_cleanup_(freep) struct run *runs = NULL;
	size_t n = 0;
	int err;

	if (!all)
		return -ENOMEM;
	err = gather(b, w, c, all, &n);
	if (!err)
		err = sort_samples(b, all, n, &runs);
	if (!err)
		err = table_reserve(&b->sources, n);
	if (!err)
		err = table_reserve(&b->kinds, b->stacks.n);
	b->from = w->begun > c->window ? w->begun - c->window : 0;
	b->until = w->now;
	for (size_t i = 0; i < b->stacks.n && !err; i++)
		err = learn_stack(b, w, c, &runs[i], all + runs[i].first, n - runs[i].first);
	b->learnt = true;
	for (size_t i = 0; i < b->stacks.n && !err; i++)
		for (size_t j = runs[i].first; j < runs[i].first + runs[i].n; j++)
			all[j].x.x[FEATURE_TCP] = feature_tcp(b, runs[i].stack, all[j].tcp_key);
	if (!err)
		learn_pool(b, all, n);
	for (size_t i = 0; i < b->stacks.n && !err; i++)
		err = learn_kinds(b, runs[i].stack, all + runs[i].first, runs[i].n);
	return err;
}

/* ---- drift ------------------------------------------------------------------- */

/* A source of the control group with enough new handshakes. */
struct rise {
	uint64_t stack;
	double rise;
	uint32_t measured, waiting;
};

static int by_rise_stack(const void *a, const void *b)
{
	const struct rise *x = a, *y = b;

	return (x->stack > y->stack) - (x->stack < y->stack);
}

static void drift_of(const struct rise *all, size_t n, double *v, uint32_t *drift, bool *waits)
{
	uint32_t measured = 0, waiting = 0;
	double rise;

	for (size_t i = 0; i < n; i++) {
		v[i] = all[i].rise;
		measured += all[i].measured;
		waiting += all[i].waiting;
	}
	rise = fmax(0, baseline_body(v, n));
	if (fabs(rise - *drift) >= DRIFT_STEP || rise == 0)
		*drift = rise;
	*waits = measured >= 20 && 10 * waiting > measured;
}

int baseline_drift(struct baseline *b, const struct windows *w, const struct detect_config *c)
{
	size_t n = 0, k, step = 1 + w->n / CONTROL_LOOKED_AT, room = w->n / step + 2;
	_cleanup_(freep) struct rise *all = calloc(room, sizeof(*all));
	_cleanup_(freep) double *v = calloc(room, sizeof(*v));

	if (!all || !v)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i += step) {
		const struct record *r = &w->records[i];
		struct counts counts;
		struct view lately;
		struct delays d;

		if (i + 2 * RECORDS_AHEAD * step < w->n)
			record_ask(w, i + 2 * RECORDS_AHEAD * step);
		if (i + RECORDS_AHEAD * step < w->n)
			record_ask_counts(w, i + RECORDS_AHEAD * step);
		if (!r->clean_dstar || !record_active(r))
			continue;
		record_counts(w, i, &counts);
		lately = counts_lately(&counts);
		if (lately.connections < DSTAR_KEPT)
			continue;
		d = delays_of(b, c, &counts.row, &lately);
		all[n++] = (struct rise){ .stack = counts.row.stack,
					  .rise = d.dstar + 1.0 - r->clean_dstar,
					  .measured = d.measured,
					  .waiting = d.waiting };
	}
	if (n >= SOURCES_LEAST) {
		drift_of(all, n, v, &b->drift, &b->waits);
	} else {
		b->drift = 0;
		b->waits = false;
	}
	for (size_t i = 0; i < b->stacks.n; i++) {
		struct stack_baseline *s = table_value(&b->stacks, i);

		s->controlled = false;
	}
	qsort(all, n, sizeof(*all), by_rise_stack);
	for (size_t i = 0; i < n; i += k) {
		struct stack_baseline *s = table_find(&b->stacks, &all[i].stack);

		for (k = 1; i + k < n && all[i + k].stack == all[i].stack;)
			k++;
		if (!s || k < SOURCES_LEAST)
			continue;
		drift_of(&all[i], k, v, &s->drift, &s->waits);
		s->controlled = true;
	}
	for (size_t i = 0; i < b->stacks.n; i++) {
		struct stack_baseline *s = table_value(&b->stacks, i);

		if (s->controlled)
			continue;
		s->drift = b->drift;
		s->waits = b->waits;
	}
	return 0;
}
