/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.h - what the days of each (stack, service) looked like: a table of cells a
 * day, 28 days, and the scores that clean days gave.
 *
 * A day's table is taken at the day's end from what was lately (window.h), so a table
 * of now and one of then speak of equally long times. Members of farms are taken out
 * by their weight before it is kept, and while there is one no larger share is split than
 * was, so that a farm does not become ordinary.
 *
 * Expected, for n sources today:
 *   b_c = n (H_c + k S_c) / (H + k),  H = sum of days, halved in 14 days,
 *   S = the stack's own smooth mixture of kinds (and the site's, mixture.h),
 *   k = 20 + H / 10: a cell that was never filled is as likely as its kinds make it.
 * phi2 = sum (v_c - m_c) / sum m_c^2 over cells with a daily mean m_c > 5, v_c their
 *   variance; at least 0.01, and 0.04 with fewer than 3 days.
 *
 * A day is scored against the days before it, of which the first have few: a first weekend
 * after two weekdays is stranger than any later one. Once seven days are known, each that
 * stands on fewer than six others is scored again with itself left out, when its stack is
 * judged. So are clean days that were written down by an earlier life, which has scored them
 * against what is lost; but not the oldest, which may be the first ever.
 *
 * Memory: 6 bytes a filled cell and day. Errors: -ENOMEM.
 * Source: detection.md 5.2.
 */
#ifndef WINNOW_DETECT_LEDGER_H
#define WINNOW_DETECT_LEDGER_H

#include "base/table.h"
#include "detect/product.h"
#include "detect/window.h"

#define LEDGER_DAYS 28
#define LEDGER_HALF 14.0 /* days */

struct ledger_stack {
	struct cells day[LEDGER_DAYS]; /* by number of the day, modulo */
	uint32_t number[LEDGER_DAYS];  /* of the day; 0: none */
	double score[LEDGER_DAYS];     /* of that day against others */
	uint8_t others[LEDGER_DAYS];   /* how many, and one more; 0: not known to be clean */
};

struct ledger {
	struct table stacks; /* struct cohort_id -> struct ledger_stack * */
};

void ledger_init(struct ledger *l);
void ledger_clear(struct ledger *l);

struct ledger_stack *ledger_find(const struct ledger *l, const struct cohort_id *key);
struct ledger_stack *ledger_add(struct ledger *l, const struct cohort_id *key);
/* Days kept of before `day`. */
size_t ledger_days(const struct ledger_stack *s, uint32_t day);

/* Takes `c` over. Days older than LEDGER_DAYS before it go. */
void ledger_put(struct ledger_stack *s, uint32_t day, struct cells *c);
/* Of a clean day that was put, against so many others: what it scored. */
void ledger_score(struct ledger_stack *s, uint32_t day, double score, size_t others);
/* Of days before `day`, how many clean ones are to be scored again; at: which, by place. */
size_t ledger_unsettled(const struct ledger_stack *s, uint32_t day, int at[LEDGER_DAYS]);

/* H, all CELLS of it, from days before `day`; returns its sum. */
double ledger_history(const struct ledger_stack *s, uint32_t day, float *full);
double ledger_phi2(const struct ledger_stack *s, uint32_t day);
/* Those that stand on two days or more. */
size_t ledger_scores(const struct ledger_stack *s, double out[LEDGER_DAYS]);

/* Expected counts for cells `in` (their n), `smooth` of the stack. b, history: in->len. */
void ledger_expect(const float *history, double sum, const struct mixture *smooth,
		   const struct cells *in, float *b, float *h);

#endif
