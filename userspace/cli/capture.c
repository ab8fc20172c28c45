/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "export/pcapng.h"

#define SNAPLEN 256
#define POLL_MS 200

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static size_t bytes_of(const char *hex, uint8_t out[SNAPLEN])
{
	size_t n = 0;

	while (n < SNAPLEN && sscanf(hex + 2 * n, "%2hhx", &out[n]) == 1)
		n++;
	return n;
}

/* Packets written, or -EIO. */
static long long write_packets(FILE *f, const json_t *data, long long most)
{
	long long n = 0;
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(data, "packets"), i, p) {
		uint8_t bytes[SNAPLEN];
		size_t len = bytes_of(json_text_at(p, "bytes", ""), bytes);

		if (most && n == most)
			break;
		if (pcapng_packet(f, json_int_at(p, "time_ns"), bytes, len,
				  json_int_at(p, "frame_len"), json_text_at(p, "comment", NULL)))
			return -EIO;
		n++;
	}
	return fflush(f) ? -EIO : n;
}

static int run(FILE *f, const char *file, json_int_t id, long long most)
{
	long long total = 0, lost = 0, n;

	while (!interrupted && (!most || total < most)) {
		_cleanup_(reply_free) struct reply r = { 0 };

		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
		if (client_ask("capture.fetch", json_pack("{s:I}", "id", id), &r) != CLI_DONE)
			return r.exit;
		n = write_packets(f, r.data, most ? most - total : 0);
		if (n < 0)
			return cli_fail(CLI_NO, "write %s: %s", file, strerror(errno));
		total += n;
		lost = json_int_at(r.data, "lost");
	}
	say("%lld packets in %s, %lld lost.", total, file, lost);
	return CLI_DONE;
}

/* Its own mode, so that nobody else reads what clients sent. */
static FILE *output(const char *file)
{
	FILE *f = strcmp(file, "-") ? fopen(file, "wbe") : stdout;

	if (f && pcapng_begin(f, SNAPLEN)) {
		if (f != stdout)
			fclose(f);
		return NULL;
	}
	return f;
}

int cmd_capture(int argc, char **argv)
{
	const char *file = cli_option("-w"), *rule = cli_option("--rule");
	const char *rate = cli_option("--rate"), *count = cli_option("--count");
	long long handle = rule ? cli_number(rule, 1, UINT32_MAX) : 0;
	long long most = count ? cli_number(count, 1, 1000000000) : 0;
	long long a_second = rate ? cli_number(rate, 1, 10000) : 100;
	_cleanup_(reply_free) struct reply r = { 0 };
	_cleanup_(reply_free) struct reply end = { 0 };
	json_int_t id;
	FILE *f;
	int code;

	if (!file)
		return cli_usage("-w FILE is missing (- is standard output)");
	if (handle < 0 || most < 0 || a_second < 0)
		return cli_usage("--rule, --count and --rate (at most 10000) take numbers");
	if (client_ask("capture.start",
		       json_pack("{s:I, s:s*, s:I}", "rule", (json_int_t)handle, "farm",
				 cli_option("--farm"), "rate", (json_int_t)a_second),
		       &r) != CLI_DONE)
		return r.exit;
	id = json_int_at(r.data, "id");
	umask(0077);
	f = output(file);
	if (!f)
		return cli_fail(CLI_NO, "write %s: %s", file, strerror(errno));
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	code = run(f, file, id, most);
	if (f != stdout && fclose(f) && !code)
		code = cli_fail(CLI_NO, "write %s: %s", file, strerror(errno));
	client_ask("capture.stop", json_pack("{s:I}", "id", id), &end);
	return code;
}
