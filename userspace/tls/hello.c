/* SPDX-License-Identifier: BSD-2-Clause */
/* The one copy of the ClientHello parser in userspace. */
#define HELLO_INSTANTIATE
#include "hello.h"
