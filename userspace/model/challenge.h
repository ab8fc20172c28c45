/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * challenge.h - what a farm's connections have in common, where its sources change too fast
 * for rules on each.
 *
 * Drops ask for a source that is known to be the farm's. Of a source that lives for hours that
 * is known when it is gone, so what is left is the challenge tier: a rate limit, or a word to
 * whoever knows the accounts, for all that matches stack and state. People match as well:
 * `known` says how many of those that nobody doubts, and nothing here becomes a rule by itself.
 * Source: detection.md 5.7.
 */
#ifndef WINNOW_MODEL_CHALLENGE_H
#define WINNOW_MODEL_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct farm_challenge {
	bool due;
	double life;            /* median of the farm's sources, seconds */
	uint16_t dstar_min;     /* 0.1 ms */
	bool not_resumed;       /* state resumed=0 */
	size_t members, of;     /* of so many members so many match */
	size_t known, of_known; /* of those that the stack had when clean; all lately */
};

/* {match, members, known, text}, `match` in the words of a rule; null: not due. */
json_t *challenge_json(const struct farm_challenge *c, const char *stack);

#endif
