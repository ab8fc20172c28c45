/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rule_json.h - a rule as one object of winnow.rules/1 and winnow.plan/1.
 *
 * {"handle", "match": {"src", "ja4", "stack", "order"}, "state": [], "action",
 *  "rate", "flags": [], "expires", "created", "origin", "reason", "bound",
 *  "hits": {"connections", "packets", "bytes"}, "would_hit": {"connections"},
 *  "unproved", "last_hit", "holdout", "canary", "text"}
 *
 * Null: not part of the match, or never. rate is connections a second; holdout
 * and canary are shares. `hits` may be NULL: a rule that is not in force yet.
 * Errors: NULL, no memory.
 */
#ifndef WINNOW_MODEL_RULE_JSON_H
#define WINNOW_MODEL_RULE_JSON_H

#include <jansson.h>

#include "model/rule.h"

json_t *rule_json(const struct rule_entry *e, const struct rule_hits *hits);

/* RFC 3339 with milliseconds, or null for 0. */
json_t *time_json(uint64_t ns);

#endif
