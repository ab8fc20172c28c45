/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event streams (model/event.h): whatever the bytes, the reader ends; what it read as
 * JSON and writes as binary reads back as the same events.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t digest(FILE *in, FILE *copy, uint64_t *sum)
{
	struct event_reader *reader;
	struct event_conn e;
	struct reason r;
	size_t n = 0;

	*sum = 0;
	if (event_open(in, &reader, &r))
		return 0;
	if (copy)
		event_write_magic(copy);
	for (uint32_t given = 0; event_next(reader, &e, &r) == 1; n++) {
		const uint8_t *hello;
		size_t hello_len;

		for (; copy && (hello = event_hello(reader, given, &hello_len)); given++)
			event_write_hello(copy, hello, hello_len);
		e.order &= 0xffffffff; /* all the twin keeps */
		if (copy)
			event_write(copy, &e);
		*sum = *sum * 31 + e.t + e.src.lo + e.hello + e.rtt_us + e.d1_us + e.dstar_us +
		       e.psk + e.order + e.n_exchanges;
		for (size_t i = 0; i < e.n_exchanges; i++)
			*sum = *sum * 31 + e.exchanges[i].dt_ms + e.exchanges[i].out;
	}
	event_close(reader);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t first, second;
	size_t size = 0, n;
	char *bytes = NULL;
	FILE *in, *copy;

	if (!len)
		return 0;
	in = fmemopen((void *)data, len, "r");
	copy = open_memstream(&bytes, &size);
	if (!in || !copy)
		abort();
	n = digest(in, copy, &first);
	fclose(in);
	fclose(copy);
	if (n) {
		in = fmemopen(bytes, size, "r");
		if (!in || digest(in, NULL, &second) != n || first != second)
			__builtin_trap();
		fclose(in);
	}
	free(bytes);
	return 0;
}
