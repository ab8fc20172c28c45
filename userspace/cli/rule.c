/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grammar of a rule is the daemon's (model/rule.h); the client hands over
 * the words as they were typed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/addr.h"
#include "cli/ask.h"
#include "cli/cli.h"

static json_t *action(const json_t *rule)
{
	const char *name = json_text_at(rule, "action", "?");
	const char *counts = json_is_true(json_at(rule, "only_counts")) ? " (counts)" : "";
	const json_t *rate = json_at(rule, "rate");

	return json_is_number(rate)
		       ? json_sprintf("%s %g/s%s", name, json_number_value(rate), counts)
		       : json_sprintf("%s%s", name, counts);
}

/* What it matches, in the words of `rule add`. */
static json_t *match(const json_t *rule)
{
	json_t *words = json_array(), *match = json_object_get(rule, "match"), *v;
	const char *key;
	size_t i;

	json_object_foreach(match, key, v)
		if (json_is_string(v))
			json_array_append_new(words,
					      json_sprintf("%s %s", key, json_string_value(v)));
	json_array_foreach(json_object_get(rule, "state"), i, v)
		json_array_append_new(words, json_sprintf("state %s", json_string_value(v)));
	json_array_foreach(json_object_get(rule, "flags"), i, v)
		json_array_append(words, v);
	return words;
}

static const char *paint_action(const char *text)
{
	if (strstr(text, "(counts)"))
		return "36";
	if (!strncmp(text, "limit", 5))
		return "33";
	if (!strcmp(text, "pass"))
		return "32";
	return strcmp(text, "count") ? "31" : "36";
}

static const struct column columns[] = {
	{ .head = "handle", .key = "handle", .kind = COL_COUNT },
	{ .head = "action", .key = "action", .derive = action, .paint = paint_action },
	{ .head = "match", .key = "match", .elastic = true, .derive = match },
	{ .head = "hits", .key = "hits.connections", .kind = COL_COUNT },
	{ .head = "would hit",
	  .key = "would_hit.connections",
	  .kind = COL_COUNT,
	  .brief = "would" },
	{ .head = "expires", .key = "expires", .kind = COL_LEFT },
	{ .head = "origin", .key = "origin", .elastic = true },
	{ .head = "reason", .key = "reason", .elastic = true },
	{ 0 },
};

#define ROW_SCHEMA "winnow.rule/1"

struct listing {
	json_t *all;
	size_t n;
};

/* JSON lines as they come; what needs all rows, when they are there. */
static void page_kept(void *ctx, json_t *doc)
{
	json_t *rules = json_object_get(doc, "rules");
	struct listing *l = ctx;

	l->n += json_array_size(rules);
	if (cli.format == FORMAT_JSONL) {
		rows_print(doc, "rules", ROW_SCHEMA, columns, "", CLI_DONE);
	} else if (!l->all) {
		l->all = json_incref(doc);
		json_object_del(doc, "next");
	} else {
		json_array_extend(json_object_get(l->all, "rules"), rules);
	}
}

static int rules_print(const char *none, size_t *n)
{
	struct listing l = {};
	int code = ask_rules(page_kept, &l);

	if (l.all && !code)
		rows_print(l.all, "rules", ROW_SCHEMA, columns, none, code);
	json_decref(l.all);
	*n = l.n;
	return code;
}

int cmd_rule_list(int argc, char **argv)
{
	size_t n;

	return rules_print("There are no rules. `winnow rule add help` shows how to make one.", &n);
}

int cmd_rule_add(int argc, char **argv)
{
	bool dry = cli_option("--dry-run") != NULL;
	_cleanup_(reply_free) struct reply r = { 0 };
	json_t *words = json_array();

	for (int i = 1; i < argc; i++) {
		if (json_array_append_new(words, json_string(argv[i]))) {
			json_decref(words);
			return cli_usage("%s: not UTF-8 text", argv[i]);
		}
	}
	/* The daemon sees who is logged in, but not through what: sudo, a container. */
	client_ask("rule.add", with_how(json_pack("{s:o}", "words", words)), &r);
	if (!r.data)
		return r.exit;
	/* Scripts want the handle; people and a dry run the whole rule. */
	if (cli.format == FORMAT_TABLE && !dry && !r.exit) {
		json_t *rule = json_array_get(json_object_get(r.data, "rules"), 0);

		printf("%lld\n", (long long)json_int_at(rule, "handle"));
		return r.exit;
	}
	rows_print(r.data, "rules", ROW_SCHEMA, columns, "", r.exit);
	if (dry && !r.exit)
		say("%s", json_text_at(r.data, "text", "Dry run: nothing was changed."));
	return r.exit;
}

int cmd_rule_enforce(int argc, char **argv)
{
	long long handle = cli_number(argv[1], 1, UINT32_MAX);
	bool dry = cli_option("--dry-run") != NULL;
	_cleanup_(reply_free) struct reply r = { 0 };

	if (handle < 0)
		return cli_usage("%s: not a handle; `winnow rule list` shows them", argv[1]);
	client_ask("rule.enforce", with_how(json_pack("{s:I}", "handle", (json_int_t)handle)), &r);
	if (!r.data)
		return r.exit;
	if (cli.format != FORMAT_TABLE || dry)
		rows_print(r.data, "rules", ROW_SCHEMA, columns, "", r.exit);
	if (dry)
		say("%s", json_text_at(r.data, "text", "Dry run: nothing was changed."));
	else
		say("Rule %lld %s", handle,
		    cli_option("--count") ? "only counts now." : "acts from now on.");
	return r.exit;
}

int cmd_rule_del(int argc, char **argv)
{
	long long handle = cli_number(argv[1], 1, UINT32_MAX);

	if (handle < 0)
		return cli_usage("%s: not a handle; `winnow rule list` shows them", argv[1]);
	return ask_act("rule.del", json_pack("{s:I}", "handle", (json_int_t)handle),
		       "Rule %lld: removed.", handle);
}

/* A paragraph, broken between words at the width of the terminal. */
static void paragraph(const char *text)
{
	int width = cli.width > 100 ? 100 : cli.width, column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column && width && column + 1 + len > width) {
			putchar('\n');
			column = 0;
		}
		column += printf("%s%.*s", column ? " " : "", len, text);
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

int cmd_rule_check(int argc, char **argv)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(reply_free) struct reply r = { 0 };
	struct addr a;

	if (addr_parse(argv[1], &a))
		return cli_usage("%s: not an IPv4 or IPv6 address", argv[1]);
	client_ask("rule.check",
		   json_pack("{s:s, s:s?}", "addr", argv[1], "stack", cli_option("--stack")), &r);
	if (!r.data)
		return r.exit;
	switch (cli.format) {
	case FORMAT_TABLE:
		text = text_safe(json_text_at(r.data, "text", "winnowd gave no reason"));
		paragraph(text);
		return r.exit;
	case FORMAT_CSV:
		return rows_print(r.data, "rules", ROW_SCHEMA, columns, "", r.exit);
	default:
		json_print(stdout, r.data, cli.format == FORMAT_JSONL);
		return r.exit;
	}
}

int cmd_rule_flush(int argc, char **argv)
{
	bool dry = cli_option("--dry-run") != NULL;
	_cleanup_(reply_free) struct reply r = { 0 };
	int code = dry ? CLI_DONE : ask_first("Remove every rule?");
	size_t n = 0;

	if (code)
		return code;
	if (cli.format != FORMAT_TABLE || dry)
		code = rules_print("There are no rules.", &n);
	if (code)
		return code;
	if (!dry) {
		client_ask("rule.flush", NULL, &r);
		if (!r.data)
			return r.exit;
		n = json_int_at(r.data, "rules");
	}
	say(dry ? "Dry run: %zu rule%s would go." : "%zu rule%s removed.", n, n == 1 ? "" : "s");
	return r.exit;
}
