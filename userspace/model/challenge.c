/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/challenge.h"

#include <stdio.h>

#include "model/rule.h"

json_t *challenge_json(const struct farm_challenge *c, const char *stack)
{
	struct rule_spec spec = { .dstar_min = c->dstar_min, .not_resumed = c->not_resumed };
	char match[256], text[768], state[RULE_STATE_TEXT];
	int n;

	if (!c->due)
		return json_null();
	n = snprintf(match, sizeof(match), "stack %.100s", stack);
	for (unsigned int i = 0; rule_state_text(&spec, i, state); i++)
		n += snprintf(match + n, sizeof(match) - n, " state %s", state);
	snprintf(
		text, sizeof(text),
		"challenge tier: half of its sources live %.1f h at most, too short to convict each. "
		"Rate limit, or tell the account layer, what matches `%s`: lately %zu of its %zu "
		"sources, and %zu of %zu that the stack had when traffic was clean",
		c->life / 3600, match, c->members, c->of, c->known, c->of_known);
	return json_pack("{ss sI sI ss}", "match", match, "members", (json_int_t)c->members,
			 "known", (json_int_t)c->known, "text", text);
}
