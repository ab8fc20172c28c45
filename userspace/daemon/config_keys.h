/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_keys.h - the keys of [winnow] and [tables]: name, default as one would
 * write it, meaning. The reader, `config show`, "did you mean" and winnow.conf(5)
 * walk this table. Keys of [detect] are detect/settings.h's.
 *
 * X(id, section, name, default, help)
 */
#ifndef WINNOW_DAEMON_CONFIG_KEYS_H
#define WINNOW_DAEMON_CONFIG_KEYS_H

/* clang-format off */
#define CONFIG_KEYS(X) \
	X(INTERFACES, "winnow", "interfaces", "", \
	  "Devices to watch. They are attached at the start and whenever they come back.") \
	X(PORTS, "winnow", "ports", "443", \
	  "Protected ports, TCP and UDP (QUIC). Frames to other ports pass untouched.") \
	X(MODE, "winnow", "mode", "native", \
	  "native or generic: how the program is attached. Generic costs every packet a copy.") \
	X(PROOF, "winnow", "proof", "auto", \
	  "auto, egress or socket: how a connection is proved real. auto: egress on devices that " \
	  "allow it, else socket.") \
	X(ENFORCE, "winnow", "enforce", "each", \
	  "no, each or yes. no: every rule only counts what it would have done (shadow mode). " \
	  "each: a rule counts until the act that adds it, or a later one, says --enforce. yes: " \
	  "a rule acts at once.") \
	X(APPLY, "winnow", "apply", "asked", \
	  "asked or by_itself. by_itself: the rules of a farm whose every gate is met come into " \
	  "force without a person, by canary.") \
	X(MAX_RULES, "winnow", "max_rules", "30000", "Rules of farms at most.") \
	X(MAX_SHARE, "winnow", "max_share", "0.1%", \
	  "Share of the proved sources outside farms that one rule may hit; a rule that would " \
	  "have hit more in the last day is refused.") \
	X(CANARY_STEP, "winnow", "canary_step", "10m", \
	  "How long each step of a canary lasts: 1%, 10%, all.") \
	X(ALLOW, "winnow", "allow", "", \
	  "Networks that no rule may touch, beside those of winnow allow add.") \
	X(PROTECTED, "winnow", "protected", "", \
	  "Networks where one address is many people's - relays, carriers' NATs, companies - or " \
	  "somebody's you would hear from. Rules may name them; plans and dry runs say how many " \
	  "they would hit.") \
	X(MAX_PROTECTED, "winnow", "max_protected", "3", \
	  "Sources of protected networks that one farm's rules may name. A plan that names more " \
	  "is not applied, asked or by itself.") \
	X(PROXY_FROM, "winnow", "proxy_from", "", \
	  "Networks whose PROXY v1 and v2 headers are believed: the header's client is the " \
	  "source then. List only balancers that always send a header. A header from anybody " \
	  "else names nobody.") \
	X(TICK, "winnow", "tick", "10s", \
	  "How often expired rules are removed, lost devices looked for and names written.") \
	X(MAX_UNATTENDED, "winnow", "max_unattended", "15m", \
	  "After so long without winnowd the kernel drops nothing; 0s: rules hold until they " \
	  "expire.") \
	X(ON_STOP, "winnow", "on_stop", "keep", \
	  "keep or detach: whether programs and rules stay in force when the service is " \
	  "stopped. After a crash they always stay.") \
	X(GROUP, "winnow", "group", "", \
	  "Members of this group may ask over the control socket; changing is for root and " \
	  "winnowd's own user. Empty: nobody else.") \
	X(METRICS, "winnow", "metrics", "off", \
	  "off, a loopback address with a port, or the path of a unix socket: where " \
	  "winnow-metrics(7) are served.") \
	X(MMDB, "winnow", "mmdb", "", \
	  "MaxMind DB files of yours with AS numbers and countries, for what is shown. They are " \
	  "copied into memory; a reload reads them again when they have changed.") \
	X(P0F, "winnow", "p0f", "/etc/p0f/p0f.fp", \
	  "p0f's list of systems, for what is shown, where it is installed. Empty: none.") \
	X(STATE_DIR, "winnow", "state_dir", "/var/lib/winnow", "Rules, names, farms, the audit.") \
	X(RUN_DIR, "winnow", "run_dir", "/run/winnow", "Control socket and pid file.") \
	X(BPFFS, "winnow", "bpffs", "/sys/fs/bpf/winnow", \
	  "Where tables, programs and links are pinned.") \
	X(TALLIES, "tables", "tallies", "262144", \
	  "Rows of (source, stack, service). About 0.3 of them hold sources with less than " \
	  "0.1% lost.") \
	X(ORDERS, "tables", "orders", "65536", "Extension orders seen of each stack.") \
	X(FLOWS, "tables", "flows", "262144", "Connections under way.") \
	X(HANDSHAKES, "tables", "handshakes", "65536", "Handshakes under way.") \
	X(RULES, "tables", "rules", "65536", "Rules. An add to a full table is refused.") \
	X(PREFIXES, "tables", "prefixes", "65536", "Rules on prefixes, and allowed networks.") \
	X(REASSEMBLY, "tables", "reassembly", "1024", "Hellos of several segments under way.") \
	X(RING_BYTES, "tables", "ring_bytes", "4194304", \
	  "Room for events on their way up; a power of two.")
/* clang-format on */

#endif
