/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "base/addr.h"
#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/source_report.h"

static int by_value(const void *a, const void *b)
{
	json_int_t x = *(const json_int_t *)a, y = *(const json_int_t *)b;

	return (x > y) - (x < y);
}

/* Median of those among the last five that were resumed, or were not; -1: none. */
static json_int_t median(const json_t *row, bool resumed)
{
	const json_t *last = json_object_get(row, "dstar_last_us"), *v;
	const json_t *was = json_object_get(row, "dstar_resumed");
	json_int_t seen[DSTAR_KEPT];
	size_t n = 0, i;

	json_array_foreach((json_t *)last, i, v)
		if (json_is_integer(v) && n < DSTAR_KEPT &&
		    json_is_true(json_array_get(was, i)) == resumed)
			seen[n++] = json_integer_value(v);
	if (!n)
		return -1;
	qsort(seen, n, sizeof(seen[0]), by_value);
	return n % 2 ? seen[n / 2] : (seen[n / 2 - 1] + seen[n / 2]) / 2;
}

json_t *source_dstar(const json_t *row)
{
	json_int_t us = median(row, false);

	if (us < 0)
		us = median(row, true);
	return us < 0 ? json_null() : json_integer(us);
}

static json_t *flags(const json_t *row)
{
	json_t *list = json_array();
	const char *ccs = json_text_at(row, "ccs", "none");

	if (json_int_at(row, "resumed"))
		json_array_append_new(list, json_string("resumed"));
	if (json_int_at(row, "piggy"))
		json_array_append_new(list, json_string("piggy"));
	if (strcmp(ccs, "none"))
		json_array_append_new(list, json_sprintf("ccs-%s", ccs));
	return list;
}

static const struct column columns[] = {
	{ .head = "source", .key = "src" },
	{ .head = "stack", .key = "stack", .elastic = true },
	{ .head = "service", .key = "service", .kind = COL_COUNT, .brief = "port" },
	{ .head = "conns", .key = "connections", .kind = COL_COUNT },
	{ .head = "exchanges", .key = "exchanges", .kind = COL_COUNT, .brief = "exch" },
	{ .head = "in", .key = "bytes_in", .kind = COL_BYTES },
	{ .head = "out", .key = "bytes_out", .kind = COL_BYTES },
	{ .head = "last seen", .key = "last_seen", .kind = COL_AGE, .brief = "seen" },
	{ .head = "D* median",
	  .key = "dstar_median_us",
	  .kind = COL_US,
	  .derive = source_dstar,
	  .brief = "D*" },
	{ .head = "flags", .key = "flags", .elastic = true, .derive = flags },
	{ .head = "label", .key = "label", .elastic = true },
	{ .head = "os", .key = "os", .elastic = true },
	{ .head = "AS", .key = "asn" },
	{ .head = "country", .key = "country" },
	{ 0 },
};

#define ROW_SCHEMA "winnow.source/1"
#define LIMIT_MAX  50000 /* sources in one answer of the daemon: some 45 MB */

int cmd_source_list(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	json_t *args = json_object();

	if (cli_option("--limit")) {
		json_int_t limit = cli_number(cli_option("--limit"), 1, LIMIT_MAX);

		if (limit < 0) {
			json_decref(args);
			return cli_usage("--limit %s: expected a number from 1 to %d",
					 cli_option("--limit"), LIMIT_MAX);
		}
		json_object_set_new(args, "limit", json_integer(limit));
	}
	client_ask("source.list", args, &r);
	if (!r.data)
		return r.exit;
	rows_print(r.data, "sources", ROW_SCHEMA, columns,
		   "Nothing tallied yet. `winnow status` shows whether connections arrive.",
		   r.exit);
	if (json_is_true(json_at(r.data, "truncated")))
		say("The newest %zu of %lld; --limit N shows more, at most %d.",
		    json_array_size(json_object_get(r.data, "sources")),
		    (long long)json_int_at(r.data, "total"), LIMIT_MAX);
	return r.exit;
}

static void matrix(FILE *out, const json_t *m)
{
	static const char *const edge[D_BINS] = { "<3ms", "<10ms", "<30ms", "<100ms", "more" };

	fprintf(out, "  %-10s", "D1 \\ D*");
	for (int c = 0; c < D_BINS; c++)
		fprintf(out, " %6s", edge[c]);
	for (int r = 0; r < D_BINS; r++) {
		fprintf(out, "\n  %-10s", edge[r]);
		for (int c = 0; c < D_BINS; c++)
			fprintf(out, " %6lld",
				(long long)json_integer_value(
					json_array_get(json_array_get(m, r), c)));
	}
	fputc('\n', out);
}

/* Bin b holds gaps of 2^b - 1 to 2^(b+1) - 2 seconds. */
static void gaps(FILE *out, const json_t *g)
{
	bool any = false;
	json_t *v;
	size_t b;

	fprintf(out, "  gaps between exchanges:");
	json_array_foreach((json_t *)g, b, v) {
		if (!json_integer_value(v))
			continue;
		fprintf(out, "  %llds..%lld", (1LL << b) - 1, (long long)json_integer_value(v));
		any = true;
	}
	fputs(any ? "\n" : "  none\n", out);
}

void source_report(FILE *out, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		_cleanup_(freep) char *stack =
			text_safe(json_text_at(row, "stack", "no ClientHello"));
		_cleanup_(freep) char *tcp = text_safe(json_text_at(row, "tcp", "not seen"));

		fprintf(out, "\n%s to port %lld\n  tcp %s\n", stack,
			(long long)json_int_at(row, "service"), tcp);
		matrix(out, json_object_get(row, "d1dstar"));
		gaps(out, json_object_get(row, "gaps"));
	}
}

int cmd_source_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	struct addr a;

	if (addr_parse(argv[1], &a))
		return cli_usage("%s: not an IPv4 or IPv6 address", argv[1]);
	client_ask("source.show", json_pack("{s:s}", "addr", argv[1]), &r);
	/* Not seen: the daemon has said so. */
	if (!r.data || (r.exit && cli.format == FORMAT_TABLE))
		return r.exit;
	rows_print(r.data, "sources", ROW_SCHEMA, columns, "Never seen.", r.exit);
	if (cli.format == FORMAT_TABLE)
		source_report(stdout, json_object_get(r.data, "sources"));
	return r.exit;
}
