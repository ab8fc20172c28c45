#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# 100,000 rules on sources and networks of both families from a file through the command
# line: each is there once, as it was written, and in force; a dead daemon's successor has
# them; more than one answer holds are listed in pages. Fault 73.
. "$(dirname "$0")/lib.sh"
need python3

N=100000 RATIO_MAX=20
DROPPED=10.7.0.1 FREE=10.7.1.1
WINNOW_CONF="
		[tables]
		rules = 131072
		prefixes = 131072"
net_up
web_up
winnow_up

cat >"$TMP/rules.py" <<'EOPY'
import ipaddress, json, os, sqlite3, sys, time
what, n, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def rule(i):
    net = f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
    src = (f"{net}.7", f"{net}.0/24", str(ipaddress.IPv6Network((0x2001_0db9 << 96 | i << 64, 64))),
           str(ipaddress.IPv6Network((0x2001_0dba << 96 | i << 80, 48))))[i % 4]
    return f"src {src} action {('drop', 'pass', 'count', 'reset')[i // 4 % 4]} reason list {i}"

if what == "make":
    with open(path, "w") as f:
        f.write("src 10.7.0.0/24 action reset reason the one that is tried\n")
        f.writelines(rule(i) + "\n" for i in range(1, n))
elif what == "same":
    want = {line.rstrip("\n") for line in open(sys.argv[4])}
    rows = [json.loads(line) for line in open(path)]
    have = [f"src {r['match']['src']} action {r['action']} reason {r['reason']}" for r in rows]
    print(f"{len(have)} rows, {len(want)} rules, {len(want.symmetric_difference(have))} differ")
    handles = [r["handle"] for r in rows]
    sys.exit(not (len(have) == n and set(have) == want and all(r["in_force"] for r in rows) and
                  handles == sorted(set(handles))))
elif what == "sqlite":
    # The same rows, one transaction, nothing else: processor seconds.
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE rules (handle INTEGER PRIMARY KEY, gen INTEGER, phase INTEGER, text TEXT,"
               " origin TEXT, uid INTEGER, created INTEGER, expires INTEGER, ja4 TEXT, stack TEXT,"
               " ord TEXT, holdout INTEGER, canary INTEGER, epoch INTEGER)")
    db.execute("CREATE INDEX phases ON rules (phase)")
    rows = [(i, i, 1, rule(i), "operator", 0, 1 << 60, 0, "0" * 16, "0" * 16, "0" * 16, 0, 10000, 0)
            for i in range(1, n)]
    t = time.process_time()
    with db:
        db.executemany("INSERT INTO rules VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
    print(f"{time.process_time() - t:.3f}")
EOPY
rules() { python3 "$TMP/rules.py" "$1" $N "${@:2}"; }
daemon_cpu() { awk '{ print $14 + $15 }' "/proc/$winnowd_pid/stat"; }	# 0.01 s
reached() { client "$WORLD" curl -s --max-time 1 --interface "$1" --cacert "$TMP/ca.pem" --resolve "$NAME:$PORT:$EDGE4" -o /dev/null "https://$NAME:$PORT/small"; }
listed() { w rule list --jsonl >"$TMP/list.jsonl" && rules same "$TMP/list.jsonl" "$TMP/rules.txt"; }

check "both sources get through" eval "reached $DROPPED && reached $FREE"
rules make "$TMP/rules.txt"
cpu=$(daemon_cpu) at=$EPOCHREALTIME
check "$N rules are imported" w rule import "$TMP/rules.txt"
took=$(awk "BEGIN { print $EPOCHREALTIME - $at }") cpu=$(($(daemon_cpu) - cpu))
plain=$(rules sqlite "$TMP/plain.db")
ratio=$(awk "BEGIN { print $cpu / 100 / $plain }")
note "pushed in $took s, $((cpu * 10)) ms of winnowd's processor time: ${ratio}x of SQLite's $plain s for such rows"
check "for no more than $RATIO_MAX times what SQLite takes to write such rows" awk "BEGIN { exit !($ratio <= $RATIO_MAX) }"
check "each is there, once, as it was written" listed
check "they are in force" not reached $DROPPED
check "and nothing else is" reached $FREE
winnowd_kill
winnowd_start
exported() { w rule export >"$TMP/export.txt" && diff <(sort "$TMP/rules.txt") <(sort "$TMP/export.txt") | head -n 5 | (! grep .); }
check "the daemon dies; the next one has every rule" exported
check "in force" not reached $DROPPED
check "all of them go" w rule flush --yes
check "out of force" reached $DROPPED
finish
