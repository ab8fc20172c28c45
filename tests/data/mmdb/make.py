#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes networks.mmdb: a MaxMind DB of documentation networks, made up for the tests.

    tests/data/mmdb/make.py FILE

Format: MaxMind DB file format specification 2.0; 24-bit records, an IPv6 tree with IPv4
in ::/96.
"""
import ipaddress
import sys

NETWORKS = {
    "192.0.2.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example Hosting"},
    "198.51.100.0/24": {"autonomous_system_number": 64497, "autonomous_system_organization": "Caf\u00e9 <b>\"Net\"</b>",
                        "country": {"iso_code": "FR"}},
    "10.0.0.0/8": {"autonomous_system_number": 64498, "autonomous_system_organization": "Lab",
                   "country": {"iso_code": "SE"}},
    "2001:db8::/32": {"autonomous_system_number": 64499, "registered_country": {"iso_code": "DE"}},
}


def size(kind, n):
    assert n < 285
    ctrl = bytes([kind << 5 | min(n, 29)]) if kind else None
    return ctrl + (bytes([n - 29]) if n >= 29 else b"")


def encode(v):
    if isinstance(v, str):
        raw = v.encode()
        return size(2, len(raw)) + raw
    if isinstance(v, tuple):  # (bits, value): the metadata is strict about widths
        kind = {16: 5, 32: 6}.get(v[0])
        raw = v[1].to_bytes((v[1].bit_length() + 7) // 8, "big")
        return (size(kind, len(raw)) if kind else bytes([len(raw), 9 - 7])) + raw
    if isinstance(v, int):
        raw = v.to_bytes((v.bit_length() + 7) // 8, "big")
        return size(6, len(raw)) + raw
    if isinstance(v, list):  # extended type 11
        return bytes([len(v), 11 - 7]) + b"".join(map(encode, v))
    return size(7, len(v)) + b"".join(encode(k) + encode(x) for k, x in v.items())


def main():
    data, nodes = b"", [[None, None]]
    for net, row in NETWORKS.items():
        n = ipaddress.ip_network(net)
        v4 = n.version == 4
        bits = int(n.network_address) if v4 else int(n.network_address)
        plen = n.prefixlen + (96 if v4 else 0)
        at = 0
        for i in range(plen):
            bit = bits >> (127 - i) & 1
            if i == plen - 1:
                nodes[at][bit] = ("data", len(data))
                break
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        data += encode(row)
    out = b""
    for pair in nodes:
        for r in pair:
            value = len(nodes) if r is None else r if isinstance(r, int) else len(nodes) + 16 + r[1]
            out += value.to_bytes(3, "big")
    meta = {"binary_format_major_version": (16, 2), "binary_format_minor_version": (16, 0), "build_epoch": (64, 1700000000),
            "database_type": "winnow-test", "description": {"en": "made up"}, "ip_version": (16, 6),
            "languages": ["en"], "node_count": (32, len(nodes)), "record_size": (16, 24)}
    with open(sys.argv[1], "wb") as f:
        f.write(out + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(meta))


main()
