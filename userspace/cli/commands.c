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
	{ "config", "the settings of winnowd" },
	{ "commit", "changes that undo themselves unless confirmed" },
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
		.verb = "top",
		.args = "",
		.summary = "watch traffic, stacks, farms, rules and losses live",
		.run = cmd_top,
		.help =
			"One screen that goes on: traffic by verdict, how full the tables are, what was\n"
			"lost, and a list: 1 stacks, 2 farms, 3 sources, 4 rules, 5 losses. Enter opens\n"
			"a row, s sorts, / filters, space pauses, h lists all keys, q quits. `-b` prints\n"
			"pages instead, whole and without colour, for a pipe or a log; with -j or\n"
			"--jsonl each page is one winnow.top/1 document.",
		.options = {
			{ "-b", NULL, "print pages instead of drawing on the terminal" },
			{ "-n", "N", "so many pages, then end; without -b ignored" },
			{ "-d", "SECONDS", "between pages, 2 unless given" },
			{ "--list", "stacks|farms|sources|rules|losses", "the list to begin with" },
		},
	},
	{
		.verb = "monitor",
		.args = "",
		.summary = "what winnowd says, as it says it",
		.run = cmd_monitor,
		.help =
			"Rules that come and go, farms that change their state, devices, panic, reloads,\n"
			"troubles: one line each, text or --jsonl. Ends with the daemon, or by ctrl-C.",
		.options = {
			{ "--last", "N", "begin with the newest N; 0 unless given" },
			{ "-n", "N", "end after N lines" },
		},
	},
	{
		.verb = "doctor",
		.args = "[DEV...]",
		.summary = "what on this host helps or hinders winnow, and what to do",
		.run = cmd_doctor,
		.words_max = -1,
		.help =
			"Looks at kernel, BTF, JIT, lockdown, capabilities, bpf file system, memory and\n"
			"clock; at each device (those named, else those watched, else the default\n"
			"route's): driver, MTU, offloads, bonds, other XDP programs; and at the running\n"
			"winnowd. Each line has a state (ok, note, warn, bad), what was found, why it\n"
			"matters and what to do. Attaches nothing. Exit 1 when something is bad.",
		.options = {
			{ "--fix", NULL, "mend what is safe to: mount the bpf file system, make it writable, JIT on" },
		},
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
		.object = "fp",
		.verb = "label",
		.args = "STACK [LABEL]",
		.summary = "give a stack a name of your own; none: take it away",
		.run = cmd_fp_label,
		.words_min = 1,
		.words_max = 2,
		.help =
			"The label is shown wherever the stack is, instead of that of a known program. It\n"
			"is for people: no rule and no evidence looks at it. At most 64 bytes.",
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
			"state split>=N, state resumed=0, state seen>=N, state age<=T, state d1>=T,\n"
			"state dstar>=T.\n"
			"ACTION is pass, count, limit RATE/s, drop, reset or reject. Also: ports any\n"
			"(beyond the protected ports), existing keep|drop (connections that are\n"
			"already there). DURATION is like 90s, 15m, 12h, 7d.\n"
			"\n"
			"  winnow rule add src 203.0.113.9 stack NAME action reset for 12h reason \"ticket 4711\"\n"
			"\n"
			"Exit 6 when the rule would cover an allowed network, the gateway, your own\n"
			"connection, or a prefix shorter than /16 (IPv6: /32); when it has no source\n"
			"or state and would hit more than max_share of the proved sources outside\n"
			"farms; when its source carries most stacks (a balancer).",
		.options = {
			{ "--dry-run", NULL, "say what the rule would hit, change nothing" },
			{ "--enforce", NULL, "act at once; without it a rule only counts (enforce = each)" },
			{ "--count", NULL, "only count, whatever the configuration says" },
			{ "--confirm-within", "DURATION", "take it back unless `commit confirm` comes in time" },
		},
	},
	{
		.object = "rule",
		.verb = "enforce",
		.args = "HANDLE",
		.summary = "let a rule act that has only counted so far",
		.run = cmd_rule_enforce,
		.words_min = 1,
		.words_max = 1,
		.help =
			"`rule list` says what it would have hit. --count is the way back. Exit 6 for\n"
			"a rule without source or state that would have hit more than max_share of\n"
			"the proved sources outside farms in the last day.",
		.options = {
			{ "--count", NULL, "the other way: only count from now on" },
			{ "--dry-run", NULL, "say what the rule would hit, change nothing" },
			{ "--confirm-within", "DURATION", "count again unless `commit confirm` comes in time" },
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
		.object = "rule",
		.verb = "export",
		.args = "",
		.summary = "write the rules for another host, or for CrowdSec",
		.run = cmd_rule_export,
		.help =
			"A line each, as `rule add` takes it; with -j and --jsonl as JSON with the life\n"
			"that is left, with --csv the columns that `cscli decisions import` reads. CSV has\n"
			"rules on a source alone: a narrower rule would be wider there, so it is left out,\n"
			"and said. Hits are not part of any.",
	},
	{
		.object = "rule",
		.verb = "import",
		.args = "FILE",
		.summary = "add the rules of a file: lines, JSON lines or CSV",
		.run = cmd_rule_import,
		.words_min = 1,
		.words_max = 1,
		.help =
			"What `rule export` writes; - is standard input, # begins a comment. Lines as `rule\n"
			"add` takes them are sent some thousands at a time, each lot whole or not at all.\n"
			"JSON lines and CSV go one by one, and what is refused is named with its line; of\n"
			"CSV value, and duration, scope, type and reason where there are such columns, and\n"
			"type ban becomes action drop. Exit 5 when only some were added.",
		.options = {
			{ "--enforce", NULL, "act at once; without it rules only count (enforce = each)" },
			{ "--count", NULL, "only count, whatever the configuration says" },
			{ "--dry-run", NULL, "of JSON lines and CSV: check every line, add none" },
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
		.args = "CIDR reason TEXT",
		.summary = "let a network pass whatever the rules say",
		.run = cmd_allow_add,
		.words_min = 1,
		.words_max = -1,
		.help =
			"CIDR is an address or a network, IPv4 or IPv6. Loopback, link-local, the\n"
			"default gateways, DNS servers and who is logged in are always allowed.",
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
		.options = {
			{ "--confirm-within", "DURATION", "allow it again unless `commit confirm` comes in time" },
		},
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
		.object = "farm",
		.verb = "confirm",
		.args = "ID reason TEXT",
		.summary = "note that a farm is one",
		.run = cmd_farm_confirm,
		.words_min = 2,
		.words_max = -1,
		.help =
			"Written to the audit and shown with the farm. Changes no rule: `plan apply` does.",
	},
	{
		.object = "farm",
		.verb = "dismiss",
		.args = "ID reason TEXT",
		.summary = "note that a farm is none",
		.run = cmd_farm_dismiss,
		.words_min = 2,
		.words_max = -1,
		.help =
			"Written to the audit and shown with the farm. Rules of it that are in force stay:\n"
			"`rule del` takes them out.",
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
			"be added, 6 when a farm is not proposed, is dismissed, or all its members are\n"
			"spared.\n"
			"\n"
			"Rules that only count so far act when the plan is applied again with\n"
			"--enforce. A canary begins with 1% of the sources, goes on to 10% and to all\n"
			"(canary_step apart), holds 2% out, and counts again by itself when more\n"
			"benign sources were hit than the plan said at most.\n"
			"\n"
			"A farm that is dropped moves. With --follow each window's new members get their\n"
			"rules by themselves (audited as plan.follow), until none of its rules acts any\n"
			"more or the farm is dismissed.",
		.options = {
			{ "--yes", NULL, "do not ask" },
			{ "--dry-run", NULL, "show what would be added, change nothing" },
			{ "--enforce", NULL, "act at once; without it a rule only counts (enforce = each)" },
			{ "--count", NULL, "only count, whatever the configuration says" },
			{ "--confirm-within", "DURATION", "take it back unless `commit confirm` comes in time" },
			{ "--canary", NULL, "begin with 1% of the sources" },
			{ "--follow", NULL, "rules for members found later, without asking" },
		},
	},
	{
		.object = "config",
		.verb = "check",
		.args = "",
		.summary = "whether the configuration files are good",
		.run = cmd_config_check,
		.help =
			"Reads what winnowd would read: /usr/lib/winnow/winnow.conf, then\n"
			"/etc/winnow/winnow.conf, then /etc/winnow/winnow.conf.d/*.conf. What is wrong is\n"
			"named with its file and line. Exit 1 when something is. Needs no daemon.",
		.options = {
			{ "-c", "FILE", "read only this file" },
		},
	},
	{
		.object = "config",
		.verb = "show",
		.args = "",
		.summary = "the settings in force",
		.run = cmd_config_show,
		.help =
			"Every key with its value, as a file that could be read again. With --files\n"
			"what the files say now, whatever the running winnowd has read.",
		.options = {
			{ "--origin", NULL, "say where each was set: file and line, or default" },
			{ "--files", NULL, "the files, not the running winnowd" },
			{ "-c", "FILE", "only this file" },
		},
	},
	{
		.object = "config",
		.verb = "reload",
		.args = "",
		.summary = "let winnowd read its configuration again",
		.run = cmd_config_reload,
		.help =
			"All or nothing, as with SIGHUP: when anything is wrong nothing is changed,\n"
			"exit 1, and the sentence says what, with file and line.",
	},
	{
		.object = "commit",
		.verb = "confirm",
		.args = "",
		.summary = "keep the changes that wait",
		.run = cmd_commit_confirm,
		.help =
			"Only from a login that is younger than the changes, else exit 6: that you can\n"
			"still get in is what it is to show. Without it the kernel ends the rules at\n"
			"the deadline and allows again what was allowed, also when winnowd is dead.",
	},
	{
		.object = "commit",
		.verb = "rollback",
		.args = "",
		.summary = "take back the changes that wait",
		.run = cmd_commit_rollback,
		.help =
			"Added rules go, enforced ones count again, deleted allow entries are back.",
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
		.verb = "capture",
		.args = "",
		.summary = "packets that rules act on, or would, as a pcapng file",
		.run = cmd_capture,
		.help =
			"tcpdump cannot see what is dropped before the stack. Writes the first 256 bytes\n"
			"of packets as they came, each with its rule and what was done, or would have\n"
			"been, as a comment. Ends with an interrupt or after --count.",
		.options = {
			{ "-w", "FILE", "where to; - is standard output" },
			{ "--rule", "HANDLE", "only of this rule" },
			{ "--farm", "ID", "only of this farm's rules" },
			{ "--rate", "N", "packets a second, at most 10000; 100 unless given" },
			{ "--count", "N", "end after so many" },
		},
	},
	{
		.verb = "audit",
		.args = "[verify]",
		.summary = "who did what, and what came of it; verify: was it changed",
		.run = cmd_audit,
		.words_max = 1,
		.help =
			"Every act and every refusal, oldest first: who, what, and the answer. Rows are\n"
			"chained by hashes; `audit verify` names the first that was changed or is\n"
			"missing, and exits 1.",
		.options = {
			{ "--limit", "N", "the newest N, at most 50000; 100 unless given" },
		},
	},
	{
		.verb = "report",
		.args = "",
		.summary = "write what is known of the farms as one HTML page",
		.run = cmd_report,
		.help =
			"The verdict first; for each farm its course, the evidence against the nearest\n"
			"harmless explanation, the hidden leg beside the stack's other sources, where the\n"
			"members are, the rules and what they would cost. One file that loads nothing\n"
			"from anywhere; -j prints the data in it, winnow.report/1.",
		.options = {
			{ "-o", "FILE", "where to write it; standard output unless given" },
			{ "--farm", "ID", "only this farm" },
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
			{ "--metrics", NULL, "print the metrics there are, for winnow-metrics(7)" },
		},
	},
	{ .verb = NULL },
};
