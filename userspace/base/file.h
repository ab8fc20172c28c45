/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h - bytes into a descriptor, all of them. */
#ifndef WINNOW_BASE_FILE_H
#define WINNOW_BASE_FILE_H

#include <stddef.h>

/* Goes on after a signal and after a short write. 0 or -errno. */
int write_all(int fd, const void *at, size_t len);

#endif
