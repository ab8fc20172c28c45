/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_capture.h - run a program's main in a child and keep what it said.
 */
#ifndef WINNOW_TEST_CAPTURE_H
#define WINNOW_TEST_CAPTURE_H

#include <stddef.h>

struct captured {
	int exit; /* -signal if it was killed */
	char out[65536];
	char err[16384];
};

/* argv ends with NULL. stdin is /dev/null. columns > 0: stdout and stderr are
 * one terminal that wide, and everything is in `out`. */
void capture(int (*program)(int, char **), const char *const *argv, int columns,
	     struct captured *c);

/* The same on a terminal 80 wide, with `typed` on its keyboard as stdin. */
void capture_typing(int (*program)(int, char **), const char *const *argv, const char *typed,
		    struct captured *c);

#endif
