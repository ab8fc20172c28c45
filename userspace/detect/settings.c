/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define DAY (24 * 3600 * NSEC_PER_SEC)

enum kind { DURATION, INSTANT, COUNT, NUMBER, PER_10000 };

struct setting {
	const char *name;
	enum kind kind;
	size_t at;
	double lo, hi; /* of the value as written; durations in ns */
};

#define AT(field) offsetof(struct detect_settings, field)

/* Bounds keep arithmetic sane, not operators wise. */
static const struct setting settings[] = {
	{ "window", DURATION, AT(config.window), NSEC_PER_SEC, 3600e9 },
	{ "baseline", DURATION, AT(baseline), 0, 365.0 * DAY },
	{ "baseline_until", INSTANT, AT(config.baseline_until), 0, 0 },
	{ "horizon", COUNT, AT(config.horizon), 2, 1e6 },
	{ "min_handshakes", COUNT, AT(config.min_handshakes), 1, 5 },
	{ "watch_nats", NUMBER, AT(config.watch_nats), 0, 1e6 },
	{ "min_members", COUNT, AT(config.min_members), 2, 1e6 },
	{ "conceal_bits", NUMBER, AT(config.conceal_bits), 0, 1e3 },
	{ "coordinate_bits", NUMBER, AT(config.coordinate_bits), 0, 1e3 },
	{ "operator_bits", NUMBER, AT(config.operator_bits), 0, 1e3 },
	{ "spread", NUMBER, AT(config.spread), 0, 1 },
	{ "flag_bits", NUMBER, AT(config.flag_bits), -1e3, 1e3 },
	{ "flag_hits", COUNT, AT(config.flag_hits), 1, 31 },
	{ "flag_windows", COUNT, AT(config.flag_windows), 1, 31 },
	{ "retract_windows", COUNT, AT(config.retract_windows), 1, 1e6 },
	{ "unflag_windows", COUNT, AT(config.unflag_windows), 1, 1e6 },
	{ "unflag_bits", NUMBER, AT(config.unflag_bits), -1e3, 1e3 },
	{ "own_sources", COUNT, AT(config.own_sources), 2, 1e6 },
	{ "own_prefixes", COUNT, AT(config.own_prefixes), 1, 1e6 },
	{ "own_windows", COUNT, AT(config.own_windows), 1, 1e6 },
	{ "propose_bits", NUMBER, AT(config.propose_bits), 0, 1e3 },
	{ "posterior", NUMBER, AT(config.posterior), 0.5, 1 },
	{ "precision", NUMBER, AT(config.precision), 0, 1 },
	{ "collateral_all", NUMBER, AT(config.collateral_all), 0, 1 },
	{ "collateral_stack", NUMBER, AT(config.collateral_stack), 0, 1 },
	{ "history_days", COUNT, AT(config.history_days), 0, 365 },
	{ "rule_ttl", DURATION, AT(config.rule_ttl), 60e9, DAY },
	{ "holdout", PER_10000, AT(config.holdout), 0, 0.5 },
};

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

void detect_settings_default(struct detect_settings *s)
{
	*s = (struct detect_settings){ .config = detect_config_default() };
	s->baseline = s->config.baseline_windows * s->config.window;
}

const char *detect_setting_name(size_t i)
{
	return i < N_SETTINGS ? settings[i].name : NULL;
}

static int expected(const struct setting *k, char why[SETTING_WHY])
{
	char lo[DURATION_TEXT], hi[DURATION_TEXT];

	if (k->kind == DURATION)
		snprintf(why, SETTING_WHY, "no duration from %s to %s, like 10s or 15m",
			 duration_text(k->lo, 0, lo), duration_text(k->hi, 0, hi));
	else if (k->kind == INSTANT)
		snprintf(why, SETTING_WHY, "no time like 2026-03-01T12:00:00Z");
	else
		snprintf(why, SETTING_WHY, "no %s from %g to %g",
			 k->kind == COUNT ? "whole number" : "number", k->lo, k->hi);
	return -EINVAL;
}

static int set_number(void *at, const struct setting *k, const char *value, char why[SETTING_WHY])
{
	char *end;
	double v = strtod(value, &end);

	if (end == value || *end || !(v >= k->lo && v <= k->hi))
		return expected(k, why);
	if (k->kind == COUNT && v != floor(v))
		return expected(k, why);
	if (k->kind == COUNT)
		*(uint32_t *)at = v;
	else if (k->kind == PER_10000)
		*(uint16_t *)at = round(v * 10000);
	else
		*(double *)at = v;
	return 0;
}

int detect_setting(struct detect_settings *s, const char *key, const char *value,
		   char why[SETTING_WHY])
{
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *k = &settings[i];
		void *at = (char *)s + k->at;
		uint64_t ns;

		if (strcmp(key, k->name))
			continue;
		if (k->kind == DURATION) {
			if (duration_parse(value, &ns) || ns < k->lo || ns > k->hi)
				return expected(k, why);
			*(uint64_t *)at = ns;
			return 0;
		}
		if (k->kind == INSTANT)
			return time_parse(value, at) ? expected(k, why) : 0;
		return set_number(at, k, value, why);
	}
	return -ENOENT;
}

const char *detect_setting_text(const struct detect_settings *s, size_t i, char out[SETTING_WHY])
{
	const struct setting *k = &settings[i];
	const void *at = (const char *)s + k->at;
	char text[DURATION_TEXT];

	if (k->kind == DURATION)
		snprintf(out, SETTING_WHY, "%s", duration_text(*(const uint64_t *)at, 0, text));
	else if (k->kind == INSTANT)
		out[0] = '\0';
	else if (k->kind == COUNT)
		snprintf(out, SETTING_WHY, "%u", *(const uint32_t *)at);
	else if (k->kind == PER_10000)
		snprintf(out, SETTING_WHY, "%g", *(const uint16_t *)at / 10000.0);
	else
		snprintf(out, SETTING_WHY, "%g", *(const double *)at);
	return out;
}
