/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

const struct object objects[] = {
	{ "source", "what was tallied, source by source" },
	{ "fp", "fingerprints seen: client stacks and their names" },
	{ "rule", "what is dropped, limited or counted" },
	{ "allow", "networks that no rule may touch" },
	{ "farm", "account farms: sources that one operator drives" },
	{ "plan", "the rules that would stop the farms" },
	{ NULL, NULL },
};

const struct cli_option global_options[] = {
	{ "-j", NULL, "print one JSON document" },
	{ "--jsonl", NULL, "print one JSON object a line" },
	{ "--csv", NULL, "print comma-separated values with a header line" },
	{ "--color", "auto|always|never",
	  "colour the output; auto: on a terminal, unless NO_COLOR is set" },
	{ "--socket", "PATH", "the control socket of winnowd (or set WINNOW_SOCKET)" },
	{ "--help", NULL, "explain the command instead of running it" },
	{ "--version", NULL, "print the version" },
	{ NULL, NULL, NULL },
};

const struct command commands[] = {
	{
		.verb = "status",
		.args = "",
		.summary = "what the daemon sees, does and loses",
		.run = cmd_status,
		.help =
			"One screen: devices and modes, the proof of connections in use, protected\n"
			"ports, packets by verdict, how full the tables are, rules, and every kind of\n"
			"loss with its count.",
	},
	{
		.verb = "attach",
		.args = "DEV",
		.summary = "watch a network device",
		.run = cmd_attach,
		.words_min = 1,
		.words_max = 1,
		.help =
			"Attaches the classifier to the device in native mode. It stays attached when\n"
			"the daemon stops. Generic mode costs every packet a copy and is used only\n"
			"when asked for. A program of somebody else on the device is never replaced.",
		.options = {
			{ "--mode", "native|generic", "how the program is attached; native unless given" },
		},
	},
	{
		.verb = "detach",
		.args = "DEV",
		.summary = "stop watching a network device",
		.run = cmd_detach,
		.words_min = 1,
		.words_max = 1,
		.help =
			"Takes the classifier off the device. Tallies and rules stay.",
	},
	{
		.object = "source",
		.verb = "list",
		.args = "",
		.summary = "the sources tallied so far",
		.run = cmd_source_list,
		.help =
			"One row for each source, stack and service, newest first. A source is an IPv4 address or\n"
			"an IPv6 /64. D* is what timing knows of a hidden leg: the median of the full\n"
			"handshakes among the last five, of resumed ones where there was no other.\n"
			"Flags: resumed, piggy (acknowledgement and TLS answer in one segment),\n"
			"ccs-alone, ccs-twice (how ChangeCipherSpec came).",
		.options = {
			{ "--limit", "N", "the newest N, at most 50000; 10000 unless given" },
		},
	},
	{
		.object = "source",
		.verb = "show",
		.args = "ADDR",
		.summary = "everything tallied of one source",
		.run = cmd_source_show,
		.words_min = 1,
		.words_max = 1,
		.help =
			"All rows of the source that the address belongs to, with their histograms.\n"
			"Exit 1 when it was never seen.",
	},
	{
		.object = "fp",
		.verb = "list",
		.args = "",
		.summary = "the fingerprints seen so far",
		.run = cmd_fp_list,
		.help =
			"One row for each client stack: its names, and how many connections carried\n"
			"it.",
	},
	{
		.object = "fp",
		.verb = "show",
		.args = "NAME",
		.summary = "one fingerprint in full",
		.run = cmd_fp_show,
		.words_min = 1,
		.words_max = 1,
		.help =
			"NAME is a stack, a JA4, a JA4_r or a JA3. Exit 1 when it was never seen.",
	},
	{
		.object = "rule",
		.verb = "list",
		.args = "",
		.summary = "the rules in force",
		.run = cmd_rule_list,
		.help =
			"Hits are proved connections that the rule acted on; would-hit are those it\n"
			"let by because it only counts, or because of holdout or canary.",
	},
	{
		.object = "rule",
		.verb = "add",
		.args = "MATCH... action ACTION [for DURATION] reason TEXT",
		.summary = "add a rule; prints its handle",
		.run = cmd_rule_add,
		.words_min = 1,
		.words_max = -1,
		.help =
			"MATCH is one or more of: src CIDR, ja4 S, stack S, order H, and state\n"
			"predicates that look at earlier connections of the same source and stack:\n"
			"state split>=N, state resumed=0, state seen>=N, state age<=T, state d1>=T.\n"
			"ACTION is pass, count, limit RATE/s, drop, reset or reject. Also: ports any\n"
			"(beyond the protected ports), existing keep|drop (connections that are\n"
			"already there). DURATION is like 90s, 15m, 12h, 7d.\n"
			"\n"
			"  winnow rule add src 203.0.113.9 stack NAME action reset for 12h reason \"ticket 4711\"\n"
			"\n"
			"Exit 6 when the rule would cover an allowed network, the gateway, your own\n"
			"connection, or a prefix shorter than /16 (IPv6: /32).",
		.options = {
			{ "--dry-run", NULL, "say what the rule would hit, change nothing" },
		},
	},
	{
		.object = "rule",
		.verb = "del",
		.args = "HANDLE",
		.summary = "remove a rule",
		.run = cmd_rule_del,
		.words_min = 1,
		.words_max = 1,
		.help =
			"HANDLE is the number that `rule add` printed and `rule list` shows.",
	},
	{
		.object = "rule",
		.verb = "check",
		.args = "ADDR",
		.summary = "would this address be dropped, and why",
		.run = cmd_rule_check,
		.words_min = 1,
		.words_max = 1,
		.help =
			"Exit 0 if something of this address would be dropped, 1 if nothing would.\n"
			"Says which rule, who added it, why, and until when.",
		.options = {
			{ "--stack", "NAME", "as if it came with this client stack" },
		},
	},
	{
		.object = "rule",
		.verb = "flush",
		.args = "",
		.summary = "remove every rule",
		.run = cmd_rule_flush,
		.help =
			"Asks first on a terminal; elsewhere it needs --yes. Allowed networks stay.",
		.options = {
			{ "--yes", NULL, "do not ask" },
			{ "--dry-run", NULL, "show the rules that would go, change nothing" },
		},
	},
	{
		.object = "allow",
		.verb = "list",
		.args = "",
		.summary = "the networks that no rule may touch",
		.run = cmd_allow_list,
		.help =
			"An allowed network always wins over a rule, in the kernel.",
	},
	{
		.object = "allow",
		.verb = "add",
		.args = "CIDR [reason TEXT]",
		.summary = "let a network pass whatever the rules say",
		.run = cmd_allow_add,
		.words_min = 1,
		.words_max = -1,
		.help =
			"CIDR is an address or a network, IPv4 or IPv6.",
	},
	{
		.object = "allow",
		.verb = "del",
		.args = "CIDR",
		.summary = "take a network off the allow list",
		.run = cmd_allow_del,
		.words_min = 1,
		.words_max = 1,
		.help =
			"CIDR as `allow list` shows it.",
	},
	{
		.object = "farm",
		.verb = "list",
		.args = "",
		.summary = "the farms found",
		.run = cmd_farm_list,
		.help =
			"One row for each client stack in which the detector sees a farm. States:\n"
			"watch (something new), flag (the evidence holds), propose (and a plan that\n"
			"spares the innocent), enforce (rules of it are in force), decay (no longer\n"
			"seen). Share is the farm's part of the stack's sources.",
	},
	{
		.object = "farm",
		.verb = "show",
		.args = "ID",
		.summary = "one farm and its members",
		.run = cmd_farm_show,
		.words_min = 1,
		.words_max = 1,
		.help =
			"Each member with the probability that it is one, what it did, and its median\n"
			"D*, which measures the hidden leg. Exit 1 when there is no such farm.",
	},
	{
		.object = "farm",
		.verb = "explain",
		.args = "ID",
		.summary = "why it is a farm, line by line",
		.run = cmd_farm_explain,
		.words_min = 1,
		.words_max = 1,
		.help =
			"The counts behind each piece of evidence and what it is worth against the\n"
			"nearest benign explanation; what rules that one out; what the decision would\n"
			"be without each kind of evidence; what the plan would hit.",
	},
	{
		.object = "plan",
		.verb = "show",
		.args = "",
		.summary = "the rules that are proposed, and what they would cost",
		.run = cmd_plan_show,
		.help =
			"For each farm: how many rules, members spared and why, innocents expected\n"
			"among the sources (and at most, 95%), and the gates that are not met. With -j\n"
			"every rule as `rule list` would show it.",
	},
	{
		.object = "plan",
		.verb = "apply",
		.args = "[ID...]",
		.summary = "put proposed rules in force",
		.run = cmd_plan_apply,
		.words_max = -1,
		.help =
			"All farms that are proposed, or those named. Each rule is on one source and\n"
			"one stack, has an expiry and says which farm it is from. Asks first on a\n"
			"terminal; elsewhere it needs --yes. Exit 5 when some farms' rules could not\n"
			"be added, 6 when a farm is not proposed or all its members are spared.",
		.options = {
			{ "--yes", NULL, "do not ask" },
			{ "--dry-run", NULL, "show what would be added, change nothing" },
		},
	},
	{
		.verb = "panic",
		.args = "[off]",
		.summary = "stop dropping at once; off: start again",
		.run = cmd_panic,
		.words_max = 1,
		.help =
			"From now on nothing is dropped, whatever the rules say; counting goes on.\n"
			"`panic off` lets the rules act again: it asks first on a terminal, elsewhere\n"
			"it needs --yes.",
		.options = {
			{ "--yes", NULL, "do not ask before `panic off`" },
		},
	},
	{
		.verb = "replay",
		.args = "FILE",
		.summary = "run a capture through the classifier",
		.run = cmd_replay,
		.words_max = 1,
		.help =
			"Reads pcap or pcapng (- is standard input), needs no daemon and touches none\n"
			"of its tables. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.",
		.options = {
			{ "--ports", "LIST|any", "the protected ports; 443 unless given" },
			{ "--hellos", NULL, "print each ClientHello" },
			{ "--sources", NULL, "print each tally" },
			{ "--farms", NULL, "print the farms found" },
			{ "--state", "DIR", "keep history there" },
			{ "--events", "FILE", "read an event stream instead of a capture" },
			{ "--baseline-until", "TIME", "traffic before it is known to be clean" },
			{ "-c", "FILE", "winnow.conf: its [detect] section and proxy_from" },
			{ "--window", "DURATION", "how often the detector looks; 60s" },
			{ "--plan", NULL, "with -j: the plan instead of the farms" },
		},
	},
	{
		.verb = "completion",
		.args = "bash|zsh|fish",
		.summary = "print a completion script for a shell",
		.run = cmd_completion,
		.words_min = 1,
		.words_max = 1,
		.help =
			"  source <(winnow completion bash)\n"
			"  winnow completion zsh > /usr/local/share/zsh/site-functions/_winnow\n"
			"  winnow completion fish > ~/.config/fish/completions/winnow.fish",
	},
	{
		.verb = "help",
		.args = "[COMMAND]",
		.summary = "explain winnow or one command",
		.run = cmd_help,
		.words_max = 2,
		.help =
			"`winnow COMMAND help` and `winnow COMMAND --help` say the same.",
		.options = {
			{ "--scdoc", NULL, "print the commands as scdoc source, for winnow(8)" },
			{ "--results", NULL, "print what a hello's result can be, for winnow-fingerprints(7)" },
		},
	},
	{ .verb = NULL },
};

const struct object *object_find(const char *name)
{
	for (const struct object *o = objects; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

static void candidate_add(struct candidates *c, const char *name)
{
	if (c->n < CANDIDATES_MAX)
		c->name[c->n++] = name;
}

/* 2: the very word, 1: a prefix, 0: neither. */
static int word_fits(const char *word, const char *name)
{
	size_t len = strlen(word);

	if (!strcmp(word, name))
		return 2;
	return len && !strncmp(word, name, len);
}

const char *command_first(const char *word, struct candidates *c)
{
	c->n = 0;
	for (const struct object *o = objects; o->name; o++) {
		int fits = word_fits(word, o->name);

		if (fits == 2) {
			c->n = 1;
			return c->name[0] = o->name;
		}
		if (fits)
			candidate_add(c, o->name);
	}
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		int fits = cmd->object ? 0 : word_fits(word, cmd->verb);

		if (fits == 2) {
			c->n = 1;
			return c->name[0] = cmd->verb;
		}
		if (fits)
			candidate_add(c, cmd->verb);
	}
	return c->n == 1 ? c->name[0] : NULL;
}

static int same_object(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

const struct command *command_find(const char *object, const char *word, struct candidates *c)
{
	const struct command *found = NULL;

	if (object && !strcmp(word, "ls"))
		word = "list";
	c->n = 0;
	for (const struct command *cmd = commands; cmd->verb; cmd++) {
		int fits = same_object(object, cmd->object) ? word_fits(word, cmd->verb) : 0;

		if (fits == 2) {
			c->n = 1;
			c->name[0] = cmd->verb;
			return cmd;
		}
		if (fits) {
			candidate_add(c, cmd->verb);
			found = cmd;
		}
	}
	return c->n == 1 ? found : NULL;
}

const char *candidates_text(const struct candidates *c, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->n && len < size; i++)
		len += snprintf(out + len, size - len, "%s%s", i ? ", " : "", c->name[i]);
	return out;
}

static const struct cli_option *option_in(const struct cli_option *o, const char *name)
{
	for (; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

const struct cli_option *option_find(const struct command *cmd, const char *name)
{
	const struct cli_option *o = cmd ? option_in(cmd->options, name) : NULL;

	if (!strcmp(name, "-h"))
		name = "--help";
	return o ? o : option_in(global_options, name);
}
