/* SPDX-License-Identifier: BSD-2-Clause */
/* internal.h - the detector's state, shared by detect.c and the files it calls. */
#ifndef WINNOW_DETECT_INTERNAL_H
#define WINNOW_DETECT_INTERNAL_H

#include "base/table.h"
#include "detect/ban.h"
#include "detect/baseline.h"
#include "detect/challenge.h"
#include "detect/class.h"
#include "detect/collateral.h"
#include "detect/concealment.h"
#include "detect/coordination.h"
#include "detect/detect.h"
#include "detect/dispersion.h"
#include "detect/fidelity.h"
#include "detect/ledger.h"
#include "detect/members.h"
#include "detect/mixture.h"
#include "detect/near.h"
#include "detect/newcomers.h"
#include "detect/origin.h"
#include "detect/replacements.h"
#include "detect/verdict.h"
#include "detect/window.h"

#define TOTALS_KEPT 120 /* windows */

/* What a cohort's sources did lately, for the cheap first look. */
struct group {
	uint32_t sources, split; /* split: and not already when clean */
	uint32_t first, last;    /* of all its records, by survey.next; NO_RECORD ends */
	double exchanges;
};

#define NO_RECORD UINT32_MAX

/* A record in few bytes, so that a look at all of them is a look at little memory. */
struct glance {
	uint32_t exchanges;
	uint8_t state; /* enum delay_state */
	bool active, held;
};

/* A look at every record, for all cohorts of a window. Glances, and what groups sum up of
 * them, last from window to window; only records that moved are looked at again, unless
 * everything has changed. */
struct survey {
	struct glance *glances; /* by record */
	uint32_t *next;
	size_t n, room_glances, room_next;
	struct table split;   /* struct source_id -> u32 split stacks of the address */
	struct group *groups; /* by cohort */
	size_t n_groups, room_groups;
	double exchanges;
	uint32_t shape, drift; /* of windows, of baseline, that the glances are of */
	bool waits, learnt, taken;
};

/* The rules a cohort's members would get; farm indices still unset. */
struct report {
	struct plan_rule *rules;
	size_t n_rules;
	struct plan_spared *spared;
	size_t n_spared;
	struct plan_collateral collateral;
	double stops;
	double life; /* median of its sources, seconds; below 0: not known */
	struct farm_challenge challenge;
};

/* What is told of a farm until its cohort is judged anew. */
struct kept_report {
	struct farm farm;
	struct report rules;
	struct plan_gate *gates;
	size_t n_gates;
};

struct cohort_state {
	struct verdict verdict;
	uint32_t id;
	uint32_t looked_at;  /* number of the window; 0: not since the start */
	uint32_t split_then; /* sources that were split when it was looked at */
	uint64_t onset, exchanges_before_flag;
	uint64_t ruled_at; /* since when its rules act, ns since 1970; 0: not known */
	struct replacements replacements;
	double totals[TOTALS_KEPT];
	size_t n_totals;
	struct mixture_component component;
	bool hides;    /* its members were split when it was flagged */
	bool nobody;   /* at this look: its farm was not to be seen, so nobody was weighed */
	double before; /* sources of clean days in cells ruled now; below 0: not known */
	double p;      /* P(a clean day looks as new); 1: not known */
	double e;      /* e-value of it */
	double least;  /* e-value that e-BH asked for */
	size_t scores; /* clean days it stands on */
	struct fact fact[FACT_MAX];
	double mean;
	struct origin origin;
	struct judgement judgement;
	struct ban ban;
	char gate[256];
};

struct detect {
	struct detect_config config;
	struct windows windows;
	struct baseline baseline;
	struct fidelity fidelity;
	struct table cohorts; /* struct cohort_id -> struct cohort_state */
	struct table reports; /* struct cohort_id -> struct kept_report * */
	struct survey survey;
	struct ledger ledger;
	uint32_t day;      /* the last one that was closed; 0: none */
	bool learnt_clean; /* the whole clean time is learnt */
	past_fn past;
	void *past_ctx;
	struct past *day_rows; /* of the day just ended, until somebody takes them */
	size_t n_day_rows;
	uint32_t day_ended;
	uint32_t closing;    /* the day that is being closed; 0: none */
	struct table closed; /* struct cohort_id -> nothing: what of it is done */
	struct losses losses;
	uint32_t ids;
};

void detect_forget_reports(struct detect *d);

/* fit.c: the component of one cohort, and weights of its members. */
int fit_cohort(struct detect *d, struct cohort_state *state, struct cohort *all,
	       const struct mixture_row *rows, const uint8_t *holds);
/* What its stack is expected to hold; a stack that was not seen clean: the site. */
void fit_kinds_of(const struct detect *d, uint64_t stack, struct mixture *m);
/* Whether there are days to compare with. */
bool fit_has_days(const struct detect *d, const struct cohort_id *key);

/* A day that is in the ledger, at this place, against all others before `until`: its score.
 * It is out of the ledger meanwhile. */
int fit_left_out(struct detect *d, const struct cohort_id *key, int at, uint32_t until,
		 double *score);

/* weigh.c: weights of all by the component that fit.c found against days. w: its share of
 * every cell of cells.h. */
int weigh_days(struct detect *d, struct cohort *all, const struct mixture_row *rows,
	       const uint8_t *holds, const float *w, const struct product *p);

/* days.c: what has to be done when a day is over. */
/* At most about so many sources in one call; `closing` is 0 when it is over. */
int days_close(struct detect *d, uint32_t day, size_t sources);
int days_go_on(struct detect *d, size_t sources);
uint32_t days_of(uint64_t ns);
/* Scores again the clean days that had too few others (ledger.h). */
int days_settle(struct detect *d, const struct cohort_id *key);
/* Days before now that the stack was seen in, by its ledger. */
size_t days_known(const struct detect *d, const struct cohort_id *key);

/* Of the days before this one; newest first. */
size_t days_past(const struct detect *d, const struct record_id *id, struct past out[PAST_DAYS]);
/* A source we know nothing of: its cells of earlier days, from what was written. */
void days_recall(const struct detect *d, struct record *r, const struct record_id *id);

/* fdr.c: the e-value of a cohort just fitted, and whether it is among those rejected
 * together with what the others had last. */
void fdr_reject(struct detect *d, struct cohort_state *state, struct verdict_input *in);

void survey_init(struct survey *y);
void survey_clear(struct survey *y);
int survey_take(struct detect *d);
/* All sources of a cohort that did anything lately, and their features. */
int survey_cohort(const struct detect *d, const struct cohort_id *key, const struct group *g,
		  struct cohort *c, struct mixture_row **rows, uint8_t **holds);

void report_clear(struct report *r);
void report_freep(struct kept_report **k);
/* `before`: of the last look, may be NULL. */
int report_rules(const struct detect *d, const struct cohort_state *state, const struct cohort *all,
		 const struct cohort *members, const struct kept_report *before,
		 double exchanges_in_stack, struct report *r);
/* rotation.c: rules on networks behind those of members, while the plan's precision holds. */
int report_networks(const struct detect *d, uint64_t stack, double strangers, double before,
		    struct report *r);
/* Takes `r` over. */
int report_keep(const struct detect *d, const struct cohort_id *key, const struct group *g,
		const struct cohort_state *state, const struct cohort *members, struct report *r,
		struct kept_report **out);
/* A copy at the end of farms and plan (may be NULL). */
int report_farm(const struct kept_report *k, struct farms *farms, struct plan *plan);

#endif
