/* SPDX-License-Identifier: BSD-2-Clause */
/* internal.h - the detector's state, shared by detect.c, survey.c and report.c only. */
#ifndef WINNOW_DETECT_INTERNAL_H
#define WINNOW_DETECT_INTERNAL_H

#include "base/table.h"
#include "detect/baseline.h"
#include "detect/class.h"
#include "detect/collateral.h"
#include "detect/concealment.h"
#include "detect/coordination.h"
#include "detect/detect.h"
#include "detect/dispersion.h"
#include "detect/fidelity.h"
#include "detect/members.h"
#include "detect/mixture.h"
#include "detect/origin.h"
#include "detect/verdict.h"
#include "detect/window.h"

#define TOTALS_KEPT 120 /* windows */

struct cohort_id {
	uint64_t stack;
	uint64_t service;
};

/* What a cohort's sources did lately, for the cheap first look. */
struct group {
	uint32_t sources, split; /* split: and not already when clean */
	uint32_t first;          /* record, and on by survey.next; NO_RECORD ends */
	double exchanges;
};

#define NO_RECORD UINT32_MAX

/* One look at every record, for all cohorts of a window. */
struct survey {
	struct delays *delays; /* by record */
	uint32_t *next;
	struct table split;  /* struct source_id -> u32 split stacks of the address */
	struct table groups; /* struct cohort_id -> struct group */
	double exchanges;
};

struct cohort_state {
	struct verdict verdict;
	uint32_t id;
	uint64_t onset, exchanges_before_flag;
	double totals[TOTALS_KEPT];
	size_t n_totals;
	struct mixture_component component;
	struct fact fact[FACT_MAX];
	double mean;
	struct origin origin;
	struct judgement judgement;
	char gate[256];
};

struct detect {
	struct detect_config config;
	struct windows windows;
	struct baseline baseline;
	struct fidelity fidelity;
	struct table cohorts; /* struct cohort_id -> struct cohort_state */
	struct losses losses;
	uint32_t ids;
};

/* The rules a cohort's members would get; farm indices still unset. */
struct report {
	struct plan_rule *rules;
	size_t n_rules;
	struct plan_spared *spared;
	size_t n_spared;
	struct plan_collateral collateral;
	double stops;
};

/* Cleared by survey_clear() also when it failed. */
int survey_take(const struct detect *d, struct survey *y);
void survey_clear(struct survey *y);
/* All sources of a cohort that did anything lately, and their features. */
int survey_cohort(const struct detect *d, const struct survey *y, const struct cohort_id *key,
		  const struct group *g, struct cohort *c, struct mixture_row **rows,
		  uint8_t **holds);

void report_clear(struct report *r);
int report_rules(const struct detect *d, const struct cohort *all, const struct cohort *members,
		 double exchanges, double exchanges_in_stack, struct report *r);
int report_farm(const struct detect *d, const struct cohort_id *key, const struct group *g,
		const struct cohort_state *state, const struct cohort *members,
		const struct report *r, struct farms *farms, struct plan *plan);

#endif
