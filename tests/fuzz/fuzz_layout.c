/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loaded program beside the host's reader and parser: a hello, or any bytes, in any
 * layout of records and segments (prog/lib_layout.h). Property: the stream whole, the
 * host over its pieces, the program over its pieces with buffers full of ones and then of
 * the stream itself all give one answer, and the program gives it once.
 *
 * Input: a byte N, a script of N bytes, the message. As root: it loads the programs.
 * Seeds: tests/fuzz/corpus/layout. Faults 22, 24, 25, 28, 32-34, 36, 100.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../prog/lib_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct layout l;
static struct layout_answer a;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct bench *b;
	const char *wrong;
	size_t script;

	if (!b && !(b = bench_open(&(struct bench_sizes){ .reassembly = 1 })))
		abort();
	if (len < 2 || len > HELLO_BYTES)
		return 0;
	script = data[0];
	if (script > len - 1)
		script = len - 1;
	layout_make(&l, data + 1, script, data + 1 + script, len - 1 - script);
	if (!l.len)
		return 0;
	wrong = layout_check(b, &l, &a);
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		__builtin_trap();
	}
	return 0;
}
