/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rivals.c - other methods on the same run, each at its own best F1.
 *
 *	rivals [KEY=VALUE]... >RESULT
 *
 * Keys: those of scenario (no format). Prints one JSON object, winnow.rivals/1:
 * precision, recall and F1 over (address, stack) pairs of the design's time.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/addr.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "tests/sim/rival.h"
#include "tests/sim/sim.h"

struct pair_key {
	uint64_t src;
	uint32_t stack, family;
};

struct gather {
	struct rivals r;
	struct table rows[2]; /* before the design and after: pair -> number of the row */
	struct rival_row *row[2];
	size_t room[2], n[2];
	uint64_t begins; /* ns */
	uint32_t os[RIVAL_OS];
};

static const struct {
	const char *name;
	rival_method *method;
} methods[] = {
	{ "rate limit, most in an hour", rival_rate_hour },
	{ "rate limit, in all", rival_rate_total },
	{ "VMR of the stack", rival_vmr },
	{ "Gini of the stack", rival_gini },
	{ "rare stack", rival_rare },
	{ "SynchroTrap", rival_synchrotrap },
	{ "BotMiner-style", rival_botminer },
	{ "LTSS", rival_subset },
	{ "isolation forest", rival_forest },
};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

/* ---- what is seen ----------------------------------------------------------------------- */

static int bin(double x, const double *edges, int n)
{
	int i = 0;

	while (i < n && x >= edges[i])
		i++;
	return i;
}

/* The day of a source as a cell of detection.md 5.1, without `burst`. */
static uint32_t cell_of(const struct rival_row *w)
{
	static const double d1[] = { 3, 10, 30, 100 }, dstar[] = { 8, 25, 80 };
	static const double counts[] = { 2, 4, 8, 16, 32, 64 };
	uint32_t resumed = !w->day_resumed ? 0 : 2 * w->day_resumed < w->day_connections ? 1 : 2;
	uint32_t a = w->day_n ? bin(exp(w->day_d1 / w->day_n), d1, 4) : 0;
	uint32_t b = w->day_n ? bin(exp(w->day_dstar / w->day_n), dstar, 3) : 0;

	return (((a * 4 + b) * RIVAL_OS + w->os) * 3 + resumed) * 7 +
	       bin(w->day_connections, counts, 6);
}

static void end_day(struct gather *g, struct rival_row *w, bool after)
{
	uint32_t cell;

	if (!w->day_connections)
		return;
	cell = cell_of(w);
	if (after && w->n_cells < RIVAL_DAYS)
		w->cell[w->n_cells++] = cell;
	(after ? g->r.now : g->r.history)[(size_t)w->stack * RIVAL_CELLS + cell]++;
	if (!after)
		g->r.history_sources[w->stack]++;
	w->day_connections = w->day_resumed = w->day_n = 0;
	w->day_d1 = w->day_dstar = 0;
}

static uint8_t os_of(struct gather *g, uint32_t key)
{
	uint8_t i;

	for (i = 0; i < RIVAL_OS - 1 && g->os[i] && g->os[i] != key;)
		i++;
	g->os[i] = key;
	return i;
}

static void count_delays(struct rival_row *w, const struct event_conn *e)
{
	double d1 = log(e->d1_us / 1e3 + .1), dstar = log(e->dstar_us / 1e3 + .1);

	if (e->d1_us != US_UNKNOWN) {
		w->d1 += d1;
		w->n_d1++;
	}
	if (e->dstar_us != US_UNKNOWN) {
		w->dstar += dstar;
		w->n_dstar++;
	}
	if (e->d1_us == US_UNKNOWN || e->dstar_us == US_UNKNOWN)
		return;
	w->day_d1 += d1;
	w->day_dstar += dstar;
	w->day_n++;
}

static void count_exchange(struct rival_row *w, const struct event_exchange *x, uint64_t ms)
{
	uint32_t hour = ms / 3600000, minute = ms / 60000;

	if (w->exchanges++) {
		double gap = log(1 + (ms > w->last ? ms - w->last : 0) / 1e3);

		w->gap += gap;
		w->gap2 += gap * gap;
		w->gaps++;
	}
	w->last = ms > w->last ? ms : w->last;
	if (w->hour != hour)
		w->in_hour = 0;
	w->hour = hour;
	if (++w->in_hour > w->most_in_hour)
		w->most_in_hour = w->in_hour;
	if (w->n_slots < RIVAL_SLOTS && (!w->n_slots || w->slot[w->n_slots - 1] < minute))
		w->slot[w->n_slots++] = minute;
	w->in += x->in;
	w->out += x->out;
}

static int connection(struct gather *g, const struct event_conn *e, const struct sim_truth *t)
{
	bool after = e->t >= g->begins;
	uint64_t ms =
		after ? (e->t - g->begins) / 1000000 : (e->t - SIM_START * NSEC_PER_SEC) / 1000000;
	uint8_t family;
	struct pair_key k = { .src = source_of(e->src, &family), .stack = t->stack };
	struct rival_row *w;
	uint32_t *number;
	bool added;

	k.family = family;
	number = table_add(&g->rows[after], &k, &added);
	if (!number || array_room(&g->row[after], g->n[after], &g->room[after], sizeof(*w)))
		return -ENOMEM;
	if (added) {
		*number = g->n[after]++;
		g->row[after][*number] =
			(struct rival_row){ .stack = t->stack, .first = ms, .last = ms };
	}
	w = &g->row[after][*number];
	if (w->day != ms / 86400000)
		end_day(g, w, after);
	w->day = ms / 86400000;
	w->os = os_of(g, e->tcp_key);
	w->farm |= t->role == FARM;
	w->connections++;
	w->resumed += e->psk;
	w->day_connections++;
	w->day_resumed += e->psk;
	count_delays(w, e);
	for (size_t i = 0; i < e->n_exchanges; i++)
		count_exchange(w, &e->exchanges[i], ms + e->exchanges[i].dt_ms);
	return 0;
}

static int look(struct gather *g, struct sim *s)
{
	struct sim_truth t;
	struct event_conn e;
	int more, err = 0;

	while (!err && (more = sim_next(s, &e, &t)) > 0)
		err = connection(g, &e, &t);
	for (int after = 0; after < 2 && !err; after++)
		for (size_t i = 0; i < g->n[after]; i++)
			end_day(g, &g->row[after][i], after);
	g->r.row = g->row[1];
	g->r.n = g->n[1];
	return err ? err : more;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static int answer(const struct gather *g, const struct sim_config *c)
{
	_cleanup_(freep) double *score = malloc((g->r.n + 1) * sizeof(*score));
	json_t *all = json_object(), *j;
	_cleanup_(freep) char *text = NULL;
	size_t len, farm = 0;
	FILE *f = open_memstream(&text, &len);
	int err = score && f && all ? 0 : -ENOMEM;

	for (size_t i = 0; i < g->r.n; i++)
		farm += g->r.row[i].farm;
	for (size_t m = 0; m < METHODS && !err; m++) {
		struct rival_best b;

		for (size_t i = 0; i < g->r.n; i++)
			score[i] = RIVAL_NONE;
		err = methods[m].method(&g->r, score);
		if (!err)
			err = rival_best(&g->r, score, &b);
		if (!err)
			json_object_set_new(all, methods[m].name,
					    json_pack("{s:f,s:f,s:f,s:f}", "f1", b.f1, "precision",
						      b.precision, "recall", b.recall, "threshold",
						      isfinite(b.threshold) ? b.threshold : 0));
	}
	if (!err) {
		sim_describe(c, f);
		fclose(f);
		j = json_pack("{s:s,s:s,s:I,s:I,s:o}", "schema", "winnow.rivals/1", "settings",
			      text, "pairs", (json_int_t)g->r.n, "farm", (json_int_t)farm,
			      "methods", all);
		err = json_dumpf(j, stdout, JSON_COMPACT) || fputc('\n', stdout) == EOF ? -EIO : 0;
		json_decref(j);
	}
	return err;
}

int main(int argc, char **argv)
{
	static struct gather g;
	_cleanup_(sim_freep) struct sim *s = NULL;
	struct sim_config c = sim_config_default();
	struct reason r = {};
	int err;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "enforce=", 8) && strncmp(argv[i], "window=", 7) &&
		    sim_option(&c, argv[i])) {
			fprintf(stderr,
				"rivals: %s: no such setting, or not a value it takes; see "
				"tests/sim/README.md\n",
				argv[i]);
			return 2;
		}
	}
	g.begins = SIM_START * NSEC_PER_SEC + (uint64_t)(c.history * 1e9);
	g.r.stacks = STACKS;
	g.r.history_sources = calloc(STACKS, sizeof(uint32_t));
	g.r.history = calloc((size_t)STACKS * RIVAL_CELLS, sizeof(float));
	g.r.now = calloc((size_t)STACKS * RIVAL_CELLS, sizeof(float));
	for (int i = 0; i < 2; i++)
		table_init(&g.rows[i], sizeof(struct pair_key), sizeof(uint32_t));
	err = g.r.history_sources && g.r.history && g.r.now ? sim_new(&c, &s, &r) : -ENOMEM;
	if (!err)
		err = look(&g, s);
	if (!err)
		err = answer(&g, &c);
	if (err)
		log_fail(err, "rivals: %s", r.text[0] ? r.text : "it stopped");
	for (int i = 0; i < 2; i++) {
		table_clear(&g.rows[i]);
		free(g.row[i]);
	}
	free(g.r.history_sources);
	free(g.r.history);
	free(g.r.now);
	return err ? 1 : 0;
}
