/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules in and out: JSON lines of our own, or CSV with the columns that CrowdSec's
 * `cscli decisions import` reads. CSV knows sources alone: a rule that is narrower
 * would come back wider, so it stays out and is counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/cli.h"

/* ---- out ------------------------------------------------------------------------- */

/* "23h59m12s" until it expires; "" when it never does; NULL: it has expired. */
static const char *left(const json_t *rule, uint64_t now, char out[DURATION_TEXT])
{
	const char *text = json_text_at(rule, "expires", NULL);
	uint64_t at;

	if (!text || time_parse(text, &at))
		return "";
	if (at < now + NSEC_PER_SEC)
		return NULL;
	return duration_text((at - now) / NSEC_PER_SEC * NSEC_PER_SEC, 0, out);
}

/* The rule as `rule add` takes it, with the life that is left. */
static json_t *words_of(const json_t *rule, const char *life)
{
	const char *action = json_text_at(rule, "action", ""), *key;
	json_t *words = json_array(), *v;
	bool all = false;
	size_t i;

	json_object_foreach(json_object_get(rule, "match"), key, v) {
		if (!json_is_string(v))
			continue;
		json_array_append_new(words, json_string(key));
		json_array_append(words, v);
	}
	json_array_foreach(json_object_get(rule, "state"), i, v) {
		json_array_append_new(words, json_string("state"));
		json_array_append(words, v);
	}
	json_array_foreach(json_object_get(rule, "flags"), i, v) {
		const char *flag = json_string_value(v), *blank = strchr(flag, ' ');

		if (!strcmp(flag, "limit all")) {
			all = true;
			continue;
		}
		json_array_append_new(words, json_stringn(flag, blank ? (size_t)(blank - flag)
								      : strlen(flag)));
		if (blank)
			json_array_append_new(words, json_string(blank + 1));
	}
	json_array_append_new(words, json_string("action"));
	json_array_append_new(words, json_string(action));
	if (!strcmp(action, "limit"))
		json_array_append_new(words,
				      json_sprintf("%g/s", json_number_value(
								   json_object_get(rule, "rate"))));
	if (all)
		json_array_append_new(words, json_string("all"));
	if (*life) {
		json_array_append_new(words, json_string("for"));
		json_array_append_new(words, json_string(life));
	}
	json_array_append_new(words, json_string("reason"));
	json_array_append_new(words, json_string(json_text_at(rule, "reason", "")));
	return words;
}

static bool source_alone(const json_t *rule)
{
	const char *action = json_text_at(rule, "action", "");
	const json_t *m = json_object_get(rule, "match");

	return json_is_string(json_object_get(m, "src")) &&
	       !json_is_string(json_object_get(m, "ja4")) &&
	       !json_is_string(json_object_get(m, "stack")) &&
	       !json_is_string(json_object_get(m, "order")) &&
	       !json_array_size(json_object_get(rule, "state")) && strcmp(action, "pass") &&
	       strcmp(action, "count") && strcmp(action, "limit");
}

static void export_csv(const json_t *rule, const char *life)
{
	const char *src = json_text_at(rule, "match.src", "");

	csv_cell(stdout, *life ? life : "");
	printf(",%s,", strchr(src, '/') ? "Range" : "Ip");
	csv_cell(stdout, src);
	fputs(",ban,", stdout);
	csv_cell(stdout, json_text_at(rule, "reason", ""));
	putchar(',');
	csv_cell(stdout, json_text_at(rule, "origin", ""));
	fputs("\r\n", stdout);
}

struct export
{
	size_t pages, narrower, rows;
};

/* -j is one document, however many answers of the daemon it is made of. */
static void export_json(struct export *e, const json_t *line)
{
	if (cli.format == FORMAT_JSON)
		fputs(e->rows++ ? ",\n" : "\n", stdout);
	json_put(stdout, line, JSON_COMPACT);
	if (cli.format == FORMAT_JSONL)
		putchar('\n');
}

static void export_page(void *ctx, json_t *doc)
{
	bool csv = cli.format == FORMAT_CSV;
	uint64_t now = document_time(doc);
	struct export *e = ctx;
	json_t *rule, *line;
	size_t i;

	if (csv && !e->pages)
		fputs("duration,scope,value,type,reason,origin\r\n", stdout);
	if (cli.format == FORMAT_JSON && !e->pages)
		fputs("{\"schema\":\"winnow.rule_export/1\",\"rules\":[", stdout);
	e->pages++;
	json_array_foreach(json_object_get(doc, "rules"), i, rule) {
		char text[DURATION_TEXT];
		const char *life = left(rule, now, text);

		if (cli.format == FORMAT_TABLE) {
			printf("%s\n", json_text_at(rule, "text", ""));
			continue;
		}
		if (!life)
			continue;
		if (csv && !source_alone(rule)) {
			e->narrower++;
			continue;
		}
		if (csv) {
			export_csv(rule, life);
			continue;
		}
		line = json_pack("{s:s, s:o, s:s}", "schema", "winnow.rule_words/1", "words",
				 words_of(rule, life), "origin", json_text_at(rule, "origin", ""));
		export_json(e, line);
		json_decref(line);
	}
}

int cmd_rule_export(int argc, char **argv)
{
	struct export e = {};
	int code = ask_rules(export_page, &e);

	if (cli.format == FORMAT_JSON && e.pages)
		fputs("]}\n", stdout);
	if (e.narrower)
		say("%zu rules are narrower than a source and are not in the CSV; --jsonl has them.",
		    e.narrower);
	return code;
}

/* ---- in ---------------------------------------------------------------------------- */

#define COLUMNS_MAX 32

/* Cuts a line of RFC 4180 into cells, in place. Answers how many. */
static size_t cells(char *line, char *cell[COLUMNS_MAX])
{
	size_t n = 0;
	char *out;

	while (n < COLUMNS_MAX) {
		cell[n++] = out = line;
		if (*line == '"') {
			for (line++; *line && (*line != '"' || line[1] == '"'); line++) {
				line += *line == '"';
				*out++ = *line;
			}
			line += *line == '"';
		} else {
			while (*line && *line != ',')
				*out++ = *line++;
		}
		if (*line != ',') {
			*out = '\0';
			return n;
		}
		line++;
		*out = '\0';
	}
	return n;
}

#define BATCH_BYTES 900000 /* a request holds 1 MiB */

struct import {
	json_t *lot; /* lines as rule add takes them; NULL: JSON lines or CSV */
	size_t bytes;
	char *head, *column[COLUMNS_MAX]; /* of CSV */
	size_t n_columns, line, added, failed;
	int worst;
};

static const char *cell_of(const struct import *im, char *const *cell, size_t n, const char *name)
{
	for (size_t i = 0; i < im->n_columns && i < n; i++)
		if (!strcasecmp(im->column[i], name))
			return cell[i];
	return "";
}

/* Words of a rule for one line of CSV; NULL: `why`. */
static json_t *csv_words(const struct import *im, char *line, const char **why)
{
	char *cell[COLUMNS_MAX];
	size_t n = cells(line, cell);
	const char *value = cell_of(im, cell, n, "value"), *type = cell_of(im, cell, n, "type"),
		   *life = cell_of(im, cell, n, "duration"),
		   *reason = cell_of(im, cell, n, "reason"), *scope = cell_of(im, cell, n, "scope");

	*why = NULL;
	if (!*value)
		*why = "there is no value";
	else if (*scope && strcasecmp(scope, "ip") && strcasecmp(scope, "range"))
		*why = "scope is neither Ip nor Range";
	else if (*type && strcasecmp(type, "ban"))
		*why = "type is not ban, and winnow does nothing else by CSV";
	if (*why)
		return NULL;
	if (*life)
		return json_pack("[s,s,s,s,s,s,s,s]", "src", value, "action", "drop", "for", life,
				 "reason", *reason ? reason : "imported");
	return json_pack("[s,s,s,s,s,s]", "src", value, "action", "drop", "reason",
			 *reason ? reason : "imported");
}

static json_t *json_words(const char *line, const char **why)
{
	json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	json_t *words = json_object_get(row, "words");

	*why = !row ? "it is no JSON" : !json_is_array(words) ? "it has no list \"words\"" : NULL;
	words = *why ? NULL : json_incref(words);
	json_decref(row);
	return words;
}

/* What is in the lot goes over, whole or not at all. */
static void import_lot(struct import *im)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	size_t n = json_array_size(im->lot);

	if (!n)
		return;
	client_ask("rule.import", with_how(json_pack("{s:O}", "rules", im->lot)), &r);
	json_array_clear(im->lot);
	im->bytes = 0;
	if (r.exit == CLI_DONE) {
		im->added += n;
		return;
	}
	im->failed += n;
	im->worst = r.exit;
}

static void import_text(struct import *im, const char *file, const char *line)
{
	size_t n = strlen(line) + 4;

	if (im->bytes + n > BATCH_BYTES)
		import_lot(im);
	im->bytes += n;
	if (json_array_append_new(im->lot, json_string(line))) {
		im->failed++;
		im->worst = cli_fail(CLI_USAGE, "%s:%zu: not UTF-8 text", file, im->line);
	}
}

/* The first line says what all are: an object, a header with "value", or a rule. */
static bool is_header(const char *line)
{
	_cleanup_(freep) char *copy = strdup(line);
	char *cell[COLUMNS_MAX];
	size_t n = copy ? cells(copy, cell) : 0;

	for (size_t i = 0; n > 1 && i < n; i++)
		if (!strcasecmp(cell[i], "value"))
			return true;
	return false;
}

static void import_line(struct import *im, const char *file, char *line)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	const char *why;
	json_t *words;

	if (im->lot) {
		import_text(im, file, line);
		return;
	}
	if (*line != '{' && !im->head && !im->added && !im->failed && !is_header(line)) {
		if (cli_option("--dry-run")) {
			im->failed++;
			im->worst = cli_usage("--dry-run: only of JSON lines and CSV");
			return;
		}
		im->lot = json_array();
		import_text(im, file, line);
		return;
	}
	if (*line == '{' && !im->head) {
		words = json_words(line, &why);
	} else if (!im->head) {
		im->head = strdup(line);
		im->n_columns = im->head ? cells(im->head, im->column) : 0;
		return;
	} else {
		words = csv_words(im, line, &why);
	}
	if (!words) {
		im->failed++;
		cli_fail(CLI_NO, "%s:%zu: %s", file, im->line, why);
		return;
	}
	if (client_ask("rule.add", with_how(json_pack("{s:o}", "words", words)), &r) == CLI_DONE) {
		im->added++;
		return;
	}
	im->failed++;
	im->worst = r.exit;
	say("%s:%zu: not added", file, im->line);
}

int cmd_rule_import(int argc, char **argv)
{
	bool dry = cli_option("--dry-run") != NULL, from_stdin = !strcmp(argv[1], "-");
	_cleanup_(freep) char *line = NULL;
	FILE *f = from_stdin ? stdin : fopen(argv[1], "re");
	struct import im = {};
	size_t room = 0;
	ssize_t n;

	if (!f)
		return cli_fail(CLI_NO, "%s: %s", argv[1], strerror(errno));
	while (im.worst != CLI_NO_DAEMON && im.worst != CLI_DENIED && im.worst != CLI_USAGE &&
	       !(im.lot && im.worst) && (n = getline(&line, &room, f)) >= 0) {
		im.line++;
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (line[strspn(line, " \t")] && *line != '#')
			import_line(&im, argv[1], line);
	}
	if (!im.worst)
		import_lot(&im);
	json_decref(im.lot);
	if (!from_stdin)
		fclose(f);
	free(im.head);
	say("%zu rules %s, %zu not.", im.added, dry ? "would be added" : "added", im.failed);
	if (!im.failed)
		return CLI_DONE;
	return im.added ? CLI_PARTIAL : im.worst ? im.worst : CLI_NO;
}
