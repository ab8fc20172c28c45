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

#include <jansson.h>

#include "base/addr.h"
#include "base/log.h"
#include "detect/settings.h"
#include "kern/kern.h"

#define CONFIG_INTERFACES_MAX 64
#define CONFIG_PORTS_MAX      256
#define CONFIG_ALLOW_MAX      256
#define CONFIG_PROXIES_MAX    64
#define CONFIG_FILES_MAX      32
#define CONFIG_MMDB_MAX       4
#define CONFIG_FILE_NAME      256
#define CONFIG_KEYS_MAX       72

/* Where a key was last set, and the words there. */
struct config_set {
	char value[200];
	uint32_t line;
	uint32_t file; /* of config.files, from 1; 0: the default stands */
};

/* What a rule that says drop does. */
enum enforce_mode {
	ENFORCE_NO,   /* nothing but count, ever */
	ENFORCE_EACH, /* count, until the act that adds it or a later one says --enforce */
	ENFORCE_YES,  /* drop at once */
};

enum proof_wish { PROOF_AUTO, PROOF_WISH_EGRESS, PROOF_WISH_SOCKET };

struct config {
	char interfaces[CONFIG_INTERFACES_MAX][16];
	size_t n_interfaces;
	uint16_t ports[CONFIG_PORTS_MAX];
	size_t n_ports;
	struct cidr allow[CONFIG_ALLOW_MAX];
	size_t n_allow;
	struct cidr protected[CONFIG_ALLOW_MAX]; /* counted apart in what a rule would hit */
	size_t n_protected;
	struct cidr proxies[CONFIG_PROXIES_MAX]; /* whose PROXY headers are believed */
	size_t n_proxies;
	enum attach_mode mode;
	enum proof_wish proof;
	enum enforce_mode enforce;
	bool apply_by_itself;            /* farms whose every gate is met are enforced, by canary */
	uint32_t max_rules;              /* of farms */
	uint32_t max_protected;          /* sources that one farm's rules may name */
	double max_share;                /* of proved sources outside farms that one rule may hit */
	uint64_t canary_step;            /* ns a step of a canary lasts */
	bool detach_on_stop;             /* else programs and rules stay in force */
	uint64_t tick;                   /* ns */
	uint64_t max_unattended;         /* ns; 0: rules hold for ever without a daemon */
	char group[64];                  /* may read over the control socket; "": root only */
	char mmdb[CONFIG_MMDB_MAX][256]; /* files of networks */
	size_t n_mmdb;
	char p0f[256];     /* its list of systems; "": none */
	char metrics[128]; /* ADDRESS:PORT of loopback, a path, or "": off */
	char state_dir[PATH_MAX];
	char run_dir[PATH_MAX];
	char bpffs[PATH_MAX]; /* where tables, programs and links are pinned */
	struct kern_config tables;
	struct detect_settings detect;
	char files[CONFIG_FILES_MAX][CONFIG_FILE_NAME]; /* as they were read */
	size_t n_files;
	struct config_set set[CONFIG_KEYS_MAX]; /* by config_key() */
};

void config_default(struct config *c);

/* Reads the layers, or only `file`. -EINVAL: the sentence has file:line. */
int config_read(const char *file, struct config *out, struct reason *r);
/* One file over what *c holds; *c is unchanged on error. */
int config_read_file(const char *file, struct config *c, struct reason *r);

/* The i-th key; false behind the last. */
struct config_key {
	const char *section, *name;
	const char *value; /* the default as one would write it; NULL: detect_setting_text() */
	const char *help;  /* NULL: of [detect] */
};
bool config_key(size_t i, struct config_key *out);

/* winnow.config/1: every key with its value and where it was set. */
json_t *config_json(const struct config *c);

#endif
