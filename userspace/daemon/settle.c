/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state at start: one daemon, one database, one secret, and rules that agree.
 * Nothing here stops traffic: whatever is lost, pinned programs and rules go on.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "daemon/commit.h"
#include "store/secret.h"

static int make_dir(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	/* mkdir -p: the last part gets the mode, the others 0755. */
	snprintf(part, sizeof(part), "%s", path);
	for (char *at = part + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return log_fail(-errno, "make %s", part);
	}
	if (mkdir(path, mode) && errno != EEXIST)
		return log_fail(-errno, "make %s", path);
	return 0;
}

int settle_lock(struct daemon *d)
{
	char text[32] = {};
	int err = make_dir(d->cfg.run_dir, 0755);

	if (err)
		return err;
	d->lock_fd = open(d->pid_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (d->lock_fd < 0)
		return log_fail(-errno, "open %s", d->pid_file);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB)) {
		if (read(d->lock_fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		log_error("winnowd runs already, pid %s (%s is locked)", text, d->pid_file);
		return -EALREADY;
	}
	snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(d->lock_fd, 0) || write(d->lock_fd, text, strlen(text)) < 0)
		return log_fail(-errno, "write %s", d->pid_file);
	return 0;
}

/* ---- database ------------------------------------------------------------------- */

static int settle_store(struct daemon *d, uint64_t now)
{
	char aside[PATH_MAX];
	struct reason r = {};
	int err;

	make_dir(d->cfg.state_dir, 0700);
	d->db_lost = access(d->state_db, F_OK) != 0;
	err = store_open(d->state_db, &d->store, &r);
	if (err == -EUCLEAN) {
		d->db_lost = true;
		err = store_quarantine(d->state_db, now, aside);
		if (!err) {
			trouble_set(d, "state database",
				    "%s; the file is now %s, and winnowd goes on with what the "
				    "kernel has",
				    r.text, aside);
			err = store_open(d->state_db, &d->store, &r);
		}
	}
	if (err == -EPROTO) {
		log_error("%s. Try: the winnow that wrote it, or another state_dir", r.text);
		return err;
	}
	if (err) {
		d->db_lost = true;
		d->store = NULL;
		trouble_set(d, "state database",
			    "%s; no rule can be added, filtering goes on with what the kernel has",
			    r.text);
	}
	return 0;
}

/* ---- secret ---------------------------------------------------------------------- */

static void write_secret(struct daemon *d, const struct secret *s)
{
	struct reason r;

	if (secret_write(d->secret_file, s, &r))
		trouble_set(d, "secret", "%s; rules must be keyed again if the pins go too",
			    r.text);
}

/* The pinned one, the file's, or the one just drawn; the file has it afterwards. */
static void settle_secret(struct daemon *d)
{
	struct control *c = kern_control(d->kern);
	char aside[PATH_MAX + 16];
	struct secret file;
	struct reason r;
	int err = secret_read(d->secret_file, &file, &r);

	if (err && err != -ENOENT) {
		snprintf(aside, sizeof(aside), "%s.refused", d->secret_file);
		log_warn("secret: %s; set aside as %s", r.text, aside);
		rename(d->secret_file, aside);
	}
	if (!err && secret_equal(&file, &c->secret))
		return;
	if (kern_adopted(d->kern)) {
		log_warn("secret: %s %s; the pinned tables' own is used and written there",
			 d->secret_file, err ? "was missing" : "is not that of the pinned tables");
		write_secret(d, &c->secret);
	} else if (!err) {
		/* Nothing is attached to a fresh state: no packet saw the drawn one. */
		c->secret = file;
	} else {
		write_secret(d, &c->secret);
	}
}

/* True when the database's keys are of another secret. */
static bool secret_changed(struct daemon *d, uint64_t id)
{
	uint64_t was;

	return d->store && !store_number(d->store, "secret", &was) && was != id;
}

static int settle_names(struct daemon *d, bool rekey)
{
	struct secret secret = kern_control(d->kern)->secret;
	int err = namebook_init(&d->names, &secret);

	if (err || !d->store)
		return err;
	err = namebook_load(&d->names, d->store);
	if (!err)
		err = store_begin(d->store);
	if (err)
		return err;
	if (rekey)
		err = namebook_rekey(&d->names, d->store, &secret);
	return store_end(d->store, err);
}

/* ---- all of it ---------------------------------------------------------------------- */

static void say_load(const struct rulebook_load *did)
{
	if (did->finished || did->abandoned)
		log_warn("rules: %zu half-added ones finished, %zu dropped", did->finished,
			 did->abandoned);
	if (did->recovered)
		log_warn("rules: %zu recovered from the kernel", did->recovered);
	if (did->strangers)
		log_warn("rules: %zu in the kernel that the database does not know, removed",
			 did->strangers);
	log_note("rules: %zu in force or waiting, %zu expired, %zu removed",
		 did->live + did->recovered, did->expired, did->removed);
}

/* What may fail because the database is bad; then again without it. */
static int settle_books(struct daemon *d, const struct clock *c, struct reason *r)
{
	uint64_t id = secret_id(&kern_control(d->kern)->secret);
	struct rulebook_load did;
	bool rekey = secret_changed(d, id);
	int err;

	if (rekey)
		log_warn("secret: not the one the database was keyed with; names and rules are "
			 "keyed again");
	err = settle_names(d, rekey);
	if (err)
		return reason_set(r, err, "read names: %s",
				  d->store ? store_error(d->store) : strerror(-err));
	r->text[0] = '\0';
	allowbook_init(&d->allows, d->kern, d->store);
	err = allowbook_load(&d->allows, c, &d->cfg, d->db_lost, r);
	if (err)
		return err;
	err = rulebook_init(&d->rules, d->kern, d->store, &d->names);
	if (err)
		return reason_set(r, err, "out of memory");
	d->rules.shadow = d->cfg.enforce == ENFORCE_NO;
	err = rulebook_load(&d->rules, c, d->db_lost, rekey, &did, r);
	if (err)
		return err;
	say_load(&did);
	/* Last: if we are killed before, the next start keys again. */
	if (d->store && store_number_set(d->store, "secret", id))
		trouble_set(d, "state database", "%s", store_error(d->store));
	if (d->db_lost && kern_adopted(d->kern))
		kern_names_forget(d->kern);
	return 0;
}

static void clear_books(struct daemon *d)
{
	rulebook_clear(&d->rules);
	allowbook_clear(&d->allows);
	namebook_clear(&d->names);
}

int settle_state(struct daemon *d)
{
	struct clock c = clock_now();
	struct kern_config k = d->cfg.tables;
	char aside[PATH_MAX] = "";
	struct reason r = {};
	int err;

	err = settle_store(d, c.real);
	if (err)
		return err;
	k.pin_dir = d->cfg.bpffs;
	err = kern_open(&k, &d->kern, &r);
	if (err) {
		log_error("%s", r.text);
		return err;
	}
	log_note(kern_adopted(d->kern) ? "pinned tables adopted from %s" : "tables pinned at %s",
		 d->cfg.bpffs);
	settle_secret(d);
	err = settle_books(d, &c, &r);
	if (err == -EUCLEAN && d->store) {
		clear_books(d);
		store_free(d->store);
		d->store = NULL;
		d->db_lost = true;
		store_quarantine(d->state_db, c.real, aside);
		trouble_set(d, "state database",
			    "%s; the file is now %s, and winnowd goes on with what the kernel has",
			    r.text, aside);
		if (store_open(d->state_db, &d->store, &r))
			d->store = NULL;
		err = settle_books(d, &c, &r);
	}
	if (err)
		log_error("%s", r.text);
	else
		commit_load(d);
	return err;
}

int settle_switch(struct daemon *d)
{
	uint64_t start = clock_read(CLOCK_MONOTONIC);
	struct kern_moved m;
	struct reason r = {};
	int err = kern_switch(d->kern, &m, &r);

	if (err)
		log_error("%s", r.text);
	else if (m.happened)
		log_note("the tables had another layout or size: %zu rules, %zu tallies and %zu "
			 "connections taken over, in %.1f ms",
			 m.rules, m.tallies, m.flows, (clock_read(CLOCK_MONOTONIC) - start) / 1e6);
	return err;
}
