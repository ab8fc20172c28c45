/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * secret.h - the secret behind every key, in a file of its own.
 *
 * Drawn once with getrandom(2) and kept as 64 hex digits, 0600, so that a state
 * directory carried to a new machine keeps its rules. A file that others can
 * read or that is damaged is not used: -EPERM or -EBADMSG, and the sentence.
 */
#ifndef WINNOW_STORE_SECRET_H
#define WINNOW_STORE_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "base/log.h"

int secret_read(const char *path, struct secret *out, struct reason *r); /* -ENOENT: none */
int secret_draw(struct secret *out);
/* Written beside it, synced, renamed: a crash leaves the old file or the new. */
int secret_write(const char *path, const struct secret *s, struct reason *r);

bool secret_is_zero(const struct secret *s);
bool secret_equal(const struct secret *a, const struct secret *b);
/* Names a secret without telling it: the first 63 bits of a SHA-256. */
uint64_t secret_id(const struct secret *s);

#endif
