/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/fp.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool hex_run(const char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)at[i]) && (at[i] < 'a' || at[i] > 'f'))
			return false;
	return true;
}

/* "", or 4 hex digits and again with a comma between; returns what follows. */
static const char *hex_list(const char *at)
{
	while (hex_run(at, 4)) {
		at += 4;
		if (*at != ',')
			break;
		at++;
	}
	return at;
}

/* t13d1516h2 and the underscore behind it. */
static bool fp_head(const char *s)
{
	if (strnlen(s, 11) < 11 || !strchr("tqd", s[0]) || !strchr("di", s[3]) || s[10] != '_')
		return false;
	if (!isalnum((unsigned char)s[1]) || !isalnum((unsigned char)s[2]))
		return false;
	for (int i = 4; i < 8; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return isalnum((unsigned char)s[8]) && isalnum((unsigned char)s[9]);
}

static bool key_form(const char *text)
{
	return !strncmp(text, "key:", 4) && strlen(text) == 20 && hex_run(text + 4, 16) &&
	       fp_key(text);
}

uint64_t fp_key(const char *text)
{
	return strtoull(text + 4, NULL, 16);
}

enum fp_form fp_form(const char *text)
{
	const char *at;

	if (key_form(text))
		return FP_KEY;
	if (!fp_head(text))
		return FP_NONE;
	at = text + 11;
	if (strlen(at) == 25 && at[12] == '_' && hex_run(at, 12) && hex_run(at + 13, 12))
		return FP_SHORT;
	/* ciphers, extensions, and signature algorithms when there are any */
	at = hex_list(at);
	if (at[-1] == ',' || *at != '_')
		return FP_NONE;
	at = hex_list(at + 1);
	if (at[-1] == ',')
		return FP_NONE;
	if (*at == '_') {
		at = hex_list(at + 1);
		if (at[-1] == ',' || at[-1] == '_')
			return FP_NONE;
	}
	return *at ? FP_NONE : FP_RAW;
}

enum fp_form order_form(const char *text)
{
	const char *at = text;

	if (key_form(text))
		return FP_KEY;
	if (strlen(text) == 12 && hex_run(text, 12))
		return FP_SHORT;
	for (;;) {
		if (!strncmp(at, "GREASE", 6))
			at += 6;
		else if (hex_run(at, 4))
			at += 4;
		else
			return FP_NONE;
		if (*at != ',')
			break;
		at++;
	}
	return *at ? FP_NONE : FP_RAW;
}
