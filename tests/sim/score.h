/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * score.h - what a judge is worth against the labels: detection.md 8.2, one run.
 *
 * In:     every connection with its truth and whether it met a rule in force; after
 *         each step, the farms and the plan of the judge.
 * Out:    score_print(): one JSON object, winnow.trial/1; README.md explains it.
 * Truth:  a farm of the judge is right if it is on the farm's stack and more than half
 *         of its members are (address, stack) pairs the farm has used by then.
 * Rules:  a rule matches by source and stack; of its state predicates `resumed=0` is
 *         looked at, those over earlier connections count as met when it is issued.
 */
#ifndef WINNOW_SIM_SCORE_H
#define WINNOW_SIM_SCORE_H

#include <jansson.h>

#include "model/judge.h"
#include "tests/sim/sim.h"

struct score;

int score_new(const struct sim *s, const struct sim_config *c, struct score **out);
void score_free(struct score *s);
void score_freep(struct score **s);

/* Is there a rule that this connection meets, of a farm that is proposed or enforced? */
bool score_matches(struct score *s, const struct event_conn *e, const struct sim_truth *t);
/* `blocked`: it met a rule in force and failed. */
int score_event(struct score *s, const struct event_conn *e, const struct sim_truth *t,
		bool matched, bool blocked);
/* After the judge's windows up to `now`; `last`: no more will come. */
int score_look(struct score *s, const struct judge *j, uint64_t now, bool last);
/* Farms (by id) whose rules a person would put in force now: right and wrong ones, as
 * the judge proposes them. Returns how many. */
size_t score_proposed(const struct score *s, const char **ids, size_t max);
/* The first rules came into force. */
void score_enforced(struct score *s, uint64_t now);
/* A new reference, or NULL: no memory. */
json_t *score_json(struct score *s);

#endif
