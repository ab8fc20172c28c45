/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `winnow top`: a thread asks the daemon, this one draws and reads keys, so that a
 * daemon that hangs leaves a screen that says so and still obeys.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/farm_report.h"
#include "cli/source_report.h"
#include "cli/top_data.h"
#include "cli/top_screen.h"
#include "cli/top_view.h"

#define SOURCES_ASKED 5000
#define WHY           512

static uint64_t steady(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static const char *clock_text(char out[TIME_TEXT])
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return time_text((uint64_t)ts.tv_sec * NSEC_PER_SEC, 0, out);
}

/* ---- asking ---------------------------------------------------------------------- */

static int ask(const char *verb, json_t *args, json_t **out, char *why)
{
	struct reply r;
	int code = client_try(verb, args, &r, why, WHY);

	*out = r.data;
	return code;
}

/* What the pane needs; `all`: everything. An exit code. */
static int fetch(enum top_pane pane, bool all, struct top_documents *d, char *why)
{
	int code = ask("status", NULL, &d->status, why);

	if (!code)
		code = ask("fp.list", NULL, &d->fingerprints, why);
	if (!code)
		code = ask("farm.list", NULL, &d->farms, why);
	if (!code && (all || pane == PANE_SOURCES))
		code = ask("source.list", json_pack("{s:i}", "limit", SOURCES_ASKED), &d->sources,
			   why);
	if (!code && (all || pane == PANE_RULES))
		code = ask("rule.list", NULL, &d->rules, why);
	return code;
}

/* The text of an opened row. NULL: nothing to show, `why` may say more. */
static char *open_row(enum top_pane pane, const json_t *row, char *title, size_t size, char *why)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	_cleanup_(reply_free) struct reply plan = { 0 };
	const char *id = json_text_at(row, "id", ""), *src = json_text_at(row, "src", "");
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (pane == PANE_FARMS) {
		json_t *farm;

		client_try("farm.show", json_pack("{s:s}", "id", id), &r, why, WHY);
		client_try("plan.show", NULL, &plan, why, WHY);
		farm = json_array_get(json_object_get(r.data, "farms"), 0);
		if (farm)
			farm_report(f, farm, plan_of_farm(plan.data, id));
		snprintf(title, size, "Farm %s", id);
	} else if (pane == PANE_SOURCES) {
		/* An IPv6 source is shown as its /64. */
		char addr[64];

		snprintf(addr, sizeof(addr), "%s", src);
		addr[strcspn(addr, "/")] = '\0';
		client_try("source.show", json_pack("{s:s}", "addr", addr), &r, why, WHY);
		source_report(f, json_object_get(r.data, "sources"));
		snprintf(title, size, "Source %s", src);
	} else {
		fields_print(f, row);
		snprintf(title, size, "Rule %lld", (long long)json_int_at(row, "handle"));
	}
	fclose(f);
	if (text && *text)
		return text;
	free(text);
	return NULL;
}

/* ---- batch ------------------------------------------------------------------------- */

static int print_page(struct top_view *v, const json_t *page)
{
	struct canvas c;
	int rows, cols;

	if (cli.format != FORMAT_TABLE) {
		json_print(stdout, page, cli.format == FORMAT_JSONL);
		return 0;
	}
	top_size(v, page, &rows, &cols);
	if (!canvas_new(&c, rows, cli.width ? cli.width : cols))
		return -ENOMEM;
	top_draw(&c, v, page);
	canvas_print(&c, cli.color, stdout);
	canvas_free(&c);
	return 0;
}

static int batch(struct top_view *v, long long frames)
{
	struct top_history *h = top_history_new();
	char why[WHY] = "", at[TIME_TEXT];
	int code = h ? CLI_DONE : cli_fail(CLI_NO, "top: no memory");

	v->batch = true;
	for (long long i = 0; !code && (frames < 0 || i < frames); i++) {
		struct top_documents d = { 0 };
		json_t *page = NULL;

		if (i) {
			struct timespec nap = { (time_t)v->every,
						(long)(fmod(v->every, 1) * NSEC_PER_SEC) };

			nanosleep(&nap, NULL);
			if (cli.format == FORMAT_TABLE)
				putchar('\n');
		}
		v->clock = clock_text(at);
		code = fetch(v->pane, cli.format != FORMAT_TABLE, &d, why);
		if (!code)
			page = top_page(h, &d, steady());
		if (page && print_page(v, page))
			code = cli_fail(CLI_NO, "top: no memory");
		if (code && why[0])
			cli_fail(code, "%s", why);
		json_decref(page);
		top_documents_clear(&d);
		if (fflush(stdout))
			break; /* who called us says what failed */
	}
	top_history_free(h);
	return code;
}

/* ---- the thread that asks -------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	enum top_pane pane; /* wanted */
	double every;
	bool paused, hurry;
	json_t *page;   /* the newest, until it is taken */
	char why[WHY];  /* the last answer was none */
	uint64_t heard; /* steady ns of the last answer */
} asker = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .every = 2 };

/* The lock is held. */
static void wait_for_turn(void)
{
	struct timespec until;
	uint64_t t;

	clock_gettime(CLOCK_REALTIME, &until);
	t = (uint64_t)until.tv_sec * NSEC_PER_SEC + until.tv_nsec +
	    (uint64_t)(asker.every * NSEC_PER_SEC);
	until = (struct timespec){ (time_t)(t / NSEC_PER_SEC), (long)(t % NSEC_PER_SEC) };
	while (!asker.hurry &&
	       (pthread_cond_timedwait(&asker.wake, &asker.lock, &until) != ETIMEDOUT ||
		asker.paused))
		;
	asker.hurry = false;
}

static void *ask_for_ever(void *history)
{
	char why[WHY];

	pthread_mutex_lock(&asker.lock);
	for (;;) {
		struct top_documents d = { 0 };
		enum top_pane pane = asker.pane;
		json_t *page = NULL;

		pthread_mutex_unlock(&asker.lock);
		why[0] = '\0';
		if (!fetch(pane, false, &d, why))
			page = top_page(history, &d, steady());
		top_documents_clear(&d);
		pthread_mutex_lock(&asker.lock);
		memcpy(asker.why, why, sizeof(why));
		if (page) {
			json_decref(asker.page);
			asker.page = page;
			asker.heard = steady();
		}
		wait_for_turn();
	}
	return NULL;
}

/* ---- the screen ------------------------------------------------------------------------ */

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	stopped = sig;
}

/* Takes what the asker has found. */
static void look(struct top_view *v, json_t **page, char why[WHY])
{
	pthread_mutex_lock(&asker.lock);
	if (asker.page && !v->paused) {
		json_decref(*page);
		*page = take_ptr(asker.page);
	}
	memcpy(why, asker.why, WHY);
	v->stale = (double)(steady() - asker.heard) / NSEC_PER_SEC;
	asker.pane = v->pane;
	asker.every = v->every;
	asker.paused = v->paused;
	pthread_mutex_unlock(&asker.lock);
	v->trouble = why[0] ? why : NULL;
	/* It neither answers nor refuses. */
	if (!v->trouble && !v->paused && v->stale > 2 * v->every + 1)
		v->trouble = "winnowd does not answer";
}

static void hurry(const struct top_view *v)
{
	pthread_mutex_lock(&asker.lock);
	asker.hurry = true;
	asker.pane = v->pane;
	pthread_cond_signal(&asker.wake);
	pthread_mutex_unlock(&asker.lock);
}

static void open_selected(struct top_view *v, const json_t *page)
{
	char title[160] = "", why[WHY] = "", *text;
	const json_t *row = top_selected(v, page);

	if (v->trouble) /* it would hang with the daemon */
		return;
	text = row ? open_row(v->pane, row, title, sizeof(title), why) : NULL;
	if (text)
		top_open(v, title, text);
}

static void draw(struct top_view *v, const json_t *page)
{
	char at[TIME_TEXT];
	struct canvas c;
	int rows, cols;

	screen_size(&rows, &cols);
	if (!canvas_new(&c, rows, cols))
		return;
	v->clock = clock_text(at) + strlen("2026-01-01T");
	top_draw(&c, v, page);
	screen_show(&c);
	canvas_free(&c);
	v->clock = NULL;
}

static int interactive(struct top_view *v)
{
	struct top_history *h = top_history_new();
	struct sigaction stop = { .sa_handler = on_stop };
	enum top_wish wish = TOP_STAY;
	json_t *page = NULL;
	char why[WHY] = "";
	pthread_t thread;
	int rows, cols;

	if (!h)
		return cli_fail(CLI_NO, "top: no memory");
	asker.heard = steady();
	asker.pane = v->pane;
	asker.every = v->every;
	if (screen_open(v->color))
		return cli_fail(CLI_NO,
				"top: the terminal \"%s\" is not known. Try: TERM=xterm winnow "
				"top, or winnow top -b",
				getenv("TERM") ?: "");
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	if (pthread_create(&thread, NULL, ask_for_ever, h)) {
		screen_close();
		return cli_fail(CLI_NO, "top: start a thread: no memory");
	}
	while (wish != TOP_QUIT && !stopped) {
		int key;

		look(v, &page, why);
		draw(v, page);
		key = screen_key(200);
		if (key == SCREEN_GONE)
			break;
		if (key < 0)
			continue;
		screen_size(&rows, &cols);
		wish = top_key(v, page, key, rows);
		if (wish == TOP_FETCH)
			hurry(v);
		if (wish == TOP_OPEN)
			open_selected(v, page);
	}
	screen_close();
	json_decref(page);
	top_close(v);
	return stopped == SIGINT ? CLI_INTERRUPTED : CLI_DONE;
}

/* ---- the command ---------------------------------------------------------------------- */

static enum top_pane wanted_pane(void)
{
	static const char *const names[PANE_MAX] = { "stacks", "farms", "sources", "rules",
						     "losses" };
	const char *name = cli_option("--list");

	for (int p = 0; name && p < PANE_MAX; p++)
		if (!strcmp(name, names[p]))
			return p;
	return PANE_STACKS;
}

int cmd_top(int argc, char **argv)
{
	const char *frames = cli_option("-n"), *every = cli_option("-d");
	long long n = frames ? cli_number(frames, 1, 1000000) : -1;
	char host[65] = "", *end;
	struct top_view v;

	if (frames && n < 0)
		return cli_usage("-n %s: expected a number from 1 to 1000000", frames);
	top_view_init(&v);
	if (every) {
		v.every = strtod(every, &end);
		if (*end || !(v.every >= 0.1 && v.every <= 3600))
			return cli_usage("-d %s: expected seconds from 0.1 to 3600", every);
	}
	if (cli.format == FORMAT_CSV)
		return cli_usage("--csv: a page has several lists: -j or --jsonl");
	gethostname(host, sizeof(host) - 1);
	v.host = host;
	v.pane = wanted_pane();
	v.color = cli.color;
	setlocale(LC_CTYPE, "");
	v.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (cli_option("-b") || cli.format != FORMAT_TABLE)
		return batch(&v, n);
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return cli_usage(
			"it draws on a terminal, and this is none. Try: winnow top -b -n 1");
	return interactive(&v);
}
