# SPDX-License-Identifier: BSD-2-Clause
"""Clients that say their hello one byte at a time and never come to its end.

    drip.py HELLO SOURCES CONNECTIONS BYTES SECONDS

Sources are 10.28.0.1 and on; each of them holds CONNECTIONS connections. Every connection
sends BYTES bytes of the file HELLO, a segment each, spread over SECONDS. Says how many
segments with data the kernel sent for them.
"""
import os
import resource
import socket
import struct
import sys
import time

DATA_SEGS_OUT = 156     # in struct tcp_info

hello = open(sys.argv[1], "rb").read()
sources, connections, count = map(int, sys.argv[2:5])
seconds = float(sys.argv[5])
assert count < len(hello)
resource.setrlimit(resource.RLIMIT_NOFILE, (sources * connections + 64,) * 2)
drips = []
for n in range(sources * connections):
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.bind((f"10.28.0.{n % sources + 1}", 0))
    s.connect((os.environ["EDGE4"], int(os.environ["PORT"])))
    drips.append(s)
begin = time.monotonic()
for i in range(count):
    for s in drips:
        s.send(hello[i:i + 1])
    time.sleep(max(0, begin + (i + 1) * seconds / count - time.monotonic()))
print(sum(struct.unpack_from("=I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256),
                             DATA_SEGS_OUT)[0] for s in drips))
