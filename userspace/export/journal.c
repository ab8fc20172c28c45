/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/journal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model/json.h"
#include "model/rule_json.h"

struct entry {
	uint64_t real;
	const char *level;
	char text[JOURNAL_TEXT];
};

struct journal {
	pthread_mutex_t lock;
	uint64_t n; /* ever written; entry k is at k % JOURNAL_KEPT */
	struct entry at[JOURNAL_KEPT];
};

struct journal *journal_new(void)
{
	struct journal *j = malloc(sizeof(*j));

	/* Really written: what it takes is seen at the start, not after 1,024 lines. */
	if (j)
		explicit_bzero(j, sizeof(*j));
	if (j)
		pthread_mutex_init(&j->lock, NULL);
	return j;
}

void journal_free(struct journal *j)
{
	if (j)
		pthread_mutex_destroy(&j->lock);
	free(j);
}

void journal_add(struct journal *j, uint64_t real, const char *level, const char *text)
{
	struct entry *e;

	pthread_mutex_lock(&j->lock);
	e = &j->at[j->n++ % JOURNAL_KEPT];
	e->real = real;
	e->level = level;
	strncpy(e->text, text, JOURNAL_TEXT - 1);
	pthread_mutex_unlock(&j->lock);
}

uint64_t journal_last(struct journal *j, uint64_t n)
{
	uint64_t all;

	pthread_mutex_lock(&j->lock);
	all = j->n;
	pthread_mutex_unlock(&j->lock);
	return all > n ? all - n : 0;
}

/* A line may have been cut inside a character: then without what is left of it. */
static json_t *text_json(const char *text)
{
	char copy[JOURNAL_TEXT];
	json_t *v = json_string(text);

	strcpy(copy, text);
	for (size_t len = strlen(copy); !v && len; v = json_string(copy))
		copy[--len] = '\0';
	return v ? v : json_null();
}

json_t *journal_json(struct journal *j, uint64_t after)
{
	json_t *list = json_array();
	uint64_t first, missed, next;

	pthread_mutex_lock(&j->lock);
	next = j->n;
	/* A number of another daemon's: begin again. */
	if (after > next)
		after = 0;
	first = next > JOURNAL_KEPT && after < next - JOURNAL_KEPT ? next - JOURNAL_KEPT : after;
	missed = first - after;
	for (uint64_t k = first; k < next; k++) {
		const struct entry *e = &j->at[k % JOURNAL_KEPT];

		json_array_append_new(list, json_pack("{s:s, s:I, s:o, s:s, s:o}", "schema",
						      "winnow.event/1", "seq", (json_int_t)k + 1,
						      "time", time_json(e->real), "level", e->level,
						      "text", text_json(e->text)));
	}
	pthread_mutex_unlock(&j->lock);
	return json_pack("{s:s, s:o, s:I, s:I}", "schema", "winnow.events/1", "events", list,
			 "next", (json_int_t)next, "missed", (json_int_t)missed);
}
