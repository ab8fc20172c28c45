# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# every.lib.sh - each allocation and each system call fails once (fault 75): what the stories
# of it share. A blocked source is probed all the while, 0 of its probes may be answered.
#
#	every_up		a daemon with rules, a farm that is proposed, one visitor
#	each TEXT WHAT HOW ...	clients/every.py; what it says of the numbers is shown
#	every_end		after the last one
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
need jq python3 gcc strace setarch addr2line

A=10.7.0.1 VISITOR=10.7.0.4
export CONTROL=$TMP/run/control.sock # for who sources this
gcc -O2 -Wall -shared -fPIC -o "$TMP/trouble.so" "$CLIENTS/trouble.c" -ldl -lgcc_s || exit 1
export TROUBLE_LIBRARY=$TMP/trouble.so TROUBLE_SITES=$TMP/sites STACK
# A thousand starts: the tables are small, and what comes each ten seconds comes each.
WINNOW_CONF="
	tick = 1s
	[tables]
	tallies = 4096
	orders = 1024
	flows = 4096
	handshakes = 4096
	reassembly = 64
	[detect]
	window = 1s"

each() {
	local text=$1
	shift
	on "$EDGE" python3 "$CLIENTS/every.py" "$@" >"$TMP/every"
	check "$text" test $? -eq 0
	tail -n 40 "$TMP/every" | sed 's/^/# /'
}
rules() { w rule list -j | jq -c '[.rules[] | {handle, match, in_force}]'; }
stopped() { kill -TERM "$winnowd_pid"; wait "$winnowd_pid"; }
has_stack() { STACK=$(stack_of $VISITOR) && [ -n "$STACK" ]; }

every_up() {
	net_up
	web_up
	winnow_up
	for n in 1 2 3; do w rule add src 10.7.0.$n action drop reason story >/dev/null 2>&1; done
	check "somebody visits" visit python $VISITOR
	check "and has a name" eventually 10 has_stack
	has_stack
	stopped
	"$TOOLS/plant_farm" "$TMP/state" 4 1122334455667788
	winnowd_start
	on "$WORLD" python3 "$CLIENTS/probe.py" $A $EDGE4 $PORT "$TMP/stop" >"$TMP/probes" &
	probes=$!
}

every_end() {
	local sent answered
	check "the audit is whole" w audit verify
	touch "$TMP/stop"
	wait $probes
	read -r sent answered <"$TMP/probes"
	check "of $sent probes of a blocked source through all that, 0 were answered" \
		test "$answered" -eq 0 -a "$sent" -gt 100
	finish
}
