/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - winnowd: what it holds, and the steps of its life.
 *
 * start -> run (events, ticks, requests) -> stop. Programs, tables and rules are
 * pinned and go on without it; it names, shows, adds and removes. One thread,
 * one epoll; nothing in it waits for a client.
 */
#ifndef WINNOW_DAEMON_H
#define WINNOW_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/allowbook.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/labels.h"
#include "daemon/namebook.h"
#include "daemon/rulebook.h"
#include "daemon/scrape.h"
#include "daemon/server.h"
#include "kern/kern.h"
#include "model/snapshot.h"
#include "store/store.h"

#define TROUBLES_MAX 16

struct capture;
struct detector;
struct journal;
struct verdicts;

/* Things that are wrong now, by what they are about; `status` shows them. */
struct trouble {
	char about[32];
	char text[480];
};

/* Changes that wait for `commit confirm`; deadline 0: none. */
struct commit {
	uint64_t deadline;                    /* ns since 1970 */
	uint64_t deadline_boot, applied_boot; /* CLOCK_BOOTTIME */
	uint32_t uid;
};

struct daemon {
	const char *config_file; /* NULL: the layers */
	struct config cfg;
	char state_db[PATH_MAX], detector_file[PATH_MAX], secret_file[PATH_MAX], pid_file[PATH_MAX],
		socket[PATH_MAX];

	struct kern *kern;
	struct store *store; /* NULL: it cannot be written */
	bool db_lost;        /* this start had no database to read */
	struct namebook names;
	struct quic_book *quic; /* NULL until the first Initial */
	struct rulebook rules;
	struct allowbook allows;
	struct commit commit;
	struct capture *capture; /* NULL: nobody captures */
	struct server *server;
	struct scrape scrape;
	struct labels labels;
	struct journal *journal; /* the newest lines, for winnow monitor */
	struct detector *detector;
	struct verdicts *verdicts; /* of the newest window; never NULL once begun */
	uint64_t farms_store_ns;   /* what writing them took */
	uint64_t farms_kept;       /* time of the window that is on disk */

	struct clock started;
	uint64_t next_crowd;                    /* monotonic */
	uint64_t refused;                       /* by a safety rule */
	uint64_t next_tick;                     /* monotonic */
	uint64_t denied, denials_at, denials;   /* audited at most 10 a second */
	char let_go[CONFIG_INTERFACES_MAX][16]; /* detached by hand: not ours to attach again */
	size_t n_let_go;
	struct trouble troubles[TROUBLES_MAX];
	size_t n_troubles;

	int lock_fd, epoll_fd, timer_fd, signal_fd, window_fd, links_fd;
	struct watch timer, signals, ring, answers, windows, links;
	bool stop;
};

/* ---- daemon.c: life ------------------------------------------------------------ */

/* An exit code; what went wrong is logged. */
int daemon_start(struct daemon *d, const char *config_file);
int daemon_run(struct daemon *d); /* until SIGTERM or SIGINT */
void daemon_stop(struct daemon *d);

/* ---- settle.c: state at start -------------------------------------------------- */

int settle_lock(struct daemon *d);
int settle_state(struct daemon *d); /* database, kernel, secret, names, allows, rules */
/* The end of a move to other tables (kern_switch), when rules and settings are in them. */
int settle_switch(struct daemon *d);

/* ---- devices.c ------------------------------------------------------------------- */

/* Attaches what the configuration names and is not attached, but for devices that
 * were let go; says what fails once. */
void devices_settle(struct daemon *d);
void devices_let_go(struct daemon *d, const char *device, bool yes);
/* A descriptor that is readable when a device comes, goes or changes; -1, errno. */
int devices_watch(void);
void devices_changed(struct daemon *d, int fd);
/* Which proof the attached devices allow. */
void devices_choose_proof(struct daemon *d);
const char *proof_text(uint32_t proof); /* NULL: none */

/* ---- settings.c: what the configuration says, put into the tables ------------------- */

void settings_apply(struct daemon *d);
/* All or nothing. -EINVAL: refused, and the sentence; the settings before stay. */
int settings_reload(struct daemon *d, struct reason *r);

/* ---- trouble.c -------------------------------------------------------------------- */

/* Logged when it is new or has changed; NULL fmt: it is over. */
void trouble_set(struct daemon *d, const char *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- documents.c -------------------------------------------------------------------- */

/* NULL: no memory. */
struct snapshot *daemon_snapshot(struct daemon *d);
/* Only the `limit` rows that were seen last, newest first, of *total. */
struct snapshot *daemon_newest(struct daemon *d, size_t limit, size_t *total);
/* How full the tables are; answers how many there are. */
#define TABLE_FILLS 5
struct table_fill {
	const char *name;
	uint64_t used, capacity, evicted;
};
size_t daemon_tables(struct daemon *d, const uint64_t *counters,
		     struct table_fill out[TABLE_FILLS]);
json_t *document_status(struct daemon *d);
json_t *document_fingerprints(struct daemon *d, const char *name); /* NULL: all */
json_t *document_rules(struct daemon *d, const struct rule_entry *const *list, size_t n);
json_t *document_allows(struct daemon *d);
json_t *document_audit(struct daemon *d, uint64_t most); /* NULL: it cannot be read */
json_t *source_row(struct daemon *d, const struct snapshot *s, const struct tally *t);

/* ---- verbs.c ---------------------------------------------------------------------------- */

/* Answers one request: a server_fn, ctx is the daemon. */
void verbs_answer(void *ctx, const struct peer *p, const struct request *q, struct answer *a);

#endif
