/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/farm_report.h"

static json_t *rules(const json_t *farm)
{
	return json_integer((json_int_t)json_array_size(json_object_get(farm, "rules")));
}

static json_t *in_force(const json_t *farm)
{
	json_int_t n = 0;
	json_t *r;
	size_t i;

	json_array_foreach(json_object_get(farm, "rules"), i, r)
		n += json_is_integer(json_object_get(r, "handle"));
	return json_integer(n);
}

static json_t *spared(const json_t *farm)
{
	return json_integer((json_int_t)json_array_size(json_object_get(farm, "spared")));
}

static json_t *missing(const json_t *farm)
{
	json_t *list = json_array(), *g;
	size_t i;

	json_array_foreach(json_object_get(farm, "gates"), i, g)
		if (!json_is_true(json_object_get(g, "met")))
			json_array_append(list, json_object_get(g, "gate"));
	if (!json_array_size(list))
		json_array_append_new(list, json_string("none"));
	return list;
}

static const struct column columns[] = {
	{ .head = "farm", .key = "farm" },
	{ .head = "state", .key = "state" },
	{ .head = "stack", .key = "stack", .elastic = true },
	{ .head = "rules", .key = "rules", .kind = COL_COUNT, .derive = rules },
	{ .head = "in force", .key = "in_force", .kind = COL_COUNT, .derive = in_force },
	{ .head = "spared", .key = "spared", .kind = COL_COUNT, .derive = spared },
	{ .head = "stops", .key = "stops_exchanges", .kind = COL_COUNT },
	{ .head = "innocents", .key = "collateral.sources" },
	{ .head = "at most", .key = "collateral.upper95" },
	{ .head = "gates not met", .key = "gates", .elastic = true, .derive = missing },
	{ 0 },
};

#define ROW_SCHEMA "winnow.plan_farm/1"

/* "f1: in the last day 41.9 sources of the farm (812 exchanges at most), 0.1 benign (...)" */
static void say_blast(const char *id, const json_t *farm, const char *period, const char *words)
{
	const json_t *b = json_at(farm, period);

	if (json_is_object(b))
		say("%s: %s it would have hit %.1f sources of a farm (at most %.0f exchanges), %.1f "
		    "benign (at most %.0f, 95%%); %lld are allow-listed and spared, %lld in protected networks",
		    id, words, json_number_value(json_at(b, "farm.sources")),
		    json_number_value(json_at(b, "farm.exchanges_at_most")),
		    json_number_value(json_at(b, "benign.sources")),
		    json_number_value(json_at(b, "benign.upper95")),
		    (long long)json_int_at(b, "allowed"), (long long)json_int_at(b, "protected"));
}

static void say_details(const json_t *plan)
{
	const json_t *farm, *v;
	size_t i, k;

	json_array_foreach(json_object_get(plan, "farms"), i, farm) {
		const char *id = json_text_at(farm, "farm", "?");

		if (json_is_number(json_object_get(farm, "source_life_seconds")))
			say("%s: half of its sources live %.0f s at most; rules live twice that",
			    id, json_number_value(json_object_get(farm, "source_life_seconds")));
		else if (json_array_size(json_object_get(farm, "rules")))
			say("%s: how long its sources live is not known yet; rules live as long as "
			    "rule_ttl lets them",
			    id);
		say_blast(id, farm, "would_hit.minutes", "in the last 10 minutes");
		say_blast(id, farm, "would_hit.day", "in the last day");
		say_blast(id, farm, "would_hit.days", "on the stored days");
		if (*json_text_at(farm, "challenge.text", ""))
			say("%s: %s", id, json_text_at(farm, "challenge.text", ""));
		json_array_foreach(json_object_get(farm, "gates"), k, v)
			if (!json_is_true(json_object_get(v, "met")))
				say("%s: not by itself: %s", id, json_text_at(v, "text", "?"));
		json_array_foreach(json_object_get(farm, "spared"), k, v)
			say("%s: spares %s: %s", id, json_text_at(v, "src", "?"),
			    json_text_at(v, "why", "?"));
	}
}

int cmd_plan_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };

	client_ask("plan.show", NULL, &r);
	if (!r.data)
		return r.exit;
	rows_print(r.data, "farms", ROW_SCHEMA, columns, "Nothing is proposed.", r.exit);
	if (cli.format == FORMAT_TABLE)
		say_details(r.data);
	return r.exit;
}

static json_t *ids_of(int argc, char **argv)
{
	json_t *ids = json_array();

	for (int i = 1; i < argc; i++)
		if (json_array_append_new(ids, json_string(argv[i]))) {
			json_decref(ids);
			return NULL;
		}
	return ids;
}

static void say_applied(const json_t *data, bool dry)
{
	json_t *farm;
	size_t i;

	json_array_foreach(json_object_get(data, "farms"), i, farm) {
		const char *why = json_text_at(farm, "why", "");

		say("%s: %s, %lld rules, %lld in force before%s%s", json_text_at(farm, "farm", "?"),
		    json_text_at(farm, "result", "?"), (long long)json_int_at(farm, "rules"),
		    (long long)json_int_at(farm, "already"), *why ? ": " : "", why);
	}
	say("%s%lld rules added, %lld that only counted act now; holdout %.1f%% of the sources.%s",
	    dry ? "Dry run, nothing was changed: " : "", (long long)json_int_at(data, "added"),
	    (long long)json_int_at(data, "enforced"),
	    100 * json_number_value(json_object_get(data, "holdout")),
	    json_is_true(json_object_get(data, "only_counts"))
		    ? " They only count; --enforce lets them act."
		    : "");
	if (json_is_string(json_object_get(data, "confirm_before")))
		say("Taken back at %s unless you log in anew and say `winnow commit confirm`.",
		    json_text_at(data, "confirm_before", "?"));
}

int cmd_plan_apply(int argc, char **argv)
{
	bool dry = cli_option("--dry-run") != NULL;
	_cleanup_(reply_free) struct reply r = { 0 };
	json_t *ids = ids_of(argc, argv);
	int code;

	if (!ids)
		return cli_usage("the name of a farm is no UTF-8 text");
	code = dry ? CLI_DONE : ask_first("Put the proposed rules in force?");
	if (code) {
		json_decref(ids);
		return code;
	}
	client_ask("plan.apply",
		   with_how(json_pack("{s:o, s:b, s:b}", "ids", ids, "canary",
				      cli_option("--canary") != NULL, "follow",
				      cli_option("--follow") != NULL)),
		   &r);
	if (!r.data)
		return r.exit;
	if (cli.format == FORMAT_TABLE)
		say_applied(r.data, dry);
	else
		json_print(stdout, r.data, cli.format == FORMAT_JSONL);
	return r.exit;
}

int cmd_commit_confirm(int argc, char **argv)
{
	return ask_act("commit.confirm", NULL, "Confirmed: the changes stay.");
}

int cmd_commit_rollback(int argc, char **argv)
{
	return ask_act("commit.rollback", NULL, "Taken back: everything is as it was.");
}
