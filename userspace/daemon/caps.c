/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/caps.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

int caps_drop(bool keep_net_admin)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	uint32_t keep = keep_net_admin ? 1u << CAP_NET_ADMIN : 0;

	if (geteuid() == 0)
		keep |= 1u << CAP_DAC_OVERRIDE;
	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[0].effective &= keep;
	data[0].permitted &= keep;
	data[0].inheritable = 0;
	data[1] = (struct __user_cap_data_struct){};
	/* The ambient set goes with the permitted one; a new program gets nothing. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &head, data))
		return -errno;
	return 0;
}
