/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel that is too busy for a call: it is made again, so many times, and counted; what
 * fails for good changes nothing. Fault 67. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "kern/internal.h"
#include "lib_kern.h"

/* ---- libbpf's way into the kernel, with a kernel that is busy ------------------------- */

static struct {
	enum bpf_cmd cmd;
	unsigned int pass, times; /* so many of them work, then so many do not */
	int err;
	unsigned int seen;
} busy;

static void kernel_is(enum bpf_cmd cmd, int err, unsigned int pass, unsigned int times)
{
	busy.cmd = cmd;
	busy.err = err;
	busy.pass = pass;
	busy.times = times;
	busy.seen = 0;
}

static bool is_busy(long nr, long cmd)
{
	if (nr != SYS_bpf || !busy.err || cmd != busy.cmd)
		return false;
	busy.seen++;
	if (busy.pass) {
		busy.pass--;
		return false;
	}
	if (!busy.times)
		return false;
	busy.times--;
	return true;
}

long syscall(long nr, ...)
{
	static long (*next)(long, ...);
	long a[6];
	va_list ap;

	if (!next)
		next = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (is_busy(nr, a[0])) {
		errno = busy.err;
		return -1;
	}
	return next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int no_names; /* what a look-up of a device's name says, 0: what it is */

unsigned int if_nametoindex(const char *name)
{
	static unsigned int (*next)(const char *);

	if (!next)
		next = (unsigned int (*)(const char *))(uintptr_t)dlsym(RTLD_NEXT,
									"if_nametoindex");
	if (no_names) {
		errno = no_names;
		return 0;
	}
	return next(name);
}

/* ---- what is done to it ------------------------------------------------------------------ */

static const struct rule_match stack = { .stack = 6 };

static struct kern *opened(const char *pins)
{
	struct kern_config c = lab_config(pins, false);
	struct kern *k = NULL;
	struct reason r;

	kernel_is(0, 0, 0, 0);
	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	return k;
}

static int rule_put(struct kern *k)
{
	struct rule r = { .gen = 1001, .handle = 1, .action = RULE_DROP };
	struct reason why;

	return kern_rule_put(k, 1, &r, &stack, &why);
}

static int rule_remove(struct kern *k)
{
	return kern_rule_remove(k, 1, &stack);
}

static int allow_put(struct kern *k)
{
	struct cidr c = { { 0, ADDR_V4_MARK | 0xc0000201 }, 128 };
	struct reason why;

	return kern_allow_put(k, &c, &why);
}

static int counters(struct kern *k)
{
	uint64_t n[COUNTER_MAX];

	return kern_counters(k, n);
}

static int attach(struct kern *k)
{
	struct reason why;

	return kern_attach(k, "w0", ATTACH_NATIVE, &why);
}

/* Each way into the kernel that a running daemon has, what it is used for, and what a kernel
 * says that is busy. */
static const struct {
	enum bpf_cmd cmd;
	int err;
	int (*use)(struct kern *k);
} ways[] = {
	{ BPF_MAP_LOOKUP_ELEM, EBUSY, rule_put },    { BPF_MAP_UPDATE_ELEM, EBUSY, rule_put },
	{ BPF_MAP_UPDATE_ELEM, EAGAIN, rule_put },   { BPF_MAP_UPDATE_ELEM, EDEADLK, rule_put },
	{ BPF_MAP_DELETE_ELEM, EBUSY, rule_remove }, { BPF_MAP_UPDATE_ELEM, EBUSY, allow_put },
	{ BPF_MAP_LOOKUP_ELEM, EAGAIN, counters },   { BPF_LINK_CREATE, EAGAIN, attach },
};

static bool rule_there(struct kern *k)
{
	uint32_t index = 0;
	struct match_key key = { .stack = stack.stack };

	return !bpf_map_lookup_elem(k->match_fd, &key, &index) && index == 1;
}

static void a_busy_kernel_is_asked_again_and_each_time_is_counted(void **state)
{
	need_lab();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (unsigned int times = 1; times < AGAIN_MOST; times++) {
			struct kern *k = opened(NULL);
			uint64_t before = again_count();

			if (ways[i].use == rule_remove)
				assert_int_equal(rule_put(k), 0);
			kernel_is(ways[i].cmd, ways[i].err, 0, times);
			assert_int_equal(ways[i].use(k), 0);
			assert_true(busy.seen > times);
			assert_int_equal(again_count() - before, times);
			kernel_is(0, 0, 0, 0);
			if (ways[i].use == rule_put)
				assert_true(rule_there(k));
			if (ways[i].use == rule_remove)
				assert_false(rule_there(k));
			kern_free(k);
		}
}

static void it_is_asked_so_often_and_no_more(void **state)
{
	need_lab();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct kern *k = opened(NULL);

		if (ways[i].use == rule_remove)
			assert_int_equal(rule_put(k), 0);
		kernel_is(ways[i].cmd, ways[i].err, 0, UINT32_MAX);
		assert_true(ways[i].use(k) < 0);
		assert_int_equal(busy.seen, AGAIN_MOST);
		kernel_is(0, 0, 0, 0);
		kern_free(k);
	}
}

static void a_rule_that_could_not_be_written_is_not_there_and_can_be_later(void **state)
{
	struct rule *slot;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(NULL);
	slot = kern_rules(k, &n);
	kernel_is(BPF_MAP_UPDATE_ELEM, EBUSY, 0, UINT32_MAX);
	assert_int_equal(rule_put(k), -EBUSY);
	kernel_is(0, 0, 0, 0);
	assert_false(rule_there(k));
	assert_int_equal(slot[1].gen, 0);
	assert_int_equal(kern_control(k)->kinds, 0);

	assert_int_equal(rule_put(k), 0);
	kernel_is(BPF_MAP_DELETE_ELEM, EBUSY, 0, UINT32_MAX);
	assert_int_equal(rule_remove(k), -EBUSY);
	kernel_is(0, 0, 0, 0);
	assert_true(rule_there(k)); /* whole: it was not taken out by halves */
	assert_int_equal(slot[1].gen, 1001);
	assert_int_equal(kern_control(k)->kinds, 1 << MATCH_STACK);
	assert_int_equal(rule_remove(k), 0);
	assert_int_equal(kern_control(k)->kinds, 0);
	kern_free(k);
}

/* A start adopts the rules that are pinned. Any of its look-ups may fail for good: it
 * goes on with all of them or refuses; a rule is never lost in silence. */
static void a_start_that_cannot_read_the_rules_refuses_and_loses_none(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct kern *k = opened(LAB_PINS);
	unsigned int refused = 0;
	bool whole = false;
	struct reason r;

	need_lab();
	assert_int_equal(rule_put(k), 0);
	assert_int_equal(attach(k), 0);
	kern_free(k);
	for (int cmd = BPF_MAP_LOOKUP_ELEM; cmd <= BPF_MAP_GET_NEXT_KEY; cmd++) {
		if (cmd == BPF_MAP_DELETE_ELEM)
			continue;
		whole = false;
		for (unsigned int pass = 0; !whole; pass++) {
			kernel_is(cmd, EBUSY, pass, AGAIN_MOST);
			k = NULL;
			if (kern_open(&c, &k, &r))
				refused++;
			whole = busy.times == AGAIN_MOST; /* there was no such call any more */
			kernel_is(0, 0, 0, 0);
			if (!k)
				k = opened(LAB_PINS);
			assert_true(rule_there(k));
			assert_int_equal(kern_rules(k, &(size_t){ 0 })[1].gen, 1001);
			kern_free(k);
		}
	}
	assert_true(refused >= 2);
}

/* Fault 65: it would be detached and attached again, with a gap between. */
static void a_device_that_cannot_be_asked_for_is_not_let_go(void **state)
{
	struct attachment *list;
	struct kern *k;
	size_t n;

	need_lab();
	k = opened(LAB_PINS);
	assert_int_equal(attach(k), 0);
	for (int i = 0; i < 3; i++) {
		no_names = (int[]){ EMFILE, ENODEV, 0 }[i];
		assert_int_equal(kern_attachments(k, &list, &n), 0);
		no_names = 0;
		assert_int_equal(n, 1);
		assert_int_equal(list[0].alive, i != 1);
		free(list);
	}
	kern_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_busy_kernel_is_asked_again_and_each_time_is_counted, lab_wires,
			lab_no_wires),
		cmocka_unit_test_setup_teardown(it_is_asked_so_often_and_no_more, lab_wires,
						lab_no_wires),
		cmocka_unit_test(a_rule_that_could_not_be_written_is_not_there_and_can_be_later),
		cmocka_unit_test_setup_teardown(
			a_start_that_cannot_read_the_rules_refuses_and_loses_none, lab_wires,
			lab_no_wires),
		cmocka_unit_test_setup_teardown(a_device_that_cannot_be_asked_for_is_not_let_go,
						lab_wires, lab_no_wires),
	};

	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
