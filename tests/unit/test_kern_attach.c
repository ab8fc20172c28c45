/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading, pinning, attaching: real kernel, own namespaces. Faults 57, 59,
 * 61-63, 65, 69, 70; 60 is test_kern_move.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_kern.h"

static struct kern *open_pinned(void)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct kern *k = NULL;
	struct reason r;

	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	return k;
}

static int refused(const struct kern_config *c, struct reason *r)
{
	struct kern *k = NULL;
	int err = kern_open(c, &k, r);

	kern_free(k);
	return err;
}

static struct attachment only(struct kern *k)
{
	struct attachment *list = NULL, a;
	size_t n = 0;

	assert_int_equal(kern_attachments(k, &list, &n), 0);
	assert_int_equal(n, 1);
	a = list[0];
	free(list);
	return a;
}

static unsigned int xdp_id(const char *device)
{
	char text[64];

	lab_read(text, sizeof(text),
		 "ip -d link show %s | sed -n 's/.*prog\\/xdp id \\([0-9]*\\).*/\\1/p'", device);
	return atoi(text);
}

/* In whatever mode. */
static unsigned int any_xdp(const char *device)
{
	char text[64];

	lab_read(text, sizeof(text),
		 "ip -d link show %s | sed -n 's/.*prog\\/xdp[a-z]* id \\([0-9]*\\).*/\\1/p'",
		 device);
	return atoi(text);
}

static unsigned int filters(const char *device)
{
	char text[64];

	lab_read(text, sizeof(text), "tc filter show dev %s egress | grep -c 'handle 0x'", device);
	return atoi(text);
}

static bool has_clsact(const char *device)
{
	char text[256];

	lab_read(text, sizeof(text), "tc qdisc show dev %s | grep clsact", device);
	return text[0];
}

static void without_a_pin_directory_nothing_is_pinned_and_nothing_stays(void **state)
{
	struct kern_config c = lab_config(NULL, false);
	struct kern *k = NULL;
	struct reason r;

	need_lab();
	assert_int_equal(kern_open(&c, &k, &r), 0);
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_string_equal(r.text, "");
	assert_true(only(k).alive);
	assert_true(xdp_id("w0"));
	kern_free(k);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
	assert_false(xdp_id("w0"));
	assert_false(has_clsact("w0"));
}

/* Faults 57, 59, 65 */
static void a_second_open_adopts_tables_and_links_without_a_gap(void **state)
{
	unsigned int first, second;
	struct control *c;
	struct secret s;
	struct kern *k;
	struct reason r;

	need_lab();
	k = open_pinned();
	assert_false(kern_adopted(k));
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	first = xdp_id("w0");
	c = kern_control(k);
	s = c->secret;
	assert_true(s.k[0] | s.k[1]);
	assert_int_equal(c->abi, WINNOW_ABI_VERSION);
	c->heartbeat = 4711;
	kern_free(k); /* the process dies */
	assert_int_equal(xdp_id("w0"), first);
	assert_int_equal(filters("w0"), 1);

	k = open_pinned();
	assert_true(kern_adopted(k));
	second = xdp_id("w0");
	assert_true(second && second != first);
	assert_int_equal(filters("w0"), 1);
	assert_true(only(k).alive);
	assert_true(only(k).egress);
	assert_int_equal(only(k).mode, ATTACH_NATIVE);
	assert_int_equal(kern_control(k)->heartbeat, 4711);
	assert_memory_equal(&kern_control(k)->secret, &s, sizeof(s));
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), -EEXIST);

	assert_int_equal(kern_detach(k, "w0", &r), 0);
	assert_false(xdp_id("w0"));
	assert_false(has_clsact("w0"));
	assert_int_equal(kern_detach(k, "w0", &r), -ENOENT);
	kern_free(k);
}

/* Fault 96, for the pins */
static void unpin_leaves_nothing(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_int_equal(kern_attach(k, "w1", ATTACH_GENERIC, &r), 0);
	assert_int_equal(kern_unpin(k, &r), 0);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
	assert_false(xdp_id("w0") || xdp_id("w1"));
	kern_free(k);
}

/* Fault 62 */
static void a_foreign_program_is_named_and_never_replaced(void **state)
{
	struct kern_config c = lab_config(NULL, false);
	struct kern *k, *other = NULL;
	unsigned int theirs;
	struct reason r;
	char id[32];

	need_lab();
	assert_int_equal(kern_open(&c, &other, &r), 0);
	assert_int_equal(kern_attach(other, "w0", ATTACH_NATIVE, &r), 0);
	theirs = xdp_id("w0");
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), -EBUSY);
	snprintf(id, sizeof(id), "id %u", theirs);
	assert_non_null(strstr(r.text, id));
	assert_int_equal(kern_attach(k, "w0", ATTACH_GENERIC, &r), -EBUSY);
	assert_int_equal(xdp_id("w0"), theirs);
	kern_free(k);
	kern_free(other);
}

/* Fault 62: a generic program, and one that a tool attached without a link. */
static void a_foreign_generic_program_is_never_replaced(void **state)
{
	struct kern_config c = lab_config(NULL, false);
	struct kern *k, *other = NULL;
	unsigned int theirs;
	struct reason r;

	need_lab();
	assert_int_equal(kern_open(&c, &other, &r), 0);
	assert_int_equal(kern_attach(other, "w0", ATTACH_GENERIC, &r), 0);
	k = open_pinned();
	for (int mode = ATTACH_NATIVE; mode <= ATTACH_GENERIC; mode++) {
		assert_int_equal(kern_attach(k, "w0", mode, &r), -EBUSY);
		assert_non_null(strstr(r.text, "never replaced"));
		assert_non_null(strstr(r.text, "xdp off, if it is yours to"));
	}
	kern_free(other);
	assert_false(any_xdp("w0"));

	lab_run("ip link set w0 xdpgeneric pinned %s/progs/winnow_xdp", LAB_PINS);
	theirs = any_xdp("w0");
	assert_true(theirs);
	for (int mode = ATTACH_NATIVE; mode <= ATTACH_GENERIC; mode++)
		assert_int_equal(kern_attach(k, "w0", mode, &r), -EBUSY);
	assert_int_equal(kern_unpin(k, &r), 0);
	assert_int_equal(any_xdp("w0"), theirs);
	lab_run("ip link set w0 xdpgeneric off");
	kern_free(k);
}

static void our_qdisc_stays_when_somebody_moved_in(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	lab_run("tc filter add dev w0 egress prio 5 handle 7 bpf da object-pinned "
		"%s/progs/winnow_egress",
		LAB_PINS);
	assert_int_equal(filters("w0"), 2);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	assert_int_equal(filters("w0"), 1);
	lab_run("tc filter del dev w0 egress prio 5");

	/* and a qdisc that was there before us stays in any case */
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	assert_int_equal(filters("w0"), 0);
	assert_true(has_clsact("w0"));
	kern_free(k);
}

/* Fault 62: a process that dies unpinned leaves its filter; it is not ours to take. */
static void a_taken_filter_place_means_no_egress_and_says_so(void **state)
{
	struct kern_config c = lab_config(NULL, false);
	struct kern *k = NULL;
	struct reason r;
	int status;
	pid_t pid;

	need_lab();
	pid = fork();
	if (pid == 0)
		_exit(kern_open(&c, &k, &r) || kern_attach(k, "w0", ATTACH_NATIVE, &r));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(filters("w0"), 1);

	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_non_null(strstr(r.text, "belongs to program"));
	assert_true(only(k).alive);
	assert_false(only(k).egress);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	assert_int_equal(filters("w0"), 1);
	kern_free(k);
}

/* Fault 63 */
static void a_device_made_again_is_not_alive_and_can_be_attached_again(void **state)
{
	struct attachment a;
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	lab_run("ip link set w0 down && ip link set w0 up");
	assert_true(only(k).alive);
	lab_run("ip link del w0");
	assert_false(only(k).alive);
	lab_wires(NULL);
	a = only(k);
	assert_false(a.alive);
	assert_false(a.egress);
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_true(only(k).alive);
	assert_true(only(k).egress);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	kern_free(k);
}

/* Fault 63 */
static void a_renamed_device_is_found_under_its_new_name(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	lab_run("ip link set w0 down && ip link set w0 name w9 && ip link set w9 up");
	assert_false(only(k).alive);
	assert_int_equal(kern_attach(k, "w9", ATTACH_NATIVE, &r), -EEXIST);
	assert_true(only(k).alive);
	assert_string_equal(only(k).device, "w9");
	assert_int_equal(kern_detach(k, "w9", &r), 0);
	assert_false(has_clsact("w9"));
	kern_free(k);
}

/* Fault 63: it is not here any more; back again it can be attached. */
static void a_device_moved_to_another_namespace_is_not_alive(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	lab_run("unshare -n sleep 60 & echo $! >%s.pid && sleep 0.2 && "
		"ip link set w0 netns $(cat %s.pid)",
		LAB_BPFFS "-moved", LAB_BPFFS "-moved");
	assert_false(only(k).alive);
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), -ENODEV);
	lab_run("nsenter -n -t $(cat %s.pid) ip link set w0 netns $PPID; kill $(cat %s.pid); "
		"rm %s.pid",
		LAB_BPFFS "-moved", LAB_BPFFS "-moved", LAB_BPFFS "-moved");
	lab_run("ip link set w0 up");
	if (!only(k).alive)
		assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_true(only(k).alive);
	assert_true(xdp_id("w0"));
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	kern_free(k);
}

static void a_device_with_a_dot_in_its_name_can_be_pinned(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	lab_run("ip link set w0 down && ip link set w0 name w9.100 && ip link set w9.100 up");
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w9.100", ATTACH_NATIVE, &r), 0);
	assert_string_equal(only(k).device, "w9.100");
	assert_true(only(k).alive);
	assert_int_equal(kern_detach(k, "w9.100", &r), 0);
	kern_free(k);
	lab_run("ip link del w9.100");
}

/* Fault 18. */
static void jumbo_frames_attach_natively(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	lab_run("ip link set w0 mtu 9000 && ip link set w1 mtu 9000");
	k = open_pinned();
	assert_int_equal(kern_attach(k, "w0", ATTACH_NATIVE, &r), 0);
	assert_int_equal(kern_detach(k, "w0", &r), 0);
	kern_free(k);
}

static void a_missing_device_is_named(void **state)
{
	struct reason r;
	struct kern *k;

	need_lab();
	k = open_pinned();
	assert_int_equal(kern_attach(k, "nosuch", ATTACH_NATIVE, &r), -ENODEV);
	assert_string_equal(r.text, "attach nosuch: no such device");
	kern_free(k);
}

/* Fault 61 */
static void without_a_bpf_file_system_the_mount_command_is_named(void **state)
{
	struct kern_config c = lab_config("/tmp/winnow-test-no-bpffs", false);
	struct reason r;

	need_lab();
	assert_int_equal(refused(&c, &r), -ENODEV);
	assert_non_null(strstr(r.text, "mount -t bpf bpf /sys/fs/bpf"));
}

/* Fault 61 */
static void a_read_only_bpf_file_system_is_named(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct reason r;

	need_lab();
	assert_int_equal(mount(NULL, LAB_BPFFS, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	assert_int_equal(refused(&c, &r), -EROFS);
	assert_int_equal(mount(NULL, LAB_BPFFS, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	assert_non_null(strstr(r.text, "read-only"));
}

/* Fault 61 */
static void a_pin_of_the_wrong_type_is_named_and_left_alone(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct reason r;

	need_lab();
	kern_free(open_pinned());
	lab_run("rm %s/maps/rules && mv %s/progs/winnow_xdp %s/maps/rules", LAB_PINS, LAB_PINS,
		LAB_PINS);
	assert_int_equal(refused(&c, &r), -EINVAL);
	assert_non_null(strstr(r.text, "maps/rules is pinned, but is no table"));
	assert_int_equal(access(LAB_PINS "/maps/rules", F_OK), 0);
}

/* Fault 61: stale */
static void a_missing_table_is_named(void **state)
{
	struct kern_config c = lab_config(LAB_PINS, false);
	struct reason r;

	need_lab();
	kern_free(open_pinned());
	lab_run("rm %s/maps/match", LAB_PINS);
	assert_int_equal(refused(&c, &r), -ENOENT);
	assert_non_null(strstr(r.text, "maps/match is missing"));
}

static void a_start_that_was_cut_short_is_begun_again(void **state)
{
	struct kern *k;

	need_lab();
	kern_free(open_pinned());
	lab_run("rm %s/maps/control", LAB_PINS);
	k = open_pinned();
	assert_false(kern_adopted(k));
	kern_free(k);
	k = open_pinned();
	assert_true(kern_adopted(k));
	kern_free(k);
}

/* Fault 69 */
static void the_memory_lock_limit_is_never_lowered(void **state)
{
	struct rlimit before, after;
	struct kern_config c = lab_config(NULL, true);
	struct kern *k = NULL;

	need_lab();
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	assert_int_equal(kern_open(&c, &k, NULL), 0);
	kern_free(k);
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &after), 0);
	assert_true(after.rlim_cur >= before.rlim_cur);
	assert_true(after.rlim_max >= before.rlim_max);
}

/* Fault 70 */
static void a_missing_capability_is_named(void **state)
{
	static const char *const drop[][2] = {
		{ "cap_bpf,cap_sys_admin", "CAP_BPF" },
		{ "cap_net_admin,cap_sys_admin", "CAP_NET_ADMIN" },
		{ "cap_perfmon,cap_sys_admin", "CAP_PERFMON" },
		{ "cap_sys_admin", "" },
	};
	char self[256], said[64];

	need_lab();
	assert_null(kern_missing_capability());
	self[readlink("/proc/self/exe", self, sizeof(self) - 1)] = '\0';
	for (int i = 0; i < 4; i++) {
		lab_read(said, sizeof(said), "capsh --drop=%s -- -c '%s missing'", drop[i][0],
			 self);
		assert_string_equal(said, drop[i][1]);
	}
}

#define wired(f) cmocka_unit_test_setup_teardown(f, lab_wires, lab_no_wires)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		wired(without_a_pin_directory_nothing_is_pinned_and_nothing_stays),
		wired(a_second_open_adopts_tables_and_links_without_a_gap),
		wired(unpin_leaves_nothing),
		wired(a_foreign_program_is_named_and_never_replaced),
		wired(a_foreign_generic_program_is_never_replaced),
		wired(our_qdisc_stays_when_somebody_moved_in),
		wired(a_taken_filter_place_means_no_egress_and_says_so),
		wired(a_device_made_again_is_not_alive_and_can_be_attached_again),
		wired(a_renamed_device_is_found_under_its_new_name),
		wired(a_device_moved_to_another_namespace_is_not_alive),
		wired(a_device_with_a_dot_in_its_name_can_be_pinned),
		wired(jumbo_frames_attach_natively),
		wired(a_missing_device_is_named),
		wired(without_a_bpf_file_system_the_mount_command_is_named),
		wired(a_read_only_bpf_file_system_is_named),
		wired(a_pin_of_the_wrong_type_is_named_and_left_alone),
		wired(a_missing_table_is_named),
		wired(a_start_that_was_cut_short_is_begun_again),
		wired(the_memory_lock_limit_is_never_lowered),
		wired(a_missing_capability_is_named),
	};

	if (argc == 2 && strcmp(argv[1], "missing") == 0) {
		const char *cap = kern_missing_capability();

		puts(cap ? cap : "");
		return 0;
	}
	lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
