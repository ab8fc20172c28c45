/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * standing.h - rules on sources that are quiet now.
 *
 * The view is of the last horizon or up to a quarter less (window.h), a rule is for up to
 * a day after its source was last judged. Who was still for that long has not become
 * innocent: his rule stays in the plan, as it was, until it expires. Who is in the view is
 * judged by what he shows there.
 *
 * In:     before: the rules of the last look at this cohort; all: its sources in view.
 * Out:    added to r's, which has room for them.
 * Errors: -ENOMEM.
 */
#ifndef WINNOW_DETECT_STANDING_H
#define WINNOW_DETECT_STANDING_H

#include "model/cohort.h"
#include "model/plan.h"

int standing_add(const struct plan_rule *before, size_t n_before, const struct cohort *all,
		 uint64_t now, struct plan_rule *rules, size_t *n);

#endif
