/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - what the files of kern/ share, and nobody else sees.
 *
 * Pins, below kern_config.pin_dir (a directory of a bpf file system):
 *
 *     maps/<map>         every table; `control` is pinned last, so that its
 *                        presence means that the set is whole
 *     progs/<program>    the programs that are attached now
 *     links/<device>     the XDP link ('.' of a device name is written ':',
 *                        which no device name can hold)
 *     qdiscs/<device>    a second pin of the egress program: we made the clsact
 *                        qdisc of this device, so we remove it
 */
#ifndef WINNOW_KERN_INTERNAL_H
#define WINNOW_KERN_INTERNAL_H

#include <limits.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "kern/kern.h"

#define PROG_XDP    "winnow_xdp"
#define PROG_EGRESS "winnow_egress"
#define PROG_MIRROR "winnow_ingress"

enum filter { FILTER_EGRESS, FILTER_MIRROR, FILTERS };

struct winnow_bpf;

struct mapping {
	void *at;
	size_t len;
	size_t n; /* elements */
};

/* An attachment that is not pinned: tests. Pinned ones live in links/. */
struct held {
	char device[16];
	uint32_t ifindex;
	int link_fd;
	bool made_qdisc;
};

/* Rules in force; control holds the same, as far as packets need it. */
struct rule_counts {
	uint32_t kind[MATCH_KINDS];
	uint32_t source, prefix, any_port;
};

struct kern {
	struct winnow_bpf *skel;
	char *pin_dir; /* NULL: never pin */
	bool adopted;
	uint32_t old_id[FILTERS][2]; /* of programs an adopted state may have attached */
	struct mapping control, ports, tallies, orders, flows, rules;
	uint64_t *virtual_ns;
	int xdp_fd, egress_fd;
	struct ring_buffer *ring;
	kern_event_fn event_fn;
	void *event_ctx;
	int n_cpus;

	struct rule_counts counts;
	uint64_t *removed; /* per rule slot: grace period it must outlive */
	uint64_t grace;    /* grace periods waited for */

	uint64_t short_frames, short_bytes; /* fed, but too short for a test run */

	struct held *held;
	size_t n_held;
};

/* ---- open.c ---- */
int kern_map_fd(const struct kern *k, const char *name); /* -ENOENT: no such map */
struct bpf_object *kern_object(const struct kern *k);
int kern_prog_fd(const struct kern *k, const char *name);

/* ---- message.c: libbpf's talk is kept, never printed ---- */
void message_listen(void);
void message_clear(void);
/* What the kernel's netlink answer said ("channel count should be ..."), or NULL. */
const char *message_extack(void);
/* The last line libbpf or the verifier said. */
const char *message_last(void);

/* ---- pin.c ---- */
/* Is `dir` (or the nearest parent that exists) on a writable bpf file system? */
int pin_check_fs(const char *dir, struct reason *r);
/* Looks at pin_dir: *found says whether there is a whole state to adopt; its
 * maps are then handed to the skeleton. Leftovers of a start that never got as
 * far as attaching are removed. */
int pin_adopt(struct kern *k, bool *found, struct reason *r);
/* Pins what is not pinned yet. */
int pin_maps(struct kern *k, struct reason *r);
int pin_programs_next(struct kern *k, struct reason *r);
int pin_programs(struct kern *k, struct reason *r);
uint32_t pin_program_id(const struct kern *k, const char *name); /* 0: no such pin */
void pin_remove_all(const struct kern *k);
int pin_path(const struct kern *k, char out[PATH_MAX], const char *kind, const char *name);
void pin_device_name(const char *device, char out[32]); /* '.' -> ':' */
void pin_device_from(const char *pin, char out[16]);

/* ---- rules.c ---- */
int rules_open(struct kern *k, struct reason *r);

/* ---- attach.c ---- */
/* Puts the new programs where an adopted state's programs are. */
int attach_renew(struct kern *k, struct reason *r);
void attach_release(struct kern *k); /* detaches what is held, not what is pinned */

/* What to try when a driver said `said` (or nothing) and answered err. */
void attach_remedy(const char *device, const char *said, int err, char *out, size_t len);

/* ---- egress.c ---- */
int egress_attach(struct kern *k, const char *device, uint32_t ifindex, bool *made_qdisc,
		  struct reason *r);
void egress_detach(const struct kern *k, uint32_t ifindex, bool made_qdisc);
bool egress_is_ours(const struct kern *k, uint32_t ifindex);

#endif
