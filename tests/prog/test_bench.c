/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other program tests stand on: frames as a kernel would send them, and
 * one connection from its SYN to its second flight. */
#include <string.h>

#include "lib_bench.h"

static void frames_have_valid_checksums(void **state)
{
	static struct frame f;
	struct path p[] = { path_v4(1, 1000), path_v4(1, 1000), path_v6(1, 1000) };

	(void)state;
	p[1].ip_options = 40;
	p[1].tags = 2;
	for (size_t i = 0; i < 3; i++)
		for (size_t len = 0; len < 4; len++) {
			frame_tcp(&f, &p[i], false,
				  &(struct segment){
					  .seq = 1, .flags = SYN, .data = "abc", .len = len });
			if (i < 2)
				assert_int_equal(frame_ip_error(&f), 0);
			assert_int_equal(frame_tcp_error(&f, &p[i], false), 0);
			f.b[f.l4]++;
			assert_int_not_equal(frame_tcp_error(&f, &p[i], false), 0);
		}
}

static void a_whole_connection_is_one_row_with_its_bytes_and_times(void **state)
{
	struct bench *b = bench_of(state);
	struct path paths[] = { path_v4(7, 40000), path_v6(7, 40000) };
	struct bytes msg;
	struct hello keys;

	hello_build(&msg, &(struct hello_spec){});
	keys = bench_keys(b, &msg);
	assert_int_not_equal(keys.stack_key, 0);
	for (size_t i = 0; i < 2; i++) {
		const struct tally_row *t;
		struct conn c;

		bench_mark(b);
		conn_whole(&c, b, &paths[i], &msg);
		t = bench_tally(b, &paths[i], keys.stack_key);
		assert_non_null(t);
		assert_int_equal(t->connections, 1);
		assert_int_equal(t->exchanges, 0);
		assert_int_equal(t->bytes_in, msg.len + 5 + 64);
		assert_int_equal(t->bytes_out, 3000);
		assert_int_equal(t->rtt_min, 200);
		assert_int_equal(t->d1dstar[0], 1);
		assert_int_equal(t->dstar[0], 10);
		assert_int_equal(bench_tallies(b), i + 1);
		assert_int_equal(bench_flows(b), i + 1);
		expect_count(b, SYN, 1);
		expect_count(b, SYNACK, 1);
		expect_count(b, CONN_PROVED, 1);
		expect_count(b, HELLO_PROVED, 1);
		expect_count(b, HELLO_OK, 1);
		expect_count(b, PASS, 5);
		bench_events(b);
		assert_int_equal(b->hello.n, i + 1);
		assert_int_equal(b->hello.e.hello.ja4_key, keys.ja4_key);
		assert_int_equal(b->handshake.n, i + 1);
		assert_int_equal(b->handshake.e.rtt_us, 20000);
		assert_int_equal(b->handshake.e.d1_us, 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_have_valid_checksums),
		cmocka_unit_test_setup_teardown(
			a_whole_connection_is_one_row_with_its_bytes_and_times, bench_setup,
			bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
