/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/doctor.h"
#include "kern/kern.h"

static char root[] = "/tmp/winnow-doctor-XXXXXX";
static struct doctor d;

static int begin(void **state)
{
	(void)state;
	json_decref(d.findings);
	d = (struct doctor){ .root = root,
			     .bpffs = "/sys/fs/bpf/winnow",
			     .findings = json_array() };
	return 0;
}

static int end(void **state)
{
	char cmd[64];

	(void)state;
	json_decref(d.findings);
	d.findings = NULL;
	snprintf(cmd, sizeof(cmd), "rm -rf %s/*", root);
	return system(cmd);
}

/* A file of the made-up host. */
static void host_file(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(full, 0755);
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* There is a finding about `about` in this state whose words have `part`; one that is
 * not ok says why, and a bad one what to do. */
static void expect(const char *about, const char *state, const char *part)
{
	const char *a, *s, *found, *why;
	json_t *row;
	size_t i;

	json_array_foreach(d.findings, i, row) {
		assert_int_equal(json_unpack(row, "{s:s, s:s, s:s, s:s}", "about", &a, "state", &s,
					     "found", &found, "why", &why),
				 0);
		assert_true(*why != '\0');
		if (!strcmp(s, "bad"))
			assert_true(json_is_string(json_object_get(row, "do")));
		if (!strcmp(a, about) && !strcmp(s, state) && strstr(found, part))
			return;
	}
	fail_msg("no finding %s, %s, \"%s\" in %s", about, state, part, json_dumps(d.findings, 0));
}

static void never(const char *about, const char *part)
{
	json_t *row;
	size_t i;

	json_array_foreach(d.findings, i, row)
		assert_false(!strcmp(json_string_value(json_object_get(row, "about")), about) &&
			     strstr(json_string_value(json_object_get(row, "found")), part));
}

static void kernels_are_told_by_their_numbers(void **state)
{
	(void)state;
	doctor_kernel(&d, "6.1.0-18-amd64");
	expect("kernel", "ok", "6.1.0");
	doctor_kernel(&d, "10.0.1");
	expect("kernel", "ok", "10.0.1");
	never("memlock", "");
	/* Fault 69. */
	doctor_kernel(&d, "5.10.0-28-amd64");
	expect("kernel", "bad", "5.10");
	assert_int_equal(d.worst, FINDING_BAD);
	assert_true(json_array_size(d.findings) == 4);
}

/* Fault 70: one clear line each. */
static void what_a_kernel_lacks_is_one_line_each(void **state)
{
	(void)state;
	host_file("/proc/sys/net/core/bpf_jit_enable", "0\n");
	host_file("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	doctor_host(&d);
	expect("BTF", "bad", "/sys/kernel/btf/vmlinux is missing");
	expect("JIT", "warn", "bpf_jit_enable is 0");
	expect("lockdown", "bad", "[confidentiality]");
	begin(NULL);
	host_file("/proc/sys/net/core/bpf_jit_enable", "1\n");
	host_file("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	host_file("/sys/kernel/btf/vmlinux", "x");
	doctor_host(&d);
	expect("BTF", "ok", "there");
	expect("JIT", "ok", "is 1");
	expect("lockdown", "ok", "[integrity]");
}

static void fix_switches_the_jit_on(void **state)
{
	(void)state;
	host_file("/proc/sys/net/core/bpf_jit_enable", "0\n");
	d.fix = true;
	doctor_host(&d);
	expect("JIT", "ok", "switched on now");
	begin(NULL);
	doctor_host(&d);
	expect("JIT", "ok", "is 1");
}

/* Fault 68. */
static void possible_cpus_are_counted_by_their_list(void **state)
{
	(void)state;
	assert_int_equal(cpu_list_count("0"), 1);
	assert_int_equal(cpu_list_count("0-3"), 4);
	assert_int_equal(cpu_list_count("0-3,7,9-10"), 7);
	assert_int_equal(cpu_list_count(""), 0);
	assert_int_equal(cpu_list_count("3-1"), 0);
	host_file("/sys/devices/system/cpu/possible", "0-127\n");
	host_file("/sys/devices/system/cpu/online", "0-3\n");
	doctor_host(&d);
	expect("CPUs", "note", "4 online, 128 possible");
}

static void tables_are_held_against_memory(void **state)
{
	struct kern_config c;

	(void)state;
	kern_config_default(&c);
	d.table_bytes = doctor_table_bytes(&c);
	/* 262,144 tallies of 128 bytes with 4 of tag: 34.6 MB of it. */
	assert_true(d.table_bytes > 34000000 && d.table_bytes < 400000000);
	host_file("/proc/meminfo", "MemTotal: 999 kB\nMemAvailable:   100000 kB\n");
	doctor_host(&d);
	expect("memory", "bad", "of 97 MiB available");
	begin(NULL);
	d.table_bytes = 100 << 20;
	host_file("/proc/meminfo", "MemAvailable:   8000000 kB\n");
	doctor_host(&d);
	expect("memory", "ok", "tables take 100 MiB of 7812 MiB");
}

static void slow_clocks_are_named(void **state)
{
	(void)state;
	host_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
	doctor_host(&d);
	expect("clock source", "warn", "hpet");
}

static struct device_facts good(const char *driver)
{
	struct device_facts f = {
		.device = "eth0", .mtu = 1500, .up = true, .cpus = 8, .rx_queues = 4
	};

	strcpy(f.driver, driver);
	return f;
}

/* Faults 10, 18, 19, 62, 64: each fact of a device, and what to do about it. */
static void a_device_is_read_before_its_driver_refuses(void **state)
{
	struct device_facts f = good("ixgbe");

	(void)state;
	doctor_device(&d, &f);
	expect("device eth0", "ok", "driver ixgbe has native XDP");
	expect("device eth0", "ok", "MTU 1500");
	assert_int_equal(d.worst, FINDING_OK);
	f.mtu = 9000;
	doctor_device(&d, &f);
	expect("device eth0", "warn", "MTU 9000");
	f = good("mlx5_core");
	f.mtu = 9001;
	doctor_device(&d, &f);
	expect("device eth0", "ok", "MTU 9001");
	f.rxvlan = true;
	doctor_device(&d, &f);
	expect("device eth0", "note", "VLAN tags are stripped");
	f.gro_hw = true;
	doctor_device(&d, &f);
	expect("device eth0", "warn", "hardware GRO is on");
	assert_int_equal(d.worst, FINDING_WARN);
	f.lro = true;
	doctor_device(&d, &f);
	expect("device eth0", "bad", "LRO is on");
	f = good("r8169");
	doctor_device(&d, &f);
	expect("device eth0", "warn", "driver r8169 is not known for native XDP");
	f = good("ena");
	f.rx_queues = 8;
	doctor_device(&d, &f);
	expect("device eth0", "warn", "8 receive queues");
	f = good("veth");
	f.xdp_id = 7;
	strcpy(f.xdp_name, "xdp_dispatcher");
	doctor_device(&d, &f);
	expect("device eth0", "bad", "XDP program 7 (xdp_dispatcher) is there");
	f.ours = true;
	doctor_device(&d, &f);
	expect("device eth0", "ok", "winnow is attached, native");
	f.xdp_generic = true;
	doctor_device(&d, &f);
	expect("device eth0", "warn", "winnow is attached, generic");
	f = good("igb");
	f.bond_member = true;
	doctor_device(&d, &f);
	expect("device eth0", "bad", "member of a bond");
	f = good("802.1Q VLAN Support");
	f.vlan = true;
	f.up = false;
	doctor_device(&d, &f);
	expect("device eth0", "warn", "VLAN device");
	expect("device eth0", "warn", "it is down");
}

static void a_device_that_is_not_there_is_no_device(void **state)
{
	struct device_facts f;

	(void)state;
	assert_int_equal(device_facts(&d, "nosuchdev0", &f), -ENODEV);
	assert_int_equal(device_facts(&d, "a-name-that-is-too-long", &f), -ENODEV);
	assert_int_equal(device_facts(&d, "lo", &f), 0);
	assert_true(f.mtu >= 1500);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(kernels_are_told_by_their_numbers),
		claim(what_a_kernel_lacks_is_one_line_each),
		claim(fix_switches_the_jit_on),
		claim(possible_cpus_are_counted_by_their_list),
		claim(tables_are_held_against_memory),
		claim(slow_clocks_are_named),
		claim(a_device_is_read_before_its_driver_refuses),
		claim(a_device_that_is_not_there_is_no_device),
	};
	int failed;

	if (!mkdtemp(root))
		return 1;
	failed = cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
	rmdir(root);
	return failed;
}
