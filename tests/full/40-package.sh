#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 600
# The Debian package, built and put into a copy of this system (an overlay that is thrown
# away): lintian finds nothing, the user is made, an upgrade keeps the pins, remove
# detaches, purge leaves nothing (fault 96). systemd is not there; the guest has it.
. "$(dirname "$0")/../e2e/lib.sh"
PATH=$PATH:/usr/sbin
need dpkg-buildpackage lintian jq setpriv bpftool

check "the package builds and lintian has nothing to say" "$TREE/scripts/package/build" || finish
DEB=$(ls "$BUILD"/package/winnow_*.deb)
files() { dpkg-deb -c "$DEB" | awk '{ print $6 }'; }
check "it has programs, units, manuals, completions, alerts, dashboard" \
	test "$(files | grep -cE '/(winnow|winnowd|_winnow|winnow.fish|winnowd\.(service|socket)|run-winnow.bpf.mount|.*\.[578]\.gz|winnow.rules.yml|winnow.json)$')" -ge 16
check "no BPF object lies about for dh_strip to spoil" not grep -q '\.bpf\.o' <(files)

net_up
mkdir "$TMP/up" && mount -t tmpfs tmpfs "$TMP/up" && mkdir "$TMP/up"/{upper,work,root}
R=$TMP/up/root
if ! mount -t overlay -o "lowerdir=/,upperdir=$TMP/up/upper,workdir=$TMP/up/work" overlay "$R"; then
	umount "$TMP/up"
	skip "no overlay file system here"
fi
st=0
away() {
	umount -l "$R/run/winnow.bpf" "$R/proc" "$R/sys" "$R/dev" "$R/run" "$R" "$TMP/up" 2>/dev/null
}
trap 'st=$?; away; (exit $st); cleanup' EXIT
mount -t proc proc "$R/proc"
mount --bind /sys "$R/sys"
mount -t tmpfs tmpfs "$R/run"
mount --bind /dev "$R/dev"
cp "$DEB" "$R/root/w.deb"
inside() { on "$EDGE" chroot "$R" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
# Whatever is called winnow, but the package and what dpkg remembers of it.
left() { inside find / -xdev -path /proc -prune -o -path /sys -prune -o -path /work -prune -o -path /root -prune -o -path /tmp -prune -o -path /var/lib/dpkg/info -prune -o -iname '*winnow*' -print; }
before=$(left)

check "it installs" inside dpkg -i /root/w.deb
check "the user is there, with no shell" inside sh -c 'getent passwd winnow | grep -q nologin'
check "the configuration is good" inside winnow config check
check "the service begins in shadow mode" inside sh -c 'winnow config show --files | grep -qx "enforce = no"'

# What the units do, by hand.
inside mkdir -p /run/winnow.bpf /run/winnow /var/lib/winnow
inside mount -t bpf -o mode=0700 bpf /run/winnow.bpf
inside chown winnow:winnow /run/winnow.bpf /run/winnow /var/lib/winnow
printf '[winnow]\ninterfaces = eth0\n' >"$R/etc/winnow/winnow.conf.d/here.conf"
caps=+bpf,+net_admin,+perfmon
run() {
	start winnowd "$EDGE" chroot "$R" setpriv --reuid winnow --regid winnow --init-groups \
		--inh-caps "$caps" --ambient-caps "$caps" --bounding-set "-all,$caps" /usr/sbin/winnowd
}
up() { eventually 20 inside winnow status; }
program() { on "$EDGE" ip -d link show eth0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p'; }
# A start puts its own program into the link that is there; the link is what never ends.
link() { bpftool -j link show | jq --argjson p "$(program)" '.[] | select(.prog_id == $p) | .id'; }
run
check "the daemon runs as that user and attaches" up
id=$(program) link=$(link)
check "a program is on the device" test -n "$id"
check "and it watches in shadow" inside sh -c 'winnow status -j | grep -q "\"enforce\": false"'

kill "$winnowd_pid"
wait "$winnowd_pid"
check "an upgrade" inside dpkg -i /root/w.deb
check "keeps program and pins" test "$(program)" = "$id"
check "and its settings" inside test -s /etc/winnow/winnow.conf.d/here.conf
run
check "the daemon takes them over" up
check "in the same link" test -n "$link" -a "$(link)" = "$link"

kill "$winnowd_pid"
wait "$winnowd_pid"
check "remove" inside dpkg -r winnow
check "detaches (fault 96)" eventually 5 test -z "$(program)"
filters() { on "$EDGE" tc filter show dev eth0 egress; on "$EDGE" tc filter show dev eth0 ingress; }
check "with its filters" not grep winnow_ <(filters)
check "keeps rules and state for a later install" inside test -s /var/lib/winnow/state.db
check "purge" inside dpkg -P winnow
same() { diff <(printf "%s\n" "$before") <(printf "%s\n" "$(left)"); }
check "leaves nothing (fault 96)" same
check "no user" not inside getent passwd winnow
check "no group" not inside getent group winnow
finish
