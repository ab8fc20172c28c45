/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/scrape.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "daemon/daemon.h"
#include "daemon/detector.h"
#include "daemon/http.h"
#include "export/metrics.h"
#include "kern/again.h"

static const char *const reasons[RULE_REASON_N] = { "operator", "farm" };

struct rule_seen {
	uint64_t hits, would;
};

void scrape_init(struct scrape *s)
{
	*s = (struct scrape){};
	table_init(&s->seen, sizeof(uint64_t), sizeof(struct rule_seen));
}

void scrape_clear(struct scrape *s)
{
	http_free(s->http);
	s->http = NULL;
	table_clear(&s->seen);
}

/* ---- rules, summed ----------------------------------------------------------------- */

static enum rule_reason reason_of(const struct rule_entry *e)
{
	return !strncmp(e->origin, "farm:", 5) ? REASON_FARM : REASON_OPERATOR;
}

static int sum_rule(struct scrape *s, struct table *next, const struct rule_entry *e,
		    const struct rule_hits *hits)
{
	uint64_t handle = e->handle;
	const struct rule_seen *was = table_find(&s->seen, &handle);
	struct rule_seen *now = table_add(next, &handle, NULL);
	enum rule_reason reason = reason_of(e);

	if (!now)
		return -1;
	*now = (struct rule_seen){ hits->connections, hits->would };
	/* A rule written again begins at 0. */
	s->hits[reason][e->spec.action] +=
		now->hits - (was && was->hits <= now->hits ? was->hits : 0);
	s->would[reason][e->spec.action] +=
		now->would - (was && was->would <= now->would ? was->would : 0);
	return 0;
}

static void sum_rules(struct daemon *d)
{
	struct scrape *s = &d->scrape;
	struct clock c = clock_now();
	struct table next;
	bool whole = true;

	table_init(&next, sizeof(uint64_t), sizeof(struct rule_seen));
	for (size_t i = 0; whole && i < d->rules.n; i++) {
		struct rule_hits hits = rulebook_hits(&d->rules, &c, d->rules.at[i]);

		whole = !sum_rule(s, &next, d->rules.at[i], &hits);
	}
	table_clear(&s->seen);
	s->seen = next;
}

void scrape_tick(struct daemon *d)
{
	sum_rules(d);
	http_tick(d->scrape.http);
}

/* Of the 500 series at most a fifth is for what became of frames. */
#define INTERFACES_MAX 16

/* ---- families, in their order ---------------------------------------------------------- */

static void write_daemon(struct metrics *m, struct daemon *d, const struct attachment *list,
			 size_t n)
{
	const struct control *k = kern_control(d->kern);
	struct clock c = clock_now();

	metric(m, METRIC_BUILD_INFO, 1, "version", WINNOW_VERSION, NULL);
	for (size_t i = 0; i < n; i++)
		metric(m, METRIC_XDP_INFO, 1, "interface", list[i].device, "mode",
		       list[i].mode == ATTACH_GENERIC ? "generic" : "native", "proof",
		       proof_text(k->proof), NULL);
	for (size_t i = 0; i < n; i++)
		metric(m, METRIC_INTERFACE_UP, list[i].alive, "interface", list[i].device, NULL);
	metric(m, METRIC_ENFORCING, d->cfg.enforce && !k->panic, NULL);
	metric(m, METRIC_PANIC, k->panic != 0, NULL);
	metric(m, METRIC_TROUBLES, d->n_troubles, NULL);
	metric(m, METRIC_HEARTBEAT, clock_real_of_boot(&c, k->heartbeat) / 1e9, NULL);
	metric(m, METRIC_MAX_UNATTENDED, k->max_unattended / 1e9, NULL);
}

/* Devices of one slot are one line, under the first one's name: their frames were counted
 * together. */
static bool is_first(const struct attachment *list, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (device_slot(list[j].ifindex) == device_slot(list[i].ifindex))
			return false;
	return true;
}

static void write_frames(struct metrics *m, const struct daemon *d, const struct attachment *list,
			 size_t n_devices)
{
	static const struct {
		const char *verdict;
		enum counter packets;
	} verdicts[] = { { "pass", COUNTER_PASS },
			 { "drop", COUNTER_DROP },
			 { "reset", COUNTER_RESET },
			 { "reject", COUNTER_REJECT } };
	uint64_t n[INTERFACES_MAX][COUNTER_MAX];
	const char *name[INTERFACES_MAX];
	size_t devices = 0;

	for (size_t i = 0; i < n_devices && devices < INTERFACES_MAX; i++)
		if (is_first(list, i) &&
		    !kern_device_counters(d->kern, list[i].ifindex, n[devices]))
			name[devices++] = list[i].device;
	for (size_t i = 0; i < devices; i++)
		for (size_t v = 0; v < sizeof(verdicts) / sizeof(verdicts[0]); v++)
			metric(m, METRIC_PACKETS, n[i][verdicts[v].packets], "interface", name[i],
			       "verdict", verdicts[v].verdict, NULL);
	for (size_t i = 0; i < devices; i++) {
		metric(m, METRIC_BYTES, n[i][COUNTER_BYTES] - n[i][COUNTER_DROP_BYTES], "interface",
		       name[i], "verdict", "pass", NULL);
		metric(m, METRIC_BYTES, n[i][COUNTER_DROP_BYTES], "interface", name[i], "verdict",
		       "drop", NULL);
	}
}

static void write_verdicts(struct metrics *m, struct daemon *d, const uint64_t *n)
{
	const struct scrape *s = &d->scrape;

	for (int r = 0; r < RULE_REASON_N; r++)
		for (int a = RULE_LIMIT; a < RULE_ACTION_MAX; a++)
			metric(m, METRIC_DROPS, s->hits[r][a], "reason", reasons[r], "action",
			       rule_action_text(a), NULL);
	for (int r = 0; r < RULE_REASON_N; r++)
		for (int a = RULE_COUNT; a < RULE_ACTION_MAX; a++)
			metric(m, METRIC_WOULD_DROPS, s->would[r][a], "reason", reasons[r],
			       "action", rule_action_text(a), NULL);
	metric(m, METRIC_PREVENTED, n[COUNTER_SAVED_PANIC], "reason", "panic", NULL);
	metric(m, METRIC_PREVENTED, n[COUNTER_SAVED_UNATTENDED], "reason", "unattended", NULL);
	metric(m, METRIC_ALLOW_SAVES, n[COUNTER_SAVED_ALLOW], NULL);
}

static void write_results(struct metrics *m, const uint64_t *n)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		PARSE_RESULTS(X)
#undef X
#define X(id, name, text) name,
			HELLO_RESULTS(X)
#undef X
#define X(id, name, text) name,
				COUNTERS(X)
#undef X
	};
	/* Families of their own. */
	static const bool elsewhere[COUNTER_MAX] = {
		[COUNTER_PACKETS] = true,
		[COUNTER_BYTES] = true,
		[COUNTER_PASS] = true,
		[COUNTER_DROP] = true,
		[COUNTER_RESET] = true,
		[COUNTER_REJECT] = true,
		[COUNTER_DROP_BYTES] = true,
		[COUNTER_SAVED_ALLOW] = true,
		[COUNTER_SAVED_PANIC] = true,
		[COUNTER_SAVED_UNATTENDED] = true,
		[COUNTER_HANDSHAKE_EVICTED] = true,
		[COUNTER_FLOW_EVICTED] = true,
		[COUNTER_TALLY_EVICTED] = true,
		[COUNTER_ORDER_EVICTED] = true,
		[COUNTER_RING_LOST] = true,
		[COUNTER_NAME_BUDGET] = true,
	};
	int i = 0;

	for (; i < PARSE_RESULT_MAX; i++)
		metric(m, METRIC_PARSE, n[i], "result", names[i], NULL);
	for (; i < PARSE_RESULT_MAX + HELLO_RESULT_MAX; i++)
		metric(m, METRIC_HELLOS, n[i], "result", names[i], NULL);
	for (; i < COUNTER_MAX; i++)
		if (!elsewhere[i])
			metric(m, METRIC_EVENTS, n[i], "event", names[i], NULL);
}

static void write_maps(struct metrics *m, struct daemon *d, const uint64_t *n)
{
	struct table_fill fill[TABLE_FILLS];
	size_t tables = daemon_tables(d, n, fill);

	for (size_t i = 0; i < tables; i++)
		metric(m, METRIC_MAP_ENTRIES, fill[i].used, "map", fill[i].name, NULL);
	for (size_t i = 0; i < tables; i++)
		metric(m, METRIC_MAP_CAPACITY, fill[i].capacity, "map", fill[i].name, NULL);
	for (size_t i = 0; i < tables; i++)
		metric(m, METRIC_MAP_EVICTIONS, fill[i].evicted, "map", fill[i].name, NULL);
	metric(m, METRIC_MAP_EVICTIONS, n[COUNTER_HANDSHAKE_EVICTED], "map", "handshakes", NULL);
	metric(m, METRIC_RING_LOST, n[COUNTER_RING_LOST], NULL);
	metric(m, METRIC_NAMES_LOST, n[COUNTER_NAME_BUDGET], "reason", "budget", NULL);
	metric(m, METRIC_NAMES_LOST, d->names.dropped, "reason", "pushed_out", NULL);
	metric(m, METRIC_NAMES_LOST, d->names.mismatches, "reason", "mismatch", NULL);
	metric(m, METRIC_KERNEL_BUSY, again_count(), NULL);
}

static void write_rules(struct metrics *m, struct daemon *d)
{
	uint64_t by[RULE_REASON_N][RULE_ACTION_MAX] = {}, farms[FARM_STATE_MAX] = {};

	for (size_t i = 0; i < d->verdicts->farms.n; i++)
		farms[d->verdicts->farms.farm[i].state]++;
	for (int s = FARM_WATCH; s < FARM_STATE_MAX; s++)
		metric(m, METRIC_FARMS, farms[s], "state", farm_state_name[s], NULL);
	for (size_t i = 0; i < d->rules.n; i++)
		by[reason_of(d->rules.at[i])][d->rules.at[i]->spec.action]++;
	for (int r = 0; r < RULE_REASON_N; r++)
		for (int a = RULE_PASS; a < RULE_ACTION_MAX; a++)
			metric(m, METRIC_RULES, by[r][a], "action", rule_action_text(a), "origin",
			       reasons[r], NULL);
	metric(m, METRIC_RULES_PENDING, d->rules.n_unbound, "reason", "unnamed", NULL);
	metric(m, METRIC_RULES_PENDING, d->rules.n_waiting, "reason", "full", NULL);
	metric(m, METRIC_RULE_EXPIRIES, d->scrape.expiries, NULL);
	metric(m, METRIC_ALLOWED, d->allows.n, NULL);
}

static void write_detector(struct metrics *m, struct daemon *d)
{
	const struct verdicts *v = d->verdicts;

	metric(m, METRIC_DETECTOR_RUN, v->read_ns / 1e9, "stage", "read", NULL);
	metric(m, METRIC_DETECTOR_RUN, v->judge_ns / 1e9, "stage", "judge", NULL);
	metric(m, METRIC_DETECTOR_RUN, v->save_ns / 1e9, "stage", "save", NULL);
	metric(m, METRIC_DETECTOR_RUN, d->farms_store_ns / 1e9, "stage", "store", NULL);
	metric(m, METRIC_DETECTOR_SUCCESS, v->err ? 0 : v->farms.time / 1e9, NULL);
	metric(m, METRIC_DETECTOR_WINDOW, d->cfg.detect.config.window / 1e9, NULL);
	metric(m, METRIC_DETECTOR_LEARNING, !v->judged, NULL);
	metric(m, METRIC_DETECTOR_LATE, detector_late(d->detector), NULL);
}

static void write_service(struct metrics *m, struct daemon *d)
{
	const struct scrape *s = &d->scrape;
	struct server_counts c;

	server_counts(d->server, &c);
	metric(m, METRIC_CONFIG_RELOADS, s->reloads, "result", "done", NULL);
	metric(m, METRIC_CONFIG_RELOADS, s->refused, "result", "refused", NULL);
	metric(m, METRIC_CONFIG_OK, !s->last_refused, NULL);
	metric(m, METRIC_CONTROL, c.requests - d->denied, "result", "answered", NULL);
	metric(m, METRIC_CONTROL, d->denied, "result", "denied", NULL);
	metric(m, METRIC_CONTROL, c.bad, "result", "bad", NULL);
	metric(m, METRIC_CONTROL, c.timed_out, "result", "timed_out", NULL);
	metric(m, METRIC_CONTROL, c.pushed_out, "result", "pushed_out", NULL);
}

char *scrape_text(void *ctx, size_t *len)
{
	_cleanup_(freep) struct attachment *list = NULL;
	uint64_t n[COUNTER_MAX] = {};
	struct daemon *d = ctx;
	struct metrics m = {};
	size_t devices = 0;

	sum_rules(d);
	kern_counters(d->kern, n);
	if (kern_attachments(d->kern, &list, &devices))
		devices = 0;
	write_daemon(&m, d, list, devices);
	write_frames(&m, d, list, devices);
	write_verdicts(&m, d, n);
	write_results(&m, n);
	write_maps(&m, d, n);
	write_rules(&m, d);
	write_detector(&m, d);
	write_service(&m, d);
	metrics_process(&m);
	return metrics_end(&m, len);
}

/* ---- the server -------------------------------------------------------------------------- */

void scrape_listen(struct daemon *d, const char *was)
{
	struct reason r;

	if (!strcmp(was, d->cfg.metrics) && d->scrape.http)
		return;
	http_free(d->scrape.http);
	d->scrape.http = NULL;
	if (*d->cfg.metrics &&
	    http_open(d->epoll_fd, d->cfg.metrics, scrape_text, d, &d->scrape.http, &r))
		trouble_set(d, "metrics", "%s", r.text);
	else
		trouble_set(d, "metrics", NULL);
}
