/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_kern.h - a place of its own for a test that loads programs: a network
 * namespace with veth pairs and a mount namespace with a bpf file system. All
 * of it goes with the process; the host's devices and pins are never touched.
 */
#ifndef WINNOW_TESTS_LIB_KERN_H
#define WINNOW_TESTS_LIB_KERN_H

#include <stdbool.h>

#include "kern/kern.h"

#define LAB_BPFFS "/tmp/winnow-test-bpf"
#define LAB_PINS  LAB_BPFFS "/winnow"

/* Enters both namespaces. False (and a word on stderr): not permitted here. */
bool lab_enter(void);
extern bool lab_entered;

/* Skips the test where the lab could not be entered. */
#define need_lab()                \
	do {                      \
		(void)state;      \
		if (!lab_entered) \
			skip();   \
	} while (0)

/* Fixtures: a pair of devices, w0 and w1; no such pair, no w9 and no pins. */
int lab_wires(void **state);
int lab_no_wires(void **state);
/* Runs a shell command; the test fails if it does. */
void lab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The first line a shell command prints. */
void lab_read(char *out, unsigned long len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Small tables: tests open many. */
struct kern_config lab_config(const char *pin_dir, bool replay);

#endif
