/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * namebook.h - what the keys of the tables are called.
 *
 * The kernel sends the first hello of a key up the ring; it is named here once,
 * kept in memory and in the database, and rules that wait for the name hear of
 * it. At most NAMEBOOK_MAX names of a kind: a flood of random hellos pushes out
 * the names that were seen least recently, never those a rule uses.
 */
#ifndef WINNOW_DAEMON_NAMEBOOK_H
#define WINNOW_DAEMON_NAMEBOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "daemon/clock.h"
#include "store/store.h"
#include "tls/names.h"

#define NAMEBOOK_MAX 32768

struct name_entry {
	char *name, *raw;
	char *ja3; /* NULL but for NAME_JA4 */
	uint64_t stack;
	uint64_t first_seen, last_seen;
	uint32_t used; /* rules that need it */
};

struct namebook {
	struct table names;  /* struct name_id -> struct name_entry */
	struct table words;  /* struct name_word -> struct name_holders */
	struct table wanted; /* struct name_word: orders that rules wait for */
	size_t n_kind[NAME_KIND_MAX];
	struct namer *namer;
	struct secret secret;
	uint64_t named, unnamed, dropped; /* events named, not nameable, names pushed out */
	uint64_t mismatches;              /* the host's parser and the kernel's differ */
};

struct name_id {
	uint64_t kind, key;
};

struct name_word {
	uint64_t kind;
	char name[40]; /* padded with NULs */
};

/* Keys with one short name; more than one: 48 bits of SHA-256 collided, or were
 * made to. */
struct name_holders {
	uint64_t key; /* the first */
	uint64_t n;
};

int namebook_init(struct namebook *b, const struct secret *secret);
void namebook_clear(struct namebook *b);

/* Fills it from the database; keys are taken as they are. */
int namebook_load(struct namebook *b, struct store *s);
/* The secret is another one: new keys from the raw forms, in memory and in the
 * database. Within the caller's transaction. */
int namebook_rekey(struct namebook *b, struct store *s, const struct secret *secret);

/* A hello from the ring. Names that were new are written to the database (an
 * error of that is returned; the names are in memory all the same) and bits of
 * enum match_part say which kinds were new. Orders are kept only when wanted:
 * a browser that permutes its extensions never repeats one. */
int namebook_event(struct namebook *b, struct store *s, const struct clock *c,
		   const struct event_hello *e, unsigned int *fresh);
int namebook_want_order(struct namebook *b, const char *name);

const struct name_entry *namebook_get(const struct namebook *b, enum name_kind kind, uint64_t key);
const char *namebook_name(const struct namebook *b, enum name_kind kind, uint64_t key);

/* The key that a word of a rule means. 0, -ENOENT: not seen yet, -EEXIST: two
 * fingerprints share that short name, -EINVAL. */
int namebook_key(const struct namebook *b, enum name_kind kind, const char *word, uint64_t *key);

/* A rule begins (+1) or stops (-1) to need a name. */
void namebook_use(struct namebook *b, enum name_kind kind, uint64_t key, int by);

#endif
