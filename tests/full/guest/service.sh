#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# In the guest with systemd: the package from its installation to its purge, as an operator
# does it. The machine's own network is the edge; visitors come from a namespace. Runs at
# every boot and goes on where the last one ended; "." at the very end. The packages are
# in build/service, made by 41-service.sh.
cd /tree || exit
# shellcheck source=/dev/null
. /etc/story-env
. /tree/tests/e2e/lib.sh
trap - INT TERM	# lib.sh's would end everything in the machine's network
ended() {
	echo "! the story broke off after claim $CHECKS"
	tail -n 5 "$TMP"/*.log
	systemctl --no-block poweroff
}
trap ended EXIT
STAGE=$(cat /var/lib/story-stage 2>/dev/null || echo 0)
CHECKS=$(cat /var/lib/story-checks 2>/dev/null || echo 0)
PACKAGES=/tree/build/service

namespace() {	# lib.sh's, but the edge is this machine
	ip netns attach "$EDGE" 1
	ip netns add "$WORLD"
	ip -n "$WORLD" link set lo up
	sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
	on "$WORLD" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
}
w() { winnow "$@"; }
# An emulated processor takes its time.
eval "$(declare -f eventually | sed '1s/.*/eventually_soon()/')"
eventually() { local s=$1; shift; eventually_soon $((s * 5)) "$@"; }
gone() {	# the machine ends; what is next is the next stage's
	echo $((STAGE + 1)) >/var/lib/story-stage
	echo "$CHECKS" >/var/lib/story-checks
	sync
	trap - EXIT
	systemctl --no-block "$1"
	exit 0
}
main_pid() { systemctl show -P MainPID winnowd; }
status_of() { awk -v n="$1:" '$1 == n { print $2 }' "/proc/$(main_pid)/status"; }
is() { [ "$1" = "$2" ] || { echo "$1, not $2"; false; }; }
property() { is "$(systemctl show -P "$1" winnowd)" "$2"; }
active() { systemctl is-active --quiet winnowd && winnow status >/dev/null; }
program() { ip -d link show eth0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p'; }
link() { $PACKAGES/bpftool -j link show | jq -r '.[] | select(.type == "xdp") | .id'; }
farm() { winnow farm list -j | jq -e '.farms | any(.id == "f1" and (.members | length) == 40)' >/dev/null || { winnow farm list; false; }; }
rules() { winnow rule list -j | jq -c '[.rules[] | {handle, match, action, reason}]'; }
kept() { active && is "$(rules)" "$(cat /var/lib/story-rules)" && farm; }

# during TEXT CMD...: while it is done, five honest visits a second and one of the ruled stack
# after the other; no honest one fails, no ruled one gets through.
during() {
	local text=$1 n honest ruled
	shift
	rm -f "$TMP/done" "$TMP/honest" "$TMP/ruled"
	until [ -e "$TMP/done" ]; do
		for ((n = 0; n < 25; n++)); do echo "$((n * 200)) 10.8.1.$((n + 1)) - 2 100 post"; done | visits python
	done >"$TMP/honest" &
	honest=$!
	until [ -e "$TMP/done" ]; do visit curl 10.8.2.1 1; done >"$TMP/ruled" 2>&1 &
	ruled=$!
	eventually 60 test -s "$TMP/honest" >/dev/null
	check "$text" "$@"
	touch "$TMP/done"
	wait $honest $ruled
	note "meanwhile $(jq -s length "$TMP/honest") honest visits, $(jq -s length "$TMP/ruled") ruled"
	check "no honest request failed" eval 'jq -se "length >= 50 and (map(.failed) | add) == 0" "$TMP/honest" ||
		{ jq -c "select(.failed != 0)" "$TMP/honest" | head -n 3; false; }'
	check "no ruled one got through" jq -se 'length > 0 and (map(.ok) | add) == 0' "$TMP/ruled"
}

# Every file, but what a running Debian itself writes.
files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /tree \
		-o -path /root -o -path /var/log -o -path /var/cache -o -path /var/tmp -o -path /var/lib/apt \
		-o -path /var/lib/systemd -o -path '/var/lib/story*' -o -path /var/lib/nginx \) -prune -o -print |
		grep -vE '^/var/lib/dpkg/(status|lock|available|triggers|diversions|statoverride|info/format|updates)|^/etc/(passwd|group|shadow|gshadow)-$|^/etc/\.pwd\.lock$|^/etc/ssl|^/etc/story|/__pycache__' | sort
}
accounts() { cut -d : -f 1 /etc/passwd /etc/group | sort; }

network() {
	net_up
	web_up
}

# ---- the first boot: from nothing to a service in shadow mode -----------------------
first() {
	local command
	check "systemd is process 1, the kernel is Debian's $(uname -r)" grep -qx systemd /proc/1/comm
	network
	files >/var/lib/story-files
	accounts >/var/lib/story-accounts

	# What README tells: installing, then three commands. In its directory, by root.
	mkdir -p /root/clone/build/package
	cp $PACKAGES/1/*.deb /root/clone/build/package
	cd /root/clone || exit
	check "README's way to install it is an apt" grep -q '^sudo apt install' /etc/story-install
	check "README's three commands are three" is "$(grep -c . /etc/story-commands)" 3
	check "the package installs: $(cat /etc/story-install)" bash -e /etc/story-install
	check "nothing of it is broken" is "$(dpkg -l winnow | sed -n 's/^\(ii\) .*/\1/p')" ii
	check "the service runs, in shadow mode on no device" eventually 120 active
	while read -r command; do
		check "$command" bash -ec "$command"
	done </etc/story-commands
	cd /tree || exit
	check "eth0 is watched, natively" eventually 120 attached
	check "status says shadow mode" sh -c 'winnow status -j | jq -e ".enforce == false"'
	check "the service will start with the machine" systemctl is-enabled winnowd

	check "systemd calls it active and running" is "$(systemctl show -P ActiveState -P SubState winnowd | paste -sd ' ')" "active running"
	check "Type=notify" property Type notify
	check "it told systemd its state" sh -c 'systemctl status winnowd | grep -q "Status: \"eth0 native; 0 rules, 0 farms"'
	check "it runs as its own user" is "$(ps -o user= -p "$(main_pid)")" winnow
	check "with CAP_NET_ADMIN in force" is "$(status_of CapEff)" 0000000000001000
	check "and permitted, no other" is "$(status_of CapPrm)" 0000000000001000
	# net_admin 12, perfmon 38, bpf 39
	check "out of three that it may ever have" is "$(status_of CapBnd)" 000000c000001000
	check "it can gain none" is "$(status_of NoNewPrivs)" 1
	check "its system calls are filtered" is "$(status_of Seccomp)" 2
	pings() { systemctl show -P WatchdogTimestampMonotonic winnowd; }
	local ping
	ping=$(pings)
	later() { [ "$(pings)" -gt "$ping" ]; }
	check "the watchdog is fed" eventually 60 later
	check "doctor finds nothing bad" winnow doctor
}

second() {
	local h id
	check "Python visits" visit python 10.5.0.1 3
	check "curl visits" visit curl 10.5.0.2 3
	check "each is tallied once" eventually 30 tally_is connections 10.5.0.2 1
	check "their stacks differ" not is "$(stack_of 10.5.0.1)" "$(stack_of 10.5.0.2)"
	h=$(w rule add src 10.5.0.2 stack "$(stack_of 10.5.0.2)" action reset for 6h reason "not this curl")
	check "a rule is taken" test -n "$h"
	check "in shadow mode it drops nothing" visit curl 10.5.0.2
	check "and counts what it would have" eventually 30 sh -c "winnow rule list -j | jq -e '.rules[0].would_hit.connections >= 1'"
	# A story of a few clients is no site: any share may be hit.
	printf '[winnow]\nenforce = yes\nmax_share = 100%%\n' >/etc/winnow/winnow.conf.d/story.conf
	check "systemctl reload takes new settings" systemctl reload winnowd
	w rule del "$h" 2>/dev/null
	h=$(w rule add stack "$(stack_of 10.5.0.2)" action reset for 6h reason "no curl")
	check "enforced, curl is reset" not visit curl 10.5.0.4
	check "Python is not" visit python 10.5.0.4

	field() { journalctl -u winnowd -o json | jq -se "any(.[]; $1)"; }
	check "the journal has the rule's line with WINNOW_ABOUT, WINNOW_RULE, WINNOW_LEVEL" eventually 30 field \
		".WINNOW_ABOUT == \"rule\" and .WINNOW_RULE == \"$h\" and .WINNOW_LEVEL == \"notice\" and ._SYSTEMD_UNIT == \"winnowd.service\""
	check "by which journalctl selects" sh -c "journalctl -q WINNOW_RULE=$h | grep -q 'no curl'"
	check "no file is logged to" test -z "$(find /var/log -name '*winnow*')"

	# A farm as it would be remembered; making one takes more machine than this. No window
	# is to judge it meanwhile.
	systemctl stop winnowd.socket winnowd
	printf '[detect]\nwindow = 1h\n' >>/etc/winnow/winnow.conf.d/story.conf
	check "stopped, the program stays" test -n "$(program)"
	check "(bpftool sees it)" grep -qE 'name winnow_xdp' <($PACKAGES/bpftool prog show)
	check "and the rule bites" not visit curl 10.5.0.4
	runuser -u winnow -- build/tests/e2e/plant_farm /var/lib/winnow 40
	systemctl start winnowd
	check "started, the farm is there" eventually 120 farm
	rules >/var/lib/story-rules

	id=$(link)
	during "systemctl restart" systemctl restart winnowd
	check "rules and farm are there" eventually 60 kept
	check "the device's link is the one that was" is "$(link)" "$id"

	killed() { kill -KILL "$(main_pid)"; eventually 60 active; }
	during "kill -9: systemd starts it again" killed
	check "rules and farm are there" eventually 60 kept
	check "systemd counted it" not property NRestarts 0

	# WatchdogSec is 30 s.
	hung() {
		local n
		n=$(systemctl show -P NRestarts winnowd)
		kill -STOP "$(main_pid)"
		again() { [ "$(systemctl show -P NRestarts winnowd)" -gt "$n" ] && active; }
		eventually 150 again
	}
	check "a daemon that hangs is killed by the watchdog and started again" hung
	check "rules and farm are there" eventually 60 kept

	during "the package of a higher version: apt" apt-get -q -y install $PACKAGES/2/*.deb
	check "the new version answers" eventually 60 sh -c 'winnow status -j | jq -e ".version == \"'"$NEXT"'\""'
	check "rules and farm are there" eventually 60 kept
	check "and settings" grep -qx 'interfaces = eth0' /etc/winnow/winnow.conf
}

# ---- the second boot: pins are gone, the service brings everything back ----------------
third() {
	check "after a reboot the service is there" eventually 240 active
	network
	check "eth0 comes later and is attached" eventually 60 attached
	check "rules and farm are there" eventually 120 kept
	check "curl is reset" eventually 120 not visit curl 10.5.0.4
	check "Python is not" visit python 10.5.0.4
}

# ---- the same service, its program built with ASan and UBSan ----------------------------
sanitized() {
	local unit=/etc/systemd/system/winnowd.service.d reports=/var/lib/winnow/report n what
	mkdir -p $unit
	# In the unit's own sandbox, but for leaks: they are looked for by tracing oneself,
	# which a process with capabilities may not.
	cat >$unit/sanitized.conf <<-END
		[Service]
		ExecStart=
		ExecStart=/tree/build/san/winnowd
		Environment=ASAN_OPTIONS=detect_leaks=0:log_path=$reports UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports
		TimeoutStartSec=10min
	END
	systemctl daemon-reload
	check "with sanitizers it starts" systemctl restart winnowd
	check "and answers" eventually 60 active
	check "(they are in it)" grep -q libasan "/proc/$(main_pid)/maps"
	n=$(systemctl show -P NRestarts winnowd)
	check "Python visits" visit python 10.5.0.6 3
	check "is tallied" eventually 60 tally_is exchanges 10.5.0.6 3
	check "a rule comes" w rule add src 10.5.0.7 stack "$(stack_of 10.5.0.6)" action reset for 6h reason "not this Python"
	check "settings are read again" systemctl reload winnowd
	for what in status "source list" "fp list" "farm list" "plan show" "rule list" "allow list" doctor "audit verify" "top -b -n 1"; do
		# shellcheck disable=SC2086
		check "winnow $what" winnow $what
	done
	check "it stops" systemctl stop winnowd
	check "was never started again" property NRestarts "$n"
	# UBSan writes where the program's errors go, whatever log_path says.
	check "and has reported nothing (fault 100)" eval '! { cat $reports*; journalctl -q -u winnowd; } 2>/dev/null | grep -A 12 -E "runtime error: |AddressSanitizer"'
	rm -rf $unit $reports*
	systemctl daemon-reload
	check "without them it is the one that was" eval 'systemctl start winnowd && eventually 60 active'
}

# ---- the end ---------------------------------------------------------------------------
last() {
	check "apt remove" apt-get -q -y remove winnow
	check "detaches: no program on the device" eventually 10 test -z "$(program)"
	check "no service is left" not systemctl cat winnowd
	check "no mount" not mountpoint -q /run/winnow.bpf
	check "state stays for a later install" test -s /var/lib/winnow/state.db
	check "what a rule stopped gets through" visit curl 10.5.0.4
	check "apt purge" apt-get -q -y purge winnow
	systemctl daemon-reload
	gone_files() { diff /var/lib/story-files <(files); }
	check "no file is there that was not, and none is missing (fault 96)" gone_files
	gone_accounts() { diff /var/lib/story-accounts <(accounts); }
	check "no user and no group" gone_accounts
	check "no process" not pgrep -x winnowd
	check "nothing in /run" not ls -d /run/winnow*
	check "no unit" test -z "$(systemctl list-units --all --no-legend '*winnow*')"
	in_kernel() { grep -E 'name (winnow_|tallies|flows|rules|counters)' <($PACKAGES/bpftool prog show; $PACKAGES/bpftool map show); }
	check "no program and no table in the kernel" eventually 5 not in_kernel
}

case $STAGE in
0) first
	[ "$PARTS" != sanitized ] || sanitized
	[ "$PARTS" = all ] || { last; echo .; gone poweroff; }
	second
	gone reboot ;;
1) third; sanitized; last; echo .; gone poweroff ;;
esac
