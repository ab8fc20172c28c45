/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WATCH_P 1e-3
#define WATCH_E 44 /* the e-value of that (fdr.c), or with what legs add to it */
/* A farm's accounts keep their exits for hours or days: at 25.6 exchanges a day half of
 * them are seen again between the tenth minute and the sixtieth, and three quarters until
 * tomorrow; of probes that ask once through each of many homes, 3 in 1,000. */
#define STAY_SHARE 0.25
#define STAY_EARLY 8  /* members, before it is asked */
#define STAY_KNOWN 20 /* members: of fewer it must be known */

/* Of the sources of an own stack that is not known from any day. */
#define OWN_SHARE 0.5

static void missing(char *gate, size_t size, const char *what, double have, double need)
{
	size_t n = strlen(gate);

	snprintf(gate + n, size - n, "%s%s %.2f, needs %.2f", n ? "; " : "", what, have, need);
}

/* In how many networks members of a fleet would lie that has FLEET_EXITS of equal size: the
 * mean and three standard deviations more. Of up to FLEET_FEW members that is all of them, or
 * but for one: only time tells those from a farm. */
#define FLEET_EXITS 50.
#define FLEET_FEW   26
#define FEW_WATCHED (12 * 3600)

/* A crowd that came today is direct, new, alone in its networks, and even, until each has made
 * some exchanges: then it has the pace of people. Who ends TLS at his exits does not get it,
 * and gets no rules either that would be late. */
#define DIRECT_WATCHED (6 * 3600)

static double fleet_networks(double members)
{
	double q1 = pow(1 - 1 / FLEET_EXITS, members), q2 = pow(1 - 2 / FLEET_EXITS, members);
	double mean = FLEET_EXITS * (1 - q1);
	double var = FLEET_EXITS * ((FLEET_EXITS - 1) * q2 + q1 - FLEET_EXITS * q1 * q1);

	return mean + 3 * sqrt(fmax(var, 0));
}

/* Few members of a fleet lie in nearly as many /24s as they are by chance alone (60 in 35:
 * 0.87); of a farm they lie apart (100 in 96: 0.99). So few must lie apart more clearly: more
 * than 50 exits explain, and 0.95 up to 100 members, as configured from 300 on. */
double verdict_spread(const struct detect_config *c, size_t members)
{
	double few = fmax(c->spread, 0.95);

	if (members >= 300)
		return c->spread;
	if (members > 100)
		return few - (few - c->spread) * (members - 100) / 200;
	if (members <= FLEET_FEW)
		return few;
	return fmax(few, log(fleet_networks(members)) / log(members));
}

static bool comes_and_goes(const struct verdict_input *in)
{
	if (in->early < STAY_EARLY)
		return in->members < STAY_KNOWN;
	return in->stayed < STAY_SHARE * in->early;
}

static bool gate_holds(const struct verdict *v, const struct verdict_input *in,
		       const struct detect_config *c, char *gate, size_t size)
{
	/* Whoever asks once through each of many homes is one operator, and no farm. */
	double one_operator = comes_and_goes(in) ? 0 : in->one_operator;
	double watched = (in->now - v->watched_at) / 1e9;

	if (in->conceal < c->conceal_bits)
		missing(gate, size, "concealment bits", in->conceal, c->conceal_bits);
	if (in->coordinate < c->coordinate_bits && one_operator < c->operator_bits)
		missing(gate, size, "coordination bits", in->coordinate, c->coordinate_bits);
	if (in->spread < verdict_spread(c, in->members))
		missing(gate, size, "spread", in->spread, verdict_spread(c, in->members));
	if (in->bits < c->flag_bits)
		missing(gate, size, "decision bits", in->bits, c->flag_bits);
	/* The first of a fleet: by then the others are there, and lie beside them. */
	if (!in->own && in->members <= FLEET_FEW && watched < FEW_WATCHED)
		missing(gate, size, "so few: hours watched", watched / 3600., FEW_WATCHED / 3600.);
	if (!in->own && in->unsplit && watched < DIRECT_WATCHED)
		missing(gate, size, "direct: hours watched", watched / 3600.,
			DIRECT_WATCHED / 3600.);
	if (in->own && in->members < c->own_sources)
		missing(gate, size, "own stack: sources", in->members, c->own_sources);
	if (in->own && in->prefixes < c->own_prefixes)
		missing(gate, size, "own stack: /16s", in->prefixes, c->own_prefixes);
	if (in->own && !in->calibrated && in->members < OWN_SHARE * in->sources)
		missing(gate, size, "own stack: share of its sources",
			(double)in->members / in->sources, OWN_SHARE);
	if (in->own && comes_and_goes(in))
		missing(gate, size, "own stack: share that stays",
			in->early ? (double)in->stayed / in->early : 0, STAY_SHARE);
	if (in->calibrated && !in->rejected)
		missing(gate, size, "log10 of the e-value", in->e > 0 ? log10(in->e) : -9,
			in->e_needed);
	return !gate[0];
}

/* One more kind than when clean, and of a clean day unlikely. */
static bool is_something(const struct verdict_input *in, const struct detect_config *c, char *gate,
			 size_t size)
{
	if (in->members < c->min_members)
		missing(gate, size, "members", in->members, c->min_members);
	if (!(in->gain >= c->watch_nats))
		missing(gate, size, "nats", in->gain, c->watch_nats);
	if (in->calibrated && !(in->p < WATCH_P || in->e >= WATCH_E))
		missing(gate, size, "log10 of P(a clean day)", log10(in->p), log10(WATCH_P));
	return !gate[0];
}

void verdict_step(struct verdict *v, const struct verdict_input *in, const struct detect_config *c,
		  char *gate, size_t size)
{
	bool something;
	uint32_t passed = in->windows ? in->windows : 1;
	bool held = false;

	gate[0] = '\0';
	something = is_something(in, c, gate, size);
	if (v->state == FARM_NONE && in->unsplit && in->bits <= 0)
		something = false;
	if (something) {
		if (v->state == FARM_NONE) {
			v->state = FARM_WATCH;
			v->watched_at = in->now;
			v->windows = 0;
			v->hits = 0;
		}
		v->windows += v->windows ? passed : 1;
		held = gate_holds(v, in, c, gate, size);
	}
	v->idle = something ? 0 : v->idle + 1;
	v->hits = v->hits << 1 | held;
	v->negative = something && in->bits < 0 ? v->negative + passed : 0;
	v->low = something && in->bits >= c->unflag_bits ? 0 : v->low + passed;

	switch (v->state) {
	case FARM_WATCH:
		/* An own stack waits besides: nothing but time tells it from a release. */
		if (in->own && held && v->windows < c->own_windows) {
			missing(gate, size, "own stack: windows", v->windows, c->own_windows);
		} else if ((uint32_t)__builtin_popcount(v->hits & ((1U << c->flag_windows) - 1)) >=
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
		if (held) {
			v->state = FARM_FLAG;
			v->low = 0;
		} else if (v->idle >= c->flag_windows)
			v->state = FARM_NONE;
		break;
	default:
		break;
	}
	if (v->state == FARM_FLAG && held) {
		if (in->bits < c->propose_bits)
			missing(gate, size, "decision bits", in->bits, c->propose_bits);
		else if (!in->plan_holds)
			snprintf(gate, size,
				 "no plan for half of its members meets the precision bound");
		else if (comes_and_goes(in) && in->early < STAY_EARLY)
			snprintf(gate, size,
				 "whether so few stay is not known: %zu came an hour ago, needs %d",
				 in->early, STAY_EARLY);
		else if (comes_and_goes(in))
			snprintf(gate, size,
				 "its sources do not stay (%zu of %zu): rules on them stop nothing",
				 in->stayed, in->early);
		else {
			v->state = FARM_PROPOSE;
			v->proposed_at = in->now;
		}
	}
}
