/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * farm.h - a farm as judged: its state, members, evidence; winnow.farms/1.
 */
#ifndef WINNOW_MODEL_FARM_H
#define WINNOW_MODEL_FARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "abi.h"
#include "model/challenge.h"
#include "model/snapshot.h"

#define FACT_TEXT 176

#define FARM_STATES(X)        \
	X(NONE, "none")       \
	X(WATCH, "watch")     \
	X(FLAG, "flag")       \
	X(PROPOSE, "propose") \
	X(ENFORCE, "enforce") \
	X(DECAY, "decay")

enum farm_state {
#define X(id, name) FARM_##id,
	FARM_STATES(X)
#undef X
		FARM_STATE_MAX
};

#define EVIDENCE_FAMILIES(X)            \
	X(CONCEALMENT, "concealment")   \
	X(COORDINATION, "coordination") \
	X(OPERATOR, "operator")         \
	X(DISPERSION, "dispersion")

enum evidence_family {
#define X(id, name) FAMILY_##id,
	EVIDENCE_FAMILIES(X)
#undef X
		FAMILY_MAX
};

extern const char *const farm_state_name[FARM_STATE_MAX];
extern const char *const evidence_family_name[FAMILY_MAX];

/* One line of the explanation: what was measured, what the nearest benign kind
 * would show, and how many bits that is worth against it. */
struct farm_line {
	enum evidence_family family;
	const char *name;
	bool known;
	double value, error; /* measured, standard error */
	double farm, benign; /* expected of a farm, of the nearest benign kind */
	double bits;
	char text[FACT_TEXT]; /* the counts */
};

#define FARM_LINES 14

struct farm_member {
	uint64_t src;
	uint8_t family;
	uint16_t service;
	double posterior;
	uint32_t connections, exchanges;
	uint32_t direct, split; /* handshakes, by D* */
	uint32_t dstar;         /* median, 0.1 ms */
	uint64_t first_seen;    /* ns since 1970 */
	bool replaces;          /* known by its first connections since the farm is dropped */
};

struct farm {
	char id[16];
	enum farm_state state;
	uint64_t stack;
	uint16_t service;
	uint64_t onset, watched_at, flagged_at, proposed_at; /* ns since 1970, 0: not yet */
	uint64_t exchanges_before_flag;
	double share, share_lo, share_hi; /* of the stack's active sources */
	double gain;                      /* nats: one more kind than when clean */
	double bits;                      /* decision, prior included */
	double prior;
	double evidence[FAMILY_MAX]; /* against the nearest benign kind */
	double without[FAMILY_MAX];  /* decision bits if this family were not there */
	const char *nearest_benign;
	struct farm_line line[FARM_LINES];
	size_t n_lines;
	struct {
		uint32_t days, scored; /* days of the stack before today; clean ones with a score */
		double llr;            /* of today, nats; the score that is compared */
		double p;              /* P(a clean day scores as high); 1: not known */
		double e, e_needed;    /* e-value, and what e-BH asks for over all cohorts */
	} history;
	const char *undecided; /* why packets cannot tell what it is; NULL: they can */
	struct farm_challenge challenge;
	char gate[256]; /* why it is not one state further; empty: nothing is missing */
	uint32_t sources, known, split, clean_sources; /* of the stack */
	struct farm_member *members;
	size_t n_members;
};

/* A source that makes up another stack with every connection: of the class
 * "randomiser", a member of nothing. */
struct randomiser {
	uint64_t src;
	uint8_t family;
	uint32_t stacks; /* kept of it; it had more */
};
#define RANDOMISERS_TOLD 16

struct farms {
	uint64_t time; /* ns since 1970 */
	struct farm *farm;
	size_t n;
	struct randomiser randomiser[RANDOMISERS_TOLD]; /* some of them */
	size_t n_randomisers;                           /* all of them */
	struct losses losses;
};

void farms_clear(struct farms *f);
static inline void farms_clearp(struct farms *f)
{
	farms_clear(f);
}

/* Names of fingerprints, from whoever knows them. NULL members: the key in hex. */
struct farm_names {
	void *ctx;
	/* NULL: no name yet */
	const char *(*stack)(void *ctx, uint64_t stack);
	/* Each JA4 seen of a stack: how many, at most `max` written. */
	size_t (*ja4)(void *ctx, uint64_t stack, const char **out, size_t max);
};

/* Farms that packets do not show, whatever is listed: said beside every answer. */
#define FARM_NOT_DECIDABLE 2
extern const char *const farm_not_decidable[FARM_NOT_DECIDABLE];
json_t *farm_not_decidable_json(void);

struct plan;

/* winnow.farms/1. `plan` may be NULL: then no rules. A new reference or NULL. */
json_t *farms_json(const struct farms *f, const struct plan *plan, const struct farm_names *names);

#endif
