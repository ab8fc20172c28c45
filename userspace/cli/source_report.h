/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source_report.h - what the rows of one source say, for a person.
 */
#ifndef WINNOW_CLI_SOURCE_REPORT_H
#define WINNOW_CLI_SOURCE_REPORT_H

#include <stdio.h>

#include <jansson.h>

/* Median of the last D*, us; null: none. Full and resumed handshakes are two
 * populations: of the full ones where there are any. A new reference. */
json_t *source_dstar(const json_t *row);

/* For each row its SYN signature, the D1 x D* table and the gaps between exchanges. */
void source_report(FILE *out, const json_t *rows);

#endif
