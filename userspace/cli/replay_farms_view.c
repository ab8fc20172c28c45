/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay --farms`: the detector on the tables of a capture, and
 * `winnow replay --events`: on a stream of events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "cli/replay_farms.h"
#include "kern/kern.h"
#include "model/snapshot.h"

static struct farms_run *run;
static int failed; /* a window could not be judged */

static int options(struct detect_config *c)
{
	const char *until = cli_option("--baseline-until"), *window = cli_option("--window");

	*c = detect_config_default();
	c->baseline_windows = 0; /* a file has no clean part but the one it is told */
	if (until && farms_time(until, &c->baseline_until))
		return cli_usage("--baseline-until %s: neither RFC 3339 nor seconds since 1970",
				 until);
	if (window && (duration_parse(window, &c->window) || c->window < NSEC_PER_SEC ||
		       c->window > 86400 * NSEC_PER_SEC))
		return cli_usage("--window %s: a duration from 1s to 24h", window);
	return CLI_DONE;
}

static int answer(void)
{
	int err;

	if (cli.format == FORMAT_TABLE)
		err = farms_explain(run, stdout);
	else
		err = farms_print(run, cli_option("--plan"), stdout);
	farms_free(run);
	run = NULL;
	return err ? err : failed;
}

static int begin(void)
{
	struct detect_config c;
	int code = options(&c);

	return code ? -EINVAL : farms_new(&c, &run);
}

static int hello(const struct replay_name *n)
{
	const struct event_hello *e = n->h->hello;

	if (e->result != HELLO_OK)
		return 0;
	return farms_name(run, e->hello.stack_key, n->text->stack, n->text->ja4, e->hello.flags);
}

static void losses_of(struct replay *p, struct losses *l)
{
	uint64_t c[COUNTER_MAX];

	if (kern_counters(replay_kern(p), c))
		return;
	l->tally_evicted = c[COUNTER_TALLY_EVICTED];
	l->order_evicted = c[COUNTER_ORDER_EVICTED];
	l->flow_evicted = c[COUNTER_FLOW_EVICTED];
	l->handshake_evicted = c[COUNTER_HANDSHAKE_EVICTED];
	l->ring_lost = c[COUNTER_RING_LOST];
	l->hello_unproved = c[COUNTER_HELLO_UNPROVED];
}

/* The tables as they stand, called the state at `at` (ns since 1970). */
static int window(struct replay *p, uint64_t at)
{
	uint64_t now = replay_now(p), epoch = replay_time(p, now) - now;
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(at - epoch, epoch);
	const struct tally_set *sets;
	const struct order_set *orders;
	size_t n_sets, n_orders;
	int err;

	if (!s)
		return -ENOMEM;
	sets = kern_tallies(replay_kern(p), &n_sets);
	orders = kern_orders(replay_kern(p), &n_orders);
	err = snapshot_add_sets(s, sets, n_sets, orders, n_orders);
	if (!err)
		err = farms_stacks(run, s);
	losses_of(p, &s->losses);
	return err ? err : farms_window(run, s);
}

/* Before the frame of this time is fed: the windows that ended before it. */
static void tick(struct replay *p, uint64_t at)
{
	while (!failed && farms_due(run, at) <= at)
		failed = window(p, farms_due(run, at));
}

static int finish(struct replay *p)
{
	const struct replay_stats *s = replay_stats(p);

	if (s->frames && !failed)
		failed = window(p, farms_due(run, s->last_ns));
	return answer();
}

const struct replay_view replay_farms = { begin, hello, finish, tick };

int replay_events(const char *path, const volatile sig_atomic_t *stop)
{
	_cleanup_(fclosep) FILE *in = NULL;
	struct detect_config c;
	struct reason r = {};
	int err, code = options(&c);

	if (code)
		return code;
	in = strcmp(path, "-") ? fopen(path, "re") : fdopen(dup(STDIN_FILENO), "r");
	if (!in)
		return cli_fail(CLI_NO, "replay --events %s: %s", path, strerror(errno));
	err = farms_new(&c, &run);
	if (err)
		return cli_fail(CLI_NO, "replay: %s", strerror(-err));
	err = farms_events(run, in, stop, &r);
	failed = answer();
	if (err)
		return cli_fail(CLI_NO, "replay --events %s: %s; what came before is judged above",
				path, r.text);
	if (failed)
		return cli_fail(CLI_NO, "replay --events %s: %s", path, strerror(-failed));
	return stop && *stop ? CLI_INTERRUPTED : CLI_DONE;
}
