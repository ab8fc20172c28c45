/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp.h - the words that name a fingerprint in a rule.
 *
 *     short  t13d1516h2_8daaf6152771_02713d6af862; an order: 12 hex digits
 *     raw    JA4_r; an order: its extension types, GREASE,001b,0000
 *     key    "key:" and 16 hex digits, for what nobody has named; it means
 *            nothing under another secret
 */
#ifndef WINNOW_MODEL_FP_H
#define WINNOW_MODEL_FP_H

#include <stdint.h>

enum fp_form { FP_NONE, FP_SHORT, FP_RAW, FP_KEY };

/* What a ja4 or stack word, or an order's, looks like; FP_NONE: nothing of that. */
enum fp_form fp_form(const char *text);
enum fp_form order_form(const char *text);
uint64_t fp_key(const char *text); /* of FP_KEY */

#endif
