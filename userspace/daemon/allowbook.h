/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * allowbook.h - networks that no rule may touch.
 *
 * Those of the configuration and those operators add. Written to the kernel
 * before the database and removed from the database before the kernel: what a
 * crash leaves in between is settled by the database at the next start, and
 * nobody was told otherwise. An entry may be *suspended*: deleted on condition that
 * somebody confirms it. The kernel has the time at which it is allowed again, so
 * that it comes back also when this process is dead. The kernel lets allowed sources pass whatever
 * the rules say.
 */
#ifndef WINNOW_DAEMON_ALLOWBOOK_H
#define WINNOW_DAEMON_ALLOWBOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/clock.h"
#include "daemon/config.h"
#include "kern/kern.h"
#include "store/store.h"

struct allow_entry {
	struct cidr net;
	char *reason;
	const char *origin; /* "operator", "config" or "built-in" */
	uint32_t uid;
	uint64_t created;
	uint64_t suspended; /* until then, ns since 1970; 0: not */
};

struct allowbook {
	struct kern *kern;
	struct store *store; /* NULL: there is no database */
	struct allow_entry *at;
	size_t n, room;
};

void allowbook_init(struct allowbook *b, struct kern *k, struct store *s);
void allowbook_clear(struct allowbook *b);

/* Database, configuration and kernel made to agree. db_lost: what the kernel has
 * stays. */
int allowbook_load(struct allowbook *b, const struct clock *c, const struct config *cfg,
		   bool db_lost, struct reason *r);
/* The configuration's networks are replaced by those of `cfg`. */
int allowbook_configure(struct allowbook *b, const struct clock *c, const struct config *cfg,
			struct reason *r);

/* The built-in networks are replaced by these. They are never in the database. */
struct protect;
int allowbook_builtin(struct allowbook *b, const struct clock *c, const struct protect *p,
		      struct reason *r);

/* -EEXIST: there already; -EREMOTEIO: in force, but not in the database. */
int allowbook_add(struct allowbook *b, const struct allow_row *row, struct audit_row *audit,
		  struct reason *r);
/* -ENOENT; -EPERM: the configuration says it. */
int allowbook_remove(struct allowbook *b, const struct cidr *net, struct audit_row *audit,
		     struct reason *r);

/* As allowbook_remove(), but only until `until`, ns since 1970. */
int allowbook_suspend(struct allowbook *b, const struct clock *c, const struct cidr *net,
		      uint64_t until, struct audit_row *audit, struct reason *r);
size_t allowbook_suspended(const struct allowbook *b);
/* The suspended ones are gone for good, or are back. */
int allowbook_confirm(struct allowbook *b, struct reason *r);
int allowbook_restore(struct allowbook *b, const struct clock *c, struct reason *r);

/* The entry that lets this address pass now, or NULL. */
const struct allow_entry *allowbook_holds(const struct allowbook *b, struct addr a);
/* An entry, suspended or not, that shares an address with `net`, or NULL. */
const struct allow_entry *allowbook_overlap(const struct allowbook *b, const struct cidr *net);

#endif
