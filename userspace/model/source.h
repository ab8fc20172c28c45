/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - a tally as one object of winnow.source/1.
 *
 * {"schema", "src", "stack", "service", "connections", "exchanges", "bytes_in",
 *  "bytes_out", "first_seen", "last_seen", "d1dstar": [[5 x 5]], "dstar_last_us": [5],
 *  "gaps": [18], "rtt_min_us", "resumed", "piggy", "tcp", "ccs", "transport"}
 *
 * `stack` and `tcp` are names, NULL while nobody has named the key: the stack is
 * then "key:" and 16 hex digits, which a rule takes too, and null when no hello
 * was seen. dstar_last_us: null for a place not yet used; "dstar_resumed" says
 * which of them came from resumed handshakes.
 */
#ifndef WINNOW_MODEL_SOURCE_H
#define WINNOW_MODEL_SOURCE_H

#include <jansson.h>

#include "model/snapshot.h"

json_t *source_json(const struct snapshot *s, const struct tally *t, const char *stack,
		    const char *tcp);

#endif
