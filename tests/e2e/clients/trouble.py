# SPDX-License-Identifier: BSD-2-Clause
# trouble.py FILE SOCKET PID malloc|call: each request of the control socket again and
# again, each time with a later allocation (system call) of the daemon failing, until one
# goes by untouched. Prints "VERB N" for how many failed; exit 1 as soon as PID is gone.
import json
import os
import socket
import struct
import sys

path, control, pid, what = sys.argv[1:]
FIELD = {"malloc": 8, "call": 16}[what]
POINTS, FAR = 60, 400  # one by one at first, then in steps

REQUESTS = [
    ("rule.add", {"rule": "src 203.0.113.%d action drop for 1h reason x"}),
    ("rule.list", {}),
    ("rule.check", {"addr": "203.0.113.7"}),
    ("allow.add", {"cidr": "192.0.2.%d", "reason": "x"}),
    ("allow.list", {}),
    ("status", {}),
    ("source.list", {}),
    ("fp.list", {}),
    ("plan.show", {}),
    ("audit.list", {}),
    ("config.reload", {}),
    ("rule.del", {"handle": 0}),
]
f = os.open(path, os.O_RDWR)


def poke(n):
    os.pwrite(f, struct.pack("q", n), FIELD)


def left():
    return struct.unpack("q", os.pread(f, 8, FIELD))[0]


def alive():
    try:
        return open(f"/proc/{pid}/stat").read().split(") ")[1][0] != "Z"
    except OSError:
        return False


def receive(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        if not more:
            raise ConnectionError
        got += more
    return got


def ask(verb, args):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    try:
        s.connect(control)
        body = json.dumps({"verb": verb, "args": args}).encode()
        s.sendall(struct.pack(">I", len(body)) + body)
        n = struct.unpack(">I", receive(s, 4))[0]
        return json.loads(receive(s, n))
    except (ConnectionError, TimeoutError):
        return None
    finally:
        s.close()


added = []
for verb, args in REQUESTS:
    n, failed, serial = 1, 0, 0
    while n < FAR:
        serial += 1
        now = {k: v % (serial % 250 + 1) if "%d" in str(v) else v for k, v in args.items()}
        if verb == "rule.del":
            now["handle"] = added.pop() if added else 1 << 30
        poke(n)
        answer = ask(verb, now)
        untouched = left() > 0
        poke(0)
        if not alive():
            print(f"{verb}: the daemon died of {what} {n}", flush=True)
            sys.exit(1)
        if untouched:
            break
        if verb == "rule.add" and answer and not answer.get("exit"):
            added += [r["handle"] for r in (answer.get("data") or {}).get("rules", [])]
        failed += answer is None or answer.get("exit", 0) != 0
        n += 1 if n < POINTS else 7
    print(verb, n - 1, failed, flush=True)
