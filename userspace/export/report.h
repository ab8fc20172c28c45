/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - winnow.report/1 as one HTML file that needs nothing else.
 *
 * The document goes in as JSON, the page draws itself from it. A content security policy
 * lets only the two scripts and the style of this program run, by their hashes, and
 * nothing be fetched: what a stranger put into a name stays text.
 *
 * Errors: -ENOMEM; -EIO: `out` could not be written.
 */
#ifndef WINNOW_EXPORT_REPORT_H
#define WINNOW_EXPORT_REPORT_H

#include <stdio.h>

#include <jansson.h>

int report_write(const json_t *doc, FILE *out);

#endif
