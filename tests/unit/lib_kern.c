/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib_kern.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

bool lab_entered;

bool lab_enter(void)
{
	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		fprintf(stderr, "skipped: needs root for namespaces\n");
		return false;
	}
	mkdir(LAB_BPFFS, 0700);
	if (mount("bpf", LAB_BPFFS, "bpf", 0, NULL)) {
		perror("skipped: mount bpf");
		return false;
	}
	lab_run("ip link set lo up");
	lab_entered = true;
	return true;
}

int lab_wires(void **state)
{
	if (lab_entered)
		lab_run("ip link add w0 type veth peer name w1 && ip link set w0 up && "
			"ip link set w1 up");
	return 0;
}

int lab_no_wires(void **state)
{
	if (lab_entered) {
		lab_run("ip link del w0 2>/dev/null; ip link del w9 2>/dev/null; true");
		lab_run("rm -rf %s", LAB_PINS);
	}
	return 0;
}

void lab_run(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line)) {
		fprintf(stderr, "failed: %s\n", line);
		abort();
	}
}

void lab_read(char *out, unsigned long len, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out[0] = '\0';
	f = popen(line, "r");
	if (!f || !fgets(out, (int)len, f))
		out[0] = '\0';
	if (f)
		pclose(f);
	out[strcspn(out, "\n")] = '\0';
}

struct kern_config lab_config(const char *pin_dir, bool replay)
{
	return (struct kern_config){
		.pin_dir = pin_dir,
		.replay = replay,
		.tallies = 1024,
		.orders = 256,
		.flows = 1024,
		.handshakes = 1024,
		.rules = 64,
		.prefixes = 16,
		.ring_bytes = 1 << 20,
		.reassembly = 16,
	};
}
