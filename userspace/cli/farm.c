/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/farm_report.h"

static json_t *members(const json_t *farm)
{
	return json_integer((json_int_t)json_array_size(json_object_get(farm, "members")));
}

static json_t *exchanges(const json_t *farm)
{
	return json_integer(farm_sum(farm, "exchanges"));
}

static json_t *share(const json_t *farm)
{
	return json_sprintf("%.1f%%", 100 * json_number_value(json_object_get(farm, "share")));
}

static json_t *rules(const json_t *farm)
{
	const json_t *list = json_object_get(farm, "rules"), *r;
	size_t i, in_force = 0;

	json_array_foreach((json_t *)list, i, r)
		in_force += json_is_integer(json_object_get(r, "handle"));
	return json_sprintf("%zu of %zu", in_force, json_array_size(list));
}

static const char *paint_state(const char *text)
{
	if (!strcmp(text, "watch") || !strcmp(text, "decay"))
		return "36";
	return strcmp(text, "enforce") ? "33" : "31";
}

static const struct column columns[] = {
	{ .head = "id", .key = "id" },
	{ .head = "state", .key = "state", .paint = paint_state },
	{ .head = "stack", .key = "stack", .elastic = true },
	{ .head = "members", .key = "members", .kind = COL_COUNT, .derive = members },
	{ .head = "share", .key = "share", .derive = share },
	{ .head = "exchanges",
	  .key = "exchanges",
	  .kind = COL_COUNT,
	  .derive = exchanges,
	  .brief = "exch" },
	{ .head = "rules in force", .key = "rules", .derive = rules, .brief = "rules" },
	{ .head = "flagged", .key = "flagged_at", .kind = COL_AGE },
	{ 0 },
};

static const struct column member_columns[] = {
	{ .head = "source", .key = "src" },
	{ .head = "posterior", .key = "posterior" },
	{ .head = "conns", .key = "connections", .kind = COL_COUNT },
	{ .head = "exchanges", .key = "exchanges", .kind = COL_COUNT, .brief = "exch" },
	{ .head = "split", .key = "split", .kind = COL_COUNT },
	{ .head = "direct", .key = "direct", .kind = COL_COUNT },
	{ .head = "D* ms", .key = "dstar_ms" },
	{ 0 },
};

#define ROW_SCHEMA "winnow.farm/1"

int cmd_farm_list(int argc, char **argv)
{
	return ask_rows("farm.list", NULL, "farms", ROW_SCHEMA, columns,
			"No farm. `winnow status` shows whether the detector is still learning.");
}

/* The farm in the format asked for; a person gets its members in a table. */
int cmd_farm_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	const json_t *farm;

	client_ask("farm.show", json_pack("{s:s}", "id", argv[1]), &r);
	if (!r.data)
		return r.exit;
	farm = json_array_get(json_object_get(r.data, "farms"), 0);
	if (cli.format == FORMAT_TABLE) {
		rows_print(r.data, "farms", ROW_SCHEMA, columns, "No such farm.", r.exit);
		putchar('\n');
	}
	if (cli.format == FORMAT_TABLE || cli.format == FORMAT_CSV)
		return rows_print(farm, "members", "winnow.member/1", member_columns,
				  "It has no members now.", r.exit);
	json_print(stdout, r.data, cli.format == FORMAT_JSONL);
	return r.exit;
}

int cmd_farm_explain(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	_cleanup_(reply_free) struct reply plan = { 0 };
	json_t *farm;

	if (cli.format == FORMAT_CSV)
		return cli_usage("--csv: an explanation is text, -j or --jsonl");
	client_ask("farm.show", json_pack("{s:s}", "id", argv[1]), &r);
	if (!r.data)
		return r.exit;
	farm = json_array_get(json_object_get(r.data, "farms"), 0);
	if (!farm)
		return r.exit;
	client_ask("plan.show", NULL, &plan);
	if (cli.format == FORMAT_TABLE) {
		farm_report(stdout, farm, plan_of_farm(plan.data, argv[1]));
		return r.exit;
	}
	json_object_set(r.data, "plan", (json_t *)plan_of_farm(plan.data, argv[1]) ?: json_null());
	json_print(stdout, r.data, cli.format == FORMAT_JSONL);
	return r.exit;
}
