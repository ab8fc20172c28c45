#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# winnowd as its unit runs it: a user with three capabilities, two of them given up once
# it is attached; the control socket given by systemd; notify, watchdog and status. Faults 58, 63.
. "$(dirname "$0")/lib.sh"
need jq systemd-analyze systemd-socket-activate python3 setpriv
UNITS=$TREE/userspace/share/systemd

exposure() {
	local said
	said=$(systemd-analyze security --offline=yes --threshold=20 "$UNITS/winnowd.service" --no-pager) || { echo "$said" | tail -n 3; return 1; }
	echo "$said" | tail -n 1
}
check "systemd-analyze security: exposure at most 2.0" exposure
fake_root() { # the units beside the programs they name, so that verify can look
	mkdir -p "$TMP/root"/{usr/sbin,usr/bin,bin,etc/systemd/system}
	cp "$UNITS"/* "$TMP/root/etc/systemd/system"
	for p in usr/sbin/winnowd usr/bin/winnow bin/chown; do printf '#!/bin/sh\n' >"$TMP/root/$p"; chmod 755 "$TMP/root/$p"; done
}
fake_root
verify() { local said; said=$(systemd-analyze verify --root="$TMP/root" --man=no winnowd.service winnowd.socket 2>&1 | grep -E 'winnow|bpf\.mount' | grep -v 'sysinit.target not found'); echo "$said"; [ -z "$said" ]; }
check "systemd-analyze verify has nothing to say" verify

net_up
web_up
on "$EDGE" ip link add eth9 type veth peer name peer9
on "$EDGE" ip link set eth9 up
on "$EDGE" ip link set peer9 up

# Who listens for sd_notify: one line a message.
cat >"$TMP/notify.py" <<-'EOF'
	import os, socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(sys.argv[1])
	os.chmod(sys.argv[1], 0o666)
	while True:
	    for line in s.recv(4096).decode().split("\n"):
	        print(line, flush=True)
EOF
mkdir -p "$TMP/run"
start notify "$EDGE" python3 "$TMP/notify.py" "$TMP/notify.sock"
eventually 5 test -S "$TMP/notify.sock" >/dev/null

# The steps of winnow_up, but for the program that hands over the socket.
mkdir -p "$TMP/state" "$TMP/bpf"
# As run-winnow.bpf.mount does it: /sys/fs/bpf is root's alone.
mount -t bpf -o mode=0700,nosuid,nodev,noexec bpf "$TMP/bpf"
st=0
trap 'st=$?; umount -l "$TMP/bpf"; (exit $st); cleanup' EXIT
cat >"$TMP/winnow.conf" <<-EOF
	[winnow]
	interfaces = eth0
	ports = $PORT
	tick = 200ms
	group = nogroup
	state_dir = $TMP/state
	run_dir = $TMP/run
	bpffs = $TMP/bpf
EOF
chown -R nobody "$TMP/state" "$TMP/run" "$TMP/bpf"
caps=+bpf,+net_admin,+perfmon
export NOTIFY_SOCKET=$TMP/notify.sock WATCHDOG_USEC=3000000
start winnowd "$EDGE" setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps "$caps" --ambient-caps "$caps" \
	--bounding-set "-all,$caps" systemd-socket-activate -l "$TMP/run/control.sock" \
	-E NOTIFY_SOCKET -E WATCHDOG_USEC "$WINNOWD" -f -c "$TMP/winnow.conf"
unset NOTIFY_SOCKET WATCHDOG_USEC
eventually 5 test -S "$TMP/run/control.sock" >/dev/null
inode() { stat -c %i "$TMP/run/control.sock"; }
before=$(inode)
check "the first question starts it, over the socket it is given" eventually 20 attached
check "READY=1 was said" said notify '^READY=1$'
check "STATUS= names device, mode, rules, farms, losses" \
	eventually 5 said notify '^STATUS=eth0 native; 0 rules, 0 farms, 0 tallies and 0 events lost$'
check "the watchdog is pinged" eventually 5 said notify '^WATCHDOG=1$'

main_pid() { cat "$TMP/run/winnowd.pid"; }
# CAP_NET_ADMIN is number 12; the detector's thread has not even that.
only_net_admin() {
	local said
	said=$(grep -h '^CapEff\|^CapPrm\|^CapInh\|^CapAmb' /proc/"$(main_pid)"/task/*/status | grep -v ':.0000000000000000$' | sort -u)
	[ "$said" = "$(printf 'CapEff:\t0000000000001000\nCapPrm:\t0000000000001000')" ] || { echo "$said"; false; }
}
check "every thread has given up CAP_BPF and CAP_PERFMON" only_net_admin
check "and it counts" visit python 10.5.0.1
check "the visit was tallied" eventually 5 tally_is connections 10.5.0.1 1
check "a second device can still be attached" w attach eth9
check "with its egress program" eventually 3 test "$(w status -j | jq '[.devices[] | select(.egress)] | length')" = 2
check "rules are added" w rule add src 10.5.0.9 action drop for 5m reason story
sed -i '/^ports/a proxy_from = 10.77.0.0/16' "$TMP/winnow.conf"
check "settings that need tables are taken" w config reload
on "$EDGE" ip link del eth9
on "$EDGE" ip link add eth9 type veth peer name peer9
on "$EDGE" ip link set eth9 up
sed -i 's/^interfaces.*/interfaces = eth0 eth9/' "$TMP/winnow.conf"
w config reload 2>/dev/null
back() { w status -j | jq -e '[.devices[] | select(.device == "eth9" and .alive and .egress)] | length == 1'; }
check "a device that went and came is attached again" eventually 5 back

# A hang is noticed by whoever counts the pings: they come from the loop.
pings() { grep -c '^WATCHDOG=1$' "$TMP/notify.log"; }
kill -STOP "$(main_pid)"
n=$(pings)
sleep 1.5
check "no ping while it hangs" test "$(pings)" = "$n"
kill -CONT "$(main_pid)"
more() { [ "$(pings)" -gt "$n" ]; }
check "pings again when it goes on" eventually 5 more

kill -TERM "$(main_pid)"
check "STOPPING=1 was said" eventually 10 said notify '^STOPPING=1$'
wait "$winnowd_pid"
check "it ends with 0" test $? = 0
check "the socket that was given stays" test "$(inode)" = "$before"
finish
