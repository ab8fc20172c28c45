/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scenario.c - a labelled site as a stream: events as lines or records, or packets.
 *
 *	scenario [KEY=VALUE]... >EVENTS
 *
 * Keys: format=jsonl|binary|pcap, labels=FILE (a line an identity: SRC STACK NAME),
 * truth=FILE (one JSON object: how much of whom), and those of sim_option():
 * seed design sources history length accounts share rate life sites exits far drift
 * top copies poison blind react. README.md says what they mean.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/sim/emit.h"

struct count {
	uint64_t connections, exchanges;
};

static struct count before[3], after[3]; /* enum role; the design begins */
static uint64_t farm_stack_benign;
static uint64_t *hours; /* farm exchanges of each hour of the run */
static size_t n_hours;

static int play(struct sim *s, struct emitter *m, double history)
{
	uint64_t begins = (SIM_START + (uint64_t)history) * 1000000000ULL;
	struct sim_truth t;
	struct event_conn e;
	int more, err = 0;

	while (!err && (more = sim_next(s, &e, &t)) > 0) {
		struct count *c = e.t < begins ? before : after;

		c[t.role].connections++;
		c[t.role].exchanges += e.n_exchanges;
		if (t.role == FARM)
			hours[(e.t / 1000000000 - SIM_START) / 3600 % n_hours] += e.n_exchanges;
		if (t.role != FARM && t.stack == sim_farm_stack(s) && e.t >= begins)
			farm_stack_benign += e.n_exchanges;
		err = emit(m, &e, &t);
	}
	return err ? err : more;
}

static int tell(const struct sim *s, const struct sim_config *c, const char *path)
{
	static const char *const roles[] = { "organic", "negative", "farm" };
	_cleanup_(fclosep) FILE *f = fopen(path, "we");
	uint32_t stack = sim_farm_stack(s);

	if (!f)
		return -errno;
	fputs("{\"schema\":\"winnow.truth/1\",\"settings\":\"", f);
	sim_describe(c, f);
	fprintf(f, "\",\"start\":%llu,\"begins\":%.0f,\"copies\":%u,\"accounts\":%u",
		(unsigned long long)SIM_START, SIM_START + c->history, sim_copies(s),
		sim_accounts(s));
	if (stack != UINT32_MAX)
		fprintf(f, ",\"stack_sources\":%u,\"stack_benign_exchanges\":%" PRIu64,
			sim_stack_sources(s, stack), farm_stack_benign);
	for (int i = 0; i < 3; i++)
		fprintf(f,
			",\"%s\":{\"connections\":[%" PRIu64 ",%" PRIu64 "],\"exchanges\":[%" PRIu64
			",%" PRIu64 "]}",
			roles[i], before[i].connections, after[i].connections, before[i].exchanges,
			after[i].exchanges);
	fputs(",\"farm_by_hour\":[", f);
	for (size_t i = 0; i < n_hours; i++)
		fprintf(f, "%s%" PRIu64, i ? "," : "", hours[i]);
	return fputs("]}\n", f) == EOF ? -EIO : 0;
}

static int usage(const char *word)
{
	fprintf(stderr,
		"scenario: %s: no such setting, or not a value it takes; see tests/sim/README.md\n",
		word);
	return 2;
}

int main(int argc, char **argv)
{
	static const char *const forms[] = { "jsonl", "binary", "pcap" };
	_cleanup_(sim_freep) struct sim *s = NULL;
	_cleanup_(fclosep) FILE *labels = NULL;
	struct sim_config c = sim_config_default();
	const char *truth = NULL;
	struct emitter *m;
	struct reason r = {};
	enum form form = JSONL;
	int err, closed;

	signal(SIGPIPE, SIG_DFL);
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "format=", 7)) {
			for (form = JSONL; form <= PCAP && strcmp(argv[i] + 7, forms[form]);)
				form++;
			if (form > PCAP)
				return usage(argv[i]);
		} else if (!strncmp(argv[i], "labels=", 7)) {
			labels = fopen(argv[i] + 7, "we");
			if (!labels)
				return log_fail(-errno, "%s", argv[i] + 7), 1;
		} else if (!strncmp(argv[i], "truth=", 6)) {
			truth = argv[i] + 6;
		} else if (sim_option(&c, argv[i])) {
			return usage(argv[i]);
		}
	}
	err = sim_new(&c, &s, &r);
	if (err)
		return log_fail(err, "scenario: %s", r.text), err == -EINVAL ? 2 : 1;
	if (labels)
		sim_labels(s, labels);
	err = emit_open(form, s, stdout, &m);
	if (err)
		return log_fail(err, "scenario"), 1;
	n_hours = c.length / 3600 + 1;
	hours = calloc(n_hours, sizeof(*hours));
	err = hours ? play(s, m, c.history) : -ENOMEM;
	closed = emit_close(m);
	if (!err)
		err = closed;
	if (!err && truth)
		err = tell(s, &c, truth);
	free(hours);
	return err ? (log_fail(err, "scenario"), 1) : 0;
}
