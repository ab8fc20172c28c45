/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay --sources`: the tally table when the capture has ended. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "cli/rows.h"
#include "model/rule_json.h"
#include "model/snapshot.h"
#include "model/source.h"

/* What keys are called, learnt from the hellos that went by. */
static struct table stacks; /* stack_key -> char * */
static struct table tcps;   /* tcp_key -> char * */

static int begin(struct secret *secret, struct reason *r)
{
	table_init(&stacks, sizeof(uint64_t), sizeof(char *));
	table_init(&tcps, sizeof(uint32_t), sizeof(char *));
	return 0;
}

static int learn(struct table *t, const void *key, const char *name)
{
	bool fresh;
	char **v = name ? table_add(t, key, &fresh) : NULL;

	if (!name || (v && !fresh))
		return 0;
	if (!v)
		return -ENOMEM;
	*v = strdup(name);
	return *v ? 0 : -ENOMEM;
}

static int hello(const struct replay_name *n)
{
	const struct event_hello *e = n->h->hello;
	uint64_t stack = e->hello.stack_key;
	uint32_t tcp = e->head.tcp_key;
	int err = 0;

	if (e->result == HELLO_OK)
		err = learn(&stacks, &stack, n->text->stack);
	if (!err && tcp)
		err = learn(&tcps, &tcp, n->text->tcp);
	return err;
}

static const char *name_of(const struct table *t, const void *key)
{
	char **v = table_find(t, key);

	return v ? *v : NULL;
}

/* Most exchanges first; the rest so that equal runs print equal lists. */
static int by_weight(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	if (x->exchanges != y->exchanges)
		return x->exchanges < y->exchanges ? 1 : -1;
	if (x->connections != y->connections)
		return x->connections < y->connections ? 1 : -1;
	if (x->family != y->family)
		return x->family - y->family;
	if (x->src != y->src)
		return x->src < y->src ? -1 : 1;
	if (x->service != y->service)
		return x->service - y->service;
	return (x->first_seen > y->first_seen) - (x->first_seen < y->first_seen);
}

static json_t *rows_json(struct replay *p, struct snapshot *s)
{
	json_t *rows = json_array();

	if (s->n_rows)
		qsort(s->rows, s->n_rows, sizeof(s->rows[0]), by_weight);
	for (size_t i = 0; rows && i < s->n_rows; i++) {
		const struct tally *t = &s->rows[i];
		uint64_t stack = t->stack;
		uint32_t tcp = t->tcp_key;
		json_t *o = source_json(s, t, name_of(&stacks, &stack), name_of(&tcps, &tcp));

		/* A capture's clock may jump; only the replay knows when it did. */
		json_object_set_new(o, "first_seen",
				    time_json(replay_stamp_time(p, t->first_seen)));
		json_object_set_new(o, "last_seen", time_json(replay_stamp_time(p, t->last_seen)));
		json_array_append_new(rows, o);
	}
	return rows;
}

static void forget(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(*(char **)table_value(t, i));
	table_clear(t);
}

static const struct column columns[] = {
	{ .head = "source", .key = "src" },
	{ .head = "stack", .key = "stack", .elastic = true },
	{ .head = "service", .key = "service", .kind = COL_COUNT, .brief = "port" },
	{ .head = "conns", .key = "connections", .kind = COL_COUNT },
	{ .head = "exchanges", .key = "exchanges", .kind = COL_COUNT, .brief = "exch" },
	{ .head = "in", .key = "bytes_in", .kind = COL_BYTES },
	{ .head = "out", .key = "bytes_out", .kind = COL_BYTES },
	{ .head = "last seen", .key = "last_seen" },
	{ .head = "min R", .key = "rtt_min_us", .kind = COL_US },
	{ .head = "resumed", .key = "resumed", .kind = COL_COUNT, .brief = "res" },
	{ 0 },
};

static int finish(struct replay *p)
{
	const struct replay_stats *stats = replay_stats(p);
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(stats->last_ns, 0);
	int err = s ? kern_read_tables(replay_kern(p), s, true) : -ENOMEM;
	json_t *doc;

	if (!err) {
		doc = json_pack("{s:s, s:o}", "schema", "winnow.sources/1", "sources",
				rows_json(p, s));
		rows_print(doc, "sources", "winnow.source/1", columns,
			   "No connection was proved, so nothing is tallied.", CLI_DONE);
		json_decref(doc);
	}
	forget(&stacks);
	forget(&tcps);
	return err;
}

const struct replay_view replay_sources = { begin, hello, finish, NULL };
