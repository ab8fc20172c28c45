/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - what the files of kern/ share, and nobody else sees.
 *
 * Pins, below kern_config.pin_dir (a directory of a bpf file system):
 *
 *     maps/<map>         every table, and `layout`, which says what their rows are;
 *                        `control` is pinned last: where it is, the set is whole
 *     maps:next/<map>    the same while another layout takes over (move.c)
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
#include "kern/again.h"
#include "kern/kern.h"

#define PROG_XDP    "winnow_xdp"
#define PROG_EGRESS "winnow_egress"
#define PROG_MIRROR "winnow_ingress"
#define PROG_REPLAY "winnow_replay"

enum filter { FILTER_EGRESS, FILTER_MIRROR, FILTERS };

struct winnow_bpf;

struct mapping {
	void *at; /* NULL: not mapped now */
	size_t len;
	size_t n;    /* elements ... */
	size_t size; /* ... of so many bytes */
	int fd;
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
	uint32_t source, prefix, any_port; /* source: those on a prefix, too */
};

/* Rules on a source or network alone (bpf/nets.h): two sets in each table. */
struct nets {
	struct mapping roots, deep, lines;
	unsigned int root_bits;
	uint32_t n;     /* networks in the set that is written */
	uint32_t stale; /* removed since it was written anew */
	bool open;      /* what is written is not in force yet */
	uint64_t left;  /* grace period that the other set must outlive */
};

struct nets_sizes {
	uint32_t root_bits, deep, lines; /* of one set */
};

struct move;

struct kern {
	struct winnow_bpf *skel;
	char *pin_dir; /* NULL: never pin */
	bool adopted;
	struct move *move; /* not NULL: the pinned state has another layout, and is moved */
	struct kern_moved moved;
	uint32_t old_id[FILTERS][2]; /* of programs an adopted state may have attached */
	struct mapping control, ports, tallies, orders, flows, rules, drops;
	struct mapping batches; /* replay alone */
	uint64_t *virtual_ns;
	int xdp_fd, egress_fd, replay_fd; /* < 0: not loaded */
	struct ring_buffer *ring;
	kern_event_fn event_fn;
	void *event_ctx;
	uint32_t events_left; /* until no more are asked for; 0: all are */
	int n_cpus;

	struct rule_counts counts;
	uint32_t prefixes; /* most rules on networks that are no source */
	int match_fd;
	struct nets nets;
	uint64_t *removed; /* per rule slot: grace period it must outlive; LEAVING */
	size_t n_leaving;
	uint64_t grace; /* grace periods waited for */

	uint64_t short_frames, short_bytes; /* fed, but too short for a test run */

	struct held *held;
	size_t n_held;
};

/* ---- open.c ---- */
int kern_map_fd(const struct kern *k, const char *name); /* -ENOENT: no such map */
int mapping_open(struct mapping *m);                     /* unless it is open */
void mapping_close(struct mapping *m);
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
 * maps are then handed to the skeleton, or, if they have another layout, k->move is
 * set. Leftovers of a start that never got as
 * far as attaching are removed. */
int pin_adopt(struct kern *k, bool *found, struct reason *r);
/* Pins what is not pinned yet. */
int pin_maps(struct kern *k, struct reason *r);
/* Beside the old ones, and then in their place, in one step. */
int pin_maps_next(struct kern *k, struct reason *r);
int pin_maps_swap(struct kern *k, struct reason *r);
int pin_programs_next(struct kern *k, struct reason *r);
int pin_programs(struct kern *k, struct reason *r);
uint32_t pin_program_id(const struct kern *k, const char *name); /* 0: no such pin */
void pin_remove_all(const struct kern *k);
int pin_path(const struct kern *k, char out[PATH_MAX], const char *kind, const char *name);
void pin_device_name(const char *device, char out[32]); /* '.' -> ':' */
void pin_device_from(const char *pin, char out[16]);

/* ---- move.c ---- */
/* -ENOENT: the pinned state does not say what its rows are. */
int move_begin(struct kern *k, struct reason *r);
/* Settings, rules, allowed networks: into the loaded tables, which nobody uses yet. */
int move_open(struct kern *k, struct reason *r);
void move_end(struct kern *k);

/* ---- rules.c ---- */
int rules_open(struct kern *k, bool adopted, struct reason *r);
/* Returns when no packet is under way that was when `period` was k->grace + 1. */
void grace_await(struct kern *k, uint64_t period);

/* ---- nets.c: first rule of a network's chain ---- */
/* Tables for so many rules. */
void nets_sizes(uint32_t rules, struct nets_sizes *out);
int nets_open(struct kern *k, bool adopted);
uint32_t nets_find(const struct kern *k, const struct cidr *c); /* 0: there is none */
/* The rule's slot must hold the network. -ENOSPC: no room. */
int nets_put(struct kern *k, const struct cidr *c, uint32_t index);
int nets_remove(struct kern *k, const struct cidr *c);
/* What the first rule of a network's chain does, or until when, has changed. */
void nets_changed(struct kern *k, const struct cidr *c);
void nets_each(const struct kern *k, void (*fn)(void *ctx, uint32_t index), void *ctx);
/* From here on puts and removals are for nobody to see until they are all in force. */
int nets_begin(struct kern *k);
void nets_commit(struct kern *k);

/* ---- drops.c ---- */
uint32_t drops_words(uint32_t rules); /* of a CPU, in lines that no other CPU writes */
void drops_clear(struct kern *k, uint32_t index);
int drops_move(const struct kern *k); /* adds an old state's to the slots that were read */

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
