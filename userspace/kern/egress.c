/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tc filters at the device's clsact qdisc: one sees SYN|ACKs leave, the other
 * tells a rejected client. One handle at one priority of each side is ours; no
 * other filter is ever touched, and the qdisc goes only if we made it and nobody
 * moved in meanwhile.
 */
#include "kern/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#define EGRESS_HANDLE   1
#define EGRESS_PRIORITY 0x7ea1 /* late: others may redirect first */

static struct bpf_tc_hook hook_of(uint32_t ifindex, enum bpf_tc_attach_point point)
{
	return (struct bpf_tc_hook){ .sz = sizeof(struct bpf_tc_hook),
				     .ifindex = ifindex,
				     .attach_point = point };
}

static const struct side {
	enum bpf_tc_attach_point point;
	const char *program;
} sides[FILTERS] = {
	[FILTER_EGRESS] = { BPF_TC_EGRESS, PROG_EGRESS },
	[FILTER_MIRROR] = { BPF_TC_INGRESS, PROG_MIRROR },
};

static int filter_id(uint32_t ifindex, enum filter f, uint32_t *id)
{
	struct bpf_tc_hook hook = hook_of(ifindex, sides[f].point);
	LIBBPF_OPTS(bpf_tc_opts, o, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY);
	int err;

	err = bpf_tc_query(&hook, &o);
	if (err)
		return err;
	*id = o.prog_id;
	return 0;
}

static uint32_t own_id(const struct kern *k, enum filter f)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(kern_prog_fd(k, sides[f].program), &info, &len))
		return 0;
	return info.id;
}

static bool known_id(const struct kern *k, enum filter f, uint32_t id)
{
	return id && (id == own_id(k, f) || id == k->old_id[f][0] || id == k->old_id[f][1]);
}

static bool filter_is_ours(const struct kern *k, uint32_t ifindex, enum filter f)
{
	uint32_t id;

	return !filter_id(ifindex, f, &id) && known_id(k, f, id);
}

/* 0, -EBUSY with the other program's id, or what tc says. */
static int filter_put(struct kern *k, uint32_t ifindex, enum filter f, uint32_t *id)
{
	struct bpf_tc_hook hook = hook_of(ifindex, sides[f].point);
	LIBBPF_OPTS(bpf_tc_opts, o, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY,
		    .prog_fd = kern_prog_fd(k, sides[f].program));
	unsigned int tries = 0;
	int err;

	err = filter_id(ifindex, f, id);
	if (!err && !known_id(k, f, *id))
		return -EBUSY;
	if (!err)
		o.flags = BPF_TC_F_REPLACE;
	message_clear();
	do
		err = bpf_tc_attach(&hook, &o);
	while (again(&tries, err));
	return err;
}

static void filter_remove(const struct kern *k, uint32_t ifindex, enum filter f)
{
	struct bpf_tc_hook hook = hook_of(ifindex, sides[f].point);
	LIBBPF_OPTS(bpf_tc_opts, o, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY);

	if (filter_is_ours(k, ifindex, f))
		bpf_tc_detach(&hook, &o);
}

bool egress_is_ours(const struct kern *k, uint32_t ifindex)
{
	return filter_is_ours(k, ifindex, FILTER_EGRESS);
}

static const char *why(int err)
{
	const char *said = message_extack();

	return said ? said : strerror(-err);
}

int egress_attach(struct kern *k, const char *device, uint32_t ifindex, bool *made_qdisc,
		  struct reason *r)
{
	struct bpf_tc_hook hook = hook_of(ifindex, BPF_TC_EGRESS);
	unsigned int tries = 0;
	uint32_t id = 0;
	int err;

	*made_qdisc = false;
	message_clear();
	do
		err = bpf_tc_hook_create(&hook);
	while (again(&tries, err));
	if (err && err != -EEXIST)
		return reason_set(r, err,
				  "egress of %s is not seen: no clsact qdisc (%s); connections are "
				  "proved by socket look-up instead",
				  device, why(err));
	*made_qdisc = !err;

	err = filter_put(k, ifindex, FILTER_EGRESS, &id);
	if (err == -EBUSY && id)
		return reason_set(r, -EBUSY,
				  "egress of %s is not seen: the tc filter at priority %u belongs "
				  "to program %u; connections are proved by socket look-up instead",
				  device, EGRESS_PRIORITY, id);
	if (!err) {
		/* Without it a client is told by its next segment's fate only. */
		if (!filter_put(k, ifindex, FILTER_MIRROR, &id) && !kern_control(k)->mirror)
			kern_control(k)->mirror = MIRROR_CLONE;
		return 0;
	}
	reason_set(r, err,
		   "egress of %s is not seen: tc refuses the filter (%s); connections are proved "
		   "by socket look-up instead",
		   device, why(err));
	if (*made_qdisc)
		egress_detach(k, ifindex, true);
	*made_qdisc = false;
	return err;
}

/* Does the qdisc's side (TC_H_MIN_INGRESS or _EGRESS) hold any filter? If the
 * kernel does not answer, yes: then nothing is removed. */
static bool has_filters(uint32_t ifindex, uint32_t side)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg t;
	} ask = {
		.h = { .nlmsg_len = sizeof(ask),
		       .nlmsg_type = RTM_GETTFILTER,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.t = { .tcm_ifindex = ifindex, .tcm_parent = TC_H_MAKE(TC_H_CLSACT, side) },
	};
	_cleanup_(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	_Alignas(struct nlmsghdr) char buf[16384];

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) != sizeof(ask))
		return true;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			return true;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (size_t)n);
		     h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return false;
			return true; /* a filter, or NLMSG_ERROR */
		}
	}
}

void egress_detach(const struct kern *k, uint32_t ifindex, bool made_qdisc)
{
	struct bpf_tc_hook hook = hook_of(ifindex, BPF_TC_EGRESS);

	filter_remove(k, ifindex, FILTER_EGRESS);
	filter_remove(k, ifindex, FILTER_MIRROR);
	if (!made_qdisc || has_filters(ifindex, TC_H_MIN_INGRESS) ||
	    has_filters(ifindex, TC_H_MIN_EGRESS))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}
