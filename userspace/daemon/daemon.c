/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "daemon/caps.h"
#include "daemon/capture.h"
#include "daemon/commit.h"
#include "daemon/detector.h"
#include "daemon/farms.h"
#include "export/journal.h"
#include "daemon/locks.h"
#include "tls/quic_book.h"

/* ---- audit of our own doings ------------------------------------------------------- */

static void audit_self(struct daemon *d, const char *verb, const char *detail)
{
	struct audit_row row = { .time = clock_now().real,
				 .uid = geteuid(),
				 .verb = verb,
				 .args = "{}",
				 .detail = detail };

	if (d->store && store_audit(d->store, &row))
		trouble_set(d, "state database", "%s", store_error(d->store));
}

/* ---- who watches ------------------------------------------------------------------- */

static void heard(void *ctx, enum log_level level, const char *text)
{
	static const char *const names[] = { "error", "warning", "notice", "info" };

	journal_add(ctx, clock_read(CLOCK_REALTIME), names[level], text);
}

/* ---- events ------------------------------------------------------------------------ */

#define daemon_of(w, field) ((struct daemon *)((char *)(w)-offsetof(struct daemon, field)))

struct drain {
	struct daemon *d;
	struct clock clock;
	unsigned int fresh;
	int err;
};

static void on_hello(struct drain *dr, const struct event_hello *h)
{
	unsigned int fresh;
	int err;

	if (dr->d->detector && h->result == HELLO_OK &&
	    detector_hello(dr->d->detector, h->hello.stack_key, h->hello.flags))
		dr->err = -ENOMEM;
	err = namebook_event(&dr->d->names, dr->d->store, &dr->clock, h, &fresh);
	dr->fresh |= fresh;
	if (err)
		dr->err = err;
}

/* The programs first: the client's next packet may be the proof. */
static void on_quic(struct drain *dr, const struct event_quic *e)
{
	struct daemon *d = dr->d;
	const struct event_hello *unfinished;
	struct quic_news news;
	int err = 0;

	if (!d->quic)
		err = quic_book_new(&kern_control(d->kern)->secret, &d->quic);
	if (!err)
		err = quic_book_event(d->quic, e, &news);
	if (!err)
		err = kern_quic_news(d->kern, &news);
	if (!err && news.hello)
		on_hello(dr, news.hello);
	while (!err && quic_book_expire(d->quic, e->head.time, &unfinished))
		;
	if (err)
		dr->err = err;
}

static void on_event(void *ctx, const struct event_head *e)
{
	if (e->type == EVENT_HELLO && e->len >= sizeof(struct event_hello))
		on_hello(ctx, (const void *)e);
	else if (e->type == EVENT_PACKET && e->len >= sizeof(struct event_packet))
		capture_event(((struct drain *)ctx)->d, (const void *)e,
			      &((struct drain *)ctx)->clock);
	else if (e->type == EVENT_QUIC && e->len >= sizeof(struct event_quic))
		on_quic(ctx, (const void *)e);
}

/* One transaction for all names of a batch. */
static void drain(struct daemon *d)
{
	struct drain dr = { .d = d, .clock = clock_now() };
	bool whole = d->store && !store_begin(d->store);

	kern_events_drain(d->kern, on_event, &dr);
	if (whole && store_commit(d->store))
		dr.err = -EIO;
	if (dr.err && d->store)
		trouble_set(d, "state database", "names are kept in memory only: %s",
			    store_error(d->store));
	if (dr.fresh && d->rules.n_unbound) {
		int n = rulebook_bind(&d->rules, &dr.clock);

		if (n)
			log_note("rules: %d came into force, their fingerprints were seen", n);
	}
}

static void ring_ready(struct watch *w, uint32_t events)
{
	drain(daemon_of(w, ring));
}

/* ---- time --------------------------------------------------------------------------- */

static void beat(struct daemon *d, const struct clock *c)
{
	__atomic_store_n(&kern_control(d->kern)->heartbeat, c->boot, __ATOMIC_RELEASE);
}

/* "eth0 native, eth1 generic; 12 rules, 1 farms, 0 events lost" */
static void say_status(struct daemon *d)
{
	_cleanup_(freep) struct attachment *list = NULL;
	uint64_t counters[COUNTER_MAX];
	char devices[256] = "";
	size_t n = 0, len = 0;

	if (kern_attachments(d->kern, &list, &n) || kern_counters(d->kern, counters))
		return;
	for (size_t i = 0; i < n && len < sizeof(devices); i++)
		len += snprintf(devices + len, sizeof(devices) - len, "%s%s %s%s", i ? ", " : "",
				list[i].device,
				list[i].mode == ATTACH_GENERIC ? "generic" : "native",
				list[i].alive ? "" : " (gone)");
	sd_notifyf(0, "STATUS=%s; %zu rules, %zu farms, %llu tallies and %llu events lost%s%s",
		   n ? devices : "attached to nothing", d->rules.n, d->verdicts->farms.n,
		   (unsigned long long)counters[COUNTER_TALLY_EVICTED],
		   (unsigned long long)counters[COUNTER_RING_LOST],
		   kern_control(d->kern)->panic ? "; panic: nothing is dropped" : "",
		   d->n_troubles ? "; see winnow status" : "");
}

/* Each second, not each tick: an expired rule hides the one on a wider network. What was
 * not confirmed goes back first: its rules would end with the time to confirm them. */
static void expire(struct daemon *d, const struct clock *c)
{
	int gone;

	commit_tick(d, c);
	gone = rulebook_tick(&d->rules, c);
	if (gone <= 0)
		return;
	d->scrape.expiries += gone;
	log_note("rules: %d expired", gone);
	audit_self(d, "rule.expire", NULL);
}

static void tick(struct daemon *d, const struct clock *c)
{
	scrape_tick(d);
	capture_tick(d, c);
	locks_tick(d, c);
	canary_tick(d, c);
	drain(d);
	devices_settle(d);
	if (d->rules.n_waiting)
		trouble_set(d, "rules", "%zu rules are not in force: the kernel's tables are full",
			    d->rules.n_waiting);
	else
		trouble_set(d, "rules", NULL);
	say_status(d);
}

static void timer_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = daemon_of(w, timer);
	struct clock c = clock_now();
	uint64_t n;

	if (read(d->timer_fd, &n, sizeof(n)) < 0)
		return;
	beat(d, &c);
	server_tick(d->server, c.mono);
	expire(d, &c);
	if (c.mono >= d->next_tick) {
		d->next_tick = c.mono + d->cfg.tick;
		tick(d, &c);
	}
	/* After the work, so that a loop that hangs is noticed. */
	sd_notify(0, "WATCHDOG=1");
}

static int start_timer(struct daemon *d)
{
	uint64_t step = d->cfg.tick < NSEC_PER_SEC ? d->cfg.tick : NSEC_PER_SEC, watchdog;
	struct itimerspec t;

	if (sd_watchdog_enabled(0, &watchdog) > 0 && watchdog * 1000 / 3 < step)
		step = watchdog * 1000 / 3;
	t.it_value.tv_sec = t.it_interval.tv_sec = step / NSEC_PER_SEC;
	t.it_value.tv_nsec = t.it_interval.tv_nsec = step % NSEC_PER_SEC;
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->timer_fd < 0 || timerfd_settime(d->timer_fd, 0, &t, NULL))
		return log_fail(-errno, "start the timer");
	return 0;
}

/* ---- windows of the detector ------------------------------------------------------------ */

static void arm_window(struct daemon *d)
{
	uint64_t due = detector_due(d->detector);
	struct itimerspec t = { .it_value = { due / NSEC_PER_SEC, due % NSEC_PER_SEC } };

	if (timerfd_settime(d->window_fd, TFD_TIMER_ABSTIME, &t, NULL))
		log_fail(-errno, "set the timer of windows");
}

static void window_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = daemon_of(w, windows);
	struct clock c = clock_now();
	uint64_t n;

	if (read(d->window_fd, &n, sizeof(n)) < 0)
		return;
	/* What the hellos of this window are called, and that they were seen. */
	drain(d);
	detector_tick(d->detector, &c);
	arm_window(d);
}

static void answer_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = daemon_of(w, answers);

	farms_ready(d);
	arm_window(d); /* the end of the clean time may be known now */
}

static void links_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = daemon_of(w, links);

	devices_changed(d, d->links_fd);
}

/* ---- signals --------------------------------------------------------------------------- */

static void signals_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = daemon_of(w, signals);
	struct signalfd_siginfo s;
	bool reload = false;

	/* A storm of SIGHUP is one reload. */
	while (read(d->signal_fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGHUP)
			reload = true;
		else
			d->stop = true;
	}
	if (reload && !d->stop)
		settings_reload(d, NULL); /* a refusal is a trouble by now */
}

static int take_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return log_fail(-errno, "block signals");
	signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? log_fail(-errno, "take signals") : 0;
}

/* ---- life --------------------------------------------------------------------------------- */

static int watch(struct daemon *d, int fd, struct watch *w, void (*ready)(struct watch *, uint32_t))
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };

	w->ready = ready;
	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? log_fail(-errno, "watch") : 0;
}

static void warn_unattended(struct daemon *d, const struct clock *c)
{
	const struct control *k = kern_control(d->kern);

	if (kern_adopted(d->kern) && k->heartbeat && k->max_unattended &&
	    k->heartbeat + k->max_unattended < c->boot)
		log_warn("nobody was here for longer than max_unattended: the programs had stopped "
			 "dropping; they start again now");
}

static int open_loop(struct daemon *d)
{
	struct reason r;
	int err;

	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return log_fail(-errno, "make an epoll");
	err = start_timer(d);
	if (!err)
		err = watch(d, d->timer_fd, &d->timer, timer_ready);
	if (!err)
		err = watch(d, d->signal_fd, &d->signals, signals_ready);
	if (!err)
		err = watch(d, kern_events_fd(d->kern), &d->ring, ring_ready);
	d->window_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!err && d->window_fd < 0)
		err = log_fail(-errno, "make a timer");
	if (!err)
		err = watch(d, d->window_fd, &d->windows, window_ready);
	if (!err)
		err = watch(d, detector_fd(d->detector), &d->answers, answer_ready);
	if (!err)
		arm_window(d);
	d->links_fd = devices_watch();
	if (!err && d->links_fd < 0)
		err = log_fail(-errno, "watch for devices");
	if (!err)
		err = watch(d, d->links_fd, &d->links, links_ready);
	if (!err &&
	    server_open(d->epoll_fd, d->socket, d->cfg.group, verbs_answer, d, &d->server, &r)) {
		log_error("%s", r.text);
		err = -EIO;
	}
	return err;
}

static int paths(struct daemon *d)
{
	const struct {
		char *out;
		const char *dir, *name;
	} path[] = {
		{ d->state_db, d->cfg.state_dir, "state.db" },
		{ d->detector_file, d->cfg.state_dir, "detector" },
		{ d->secret_file, d->cfg.state_dir, "secret" },
		{ d->pid_file, d->cfg.run_dir, "winnowd.pid" },
		{ d->socket, d->cfg.run_dir, "control.sock" },
	};

	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		if (snprintf(path[i].out, PATH_MAX, "%s/%s", path[i].dir, path[i].name) >= PATH_MAX)
			return log_fail(-ENAMETOOLONG, "%s", path[i].dir);
	return 0;
}

int daemon_start(struct daemon *d, const char *config_file)
{
	struct reason r;
	int err;

	*d = (struct daemon){ .config_file = config_file,
			      .lock_fd = -1,
			      .epoll_fd = -1,
			      .timer_fd = -1,
			      .signal_fd = -1,
			      .window_fd = -1,
			      .links_fd = -1,
			      .started = clock_now() };
	scrape_init(&d->scrape);
	d->journal = journal_new();
	if (d->journal)
		log_watch(heard, d->journal);
	if (config_read(config_file, &d->cfg, &r)) {
		log_error("%s", r.text);
		return EXIT_USAGE;
	}
	err = paths(d);
	if (!err)
		err = settle_lock(d);
	if (!err)
		err = take_signals(d);
	if (!err)
		err = settle_state(d);
	if (err)
		return err == -EPERM ? EXIT_DENIED : EXIT_NO;
	warn_unattended(d, &d->started);
	settings_apply(d);
	capture_stop(d); /* of one that was killed */
	beat(d, &d->started);
	if (settle_switch(d))
		return EXIT_NO;
	devices_settle(d);
	if (farms_begin(d) || open_loop(d))
		return EXIT_NO;
	scrape_listen(d, "");
	err = caps_drop(true);
	if (err) {
		log_fail(err, "drop capabilities");
		return EXIT_NO;
	}
	labels_open(d); /* files of others, read with nothing left to lose */
	audit_self(d, "start", WINNOW_VERSION);
	log_note("ready, listening at %s", d->socket);
	say_status(d);
	sd_notify(0, "READY=1");
	return EXIT_DONE;
}

int daemon_run(struct daemon *d)
{
	struct epoll_event e;

	while (!d->stop) {
		/* One at a time: the handler of one event may close what another is
		 * about. */
		int n = epoll_wait(d->epoll_fd, &e, 1, -1);

		if (n < 0 && errno != EINTR) {
			log_fail(-errno, "wait for events");
			return EXIT_NO;
		}
		if (n == 1) {
			struct watch *w = e.data.ptr;

			w->ready(w, e.events);
		}
	}
	return EXIT_DONE;
}

void daemon_stop(struct daemon *d)
{
	struct reason r;

	sd_notify(0, "STOPPING=1");
	scrape_clear(&d->scrape);
	labels_clear(&d->labels);
	server_free(d->server);
	if (d->kern)
		capture_stop(d);
	if (d->kern && d->server)
		audit_self(d, "stop", d->cfg.detach_on_stop ? "detach" : "keep");
	if (d->kern && d->stop && d->cfg.detach_on_stop && kern_unpin(d->kern, &r))
		log_error("%s", r.text);
	detector_free(d->detector);
	verdicts_free(d->verdicts);
	rulebook_clear(&d->rules);
	allowbook_clear(&d->allows);
	namebook_clear(&d->names);
	quic_book_freep(&d->quic);
	store_free(d->store);
	kern_free(d->kern);
	closep(&d->epoll_fd);
	closep(&d->timer_fd);
	closep(&d->signal_fd);
	closep(&d->window_fd);
	closep(&d->links_fd);
	closep(&d->lock_fd);
	log_watch(NULL, NULL);
	journal_free(d->journal);
}
