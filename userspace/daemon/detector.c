/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/detector.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/table.h"
#include "daemon/caps.h"
#include "detect/state.h"
#include "model/snapshot.h"
#include "store/days.h"

#define SAVE_SHARE 100 /* saving takes at most this part of the time */
/* Clocks of people and steady clocks drift apart; a step back beyond this is one of
 * people, and the detector does not follow. */
#define DRIFT_MAX (100 * NSEC_PER_MSEC)

struct enforced {
	uint64_t stack;
	uint16_t service;
	bool on;
};

/* What the loop hands to the thread. */
struct job {
	uint64_t mono, label; /* label: ns since 1970, the window's end */
	struct table stacks;  /* stack -> u32 flags, since the last job */
	struct enforced *enforced;
	size_t n_enforced;
	struct detect_settings settings;
	bool last;
};

struct detector {
	const struct kern *kern;
	char file[PATH_MAX];
	uint64_t secret;

	/* the loop's */
	struct job next;
	struct job *final; /* to end by, however little memory there is then */
	uint64_t epoch, due, late, baseline_until, label;
	pthread_t thread;
	int fd;

	pthread_mutex_t lock; /* over the four below */
	pthread_cond_t given;
	struct job *job;
	struct verdicts *answer;
	bool busy;
	int bare; /* of capabilities: 1 not yet, 0, or why it could not be */

	/* the thread's */
	struct detect *detect;
	uint64_t known_until, saved_at, save_ns;
	uint64_t states;   /* a sum over farms and their states */
	struct days *days; /* NULL: history is kept by the file alone */
	bool learnt, anew; /* anew: it knows nothing but what the days tell */
};

void verdicts_free(struct verdicts *v)
{
	if (!v)
		return;
	plan_clear(&v->plan);
	farms_clear(&v->farms);
	free(v);
}

static void job_clear(struct job *j)
{
	table_clear(&j->stacks);
	free(j->enforced);
	j->enforced = NULL;
	j->n_enforced = 0;
}

/* ---- the file ------------------------------------------------------------------ */

struct file_head {
	uint64_t secret, baseline_until;
};

static int take_piece(void *ctx, const void *bytes, size_t len)
{
	return write_all(*(const int *)ctx, bytes, len);
}

static int save(struct detector *d, struct reason *r)
{
	struct file_head head = { d->secret, d->known_until };
	_cleanup_(closep) int fd = -1;
	char temp[PATH_MAX + 8];
	int err;

	snprintf(temp, sizeof(temp), "%s.new", d->file);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = fd < 0 ? -errno : write_all(fd, &head, sizeof(head));
	if (!err)
		err = detect_save_to(d->detect, take_piece, &fd);
	if (!err && fdatasync(fd))
		err = -errno;
	if (!err && rename(temp, d->file))
		err = -errno;
	return err ? reason_set(r, err, "write %s: %s", d->file, strerror(-err)) : 0;
}

static int read_file(const char *path, void **out, size_t *len)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(freep) char *bytes = NULL;
	struct stat st;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	bytes = malloc(st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (at < (size_t)st.st_size) {
		ssize_t n = read(fd, bytes + at, st.st_size - at);

		if (n < 0)
			return -errno;
		if (!n)
			break;
		at += n;
	}
	*out = take_ptr(bytes);
	*len = at;
	return 0;
}

static const char *what_is_wrong(int err)
{
	switch (err) {
	case -EBADMSG:
		return "damaged";
	case -EPROTO:
		return "of another version";
	case -EKEYREJECTED:
		return "of another secret";
	default:
		return strerror(-err);
	}
}

/* -ENOENT: there is none. */
static int load(struct detector *d, struct reason *r)
{
	_cleanup_(freep) void *bytes = NULL;
	struct file_head head;
	size_t len = 0;
	int err = read_file(d->file, &bytes, &len);

	if (err == -ENOENT)
		return err;
	if (!err && len < sizeof(head))
		err = -EBADMSG;
	if (!err) {
		memcpy(&head, bytes, sizeof(head));
		err = head.secret == d->secret ? 0 : -EKEYREJECTED;
	}
	if (!err)
		err = detect_restore(d->detect, (char *)bytes + sizeof(head), len - sizeof(head));
	if (err)
		return reason_set(r, err,
				  "%s is %s; the detector learns again what is ordinary here",
				  d->file, what_is_wrong(err));
	d->known_until = head.baseline_until;
	return 0;
}

/* ---- days ----------------------------------------------------------------------- */

static void open_days(struct detector *d, struct reason *r)
{
	const char *slash = strrchr(d->file, '/');
	char dir[PATH_MAX];
	struct reason why;

	snprintf(dir, sizeof(dir), "%.*sdays", slash ? (int)(slash + 1 - d->file) : 0, d->file);
	if (!days_open(dir, d->secret, &d->days, &why))
		detect_past(d->detect, days_find, d->days);
	else if (!r->text[0])
		reason_set(r, 0, "%s; until then no more days are written", why.text);
}

static int recall_day(void *ctx, uint32_t day, const struct past *rows, size_t n)
{
	return detect_recall_day(ctx, day, rows, n);
}

/* A day that this window ended, or the last part of one. */
static void write_day(struct detector *d, struct verdicts *v)
{
	_cleanup_(freep) struct past *rows = NULL;
	size_t n;
	uint32_t day = detect_day(d->detect, &rows, &n);
	int err = day && d->days ? days_write(d->days, day, rows, n, &v->reason) : 0;

	if (err && !v->err)
		v->err = err;
}

/* ---- the thread ----------------------------------------------------------------- */

static struct snapshot *read_tables(struct detector *d, const struct job *j)
{
	_cleanup_(snapshot_freep) struct snapshot *s = snapshot_new(j->mono, j->label - j->mono);

	if (!s || kern_read_tables(d->kern, s, true) || kern_losses(d->kern, &s->losses))
		return NULL;
	for (size_t i = 0; i < j->stacks.n; i++)
		if (snapshot_add_stack(s, *(const uint64_t *)table_key(&j->stacks, i),
				       *(uint32_t *)table_value(&j->stacks, i)))
			return NULL;
	return take_ptr(s);
}

/* Whether there is something a crash should not lose. */
static bool worth_saving(struct detector *d, const struct verdicts *v, uint64_t now)
{
	uint64_t states = 0;

	for (size_t i = 0; i < v->farms.n; i++)
		states = states * 31 + v->farms.farm[i].stack + v->farms.farm[i].state;
	if (states == d->states && v->judged == d->learnt &&
	    now - d->saved_at < d->save_ns * SAVE_SHARE)
		return false;
	d->states = states;
	d->learnt = v->judged;
	return true;
}

static void step(struct detector *d, const struct job *j, struct verdicts *v)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct detect_config c = j->settings.config;
	uint64_t t0 = clock_read(CLOCK_MONOTONIC), t1;

	s = read_tables(d, j);
	t1 = clock_read(CLOCK_MONOTONIC);
	v->read_ns = t1 - t0;
	if (!s) {
		v->err = reason_set(&v->reason, -ENOMEM, "read the tables: no memory");
		return;
	}
	v->rows = s->n_rows;
	if (j->settings.config.baseline_until || !d->known_until)
		d->known_until = detect_clean_until(&j->settings, s);
	v->baseline_until = d->known_until;
	if (!d->known_until)
		return;
	c.baseline_until = d->known_until;
	detect_configure(d->detect, &c);
	for (size_t i = 0; i < j->n_enforced; i++)
		detect_enforced(d->detect, j->enforced[i].stack, j->enforced[i].service,
				j->enforced[i].on);
	v->err = detect_step(d->detect, s, &v->farms, &v->plan);
	if (v->err)
		reason_set(&v->reason, v->err, "judge a window: %s", strerror(-v->err));
	v->judged = !v->err && j->label > d->known_until;
	v->records = detect_records(d->detect);
	v->judge_ns = clock_read(CLOCK_MONOTONIC) - t1;
}

static void save_timed(struct detector *d, struct verdicts *v)
{
	uint64_t t = clock_read(CLOCK_MONOTONIC);
	int err = save(d, &v->reason);

	d->saved_at = clock_read(CLOCK_MONOTONIC);
	d->save_ns = v->save_ns = d->saved_at - t;
	v->saved = !err;
	if (err)
		v->err = err;
}

static void *work(void *arg)
{
	struct detector *d = arg;
	bool last = false;

	pthread_mutex_lock(&d->lock);
	d->bare = caps_drop(false);
	pthread_cond_signal(&d->given);
	pthread_mutex_unlock(&d->lock);
	if (d->bare)
		return NULL;
	if (d->anew && d->days && days_each(d->days, recall_day, d->detect))
		log_warn("detector: the days before are not read: no memory");
	while (!last) {
		struct verdicts *v = calloc(1, sizeof(*v));
		struct job *j;

		pthread_mutex_lock(&d->lock);
		while (!d->job)
			pthread_cond_wait(&d->given, &d->lock);
		j = d->job;
		d->job = NULL;
		pthread_mutex_unlock(&d->lock);

		last = j->last;
		if (v && !last)
			step(d, j, v);
		if (v && !last)
			write_day(d, v);
		if (v && d->known_until && (last || worth_saving(d, v, j->mono)))
			save_timed(d, v);
		job_clear(j);
		free(j);

		pthread_mutex_lock(&d->lock);
		verdicts_free(d->answer); /* nobody took the one before */
		d->answer = v;
		d->busy = false;
		pthread_mutex_unlock(&d->lock);
		if (eventfd_write(d->fd, 1))
			break;
	}
	return NULL;
}

/* The thread at work, its capabilities gone before anybody is told that we are up. */
static int work_begin(struct detector *d)
{
	int err;

	d->bare = 1;
	err = -pthread_create(&d->thread, NULL, work, d);
	if (err)
		return err;
	pthread_mutex_lock(&d->lock);
	while (d->bare > 0)
		pthread_cond_wait(&d->given, &d->lock);
	pthread_mutex_unlock(&d->lock);
	if (d->bare)
		pthread_join(d->thread, NULL);
	return d->bare;
}

/* ---- the loop's side --------------------------------------------------------------- */

static void job_init(struct detector *d)
{
	table_init(&d->next.stacks, sizeof(uint64_t), sizeof(uint32_t));
	d->next.enforced = NULL;
	d->next.n_enforced = 0;
}

static void plan_due(struct detector *d, uint64_t mono)
{
	uint64_t now = mono + d->epoch, window = d->next.settings.config.window;
	uint64_t until = d->baseline_until, next = now - now % window + window;

	if (until > now && until < next)
		next = until;
	d->due = next - d->epoch;
}

/* What people call now, never going back. */
static void set_epoch(struct detector *d, const struct clock *c)
{
	uint64_t epoch = c->real - c->mono;

	if (epoch > d->epoch || d->epoch - epoch < DRIFT_MAX)
		d->epoch = epoch;
}

int detector_new(const struct detector_start *s, struct detector **out, struct reason *r)
{
	struct detector *d = calloc(1, sizeof(*d));
	struct clock c = clock_now();
	int err;

	if (!d)
		return reason_set(r, -ENOMEM, "out of memory");
	d->kern = s->kern;
	d->secret = s->secret;
	snprintf(d->file, sizeof(d->file), "%s", s->file);
	d->next.settings = *s->settings;
	job_init(d);
	d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->detect = detect_new(&s->settings->config);
	d->final = malloc(sizeof(*d->final));
	err = d->fd < 0 ? -errno : d->detect && d->final ? 0 : -ENOMEM;
	if (!err) {
		d->anew = load(d, r) != 0;
		open_days(d, r);
	}
	if (!err && d->anew && s->farms)
		for (size_t i = 0; !err && i < s->farms->n; i++)
			err = detect_recall(d->detect, &s->farms->farm[i]);
	if (!err) {
		detect_numbers_above(d->detect, s->last);
		pthread_mutex_init(&d->lock, NULL);
		pthread_cond_init(&d->given, NULL);
		d->learnt = true;
		d->saved_at = c.mono;
		d->baseline_until = d->known_until;
		set_epoch(d, &c);
		plan_due(d, c.mono);
		err = work_begin(d);
	}
	if (err) {
		if (d->fd >= 0)
			close(d->fd);
		detect_free(d->detect);
		days_free(d->days);
		free(d->final);
		free(d);
		return reason_set(r, err, "start the detector: %s", strerror(-err));
	}
	*out = d;
	return 0;
}

/* Busy or not, the thread finds it when it comes back. */
static int give(struct detector *d, bool last)
{
	struct job *j = last ? take_ptr(d->final) : malloc(sizeof(*j));

	if (!j)
		return -ENOMEM;
	d->next.last = last;
	*j = d->next;
	job_init(d);
	pthread_mutex_lock(&d->lock);
	d->job = j;
	d->busy = true;
	pthread_cond_signal(&d->given);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

void detector_free(struct detector *d)
{
	bool busy;

	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	busy = d->job != NULL;
	if (busy) { /* the window that just ended is not judged: it will be part of the next */
		d->job->last = true;
		pthread_cond_signal(&d->given);
	}
	pthread_mutex_unlock(&d->lock);
	if (!busy)
		give(d, true);
	pthread_join(d->thread, NULL);
	verdicts_free(d->answer);
	detect_free(d->detect);
	days_free(d->days);
	job_clear(&d->next);
	free(d->final);
	close(d->fd);
	pthread_cond_destroy(&d->given);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

int detector_fd(const struct detector *d)
{
	return d->fd;
}

int detector_hello(struct detector *d, uint64_t stack, uint32_t flags)
{
	uint32_t *have = table_add(&d->next.stacks, &stack, NULL);

	if (!have)
		return -ENOMEM;
	*have |= flags;
	return 0;
}

int detector_enforced(struct detector *d, uint64_t stack, uint16_t service, bool on)
{
	struct enforced *more =
		reallocarray(d->next.enforced, d->next.n_enforced + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	d->next.enforced = more;
	more[d->next.n_enforced++] = (struct enforced){ stack, service, on };
	return 0;
}

void detector_configure(struct detector *d, const struct detect_settings *s)
{
	d->next.settings = *s;
	plan_due(d, clock_read(CLOCK_MONOTONIC));
}

uint64_t detector_due(const struct detector *d)
{
	return d->due;
}

uint64_t detector_late(const struct detector *d)
{
	return d->late;
}

void detector_tick(struct detector *d, const struct clock *c)
{
	uint64_t due = d->due;
	bool busy;

	if (c->mono < due)
		return;
	pthread_mutex_lock(&d->lock);
	busy = d->busy;
	pthread_mutex_unlock(&d->lock);
	d->next.mono = c->mono;
	d->next.label = c->mono + d->epoch;
	/* A little late is on time: a window's end is what it says, so that the last
	 * moment of the clean time is clean. */
	if (c->mono - due < d->next.settings.config.window / 2)
		d->next.label = due + d->epoch;
	set_epoch(d, c);
	plan_due(d, c->mono);
	if (busy || give(d, false))
		d->late++;
}

struct verdicts *detector_take(struct detector *d)
{
	struct verdicts *v;
	eventfd_t n;

	if (eventfd_read(d->fd, &n) && errno != EAGAIN)
		return NULL;
	pthread_mutex_lock(&d->lock);
	v = d->answer;
	d->answer = NULL;
	pthread_mutex_unlock(&d->lock);
	if (v && v->baseline_until && v->baseline_until != d->baseline_until) {
		d->baseline_until = v->baseline_until;
		plan_due(d, clock_read(CLOCK_MONOTONIC));
	}
	return v;
}
