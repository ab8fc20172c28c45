#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Rules bite what they name and nothing else: stack, (source, stack), source, prefix;
# reset, drop, reject, limit, count; allow wins; expiry holds without the daemon.
# Faults 17, 44, 57, 83.
. "$(dirname "$0")/lib.sh"
need jq node

A=10.5.0.1 B=10.5.0.2 C=10.5.0.3 SIX=2001:db8:5:1::1

net_up
web_up
winnow_up
for s in $A $B $C $SIX; do visit node-https $s >/dev/null; done
visit python $A >/dev/null
eventually 5 tally_is connections $A 2 >/dev/null
NODE=$(stack_of $B)

delete() { w rule del "$1" >/dev/null 2>&1; }
add() { w rule add "$@" reason "story"; }
said_reset() { visit node-https "$1" | tee /dev/stderr | grep -qE 'ECONNRESET|EPIPE'; }

h=$(add stack "$NODE" action reset for 10m)
check "a rule on one stack resets that stack's next connection" said_reset $B
check "and IPv6's" said_reset $SIX
check "the server's socket is gone at once" no_server_socket $B
check "another stack of the same source works" visit python $A 2
check "another stack of another source works" visit python 10.5.0.9 2
check "the rule counts its hits" test "$(rule_field "$h" .hits.connections)" -ge 2
check "rule check says why" w rule check $B --stack "$NODE"
delete "$h"
check "without the rule the stack works again" visit node-https $B

h=$(add src $A stack "$NODE" action reset for 10m)
check "a rule on (source, stack) resets that pair" said_reset $A
check "spares the source's other stack" visit python $A 3
check "spares the stack's other sources" visit node-https $B
check "rule check of another source says no" not w rule check $B --stack "$NODE"
delete "$h"

h=$(add stack "$NODE" action count for 10m)
check "count drops nothing" visit node-https $B
check "count says what it would have done" test "$(rule_field "$h" .would_hit.connections)" -eq 1
check "and has no hits" test "$(rule_field "$h" .hits.connections)" -eq 0
delete "$h"

w allow add $C reason story >/dev/null 2>&1
h=$(add stack "$NODE" action reset for 10m)
check "allow wins over a stack rule" visit node-https $C
check "which holds for the others" said_reset $B
refused() { add src $C action drop for 1m; [ $? -eq 6 ]; }
check "a rule that covers an allowed address is refused" refused
w allow del $C >/dev/null 2>&1
delete "$h"

silent() { ! on "$WORLD" curl -sk --max-time 1 --interface "host!$1" --resolve "$NAME:$PORT:$2" "https://$NAME/small"; }
h=$(add src $A action drop for 10m)
check "a source rule drops whatever the source sends" silent $A $EDGE4
check "and nobody else's" visit python $B
delete "$h"
h=$(add src 10.5.0.0/24 action drop for 10m)
check "a prefix rule drops the prefix" silent $B $EDGE4
check "and no neighbour" visit python 10.5.1.1
delete "$h"
h=$(add src 2001:db8:5::/48 action drop for 10m)
check "an IPv6 prefix rule drops the prefix" silent $SIX $EDGE6
delete "$h"

refuses() {
	local t=${EPOCHREALTIME/./}
	visit node-https $B | grep -q ECONNRESET && [ $((${EPOCHREALTIME/./} - t)) -lt 1500000 ]
}
h=$(add src $B stack "$NODE" action reject for 10m)
check "reject tells the client at once" refuses
delete "$h"

limited() {
	local ok
	ok=$(for n in 1 2 3 4 5 6; do echo "$((n * 50)) $B - 1 0 post"; done | visits node-https | jq -s 'map(.ok) | add')
	echo "$ok of 6 passed"
	[ "$ok" -ge 1 ] && [ "$ok" -le 3 ]
}
h=$(add stack "$NODE" action limit 1/s for 10m)
check "limit lets the rate through and no more" limited
check "another source has a bucket of its own" visit node-https 10.5.0.7
delete "$h"

# Every RST so far was winnow's: none was malformed for either side.
tcp_errors() { for ns in "$EDGE" "$WORLD"; do on "$ns" nstat -asz TcpInErrs TcpInCsumErrors; done | awk '/^Tcp/ { n += $2 } END { print n + 0 }'; }
check "no side saw a malformed segment" test "$(tcp_errors)" -eq 0

h=$(add stack "$NODE" action reset for 4s)
before=$(tally connections $A)
winnowd_kill
check "the rule holds without the daemon" said_reset $B
check "and ends on time without it" eventually 6 visit node-https $B
winnowd_start
check "the daemon is back with its counts" tally_is connections $A "$before"
finish
