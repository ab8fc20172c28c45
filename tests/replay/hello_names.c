/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello_names - the names of recorded ClientHellos, for oracle-hellos.py and others.
 *
 * In:  files, one handshake message each; or "-": lines of standard input, a label
 *      and the message in hex.
 * Out: a line each: file or label, result, JA4, JA3, JA3 text, stack, order, resumed
 *      (1: it offers to); tabs between.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "tls/names.h"

static const char *const results[] = {
#define X(id, name, text) [HELLO_##id] = name,
	HELLO_RESULTS(X)
#undef X
};

static struct namer *namer;
static uint8_t msg[HELLO_MAX + 1];

static void say(const char *label, size_t len)
{
	static const struct secret secret = { .k = { 1, 2, 3, 4 } };
	const struct names *names;
	struct hello h;
	enum hello_result result = namer_parse(namer, msg, len, &secret, 't', &h);

	printf("%s\t%s", label, results[result]);
	if (result == HELLO_OK && !namer_name(namer, msg, len, &h, &names))
		printf("\t%s\t%s\t%s\t%s\t%s\t%d", names->ja4, names->ja3, names->ja3_text,
		       names->stack, names->order, names_resumed(&h));
	putchar('\n');
}

static int say_lines(void)
{
	static char line[2 * HELLO_MAX + 256];

	while (fgets(line, sizeof(line), stdin)) {
		char *hex = strchr(line, ' ');
		size_t len = 0;
		unsigned int byte;

		if (!hex)
			return 1;
		for (*hex++ = '\0'; len < HELLO_MAX && sscanf(hex, "%2x", &byte) == 1; hex += 2)
			msg[len++] = byte;
		say(line, len);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;

	if (namer_new(&namer))
		return 1;
	for (int i = 1; i < argc && !status; i++) {
		_cleanup_(fclosep) FILE *f = NULL;

		if (!strcmp(argv[i], "-")) {
			status = say_lines();
			continue;
		}
		f = fopen(argv[i], "rb");
		if (!f) {
			perror(argv[i]);
			status = 1;
			break;
		}
		say(argv[i], fread(msg, 1, sizeof(msg), f));
	}
	namer_free(namer);
	return status;
}
