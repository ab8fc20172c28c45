/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "detect/detect.h"
#include "detect/state.h"
#include "judge/feed.h"
#include "model/tallies.h"
#include "store/days.h"
#include "tls/names.h"

#define JA4_KEPT 16

struct stack_names {
	char name[40];
	char ja4[JA4_KEPT][40];
	size_t n_ja4;
	uint32_t flags;
};

struct judge {
	struct detect *detect;
	struct farms farms;
	struct plan plan;
	struct table names; /* stack -> struct stack_names * */
	uint64_t due, clean_for, last;
	struct days *days; /* NULL: nothing is remembered */
	bool unheard;      /* nobody asks what windows say */
	struct reason why; /* of the last error, where it has a sentence */

	/* events only */
	struct tallies *tallies;
	struct namer *namer;
	struct secret secret;
	struct tallies_name *hellos; /* by index */
	size_t n_hellos;
};

/* ---- life ------------------------------------------------------------------------ */

static int recall_day(void *ctx, uint32_t day, const struct past *rows, size_t n)
{
	return detect_recall_day(ctx, day, rows, n);
}

/* What earlier streams left. The detector's own settings are those given now; until when
 * traffic was clean is what it was, unless that is given, too. */
static int remember(struct judge *j, const struct detect_config *c, const char *dir,
		    uint64_t secret, struct reason *r)
{
	_cleanup_(freep) void *bytes = NULL;
	struct detect_config now = *c;
	size_t len;
	int err = days_open(dir, secret, &j->days, r);

	if (err)
		return err;
	detect_past(j->detect, days_find, j->days);
	err = days_kept(j->days, &bytes, &len, r);
	if (err == -ENOENT) /* then the days alone */
		err = days_each(j->days, recall_day, j->detect);
	if (err || !bytes)
		return err;
	err = detect_restore(j->detect, bytes, len);
	if (err)
		return reason_set(r, err, "%s/detector is %s. Move it away to begin anew", dir,
				  err == -EPROTO ? "of another version" : "damaged");
	detect_tables_anew(j->detect);
	if (!now.baseline_until)
		now.baseline_until = detect_configured(j->detect)->baseline_until;
	detect_configure(j->detect, &now);
	return 0;
}

int judge_open(const struct detect_config *c, const char *state_dir, uint64_t secret,
	       struct judge **out, struct reason *r)
{
	_cleanup_(judge_freep) struct judge *j = calloc(1, sizeof(*j));
	int err;

	if (!j)
		return reason_set(r, -ENOMEM, "out of memory");
	table_init(&j->names, sizeof(uint64_t), sizeof(struct stack_names *));
	/* Any secret: nothing of it leaves this process but in its own state. */
	j->secret = (struct secret){ { 1, 2, 3, 4 } };
	j->detect = detect_new(c);
	j->tallies = tallies_new();
	err = j->detect && j->tallies ? namer_new(&j->namer) : -ENOMEM;
	if (err)
		return reason_set(r, err, "%s", strerror(-err));
	err = state_dir ? remember(j, c, state_dir, secret, r) : 0;
	if (err) {
		days_free(take_ptr(j->days)); /* nothing was learnt, nothing is written */
		return err;
	}
	*out = take_ptr(j);
	return 0;
}

int judge_new(const struct judge_config *c, struct judge **out, struct reason *r)
{
	struct detect_config config = detect_config_default();

	config.baseline_windows = 0; /* a stream has no clean part but the one it is told */
	config.baseline_until = c->baseline_until;
	config.holdout = c->holdout;
	if (c->window)
		detect_config_window(&config, c->window);
	return judge_open(&config, c->state_dir, JUDGE_EVENTS, out, r);
}

int judge_keep(struct judge *j, struct reason *r)
{
	_cleanup_(freep) void *bytes = NULL;
	size_t len;
	int err = j->days ? detect_save(j->detect, &bytes, &len) : 0;

	if (err)
		return reason_set(r, err, "%s", strerror(-err));
	return j->days ? days_keep(j->days, bytes, len, r) : 0;
}

void judge_free(struct judge *j)
{
	struct reason unheard;

	if (!j)
		return;
	if (j->days)
		judge_keep(j, &unheard);
	days_free(j->days);
	for (size_t i = 0; i < j->names.n; i++)
		free(*(struct stack_names **)table_value(&j->names, i));
	table_clear(&j->names);
	plan_clear(&j->plan);
	farms_clear(&j->farms);
	detect_free(j->detect);
	tallies_free(j->tallies);
	namer_free(j->namer);
	free(j->hellos);
	free(j);
}

void judge_freep(struct judge **j)
{
	judge_free(*j);
}

/* ---- names ------------------------------------------------------------------------ */

int judge_name(struct judge *j, uint64_t stack, const char *name, const char *ja4,
	       uint32_t hello_flags)
{
	struct stack_names **slot = table_add(&j->names, &stack, NULL), *n;

	if (!slot)
		return -ENOMEM;
	if (!*slot)
		*slot = calloc(1, sizeof(**slot));
	n = *slot;
	if (!n)
		return -ENOMEM;
	n->flags |= hello_flags;
	if (name && !n->name[0])
		snprintf(n->name, sizeof(n->name), "%s", name);
	for (size_t i = 0; ja4 && i < n->n_ja4; i++) {
		if (!strcmp(n->ja4[i], ja4))
			return 0;
	}
	if (ja4 && n->n_ja4 < JA4_KEPT)
		snprintf(n->ja4[n->n_ja4++], sizeof(n->ja4[0]), "%s", ja4);
	return 0;
}

static const struct stack_names *names_of(const struct judge *j, uint64_t stack)
{
	struct stack_names **slot = table_find(&j->names, &stack);

	return slot ? *slot : NULL;
}

static const char *stack_name(void *ctx, uint64_t stack)
{
	const struct stack_names *n = names_of(ctx, stack);

	return n && n->name[0] ? n->name : NULL;
}

static size_t stack_ja4(void *ctx, uint64_t stack, const char **out, size_t max)
{
	const struct stack_names *n = names_of(ctx, stack);
	size_t i;

	for (i = 0; n && i < n->n_ja4 && i < max; i++)
		out[i] = n->ja4[i];
	return i;
}

struct farm_names judge_names(const struct judge *j)
{
	return (struct farm_names){ (void *)j, stack_name, stack_ja4 };
}

int judge_stacks(const struct judge *j, struct snapshot *s)
{
	int err = 0;

	for (size_t i = 0; i < j->names.n && !err; i++)
		err = snapshot_add_stack(s, *(const uint64_t *)table_key(&j->names, i),
					 (*(struct stack_names **)table_value(&j->names, i))
						 ->flags);
	return err;
}

/* ---- windows ------------------------------------------------------------------------ */

void judge_configure(struct judge *j, const struct detect_config *c)
{
	detect_configure(j->detect, c);
}

void judge_clean_for(struct judge *j, uint64_t baseline)
{
	j->clean_for = baseline;
}

void judge_skip(struct judge *j, uint64_t at)
{
	j->due = detect_next(j->detect, at);
}

uint64_t judge_due(struct judge *j, uint64_t now)
{
	struct detect_config c = *detect_configured(j->detect);

	if (!j->due && j->clean_for) {
		c.baseline_until = now + j->clean_for;
		detect_configure(j->detect, &c);
	}
	if (!j->due)
		j->due = detect_next(j->detect, now);
	return j->due;
}

/* A day that has ended goes to its file. */
static int keep_day(struct judge *j)
{
	_cleanup_(freep) struct past *rows = NULL;
	size_t n;
	uint32_t day = detect_day(j->detect, &rows, &n);

	return day && j->days ? days_write(j->days, day, rows, n, &j->why) : 0;
}

int judge_window(struct judge *j, const struct snapshot *s)
{
	int err;

	if (s->time + s->epoch < detect_now(j->detect))
		return reason_set(&j->why, -ERANGE,
				  "this traffic is older than what --state remembers already. Try: "
				  "captures in order of time, each once");
	plan_clear(&j->plan);
	farms_clear(&j->farms);
	j->due = detect_next(j->detect, s->time + s->epoch);
	err = detect_step(j->detect, s, j->unheard ? NULL : &j->farms,
			  j->unheard ? NULL : &j->plan);
	return err ? err : keep_day(j);
}

const char *judge_error(const struct judge *j)
{
	return j->why.text[0] ? j->why.text : NULL;
}

int judge_advance(struct judge *j, uint64_t until)
{
	int err = 0;

	while (!err && j->due && j->due <= until) {
		_cleanup_(snapshot_freep) struct snapshot *s = NULL;

		err = tallies_advance(j->tallies, j->due);
		if (!err)
			err = tallies_snapshot(j->tallies, false, &s);
		if (!err)
			err = judge_window(j, s);
	}
	return err;
}

void judge_unheard(struct judge *j, bool on)
{
	j->unheard = on;
}

const struct farms *judge_farms(const struct judge *j)
{
	return &j->farms;
}

const struct plan *judge_plan(const struct judge *j)
{
	return &j->plan;
}

/* ---- events --------------------------------------------------------------------------- */

int judge_hello(struct judge *j, const uint8_t *message, size_t len, uint32_t *index)
{
	struct tallies_name *more = realloc(j->hellos, (j->n_hellos + 1) * sizeof(*more));
	const struct names *names = NULL;
	struct hello hello = {};
	int err;

	if (!more)
		return -ENOMEM;
	j->hellos = more;
	if (namer_parse(j->namer, message, len, &j->secret, 't', &hello) != HELLO_OK)
		return -EINVAL;
	err = namer_name(j->namer, message, len, &hello, &names);
	if (!err)
		err = judge_name(j, hello.stack_key, names->stack, names->ja4, hello.flags);
	if (err)
		return err;
	*index = j->n_hellos;
	more[j->n_hellos++] = (struct tallies_name){ .stack = hello.stack_key,
						     .order = hello.order_hash,
						     .hello_flags = hello.flags };
	return 0;
}

uint64_t judge_last(const struct judge *j)
{
	return j->last;
}

static int reach(struct judge *j, const struct event_conn *e)
{
	if (e->hello >= j->n_hellos)
		return -EINVAL;
	return judge_due(j, e->t) <= e->t ? judge_advance(j, e->t) : 0;
}

int judge_event(struct judge *j, const struct event_conn *e)
{
	int err = reach(j, e);

	if (!err)
		err = tallies_connection(j->tallies, e, &j->hellos[e->hello]);
	if (err)
		return err;
	if (e->t > j->last)
		j->last = e->t;
	for (size_t i = 0; i < e->n_exchanges; i++) {
		uint64_t at = e->t + e->exchanges[i].dt_ms * NSEC_PER_MSEC;

		if (at > j->last)
			j->last = at;
	}
	return 0;
}

/* ---- enforcement ------------------------------------------------------------------------ */

int judge_enforce(struct judge *j, const char *farm, bool on)
{
	for (size_t i = 0; i < j->farms.n; i++) {
		struct farm *f = &j->farms.farm[i];

		if (strcmp(f->id, farm))
			continue;
		detect_enforced(j->detect, f->stack, f->service, on);
		return 0;
	}
	return -ENOENT;
}

int judge_blocked(struct judge *j, const struct event_conn *e)
{
	return reach(j, e);
}
