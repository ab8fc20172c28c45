#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compare our TCP signature with p0f's raw_sig: oracle-syns.py [--keep FILE] [SEED]

Made SYNs (every quirk, odd options, windows at and beside each multiple) and the
real SYNs of curl over IPv4 and IPv6 with several MTUs and TTLs, captured on the
loopback of a network namespace (root). Exit 1: one differs; 77: p0f is missing.
--keep writes what p0f said, in the form of tests/data/syns/p0f.txt.
"""
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMES = os.path.join(TOP, "build/tests/replay/syn_names")
MADE = 3000

CURL = """
ip link set lo up
: > "$1.log"
tcpdump -i lo -U -w "$1" 'tcp dst port 443 or tcp dst port 444' 2> "$1.log" & dump=$!
until grep -q listening "$1.log"; do :; done
for mtu in 65536 9000 1500 1492 1400 1280; do
    ip link set lo mtu $mtu
    for ttl in 30 64 128 200; do
        sysctl -qw net.ipv4.ip_default_ttl=$ttl net.ipv6.conf.lo.hop_limit=$ttl
        for ts in 0 1; do
            sysctl -qw net.ipv4.tcp_timestamps=$ts
            curl -s https://127.0.0.1/; curl -s https://[::1]/
        done
    done
done
# port 444 last, so that all before it has been written when it is seen
curl -s https://127.0.0.1:444/
until tcpdump -r "$1" 'tcp dst port 444' 2> /dev/null | grep -q .; do :; done
kill $dump; wait $dump
"""


def made_options(r, wild):
    """The bytes, and the last MSS in them."""
    if not wild:
        mss = r.choice([1460, 1440, 1400, 1380, 1331, 536, 100, 99, 50, 1452, 65495, 1220, 0])
        return (struct.pack(">BBHBBBBII", 2, 4, mss, 4, 2, 8, 10, r.choice([0, 5]),
                            r.choice([0, 0, 7])) + bytes([1, 3, 3, r.choice([0, 7, 14, 15])]), mss)
    data, mss = b"", 1460
    for _ in range(r.randint(0, 6)):
        kind = r.choice([0, 1, 2, 3, 4, 5, 8, 30, 254])
        size = {0: 1, 1: 1, 2: 4, 3: 3, 4: 2, 5: r.choice([10, 18, 26]), 8: 10}.get(kind, 4)
        if kind < 2:
            data += bytes([kind])
            continue
        said = size if r.random() < 0.7 else r.choice([0, 1, 2, 3, 9, 11, 34, 35, 40, 41, 200])
        body = bytes(r.choice([0, 0, 5, 15, 255]) for _ in range(size - 2))
        if kind == 2:
            mss = r.choice([1460, 1400, 1331])
            body = struct.pack(">H", mss)
        data += bytes([kind, said]) + body
    data = data[:40]
    return data + r.choice([b"\0", b"\1", b"\7"]) * (-len(data) % 4), mss


def made_syn(r, i):
    options, mss = made_options(r, r.random() < 0.5)
    near = [mss * 4, (mss - 12) * 3, (mss + 20) * 2, (mss + 40) * 2, (mss + 60) * 2,
            (mss + 40 + len(options)) * 3, (mss + 60 + len(options)) * 3, mss - 1, 1460 * 3,
            1448 * 5, 1440 * 2, 1428 * 2, 1424 * 2, 1408 * 2, 1500 * 12, 512 * 4]
    window = r.choice(near + [0, 1, 64240, 65535, 29200, 8192, r.randint(0, 65535)]) & 0xffff
    flags = 2 | r.choice([0, 0, 0, 0, 0x08, 0x20, 0x28, 0x40, 0x80, 0xc0])
    tcp = struct.pack(">HHIIBBHHH", 1024 + i, 443, r.choice([0, 1, 12345]),
                      r.choice([0, 0, 77, 0x1000000, 0xffffffff]),
                      (20 + len(options)) // 4 << 4 | r.choice([0, 0, 0, 0, 1, 2, 8]), flags,
                      window, 0, r.choice([0, 0, 0, 9])) + options
    tcp += r.choice([b""] * 8 + [b"early"])
    ttl = r.choice([1, 28, 32, 33, 64, 65, 92, 93, 128, 129, 219, 220, 255, r.randint(1, 255)])
    source = struct.pack(">I", 10 << 24 | i + 1)
    if r.random() < 0.35:
        first = 6 << 28 | r.choice([0, 0, 1, 2, 3, 4, 0xfc]) << 20 | r.choice([0, 0, 5, 0xfffff])
        return (struct.pack(">IHBB", first, len(tcp), 6, ttl) + b"\x20\x01\x0d\xb8" + bytes(8) +
                source + b"\x20\x01\x0d\xb8" + bytes(11) + b"\1" + tcp)
    extra = r.choice([b""] * 6 + [b"\1" * 4, b"\x94\4\0\0"])
    return struct.pack(">BBHHHBBH", 0x45 + len(extra) // 4, r.choice([0, 0, 1, 2, 3, 4]),
                       20 + len(extra) + len(tcp), r.choice([0, 0, 5, 0xffff]),
                       r.choice([0x4000, 0x4000, 0, 0x8000, 0xc000]), ttl, 6,
                       0) + source + bytes([192, 0, 2, 2]) + extra + tcp


def write_made(path, seed):
    r = random.Random(seed)
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for i in range(MADE):
            syn = made_syn(r, i)
            f.write(struct.pack("<IIII", 1000 + i, 0, len(syn), len(syn)) + syn)


def p0f(path, tmp):
    log = os.path.join(tmp, "p0f.log")
    if os.path.exists(log):
        os.unlink(log)
    subprocess.run(["p0f", "-r", path, "-o", log], check=True, capture_output=True)
    found = {}
    with open(log, encoding="latin-1") as f:
        for line in f:
            fields = dict(x.split("=", 1) for x in line.split("] ", 1)[1].strip().split("|"))
            if fields["mod"] == "syn":
                address, port = fields["cli"].split("/")
                # one of each family may choose the same port
                found["6" if ":" in address else "4", port] = fields["raw_sig"]
    return found


def main():
    args = sys.argv[1:]
    keep = args.pop(args.index("--keep") + 1) if "--keep" in args else None
    args = [a for a in args if a != "--keep"]
    if not shutil.which("p0f"):
        print("skip - p0f is missing")
        sys.exit(77)
    bad = False
    kept = []
    with tempfile.TemporaryDirectory() as tmp:
        made, real = os.path.join(tmp, "made.pcap"), os.path.join(tmp, "real.pcap")
        write_made(made, int(args[0]) if args else 1)
        os.chmod(tmp, 0o777)		# tcpdump gives root up before it writes
        subprocess.run(["unshare", "-n", "sh", "-c", CURL, "sh", real], check=False, timeout=120)
        for path in (made, real):
            theirs = p0f(path, tmp)
            out = subprocess.run([NAMES, path], check=True, capture_output=True, text=True).stdout
            ours = [line.split("\t") for line in out.splitlines()]
            differ = compared = 0
            for port, signature, case in ours:
                said = theirs.get((case.split()[0], port))
                if said is None:
                    continue
                compared += 1
                kept.append("%s %s" % (case, said))
                if signature != said:
                    differ += 1
                    print("# %s: we say %s, p0f %s" % (case, signature, said))
            # a capture that p0f cannot read, or an empty one, shows nothing
            good = not differ and compared >= (MADE * 9 // 10 if path == made else 90)
            bad |= not good
            print("%s - %d %s SYNs have the signature that p0f prints" %
                  ("ok" if good else "not ok", compared, "made" if path == made else "real"))
    if keep:
        with open(keep, "w", encoding="ascii") as f:
            f.writelines(line + "\n" for line in kept)
    sys.exit(bad)


main()
