#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# beside
# A capture that goes on and on through a pipe: memory stays flat (fault 84), a signal asks how
# far it is, another ends it with what there is.
. "$(dirname "$0")/lib.sh"
need python3

FILL=$((100 << 20)) # bytes until every table has its size
MORE=$((400 << 20)) # and how many more are watched

bytes_read() { awk '$1 == "rchar:" {print $2}' "/proc/$pid/io"; }
rss() { awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status"; }
has_read() { [ "$(bytes_read)" -ge "$1" ]; }
ended() { ! kill -0 "$pid" 2>/dev/null; }
mkfifo "$TMP/pipe"
"$BUILD/tests/bench/bench_capture" "$TMP/pipe" 262144 4 &
PIDS+=($!)
"$WINNOW" replay --hellos --jsonl - <"$TMP/pipe" 2>"$TMP/said" > >(tail -n 1000 >"$TMP/out") &
pid=$!
PIDS+=("$pid")
check "reads what it is given" eventually 60 has_read $FILL
begin=$(rss)
check "and goes on" eventually 90 has_read $((FILL + MORE))
end=$(rss)
note "RSS $begin kB, $((MORE >> 20)) MiB later $end kB"
check "memory is flat: $((end - begin)) kB more" [ $((end - begin)) -le 1024 ]
kill -USR1 "$pid"
check "SIGUSR1: one line, it goes on" eventually 5 eval \
	'[ "$(grep -c "^winnow: .* bytes, .* bytes/s$" "$TMP/said")" = 1 ] && ! ended'
kill -INT "$pid"
wait "$pid"
status=$?
check "Ctrl-C ends it with 130" [ "$status" = 130 ]
check "and says what it has seen" eval 'grep -q "hellos, .* named" "$TMP/said"'
check "the last hello is whole" eventually 5 eval \
	'[ -s "$TMP/out" ] && tail -n 1 "$TMP/out" | python3 -m json.tool >/dev/null'
check "no event was lost on the way" not grep -q ring_lost "$TMP/said"
finish
