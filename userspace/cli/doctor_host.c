/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/doctor.h"
#include "kern/kern.h"

/* First line of a file below root; NULL: it cannot be read. */
static const char *line_of(const struct doctor *d, const char *path, char *out, size_t size)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char full[512];

	snprintf(full, sizeof(full), "%s%s", d->root, path);
	f = fopen(full, "re");
	if (!f || !fgets(out, (int)size, f))
		return NULL;
	out[strcspn(out, "\n")] = '\0';
	return out;
}

void doctor_kernel(struct doctor *d, const char *release)
{
	unsigned int major = 0, minor = 0;
	struct rlimit lock = {};

	sscanf(release, "%u.%u", &major, &minor);
	finding(d, "kernel", major > 6 || (major == 6 && minor >= 1) ? FINDING_OK : FINDING_BAD,
		"winnow is tested from Linux 6.1 on", "boot Linux 6.1 or newer (Debian 12 has it)",
		"Linux %s", release);
	if (major > 5 || (major == 5 && minor >= 11) || getrlimit(RLIMIT_MEMLOCK, &lock))
		return;
	/* Fault 69: it is never lowered, and not raised behind anybody's back. */
	finding(d, "memlock", lock.rlim_cur == RLIM_INFINITY ? FINDING_OK : FINDING_BAD,
		"before Linux 5.11 tables count as locked memory", "ulimit -l unlimited",
		"RLIMIT_MEMLOCK is %llu", (unsigned long long)lock.rlim_cur);
}

static void check_btf(struct doctor *d)
{
	char path[512];
	bool there;

	snprintf(path, sizeof(path), "%s/sys/kernel/btf/vmlinux", d->root);
	there = !access(path, R_OK);
	finding(d, "BTF", there ? FINDING_OK : FINDING_BAD,
		"the programs are loaded with the kernel's own type information",
		there ? NULL
		      : "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions build them",
		there ? "there" : "%s is missing", path);
}

static void check_jit(struct doctor *d)
{
	const char *file = "/proc/sys/net/core/bpf_jit_enable";
	char path[512], text[16];
	const char *said = line_of(d, file, text, sizeof(text));
	FILE *f;

	if (!said) {
		finding(d, "JIT", FINDING_NOTE, "interpreted programs cost several times as much",
			"look as root", "%s cannot be read", file);
		return;
	}
	if (!strcmp(said, "0") && d->fix) {
		snprintf(path, sizeof(path), "%s%s", d->root, file);
		f = fopen(path, "we");
		if (f && fputs("1\n", f) >= 0 && !fclose(f))
			said = "1, switched on now";
	}
	finding(d, "JIT", *said == '0' ? FINDING_WARN : FINDING_OK,
		"interpreted programs cost several times as much",
		*said == '0' ? "sysctl net.core.bpf_jit_enable=1, or doctor --fix" : NULL,
		"net.core.bpf_jit_enable is %s", said);
}

static void check_lockdown(struct doctor *d)
{
	char text[128];
	const char *said = line_of(d, "/sys/kernel/security/lockdown", text, sizeof(text));

	if (!said)
		return;
	finding(d, "lockdown", strstr(said, "[confidentiality]") ? FINDING_BAD : FINDING_OK,
		"in confidentiality mode programs may not read kernel memory, and are refused",
		strstr(said, "[confidentiality]") ? "boot with lockdown=integrity" : NULL, "%s",
		said);
}

static void check_capabilities(struct doctor *d)
{
	const char *missing = kern_missing_capability();

	if (missing)
		finding(d, "capabilities", FINDING_NOTE,
			"winnowd and replay need CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; asking the "
			"daemon needs none",
			"look as root; the unit gives winnowd what it needs",
			"this process lacks %s", missing);
	else
		finding(d, "capabilities", FINDING_OK, "what winnowd needs to load and attach",
			NULL, "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
}

/* Fault 61: says what exactly is wrong, mends what is safe to. */
static void check_bpffs(struct doctor *d)
{
	struct reason r = {};
	int err = kern_pins_possible(d->bpffs, &r);
	const char *fixed = "";

	if (err == -ENODEV && d->fix && !mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700")) {
		fixed = ", mounted now";
		err = kern_pins_possible(d->bpffs, &r);
	}
	if (err == -EROFS && d->fix && !mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT, NULL)) {
		fixed = ", writable now";
		err = kern_pins_possible(d->bpffs, &r);
	}
	if (!err)
		finding(d, "bpffs", FINDING_OK, "pins live there and outlive winnowd", NULL,
			"%s is good%s", d->bpffs, fixed);
	else
		finding(d, "bpffs", err == -EACCES || err == -EPERM ? FINDING_NOTE : FINDING_BAD,
			"pins live there and outlive winnowd",
			err == -ENODEV || err == -EROFS ? "doctor --fix, as root" : "look as root",
			"%s", r.text);
}

unsigned int cpu_list_count(const char *list)
{
	unsigned int n = 0, a, b;
	int len;

	while (sscanf(list, "%u%n", &a, &len) == 1) {
		list += len;
		b = a;
		if (*list == '-' && sscanf(list + 1, "%u%n", &b, &len) == 1)
			list += 1 + len;
		n += b >= a ? b - a + 1 : 0;
		if (*list != ',')
			break;
		list++;
	}
	return n;
}

/* Fault 68: counters are kept for each possible CPU. */
static void check_cpus(struct doctor *d)
{
	char possible[128], online[128];

	if (!line_of(d, "/sys/devices/system/cpu/possible", possible, sizeof(possible)) ||
	    !line_of(d, "/sys/devices/system/cpu/online", online, sizeof(online)))
		return;
	finding(d, "CPUs",
		cpu_list_count(possible) > 4 * cpu_list_count(online) ? FINDING_NOTE : FINDING_OK,
		"what is kept per CPU is kept for each possible one", NULL,
		"%u online, %u possible", cpu_list_count(online), cpu_list_count(possible));
}

uint64_t doctor_table_bytes(const struct kern_config *c)
{
	/* Rows of the sets with their tags; hash entries with what the kernel adds. */
	return c->tallies * (uint64_t)sizeof(struct tally_set) / WAYS +
	       c->orders * (uint64_t)sizeof(struct order_set) / WAYS +
	       c->flows * (uint64_t)sizeof(struct flow_set) / WAYS +
	       c->handshakes *
		       ((sizeof(struct handshake_head) + sizeof(struct handshake_set)) / WAYS +
			sizeof(struct syn_record)) +
	       c->rules * (uint64_t)(sizeof(struct rule) + sizeof(struct match_key) + 64) +
	       c->rules * 90ULL + /* bpf/nets.h, both sets */
	       c->prefixes * 80ULL +
	       /* bpf/slot.bpf.h: head, a bit a byte, bytes and one copy more than fits */
	       c->reassembly * (64ULL + HELLO_MAX / 8 + HELLO_MAX + 2048) + c->ring_bytes;
}

static void check_memory(struct doctor *d)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[512], line[128];
	unsigned long long free_kb = 0;

	snprintf(path, sizeof(path), "%s/proc/meminfo", d->root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &free_kb) == 1)
			break;
	if (!free_kb)
		return;
	finding(d, "memory",
		d->table_bytes > free_kb * 1024 / 2   ? FINDING_BAD
		: d->table_bytes > free_kb * 1024 / 8 ? FINDING_WARN
						      : FINDING_OK,
		"tables are allocated whole when winnowd starts",
		d->table_bytes > free_kb * 1024 / 8 ? "fewer rows in [tables] of winnow.conf"
						    : NULL,
		"tables take %llu MiB of %llu MiB available",
		(unsigned long long)d->table_bytes >> 20, free_kb >> 10);
}

static void check_clock(struct doctor *d)
{
	char text[64];
	const char *source =
		line_of(d, "/sys/devices/system/clocksource/clocksource0/current_clocksource", text,
			sizeof(text));
	struct timex t = {};
	int state = adjtimex(&t);

	if (source)
		finding(d, "clock source",
			!strcmp(source, "hpet") || !strcmp(source, "acpi_pm") ? FINDING_WARN
									      : FINDING_OK,
			"delays of 0.1 ms are measured with it, several times a handshake",
			!strcmp(source, "hpet") || !strcmp(source, "acpi_pm")
				? "find out why the kernel gave up tsc: dmesg | grep -i tsc"
				: NULL,
			"%s", source);
	if (state >= 0)
		finding(d, "clock", t.status & STA_UNSYNC ? FINDING_NOTE : FINDING_OK,
			"times in farms, rules and the audit; expiry does not depend on it",
			t.status & STA_UNSYNC ? "chrony or systemd-timesyncd" : NULL,
			t.status & STA_UNSYNC ? "not synchronised" : "synchronised");
}

void doctor_host(struct doctor *d)
{
	check_btf(d);
	check_jit(d);
	check_lockdown(d);
	check_capabilities(d);
	check_bpffs(d);
	check_cpus(d);
	check_memory(d);
	check_clock(d);
}
