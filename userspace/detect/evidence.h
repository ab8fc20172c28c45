/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evidence.h - one number about a cohort, how sure it is, and what it stands on.
 */
#ifndef WINNOW_DETECT_EVIDENCE_H
#define WINNOW_DETECT_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/farm.h"

struct fact {
	bool known;
	double x;             /* in the unit its module names */
	double se;            /* standard error of x */
	double n;             /* what was counted */
	char text[FACT_TEXT]; /* the counts, for the operator */
};

#endif
