/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern.h - the loaded programs and their tables. The only room that includes
 * <bpf/...>; everything above it sees this header and the shapes of abi.h.
 *
 * One struct kern is one loaded object. With a pin directory, tables, programs
 * and links are pinned there and survive the process; a second kern_open() on
 * the same directory adopts them (counters, rules and attachments go on). With
 * no pin directory nothing is ever pinned: replay and tests.
 *
 * Errors: 0 or -errno, and a sentence in `r` (what failed, on what, what to do).
 */
#ifndef WINNOW_KERN_H
#define WINNOW_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/addr.h"
#include "base/log.h"
#include "model/snapshot.h"

struct batch;
struct batch_answer;
struct kern;
struct snapshot;
struct losses;
struct quic_news;

struct kern_config {
	const char *pin_dir; /* NULL: never pin */
	bool replay;         /* virtual clock, every hello and handshake goes up */
	bool batch;          /* ... and only the program for many frames is loaded */
	bool no_tallies;     /* connections join none: tallies and orders stay empty */
	uint32_t tallies;    /* rows; rounded up to a power of two of sets of 8 */
	uint32_t orders;
	uint32_t flows;
	uint32_t handshakes;
	uint32_t rules;
	uint32_t prefixes;   /* of the rules those on networks; and as many allow entries */
	uint32_t ring_bytes; /* power of two */
	uint32_t reassembly; /* slots */
	uint32_t proxied;    /* connections with a PROXY header; 0: as many as flows */
};

/* What an edge host starts with: 262,144 tallies, 262,144 flows, 65,536 rules ... */
void kern_config_default(struct kern_config *c);
/* The same for a capture of `bytes` (0: not known), without rules, and with `tallies` or
 * without: no more rows than it can have connections. Clearing tables is a third of a
 * short replay. */
void kern_config_replay(struct kern_config *c, uint64_t bytes, bool tallies);

/* A pinned state of this layout and these sizes is adopted, its programs replaced at once.
 * One of another layout or size is moved: the new tables have its settings, rules and
 * allowed networks, the old programs go on until kern_switch(). */
int kern_open(const struct kern_config *c, struct kern **out, struct reason *r);
void kern_free(struct kern *k);
void kern_freep(struct kern **k);
bool kern_adopted(const struct kern *k);

struct kern_moved {
	bool happened;
	size_t rules, tallies, orders, handshakes, flows; /* rows */
};
/* Ends a move, when the rules are as they shall be: flows and tallies follow, each device
 * gets the new programs in one update of its link, the old tables go. Else does nothing. */
int kern_switch(struct kern *k, struct kern_moved *out, struct reason *r);

/* Names a missing capability ("CAP_BPF"), or NULL when all three are there. */
const char *kern_missing_capability(void);

/* Mapped tables: no system call to read them, plain stores to write them. */
struct control *kern_control(struct kern *k);
struct ports *kern_ports(struct kern *k);
struct rule *kern_rules(struct kern *k, size_t *n);

/* The large ones are mapped when they are first asked for, whole, and count as memory of
 * the process until they are released. Not for two threads. NULL, 0 sets: no memory. */
const struct tally_set *kern_tallies(struct kern *k, size_t *n_sets);
const struct order_set *kern_orders(struct kern *k, size_t *n_sets);
struct flow_set *kern_flows(struct kern *k, size_t *n_sets);
void kern_tables_release(struct kern *k);

/* The same read in pieces, which takes no memory to speak of; any thread's. */
int kern_read_tables(const struct kern *k, struct snapshot *s, bool orders);
int kern_read_orders(const struct kern *k, struct snapshot *s);
/* As snapshot_each(): some thousand copies at a time. *skipped: changed under the reader. */
int kern_each_tally(const struct kern *k, snapshot_rows_fn fn, void *ctx, uint64_t *skipped);
enum kern_table { KERN_TALLIES, KERN_ORDERS, KERN_FLOWS };
int kern_table_fill(const struct kern *k, enum kern_table which, size_t *used, size_t *rows);

/* Sums over all CPUs. */
int kern_counters(const struct kern *k, uint64_t out[COUNTER_MAX]);
/* What became of the frames of one device: packets, bytes and verdicts. The other counters
 * are not kept apart. Devices of the same device_slot() share these. */
int kern_device_counters(const struct kern *k, uint32_t ifindex, uint64_t out[COUNTER_MAX]);
/* Those of them that say what was not counted (model/snapshot.h). */
int kern_losses(const struct kern *k, struct losses *out);
/* Processed instructions the verifier reported, per program; 0 if adopted. */
int kern_verifier_instructions(const struct kern *k, const char *program, uint32_t *out);

/* ---- devices --------------------------------------------------------------- */

enum attach_mode { ATTACH_NATIVE, ATTACH_GENERIC };

struct attachment {
	char device[16];
	uint32_t ifindex;
	enum attach_mode mode;
	bool egress; /* the tc program sees SYN|ACKs leave */
	bool alive;  /* the device still exists and the link is on it */
};

/* Native unless told otherwise; never replaces a foreign program. -ENODEV: no
 * such device; -EEXIST: already ours; -EBUSY: a foreign program; -EOPNOTSUPP:
 * the driver refuses native mode (the sentence says why and what to try).
 * 0 with a sentence in `r`: attached, but without the egress program; connections
 * are then proved by socket look-up on that device. A device renamed since its
 * attachment is -EEXIST, and listed under its new name from then on. */
int kern_attach(struct kern *k, const char *device, enum attach_mode mode, struct reason *r);
int kern_detach(struct kern *k, const char *device, struct reason *r);
/* A malloc'ed list; *n may be 0. */
int kern_attachments(const struct kern *k, struct attachment **out, size_t *n);
/* The XDP program on a device, whoever's; prog_id 0: none. */
struct device_xdp {
	uint32_t prog_id;
	bool generic;
	char name[16]; /* "": not for us to know */
};
int kern_device_xdp(const char *device, struct device_xdp *out);
/* Whether `dir` is, or could be made, in a bpf file system that we may write. */
int kern_pins_possible(const char *dir, struct reason *r);
/* Detach everything and remove every pin. */
int kern_unpin(struct kern *k, struct reason *r);

/* ---- events ---------------------------------------------------------------- */

/* An event of abi.h (event_head first); the memory is gone after the return. */
typedef void (*kern_event_fn)(void *ctx, const struct event_head *e);

int kern_events_fd(struct kern *k);                                 /* pollable */
int kern_events_drain(struct kern *k, kern_event_fn fn, void *ctx); /* count, or -errno */
/* The first `n`, which have been told; others may be told meanwhile. 0 or -errno. */
int kern_events_take(struct kern *k, uint32_t n, kern_event_fn fn, void *ctx);

/* What an EVENT_QUIC told (model/quic_news.h): from now on the hello can be proved. */
int kern_quic_news(struct kern *k, const struct quic_news *n);

/* ---- rules ----------------------------------------------------------------- */

/* What a rule matches, in kernel terms. Empty parts are 0; at least one of
 * source, ja4, stack, order is there. */
struct rule_match {
	struct cidr src; /* plen 0 and net ::: any */
	uint64_t ja4;
	uint64_t stack;
	uint64_t order;
};

/* Writes slot `index` (1..n-1, chosen by the caller, free) and makes it reachable;
 * net, plen, next and the counters of the slot are filled here. Rules with one
 * match key form a chain: pass first, then the severest action, then the older;
 * of rules on a source alone the programs read the first that has not expired.
 * `r.gen` must differ from every earlier value of that slot. -ENOSPC: a table is
 * full; -E2BIG: MATCH_CHAIN_MAX rules with one match key already. On error
 * nothing has changed. */
int kern_rule_put(struct kern *k, uint32_t index, const struct rule *rule,
		  const struct rule_match *m, struct reason *why);
int kern_rule_remove(struct kern *k, uint32_t index, const struct rule_match *m);
/* To be called when a slot's action, flags, expiry, holdout or canary have been written. */
void kern_rule_changed(struct kern *k, uint32_t index);
/* Packets that proved nothing and met the rule: rule.unproved alone lags behind. */
uint64_t kern_rule_unproved(const struct kern *k, uint32_t index);
/* Rules on a source or network alone: what is put and removed between the two is in
 * force at once, at the commit, all of it; a packet meets the old rules or the new ones.
 * A removed rule's slot is in use until then. */
int kern_rules_begin(struct kern *k);
void kern_rules_commit(struct kern *k);
int kern_allow_put(struct kern *k, const struct cidr *c, struct reason *why);
/* Allowed again from that second of CLOCK_BOOTTIME on; it must be there. */
int kern_allow_suspend(struct kern *k, const struct cidr *c, uint32_t second);
int kern_allow_remove(struct kern *k, const struct cidr *c);
/* The networks whose PROXY headers are believed, instead of those before; n 0: none. */
int kern_proxies_set(struct kern *k, const struct cidr *list, size_t n, struct reason *why);
/* Sets the verdict of live flows of (source, stack), for `existing drop`. Returns
 * their number. -EOPNOTSUPP: a flow does not remember its ja4 or order. */
int kern_rule_sweep(struct kern *k, uint32_t index, const struct rule_match *m);
/* The same for many rules in one look over the flows; the first that fits counts. */
struct rule_sweep {
	uint32_t index;
	struct rule_match m;
};
int kern_rules_sweep(struct kern *k, const struct rule_sweep *list, size_t n);

/* ---- the way back, when the database was lost -------------------------------- */

/* What each slot matches; `out` has room for all of them, unused ones are 0. */
int kern_rule_matches(const struct kern *k, struct rule_match *out);
/* `fn` must not change the table. */
int kern_allows(const struct kern *k, void (*fn)(void *ctx, const struct cidr *c), void *ctx);
/* The next hello of every key comes up the ring again. */
int kern_names_forget(struct kern *k);

/* ---- replay ------------------------------------------------------------------ */

/* One frame through the loaded program, as if it had arrived (or left) at
 * `time_ns` of the virtual clock. verdict: XDP_PASS, XDP_DROP, XDP_TX.
 * -EOPNOTSUPP: opened with `batch`. */
int kern_feed(struct kern *k, uint64_t time_ns, const void *frame, size_t len, bool egress,
	      uint32_t *verdict);

/* Opened with `batch`: batch `which` (batch.h), for the caller to fill. */
struct batch *kern_batch(struct kern *k, unsigned int which);
/* Its frames *at .. end - 1, in few system calls; *at says how far it came. Short of
 * `end` with 0: the event ring wants to be drained first. */
int kern_batch_run(struct kern *k, unsigned int which, uint32_t *at, uint32_t end);
/* One frame of any size; `way` as in batch.h. */
int kern_batch_alone(struct kern *k, uint64_t time_ns, const void *frame, size_t len,
		     unsigned int way, struct batch_answer *answer);
/* A frame too short for a test run, which a device never has: counted, and passed. */
void kern_feed_short(struct kern *k, size_t len);

#endif
