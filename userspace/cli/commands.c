/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

const struct object objects[] = {
	{ "source", "what was tallied, source by source" },
	{ "fp", "fingerprints seen: client stacks and their names" },
	{ "rule", "what is dropped, limited or counted" },
	{ "allow", "networks that no rule may touch" },
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
	{ NULL,
	  "status",
	  "",
	  "what the daemon sees, does and loses",
	  cmd_status,
	  0,
	  0,
	  "One screen: devices and modes, the proof of connections in use, protected ports, "
	  "packets by\n"
	  "verdict, how full the tables are, rules, and every kind of loss with its count.",
	  { { NULL, NULL, NULL } } },
	{ NULL,
	  "attach",
	  "DEV",
	  "watch a network device",
	  cmd_attach,
	  1,
	  1,
	  "Attaches the classifier to the device in native mode. It stays attached when the daemon "
	  "stops.\n"
	  "Generic mode costs every packet a copy and is used only when asked for. A program of "
	  "somebody\n"
	  "else on the device is never replaced.",
	  { { "--mode", "native|generic", "how the program is attached; native unless given" } } },
	{ NULL,
	  "detach",
	  "DEV",
	  "stop watching a network device",
	  cmd_detach,
	  1,
	  1,
	  "Takes the classifier off the device. Tallies and rules stay.",
	  { { NULL, NULL, NULL } } },
	{ "source",
	  "list",
	  "",
	  "the sources tallied so far",
	  cmd_source_list,
	  0,
	  0,
	  "One row for each source, stack and service, newest first. A source is an IPv4 address "
	  "or an\n"
	  "IPv6 /64. D* is the hidden leg of timing, the median of the last five handshakes. "
	  "Flags:\n"
	  "resumed, piggy (acknowledgement and TLS answer in one segment), ccs-alone, ccs-twice "
	  "(how\n"
	  "ChangeCipherSpec came).",
	  { { NULL, NULL, NULL } } },
	{ "source",
	  "show",
	  "ADDR",
	  "everything tallied of one source",
	  cmd_source_show,
	  1,
	  1,
	  "All rows of the source that the address belongs to, with their histograms. Exit 1 when "
	  "it was\n"
	  "never seen.",
	  { { NULL, NULL, NULL } } },
	{ "fp",
	  "list",
	  "",
	  "the fingerprints seen so far",
	  cmd_fp_list,
	  0,
	  0,
	  "One row for each client stack: its names, and how many connections carried it.",
	  { { NULL, NULL, NULL } } },
	{ "fp",
	  "show",
	  "NAME",
	  "one fingerprint in full",
	  cmd_fp_show,
	  1,
	  1,
	  "NAME is a stack, a JA4, a JA4_r or a JA3. Exit 1 when it was never seen.",
	  { { NULL, NULL, NULL } } },
	{ "rule",
	  "list",
	  "",
	  "the rules in force",
	  cmd_rule_list,
	  0,
	  0,
	  "Hits are proved connections that the rule acted on; would-hit are those it let by "
	  "because it\n"
	  "only counts, or because of holdout or canary.",
	  { { NULL, NULL, NULL } } },
	{ "rule",
	  "add",
	  "MATCH... action ACTION [for DURATION] reason TEXT",
	  "add a rule; prints its handle",
	  cmd_rule_add,
	  1,
	  -1,
	  "MATCH is one or more of: src CIDR, ja4 S, stack S, order H, and state predicates that "
	  "look at\n"
	  "earlier connections of the same source and stack: state split>=N, state resumed=0,\n"
	  "state seen>=N, state age<=T, state d1>=T. ACTION is pass, count, limit RATE/s, drop, "
	  "reset or\n"
	  "reject. Also: ports any (beyond the protected ports), existing keep|drop (connections "
	  "that are\n"
	  "already there). DURATION is like 90s, 15m, 12h, 7d.\n"
	  "\n"
	  "  winnow rule add src 203.0.113.9 stack NAME action reset for 12h reason \"ticket "
	  "4711\"\n"
	  "\n"
	  "Exit 6 when the rule would cover an allowed network, the gateway, your own connection, "
	  "or a\n"
	  "prefix shorter than /16 (IPv6: /32).",
	  { { "--dry-run", NULL, "say what the rule would hit, change nothing" } } },
	{ "rule",
	  "del",
	  "HANDLE",
	  "remove a rule",
	  cmd_rule_del,
	  1,
	  1,
	  "HANDLE is the number that `rule add` printed and `rule list` shows.",
	  { { NULL, NULL, NULL } } },
	{ "rule",
	  "check",
	  "ADDR",
	  "would this address be dropped, and why",
	  cmd_rule_check,
	  1,
	  1,
	  "Exit 0 if something of this address would be dropped, 1 if nothing would. Says which "
	  "rule, who\n"
	  "added it, why, and until when.",
	  { { "--stack", "NAME", "as if it came with this client stack" } } },
	{ "rule",
	  "flush",
	  "",
	  "remove every rule",
	  cmd_rule_flush,
	  0,
	  0,
	  "Asks first on a terminal; elsewhere it needs --yes. Allowed networks stay.",
	  { { "--yes", NULL, "do not ask" },
	    { "--dry-run", NULL, "show the rules that would go, change nothing" } } },
	{ "allow",
	  "list",
	  "",
	  "the networks that no rule may touch",
	  cmd_allow_list,
	  0,
	  0,
	  "An allowed network always wins over a rule, in the kernel.",
	  { { NULL, NULL, NULL } } },
	{ "allow",
	  "add",
	  "CIDR [reason TEXT]",
	  "let a network pass whatever the rules say",
	  cmd_allow_add,
	  1,
	  -1,
	  "CIDR is an address or a network, IPv4 or IPv6.",
	  { { NULL, NULL, NULL } } },
	{ "allow",
	  "del",
	  "CIDR",
	  "take a network off the allow list",
	  cmd_allow_del,
	  1,
	  1,
	  "CIDR as `allow list` shows it.",
	  { { NULL, NULL, NULL } } },
	{ NULL,
	  "panic",
	  "[off]",
	  "stop dropping at once; off: start again",
	  cmd_panic,
	  0,
	  1,
	  "From now on nothing is dropped, whatever the rules say; counting goes on. `panic off` "
	  "lets the\n"
	  "rules act again: it asks first on a terminal, elsewhere it needs --yes.",
	  { { "--yes", NULL, "do not ask before `panic off`" } } },
	{ NULL,
	  "replay",
	  "FILE",
	  "run a capture through the classifier",
	  cmd_replay,
	  0,
	  1,
	  "Reads pcap or pcapng (- is standard input), needs no daemon and touches none of its "
	  "tables.\n"
	  "Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.",
	  { { "--ports", "LIST|any", "the protected ports; 443 unless given" },
	    { "--hellos", NULL, "print each ClientHello" },
	    { "--sources", NULL, "print each tally" },
	    { "--farms", NULL, "print the farms found" },
	    { "--state", "DIR", "keep history there" },
	    { "--events", "FILE", "read an event stream instead of a capture" },
	    { "--baseline-until", "TIME", "traffic before it is known to be clean" } } },
	{ NULL,
	  "completion",
	  "bash|zsh|fish",
	  "print a completion script for a shell",
	  cmd_completion,
	  1,
	  1,
	  "  source <(winnow completion bash)\n"
	  "  winnow completion zsh > /usr/local/share/zsh/site-functions/_winnow\n"
	  "  winnow completion fish > ~/.config/fish/completions/winnow.fish",
	  { { NULL, NULL, NULL } } },
	{ NULL,
	  "help",
	  "[COMMAND]",
	  "explain winnow or one command",
	  cmd_help,
	  0,
	  2,
	  "`winnow COMMAND help` and `winnow COMMAND --help` say the same.",
	  { { "--scdoc", NULL, "print the commands as scdoc source, for winnow(8)" } } },
	{ NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, { { NULL, NULL, NULL } } },
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
