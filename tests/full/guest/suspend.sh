#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# In the guest: the machine sleeps while rules are in force. What ends meanwhile has ended
# when it wakes, by the kernel's own look-up: winnowd is stopped until that was seen. What
# has longer to live goes on, and no rule gets the time that was slept away. Fault 72.
. "$(dirname "$0")/../../e2e/lib.sh"
need jq python3 curl nginx rtcwake

A=10.7.0.1 B=10.7.0.2 C=10.7.0.3
net_up
web_up
# Short enough that a sleep is longer; a daemon that is stopped for a moment is not.
WINNOW_CONF="max_unattended = 60s" winnow_up
served() { on "$WORLD" curl -sk -o "$TMP/page" --max-time 4 --interface "host!$1" --resolve "$NAME:$PORT:$EDGE4" "https://$NAME/small"; }
dropped() { ! on "$WORLD" curl -sk -o "$TMP/page" --max-time 2 --interface "host!$1" --resolve "$NAME:$PORT:$EDGE4" "https://$NAME/small"; }
add() { w rule add src "$1" action drop for "$2" reason story >/dev/null; }
listed() { w rule list -j | jq -e --arg s "$1" 'any(.rules[]; .match.src == $s)' >/dev/null; }
# Seconds that the machine has slept since it was switched on.
slept() { python3 -c 'import time; print(int(time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)))'; }
ends_at() { w rule list -j | jq -r --arg s "$1" '.rules[] | select(.match.src == $s) | .expires'; }
same_time() { [ $(($(date -d "$1" +%s) - $(date -d "$2" +%s) + 2)) -le 4 ] || { echo "$1, was $2"; false; }; }

# sleeps SECONDS, in ACPI S3; an emulated clock wakes it.
sleeps() {
	local before
	before=$(slept)
	rtcwake -u -m mem -s "$1" || return 1
	[ $(($(slept) - before)) -ge $(($1 - 2)) ] || { echo "slept $(($(slept) - before)) s"; false; }
}

check "honest clients are served" served $C
add $A 20s
add $B 10m
ends=$(ends_at $B)
check "a rule for 20 s holds" dropped $A
check "and one for 10 minutes" dropped $B
check "both are listed" eval "listed $A && listed $B"
kill -STOP "$winnowd_pid"
check "the machine sleeps for 30 s" sleeps 30
check "awake, the kernel has ended the first rule by itself" served $A
check "and holds the second" dropped $B
kill -CONT "$winnowd_pid"
check "winnowd takes the first from its list" eventually 30 not listed $A
check "and keeps the second" listed $B
check "which ends when it was said to" same_time "$(ends_at $B)" "$ends"

check "asleep for longer than max_unattended" sleeps 70
check "it holds again as soon as winnowd is awake, too" eventually 20 dropped $B
check "honest clients are served" served $C
finish
