/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bench/lib_peers.h"

#include <errno.h>
#include <string.h>

#include "tests/bench/lib_stat.h"

struct peers_bpf *peers_open(const char *needed, const struct peer_sizes *sizes)
{
	const struct peer_sizes n = sizes ? *sizes : (struct peer_sizes){};
	struct peers_bpf *p = peers_bpf__open();
	struct bpf_program *prog;

	if (!p)
		die("open the peers: %s", strerror(errno));
	bpf_object__for_each_program(prog, p->obj)
		bpf_program__set_autoload(prog, strstr(needed, bpf_program__name(prog)));
	p->rodata->n_rows = n.rows ?: 1;
	if (bpf_map__set_max_entries(p->maps.lru_flows, n.lru_flows ?: 1) ||
	    bpf_map__set_max_entries(p->maps.lru_handshakes, n.lru_handshakes ?: 1) ||
	    bpf_map__set_max_entries(p->maps.rows, n.rows ?: 1) ||
	    bpf_map__set_max_entries(p->maps.trie, n.trie ?: 1) || peers_bpf__load(p))
		die("load the peers: %s", strerror(errno));
	return p;
}

int peer(const struct bpf_program *p)
{
	return bpf_program__fd(p);
}
