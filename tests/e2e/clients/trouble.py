# SPDX-License-Identifier: BSD-2-Clause
# trouble.py FILE SOCKET PID malloc|call: each request of the control socket again and
# again, each time with a later allocation (system call) of the daemon failing, until one
# goes by untouched. Prints "VERB N" for how many failed; exit 1 as soon as PID is gone.
# A sample; every.py does it for each.
import json
import os
import socket
import struct
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext

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


def receive(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        if not more:
            raise ConnectionError
        got += more
    return got


class Asker:
    """Asks a daemon; what it adds has another number each time, what it deletes was added,
    and what it confirms comes from a new session."""

    def __init__(self, control, pid):
        self.control, self.pid = control, pid
        self.serial, self.added, self.capture = 0, [], 0

    def alive(self):
        try:
            return open(f"/proc/{self.pid}/stat").read().split(") ")[1][0] != "Z"
        except OSError:
            return False

    def ask(self, verb, args):
        """The answer, or None if there was none."""
        self.serial += 1
        args = {k: v % (self.serial % 250 + 1) if "%d" in str(v) else v for k, v in args.items()}
        if "handle" in args:
            args["handle"] = self.added[-1] if self.added else 1 << 30
        if verb == "rule.del":
            self.added[-1:] = []
        if "id" in args and verb.startswith("capture"):
            args["id"] = self.capture
        with ProcessPoolExecutor(1, initializer=os.setsid) if verb == "commit.confirm" else nullcontext() as session:
            request = {"verb": verb, "args": args}
            answer = session.submit(self._exchange, request).result() if session else self._exchange(request)
        if verb == "rule.add" and self.good(answer):
            self.added += [r["handle"] for r in (answer.get("data") or {}).get("rules", [])]
        if verb == "capture.start" and self.good(answer):
            self.capture = answer["data"]["id"]
        return answer

    @staticmethod
    def good(answer):
        return answer is not None and not answer.get("exit")

    def _exchange(self, request):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        try:
            s.connect(self.control)
            body = json.dumps(request).encode()
            s.sendall(struct.pack(">I", len(body)) + body)
            n = struct.unpack(">I", receive(s, 4))[0]
            return json.loads(receive(s, n))
        except (ConnectionError, TimeoutError):
            return None
        finally:
            s.close()


def main(path, control, pid, what):
    field = {"malloc": 8, "call": 16}[what]
    f = os.open(path, os.O_RDWR)
    asker = Asker(control, pid)

    def poke(n):
        os.pwrite(f, struct.pack("q", n), field)

    for verb, args in REQUESTS:
        n, failed = 1, 0
        while n < FAR:
            poke(n)
            answer = asker.ask(verb, args)
            untouched = struct.unpack("q", os.pread(f, 8, field))[0] > 0
            poke(0)
            if not asker.alive():
                print(f"{verb}: the daemon died of {what} {n}", flush=True)
                sys.exit(1)
            if untouched:
                break
            failed += not asker.good(answer)
            n += 1 if n < POINTS else 7
        print(verb, n - 1, failed, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
