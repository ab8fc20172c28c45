/* SPDX-License-Identifier: BSD-2-Clause */
/* quic.c - what userspace read in a QUIC datagram, into the programs' tables. */
#include "kern/internal.h"

#include <errno.h>

#include "model/quic_news.h"

int kern_quic_news(struct kern *k, const struct quic_news *n)
{
	struct quic_name name;
	struct quic_id id;
	int err = 0;

	if (n->keys) {
		name = (struct quic_name){
			.ja4 = n->keys->ja4_key,
			.stack = n->keys->stack_key,
			.order = n->keys->order_hash,
			.hello_flags = n->keys->flags,
		};
		/* There already: the programs have counted with it. */
		err = map_put(kern_map_fd(k, "quic_names"), &n->name, &name, BPF_NOEXIST);
		if (err == -EEXIST)
			err = 0;
	}
	if (!err && n->id) {
		err = map_get(kern_map_fd(k, "quic_ids"), &n->id, &id);
		if (!err && !id.name) {
			id.name = n->name;
			err = map_put(kern_map_fd(k, "quic_ids"), &n->id, &id, BPF_EXIST);
		}
		if (err == -ENOENT) /* pushed out since */
			err = 0;
	}
	return err;
}
