/* SPDX-License-Identifier: BSD-2-Clause */
/* What a rule would have hit on the stored days. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "daemon/blast.h"
#include "daemon/check.h"
#include "detect/stats.h"
#include "model/json.h"
#include "store/days.h"
#include "store/secret.h"

#define MEMBER 0.5

void blast_look_back(struct blast_view *v)
{
	struct daemon *d = v->d;
	char dir[PATH_MAX];
	struct reason r;
	int err;

	snprintf(dir, sizeof(dir), "%.*s/days", (int)(sizeof(dir) - 6), d->cfg.state_dir);
	err = days_look(dir, secret_id(&kern_control(d->kern)->secret), &v->days, &r);
	if (err && err != -ENOENT)
		trouble_set(d, "stored days", "%s; plans count without them", r.text);
	else
		trouble_set(d, "stored days", NULL);
}

struct source {
	uint64_t src, family;
};

/* One source, over all days. */
struct seen {
	float benign; /* of its most benign day */
	bool member;
};

struct look {
	const struct blast_view *v;
	const struct rule_entry *e;
	struct blast_past *out;
	struct table sources; /* struct source -> struct seen */
	size_t rows;
};

/* The day's own judgement; once its farm was there, the one of now if that is higher. */
static double posterior_of(const struct look *l, uint32_t day, const struct past *p)
{
	const struct blast_member *m = blast_member(l->v, p->src, p->family, p->stack);
	double then = p->posterior / 1e4;

	return m && day >= m->onset ? fmax(then, m->posterior) : then;
}

/* As if it were tallied now: what was split then is split. */
static struct tally as_tally(const struct look *l, const struct past *p)
{
	struct tally t = { .src = p->src,
			   .stack = p->stack,
			   .service = p->service,
			   .family = p->family,
			   .connections = p->connections,
			   .exchanges = p->exchanges,
			   .resumed = p->resumed,
			   .first_seen = l->v->snap->time >> STAMP_SHIFT };

	for (int i = 0; i < DSTAR_KEPT; i++)
		t.dstar[i] = i < p->split ? (uint16_t)~DSTAR_RESUMED : DSTAR_NONE;
	return t;
}

static int look_at(struct look *l, uint32_t day, const struct past *p, double *benign_today)
{
	struct tally t = as_tally(l, p);
	struct source source = { p->src, p->family };
	struct blast *b = &l->out->sum;
	double farm = posterior_of(l, day, p);
	struct seen *s;

	if (!check_meets(l->v->d, l->e, l->v->snap, &t))
		return 0;
	s = table_add(&l->sources, &source, NULL);
	if (!s)
		return -ENOMEM;
	s->benign = fmax(s->benign, 1 - farm);
	s->member |= farm >= MEMBER;
	*benign_today += 1 - farm;
	b->connections += p->connections;
	b->exchanges += p->exchanges;
	b->farm_exchanges += farm * p->exchanges;
	b->benign_exchanges += (1 - farm) * p->exchanges;
	return 0;
}

/* The first row that is not before the source's. */
static size_t first_of(const struct past *rows, size_t n, const struct past *key)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (past_order(&rows[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int look_at_day(void *ctx, uint32_t day, const struct past *rows, size_t n)
{
	struct look *l = ctx;
	struct past key = {};
	double benign = 0;
	size_t i = 0;
	int err = 0;

	if (l->rows && l->rows + n > BLAST_ROWS_MOST)
		return 0;
	if (rule_names_source(&l->e->spec)) {
		key.src = source_of(l->e->spec.src.net, &key.family);
		i = first_of(rows, n, &key);
	} else {
		l->rows += n;
	}
	for (; i < n && !err; i++) {
		if (key.family && (rows[i].src != key.src || rows[i].family != key.family))
			break;
		err = look_at(l, day, &rows[i], &benign);
	}
	if (!l->out->days++)
		l->out->last = day;
	l->out->first = day;
	l->out->worst_day = fmax(l->out->worst_day, benign);
	return err;
}

static void add_up(struct look *l)
{
	struct blast *b = &l->out->sum;

	for (size_t i = 0; i < l->sources.n; i++) {
		const struct source *id = table_key(&l->sources, i);
		const struct seen *s = table_value(&l->sources, i);

		b->sources++;
		b->benign_sources += s->benign;
		b->farm_sources += 1 - s->benign;
		b->outside += !s->member;
		b->allowed +=
			allowbook_holds(&l->v->d->allows, source_addr(id->src, id->family)) != NULL;
		b->protected += blast_is_protected(l->v->d, source_addr(id->src, id->family));
	}
	b->upper95 = b->sources ? fmin(stats_upper95(b->benign_sources, 1), b->sources) : 0;
}

int blast_past_of(const struct blast_view *v, const struct rule_entry *e, struct blast_past *out)
{
	struct look l = { .v = v, .e = e, .out = out };
	int err;

	*out = (struct blast_past){};
	if (!v->days)
		return 0;
	table_init(&l.sources, sizeof(struct source), sizeof(struct seen));
	err = days_each(v->days, look_at_day, &l);
	if (!err)
		add_up(&l);
	else
		*out = (struct blast_past){};
	table_clear(&l.sources);
	return err;
}

void blast_past_add(struct blast_past *sum, const struct blast_past *b)
{
	blast_add(&sum->sum, &b->sum);
	sum->worst_day += b->worst_day; /* at most: their worst days may differ */
	sum->days = b->days;
	sum->first = b->first;
	sum->last = b->last;
}

static json_t *day_json(uint32_t day)
{
	time_t t = (time_t)day * 86400;
	char text[16];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	return json_string(text);
}

json_t *blast_past_json(const struct blast_past *p)
{
	const struct blast *b = &p->sum;

	if (!p->days)
		return json_null();
	return json_pack(
		"{s:I, s:o, s:o, s:I, s:I, s:I, s:{s:o, s:o}, s:{s:o, s:o, s:o, s:o}, s:I, s:I, s:I}",
		"days", (json_int_t)p->days, "first", day_json(p->first), "last", day_json(p->last),
		"sources", (json_int_t)b->sources, "connections_at_most",
		(json_int_t)b->connections, "exchanges_at_most", (json_int_t)b->exchanges, "farm",
		"sources", json_round(b->farm_sources), "exchanges_at_most",
		json_round(b->farm_exchanges), "benign", "sources", json_round(b->benign_sources),
		"upper95", json_round(b->upper95), "exchanges_at_most",
		json_round(b->benign_exchanges), "worst_day_sources", json_round(p->worst_day),
		"outside_farms", (json_int_t)b->outside, "allowed", (json_int_t)b->allowed,
		"protected", (json_int_t)b->protected);
}
