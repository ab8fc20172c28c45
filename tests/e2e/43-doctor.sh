#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# winnow doctor on real devices and mounts: what it says is so, and --fix mends what it
# says it mends (faults 10, 61, 62, 64, 70).
. "$(dirname "$0")/lib.sh"
need jq unshare setpriv

net_up
# says ABOUT STATE WORDS: one finding has all three.
says() {
	DOC=$(w doctor -j ${DEVICE:-} 2>/dev/null)
	jq -e --arg a "$1" --arg s "$2" --arg f "$3" \
		'any(.findings[]; .about == $a and .state == $s and (.found | contains($f)))' <<<"$DOC" >/dev/null || { jq -c '.findings[]' <<<"$DOC"; false; }
}
DEVICE=eth0
check "no daemon is said, and is no failure" says winnowd warn "nobody listens"
check "a veth has native XDP" says "device eth0" ok "driver veth has native XDP"
check "this kernel is good" says kernel ok "Linux $(uname -r)"
check "so is its BTF" says BTF ok there
check "and root's capabilities" says capabilities ok CAP_PERFMON
gives() { local want=$1; shift; "$@" >/dev/null 2>&1; local got=$?; [ $got = "$want" ] || { echo "exit $got, not $want"; false; }; }
on "$EDGE" ip link set eth0 mtu 9000
check "a jumbo MTU is no trouble for a driver with frags" says "device eth0" ok "MTU 9000"
on "$EDGE" ip link set eth0 mtu 1500

# Fault 70: without capabilities one line, and the rest all the same.
nobody() { on "$EDGE" setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all "$WINNOW" --socket "$TMP/none" doctor -j eth0; }
lacks() { nobody | jq -e 'any(.findings[]; .about == "capabilities" and .state == "note" and (.found | contains("lacks CAP_BPF")))'; }
chmod 755 "$TMP"
check "a user without capabilities is told which are missing" lacks

# Fault 62: somebody else's program, here that of another winnow.
winnow_up
check "an attached device says so" says "device eth0" ok "winnow is attached, native"
check "the proof in use" says proof ok egress
foreign() { on "$EDGE" "$WINNOW" --socket "$TMP/none" doctor -j eth0 | jq -e 'any(.findings[]; .state == "bad" and (.found | test("XDP program [0-9]+ .*is there")) and (.do | contains("ip link set eth0 xdp off")))'; }
check "a program of somebody else is bad news, with its number" foreign
check "which is exit 1" gives 1 on "$EDGE" "$WINNOW" --socket "$TMP/none" doctor eth0
DEVICE=
check "without a name it looks at what is watched" says "device eth0" ok "winnow is attached"
DEVICE=nosuch0
check "a device that is not there is bad" says "device nosuch0" bad "no such device"
DEVICE=
w panic >/dev/null 2>&1
check "panic is pointed out" says panic warn "it is on"

# Fault 61: bpf file systems that are missing or read-only, in a mount namespace of our own.
mounts() { unshare -m --propagation private bash -c "$1"; }
doctor="$WINNOW --socket $TMP/none doctor -j lo"
gone() {
	mounts "umount -l /sys/fs/bpf; umount -l /run/winnow.bpf 2>/dev/null; rmdir /run/winnow.bpf 2>/dev/null
		$doctor | jq -e 'any(.findings[]; .about == \"bpffs\" and .state == \"bad\" and (.found | contains(\"no bpf file system is mounted\")))' &&
		$doctor --fix | jq -e 'any(.findings[]; .about == \"bpffs\" and .state == \"ok\" and (.found | contains(\"mounted now\")))' &&
		mountpoint -q /sys/fs/bpf"
}
check "a missing bpf file system is named, and mounted by --fix" gone
readonly_fs() {
	mounts "umount -l /sys/fs/bpf; mount -t bpf bpf /sys/fs/bpf; mount -o remount,ro /sys/fs/bpf
		$doctor | jq -e 'any(.findings[]; .about == \"bpffs\" and .state == \"bad\" and (.found | contains(\"read-only\")))' &&
		$doctor --fix | jq -e 'any(.findings[]; .about == \"bpffs\" and .state == \"ok\" and (.found | contains(\"writable now\")))'"
}
check "a read-only one is named, and made writable by --fix" readonly_fs
table() { w doctor 2>/dev/null | grep -qE '^(ok|note|warn|bad) +kernel +Linux'; }
check "a person gets a line each" table
finish
