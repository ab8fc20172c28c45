/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames through the loaded program without a device. Faults 1, 18, 21, 64, 68. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include "kern/internal.h"
#include "kern/replay.h"
#include "lib_kern.h"

static struct kern *opened(void)
{
	struct kern_config c = lab_config(NULL, true);
	struct kern *k = NULL;
	struct reason r;

	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	return k;
}

/* 1 */
static void frames_shorter_than_a_header_pass_and_are_counted(void **state)
{
	uint64_t before[COUNTER_MAX], after[COUNTER_MAX];
	uint8_t frame[14] = {};
	uint32_t verdict;
	struct kern *k;

	need_lab();
	k = opened();
	assert_int_equal(kern_counters(k, before), 0);
	for (size_t len = 0; len < 14; len++) {
		verdict = XDP_DROP;
		assert_int_equal(kern_feed(k, 1, frame, len, len & 1, &verdict), 0);
		assert_int_equal(verdict, XDP_PASS);
	}
	assert_int_equal(kern_counters(k, after), 0);
	assert_int_equal(after[COUNTER_PARSE_SHORT] - before[COUNTER_PARSE_SHORT], 14);
	assert_int_equal(after[COUNTER_PACKETS] - before[COUNTER_PACKETS], 14);
	assert_int_equal(after[COUNTER_BYTES] - before[COUNTER_BYTES], 91);
	kern_free(k);
}

/* 18, 21: beyond one page the frame is a multi-buffer one. */
static void frames_up_to_64_kib_pass_both_programs(void **state)
{
	static const size_t lens[] = { 14, 60, 1514, 3500, 4096, 9014, 20000, 65549 };
	uint8_t *frame = calloc(1, 65549);
	uint32_t verdict;
	struct kern *k;

	need_lab();
	k = opened();
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (int egress = 0; egress < 2; egress++) {
			int err = kern_feed(k, 1, frame, lens[i], egress, &verdict);

			if (err)
				fail_msg("%zu bytes, egress %d: %d", lens[i], egress, err);
			assert_int_equal(verdict, XDP_PASS);
		}
	}
	kern_free(k);
	free(frame);
}

static void count_hello(void *ctx, const struct replay_hello *h)
{
	++*(int *)ctx;
	assert_non_null(h->handshake);
}

/* The programs find their rows with a mask that must fit the table they got. */
static void a_capture_ends_in_the_tally_table_whatever_its_size(void **state)
{
	static const uint32_t rows[] = { 8, 64, 4096, 262144 };

	need_lab();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct replay_config c = { .kern = lab_config(NULL, true), .hello = count_hello };
		const struct tally_set *sets;
		struct capture *capture = NULL;
		struct replay *p = NULL;
		struct reason r = {};
		int hellos = 0, used = 0;
		size_t n;

		c.kern.tallies = c.kern.orders = c.kern.flows = c.kern.handshakes = rows[i];
		c.ports.tcp[443 / 64] = 1ULL << 443 % 64;
		c.ctx = &hellos;
		if (capture_open("tests/replay/resumed.pcap", &capture, &r) ||
		    replay_new(&c, &p, &r))
			fail_msg("%s", r.text);
		assert_int_equal(replay_run(p, capture, &r), REPLAY_DONE);
		assert_int_equal(hellos, 2);
		sets = kern_tallies(replay_kern(p), &n);
		assert_int_equal(n, rows[i] / WAYS);
		for (size_t s = 0; s < n; s++)
			for (int w = 0; w < WAYS; w++)
				if (sets[s].tag[w])
					used += sets[s].slot[w].connections;
		assert_int_equal(used, 2);
		replay_free(p);
		capture_free(capture);
	}
}

static void the_verifier_numbers_are_there(void **state)
{
	uint32_t xdp = 0, egress = 0, none;
	struct kern *k;

	need_lab();
	k = opened();
	assert_int_equal(kern_verifier_instructions(k, "winnow_xdp", &xdp), 0);
	assert_int_equal(kern_verifier_instructions(k, "winnow_egress", &egress), 0);
	print_message("verified: winnow_xdp %u, winnow_egress %u\n", xdp, egress);
	assert_true(xdp && egress);
	assert_int_not_equal(kern_verifier_instructions(k, "nosuch", &none), 0);
	kern_free(k);
}

/* 64: the words are real drivers' (ena, ixgbe, mlx5, virtio_net, veth). */
static void each_drivers_refusal_has_a_remedy(void **state)
{
	static const struct {
		const char *said;
		int err;
		const char *remedy;
	} refusals[] = {
		{ "Failed to set xdp program, the Rx/Tx channel count should be at most half of "
		  "the maximum allowed channel count",
		  -22, "fewer channels: ethtool -L e0 combined N, or --mode generic" },
		{ "XDP is not supported with LRO", -22,
		  "ethtool -K e0 lro off, or --mode generic" },
		{ "Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first",
		  -95, "ethtool -K e0 rx-gro-hw off, or --mode generic" },
		{ "Peer MTU is too large to set XDP", -34,
		  "ip link set e0 mtu 1500, or --mode generic" },
		{ NULL, -34, "ip link set e0 mtu 1500, or --mode generic" },
		{ NULL, -95, "--mode generic" },
	};
	char remedy[128];

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		attach_remedy("e0", refusals[i].said, refusals[i].err, remedy, sizeof(remedy));
		assert_string_equal(remedy, refusals[i].remedy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_shorter_than_a_header_pass_and_are_counted),
		cmocka_unit_test(frames_up_to_64_kib_pass_both_programs),
		cmocka_unit_test(a_capture_ends_in_the_tally_table_whatever_its_size),
		cmocka_unit_test(the_verifier_numbers_are_there),
		cmocka_unit_test(each_drivers_refusal_has_a_remedy),
	};

	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
