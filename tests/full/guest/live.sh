#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# In the guest: real clients visit a real nginx through a veth with winnow on it in
# native mode; each is named and tallied once, and a rule bites only its stack. The machine
# could have more processors than it has: counters are of all of them. Fault 68.
. "$(dirname "$0")/../../e2e/lib.sh"
need jq python3 curl nginx

A=10.7.0.1 B=10.7.0.2 SIX=2001:db8:7:1::1
net_up
web_up
winnow_up native
says_native() { w status -j | jq -se '[.. | strings] | any(. == "native")'; }
check "status says native" says_native
check "connections are proved by egress" test "$(w status -j | jq -r .proof)" = egress
check "Python visits over IPv4" visit python $A 3
check "curl visits over IPv4" visit curl $B 3
check "Python visits over IPv6" visit python $SIX 3
for s in $A $B $SIX; do
	check "$s is tallied once" eventually 10 tally_is connections $s 1
	check "$s: three exchanges" eventually 10 tally_is exchanges $s 3
done
check "one stack has one name in both families" test "$(stack_of $A)" = "$(stack_of $SIX)"
check "another stack has another" test "$(stack_of $A)" != "$(stack_of $B)"

h=$(w rule add stack "$(stack_of $A)" action reset for 10m reason story)
check "a rule on Python resets Python" not visit python $A
check "over IPv6, too" not visit python $SIX
check "the server's socket is gone at once" no_server_socket $A
check "curl of the same source works" visit curl $A
check "the rule counts its hits" test "$(rule_field "$h" .hits.connections)" -ge 2
more_possible() { [ "$(cat /sys/devices/system/cpu/possible)" != "$(cat /sys/devices/system/cpu/online)" ]; }
check "more processors are possible than online" more_possible
came() { on "$EDGE" ip -s -j link show eth0 | jq '.[0].stats64.rx.packets'; }
all_counted() { [ "$(($(counter packets) - $(came)))" = "$already" ] || { echo "$(counter packets), $(came), $already"; false; }; }
already=$(($(counter packets) - $(came)))
for s in $A $B $SIX; do visit curl $s >/dev/null; done
check "every frame of three visits is counted once" eventually 10 all_counted
w rule del "$h" >/dev/null 2>&1
check "without the rule Python works again" visit python $A
finish
