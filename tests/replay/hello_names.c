/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello_names - the names of recorded ClientHellos, for oracle-hellos.py.
 *
 * In:  files, one handshake message each.
 * Out: a line each: file, result, JA4, JA3, JA3 text, stack, order; tabs between.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "tls/names.h"

static const char *const results[] = {
#define X(id, name, text) [HELLO_##id] = name,
	HELLO_RESULTS(X)
#undef X
};

int main(int argc, char **argv)
{
	static const struct secret secret = { .k = { 1, 2, 3, 4 } };
	static uint8_t msg[HELLO_MAX + 1];
	_cleanup_(namer_freep) struct namer *namer = NULL;

	if (namer_new(&namer))
		return 1;
	for (int i = 1; i < argc; i++) {
		_cleanup_(fclosep) FILE *f = fopen(argv[i], "rb");
		const struct names *names;
		enum hello_result result;
		struct hello h;
		size_t len;

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		len = fread(msg, 1, sizeof(msg), f);
		result = namer_parse(namer, msg, len, &secret, 't', &h);
		printf("%s\t%s", argv[i], results[result]);
		if (result == HELLO_OK && !namer_name(namer, msg, len, &h, &names))
			printf("\t%s\t%s\t%s\t%s\t%s", names->ja4, names->ja3, names->ja3_text,
			       names->stack, names->order);
		putchar('\n');
	}
	return 0;
}
