/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - what must outlive the daemon and the machine: rules, allowed
 * networks, names of fingerprints, the audit. One SQLite file (WAL, STRICT
 * tables, migrations by user_version).
 *
 * A rule's row moves  pending -> live -> leaving -> gone.  The daemon writes
 * `pending`, then the kernel, then `live`; and `leaving`, the kernel, `gone`; so
 * after kill -9 at any point the rows in between say what to finish. A rule
 * that waits for a name (or that ran out of kernel slots) is live without a slot.
 *
 * Times are ns since 1970. Errors: 0 or -errno and a sentence in store_error();
 * -EUCLEAN: the file is no database of ours or is damaged (quarantine it).
 */
#ifndef WINNOW_STORE_H
#define WINNOW_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "model/rule.h"

#define STORE_VERSION 6 /* user_version of the newest migration */

struct store;

/* Makes the file (0600) if need be, migrates it, checks it. -EUCLEAN: damaged;
 * -EBUSY: another process holds it; -EPROTO: written by a newer winnow. */
int store_open(const char *path, struct store **out, struct reason *r);
void store_free(struct store *s);
void store_freep(struct store **s);
const char *store_error(const struct store *s); /* of the last call that failed */

/* Renames a damaged file (and its -wal, -shm) to PATH.damaged-TIME; `out` gets
 * the new name. */
int store_quarantine(const char *path, uint64_t now, char out[PATH_MAX]);

/* All that is written between them is there whole or not at all. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);
/* The one or the other: `err` is what writing gave. 0 if it is there whole. */
int store_end(struct store *s, int err);

/* ---- settings ---------------------------------------------------------------- */

int store_number_set(struct store *s, const char *key, uint64_t value);
int store_number(struct store *s, const char *key, uint64_t *out); /* -ENOENT */

/* ---- rules ------------------------------------------------------------------- */

enum rule_phase { RULE_PENDING, RULE_LIVE, RULE_LEAVING, RULE_GONE };

/* Draws the next handles and gens, never used before and in order, and writes the
 * rows as pending. */
int store_rules_add(struct store *s, struct rule_entry *list, size_t n);
/* Pending rows of these handles become live. */
int store_rules_live(struct store *s, uint32_t first, uint32_t last);
/* Writes what may change about a rule: expiry, what is pending, shadow, canary. */
int store_rule_state(struct store *s, const struct rule_entry *e);
/* What it asks for has changed. */
int store_rule_text(struct store *s, const struct rule_entry *e);
/* Writes a row with the handle and gen it has. */
int store_rule_put(struct store *s, const struct rule_entry *e, enum rule_phase phase);
/* Handles and gens start above these: the kernel may remember more than a lost
 * database did. */
int store_rule_floor(struct store *s, uint32_t handle, uint32_t gen);
int store_rule_phase(struct store *s, uint32_t handle, enum rule_phase phase);
/* The row stays as history; why: "deleted", "expired", "flushed", "abandoned". */
int store_rule_gone(struct store *s, uint32_t handle, const char *why, uint64_t when,
		    const struct rule_hits *hits);
/* A new gen for a slot that is written again; stored before it is used. */
int store_rule_regen(struct store *s, struct rule_entry *e);
int store_rule_keys(struct store *s, const struct rule_entry *e); /* writes its three keys */

/* Rows that are not gone, oldest first. The entry is the callee's to keep. */
typedef int (*store_rule_fn)(void *ctx, struct rule_entry *e, enum rule_phase phase);
int store_rules(struct store *s, store_rule_fn fn, void *ctx);

/* ---- farms --------------------------------------------------------------------- */

struct farms;
struct plan;

/* What stands now: farms with their evidence, members, rules and gates. Farms that
 * are in it no more keep their rows, with the time they ended. One transaction. */
int store_farms_put(struct store *s, const struct farms *f, const struct plan *p);
/* Those that have not ended; words in them live as long as the store. */
int store_farms(struct store *s, struct farms *f, struct plan *p);
/* The highest number a farm ever had; 0: none. */
int store_farm_last(struct store *s, uint32_t *out);
/* All rows go: their keys are of a secret that is lost. */
int store_farms_clear(struct store *s);

/* How a farm went, a point a window. */
struct farm_point {
	uint64_t time; /* ns since 1970, end of the window */
	const char *state;
	double share, bits;
	uint64_t members, births;    /* births: members first seen since the point before */
	uint64_t exchanges;          /* of members, so far */
	uint64_t rules, hits, would; /* rules in force; connections they stopped so far */
};

/* One transaction; points older than `oldest` go. */
int store_points_put(struct store *s, const char *const *farm, const struct farm_point *point,
		     size_t n, uint64_t oldest);
int store_points(struct store *s, const char *farm,
		 void (*fn)(void *ctx, const struct farm_point *p), void *ctx);
/* The time of its newest point; 0: it has none. */
int store_point_last(struct store *s, const char *farm, uint64_t *time);
/* What this farm's rules that are gone had stopped, or would have. */
int store_farm_hits(struct store *s, const char *farm, uint64_t *hits, uint64_t *would);

/* Addresses of farms and the texts of rules that ended PAST_DAYS before `now` or earlier. */
int store_forget(struct store *s, uint64_t now);

/* ---- allowed networks ---------------------------------------------------------- */

struct allow_row {
	struct cidr net;
	const char *reason;
	const char *origin; /* "operator", "config", "built-in" */
	uint32_t uid;
	uint64_t created;
	uint64_t suspended; /* ns since 1970: not allowed until then, if confirmed no more; 0 */
};

int store_allow_put(struct store *s, const struct allow_row *row);
int store_allow_remove(struct store *s, const struct cidr *net); /* -ENOENT */
int store_allows(struct store *s, void (*fn)(void *ctx, const struct allow_row *row), void *ctx);

/* ---- names ----------------------------------------------------------------------- */

enum name_kind { NAME_JA4 = 1, NAME_STACK, NAME_ORDER, NAME_TCP, NAME_KIND_MAX };

/* A key and what it stands for. Keys depend on the secret; raw does not. */
struct name_row {
	enum name_kind kind;
	uint64_t key;
	const char *name; /* short */
	const char *raw;  /* canonical lists */
	const char *ja3;  /* of the first such hello; NULL but for NAME_JA4 */
	uint64_t stack;   /* NAME_JA4: key of its stack */
	uint64_t first_seen, last_seen;
};

int store_name_put(struct store *s, const struct name_row *row);
int store_name_forget(struct store *s, enum name_kind kind, uint64_t key);
int store_names(struct store *s, void (*fn)(void *ctx, const struct name_row *row), void *ctx);
int store_names_clear(struct store *s);

/* ---- notes: what operators say of a stack or a farm -------------------------------- */

/* kind "stack": text is its label, id its name. kind "farm": mark is "confirmed" or
 * "dismissed", text the reason. */
struct note_row {
	const char *kind, *id, *mark, *text;
	uint32_t uid;
	uint64_t created;
};

int store_note_put(struct store *s, const struct note_row *row);
int store_note_remove(struct store *s, const char *kind, const char *id); /* -ENOENT */
int store_notes(struct store *s, void (*fn)(void *ctx, const struct note_row *row), void *ctx);

/* ---- audit --------------------------------------------------------------------------- */

/* Rows only ever join: triggers refuse UPDATE and DELETE, and each row's hash is
 * SHA-256 over the hash before it and its own fields, lengths included. */
struct audit_row {
	uint64_t seq; /* from 1; given by the store */
	uint64_t time;
	uint32_t uid;
	const char *verb, *args; /* args: JSON */
	int result;              /* exit code */
	const char *detail;      /* error or handle; may be NULL */
};

int store_audit(struct store *s, const struct audit_row *row);
/* The newest `most`, oldest first. */
int store_audit_rows(struct store *s, uint64_t most,
		     void (*fn)(void *ctx, const struct audit_row *row), void *ctx);
/* 0 and *rows; -EBADMSG and the first row that is missing or whose hash does not fit. */
int store_audit_verify(struct store *s, uint64_t *rows, struct reason *r);

#endif
