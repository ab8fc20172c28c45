/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay --farms`: the detector on the tables of a capture, and
 * `winnow replay --events`: on a stream of events. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ini.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "cli/replay_farms.h"
#include "detect/settings.h"
#include "detect/state.h"
#include "kern/kern.h"
#include "model/snapshot.h"
#include "store/secret.h"

static struct judge *run;
static int failed; /* a window could not be judged */

static struct detect_settings settings;
static bool begun; /* it is known until when traffic is clean */

/* ---- settings -------------------------------------------------------------- */

struct ini {
	const char *file;
	int code;
};

/* Other sections are the daemon's. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	char why[SETTING_WHY];
	struct ini *in = user;
	int err;

	if (in->code || strcmp(section, "detect"))
		return 1;
	err = detect_setting(&settings, name, value, why);
	if (err == -ENOENT)
		in->code = cli_fail(CLI_USAGE, "%s: [detect] has no \"%s\"", in->file, name);
	else if (err)
		in->code = cli_fail(CLI_USAGE, "%s: %s: \"%s\" is %s", in->file, name, value, why);
	return 1;
}

static int read_file(const char *file)
{
	struct ini in = { .file = file };
	int line;

	errno = 0;
	line = ini_parse(file, on_key, &in);
	if (line < 0)
		return cli_fail(CLI_NO, "replay -c %s: %s", file, strerror(errno));
	if (!in.code && line)
		in.code =
			cli_fail(CLI_USAGE, "%s:%d: neither [section] nor key = value", file, line);
	return in.code;
}

int replay_farms_options(void)
{
	const char *until = cli_option("--baseline-until"), *window = cli_option("--window");
	const char *file = cli_option("-c");
	struct detect_config *c = &settings.config;
	uint64_t length;
	int code;

	detect_settings_default(&settings);
	settings.baseline = 0; /* a file has no clean part but the one it is told */
	c->baseline_windows = 0;
	code = file ? read_file(file) : CLI_DONE;
	if (code)
		return code;
	if (until && farms_time(until, &c->baseline_until))
		return cli_usage("--baseline-until %s: neither RFC 3339 nor seconds since 1970",
				 until);
	if (window &&
	    (duration_parse(window, &length) || length < NSEC_PER_SEC || length > NSEC_PER_DAY))
		return cli_usage("--window %s: a duration from 1s to 24h", window);
	if (window)
		detect_config_window(c, length);
	begun = c->baseline_until || !settings.baseline;
	return CLI_DONE;
}

/* ---- views ------------------------------------------------------------------- */

static int answer(void)
{
	int err;

	if (cli.format == FORMAT_TABLE)
		err = farms_explain(run, stdout);
	else
		err = farms_print(run, cli_option("--plan"), stdout);
	judge_free(run);
	run = NULL;
	return err ? err : failed;
}

/* The secret that all captures of one state directory are keyed with. */
static int shared_secret(const char *dir, struct secret *secret, struct reason *r)
{
	char path[PATH_MAX];
	int err;

	if (snprintf(path, sizeof(path), "%s/secret", dir) >= (int)sizeof(path))
		return reason_set(r, -ENAMETOOLONG, "--state %.60s...: too long a path", dir);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return reason_set(r, -errno, "make %s: %s", dir, strerror(errno));
	err = secret_read(path, secret, r);
	return err == -ENOENT ? secret_write(path, secret, r) : err;
}

static int begin(struct secret *secret, struct reason *r)
{
	const char *dir = cli_option("--state");
	int err = dir ? shared_secret(dir, secret, r) : 0;

	return err ? err : judge_open(&settings.config, dir, secret_id(secret), &run, r);
}

static int hello(const struct replay_name *n)
{
	const struct event_hello *e = n->h->hello;

	if (e->result != HELLO_OK)
		return 0;
	return judge_name(run, e->hello.stack_key, n->text->stack, n->text->ja4, e->hello.flags);
}

/* The tables as they stand, called the state at `at` (ns since 1970). */
static int window(struct replay *p, uint64_t at)
{
	uint64_t now = replay_now(p), epoch = replay_time(p, now) - now;
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(at - epoch, epoch);
	int err;

	if (!s)
		return -ENOMEM;
	err = kern_read_tables(replay_kern(p), s, true);
	if (!err)
		err = judge_stacks(run, s);
	if (!err)
		err = kern_losses(replay_kern(p), &s->losses);
	if (!err && !begun) {
		settings.config.baseline_until = detect_clean_until(&settings, s);
		begun = settings.config.baseline_until;
		judge_configure(run, &settings.config);
	}
	if (!err && !begun) {
		judge_skip(run, at);
		return 0;
	}
	return err ? err : judge_window(run, s);
}

/* Before the frame of this time is fed: the windows that ended before it. */
static uint64_t tick(struct replay *p, uint64_t at)
{
	while (!failed && judge_due(run, at) <= at)
		failed = window(p, judge_due(run, at));
	return failed ? UINT64_MAX : judge_due(run, at);
}

static int finish(struct replay *p)
{
	const struct replay_stats *s = replay_stats(p);
	struct reason r = {};

	if (s->frames && !failed)
		failed = window(p, judge_due(run, s->last_ns));
	if (!failed && judge_keep(run, &r))
		cli_fail(CLI_NO, "replay --state: %s", r.text);
	else if (failed && judge_error(run))
		cli_fail(CLI_NO, "replay: %s", judge_error(run));
	return answer();
}

const struct replay_view replay_farms = { begin, hello, finish, tick };

int replay_events(const char *path, const volatile sig_atomic_t *stop)
{
	_cleanup_(fclosep) FILE *in = NULL;
	struct reason r = {};
	int err;

	in = strcmp(path, "-") ? fopen(path, "re") : fdopen(dup(STDIN_FILENO), "r");
	if (!in)
		return cli_fail(CLI_NO, "replay --events %s: %s", path, strerror(errno));
	err = judge_open(&settings.config, cli_option("--state"), JUDGE_EVENTS, &run, &r);
	if (err)
		return cli_fail(CLI_NO, "replay: %s", r.text);
	if (!begun)
		judge_clean_for(run, settings.baseline);
	err = farms_events(run, in, stop, &r);
	if (!err)
		err = judge_keep(run, &r);
	failed = answer();
	if (err)
		return cli_fail(CLI_NO, "replay --events %s: %s; what came before is judged above",
				path, r.text);
	if (failed)
		return cli_fail(CLI_NO, "replay --events %s: %s", path, strerror(-failed));
	return stop && *stop ? CLI_INTERRUPTED : CLI_DONE;
}
