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
	{ .head = "label", .key = "label", .elastic = true },
	{ .head = "mark", .key = "mark" },
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
	{ .head = "AS", .key = "asn" },
	{ .head = "country", .key = "country" },
	{ .head = "network", .key = "org", .elastic = true },
	{ 0 },
};

#define ROW_SCHEMA "winnow.farm/1"

int cmd_farm_list(int argc, char **argv)
{
	return ask_rows("farm.list", NULL, "farms", ROW_SCHEMA, columns,
			"No farm. `winnow status` shows whether the detector is still learning.");
}

static void say_hydra(const json_t *farm)
{
	const json_t *h = json_object_get(farm, "hydra"), *c = json_object_get(farm, "canary");
	const json_t *half = json_object_get(h, "half_life_seconds");

	if (json_is_object(c))
		say("Canary: %.0f%% of the sources since %s; %lld benign sources hit, at most %.1f "
		    "before it counts again.",
		    100 * json_number_value(json_object_get(c, "share")),
		    json_text_at(c, "since", "?"), (long long)json_int_at(c, "benign_hits"),
		    json_number_value(json_object_get(c, "benign_at_most")));
	if (!json_is_object(h))
		return;
	say("Since its rules act (%s, %lld sources): %lld new members, %.1f expected; %.0f%% "
	    "displaced.",
	    json_text_at(h, "since", "?"), (long long)json_int_at(h, "ruled"),
	    (long long)json_int_at(h, "births"),
	    json_number_value(json_object_get(h, "births_expected")),
	    json_number_value(json_object_get(h, "displacement_percent")));
	if (json_is_number(half))
		say("Half of what was ruled was replaced after %.0f s.", json_number_value(half));
	if (json_int_at(h, "ruled_again"))
		say("%lld of the new ones have a rule, after %lld connections (median).",
		    (long long)json_int_at(h, "ruled_again"),
		    (long long)json_int_at(h, "connections_before_rule"));
}

/* The farm in the format asked for; a person gets its members in a table. */
int cmd_farm_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	const json_t *farm;

	client_ask("farm.show", json_pack("{s:s}", "id", argv[1]), &r);
	farm = json_array_get(json_object_get(r.data, "farms"), 0);
	/* Not there: the daemon has said so. */
	if (!r.data || (!farm && cli.format == FORMAT_TABLE))
		return r.exit;
	if (cli.format == FORMAT_TABLE) {
		rows_print(r.data, "farms", ROW_SCHEMA, columns, "No such farm.", r.exit);
		say_hydra(farm);
		if (*json_text_at(farm, "undecided", ""))
			say("%s", json_text_at(farm, "undecided", ""));
		if (*json_text_at(farm, "challenge.text", ""))
			say("%s", json_text_at(farm, "challenge.text", ""));
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

/* ID reason TEXT..., or ID TEXT... */
static int mark(int argc, char **argv, const char *word, const char *said)
{
	int first = !strcmp(argv[2], "reason") ? 3 : 2;
	char reason[512] = "";
	size_t len = 0;

	for (int i = first; i < argc && len < sizeof(reason); i++)
		len += snprintf(reason + len, sizeof(reason) - len, "%s%s", i > first ? " " : "",
				argv[i]);
	if (!*reason || len >= sizeof(reason))
		return cli_usage("reason: expected some words, %zu bytes at most",
				 sizeof(reason) - 1);
	return ask_act("farm.mark",
		       json_pack("{s:s, s:s, s:s}", "id", argv[1], "mark", word, "reason", reason),
		       said, argv[1]);
}

int cmd_farm_confirm(int argc, char **argv)
{
	return mark(argc, argv, "confirmed", "%s: confirmed.");
}

int cmd_farm_dismiss(int argc, char **argv)
{
	return mark(argc, argv, "dismissed", "%s: dismissed. Its rules, if any, stay in force.");
}
