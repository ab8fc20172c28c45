/* SPDX-License-Identifier: BSD-2-Clause */
/* A look at a device and at a bpf file system, with nothing loaded and nothing changed. */
#include "kern/internal.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <linux/if_link.h>

int kern_device_xdp(const char *device, struct device_xdp *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info), ifindex = if_nametoindex(device);
	_cleanup_(closep) int fd = -1;
	int err;

	*out = (struct device_xdp){};
	if (!ifindex)
		return -ENODEV;
	err = bpf_xdp_query(ifindex, 0, &q);
	if (err || q.attach_mode == XDP_ATTACHED_NONE)
		return err;
	out->generic = !q.drv_prog_id && !q.hw_prog_id && q.skb_prog_id;
	out->prog_id = q.drv_prog_id   ? q.drv_prog_id
		       : q.skb_prog_id ? q.skb_prog_id
		       : q.hw_prog_id  ? q.hw_prog_id
				       : q.prog_id;
	fd = bpf_prog_get_fd_by_id(out->prog_id); /* its name needs CAP_SYS_ADMIN */
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(out->name, sizeof(out->name), "%s", info.name);
	return 0;
}

int kern_pins_possible(const char *dir, struct reason *r)
{
	return pin_check_fs(dir, r);
}
