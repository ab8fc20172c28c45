/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/time.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct unit {
	const char *name;
	uint64_t ns;
	bool written; /* by duration_text() */
} units[] = {
	{ "w", 7 * NSEC_PER_DAY, false },   { "d", NSEC_PER_DAY, true },
	{ "h", 3600 * NSEC_PER_SEC, true }, { "m", 60 * NSEC_PER_SEC, true },
	{ "s", NSEC_PER_SEC, true },        { "ms", NSEC_PER_MSEC, true },
};
#define N_UNITS (sizeof(units) / sizeof(units[0]))

const char *time_text(uint64_t ns, unsigned int digits, char out[TIME_TEXT])
{
	time_t s = ns / NSEC_PER_SEC;
	char fraction[16] = "";
	struct tm tm;
	size_t n;

	if (digits > 9)
		digits = 9;
	if (digits) {
		snprintf(fraction, sizeof(fraction), ".%09u", (unsigned int)(ns % NSEC_PER_SEC));
		fraction[1 + digits] = '\0';
	}
	gmtime_r(&s, &tm);
	n = strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIME_TEXT - n, "%sZ", fraction);
	return out;
}

/* Exactly `n` digits at *at, between lo and hi. */
static bool number(const char **at, int n, int lo, int hi, int *out)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)(*at)[i]))
			return false;
		value = 10 * value + ((*at)[i] - '0');
	}
	*at += n;
	*out = value;
	return value >= lo && value <= hi;
}

static bool literal(const char **at, char c)
{
	if (toupper((unsigned char)**at) != c)
		return false;
	(*at)++;
	return true;
}

static int days_in(int month, int year)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* "Z" or "+hh:mm", in seconds east of Greenwich. */
static bool offset(const char **at, int *seconds)
{
	int sign = **at == '-' ? -1 : 1, h, m;

	*seconds = 0;
	if (literal(at, 'Z'))
		return true;
	if (**at != '+' && **at != '-')
		return false;
	(*at)++;
	if (!number(at, 2, 0, 23, &h) || !literal(at, ':') || !number(at, 2, 0, 59, &m))
		return false;
	*seconds = sign * (3600 * h + 60 * m);
	return true;
}

int time_parse(const char *text, uint64_t *ns)
{
	uint64_t fraction = 0, place = NSEC_PER_SEC;
	struct tm tm = {};
	const char *at = text;
	int year, month, east;
	time_t s;

	if (!number(&at, 4, 0, 9999, &year) || !literal(&at, '-') ||
	    !number(&at, 2, 1, 12, &month) || !literal(&at, '-') ||
	    !number(&at, 2, 1, days_in(month, year), &tm.tm_mday))
		return -EINVAL;
	/* RFC 3339 lets people write a space for the T. */
	if (*at == ' ')
		at++;
	else if (!literal(&at, 'T'))
		return -EINVAL;
	if (!number(&at, 2, 0, 23, &tm.tm_hour) || !literal(&at, ':') ||
	    !number(&at, 2, 0, 59, &tm.tm_min) || !literal(&at, ':') ||
	    !number(&at, 2, 0, 60, &tm.tm_sec))
		return -EINVAL;
	if (literal(&at, '.')) {
		if (!isdigit((unsigned char)*at))
			return -EINVAL;
		for (; isdigit((unsigned char)*at); at++) {
			place /= 10;
			fraction += place * (*at - '0');
		}
	}
	if (!offset(&at, &east) || *at)
		return -EINVAL;

	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	s = timegm(&tm) - east;
	if (s < 0 || (uint64_t)s >= UINT64_MAX / NSEC_PER_SEC)
		return -ERANGE;
	*ns = s * NSEC_PER_SEC + fraction;
	return 0;
}

/* The unit named at *at from `first` on, or NULL. */
static const struct unit *unit_named(const char **at, size_t first)
{
	size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = first; i < N_UNITS; i++) {
		if (strlen(units[i].name) == len && !strncmp(units[i].name, *at, len)) {
			*at += len;
			return &units[i];
		}
	}
	return NULL;
}

int duration_parse(const char *text, uint64_t *ns)
{
	uint64_t sum = 0, value, part;
	const char *at = text;
	size_t first = 0;

	do {
		const struct unit *u;
		bool over = false;

		if (!isdigit((unsigned char)*at))
			return -EINVAL;
		for (value = 0; isdigit((unsigned char)*at); at++) {
			over |= __builtin_mul_overflow(value, 10, &value);
			over |= __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
		}
		u = unit_named(&at, first);
		if (!u)
			return -EINVAL;
		over |= __builtin_mul_overflow(value, u->ns, &part);
		over |= __builtin_add_overflow(sum, part, &sum);
		if (over)
			return -ERANGE;
		first = u - units + 1;
	} while (*at);
	*ns = sum;
	return 0;
}

const char *duration_text(uint64_t ns, unsigned int most, char out[DURATION_TEXT])
{
	size_t n = 0;

	if (!most)
		most = N_UNITS;
	for (size_t i = 0; i < N_UNITS && most; i++) {
		if (!units[i].written || (!n && ns < units[i].ns))
			continue;
		if (ns >= units[i].ns)
			n += snprintf(out + n, DURATION_TEXT - n, "%llu%s",
				      (unsigned long long)(ns / units[i].ns), units[i].name);
		ns %= units[i].ns;
		most--;
	}
	if (!n)
		snprintf(out, DURATION_TEXT, "0s");
	return out;
}
