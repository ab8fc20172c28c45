/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One screen: who runs, what is watched, what was decided, how full it is and
 * what was lost, then what to do next.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/units.h"

#define BOLD   "1"
#define RED    "31"
#define YELLOW "33"
#define GREEN  "32"

static void paint(const char *sgr, const char *text)
{
	_cleanup_(freep) char *safe = text_safe(text);

	printf(cli.color ? "\033[%s%s%s\033[0m" : "%s%s%s", cli.color ? sgr : "",
	       cli.color ? "m" : "", safe);
}

static void head(const char *text)
{
	printf("%-13s", text);
}

static void amount(const json_t *o, const char *key, const char *after)
{
	char n[UNIT_TEXT];

	printf("%s%s", count_text((uint64_t)json_int_at(o, key), n), after);
}

static void who(const json_t *d)
{
	char up[DURATION_TEXT];

	head("winnowd");
	paint(BOLD, json_text_at(d, "version", "?"));
	printf(", pid %lld, up %s\n", (long long)json_int_at(d, "pid"),
	       duration_text((uint64_t)json_number_value(json_at(d, "uptime")) * NSEC_PER_SEC, 2,
			     up));
	if (json_is_true(json_at(d, "panic"))) {
		head("panic");
		paint(RED, "on: nothing is dropped");
		putchar('\n');
	}
	if (json_is_false(json_at(d, "enforce"))) {
		head("enforce");
		paint(YELLOW, "no: rules only count");
		putchar('\n');
	}
}

static void devices(const json_t *list)
{
	const json_t *v;
	size_t i;

	if (!json_array_size(list)) {
		head("devices");
		paint(YELLOW, "none attached");
		putchar('\n');
	}
	json_array_foreach((json_t *)list, i, v) {
		head(i ? "" : "devices");
		paint(BOLD, json_text_at(v, "device", "?"));
		printf("  %s", json_text_at(v, "mode", "?"));
		if (!json_is_true(json_at(v, "egress")))
			fputs(", no egress program", stdout);
		if (json_is_false(json_at(v, "alive"))) {
			fputs(", ", stdout);
			paint(RED, "device gone");
		}
		putchar('\n');
	}
}

static void proof_and_ports(const json_t *d)
{
	const char *proof = json_text_at(d, "proof", "none");
	const json_t *v;
	size_t i;

	head("proof");
	printf("%s: %s\n", proof,
	       !strcmp(proof, "egress")    ? "the server's answers are seen leaving"
	       : !strcmp(proof, "socket")  ? "the server's sockets are looked up"
	       : !strcmp(proof, "ingress") ? "the client's numbers must fit"
					   : "no connection can be proved");
	head("ports");
	json_array_foreach(json_object_get(d, "ports"), i, v)
		printf("%s%lld", i ? ", " : "", (long long)json_integer_value(v));
	puts(i ? "" : "none");
}

static void traffic(const json_t *c)
{
	char b[UNIT_TEXT];

	head("packets");
	amount(c, "packets", "");
	printf(" (%sB)\n", bytes_text((uint64_t)json_int_at(c, "bytes"), b));
	head("verdicts");
	amount(c, "verdict_pass", " passed, ");
	amount(c, "verdict_drop", " dropped, ");
	amount(c, "verdict_reset", " reset, ");
	amount(c, "verdict_reject", " rejected; ");
	amount(c, "would_drop", " would drop\n");
	head("connections");
	amount(c, "conn_proved", " proved; hellos ");
	amount(c, "hello_proved", " proved, ");
	amount(c, "hello_unproved", " not\n");
}

static void tables(const json_t *list)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v) {
		json_int_t used = json_int_at(v, "used"), capacity = json_int_at(v, "capacity");
		double share = capacity ? (double)used / (double)capacity : 0;
		char percent[16];

		head(i ? "" : "tables");
		printf("%-14s ", json_text_at(v, "name", "?"));
		snprintf(percent, sizeof(percent), "%5.1f%%", 100 * share);
		/* Evictions of live rows begin to matter at 0.6 of the slots. */
		if (share > 0.6)
			paint(YELLOW, percent);
		else
			fputs(percent, stdout);
		fputs("  ", stdout);
		amount(v, "used", " of ");
		amount(v, "capacity", "");
		if (json_int_at(v, "evicted")) {
			fputs(", ", stdout);
			amount(v, "evicted", " evicted");
		}
		putchar('\n');
	}
}

/* "a 1, b 2", those that are not zero; the number of them. */
static int named_counts(const json_t *o, const char *sgr)
{
	const char *key;
	json_t *v;
	int n = 0;

	json_object_foreach((json_t *)o, key, v) {
		char count[UNIT_TEXT];

		if (!json_integer_value(v))
			continue;
		fputs(n++ ? ", " : "", stdout);
		paint(sgr, key);
		printf(" %s", count_text((uint64_t)json_integer_value(v), count));
	}
	return n;
}

static void rules_and_losses(const json_t *d)
{
	head("rules");
	if (!named_counts(json_object_get(d, "rules"), "0"))
		fputs("none", stdout);
	putchar('\n');
	head("lost");
	if (!named_counts(json_object_get(d, "losses"), YELLOW))
		paint(GREEN, "nothing");
	putchar('\n');
}

static void detector(const json_t *d)
{
	const json_t *v = json_object_get(d, "detector");

	if (!v)
		return;
	head("farms");
	if (!named_counts(json_object_get(v, "farms"), "0"))
		fputs("none", stdout);
	if (json_is_true(json_object_get(v, "learning")))
		printf("; learning what is ordinary until %s",
		       json_text_at(v, "baseline_until", "a day after the first connection"));
	else
		printf("; judged at %s, %lld sources and stacks in %.0f ms",
		       json_text_at(v, "judged_at", "no time yet"),
		       (long long)json_int_at(v, "records"),
		       json_number_value(json_object_get(v, "judge_ms")));
	if (json_int_at(v, "randomisers"))
		printf(", %lld randomisers (another stack with every connection)",
		       (long long)json_int_at(v, "randomisers"));
	if (json_int_at(v, "late"))
		printf(", %lld windows late", (long long)json_int_at(v, "late"));
	putchar('\n');
}

static void troubles(const json_t *list)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v) {
		_cleanup_(freep) char *text = text_safe(json_text_at(v, "text", "?"));

		head("trouble");
		paint(RED, json_text_at(v, "about", "?"));
		printf(": %s\n", text);
	}
}

static void next_step(const json_t *d)
{
	const json_t *c = json_object_get(d, "counters");

	if (!json_array_size(json_object_get(d, "devices")))
		say("Next: winnow attach DEV");
	else if (json_is_true(json_at(d, "panic")))
		say("Next: winnow panic off, when the cause is found");
	else if (json_int_at(c, "packets") && !json_int_at(c, "syn"))
		say("Next: no connection to a protected port was seen; are the ports right?");
	else if (json_int_at(c, "hello_proved"))
		say("Next: winnow source list, winnow fp list");
}

int cmd_status(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };

	client_ask("status", NULL, &r);
	if (!r.data)
		return r.exit;
	if (cli.format == FORMAT_CSV) {
		fields_csv(stdout, r.data);
		return r.exit;
	}
	if (cli.format != FORMAT_TABLE) {
		json_print(stdout, r.data, cli.format == FORMAT_JSONL);
		return r.exit;
	}
	who(r.data);
	devices(json_object_get(r.data, "devices"));
	proof_and_ports(r.data);
	traffic(json_object_get(r.data, "counters"));
	tables(json_object_get(r.data, "tables"));
	rules_and_losses(r.data);
	detector(r.data);
	troubles(json_object_get(r.data, "troubles"));
	next_step(r.data);
	return r.exit;
}
