/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor.h - findings about a host: what was found, why it matters, what to do.
 *
 * Checks read files below `root` ("" on a host, a made-up tree in tests) and ask
 * devices; they change nothing but what --fix names.
 */
#ifndef WINNOW_CLI_DOCTOR_H
#define WINNOW_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum finding_state { FINDING_OK, FINDING_NOTE, FINDING_WARN, FINDING_BAD };

struct doctor {
	const char *root;
	const char *bpffs; /* where pins go */
	bool fix;
	uint64_t table_bytes; /* what the tables of this configuration take */
	json_t *findings;     /* of winnow.finding/1 */
	int worst;            /* enum finding_state */
};

/* `todo` NULL: nothing. */
void finding(struct doctor *d, const char *about, enum finding_state state, const char *why,
	     const char *todo, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* ---- doctor_host.c ---- */
void doctor_kernel(struct doctor *d, const char *release); /* as uname says, "6.1.0-18-amd64" */
void doctor_host(struct doctor *d);
/* What /sys/.../possible or online says: "0-3,7" is 5. */
unsigned int cpu_list_count(const char *list);
/* Bytes of the tables of `c`, before the kernel's own overhead. */
struct kern_config;
uint64_t doctor_table_bytes(const struct kern_config *c);

/* ---- doctor_device.c ---- */
struct device_facts {
	char device[16];
	char driver[32];
	unsigned int mtu, rx_queues, cpus;
	bool up, bond, bond_member, vlan, bridge_member, wireless;
	bool lro, gro_hw, rxvlan; /* offloads that are on */
	uint32_t xdp_id;          /* a program on it; 0: none */
	char xdp_name[16];
	bool xdp_generic, ours;
};
/* -ENODEV: no such device. */
int device_facts(const struct doctor *d, const char *device, struct device_facts *out);
void doctor_device(struct doctor *d, const struct device_facts *f);

#endif
