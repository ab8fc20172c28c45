/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs cost the verifier of this kernel. Fault 71. $WINNOW_OBJECT names
 * an object that another compiler made; it must load too, and every program of it stay
 * under $VERIFIER_MAX instructions. */
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib_bench.h"

#define INSTRUCTIONS_MAX 200000

static void every_program_stays_under_its_bound(void **state)
{
	static const char *const programs[] = { "winnow_xdp", "winnow_egress", "winnow_ingress" };
	struct bench *b = bench_of(state);

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		uint32_t n = 0;

		assert_int_equal(kern_verifier_instructions(b->k, programs[i], &n), 0);
		print_message("%s: %u instructions\n", programs[i], n);
		assert_in_range(n, 1, INSTRUCTIONS_MAX - 1);
	}
}

static void another_compilers_object_loads_under_its_bound(void **state)
{
	const char *path = getenv("WINNOW_OBJECT"), *most = getenv("VERIFIER_MAX");
	unsigned long max = most ? strtoul(most, NULL, 10) : INSTRUCTIONS_MAX;
	struct bpf_object *object;
	struct bpf_program *p;
	int n = 0;

	bench_of(state);
	if (!path) {
		print_message("skipped: WINNOW_OBJECT names no object\n");
		skip();
	}
	object = bpf_object__open_file(path, NULL);
	assert_non_null(object);
	if (bpf_object__load(object))
		fail_msg("%s does not load", path);
	bpf_object__for_each_program(p, object) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
		print_message("%s: %s: %u instructions\n", path, info.name, info.verified_insns);
		assert_in_range(info.verified_insns, 1, max - 1);
		n++;
	}
	assert_true(n >= 3);
	bpf_object__close(object);
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(every_program_stays_under_its_bound),
		BENCH(another_compilers_object_loads_under_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
