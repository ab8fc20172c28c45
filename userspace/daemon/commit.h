/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commit.h - changes that undo themselves unless somebody confirms them in time.
 *
 * One commit at a time. What belongs to it is pending in the rule book or suspended
 * in the allow book, and the kernel ends it at the deadline whether or not this
 * process lives. Who confirms must have logged in after the changes: that he still
 * can is what is to be shown. What the database remembers outlives a kill.
 */
#ifndef WINNOW_DAEMON_COMMIT_H
#define WINNOW_DAEMON_COMMIT_H

#include "daemon/daemon.h"

#define COMMIT_LEAST (2 * NSEC_PER_SEC)
#define COMMIT_MOST  NSEC_PER_DAY

void commit_load(struct daemon *d);

/* Changes made until the next call of anything here belong to a commit that is due
 * `within` ns from now; *deadline gets that as ns since 1970. -EALREADY: one waits. */
int commit_begin(struct daemon *d, const struct clock *c, uint64_t within, uint32_t uid,
		 uint64_t *deadline, struct reason *r);
/* -ENOENT: none waits; -EACCES: his session is older than the changes, or it cannot be
 * told how old it is. */
int commit_confirm(struct daemon *d, pid_t pid, struct audit_row *audit, struct reason *r);
int commit_rollback(struct daemon *d, const char *why, struct audit_row *audit, struct reason *r);
/* The deadline has passed: what the kernel has ended is written down. */
void commit_tick(struct daemon *d, const struct clock *c);

json_t *commit_json(struct daemon *d); /* null: none waits */

#endif
