/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include "winnow.skel.h"

void kern_config_default(struct kern_config *c)
{
	*c = (struct kern_config){
		.tallies = 262144,
		.orders = 65536,
		.flows = 262144,
		.handshakes = 65536,
		.rules = 65536,
		.prefixes = 65536,
		.ring_bytes = 4 << 20,
		.reassembly = 1024,
	};
}

/* A connection with a hello takes more than this in a capture: three segments of 54
 * bytes, each behind 16 of the file's own. */
#define CONNECTION_BYTES 210
#define ROWS_MIN         1024

static uint32_t smaller(uint32_t rows, uint64_t connections)
{
	if (connections < ROWS_MIN)
		connections = ROWS_MIN;
	return connections < rows ? connections : rows;
}

void kern_config_replay(struct kern_config *c, uint64_t bytes, bool tallies)
{
	/* Twice as many: a set of eight is full before the table is. */
	uint64_t n = bytes ? 2 * (bytes / CONNECTION_BYTES + 1) : UINT64_MAX;

	kern_config_default(c);
	c->no_tallies = !tallies;
	c->tallies = smaller(c->tallies, tallies ? n : 0);
	c->orders = smaller(c->orders, tallies ? n : 0);
	c->flows = smaller(c->flows, n);
	c->handshakes = smaller(c->handshakes, n);
	c->reassembly = smaller(c->reassembly, n);
	c->rules = c->prefixes = 16;
	c->ring_bytes = 2 << 20; /* one batch is followed while the next one runs */
	c->proxied = 16;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n && p < 1U << 31)
		p <<= 1;
	return p;
}

static uint32_t sets_of(uint32_t rows)
{
	return power_of_two((rows + WAYS - 1) / WAYS);
}

/* As many as handshakes; what processors have reserved is then an eighth of it at most. */
static uint32_t syns_of(uint32_t rows)
{
	return sets_of(rows) * WAYS < ROWS_MIN ? ROWS_MIN : sets_of(rows) * WAYS;
}

static bool capable(const struct __user_cap_data_struct d[2], int cap)
{
	return d[cap / 32].effective & 1U << cap % 32;
}

const char *kern_missing_capability(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {};

	if (syscall(SYS_capget, &h, d) || capable(d, CAP_SYS_ADMIN))
		return NULL;
	if (!capable(d, CAP_BPF))
		return "CAP_BPF";
	if (!capable(d, CAP_NET_ADMIN))
		return "CAP_NET_ADMIN";
	if (!capable(d, CAP_PERFMON))
		return "CAP_PERFMON";
	return NULL;
}

struct bpf_object *kern_object(const struct kern *k)
{
	return k->skel->obj;
}

int kern_map_fd(const struct kern *k, const char *name)
{
	struct bpf_map *m = bpf_object__find_map_by_name(k->skel->obj, name);

	return m ? bpf_map__fd(m) : -ENOENT;
}

int kern_prog_fd(const struct kern *k, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(k->skel->obj, name);

	return p ? bpf_program__fd(p) : -ENOENT;
}

/* The programs mask with the number of sets (or slots) less one. */
static int set_sizes(struct kern *k, const struct kern_config *c, struct reason *r)
{
	struct nets_sizes nets;

	nets_sizes(c->rules, &nets);
	const struct {
		const char *map;
		uint32_t entries;
	} sizes[] = {
		{ "tallies", sets_of(c->tallies) },
		{ "orders", sets_of(c->orders) },
		{ "flows", sets_of(c->flows) },
		{ "handshake_heads", sets_of(c->handshakes) },
		{ "handshakes", sets_of(c->handshakes) },
		{ "syns", syns_of(c->handshakes) },
		{ "rules", c->rules },
		{ "match", c->rules },
		{ "drops", drops_words(c->rules) * k->n_cpus },
		{ "net_roots", 1 << nets.root_bits },
		{ "net_deep", 2 * nets.deep },
		{ "net_lines", 2 * nets.lines },
		{ "allow", c->prefixes },
		{ "proxied", c->proxied ? c->proxied : c->flows },
		{ "events", c->ring_bytes },
		{ "slot_heads", power_of_two(c->reassembly) },
		{ "reassembly", power_of_two(c->reassembly) },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(k->skel->obj, sizes[i].map);
		int err;

		if (!m)
			return reason_set(r, -ENOENT, "table %s is not in the loaded object",
					  sizes[i].map);
		err = bpf_map__set_max_entries(m, sizes[i].entries);
		if (err)
			return reason_set(r, err, "table %s cannot have %u entries: %s",
					  sizes[i].map, sizes[i].entries, strerror(-err));
	}
	/* The programs look no further than their masks: all of a table, no more. */
	k->skel->rodata->tally_sets = sets_of(c->tallies) - 1;
	k->skel->rodata->order_sets = sets_of(c->orders) - 1;
	k->skel->rodata->flow_sets = sets_of(c->flows) - 1;
	k->skel->rodata->handshake_sets = sets_of(c->handshakes) - 1;
	k->skel->rodata->syn_places = syns_of(c->handshakes) - 1;
	k->skel->rodata->reassembly_slots = power_of_two(c->reassembly) - 1;
	k->skel->rodata->net_root_bits = nets.root_bits;
	k->skel->rodata->net_deep_mask = nets.deep - 1;
	k->skel->rodata->net_lines_n = nets.lines;
	k->skel->rodata->drop_words = drops_words(c->rules);
	k->skel->rodata->tallies_kept = !c->no_tallies;
	k->skel->rodata->clock_virtual = c->replay;
	k->skel->rodata->runs_alone = c->replay && c->batch;
#ifdef __x86_64__
	k->skel->rodata->stores_in_order = 1;
#endif
	k->prefixes = c->prefixes;
	return 0;
}

/* Verifying is what a start costs: only what will run is loaded. */
static void choose_programs(struct kern *k, const struct kern_config *c)
{
	bool batch = c->replay && c->batch;

	bpf_program__set_autoload(k->skel->progs.winnow_xdp, !batch);
	bpf_program__set_autoload(k->skel->progs.winnow_egress, !batch);
	bpf_program__set_autoload(k->skel->progs.winnow_ingress, !batch);
	bpf_program__set_autoload(k->skel->progs.winnow_replay, batch);
	bpf_map__set_autocreate(k->skel->maps.batches, batch);
}

static int load(struct kern *k, struct reason *r)
{
	const char *cap;
	int err;

	/* libbpf raises RLIMIT_MEMLOCK where the kernel still charges maps to it
	 * (before 5.11), and only upwards; nothing for us to do. */
	message_clear();
	err = winnow_bpf__load(k->skel);
	/* libbpf goes on without it when its own test of the kernel finds no memory. */
	if (!err && !k->skel->bss)
		err = -ENOMEM;
	if (!err) {
		k->virtual_ns = (uint64_t *)&k->skel->bss->virtual_ns;
		k->xdp_fd = kern_prog_fd(k, PROG_XDP);
		k->egress_fd = kern_prog_fd(k, PROG_EGRESS);
		k->replay_fd = kern_prog_fd(k, PROG_REPLAY);
		return 0;
	}
	cap = kern_missing_capability();
	if (cap)
		return reason_set(r, -EPERM, "load the programs: %s is missing. Try: run as root",
				  cap);
	if (err == -EPERM)
		return reason_set(r, err,
				  "load the programs: not permitted (%s). Try: look for kernel "
				  "lockdown in /sys/kernel/security/lockdown",
				  message_last());
	if (err == -ENOMEM)
		return reason_set(r, err,
				  "load the programs: not enough memory for the tables. Try: "
				  "smaller tables, or a higher memory limit of the service");
	return reason_set(r, err, "load the programs: %s (%s)", strerror(-err), message_last());
}

static int measure_table(const struct kern *k, const char *name, struct mapping *m,
			 struct reason *r)
{
	struct bpf_map *map = bpf_object__find_map_by_name(k->skel->obj, name);
	size_t page = sysconf(_SC_PAGESIZE);

	if (!map)
		return reason_set(r, -ENOENT, "table %s is not in the loaded object", name);
	m->fd = bpf_map__fd(map);
	m->n = bpf_map__max_entries(map);
	m->size = (bpf_map__value_size(map) + 7) / 8 * 8;
	m->len = (m->size * m->n + page - 1) / page * page;
	return 0;
}

int mapping_open(struct mapping *m)
{
	void *at = m->at;

	if (!at)
		at = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	m->at = at;
	return 0;
}

void mapping_close(struct mapping *m)
{
	if (m->at)
		munmap(m->at, m->len);
	m->at = NULL;
}

static int map_tables(struct kern *k, struct reason *r)
{
	const struct {
		const char *name;
		struct mapping *m;
		bool later; /* see kern_tallies() */
	} tables[] = {
		{ "control", &k->control, false },    { "ports", &k->ports, false },
		{ "tallies", &k->tallies, true },     { "orders", &k->orders, true },
		{ "flows", &k->flows, true },         { "rules", &k->rules, false },
		{ "drops", &k->drops, false },        { "net_roots", &k->nets.roots, false },
		{ "net_deep", &k->nets.deep, false }, { "net_lines", &k->nets.lines, false },
		{ "batches", &k->batches, false },
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int err = 0;

		if (tables[i].m == &k->batches && k->replay_fd < 0)
			continue;
		if (measure_table(k, tables[i].name, tables[i].m, r))
			return -ENOENT;
		if (!tables[i].later)
			err = mapping_open(tables[i].m);
		if (err)
			return reason_set(r, err, "map table %s: %s", tables[i].name,
					  strerror(-err));
	}
	return 0;
}

/* A fresh state can be attached at once: it counts, and drops nothing. The
 * secret is drawn here so that no packet is ever hashed with zeros. */
static int first_settings(struct kern *k, bool replay, struct reason *r)
{
	struct control *c = k->control.at;

	if (getrandom(&c->secret, sizeof(c->secret), 0) != sizeof(c->secret))
		return reason_set(r, -EIO, "draw the secret: %s", strerror(errno));
	c->proof = replay ? PROOF_INGRESS : PROOF_SOCKET;
	c->emit_all = replay;
	c->abi = WINNOW_ABI_VERSION;
	return 0;
}

static int on_event(void *ctx, void *data, size_t len)
{
	struct kern *k = ctx;
	const struct event_head *e = data;

	if (k->event_fn && len >= sizeof(*e) && e->len <= len)
		k->event_fn(k->event_ctx, e);
	return k->events_left && !--k->events_left ? -ECANCELED : 0;
}

static int open_ring(struct kern *k, struct reason *r)
{
	int fd = kern_map_fd(k, "events");

	if (fd < 0)
		return reason_set(r, fd, "table events is not in the loaded object");
	k->ring = ring_buffer__new(fd, on_event, k, NULL);
	if (!k->ring)
		return reason_set(r, -errno, "open the event ring: %s", strerror(errno));
	return 0;
}

int kern_open(const struct kern_config *c, struct kern **out, struct reason *r)
{
	_cleanup_(kern_freep) struct kern *k = NULL;
	bool found = false;
	int err;

	message_listen();
	k = calloc(1, sizeof(*k));
	if (!k)
		return reason_set(r, -ENOMEM, "out of memory");
	k->n_cpus = libbpf_num_possible_cpus();
	if (k->n_cpus < 1)
		return reason_set(r, -EIO, "read /sys/devices/system/cpu/possible");
	k->skel = winnow_bpf__open();
	if (!k->skel)
		return reason_set(r, -errno, "open the programs: %s", strerror(errno));
	err = set_sizes(k, c, r);
	if (err)
		return err;
	choose_programs(k, c);
	if (c->pin_dir) {
		k->pin_dir = strdup(c->pin_dir);
		if (!k->pin_dir)
			return reason_set(r, -ENOMEM, "out of memory");
		err = pin_adopt(k, &found, r);
		if (err)
			return err;
	}
	err = load(k, r);
	if (!err)
		err = map_tables(k, r);
	if (!err && !found)
		err = first_settings(k, c->replay, r);
	if (!err)
		err = rules_open(k, found && !k->move, r);
	if (!err && k->move)
		err = move_open(k, r);
	if (!err)
		err = open_ring(k, r);
	if (!err && k->pin_dir && !found)
		err = pin_maps(k, r);
	if (!err && found && !k->move)
		err = attach_renew(k, r);
	if (!err && k->pin_dir && !k->move)
		err = pin_programs(k, r);
	if (err)
		return err;
	k->adopted = found;
	*out = take_ptr(k);
	return 0;
}

void kern_free(struct kern *k)
{
	if (!k)
		return;
	attach_release(k);
	move_end(k);
	ring_buffer__free(k->ring);
	mapping_close(&k->control);
	mapping_close(&k->ports);
	mapping_close(&k->tallies);
	mapping_close(&k->orders);
	mapping_close(&k->flows);
	mapping_close(&k->rules);
	mapping_close(&k->drops);
	mapping_close(&k->nets.roots);
	mapping_close(&k->nets.deep);
	mapping_close(&k->nets.lines);
	mapping_close(&k->batches);
	winnow_bpf__destroy(k->skel);
	free(k->removed);
	free(k->pin_dir);
	free(k);
}

void kern_freep(struct kern **k)
{
	kern_free(*k);
}

bool kern_adopted(const struct kern *k)
{
	return k->adopted;
}
