/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/units.h"

#include <stdio.h>

const char *bytes_text(uint64_t n, char out[UNIT_TEXT])
{
	static const char unit[] = "kMGTPE";
	double v = (double)n;
	int i = -1;

	/* 999.95 would print as 1000.0 */
	while (v >= (i < 0 ? 1000 : 999.5) && i < 5) {
		v /= 1000;
		i++;
	}
	if (i < 0)
		snprintf(out, UNIT_TEXT, "%llu", (unsigned long long)n);
	else
		snprintf(out, UNIT_TEXT, v < 9.95 ? "%.1f%c" : "%.0f%c", v, unit[i]);
	return out;
}

const char *count_text(uint64_t n, char out[UNIT_TEXT])
{
	char digits[UNIT_TEXT];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *p = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return out;
}

const char *ms_text(double us, char out[UNIT_TEXT])
{
	snprintf(out, UNIT_TEXT, us < 99950 ? "%.1fms" : "%.0fms", us / 1000);
	return out;
}
