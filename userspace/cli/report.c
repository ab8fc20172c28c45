/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `winnow report`: asks the daemon for everything a report shows and puts it together,
 * winnow.report/1: {"time", "host", "version", "status", "stacks": those with the most
 * exchanges, "stacks_n", "farms": winnow.farm/1 each with "members_n", "exchanges",
 * "history", "plan", "delays", "matrix", "spread"}.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "abi.h"
#include "base/addr.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"
#include "base/version.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/farm_report.h"
#include "cli/source_report.h"
#include "export/report.h"

#define STACKS_SHOWN  25
#define MEMBERS_SHOWN 1000
#define RULES_SHOWN   500
#define SPARED_SHOWN  100
#define NETS_SHOWN    12
#define SOURCES_ASKED 50000

/* ---- the delays of members beside those of the stack's other sources ------------------ */

static const double edges_ms[] = { 1, 2, 3, 5, 8, 13, 20, 30, 50, 80, 130, 200, 300, 500, 1000 };
#define N_EDGES (sizeof(edges_ms) / sizeof(edges_ms[0]))

struct side {
	json_int_t delays[N_EDGES + 1];
	json_int_t matrix[D_BINS][D_BINS];
};

static json_t *members_set(const json_t *farm)
{
	json_t *set = json_object(), *m;
	size_t i;

	json_array_foreach(json_object_get(farm, "members"), i, m)
		json_object_set_new(set, json_text_at(m, "src", ""), json_true());
	return set;
}

static void add_source(struct side *s, const json_t *row)
{
	const json_t *matrix = json_object_get(row, "d1dstar");
	json_t *us = source_dstar(row);
	size_t bin = 0;

	if (json_is_number(us)) {
		while (bin < N_EDGES && json_number_value(us) / 1000 >= edges_ms[bin])
			bin++;
		s->delays[bin]++;
	}
	json_decref(us);
	for (int r = 0; r < D_BINS; r++)
		for (int c = 0; c < D_BINS; c++)
			s->matrix[r][c] +=
				json_integer_value(json_array_get(json_array_get(matrix, r), c));
}

static json_t *counts(const json_int_t *n, size_t len)
{
	json_t *list = json_array();

	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, json_integer(n[i]));
	return list;
}

static json_t *matrix_of(const struct side *s)
{
	json_t *rows = json_array();

	for (int r = 0; r < D_BINS; r++)
		json_array_append_new(rows, counts(s->matrix[r], D_BINS));
	return rows;
}

static void compare_delays(json_t *out, const json_t *farm, const json_t *sources)
{
	json_t *set = members_set(farm), *edges = json_array(), *row;
	struct side members = { 0 }, others = { 0 };
	size_t i;

	json_array_foreach((json_t *)sources, i, row) {
		if (strcmp(json_text_at(row, "stack", ""), json_text_at(farm, "stack", "?")) ||
		    json_int_at(row, "service") != json_int_at(farm, "service"))
			continue;
		add_source(json_object_get(set, json_text_at(row, "src", "")) ? &members : &others,
			   row);
	}
	json_decref(set);
	for (i = 0; i < N_EDGES; i++)
		json_array_append_new(edges, json_real(edges_ms[i]));
	json_object_set_new(out, "delays",
			    json_pack("{s:o, s:o, s:o}", "edges_ms", edges, "members",
				      counts(members.delays, N_EDGES + 1), "others",
				      counts(others.delays, N_EDGES + 1)));
	json_object_set_new(out, "matrix",
			    json_pack("{s:o, s:o}", "members", matrix_of(&members), "others",
				      matrix_of(&others)));
}

/* ---- where they are -------------------------------------------------------------------- */

/* The network of a source, "203.0.0.0/16" or "2001:db8::/40"; false: no address. */
static bool network(const char *src, int v4, int v6, char out[ADDR_TEXT])
{
	char text[ADDR_TEXT];
	struct cidr net;

	snprintf(text, sizeof(text), "%s", src);
	text[strcspn(text, "/")] = '\0';
	if (addr_parse(text, &net.net))
		return false;
	net.plen = addr_is_v4(net.net) ? 96 + v4 : v6;
	net.net = addr_mask(net.net, net.plen);
	cidr_text(&net, out);
	return true;
}

static int more_first(const void *a, const void *b)
{
	json_int_t x = json_int_at(*(json_t *const *)a, "members"),
		   y = json_int_at(*(json_t *const *)b, "members");

	return (x < y) - (x > y);
}

static json_t *largest(const json_t *set, size_t most)
{
	size_t n = json_object_size(set), i = 0;
	_cleanup_(freep) json_t **list = calloc(n + 1, sizeof(*list));
	json_t *out = json_array(), *v;
	const char *name;

	if (!list)
		return out;
	json_object_foreach((json_t *)set, name, v) {
		list[i++] = json_pack("{s:s, s:O}", "name", name, "members", v);
	}
	qsort(list, n, sizeof(*list), more_first);
	for (i = 0; i < n; i++)
		if (i < most)
			json_array_append_new(out, list[i]);
		else
			json_decref(list[i]);
	return out;
}

/* json_int_at() takes a dot for a path: these keys have some. */
static void add_key(json_t *set, const char *key)
{
	json_object_set_new(set, key,
			    json_integer(json_integer_value(json_object_get(set, key)) + 1));
}

static json_t *spread_of(const json_t *farm)
{
	json_t *small = json_object(), *large = json_object(), *asns = json_object(), *m, *out;
	char net[ADDR_TEXT];
	size_t i;

	json_array_foreach(json_object_get(farm, "members"), i, m) {
		const char *src = json_text_at(m, "src", ""), *org = json_text_at(m, "as_org", "");
		json_int_t asn = json_int_at(m, "asn");

		if (network(src, 24, 48, net))
			add_key(small, net);
		if (network(src, 16, 40, net))
			add_key(large, net);
		if (asn) {
			char name[160];

			snprintf(name, sizeof(name), "AS%lld %s", (long long)asn, org);
			add_key(asns, name);
		}
	}
	out = json_pack("{s:I, s:I, s:I, s:o}", "small", (json_int_t)json_object_size(small),
			"large", (json_int_t)json_object_size(large), "asns",
			(json_int_t)json_object_size(asns), "top",
			largest(json_object_size(asns) ? asns : large, NETS_SHOWN));
	json_decref(small);
	json_decref(large);
	json_decref(asns);
	return out;
}

/* ---- putting it together ------------------------------------------------------------------ */

static json_t *head_of(const json_t *list, size_t most)
{
	json_t *out = json_array(), *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v)
		if (i < most)
			json_array_append(out, v);
	return out;
}

static json_t *plan_part(const json_t *plan)
{
	const json_t *rules = json_object_get(plan, "rules"), *r;
	const json_t *spared = json_object_get(plan, "spared");
	json_t *out = json_copy((json_t *)plan);
	size_t in_force = 0, i;

	json_array_foreach((json_t *)rules, i, r)
		in_force += json_is_integer(json_object_get(r, "handle"));
	json_object_set_new(out, "rules_n", json_integer(json_array_size(rules)));
	json_object_set_new(out, "spared_n", json_integer(json_array_size(spared)));
	json_object_set_new(out, "in_force", json_integer(in_force));
	json_object_set_new(out, "rules", head_of(rules, RULES_SHOWN));
	json_object_set_new(out, "spared", head_of(spared, SPARED_SHOWN));
	return out;
}

static int busier_first(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t p = json_int_at(x, "exchanges"), q = json_int_at(y, "exchanges");

	return (p < q) - (p > q);
}

static json_t *busiest(const json_t *list, size_t most)
{
	size_t n = json_array_size(list), i;
	_cleanup_(freep) json_t **rows = calloc(n + 1, sizeof(*rows));
	json_t *out = json_array(), *row;

	if (!rows)
		return out;
	json_array_foreach((json_t *)list, i, row)
		rows[i] = row;
	qsort(rows, n, sizeof(*rows), busier_first);
	for (i = 0; i < n && i < most; i++)
		json_array_append(out, rows[i]);
	return out;
}

static json_t *farm_part(const json_t *farm, const json_t *plan, const json_t *sources)
{
	const char *id = json_text_at(farm, "id", "?");
	const json_t *own = plan_of_farm(plan, id), *members = json_object_get(farm, "members");
	_cleanup_(reply_free) struct reply history = { 0 };
	json_t *out = json_copy((json_t *)farm);

	client_ask("farm.history", json_pack("{s:s}", "id", id), &history);
	json_object_set_new(out, "members_n", json_integer(json_array_size(members)));
	json_object_set_new(out, "exchanges", json_integer(farm_sum(farm, "exchanges")));
	json_object_set_new(out, "history",
			    json_incref(json_object_get(history.data, "points")) ?: json_array());
	json_object_set_new(out, "plan", own ? plan_part(own) : json_null());
	compare_delays(out, farm, sources);
	json_object_set_new(out, "spread", spread_of(farm));
	json_object_set_new(out, "members", head_of(members, MEMBERS_SHOWN));
	json_object_del(out, "rules");
	return out;
}

static const char *const verbs[] = { "status", "fp.list", "farm.list", "plan.show", "source.list" };
enum { STATUS, STACKS, FARMS, PLAN, SOURCES, VERBS };

static json_t *put_together(const struct reply *r, const char *only)
{
	const json_t *stacks = json_object_get(r[STACKS].data, "fingerprints");
	json_t *farms = json_array(), *farm;
	char host[65] = "", now[TIME_TEXT];
	struct timespec ts;
	size_t i;

	gethostname(host, sizeof(host) - 1);
	clock_gettime(CLOCK_REALTIME, &ts);
	time_text((uint64_t)ts.tv_sec * NSEC_PER_SEC, 0, now);
	json_array_foreach(json_object_get(r[FARMS].data, "farms"), i, farm)
		if (!only || !strcmp(only, json_text_at(farm, "id", "")))
			json_array_append_new(farms, farm_part(farm, r[PLAN].data,
							       json_object_get(r[SOURCES].data,
									       "sources")));
	return json_pack("{s:s, s:s, s:s, s:s, s:O, s:o, s:I, s:o}", "schema", "winnow.report/1",
			 "time", now, "host", host, "version", WINNOW_VERSION, "status",
			 r[STATUS].data, "stacks", busiest(stacks, STACKS_SHOWN), "stacks_n",
			 (json_int_t)json_array_size(stacks), "farms", farms);
}

static int write_to(const char *path, const json_t *doc)
{
	_cleanup_(fclosep) FILE *f = NULL;
	_cleanup_(freep) char *part = NULL;
	int err;

	if (!path || !strcmp(path, "-")) {
		if (isatty(STDOUT_FILENO))
			return cli_usage("a page is no text for a terminal: give -o FILE");
		err = report_write(doc, stdout);
		return err ? cli_fail(CLI_NO, "report: %s", strerror(-err)) : CLI_DONE;
	}
	/* Whole or not at all: a reader never sees half of it. */
	if (asprintf(&part, "%s.part", path) < 0)
		return cli_fail(CLI_NO, "report: no memory");
	f = fopen(part, "we");
	if (!f)
		return cli_fail(CLI_NO, "report: open %s: %s", part, strerror(errno));
	err = report_write(doc, f);
	if (!err && rename(part, path))
		err = -errno;
	if (err) {
		unlink(part);
		return cli_fail(CLI_NO, "report: write %s: %s", path, strerror(-err));
	}
	say("Written to %s.", path);
	return CLI_DONE;
}

int cmd_report(int argc, char **argv)
{
	const char *only = cli_option("--farm");
	struct reply r[VERBS] = { 0 };
	json_t *doc = NULL;
	int code = CLI_DONE;

	if (cli.format == FORMAT_CSV)
		return cli_usage("--csv: a report has no rows: -j");
	for (int i = 0; i < VERBS && !code; i++)
		code = client_ask(verbs[i],
				  i == SOURCES ? json_pack("{s:i}", "limit", SOURCES_ASKED) : NULL,
				  &r[i]);
	if (!code) {
		doc = put_together(r, only);
		if (!doc)
			code = cli_fail(CLI_NO, "report: no memory");
		else if (only && !json_array_size(json_object_get(doc, "farms")))
			code = cli_fail(CLI_NO,
					"report: there is no farm %s. Try: winnow farm list", only);
	}
	if (!code && cli.format != FORMAT_TABLE)
		json_print(stdout, doc, cli.format == FORMAT_JSONL);
	else if (!code)
		code = write_to(cli_option("-o"), doc);
	json_decref(doc);
	for (int i = 0; i < VERBS; i++)
		reply_free(&r[i]);
	return code;
}
