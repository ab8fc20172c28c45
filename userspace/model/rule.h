/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rule.h - a rule as people write it: one grammar for the command line, the
 * database and the detector's plans.
 *
 *     [src CIDR] [ja4 S] [stack S] [order H] [state P]...
 *     action pass|count|limit RATE/s [all]|drop|reset|reject
 *     [ports any] [for DURATION] [existing keep|drop] reason TEXT
 *
 * Clauses come in any order, each once (but state), reason last: its text is
 * the rest. At least one of src, ja4, stack, order. S is the short name
 * (t13d1516h2_8daaf6152771_02713d6af862) or the raw form (JA4_r); so is H: 12 hex
 * digits, or the list of extension types (GREASE,001b,0000).
 * States, read from earlier connections of the same source and stack:
 *
 *     split>=N[@T]   of the last five D*, at least N reached T (10 ms)
 *     resumed=0      never offered a session
 *     seen>=N        at least N connections before this one
 *     age<=T         first seen at most T ago
 *     d1>=T          D1 of this hello
 *     dstar>=T       D* of this connection: the rule acts on the second client flight,
 *                    before the server has seen a request; on the hello, without
 *                    asking, where that brings early data
 *
 * `existing drop` cuts connections that are already there; that needs a rule on
 * src and stack alone, because a running flow remembers nothing else. Unless
 * said, rules that can do so do, the others keep them.
 */
#ifndef WINNOW_MODEL_RULE_H
#define WINNOW_MODEL_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/addr.h"
#include "base/log.h"
#include "model/fp.h"

#define RULE_REASON_MAX    256   /* bytes */
#define RULE_TEXT_MAX      16384 /* bytes of a whole rule */
#define RULE_WORDS_MAX     128
#define RULE_SPLIT_DEFAULT 100         /* 0.1 ms; timing.md rule 10, key without a baseline */
#define RULE_RATE_MAX      1000000000U /* thousandths a second */
#define RULE_AGE_MAX_DAYS  365         /* stamps wrap after 2.28 years */
#define RULE_FOR_MAX_DAYS  3650

struct rule_spec {
	bool has_src;
	struct cidr src;
	char *ja4, *stack, *order; /* as written, short or raw; NULL: any */

	uint8_t split_min;    /* 0: no such state; likewise below */
	uint16_t split_dstar; /* 0.1 ms */
	bool not_resumed;
	uint32_t seen_min;
	uint64_t age_max;           /* ns */
	uint16_t d1_min, dstar_min; /* 0.1 ms */

	enum rule_action action;
	uint32_t rate;  /* limit: thousandths a second */
	bool limit_all; /* one bucket for the rule, not one a source */
	bool ports_any;
	bool existing_keep;
	uint64_t lifetime; /* ns; 0: for ever */
	char *reason;
};

void rule_spec_clear(struct rule_spec *s); /* frees what it holds, all zero after */
int rule_spec_copy(const struct rule_spec *s, struct rule_spec *out);
bool rule_spec_equal(const struct rule_spec *a, const struct rule_spec *b);

/* 0 and a spec to clear, or -EINVAL and which word was wrong and what was
 * expected; -ENOMEM. Words behind `reason` are joined by one space. */
int rule_parse_words(const char *const *word, size_t n, struct rule_spec *out, struct reason *r);
int rule_parse(const char *text, struct rule_spec *out, struct reason *r);

/* The canonical text, malloc'ed; rule_parse() gives the same spec back. NULL:
 * no memory. */
char *rule_format(const struct rule_spec *s);
/* One state as it is written; `i` counts from 0. False: no more of them. */
#define RULE_STATE_TEXT 64
bool rule_state_text(const struct rule_spec *s, unsigned int i, char out[RULE_STATE_TEXT]);

/* Whether it has a state. */
bool rule_asks_state(const struct rule_spec *s);

/* Whether it is on one source, not on none or a network of them. */
bool rule_names_source(const struct rule_spec *s);

/* Whether `existing drop` is possible. */
bool rule_can_sweep(const struct rule_spec *s);

const char *rule_action_text(enum rule_action a);
enum rule_action rule_action_parse(const char *text); /* RULE_NONE: no such */

/* ---- a rule that lives ------------------------------------------------------ */

struct rule_hits {
	uint64_t connections, packets, bytes;
	uint64_t would; /* proved, not acted on */
	uint64_t unproved;
	uint64_t last; /* ns since 1970; 0: never */
};

/* What a confirmation is waited for, see rulebook.h. */
enum rule_pending {
	RULE_SETTLED,
	RULE_ADDED,    /* it goes unless confirmed */
	RULE_ENFORCED, /* it only counts again unless confirmed */
};

struct rule_entry {
	uint32_t handle, gen;
	uint32_t index; /* slot in the kernel; 0: not there (unbound) */
	struct rule_spec spec;
	char *origin;          /* "operator" or "farm:ID" */
	uint32_t uid;          /* who added it */
	uint64_t created;      /* ns since 1970 */
	uint64_t expires;      /* the same; 0: never */
	uint64_t expires_boot; /* as the kernel has it, CLOCK_BOOTTIME; 0: never */
	enum rule_pending pending;
	uint64_t then;      /* pending: `expires` once it is confirmed */
	uint64_t renewed;   /* by evidence of that time, since this start; ns since 1970 */
	uint64_t acquitted; /* since then its source is no member, CLOCK_MONOTONIC; 0: it is */
	uint64_t met;       /* hits then */
	bool shadow;        /* this rule only counts what it would do */
	uint64_t ja4_key, stack_key, order_key; /* 0: none, or not known yet */
	uint16_t holdout;                       /* per 10,000 */
	uint16_t canary;
	uint32_t epoch;
};

void rule_entry_clear(struct rule_entry *e);
/* Every name in the rule has its key. */
bool rule_bound(const struct rule_entry *e);

/* The slot the programs read. `shadow`: whatever the rule's own says. */
void rule_slot(const struct rule_entry *e, bool shadow, struct rule *out);

#endif
