/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * labels.h - what is said beside the facts: whose network, which system, which
 * program, and what operators wrote down.
 *
 * Files are read at the start and at a reload when they have changed; one that cannot
 * be read is a trouble, and what was read before stays. Nothing here is evidence, and
 * nothing here is in a metric.
 */
#ifndef WINNOW_DAEMON_LABELS_H
#define WINNOW_DAEMON_LABELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct networks;
struct systems;
struct audit_row;
struct reason;
struct tally;

#define LABEL_MAX 64 /* bytes of an operator's label */

struct labels {
	struct networks *networks; /* NULL: none */
	struct systems *systems;   /* NULL: none */
	json_t *notes;             /* "KIND ID" -> {mark, text, uid, created} */
	uint64_t files;            /* what the files looked like when they were read */
};

void labels_open(struct daemon *d);
void labels_clear(struct labels *l);

/* The operator's label of a stack, else that of a known program, else NULL. */
const char *labels_stack(const struct daemon *d, const char *stack);
/* "asn", "org", "country", "os", "label" into a row of winnow.source/1. */
void labels_source(const struct daemon *d, json_t *row, const struct tally *t);
/* "label" and each member's network into winnow.farms/1; "mark", "mark_reason". */
void labels_farms(const struct daemon *d, json_t *doc);
/* Whether an operator said this farm is none. */
bool labels_dismissed(const struct daemon *d, const char *farm);

/* text NULL: takes the note away (-ENOENT: there is none). -EROFS: no database. */
int labels_note(struct daemon *d, const char *kind, const char *id, const char *mark,
		const char *text, uint32_t uid, struct reason *r);

#endif
