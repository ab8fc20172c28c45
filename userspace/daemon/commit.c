/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/session.h"
#include "model/rule_json.h"

static size_t pending(struct daemon *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->rules.n; i++)
		n += d->rules.at[i]->pending != RULE_SETTLED;
	return n;
}

static int write_down(struct daemon *d)
{
	struct commit *m = &d->commit;
	int err;

	if (!d->store)
		return -EROFS;
	err = store_begin(d->store);
	if (!err)
		err = store_number_set(d->store, "commit_deadline", m->deadline);
	if (!err)
		err = store_number_set(d->store, "commit_boot", m->deadline_boot);
	if (!err)
		err = store_number_set(d->store, "commit_applied", m->applied_boot);
	if (!err)
		err = store_number_set(d->store, "commit_uid", m->uid);
	return store_end(d->store, err);
}

static void close_commit(struct daemon *d)
{
	d->commit = (struct commit){};
	write_down(d);
}

void commit_load(struct daemon *d)
{
	struct commit *m = &d->commit;
	struct clock c = clock_now();
	uint64_t uid = 0;

	if (!d->store || store_number(d->store, "commit_deadline", &m->deadline) || !m->deadline)
		return;
	store_number(d->store, "commit_boot", &m->deadline_boot);
	store_number(d->store, "commit_applied", &m->applied_boot);
	store_number(d->store, "commit_uid", &uid);
	m->uid = uid;
	/* After a reboot every session is younger than the changes, and the deadline is
	 * known by the clock of people alone. */
	if (!kern_adopted(d->kern) || m->applied_boot > c.boot) {
		m->applied_boot = 0;
		m->deadline_boot = clock_boot_of_real(&c, m->deadline);
	}
	if (!pending(d) && !allowbook_suspended(&d->allows))
		close_commit(d);
	else
		log_warn("a commit waits for `winnow commit confirm`");
}

int commit_begin(struct daemon *d, const struct clock *c, uint64_t within, uint32_t uid,
		 uint64_t *deadline, struct reason *r)
{
	if (d->commit.deadline && !pending(d) && !allowbook_suspended(&d->allows))
		d->commit = (struct commit){}; /* what it was about did not come to be */
	if (d->commit.deadline)
		return reason_set(r, -EALREADY,
				  "changes wait for a confirmation. Try: winnow commit confirm, or "
				  "winnow commit rollback");
	d->commit = (struct commit){
		.deadline = c->real + within,
		.deadline_boot = c->boot + within,
		.applied_boot = c->boot,
		.uid = uid,
	};
	*deadline = d->commit.deadline;
	if (write_down(d)) {
		d->commit = (struct commit){};
		return reason_set(r, -EROFS,
				  "the state database cannot be written; nothing is changed");
	}
	return 0;
}

/* Rounded down to the tick of a process' clock: who logged in within that tick may be
 * either, and is refused. */
static int young_enough(const struct daemon *d, pid_t pid, struct reason *r)
{
	uint64_t began;

	if (session_began(pid, &began))
		return reason_set(r, -EACCES,
				  "it cannot be told since when you are logged in. Try: as root, "
				  "from a new login");
	if (began < d->commit.applied_boot)
		return reason_set(r, -EACCES,
				  "your session is older than the changes: it does not show that a "
				  "new one can be made. Try: log in again and confirm from there");
	return 0;
}

int commit_confirm(struct daemon *d, pid_t pid, struct audit_row *audit, struct reason *r)
{
	struct rule_change change = { .what = CHANGE_CONFIRM };
	_cleanup_(freep) uint32_t *handle = NULL;
	struct clock c = clock_now();
	size_t n = 0;
	int err;

	if (!d->commit.deadline)
		return reason_set(r, -ENOENT, "no changes wait for a confirmation");
	if (d->commit.deadline_boot <= c.boot)
		return reason_set(r, -ENOENT, "too late: the changes have been taken back");
	err = young_enough(d, pid, r);
	if (err)
		return err;
	if (rulebook_pending(&d->rules, &handle, &n))
		return reason_set(r, -ENOMEM, "out of memory");
	err = allowbook_confirm(&d->allows, r);
	if (!err)
		err = rulebook_change(&d->rules, &c, handle, n, &change, audit, r);
	if (!err)
		close_commit(d);
	return err;
}

int commit_rollback(struct daemon *d, const char *why, struct audit_row *audit, struct reason *r)
{
	struct clock c = clock_now();
	int err, other;

	if (!d->commit.deadline)
		return reason_set(r, -ENOENT, "no changes wait for a confirmation");
	other = allowbook_restore(&d->allows, &c, r);
	err = rulebook_revert(&d->rules, &c, why, audit, r);
	if (!pending(d) && !allowbook_suspended(&d->allows))
		close_commit(d);
	return err ? err : other;
}

void commit_tick(struct daemon *d, const struct clock *c)
{
	struct audit_row audit = { .time = c->real,
				   .uid = geteuid(),
				   .verb = "commit.expire",
				   .args = "{}",
				   .detail = "nobody confirmed in time" };
	struct reason r = {};

	if (!d->commit.deadline || d->commit.deadline_boot > c->boot)
		return;
	if (commit_rollback(d, "not confirmed", &audit, &r))
		trouble_set(d, "commit", "%s", r.text);
	else
		trouble_set(d, "commit", NULL);
	log_warn("commit: nobody confirmed in time, the changes are taken back");
}

json_t *commit_json(struct daemon *d)
{
	if (!d->commit.deadline)
		return json_null();
	return json_pack("{s:o, s:I, s:I, s:I}", "deadline", time_json(d->commit.deadline), "uid",
			 (json_int_t)d->commit.uid, "rules", (json_int_t)pending(d), "allows",
			 (json_int_t)allowbook_suspended(&d->allows));
}
