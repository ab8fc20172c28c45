/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rulebook.h - the rules, in three places that must agree: memory, database,
 * kernel.
 *
 * Adding:   database `pending`, kernel, database `live` with the audit row.
 * Removing: database `leaving`, kernel, database `gone` with the audit row.
 *
 * kill -9 in between leaves a row that rulebook_load() finishes: a pending rule
 * that the kernel has becomes live, one it has not is abandoned (nobody was told
 * it was there); a leaving one goes. WINNOW_STOP_AT names a step at which the
 * process stops itself (SIGSTOP) so that tests can kill it exactly there.
 *
 * A rule may be *pending*: it was put in force, or made to do more than count, on
 * condition that somebody confirms it. Its expiry in the kernel is the deadline, so
 * that it ends also when this process is dead. What changes about a rule later is
 * written to the database first; a start imposes that on the kernel.
 *
 * Without a database (disk full, read-only) nothing is added; removing works in
 * the kernel and says -EREMOTEIO: it would come back with the database.
 */
#ifndef WINNOW_DAEMON_RULEBOOK_H
#define WINNOW_DAEMON_RULEBOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/clock.h"
#include "daemon/namebook.h"
#include "kern/kern.h"
#include "model/rule.h"
#include "store/store.h"

struct rulebook {
	struct kern *kern;
	struct store *store; /* NULL: there is no database */
	struct namebook *names;
	bool shadow; /* every rule only counts */

	struct rule_entry **at; /* by handle */
	size_t n, room;
	size_t n_unbound; /* wait for a name */
	size_t n_waiting; /* bound, but the kernel had no room: tried again each tick */
	uint64_t due;     /* ns of CLOCK_BOOTTIME: none expires before */

	uint32_t *free; /* a queue: a slot rests as long as possible */
	size_t free_at, n_free, n_slots;
};

int rulebook_init(struct rulebook *b, struct kern *k, struct store *s, struct namebook *names);
void rulebook_clear(struct rulebook *b);

struct rulebook_load {
	size_t live, finished, abandoned, removed, expired, recovered, strangers;
};

/* Makes the three agree. db_lost: the kernel is believed and the database filled.
 * rekeyed: the rows' keys are of another secret and are computed again; rules
 * written with bare keys mean nothing then and go. */
int rulebook_load(struct rulebook *b, const struct clock *c, bool db_lost, bool rekeyed,
		  struct rulebook_load *out, struct reason *r);

/* All of list[n] or none. Entries need spec, origin, uid, created, expires;
 * keys are looked up. On success they belong to the book. -ENOSPC: full;
 * -EEXIST: a short name that two fingerprints share; -EROFS: no database. */
int rulebook_add(struct rulebook *b, const struct clock *c, struct rule_entry *list, size_t n,
		 struct audit_row *audit, struct reason *r);
/* -EREMOTEIO: done in the kernel, not in the database. */
int rulebook_remove(struct rulebook *b, const struct clock *c, const uint32_t *handle, size_t n,
		    const char *why, struct audit_row *audit, struct reason *r);

/* Where in at[] `handle` is, or would be. */
size_t rulebook_place(const struct rulebook *b, uint32_t handle);
struct rule_entry *rulebook_find(const struct rulebook *b, uint32_t handle);
struct rule_hits rulebook_hits(const struct rulebook *b, const struct clock *c,
			       const struct rule_entry *e);
/* When the kernel stops obeying it, as ns since 1970 now; 0: never. */
uint64_t rulebook_expires(const struct rulebook *b, const struct clock *c,
			  const struct rule_entry *e);

/* A name is new: rules that wait for it come into force. Returns how many. */
int rulebook_bind(struct rulebook *b, const struct clock *c);
/* Removes what has expired, tries waiting rules again. Returns how many expired. */
int rulebook_tick(struct rulebook *b, const struct clock *c);
void rulebook_set_shadow(struct rulebook *b, bool on);

/* ---- rulebook_change.c ------------------------------------------------------------- */

/* 0.1 ms, of states d1>= and dstar>=. */
struct rule_delays {
	uint16_t d1, dstar;
};

/* What becomes of rules that are there. */
struct rule_change {
	enum {
		CHANGE_ENFORCE, /* act; `deadline`: pending until then */
		CHANGE_COUNT,   /* only count */
		CHANGE_CONFIRM, /* pending no more */
		CHANGE_CANARY,  /* `canary` per 10,000 */
		CHANGE_RENEW,   /* expire at `expires` */
		CHANGE_DELAYS,  /* ask for `delays`, one a handle */
	} what;
	uint64_t deadline, expires; /* ns since 1970 */
	const struct rule_delays *delays;
	uint16_t canary, holdout;
	uint32_t epoch; /* ENFORCE: 0 leaves canary, holdout and epoch as they are */
};

/* All or none; handles that are not there are skipped. The database is written first,
 * -EREMOTEIO: there is none, nothing has changed. */
int rulebook_change(struct rulebook *b, const struct clock *c, const uint32_t *handle, size_t n,
		    const struct rule_change *change, struct audit_row *audit, struct reason *r);
/* Handles of rules that are pending, malloc'ed. */
int rulebook_pending(const struct rulebook *b, uint32_t **out, size_t *n);
/* Pending no more and as before: added ones go, enforced ones count. -EREMOTEIO: in
 * the kernel, not in the database. */
int rulebook_revert(struct rulebook *b, const struct clock *c, const char *why,
		    struct audit_row *audit, struct reason *r);

#endif
