/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * days.h - day files: what each (source, stack) did on each of the last 28 days.
 *
 * DIR/2026-03-01.days: a head of 64 bytes, then struct past in order of past_order(),
 * written once when the day is over (a new file, synced, renamed) and only read after
 * that, through a map: 64 bytes a record on disk, none in memory. A look-up is a binary
 * search in each file. Files older than 28 days are unlinked by days_forget().
 *
 * DIR/detector: what the detector remembers else, as it gave it (state.h), behind a head
 * with the secret's id and the length.
 *
 * Errors: a file that is cut off, damaged in its head, of another version or of another
 * secret is refused with a sentence that names it and says what to do: -EBADMSG, -EPROTO,
 * -EKEYREJECTED. -EBUSY: another process holds DIR.
 */
#ifndef WINNOW_STORE_DAYS_H
#define WINNOW_STORE_DAYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "model/past.h"

struct days;

/* Makes DIR (0700) if need be, maps what is in it. */
int days_open(const char *dir, uint64_t secret, struct days **out, struct reason *r);
/* What is there now, to read: nobody is locked out, nothing is made. -ENOENT: no DIR. */
int days_look(const char *dir, uint64_t secret, struct days **out, struct reason *r);
void days_free(struct days *d);
void days_freep(struct days **d);

/* `day`: days since 1970. Sorts `rows`. A day that is there already is written anew. */
int days_write(struct days *d, uint32_t day, struct past *rows, size_t n, struct reason *r);
/* Unlinks days before day - 28. */
void days_forget(struct days *d, uint32_t day);

/* past_fn */
size_t days_find(void *d, const struct past *id, struct past out[PAST_DAYS]);
/* Each day, the newest first; stops at the first that is not 0 and returns it. */
int days_each(const struct days *d,
	      int (*fn)(void *ctx, uint32_t day, const struct past *rows, size_t n), void *ctx);
size_t days_count(const struct days *d); /* files */
uint64_t days_records(const struct days *d);

/* The detector's own bytes. -ENOENT: none yet. */
int days_keep(struct days *d, const void *bytes, size_t len, struct reason *r);
int days_kept(struct days *d, void **bytes, size_t *len, struct reason *r);

#endif
