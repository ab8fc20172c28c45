/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blast.h - what a rule would have hit: farm and benign, of what is tallied.
 *
 * Only proved connections are tallied, so everything here is proved. A source is
 * benign with 1 - its posterior of being a farm's member; of several stacks that the
 * rule meets at one source the most benign counts. The bound is that of a sum of rare
 * events (detect/stats.h). Tallies count since a row was first seen: sources of a
 * period are exact, its connections and exchanges are at most what is said.
 *
 * Stored days (blast_days.c) are counted a source and day; benign is then as the day's own
 * judgement had it: an address that a farm's exit is today was somebody's before, and
 * this is what the rule would have cost him.
 *
 * Bound:  rows that were evicted are not known any more; `status` counts them. Of stored
 *         days at most BLAST_ROWS_MOST records are looked at, whole days, the newest first.
 *         Rules on a JA4, an order or a D1 are taken to meet every hello of the stack.
 */
#ifndef WINNOW_DAEMON_BLAST_H
#define WINNOW_DAEMON_BLAST_H

#include "base/table.h"
#include "daemon/daemon.h"
#include "daemon/protect.h"

enum blast_period { BLAST_MINUTES, BLAST_DAY, BLAST_PERIODS };

struct blast {
	uint64_t sources, connections, exchanges; /* that match */
	double farm_sources, farm_exchanges;      /* expected of a farm among them */
	double benign_sources, benign_exchanges;  /* expected of somebody else */
	double upper95;                           /* of benign_sources */
	uint64_t outside;                         /* matching sources that are no members */
	uint64_t allowed;                         /* matching sources that the allow list spares */
	uint64_t protected;                       /* matching sources in `protected` networks */
	uint64_t all_sources, all_outside;        /* in the period, matching or not */
};

/* The source that has most of all stacks, and so is nobody's own address: a balancer
 * or CDN whose PROXY headers are not read. */
struct blast_crowd {
	struct addr addr;
	size_t stacks, of;
};

#define BLAST_ROWS_MOST 4000000

/* Of the stored days. */
struct blast_past {
	uint32_t days, first, last; /* days since 1970 */
	struct blast sum;           /* each source once, by its most benign day */
	double worst_day;           /* benign sources of the day that had most */
};

struct days;

struct blast_view {
	struct daemon *d;
	struct days *days; /* NULL: none is stored */
	struct snapshot *snap;
	struct table sources; /* struct source_id -> u32, 1 + its first row */
	uint32_t *next;       /* per row: 1 + the source's next one */
	struct table members; /* struct member_id -> struct blast_member */
	struct blast all[BLAST_PERIODS];
	bool crowded;
	struct blast_crowd crowd;
};

int blast_look(struct daemon *d, struct blast_view *out); /* -ENOMEM */
void blast_clear(struct blast_view *v);
int blast_of(const struct blast_view *v, const struct rule_entry *e, enum blast_period p,
	     struct blast *out);

/* The stored days for blast_past_of(); none is no error, what cannot be read is a trouble. */
void blast_look_back(struct blast_view *v);
int blast_past_of(const struct blast_view *v, const struct rule_entry *e, struct blast_past *out);
void blast_past_add(struct blast_past *sum, const struct blast_past *b);
json_t *blast_past_json(const struct blast_past *b); /* null: no day */

struct blast_member {
	float posterior;
	uint32_t onset; /* of its farm, days since 1970 */
};
/* NULL: of no farm. */
const struct blast_member *blast_member(const struct blast_view *v, uint64_t src, uint8_t family,
					uint64_t stack);

/* Whether the configuration calls its network `protected`. */
bool blast_is_protected(const struct daemon *d, struct addr a);

/* Rules on different sources together. */
void blast_add(struct blast *sum, const struct blast *b);
json_t *blast_period_json(const struct blast *b);
/* {"minutes": {...}, "day": {...}, "days": {...}} of a rule. */
json_t *blast_json(const struct blast_view *v, const struct rule_entry *e);

#endif
