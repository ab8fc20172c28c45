#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# paired
# What an operator needs before he dares: rules count first, the share of honest sources
# that a rule may hit, shared exits, captures of what is dropped, changes that undo
# themselves, panic, the dead-man, and upgrades without a gap.
# Faults 44, 57, 58, 59, 65, 82.
. "$(dirname "$0")/lib.sh"
need jq node python3 tcpdump

A=10.7.0.1 B=10.7.0.2 C=10.7.0.3 D=10.7.0.4
WINNOW_CONF='enforce = each
		max_share = 1%'
net_up
web_up
winnow_up

# hello SRC WAIT_MS: one connection of one stack whose hello follows the handshake at
# once, as a client's own does, or after a wait, as through a far end.
cat >"$TMP/hello.py" <<'EOF'
import socket, ssl, sys, time
src, wait, ca, dst, port, name = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
s = socket.create_connection((dst, int(port)), timeout=3, source_address=(src, 0))
time.sleep(int(wait) / 1000)
t = tls.wrap_socket(s, server_hostname=name)
t.sendall(b"GET /small HTTP/1.1\r\nhost: " + name.encode() + b"\r\nconnection: close\r\n\r\n")
sys.exit(not t.recv(100).startswith(b"HTTP/1.1 200"))
EOF
hello() { client "$WORLD" python3 "$TMP/hello.py" "$1" "$2" "$TMP/ca.pem" "$EDGE4" "$PORT" "$NAME"; }
add() { w rule add "$@" reason "story"; }
exits() {
	local want=$1
	shift
	"$@"
	[ $? -eq "$want" ]
}
node() { visit node-https "$1"; }

for n in 1 2 3 4 5 6 7 8 9; do echo "$((n * 20)) 10.7.1.$n - 1 0 post"; done | visits python >/dev/null
for s in $A $B $D; do node $s >/dev/null; done
check "a connection that waits is a connection" hello $A 100
eventually 5 tally_is connections $A 2 >/dev/null
NODE=$(stack_of $B)

# ---- counting first -----------------------------------------------------------------
check "a rule that would hit too many honest sources is refused" exits 6 add stack "$NODE" action reset for 10m --enforce
says_how_many() { w rule add stack "$NODE" action reset --enforce reason x 2>&1 | tee /dev/stderr | grep -q "3 of 12 proved sources"; }
check "and it says how many" says_how_many
h=$(add stack "$NODE" action reset for 10m)
check "without --enforce it only counts" node $B
check "and says what it would have hit" test "$(rule_field "$h" .would_hit.connections)" -eq 1
check "it cannot be enforced either" exits 6 w rule enforce "$h"
dry() { w rule add src $B stack "$NODE" action reset reason x --dry-run -j | jq -e '.rules[0].collateral.day | .sources == 1 and .benign.sources == 1 and .benign.upper95 >= 1'; }
check "a dry run says who is benign" dry
w rule del "$h" 2>/dev/null

# ---- one address, farm and honest clients (fault 44) ----------------------------------
h=$(add src $A stack "$NODE" action reset for 10m --enforce)
check "the pair (source, stack) is reset" not node $A
check "the honest clients behind the same address, with another stack, all succeed" visit python $A 5
g=$(w source show $A --jsonl | jq -r .stack | grep -vxF "$NODE" | sort -u | while read -r s; do
	add src $A stack "$s" state 'd1>=60ms' action reset for 10m --enforce
done)
check "with the same stack only what waits for a far end is reset" not hello $A 100
honest() { for _ in 1 2 3 4 5; do hello $A 0 || return; done; }
check "and every honest request succeeds" honest
for r in $g; do w rule del "$r" 2>/dev/null; done

# ---- captures --------------------------------------------------------------------------
start capture "$EDGE" "$WINNOW" --socket "$TMP/run/control.sock" capture --rule "$h" -w "$TMP/c.pcapng" --count 1
capturing() { w audit -j | jq -e '[.audit[] | select(.verb == "capture.start")] | length == 1'; }
eventually 5 capturing
node $A >/dev/null
# shellcheck disable=SC2154 # set by start
captured() { ! [ -e "/proc/$capture_pid" ]; }
check "what was reset is captured" eventually 5 captured
as_sent() { tcpdump -nr "$TMP/c.pcapng" 2>/dev/null | tee /dev/stderr | grep -q "$A.*Flags \[P"; }
check "as the client sent it" as_sent
check "with its rule and reason" grep -aq "rule $h: reset; operator; story" "$TMP/c.pcapng"

# ---- changes that undo themselves (fault 82) ----------------------------------------------
w allow add $D reason story 2>/dev/null
check "no rule covers what is allowed" exits 6 add src 10.7.0.0/29 stack "$NODE" action reset --enforce
w allow del $D 2>/dev/null
add src $D stack "$NODE" action reset for 10m --enforce >/dev/null
w allow add $D reason story 2>/dev/null
check "allow wins" node $D
w allow del $D --confirm-within 4s 2>/dev/null
check "a deleted entry is gone" not node $D
check "the session that deleted it cannot confirm" exits 6 w commit confirm
winnowd_kill
check "and it is back in time without the daemon" eventually 6 node $D
check "the other rules hold meanwhile" not node $A
winnowd_start

# ---- panic, dead-man (fault 58) -----------------------------------------------------------
t=${EPOCHREALTIME/./}
w panic 2>/dev/null
t=$(((${EPOCHREALTIME/./} - t) / 1000))
check "panic takes less than a second ($t ms)" test $t -lt 1000
check "and the next connection gets through" node $A
why() { w rule check $A --stack "$NODE" | grep -q panic; }
check "rule check says why" why
w panic off --yes 2>/dev/null
check "panic off lets the rules act again" not node $A
sed -i '/^\[winnow\]/a max_unattended = 3s' "$TMP/winnow.conf"
kill -HUP "$winnowd_pid"
eventually 5 eval '[ "$(w status -j | jq .max_unattended)" = 3 ]'
kill -STOP "$winnowd_pid"
check "a daemon that hangs: its rules hold at first" not node $A
check "and no longer than max_unattended" eventually 6 node $A
kill -CONT "$winnowd_pid"
check "they act again when it goes on" eventually 8 not node $A

# ---- upgrade (faults 57, 59, 65) --------------------------------------------------------------
sed -i '/^max_unattended/d' "$TMP/winnow.conf"
kill -HUP "$winnowd_pid"
eventually 5 eval '[ "$(w status -j | jq .max_unattended)" = 900 ]'
c=$(add src $C action drop for 10m --enforce)
program() { on "$EDGE" ip -d link show eth0 | grep -oE 'prog/xdp id [0-9]+'; }
before=$(program)
on "$WORLD" timeout 60 python3 "$CLIENTS/probe.py" $C $EDGE4 $PORT 12 >"$TMP/probes" &
probes=$!
sleep 1
winnowd_kill
winnowd_start
kill -TERM "$winnowd_pid"
wait "$winnowd_pid" 2>/dev/null
cp "$WINNOWD" "$TMP/winnowd.next"
WINNOWD=$TMP/winnowd.next winnowd_start
kill -HUP "$winnowd_pid"
check "honest clients are served meanwhile" visit python $B 3
wait $probes
read -r sent answered <"$TMP/probes"
check "of $sent probes of a blocked source through kill, stop, upgrade and reload, 0 were answered" test "$answered" -eq 0 -a "$sent" -gt 100
check "the program was replaced" test "$(program)" != "$before"
check "and the rule has counted them" test "$(rule_field "$c" '.hits.packets + .unproved')" -ge "$sent"
check "the audit is whole" w audit verify
finish
