/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const struct column columns[] = {
	{ .head = "stack", .key = "stack", .elastic = true },
	{ .head = "label", .key = "label", .elastic = true },
	{ .head = "ja4", .key = "ja4", .elastic = true },
	{ .head = "sources", .key = "sources", .kind = COL_COUNT, .brief = "srcs" },
	{ .head = "conns", .key = "connections", .kind = COL_COUNT },
	{ .head = "exchanges", .key = "exchanges", .kind = COL_COUNT, .brief = "exch" },
	{ .head = "last seen", .key = "last_seen", .kind = COL_AGE, .brief = "seen" },
	{ 0 },
};

#define ROW_SCHEMA "winnow.fingerprint/1"

int cmd_fp_list(int argc, char **argv)
{
	return ask_rows(
		"fp.list", NULL, "fingerprints", ROW_SCHEMA, columns,
		"No ClientHello was named yet. `winnow status` shows whether hellos arrive.");
}

int cmd_fp_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	json_t *row;
	size_t i;

	client_ask("fp.show", json_pack("{s:s}", "name", argv[1]), &r);
	if (!r.data)
		return r.exit;
	if (cli.format != FORMAT_TABLE)
		return rows_print(r.data, "fingerprints", ROW_SCHEMA, columns, "", r.exit);
	json_array_foreach(json_object_get(r.data, "fingerprints"), i, row) {
		if (i)
			putchar('\n');
		fields_print(stdout, row);
	}
	return r.exit;
}

int cmd_fp_label(int argc, char **argv)
{
	if (argc == 2)
		return ask_act("fp.label", json_pack("{s:s}", "stack", argv[1]),
			       "%s: no label of yours now.", argv[1]);
	return ask_act("fp.label", json_pack("{s:s, s:s}", "stack", argv[1], "label", argv[2]),
		       "%s: called \"%s\" from now on.", argv[1], argv[2]);
}
