/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * units.h - amounts as people read them. Machines get the plain numbers.
 */
#ifndef WINNOW_CLI_UNITS_H
#define WINNOW_CLI_UNITS_H

#include <stdint.h>

#define UNIT_TEXT 32 /* room for any of these */

const char *bytes_text(uint64_t n, char out[UNIT_TEXT]); /* "1.2M", steps of 1000 */
const char *count_text(uint64_t n, char out[UNIT_TEXT]); /* "1,234,567" */
const char *ms_text(double us, char out[UNIT_TEXT]);     /* "12.3ms" */

#endif
