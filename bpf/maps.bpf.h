/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * maps.bpf.h - every table: who writes, who reads, what happens when it is full.
 *
 * Sizes here are for tests and replay; kern/ sets them from the configuration
 * before loading. Numbers of sets are powers of two. Pin paths are set by
 * winnowd, never here, so that replay and tests cannot open the live maps.
 */
/* clang-format off */
#ifndef WINNOW_MAPS_BPF_H
#define WINNOW_MAPS_BPF_H

#include "abi.h"
#include "nets.h"

/* Settings. Written by the daemon through mmap, read by every packet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

/* Protected ports. Written by the daemon, read by every packet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ports);
} ports SEC(".maps");

struct counters {
	__u64 n[COUNTER_MAX];
};

/* What happened, by reason. Written by every packet, summed by the daemon. What became of
 * frames is in the entry of their device (device_slot()), the rest in entry 0. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DEVICE_SLOTS);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* The set-associative tables (table.bpf.h). An ARRAY of sets that userspace maps
 * and reads without a system call; full set: the coldest row goes, counted.
 * Their locks (lock.bpf.h) are few and always at hand: they lie apart. */
struct stripe {
	__u32 lock;
	__u32 pad[15];			/* a line each: neighbours do not collide */
};
#define STRIPES 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRIPES);
	__type(key, __u32);
	__type(value, struct stripe);
} tally_locks SEC(".maps");

/* Proved connections counted by (source, stack, service). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct tally_set);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRIPES);
	__type(key, __u32);
	__type(value, struct stripe);
} order_locks SEC(".maps");

/* Extension orders of a stack, and who sent them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct order_set);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRIPES);
	__type(key, __u32);
	__type(value, struct stripe);
} flow_locks SEC(".maps");

/* Proved connections. Mapped so that the daemon can set a verdict on live ones. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct flow_set);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRIPES);
	__type(key, __u32);
	__type(value, struct stripe);
} handshake_locks SEC(".maps");


/* Rules: a slot each, the index is the verdict a flow holds. Written by the
 * daemon through mmap, counters by the programs. Full: the add is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

/* Fingerprint rules by what they match: first index of a chain. Full: refused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct match_key);
	__type(value, __u32);
} match SEC(".maps");

/* Rules on a source or a network alone (nets.h): two sets in each. Written by the daemon
 * through mmap. Full: refused. Of the roots two 32-bit cells are an entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << NET_ROOT_MIN);
	__type(key, __u32);
	__type(value, __u64);
} net_roots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * 16);
	__type(key, __u32);
	__type(value, __u64);
} net_deep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * NET_STEPS);
	__type(key, __u32);
	__type(value, struct net_line);
} net_lines SEC(".maps");

/* Packets that a rule has dropped at once, a byte for each CPU and rule: 255 and one more are
 * 256 in rule.unproved. So a flood that meets all rules in turn writes one line in 64 of
 * them, and no line that another CPU writes. Read, and emptied when a slot becomes
 * another rule, through mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* Sources never ruled, whatever the rules say. Value: since when (ALLOW_ALWAYS). Full:
 * refused. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct prefix_key);
	__type(value, __u32);
} allow SEC(".maps");

struct bucket {
	__u32 lock;
	__u32 tokens;			/* x 1000 */
	__u64 refilled;			/* ns */
	__u64 owner;			/* keyed hash of (rule, source) */
	__u64 pad;
};
#define BUCKETS 65536

/* Token buckets of limit rules, by hash. Written per proved hello; two owners in one place
 * refill each other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

/* Names and events for userspace. Full: the event is lost, and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

/* QUIC connections (quic.bpf.h). What a flood pushes out is only passed and not
 * tallied. quic_names: written by the daemon; the others by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct quic_name);
} quic_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct quic_pending);
} quic_pendings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct quic_id);
} quic_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct quic_tuple);
} quic_tuples SEC(".maps");

/* How often a ja4_key went past; 0 or absent: not yet named. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} named SEC(".maps");

#endif
