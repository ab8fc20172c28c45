#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Each allocation and each system call fails once: of a client, of a replay, of a daemon's
# start, of each request. What ends says so; what goes on gives the answer that it gives
# otherwise; the daemon lives, and no blocked source gets an answer. Fault 75; e2e/33 and
# e2e/35 take samples of the same.
#
# By hand: PARTS="client replay start ask", any of them; WHAT=malloc or call for one.
#
# timeout: 7200
. "$(dirname "$0")/../e2e/lib.sh"
need jq python3 gcc strace setarch

A=10.7.0.1
CONTROL=$TMP/run/control.sock
PCAP=$TREE/tests/replay/connect.pcap
gcc -O2 -Wall -shared -fPIC -o "$TMP/trouble.so" "$CLIENTS/trouble.c" -ldl -lgcc_s || exit 1
export TROUBLE_LIBRARY=$TMP/trouble.so TROUBLE_SITES=$TMP/sites

parts() { [[ " ${PARTS:-client replay start ask} " == *" $1 "* ]]; }
# each TEXT WHAT HOW CMD...: what it says of the numbers is part of the test's output.
each() {
	local text=$1
	shift
	on "$EDGE" python3 "$CLIENTS/every.py" "$@" >"$TMP/every"
	check "$text" test $? -eq 0
	tail -n 40 "$TMP/every" | sed 's/^/# /'
}
rules() { w rule list -j | jq -c '[.rules[] | {handle, match, in_force}]'; }
stopped() { kill -TERM "$winnowd_pid"; wait "$winnowd_pid"; }

net_up
web_up
winnow_up
for n in 1 2 3; do w rule add src 10.7.0.$n action drop reason story >/dev/null 2>&1; done
on "$WORLD" python3 "$CLIENTS/probe.py" $A $EDGE4 $PORT "$TMP/stop" >"$TMP/probes" &
probes=$!

for what in ${WHAT:-malloc call}; do
	if parts client; then
		each "each $what of a list" $what end "$WINNOW" --socket "$CONTROL" allow list -j
		each "each $what of a help page" $what end "$WINNOW" help rule add
		each "each $what of a rule's check" $what end "$WINNOW" --socket "$CONTROL" rule check 10.7.0.2
	fi
	! parts replay || each "each $what of a replay" $what end "$WINNOW" replay --hellos --jsonl "$PCAP"
done
check "the daemon has not noticed" w status

if parts start; then
	was=$(rules)
	for what in ${WHAT:-malloc call}; do
		stopped
		each "each $what of a start" $what start "$CONTROL" "$WINNOWD" -f -c "$TMP/winnow.conf"
		winnowd_start
		check "afterwards it starts, with the rules there were" test "$(rules)" = "$was"
	done
fi

if parts ask; then
	each "each call of a request" call ask "$CONTROL" "$winnowd_pid"
	stopped
	head -c $(((16 << 16) + 256)) /dev/zero >"$TROUBLE_SITES"
	WINNOWD_IS=$WINNOWD
	WINNOWD=$TMP/winnowd
	printf '#!/bin/sh\nexec setarch -R env LD_PRELOAD=%s %s "$@"\n' "$TROUBLE_LIBRARY" "$WINNOWD_IS" >"$WINNOWD"
	chmod +x "$WINNOWD"
	winnowd_start
	each "each malloc of a request" malloc ask "$CONTROL" "$winnowd_pid"
fi
check "the audit is whole" w audit verify
touch "$TMP/stop"
wait $probes
read -r sent answered <"$TMP/probes"
check "of $sent probes of a blocked source through all that, 0 were answered" test "$answered" -eq 0 -a "$sent" -gt 100
finish
