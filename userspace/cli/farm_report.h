/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * farm_report.h - one farm told to a person: what was seen, what it is measured
 * against, what rules that out, what would be left without each kind of evidence,
 * and what the plan would hit.
 *
 * In: a farm of winnow.farms/1 and the farm of winnow.plan/1 (NULL: no plan).
 */
#ifndef WINNOW_CLI_FARM_REPORT_H
#define WINNOW_CLI_FARM_REPORT_H

#include <stdio.h>

#include <jansson.h>

void farm_report(FILE *out, const json_t *farm, const json_t *plan);

/* The farm of that id in a winnow.plan/1; NULL: none. */
const json_t *plan_of_farm(const json_t *plan, const char *id);

/* Sum of a count over the farm's members. */
json_int_t farm_sum(const json_t *farm, const char *count);

/* What no list of farms shows. */
void farm_report_blind(FILE *out);

#endif
