/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WINNOW_BASE_VERSION_H
#define WINNOW_BASE_VERSION_H

#define WINNOW_VERSION "0.1.0"

#endif
