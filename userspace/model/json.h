/* SPDX-License-Identifier: BSD-2-Clause */
/* json.h - how the nouns of model/ spell times, sources and numbers in JSON. */
#ifndef WINNOW_MODEL_JSON_H
#define WINNOW_MODEL_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "model/farm.h"

json_t *json_time(uint64_t ns); /* RFC 3339; 0: null */
json_t *json_round(double v);   /* three digits behind the point; not finite: null */
json_t *json_source(uint64_t src, uint8_t family);
/* The stack's name, or "key:" and 16 hex digits, which a rule takes too. */
#define STACK_TEXT 24
const char *stack_text(uint64_t stack, const struct farm_names *names, char out[STACK_TEXT]);
json_t *json_stack(uint64_t stack, const struct farm_names *names);
json_t *json_losses(const struct losses *l);

/* A value could not be made: what would have held it lacks it, and jansson says so to nobody
 * who does not look at each call. Who answers with a document asks at its end, once. */
void json_miss(void);
/* Was one missed since this thread last asked? */
bool json_missed(void);

#endif
