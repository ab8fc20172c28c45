#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# beside
# What goes wrong around a daemon: the wall's clock jumps, the disk is full, somebody holds
# the database, memory and system calls fail one by one. Rules hold, honest
# clients are served, the daemon says what it could not do. Faults 72, 75, 76.
. "$(dirname "$0")/lib.sh"
need jq python3 gcc

A=10.7.0.1 B=10.7.0.2 C=10.7.0.3
CONTROL=$TMP/run/control.sock
gcc -O2 -Wall -shared -fPIC -o "$TMP/trouble.so" "$CLIENTS/trouble.c" -ldl || exit 1
# Trouble's file, and a disk of its own that goes with the daemon.
poke() { python3 -c 'import os, struct, sys
os.pwrite(os.open(sys.argv[1], os.O_RDWR), struct.pack("q", int(sys.argv[3])), 8 * int(sys.argv[2]))' "$TMP/trouble" "$1" "$2"; }
head -c 40 /dev/zero >"$TMP/trouble"
REAL=$WINNOWD
cat >"$TMP/winnowd" <<-EOF2
	#!/bin/sh
	exec unshare -m sh -c 'mount -t tmpfs -o size=4m tmpfs $TMP/state &&
		cp -a $TMP/kept/. $TMP/state/ && TROUBLE=$TMP/trouble LD_PRELOAD=$TMP/trouble.so exec "\$0" "\$@"' $REAL "\$@"
EOF2
chmod +x "$TMP/winnowd"
mkdir -p "$TMP/kept"
WINNOWD=$TMP/winnowd
disk() { echo "/proc/$winnowd_pid/root$TMP/state"; }
in_disk() { nsenter -m -t "$winnowd_pid" "$@"; }

net_up
web_up
winnow_up
add() { w rule add "$@" reason story; }
served() { on "$WORLD" curl -sk -o "$TMP/page" --max-time 2 --interface "host!$1" --resolve "$NAME:$PORT:$EDGE4" "https://$NAME/small"; }
dropped() { ! on "$WORLD" curl -sk -o "$TMP/page" --max-time 1 --interface "host!$1" --resolve "$NAME:$PORT:$EDGE4" "https://$NAME/small"; }
exits() {
	local want=$1
	shift
	"$@"
	[ $? -eq "$want" ]
}
add src $A action drop >/dev/null
check "a rule holds" dropped $A
check "honest clients are served" served $B

# ---- the clock of the wall (fault 72) ----------------------------------------------------
add src $C action drop for 6s >/dev/null
began=$SECONDS
poke 0 86400
check "a day ahead: a rule for 6 s is still there" dropped $C
listed() { [ "$(w rule list -j | jq '.rules | length')" -eq "$1" ]; }
check "and listed" listed 2
check "and ends when its 6 s are over" eventually 10 served $C
[ $((SECONDS - began)) -ge 5 ] || check "not before" false
poke 0 -86400
add src $C action drop for 6s >/dev/null
check "a day back: a rule for 6 s holds" dropped $C
check "and ends" eventually 9 served $C
check "by the daemon's list, too" eventually 6 listed 1
poke 0 0

# ---- the disk (fault 76) -----------------------------------------------------------------
dd if=/dev/zero of="$(disk)/full" bs=4k 2>/dev/null
check "the disk is full" sh -c "! head -c 8192 /dev/zero 2>/dev/null >'$(disk)/more'"
check "no rule is added" exits 1 add src $C action drop for 10m
check "those that are there hold" dropped $A
check "honest clients are served" served $B
check "nothing is dropped that was not said" served $C
rm "$(disk)/full" "$(disk)/more"
check "with room again a rule is added" add src $C action drop for 10m
check "and holds" dropped $C
in_disk python3 - "$TMP/state/state.db" "$TMP/held" <<'PY' &
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
open(sys.argv[2], "w").close()
for _ in range(600):
    time.sleep(0.05)
    if not os.path.exists(sys.argv[2]):
        break
db.execute("ROLLBACK")
PY
holder=$!
eventually 5 test -e "$TMP/held"
check "somebody holds the database: no rule is added" exits 1 add src 10.7.0.9 action drop for 10m
check "those that are there hold" dropped $A
check "and the daemon answers" w status
rm "$TMP/held"
wait $holder
check "afterwards one is added" add src 10.7.0.9 action drop for 10m
check "the audit is whole" w audit verify

# ---- memory and system calls (fault 75) -----------------------------------------------------
on "$WORLD" timeout 200 python3 "$CLIENTS/probe.py" $A $EDGE4 $PORT "$TMP/stop" >"$TMP/probes" &
probes=$!
for what in malloc call; do
	python3 "$CLIENTS/trouble.py" "$TMP/trouble" "$CONTROL" "$winnowd_pid" $what >"$TMP/trouble.$what"
	check "each ${what/call/system call} of a request fails once, the daemon lives" test $? -eq 0
	sed 's/^/# /' "$TMP/trouble.$what"
	check "and rules hold" dropped $A
done
check "honest clients are served" served $B
check "the audit is whole" w audit verify
cp -a "$(disk)/." "$TMP/kept/"
rules() { w rule list -j | jq -c '[.rules[] | {handle, match, in_force}]'; }
was=$(rules)
kill -TERM "$winnowd_pid"
wait "$winnowd_pid"
for n in 10 60 150 400; do
	poke 2 $n
	nsenter --net="/run/netns/$EDGE" timeout -s TERM 4 "$WINNOWD" -f -c "$TMP/winnow.conf" >"$TMP/start.log" 2>&1
	code=$?
	poke 2 0
	[ $code -le 124 ] && { [ $code -eq 0 ] || [ $code -eq 124 ] || [ -s "$TMP/start.log" ]; } ||
		check "call $n of a start fails: exit $code" cat "$TMP/start.log" -
done
WINNOWD=$TMP/winnowd winnowd_start
check "after starts that failed everywhere it starts" w status
# More may be there: a rule that was taken out while the database failed is back, as was said.
same() { rules | jq --argjson was "$was" -e '. as $now | all(.[]; .in_force) and all($was[]; IN($now[]))'; }
check "with the rules there were" same
touch "$TMP/stop"
wait $probes
read -r sent answered <"$TMP/probes"
check "of $sent probes of a blocked source through all that, 0 were answered" test "$answered" -eq 0 -a "$sent" -gt 100
finish
