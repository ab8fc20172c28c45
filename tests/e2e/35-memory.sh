#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# beside
# Each of the client's own allocations fails once, and many of replay's (not the first 60:
# there OpenSSL's own start ends in a null pointer): it says so and ends, or the answer is
# the one it gives otherwise. Fault 75.
. "$(dirname "$0")/lib.sh"
need python3 gcc

gcc -O2 -Wall -shared -fPIC -o "$TMP/trouble.so" "$CLIENTS/trouble.c" -ldl || exit 1
# starve FROM MOST CMD...: of its allocations from the FROMth on MOST fail, one a run, the
# first ones and a sample.
cat >"$TMP/starve.py" <<'EOF'
import os, struct, subprocess, sys
file, library, first, most, *command = sys.argv[1:]
env = dict(os.environ, TROUBLE=file, LD_PRELOAD=library)

def run(n):
    with open(file, "wb") as f:
        f.write(struct.pack("5q", 0, n, 0, 0, 0))
    p = subprocess.run(command, env=env, capture_output=True, timeout=60)
    with open(file, "rb") as f:
        return p, struct.unpack("5q", f.read(40))[3]

whole, all_of_them = run(0)
assert whole.returncode == 0 and whole.stdout, whole.stderr
first, most = int(first), int(most)
points = sorted({*range(first, min(first + most // 2, all_of_them + 1)),
                 *(first + i * (all_of_them - first) // (most // 2) for i in range(most // 2))})
said = same = 0

for n in points:
    p, _ = run(n)
    if p.returncode == 0 and p.stdout == whole.stdout:
        same += 1
    elif 0 < p.returncode < 126 and p.stderr.strip():
        said += 1
    else:
        print(f"allocation {n}: exit {p.returncode}, {len(p.stdout)} of {len(whole.stdout)} bytes,"
              f" {p.stderr[-300:]!r}")
print(f"{len(points)} of {all_of_them} allocations: {said} times it said so, {same} times it made no"
      f" difference")
sys.exit(said + same != len(points))
EOF
starve() { on "$EDGE" python3 "$TMP/starve.py" "$TMP/trouble" "$TMP/trouble.so" "$@"; }

net_up
winnow_up
for n in 1 2 3; do w rule add src 10.7.0.$n action count reason story >/dev/null 2>&1; done
check "each allocation of a list of rules fails once" starve 1 700 "$WINNOW" --socket "$TMP/run/control.sock" rule list -j
check "of a help page, too" starve 1 100 "$WINNOW" help rule add
check "of a replay many" starve 60 100 "$WINNOW" replay --hellos --jsonl "$TREE/tests/replay/connect.pcap"
check "the daemon has not noticed" w status
finish
