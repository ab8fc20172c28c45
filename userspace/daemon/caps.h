/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * caps.h - what a thread may still do once everything is loaded.
 *
 * With its tables and programs open, the daemon reads, rules, renews and attaches
 * without CAP_BPF and CAP_PERFMON: the kernel asks for those when something is loaded
 * or made. CAP_NET_ADMIN stays, because a device that comes back needs its egress
 * program, which is attached over netlink. Root keeps its way past file modes, so that
 * a state directory of another user goes on working.
 */
#ifndef WINNOW_DAEMON_CAPS_H
#define WINNOW_DAEMON_CAPS_H

#include <stdbool.h>

/* Of this thread, for good; no program that it runs gets more. 0 or -errno. */
int caps_drop(bool keep_net_admin);

#endif
