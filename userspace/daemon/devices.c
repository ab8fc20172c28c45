/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"

const char *proof_text(uint32_t proof)
{
	static const char *const names[] = { NULL, "egress", "socket", "ingress" };

	return proof <= PROOF_INGRESS ? names[proof] : NULL;
}

void devices_choose_proof(struct daemon *d)
{
	_cleanup_(freep) struct attachment *list = NULL;
	struct control *c = kern_control(d->kern);
	bool egress = true;
	size_t n = 0;

	if (kern_attachments(d->kern, &list, &n))
		return;
	for (size_t i = 0; i < n; i++)
		egress &= list[i].egress || !list[i].alive;
	if (d->cfg.proof == PROOF_WISH_SOCKET || (d->cfg.proof == PROOF_AUTO && !egress))
		__atomic_store_n(&c->proof, PROOF_SOCKET, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&c->proof, PROOF_EGRESS, __ATOMIC_RELEASE);
	if (d->cfg.proof == PROOF_WISH_EGRESS && !egress)
		trouble_set(d, "proof",
			    "proof = egress, but a device has no egress program: nothing it sees "
			    "can be proved");
	else
		trouble_set(d, "proof", NULL);
}

static bool attached(const struct attachment *list, size_t n, const char *device, bool *dead)
{
	*dead = false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].device, device))
			continue;
		if (list[i].alive)
			return true;
		*dead = true;
	}
	return false;
}

static bool let_go(const struct daemon *d, const char *device)
{
	for (size_t i = 0; i < d->n_let_go; i++)
		if (!strcmp(d->let_go[i], device))
			return true;
	return false;
}

void devices_let_go(struct daemon *d, const char *device, bool yes)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n_let_go; i++)
		if (strcmp(d->let_go[i], device))
			memmove(d->let_go[kept++], d->let_go[i], sizeof(d->let_go[i]));
	d->n_let_go = kept;
	if (yes && kept < CONFIG_INTERFACES_MAX)
		snprintf(d->let_go[d->n_let_go++], sizeof(d->let_go[0]), "%s", device);
}

void devices_settle(struct daemon *d)
{
	_cleanup_(freep) struct attachment *list = NULL;
	struct reason r;
	char about[32];
	size_t n = 0;

	if (kern_attachments(d->kern, &list, &n))
		return;
	for (size_t i = 0; i < d->cfg.n_interfaces; i++) {
		const char *device = d->cfg.interfaces[i];
		bool dead;

		snprintf(about, sizeof(about), "device %s", device);
		if (attached(list, n, device, &dead) || let_go(d, device)) {
			trouble_set(d, about, NULL);
			continue;
		}
		/* The device went and came: the old link holds nothing. */
		if (dead && if_nametoindex(device))
			kern_detach(d->kern, device, NULL);
		if (kern_attach(d->kern, device, d->cfg.mode, &r)) {
			trouble_set(d, about, "%s", r.text);
			continue;
		}
		log_note("attached to %s (%s)", device,
			 d->cfg.mode == ATTACH_GENERIC ? "generic" : "native");
		trouble_set(d, about, NULL);
	}
	devices_choose_proof(d);
}

/* ---- devices that come and go ------------------------------------------------------- */

int devices_watch(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

void devices_changed(struct daemon *d, int fd)
{
	char bytes[8192];

	/* What happened is asked, not read: a full socket buffer loses nothing. */
	while (recv(fd, bytes, sizeof(bytes), 0) > 0 || errno == ENOBUFS)
		;
	devices_settle(d);
}
