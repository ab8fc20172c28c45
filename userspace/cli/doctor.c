/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "kern/kern.h"

static const char *const state_name[] = { "ok", "note", "warn", "bad" };

void finding(struct doctor *d, const char *about, enum finding_state state, const char *why,
	     const char *todo, const char *fmt, ...)
{
	char found[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(found, sizeof(found), fmt, ap);
	va_end(ap);
	if ((int)state > d->worst)
		d->worst = state;
	json_array_append_new(d->findings,
			      json_pack("{s:s, s:s, s:s, s:s, s:s?}", "about", about, "state",
					state_name[state], "found", found, "why", why, "do",
					state == FINDING_OK ? NULL : todo));
}

/* ---- the running daemon ----------------------------------------------------------------- */

static json_int_t count(const json_t *status, const char *name)
{
	return json_int_at(json_object_get(status, "counters"), name);
}

static void check_proof(struct doctor *d, const json_t *status)
{
	const char *proof = json_text_at(status, "proof", "none");

	finding(d, "proof", strcmp(proof, "egress") ? FINDING_NOTE : FINDING_OK,
		"only connections whose client answered the server's own number count",
		!strcmp(proof, "socket")
			? "egress proof needs clsact on every device; socket proof works, and sees no "
			  "forwarded connections"
			: NULL,
		"%s, %lld hellos proved, %lld not", proof, (long long)count(status, "hello_proved"),
		(long long)count(status, "hello_unproved"));
	if (count(status, "hello_unproved") > 100 &&
	    count(status, "hello_unproved") > count(status, "hello_proved"))
		finding(d, "proof", FINDING_WARN,
			"answers of the server do not pass this device, or clients never finish",
			"watch the device that the answers leave by, too",
			"most hellos stay unproved");
}

/* A balancer hides its clients: all connections come from a few addresses, or with a
 * header in front. */
static void check_balancer(struct doctor *d, const json_t *status)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	json_int_t strangers = count(status, "hello_result_unexpected_proxy"), total,
		   connections = 0;
	json_t *row;
	size_t i;

	if (strangers)
		finding(d, "balancer", FINDING_BAD,
			"the header's client is the source only where its sender is believed",
			"proxy_from = the balancer's addresses, if they are yours; else somebody tries",
			"%lld connections began with a PROXY header of a stranger",
			(long long)strangers);
	if (client_ask("source.list", json_pack("{s:i}", "limit", 100), &r) != CLI_DONE)
		return;
	total = json_int_at(r.data, "total");
	json_array_foreach(json_object_get(r.data, "sources"), i, row)
		connections += json_int_at(row, "connections");
	if (total && total <= 3 && connections >= 1000)
		finding(d, "balancer", FINDING_WARN,
			"behind a balancer that sends no PROXY header every client looks like the balancer",
			"let it send PROXY v2 and set proxy_from, or run winnow before it",
			"%lld connections come from %lld sources", (long long)connections,
			(long long)total);
	else
		finding(d, "balancer", FINDING_OK, "clients must be seen by their own addresses",
			NULL, "%lld rows of sources", (long long)total);
}

static void check_daemon(struct doctor *d, const json_t *status)
{
	json_t *t;
	size_t i;

	finding(d, "winnowd", FINDING_OK, "names, shows, and keeps the rules", NULL,
		"runs, version %s", json_text_at(status, "version", "?"));
	json_array_foreach(json_object_get(status, "troubles"), i, t)
		finding(d, json_text_at(t, "about", "winnowd"), FINDING_BAD,
			"winnowd says it is wrong now", "see the sentence", "%s",
			json_text_at(t, "text", ""));
	if (json_is_true(json_object_get(status, "panic")))
		finding(d, "panic", FINDING_WARN, "nothing is dropped", "winnow panic off",
			"it is on");
	if (json_is_false(json_object_get(status, "enforce")))
		finding(d, "shadow", FINDING_NOTE, "rules only count what they would have done",
			"enforce = yes, when you have looked", "enforce = no");
	check_proof(d, status);
	check_balancer(d, status);
}

/* ---- devices -------------------------------------------------------------------------------- */

static bool watched(const json_t *status, const char *device)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(status, "devices"), i, row)
		if (!strcmp(json_text_at(row, "device", ""), device))
			return json_is_true(json_object_get(row, "alive"));
	return false;
}

static void check_device(struct doctor *d, const json_t *status, const char *device)
{
	struct device_facts f;
	char about[32];

	if (device_facts(d, device, &f)) {
		snprintf(about, sizeof(about), "device %.15s", device);
		finding(d, about, FINDING_BAD, "nothing can be watched there", "ip link",
			"no such device");
		return;
	}
	f.ours = f.xdp_id && watched(status, device);
	doctor_device(d, &f);
}

/* The device of the default route, of /proc/net/route. */
static bool default_device(char out[16])
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/net/route", "re");
	char line[256];
	unsigned int net;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%15s %x", out, &net) == 2 && !net)
			return true;
	return false;
}

static void check_devices(struct doctor *d, const json_t *status, int argc, char **argv)
{
	json_t *list = json_object_get(status, "devices"), *row;
	char device[16];
	size_t i;

	for (int a = 1; a < argc; a++)
		check_device(d, status, argv[a]);
	if (argc > 1)
		return;
	json_array_foreach(list, i, row)
		check_device(d, status, json_text_at(row, "device", ""));
	if (!json_array_size(list) && default_device(device))
		check_device(d, status, device);
	if (status && !json_array_size(list))
		finding(d, "devices", FINDING_BAD, "what is not watched is not seen",
			"interfaces = DEV in winnow.conf, or winnow attach DEV", "none is watched");
}

/* ---- the command --------------------------------------------------------------------------- */

static const char *paint_state(const char *text)
{
	if (!strcmp(text, "ok"))
		return "32";
	return strcmp(text, "bad") ? strcmp(text, "warn") ? "36" : "33" : "31";
}

static const struct column columns[] = {
	{ .head = "about", .key = "about" },
	{ .head = "state", .key = "state", .paint = paint_state },
	{ .head = "found", .key = "found", .elastic = true },
	{ .head = "why", .key = "why", .elastic = true },
	{ .head = "do", .key = "do", .elastic = true },
	{ 0 },
};

/* For a person: what is right in a line each, what is not with why and what to do. */
static void print_findings(const json_t *list)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		const char *state = json_text_at(row, "state", ""),
			   *todo = json_text_at(row, "do", NULL);
		_cleanup_(freep) char *about = text_safe(json_text_at(row, "about", ""));
		_cleanup_(freep) char *found = text_safe(json_text_at(row, "found", ""));

		printf(cli.color ? "\033[%sm%-5s\033[0m" : "%.0s%-5s", paint_state(state), state);
		printf(" %-14s %s\n", about, found);
		if (strcmp(state, "ok"))
			printf("%22s%s\n", "", json_text_at(row, "why", ""));
		if (todo)
			printf("%22s-> %s\n", "", todo);
	}
}

/* The daemon's answer, or NULL; none is a finding, not an error. */
static const json_t *ask_status(struct doctor *d, struct reply *r)
{
	if (access(cli.socket, F_OK)) {
		finding(d, "winnowd", FINDING_WARN,
			"rules go on without it, nothing new is decided", "systemctl start winnowd",
			"nobody listens at %s", cli.socket);
		return NULL;
	}
	client_ask("status", NULL, r);
	if (!r->data)
		finding(d, "winnowd", FINDING_WARN,
			"rules go on without it, nothing new is decided",
			"systemctl status winnowd", "it does not answer at %s", cli.socket);
	return r->data;
}

int cmd_doctor(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	struct doctor d = { .root = "",
			    .bpffs = access("/run/winnow.bpf", F_OK) ? "/sys/fs/bpf/winnow"
								     : "/run/winnow.bpf",
			    .fix = cli_option("--fix") != NULL,
			    .findings = json_array() };
	struct kern_config tables;
	const json_t *status;
	struct utsname u;
	json_t *doc;

	kern_config_default(&tables);
	d.table_bytes = doctor_table_bytes(&tables);
	uname(&u);
	doctor_kernel(&d, u.release);
	doctor_host(&d);
	status = ask_status(&d, &r);
	if (status)
		check_daemon(&d, status);
	check_devices(&d, status, argc, argv);
	doc = json_pack("{s:s, s:s, s:o}", "schema", "winnow.doctor/1", "worst",
			state_name[d.worst], "findings", d.findings);
	if (cli.format == FORMAT_TABLE)
		print_findings(d.findings);
	else
		rows_print(doc, "findings", "winnow.finding/1", columns, "", CLI_DONE);
	json_decref(doc);
	return d.worst == FINDING_BAD ? CLI_NO : CLI_DONE;
}
