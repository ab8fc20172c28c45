/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - winnowd's settings: INI, three layers, all or nothing.
 *
 *     /usr/lib/winnow/winnow.conf < /etc/winnow/winnow.conf
 *                                 < /etc/winnow/winnow.conf.d/NAME.conf
 *
 * or one file given with -c. A later layer replaces a key of an earlier one;
 * within one file a key stands once. Anything not understood is an error with
 * file:line, and nothing of the new settings is used.
 *
 * Lists are words with blanks or commas between. Durations are like 90s, 15m.
 */
#ifndef WINNOW_DAEMON_CONFIG_H
#define WINNOW_DAEMON_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "detect/settings.h"
#include "kern/kern.h"

#define CONFIG_INTERFACES_MAX 64
#define CONFIG_PORTS_MAX      256
#define CONFIG_ALLOW_MAX      256
#define CONFIG_PROXIES_MAX    64

enum proof_wish { PROOF_AUTO, PROOF_WISH_EGRESS, PROOF_WISH_SOCKET };

struct config {
	char interfaces[CONFIG_INTERFACES_MAX][16];
	size_t n_interfaces;
	uint16_t ports[CONFIG_PORTS_MAX];
	size_t n_ports;
	struct cidr allow[CONFIG_ALLOW_MAX];
	size_t n_allow;
	struct cidr proxies[CONFIG_PROXIES_MAX]; /* whose PROXY headers are believed */
	size_t n_proxies;
	enum attach_mode mode;
	enum proof_wish proof;
	bool enforce;            /* no: every rule only counts what it would do */
	bool detach_on_stop;     /* else programs and rules stay in force */
	uint64_t tick;           /* ns */
	uint64_t max_unattended; /* ns; 0: rules hold for ever without a daemon */
	char group[64];          /* may read over the control socket; "": root only */
	char state_dir[PATH_MAX];
	char run_dir[PATH_MAX];
	char bpffs[PATH_MAX]; /* where tables, programs and links are pinned */
	struct kern_config tables;
	struct detect_settings detect;
};

void config_default(struct config *c);

/* Reads the layers, or only `file`. -EINVAL: the sentence has file:line. */
int config_read(const char *file, struct config *out, struct reason *r);
/* One file over what *c holds; *c is unchanged on error. */
int config_read_file(const char *file, struct config *c, struct reason *r);

#endif
