/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files, written here byte by byte. Fault 84. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <byteswap.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kern/capture.h"

#define LINK_ETHERNET 1
#define LINK_NULL     0
#define LINK_RAW      101
#define LINK_LOOP     108
#define LINK_SLL      113
#define LINK_SLL2     276
#define LINK_IPV4     228
#define LINK_IPV6     229
#define LINK_WIFI     105

static char path[] = "/tmp/winnow-test-capture.XXXXXX";
static FILE *file;
static bool swapped; /* blocks in the other byte order */

static void u16(uint16_t v)
{
	fwrite(&v, 2, 1, file);
}

static void u32(uint32_t v)
{
	fwrite(&v, 4, 1, file);
}

static void begin(void)
{
	file = fopen(path, "wb");
	assert_non_null(file);
}

static void pcap_header(uint32_t magic, uint32_t snaplen, uint32_t link)
{
	begin();
	u32(magic);
	u16(2);
	u16(4);
	u32(0);
	u32(0);
	u32(snaplen);
	u32(link);
}

static void packet(uint32_t s, uint32_t frac, const void *b, uint32_t caplen, uint32_t len)
{
	u32(s);
	u32(frac);
	u32(caplen);
	u32(len);
	fwrite(b, 1, caplen, file);
}

static struct capture *opened(void)
{
	struct capture *c = NULL;
	struct reason r = {};

	fclose(file);
	if (capture_open(path, &c, &r))
		fail_msg("%s", r.text);
	return c;
}

static int open_error(struct reason *r)
{
	struct capture *c = NULL;

	fclose(file);
	return capture_open(path, &c, r);
}

static const uint8_t ip4[] = { 0x45, 0, 0, 20, 1, 2, 3, 4 }, ip6[] = { 0x60, 0, 0, 0, 5, 6, 7, 8 };

/* One frame of that link type: header, then an IP packet. */
static void converts(uint32_t link, const char *head, size_t head_len, const uint8_t ip[8],
		     uint16_t ethertype)
{
	struct capture_frame f;
	struct reason r = {};
	uint8_t b[64] = {};
	struct capture *c;

	memcpy(b, head, head_len);
	memcpy(b + head_len, ip, 8);
	pcap_header(0xa1b2c3d4, 65535, link);
	packet(1, 0, b, head_len + 8, head_len + 1400);
	c = opened();
	assert_int_equal(capture_next(c, &f, &r), CAPTURE_FRAME);
	assert_int_equal(f.len, 14 + 8);
	assert_int_equal(f.wire_len, 14 + 1400);
	assert_int_equal(f.data[12] << 8 | f.data[13], ethertype);
	assert_memory_equal(f.data + 14, ip, 8);
	assert_int_equal(capture_next(c, &f, &r), CAPTURE_END);
	capture_free(c);
}

static void every_link_type_becomes_ethernet(void **state)
{
	(void)state;
	converts(LINK_ETHERNET,
		 "dddddd"
		 "ssssss"
		 "\x08\x00",
		 14, ip4, 0x0800);
	converts(LINK_RAW, "", 0, ip4, 0x0800);
	converts(LINK_RAW, "", 0, ip6, 0x86dd);
	converts(12, "", 0, ip6, 0x86dd); /* DLT_RAW written as itself */
	converts(LINK_IPV4, "", 0, ip4, 0x0800);
	converts(LINK_IPV6, "", 0, ip6, 0x86dd);
	converts(LINK_NULL, "\x02\0\0\0", 4, ip4, 0x0800);
	converts(LINK_NULL, "\0\0\0\x02", 4, ip4, 0x0800);
	converts(LINK_NULL, "\x1e\0\0\0", 4, ip6, 0x86dd);
	converts(LINK_NULL, "\0\0\0\x1c", 4, ip6, 0x86dd);
	converts(LINK_NULL, "\x18\0\0\0", 4, ip6, 0x86dd);
	converts(LINK_NULL, "\x0a\0\0\0", 4, ip6, 0x86dd);
	converts(LINK_LOOP, "\0\0\0\x02", 4, ip4, 0x0800);
	converts(LINK_LOOP, "\0\0\0\x18", 4, ip6, 0x86dd);
	converts(LINK_SLL, "\0\0\0\1\0\6ssssss\0\0\x08\x00", 16, ip4, 0x0800);
	converts(LINK_SLL, "\0\4\3\4\0\6ssssss\0\0\x86\xdd", 16, ip6, 0x86dd);
	converts(LINK_SLL2, "\x08\x00\0\0\0\0\0\2\0\1\0\6ssssss\0\0", 20, ip4, 0x0800);
	converts(LINK_SLL2, "\x86\xdd\0\0\0\0\0\2\0\1\4\6ssssss\0\0", 20, ip6, 0x86dd);
}

static void a_frame_cut_inside_the_link_header_has_no_protocol(void **state)
{
	struct capture_frame f;
	struct capture *c;

	(void)state;
	pcap_header(0xa1b2c3d4, 10, LINK_SLL2);
	packet(1, 0, "0123456789", 10, 100);
	c = opened();
	assert_int_equal(capture_next(c, &f, NULL), CAPTURE_FRAME);
	assert_int_equal(f.len, 14);
	assert_int_equal(f.data[12] << 8 | f.data[13], 0);
	capture_free(c);
}

static uint64_t first_time(void)
{
	struct capture *c = opened();
	struct capture_frame f;

	assert_int_equal(capture_next(c, &f, NULL), CAPTURE_FRAME);
	capture_free(c);
	return f.time_ns;
}

static void block(uint32_t type, const void *body, uint32_t len)
{
	const uint32_t *word = body;

	u32(swapped ? __builtin_bswap32(type) : type);
	u32(swapped ? __builtin_bswap32(len + 12) : len + 12);
	for (uint32_t i = 0; i < len / 4; i++)
		u32(swapped ? __builtin_bswap32(word[i]) : word[i]);
	u32(swapped ? __builtin_bswap32(len + 12) : len + 12);
}

/* Section header, one interface with if_tsresol 10^-9, one enhanced packet. */
static void pcapng(uint32_t links[], int n_links)
{
	static const uint32_t section[] = { 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff };
	uint64_t t = 1700000000123456789ULL;

	begin();
	block(0x0a0d0d0a, section, sizeof(section));
	for (int i = 0; i < n_links; i++) {
		uint32_t interface[] = { links[i], 65535, 1 << 16 | 9, 9, 0 };

		block(1, interface, sizeof(interface));
	}
	for (int i = 0; i < n_links; i++) {
		uint32_t body[] = { i, t >> 32, t, 16, 16, 0, 0, 0, 0x00080000, 0 };

		block(6, body, sizeof(body) - 4);
	}
}

static void times_are_exact_in_every_format(void **state)
{
	uint8_t b[14] = {};

	(void)state;
	pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
	packet(1700000000, 123456, b, 14, 14);
	assert_int_equal(first_time(), 1700000000123456000ULL);
	pcap_header(0xa1b23c4d, 65535, LINK_ETHERNET);
	packet(1700000000, 123456789, b, 14, 14);
	assert_int_equal(first_time(), 1700000000123456789ULL);
	pcapng((uint32_t[]){ LINK_ETHERNET }, 1);
	assert_int_equal(first_time(), 1700000000123456789ULL);
}

static void a_snaplen_of_96_is_told_in_each_frame(void **state)
{
	uint8_t b[96] = {};
	struct capture_frame f;
	struct capture *c;

	(void)state;
	pcap_header(0xa1b2c3d4, 96, LINK_ETHERNET);
	packet(1, 0, b, 96, 1514);
	packet(1, 0, b, 60, 60);
	c = opened();
	assert_int_equal(capture_next(c, &f, NULL), CAPTURE_FRAME);
	assert_int_equal(f.len, 96);
	assert_int_equal(f.wire_len, 1514);
	assert_int_equal(capture_next(c, &f, NULL), CAPTURE_FRAME);
	assert_int_equal(f.wire_len, f.len);
	capture_free(c);
}

static void time_going_back_is_told_once_per_step(void **state)
{
	static const uint32_t seconds[] = { 5, 6, 4, 4, 7 };
	struct capture_frame f;
	struct capture *c;
	uint8_t b[14] = {};

	(void)state;
	pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
	for (int i = 0; i < 5; i++)
		packet(seconds[i], 0, b, 14, 14);
	c = opened();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(capture_next(c, &f, NULL), CAPTURE_FRAME);
		assert_int_equal(f.back, i == 2);
	}
	capture_free(c);
}

/* Cut at every byte: the frames before the cut, then TRUNCATED, or a clean end
 * exactly between two frames. */
static void a_truncated_file_gives_what_is_readable(void **state)
{
	uint8_t b[20] = {};
	const long one = 16 + 20;

	(void)state;
	for (long cut = 24; cut <= 24 + 2 * one; cut++) {
		struct capture_frame f;
		struct reason r = {};
		struct capture *c;
		bool between = (cut - 24) % one == 0;

		pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
		packet(1, 0, b, 20, 20);
		packet(2, 0, b, 20, 20);
		fflush(file);
		assert_int_equal(ftruncate(fileno(file), cut), 0);
		c = opened();
		for (int i = 0; i < (cut - 24) / one; i++)
			assert_int_equal(capture_next(c, &f, &r), CAPTURE_FRAME);
		assert_int_equal(capture_next(c, &f, &r),
				 between ? CAPTURE_END : CAPTURE_TRUNCATED);
		if (!between)
			assert_non_null(strstr(r.text, "truncated"));
		capture_free(c);
	}
}

static void an_impossible_length_is_broken_not_truncated(void **state)
{
	struct capture_frame f;
	struct reason r = {};
	uint8_t b[64] = {};
	struct capture *c;

	(void)state;
	pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
	packet(1, 0, b, 20, 20);
	u32(1);
	u32(0);
	u32(0x7fffffff);
	u32(0x7fffffff);
	fwrite(b, 1, sizeof(b), file);
	c = opened();
	assert_int_equal(capture_next(c, &f, &r), CAPTURE_FRAME);
	assert_int_equal(capture_next(c, &f, &r), CAPTURE_BROKEN);
	capture_free(c);
}

static void what_is_no_capture_is_refused_by_name(void **state)
{
	struct reason r = {};

	(void)state;
	begin();
	assert_int_equal(open_error(&r), -ENODATA);
	assert_non_null(strstr(r.text, "is empty"));

	begin();
	fputs("this is a text file, not a capture, and longer than any header", file);
	assert_int_equal(open_error(&r), -EBADMSG);

	begin();
	fputs("\x1f\x8b\x08 compressed, and long enough for a file header", file);
	assert_int_equal(open_error(&r), -EBADMSG);
	assert_non_null(strstr(r.text, "zcat"));

	pcap_header(0xa1b2c3d4, 65535, LINK_WIFI);
	assert_int_equal(open_error(&r), -EPROTONOSUPPORT);
	assert_non_null(strstr(r.text, "IEEE802_11 (105)"));

	begin();
	unlink(path);
	assert_int_equal(open_error(&r), -ENOENT);
}

/* libpcap reads one link type a file; the second one ends the stream by name. */
/* Several devices at once, each with a bound of its own, in either byte order. */
static void mixed_snaplens_in_pcapng_are_read(void **state)
{
	static const uint32_t snaplens[] = { 262144, 96, 0, 65535 };

	(void)state;
	for (int order = 0; order < 2; order++) {
		struct capture_frame f;
		struct reason r = {};
		struct capture *c;

		const uint32_t version = order ? 1 << 16 : 1; /* two numbers of 16 bits */
		const uint32_t section[] = { 0x1a2b3c4d, version, 0xffffffff, 0xffffffff };

		swapped = order;
		begin();
		block(0x0a0d0d0a, section, sizeof(section));
		for (uint32_t i = 0; i < 4; i++) {
			uint32_t interface[] = { swapped ? LINK_ETHERNET << 16 : LINK_ETHERNET,
						 snaplens[i] };
			uint32_t body[] = { i, 1, 2, 16, 16, 0, 0, 0, i };

			block(1, interface, sizeof(interface));
			block(6, body, sizeof(body));
		}
		swapped = false;
		c = opened();
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(capture_next(c, &f, &r), CAPTURE_FRAME);
		assert_int_equal(f.len, 16);
		assert_int_equal(capture_next(c, &f, &r), CAPTURE_END);
		capture_free(c);
	}
}

static void mixed_link_types_in_pcapng_are_broken(void **state)
{
	struct capture_frame f;
	struct reason r = {};
	struct capture *c = NULL;
	int err, end;

	(void)state;
	pcapng((uint32_t[]){ LINK_ETHERNET, LINK_RAW }, 2);
	fclose(file);
	err = capture_open(path, &c, &r);
	end = err ? CAPTURE_BROKEN : capture_next(c, &f, &r);
	assert_int_equal(end, CAPTURE_BROKEN);
	assert_non_null(strstr(r.text, "type"));
	capture_free(c);
}

static void an_empty_capture_ends_at_once(void **state)
{
	struct capture_frame f;
	struct capture *c;

	(void)state;
	pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
	c = opened();
	assert_int_equal(capture_next(c, &f, NULL), CAPTURE_END);
	capture_free(c);
}

/* The file on standard input, which libpcap reads; a path is read without it. */
static struct capture *opened_by_libpcap(int *saved)
{
	struct capture *c = NULL;
	struct reason r = {};

	*saved = dup(0);
	assert_non_null(freopen(path, "rb", stdin));
	if (capture_open("-", &c, &r))
		fail_msg("%s", r.text);
	return c;
}

static void says_the_same_as_libpcap(void)
{
	struct capture_frame a, b;
	struct reason why_a = {}, why_b = {};
	enum capture_end end;
	struct capture *mine = opened(), *pcap;
	int saved;

	pcap = opened_by_libpcap(&saved);
	do {
		end = capture_next(mine, &a, &why_a);
		assert_int_equal(end, capture_next(pcap, &b, &why_b));
		if (end != CAPTURE_FRAME)
			break;
		assert_int_equal(a.len, b.len);
		assert_int_equal(a.wire_len, b.wire_len);
		assert_int_equal(a.time_ns, b.time_ns);
		assert_int_equal(a.back, b.back);
		assert_memory_equal(a.data, b.data, a.len);
	} while (true);
	assert_string_equal(why_a.text, why_b.text);
	capture_free(mine);
	capture_free(pcap);
	dup2(saved, 0);
	close(saved);
}

static void a_path_is_read_as_libpcap_reads_it(void **state)
{
	static const uint32_t magics[] = { 0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34 };
	static uint8_t b[300000];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = i * 7;
	for (size_t m = 0; m < 3; m++) {
		pcap_header(magics[m], 100, LINK_ETHERNET);
		for (uint32_t i = 0; m < 2 && i < 40; i++) /* some above the snaplen */
			packet(i ^ 3, 999999, b, i * 4, i * 5);
		says_the_same_as_libpcap();
	}
	for (long cut = 0; cut < 140; cut += 3) { /* one frame larger than a piece */
		pcap_header(0xa1b2c3d4, 0, LINK_RAW);
		packet(1, 2, b, 262000, 1 << 20);
		packet(2, 2, b, 100, 100);
		fflush(file);
		assert_int_equal(ftruncate(fileno(file), 24 + 16 + 262000 + 116 - cut), 0);
		says_the_same_as_libpcap();
	}
	pcap_header(0xa1b2c3d4, 65535, LINK_ETHERNET);
	packet(1, 2, b, 262145, 262145);
	says_the_same_as_libpcap();
	pcap_header(0xd4c3b2a1, bswap_32(96), bswap_32(LINK_ETHERNET));
	fseek(file, 4, SEEK_SET);
	u16(bswap_16(2));
	u16(bswap_16(4));
	fseek(file, 0, SEEK_END);
	for (uint32_t i = 0; i < 3; i++) {
		u32(bswap_32(i));
		u32(bswap_32(7 + i));
		u32(bswap_32(95 + i));
		u32(bswap_32(1000));
		fwrite(b, 1, 95 + i, file);
	}
	says_the_same_as_libpcap();
}

/* 256 MiB of frames through a pipe: the reader keeps one of them. */
static void memory_stays_flat_and_standard_input_works(void **state)
{
	struct rusage before, after;
	struct capture_frame f;
	struct capture *c = NULL;
	struct reason r = {};
	uint64_t n = 0, size;
	int pipes[2], saved;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		static uint8_t b[65536];

		close(pipes[0]);
		pcap_header(0xa1b2c3d4, 262144, LINK_ETHERNET);
		fclose(file);
		file = fdopen(pipes[1], "wb");
		u32(0xa1b2c3d4);
		u16(2);
		u16(4);
		u32(0);
		u32(0);
		u32(262144);
		u32(LINK_ETHERNET);
		for (int i = 0; i < 4096; i++)
			packet(i, 0, b, sizeof(b), sizeof(b));
		fclose(file);
		_exit(0);
	}
	close(pipes[1]);
	saved = dup(0);
	assert_int_equal(dup2(pipes[0], 0), 0);
	close(pipes[0]);
	if (capture_open("-", &c, &r))
		fail_msg("%s", r.text);
	assert_int_equal(capture_next(c, &f, &r), CAPTURE_FRAME);
	getrusage(RUSAGE_SELF, &before);
	while (capture_next(c, &f, &r) == CAPTURE_FRAME)
		n++;
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(n, 4095);
	capture_position(c, &size);
	assert_int_equal(size, 0);
	assert_true(after.ru_maxrss - before.ru_maxrss < 1024); /* KiB */
	capture_free(c);
	dup2(saved, 0);
	waitpid(pid, NULL, 0);
}

static int clean(void **state)
{
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_type_becomes_ethernet),
		cmocka_unit_test(a_frame_cut_inside_the_link_header_has_no_protocol),
		cmocka_unit_test(times_are_exact_in_every_format),
		cmocka_unit_test(a_snaplen_of_96_is_told_in_each_frame),
		cmocka_unit_test(time_going_back_is_told_once_per_step),
		cmocka_unit_test(a_truncated_file_gives_what_is_readable),
		cmocka_unit_test(an_impossible_length_is_broken_not_truncated),
		cmocka_unit_test(what_is_no_capture_is_refused_by_name),
		cmocka_unit_test(mixed_snaplens_in_pcapng_are_read),
		cmocka_unit_test(mixed_link_types_in_pcapng_are_broken),
		cmocka_unit_test(an_empty_capture_ends_at_once),
		cmocka_unit_test(a_path_is_read_as_libpcap_reads_it),
		cmocka_unit_test(memory_stays_flat_and_standard_input_works),
	};

	close(mkstemp(path));
	return cmocka_run_group_tests(tests, NULL, clean);
}
