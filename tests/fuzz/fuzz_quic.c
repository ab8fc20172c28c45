/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QUIC Initials: any datagram as it is, and any bytes as the frames of an authentic
 * one. Properties: no read outside (sanitizers); what is not authentic changes
 * nothing; a complete hello lies inside the bytes that were received; the same
 * datagram again changes nothing.
 *
 * Seeds: tests/fuzz/corpus/quic and tests/data/quic. Fault 100.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/lib_quic.c"

#define check(condition)                  \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

static struct quic_opener *opener;
static struct quic_hello hello, before;

static void add_twice(const uint8_t *datagram, size_t len)
{
	enum quic_result r;

	before = hello;
	r = quic_hello_add(opener, &hello, datagram, len);
	if (r == QUIC_NOT_AUTHENTIC || r == QUIC_BAD_VERSION || r == QUIC_NOT_INITIAL) {
		check(hello.keyed == before.keyed && hello.have == before.have);
		check(!memcmp(hello.seen, before.seen, sizeof(hello.seen)));
	}
	check(hello.have >= before.have && hello.have <= HELLO_MAX);
	if (r != QUIC_COMPLETE && r != QUIC_MORE)
		return;
	check(r == QUIC_MORE || (hello.len >= 4 && hello.len <= hello.have));
	before = hello;
	check(quic_hello_add(opener, &hello, datagram, len) == r);
	check(hello.have == before.have && !memcmp(hello.bytes, before.bytes, HELLO_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct frames f = { 0 };
	struct datagram d = { 0 };

	if (!opener && quic_opener_new(&opener))
		abort();
	memset(&hello, 0, sizeof(hello));
	add_twice(data, len);

	/* keys of nobody: the helper seals with what the hello holds */
	memset(&hello, 0, sizeof(hello));
	hello.keyed = true;
	hello.version = QUIC_V1;
	while (len) {
		size_t n = len < 300 ? len : 300;

		f.len = d.len = 0;
		memcpy(f.b, data, n);
		f.len = n;
		frames_fill(&f, 0, 16);
		initial_append(&d, &hello, 0, "", &f);
		add_twice(d.b, d.len);
		data += n;
		len -= n;
	}
	return 0;
}
