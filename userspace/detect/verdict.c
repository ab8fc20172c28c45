/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/verdict.h"

#include <stdio.h>
#include <string.h>

static void missing(char *gate, size_t size, const char *what, double have, double need)
{
	size_t n = strlen(gate);

	snprintf(gate + n, size - n, "%s%s %.1f, needs %.1f", n ? "; " : "", what, have, need);
}

static bool gate_holds(const struct verdict *v, const struct verdict_input *in,
		       const struct detect_config *c, char *gate, size_t size)
{
	if (in->conceal < c->conceal_bits)
		missing(gate, size, "concealment bits", in->conceal, c->conceal_bits);
	if (in->coordinate < c->coordinate_bits && in->one_operator < c->operator_bits)
		missing(gate, size, "coordination bits", in->coordinate, c->coordinate_bits);
	if (in->spread < c->spread)
		missing(gate, size, "spread", in->spread, c->spread);
	if (in->bits < c->flag_bits)
		missing(gate, size, "decision bits", in->bits, c->flag_bits);
	if (in->own && in->members < c->own_sources)
		missing(gate, size, "own stack: sources", in->members, c->own_sources);
	if (in->own && in->prefixes < c->own_prefixes)
		missing(gate, size, "own stack: /16s", in->prefixes, c->own_prefixes);
	if (in->own && v->windows < c->own_windows)
		missing(gate, size, "own stack: windows", v->windows, c->own_windows);
	return !gate[0];
}

void verdict_step(struct verdict *v, const struct verdict_input *in, const struct detect_config *c,
		  char *gate, size_t size)
{
	bool something = in->gain >= c->watch_nats && in->members >= c->min_members;
	bool held = false;

	gate[0] = '\0';
	if (something) {
		if (v->state == FARM_NONE) {
			v->state = FARM_WATCH;
			v->watched_at = in->now;
			v->windows = 0;
			v->hits = 0;
		}
		v->windows++;
		held = gate_holds(v, in, c, gate, size);
	} else if (v->state != FARM_NONE) {
		missing(gate, size, "members", in->members, c->min_members);
	}
	v->idle = something ? 0 : v->idle + 1;
	v->hits = v->hits << 1 | held;
	v->negative = something && in->bits < 0 ? v->negative + 1 : 0;
	v->low = something && in->bits >= c->unflag_bits ? 0 : v->low + 1;

	switch (v->state) {
	case FARM_WATCH:
		if ((uint32_t)__builtin_popcount(v->hits & ((1U << c->flag_windows) - 1)) >=
		    c->flag_hits) {
			v->state = FARM_FLAG;
			v->flagged_at = in->now;
			v->low = 0;
		} else if (v->idle >= c->flag_windows) {
			v->state = FARM_NONE;
		}
		break;
	case FARM_FLAG:
	case FARM_PROPOSE:
		if (v->negative >= c->retract_windows) {
			v->state = FARM_WATCH;
			v->flagged_at = v->proposed_at = 0;
			break;
		}
		/* fall through */
	case FARM_ENFORCE:
		if (v->low >= c->unflag_windows)
			v->state = FARM_DECAY;
		break;
	case FARM_DECAY:
		if (held)
			v->state = FARM_FLAG;
		else if (v->idle >= c->flag_windows)
			v->state = FARM_NONE;
		break;
	default:
		break;
	}
	if (v->state == FARM_FLAG && held) {
		if (in->bits < c->propose_bits)
			missing(gate, size, "decision bits", in->bits, c->propose_bits);
		else if (!in->plan_holds)
			snprintf(gate, size, "no rule meets the precision bound");
		else {
			v->state = FARM_PROPOSE;
			v->proposed_at = in->now;
		}
	}
}
