#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# paired
# Generic mode gives the same names, tallies and verdicts as native mode. Fault 20.
. "$(dirname "$0")/lib.sh"
need jq node java

net_up
web_up
winnow_up generic
i=0
for stack in node-https python curl java wreq-chrome_142 gnutls; do
	i=$((i + 1))
	check "$stack visits" visit $stack 10.9.$i.1 4
	check "$stack is tallied once" eventually 3 tally_is connections 10.9.$i.1 1
	check "$stack: four exchanges" eventually 3 tally_is exchanges 10.9.$i.1 4
done
check "over IPv6, too" visit node-https 2001:db8:9:1::1
check "which is tallied once" eventually 3 tally_is connections 2001:db8:9:1::1 1
check "one stack has one name" test "$(stack_of 10.9.1.1)" = "$(stack_of 2001:db8:9:1::1)"

h=$(w rule add stack "$(stack_of 10.9.1.1)" action reset for 1m reason story)
said_reset() { visit node-https "$1" | grep -qE 'ECONNRESET|EPIPE'; }
check "a rule resets the stack" said_reset 10.9.1.1
check "the server's socket is gone at once" no_server_socket 10.9.1.1
check "the others work" visit python 10.9.1.1
w rule del "$h" >/dev/null 2>&1
says_generic() { w status -j | jq -se '[.. | strings] | any(. == "generic")'; }
check "status says generic" says_generic
finish
