/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <stdio.h>
#include <string.h>

/* One per process, as libbpf's callback is. The verifier's log comes as one
 * message; only its end matters. */
static char said[2048];
static char extack[256];

static void trim(char *s)
{
	size_t n = strlen(s);

	while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
		s[--n] = '\0';
}

static int listen(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	static const char mark[] = "Kernel error message: ";
	char line[2048];
	const char *at;

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	trim(line);
	at = strstr(line, mark);
	if (at)
		snprintf(extack, sizeof(extack), "%s", at + strlen(mark));
	if (strncmp(line, "libbpf: ", 8) == 0)
		memmove(line, line + 8, strlen(line + 8) + 1);
	if (line[0])
		memcpy(said, line, sizeof(said));
	return 0;
}

void message_listen(void)
{
	libbpf_set_print(listen);
}

void message_clear(void)
{
	said[0] = '\0';
	extack[0] = '\0';
}

const char *message_extack(void)
{
	return extack[0] ? extack : NULL;
}

const char *message_last(void)
{
	const char *at = strrchr(said, '\n');

	return at ? at + 1 : said;
}
