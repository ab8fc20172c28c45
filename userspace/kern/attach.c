/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <linux/if_link.h>

/* What to try when a driver refuses native mode. The words are those of the
 * drivers' own extack messages (ena, ixgbe, mlx5, virtio_net, veth ...). */
void attach_remedy(const char *device, const char *said, int err, char *out, size_t len)
{
	static const struct {
		const char *word;
		const char *try; /* %s: the device */
	} words[] = {
		{ "LRO", "ethtool -K %s lro off" },
		{ "GRO_HW", "ethtool -K %s rx-gro-hw off" },
		{ "HW-GRO", "ethtool -K %s rx-gro-hw off" },
		{ "TSO", "ethtool -K %s tso off" },
		{ "channel", "fewer channels: ethtool -L %s combined N" },
		{ "queue", "fewer queues: ethtool -L %s combined N" },
		{ "ring", "fewer queues: ethtool -L %s combined N" },
		{ "MTU", "ip link set %s mtu 1500" },
		{ "page", "ip link set %s mtu 1500" },
		{ "frame size", "ip link set %s mtu 1500" },
	};
	int n = 0;

	for (size_t i = 0; said && !n && i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcasestr(said, words[i].word))
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		n = snprintf(out, len, words[i].try, device);
#pragma GCC diagnostic pop
	}
	if (!n && err == -ERANGE)
		n = snprintf(out, len, "ip link set %s mtu 1500", device);
	snprintf(out + n, len - n, "%s--mode generic", n ? ", or " : "");
}

/* The kernel keeps a link's refusal text for a tracepoint; the same attempt by
 * netlink hands it out. Should it succeed after all, it is undone at once. */
static const char *ask_why(uint32_t ifindex, int prog_fd, uint32_t mode)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, o, .old_prog_fd = prog_fd);

	message_clear();
	if (!bpf_xdp_attach(ifindex, prog_fd, mode | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL))
		bpf_xdp_detach(ifindex, mode, &o);
	return message_extack();
}

static int link_ifindex(int link_fd, uint32_t *ifindex)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len))
		return -errno;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EINVAL;
	*ifindex = info.xdp.ifindex; /* 0: the device is gone */
	return 0;
}

/* Calls fn for every pinned and held link; a non-zero answer ends the walk. */
typedef int (*link_fn)(void *ctx, const char *device, int link_fd, uint32_t ifindex);

static int each_link(const struct kern *k, link_fn fn, void *ctx)
{
	char dir[PATH_MAX], path[PATH_MAX + 256], device[16];
	uint32_t ifindex;
	struct dirent *e;
	int err = 0;
	DIR *d;

	for (size_t i = 0; !err && i < k->n_held; i++)
		if (!link_ifindex(k->held[i].link_fd, &ifindex))
			err = fn(ctx, k->held[i].device, k->held[i].link_fd, ifindex);
	if (err || !k->pin_dir)
		return err;
	if (pin_path(k, dir, "links", NULL))
		return -ENAMETOOLONG;
	d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (e = readdir(d))) {
		_cleanup_(closep) int fd = -1;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = bpf_obj_get(path);
		if (fd < 0 || link_ifindex(fd, &ifindex))
			continue; /* not a link: not ours to judge */
		pin_device_from(e->d_name, device);
		err = fn(ctx, device, fd, ifindex);
	}
	closedir(d);
	return err;
}

struct find {
	const char *device; /* or NULL */
	uint32_t ifindex;   /* or 0 */
	char found[16];
	uint32_t found_ifindex;
};

static int find_link(void *ctx, const char *device, int link_fd, uint32_t ifindex)
{
	struct find *f = ctx;

	if (!(f->device && strcmp(device, f->device) == 0) &&
	    !(f->ifindex && ifindex == f->ifindex))
		return 0;
	snprintf(f->found, sizeof(f->found), "%s", device);
	f->found_ifindex = ifindex;
	return 1;
}

static struct held *held_find(struct kern *k, const char *device)
{
	for (size_t i = 0; i < k->n_held; i++)
		if (strcmp(k->held[i].device, device) == 0)
			return &k->held[i];
	return NULL;
}

static void held_drop(struct kern *k, struct held *h)
{
	close(h->link_fd);
	*h = k->held[--k->n_held];
}

static int link_pin_path(const struct kern *k, char out[PATH_MAX], const char *kind,
			 const char *device)
{
	char name[32];

	pin_device_name(device, name);
	return pin_path(k, out, kind, name);
}

/* A link of this name whose device is gone, or a link of this device under its
 * former name. 0: nothing in the way; -EEXIST: attached already. */
static int clear_way(struct kern *k, const char *device, uint32_t ifindex, struct reason *r)
{
	struct find by_ifindex = { .ifindex = ifindex }, by_name = { .device = device };
	char from[PATH_MAX], to[PATH_MAX];

	each_link(k, find_link, &by_name);
	if (by_name.found[0] && by_name.found_ifindex == ifindex)
		return reason_set(r, -EEXIST, "%s is already attached", device);
	if (by_name.found[0]) {
		struct held *h = held_find(k, device);

		if (h) {
			held_drop(k, h);
		} else if (by_name.found_ifindex == 0) {
			if (!link_pin_path(k, from, "links", device))
				unlink(from);
			if (!link_pin_path(k, from, "qdiscs", device))
				unlink(from);
		} else {
			return reason_set(r, -EEXIST,
					  "attach %s: the link of that name is on another device "
					  "now (index %u). Try: detach %s first",
					  device, by_name.found_ifindex, device);
		}
	}
	each_link(k, find_link, &by_ifindex);
	if (!by_ifindex.found[0])
		return 0;
	for (int i = 0; k->pin_dir && i < 2; i++) {
		const char *kind = i ? "qdiscs" : "links";

		if (!link_pin_path(k, from, kind, by_ifindex.found) &&
		    !link_pin_path(k, to, kind, device) && rename(from, to) && errno != ENOENT)
			return reason_set(r, -errno, "rename %s: %s", from, strerror(errno));
	}
	return reason_set(r, -EEXIST, "%s is already attached, as %s", device, by_ifindex.found);
}

static int foreign_program(uint32_t ifindex, const char *device, struct reason *r)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info), id;
	_cleanup_(closep) int fd = -1;

	if (bpf_xdp_query(ifindex, 0, &q) || q.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	id = q.drv_prog_id   ? q.drv_prog_id
	     : q.skb_prog_id ? q.skb_prog_id
	     : q.hw_prog_id  ? q.hw_prog_id
			     : q.prog_id;
	fd = bpf_prog_get_fd_by_id(id); /* its name needs CAP_SYS_ADMIN */
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.name[0])
		return reason_set(
			r, -EBUSY,
			"attach %s: another XDP program is there (id %u, %s, loaded by uid %u); it "
			"is never replaced. Try: ip link set %s xdp off, if it is yours to, or run "
			"both under a dispatcher",
			device, id, info.name, info.created_by_uid, device);
	return reason_set(
		r, -EBUSY,
		"attach %s: another XDP program is there (id %u); it is never replaced. "
		"Try: bpftool prog show id %u, for whose it is; ip link set %s xdp off, if "
		"it is yours to",
		device, id, id, device);
}

static int refused(struct kern *k, uint32_t ifindex, const char *device, enum attach_mode mode,
		   int err, struct reason *r)
{
	uint32_t flags = mode == ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	const char *said, *cap;
	char remedy[128];

	if (err == -ENODEV)
		return reason_set(r, err, "attach %s: no such device", device);
	cap = kern_missing_capability();
	if (cap && (err == -EPERM || err == -EACCES))
		return reason_set(r, -EPERM, "attach %s: %s is missing", device, cap);
	if (foreign_program(ifindex, device, r) == -EBUSY)
		return -EBUSY;
	said = ask_why(ifindex, kern_prog_fd(k, PROG_XDP), flags);
	if (mode == ATTACH_GENERIC)
		return reason_set(r, err, "attach %s: generic XDP refused (%s)", device,
				  said ? said : strerror(-err));
	attach_remedy(device, said, err, remedy, sizeof(remedy));
	return reason_set(r, -EOPNOTSUPP,
			  "attach %s: native XDP refused by the driver (\"%s\"). "
			  "Try: %s",
			  device, said ? said : strerror(-err), remedy);
}

/* Keeps the link: pinned if there is a pin directory, else in memory. */
static int keep_link(struct kern *k, const char *device, uint32_t ifindex, int link_fd,
		     struct reason *r)
{
	char path[PATH_MAX];
	struct held *h;

	if (k->pin_dir) {
		if (link_pin_path(k, path, "links", device))
			return reason_set(r, -ENAMETOOLONG, "pin directory too long");
		if (bpf_obj_pin(link_fd, path))
			return reason_set(r, -errno, "pin %s: %s", path, strerror(errno));
		close(link_fd);
		return 0;
	}
	h = realloc(k->held, (k->n_held + 1) * sizeof(*h));
	if (!h)
		return reason_set(r, -ENOMEM, "out of memory");
	k->held = h;
	h += k->n_held++;
	*h = (struct held){ .ifindex = ifindex, .link_fd = link_fd };
	snprintf(h->device, sizeof(h->device), "%s", device);
	return 0;
}

static void keep_qdisc(struct kern *k, const char *device)
{
	struct held *h = held_find(k, device);
	char path[PATH_MAX];

	if (h)
		h->made_qdisc = true;
	else if (k->pin_dir && !link_pin_path(k, path, "qdiscs", device))
		bpf_obj_pin(kern_prog_fd(k, PROG_EGRESS), path);
}

int kern_attach(struct kern *k, const char *device, enum attach_mode mode, struct reason *r)
{
	LIBBPF_OPTS(bpf_link_create_opts, o,
		    .flags = mode == ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	uint32_t ifindex = if_nametoindex(device);
	_cleanup_(closep) int fd = -1;
	unsigned int tries = 0;
	bool made_qdisc;
	int err;

	reason_set(r, 0, "%s", "");
	if (!ifindex)
		return reason_set(r, -ENODEV, "attach %s: no such device", device);
	err = clear_way(k, device, ifindex, r);
	if (!err)
		err = foreign_program(ifindex, device, r);
	if (err)
		return err;
	do
		fd = bpf_link_create(kern_prog_fd(k, PROG_XDP), ifindex, BPF_XDP, &o);
	while (fd != -EBUSY && again(&tries, fd)); /* busy is somebody else's for good */
	if (fd < 0)
		return refused(k, ifindex, device, mode, fd, r);
	err = keep_link(k, device, ifindex, fd, r);
	if (err)
		return err;
	take_fd(fd);
	/* Without the egress program winnow works on; r says so. */
	if (!egress_attach(k, device, ifindex, &made_qdisc, r) && made_qdisc)
		keep_qdisc(k, device);
	if (mode == ATTACH_GENERIC)
		kern_control(k)->mirror = MIRROR_BOUNCE;
	return 0;
}

int kern_detach(struct kern *k, const char *device, struct reason *r)
{
	struct find f = { .device = device };
	char link[PATH_MAX], qdisc[PATH_MAX];
	struct held *h;
	bool made;
	int fd;

	each_link(k, find_link, &f);
	if (!f.found[0])
		return reason_set(r, -ENOENT, "detach %s: not attached by winnow", device);
	h = held_find(k, device);
	if (h) {
		if (f.found_ifindex)
			egress_detach(k, f.found_ifindex, h->made_qdisc);
		bpf_link_detach(h->link_fd);
		held_drop(k, h);
		return 0;
	}
	if (link_pin_path(k, link, "links", device) || link_pin_path(k, qdisc, "qdiscs", device))
		return reason_set(r, -ENAMETOOLONG, "pin directory too long");
	made = !access(qdisc, F_OK);
	if (f.found_ifindex)
		egress_detach(k, f.found_ifindex, made);
	fd = bpf_obj_get(link);
	if (unlink(link))
		return reason_set(r, -errno, "remove %s: %s", link, strerror(errno));
	if (fd >= 0) { /* somebody else may hold it open: detach now */
		bpf_link_detach(fd);
		close(fd);
	}
	unlink(qdisc);
	return 0;
}

struct list {
	const struct kern *k;
	struct attachment *at;
	size_t n;
};

/* Is the link's device the one of that name? Where nobody can be asked - no descriptor is
 * left - it is taken to be: a link is not let go of for that. */
static bool is_on(const char *device, uint32_t ifindex)
{
	uint32_t now;

	if (!ifindex)
		return false;
	now = if_nametoindex(device);
	return now ? now == ifindex : errno != ENODEV;
}

static int list_link(void *ctx, const char *device, int link_fd, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct list *l = ctx;
	struct attachment *a;

	a = realloc(l->at, (l->n + 1) * sizeof(*a));
	if (!a)
		return -ENOMEM;
	l->at = a;
	a += l->n++;
	*a = (struct attachment){ .ifindex = ifindex };
	snprintf(a->device, sizeof(a->device), "%s", device);
	a->alive = is_on(device, ifindex);
	if (!a->alive)
		return 0;
	if (!bpf_xdp_query(ifindex, 0, &q) && q.skb_prog_id)
		a->mode = ATTACH_GENERIC;
	a->egress = egress_is_ours(l->k, ifindex);
	return 0;
}

int kern_attachments(const struct kern *k, struct attachment **out, size_t *n)
{
	struct list l = { .k = k };
	int err;

	err = each_link(k, list_link, &l);
	if (err) {
		free(l.at);
		return err;
	}
	*out = l.at;
	*n = l.n;
	return 0;
}

struct renew {
	struct kern *k;
	struct reason *r;
};

static int renew_link(void *ctx, const char *device, int link_fd, uint32_t ifindex)
{
	struct renew *n = ctx;
	unsigned int tries = 0;
	bool made_qdisc;
	int err;

	if (!ifindex)
		return 0; /* dead: attachments() says so */
	do
		err = bpf_link_update(link_fd, kern_prog_fd(n->k, PROG_XDP), NULL);
	while (again(&tries, err));
	if (err)
		return reason_set(n->r, err, "put the new program on %s: %s", device,
				  strerror(-err));
	if (!egress_attach(n->k, device, ifindex, &made_qdisc, NULL) && made_qdisc)
		keep_qdisc(n->k, device);
	return 0;
}

int attach_renew(struct kern *k, struct reason *r)
{
	struct renew n = { k, r };
	int err;

	/* Both names: a renewal that was cut short left filters of either. */
	k->old_id[FILTER_EGRESS][0] = pin_program_id(k, PROG_EGRESS);
	k->old_id[FILTER_EGRESS][1] = pin_program_id(k, PROG_EGRESS ":next");
	k->old_id[FILTER_MIRROR][0] = pin_program_id(k, PROG_MIRROR);
	k->old_id[FILTER_MIRROR][1] = pin_program_id(k, PROG_MIRROR ":next");
	err = pin_programs_next(k, r);
	if (err)
		return err;
	return each_link(k, renew_link, &n);
}

void attach_release(struct kern *k)
{
	while (k->n_held)
		if (kern_detach(k, k->held[0].device, NULL))
			held_drop(k, &k->held[0]);
	free(k->held);
	k->held = NULL;
}
