# SPDX-License-Identifier: BSD-2-Clause
# probe.py SRC DST PORT SECONDS|FILE: connection attempts every 10 ms for so long, or until
# FILE exists; prints how many, and how many were answered.
import os
import select
import socket
import sys
import time

src, dst, port, until = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
start, n, answered, pending = time.time(), 0, 0, []


def over():
    if "/" in until:
        return os.path.exists(until)
    return time.time() - start >= float(until)


while not over():
    s = socket.socket()
    s.setblocking(False)
    s.bind((src, 0))
    s.connect_ex((dst, port))
    n += 1
    pending.append(s)
    time.sleep(0.01)
    answered += len(select.select([], pending, [], 0)[1])
    while len(pending) > 200:
        pending.pop(0).close()
print(n, answered, flush=True)
