# SPDX-License-Identifier: BSD-2-Clause
"""IPv4 packets that no client sends on purpose, one each:

    oddity.py KIND SRC DST

too-big     ICMP "fragmentation needed"
fragment    a first fragment of a TCP segment to port 443
rest        a later fragment, whose first bytes look like one
"""
import socket
import struct
import sys

MORE_FRAGMENTS = 0x2000


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def ip(src, dst, proto, payload, offset=0):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0x4242, offset, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def main(kind, src, dst):
    syn = struct.pack(">HHIIBBHHH", 40000, 443, 1, 0, 0x50, 2, 64240, 0, 0) + bytes(24)
    if kind == "too-big":
        icmp = struct.pack(">BBHHH", 3, 4, 0, 0, 1400) + ip(dst, src, 6, syn)
        packet = ip(src, dst, 1, icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:])
    else:
        packet = ip(src, dst, 6, syn, MORE_FRAGMENTS if kind == "fragment" else 64)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(packet, (dst, 0))


main(*sys.argv[1:])
