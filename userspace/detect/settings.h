/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.h - the [detect] section: the numbers of config.h by their names.
 *
 * Keys are the names of the fields. Two are not fields as they stand: `baseline`,
 * a duration of clean traffic from the first look on (whoever looks makes it
 * config.baseline_until), and `baseline_until`, an RFC 3339 time instead.
 *
 * In:     text as an ini file has it.
 * Errors: -ENOENT: no such key; -EINVAL: `why` says what was expected.
 */
#ifndef WINNOW_DETECT_SETTINGS_H
#define WINNOW_DETECT_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "detect/config.h"

#define SETTING_WHY 160

struct detect_settings {
	struct detect_config config;
	uint64_t baseline; /* ns; used where config.baseline_until is 0 */
};

void detect_settings_default(struct detect_settings *s);
int detect_setting(struct detect_settings *s, const char *key, const char *value,
		   char why[SETTING_WHY]);

/* The i-th key, NULL behind the last. */
const char *detect_setting_name(size_t i);
/* Its value as one would write it. */
const char *detect_setting_text(const struct detect_settings *s, size_t i, char out[SETTING_WHY]);

#endif
