/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

size_t text_escape(const void *bytes, size_t len, char *out, size_t size)
{
	const unsigned char *b = bytes;
	size_t n = 0;

	if (!size)
		return 0;
	for (size_t i = 0; i < len; i++) {
		char one[5];
		size_t k;

		if (b[i] == '\\')
			k = snprintf(one, sizeof(one), "\\\\");
		else if (b[i] >= ' ' && b[i] <= '~')
			k = snprintf(one, sizeof(one), "%c", b[i]);
		else
			k = snprintf(one, sizeof(one), "\\x%02x", b[i]);
		if (n + k >= size)
			break;
		memcpy(out + n, one, k);
		n += k;
	}
	out[n] = '\0';
	return n;
}

unsigned int text_distance(const char *a, const char *b)
{
	unsigned int row[64];
	size_t n = strlen(b);

	if (n >= 64)
		return n;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned int best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}
