#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compare our names with other people's: oracle-hellos.py [--fresh]

JA4 with npm read-tls-client-hello, JA3 (string and digest) with tshark, over
tests/data/hellos and, with --fresh, over hellos of the clients installed here,
recorded now on loopback in a network namespace (root). Exit 1: a name differs.
77: no oracle is installed. npm modules: NODE_PATH, else build/node/node_modules.

Known deviation of read-tls-client-hello: it prints "13" whenever there is a
supported_versions extension. The published definition wins.
"""
import glob
import os
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMES = os.path.join(TOP, "build/tests/replay/hello_names")
RECORD = os.path.join(TOP, "tests/replay/record-hellos.py")

ORACLE_JS = """
const fs = require('fs'), { PassThrough } = require('stream');
const { readTlsClientHello, calculateJa4 } = require('read-tls-client-hello');
(async () => {
    for (const file of process.argv.slice(1)) {
        const msg = fs.readFileSync(file);
        const head = Buffer.from([22, 3, 1, msg.length >> 8, msg.length & 255]);
        const stream = new PassThrough();
        stream.write(Buffer.concat([head, msg]));
        const hello = await readTlsClientHello(stream);
        console.log(file + '\\t' + calculateJa4(hello) + '\\t' +
                    hello.extensions.some(e => e.id === 43));
    }
})().catch(e => { console.error(e.message); process.exit(1); });
"""


def ours(files):
    out = subprocess.run([NAMES, *files], check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    bad = [r for r in rows if r[1] != "ok"]
    if bad:
        sys.exit("oracle-hellos: %s: %s" % (bad[0][0], bad[0][1]))
    return {r[0]: r[2:] for r in rows}


def npm_ja4(files):
    """{file: (ja4, has supported_versions)}, or None without the module."""
    env = dict(os.environ)
    env.setdefault("NODE_PATH", os.path.join(TOP, "build/node/node_modules"))
    if not shutil.which("node"):
        return None
    probe = subprocess.run(["node", "-e", "require('read-tls-client-hello')"], env=env,
                           capture_output=True, check=False)
    if probe.returncode:
        return None
    out = subprocess.run(["node", "-e", ORACLE_JS, *files], env=env, check=True,
                         capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return {r[0]: (r[1], r[2] == "true") for r in rows}


def write_pcap(path, files):
    """One TCP segment a hello; the source port is 10000 + its index."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for i, name in enumerate(files):
            with open(name, "rb") as h:
                msg = h.read()
            data = b"\x16\x03\x01" + struct.pack(">H", len(msg)) + msg
            tcp = struct.pack(">HHIIBBHHH", 10000 + i, 443, 1, 1, 0x50, 0x18, 65535, 0, 0)
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0,
                             bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
            f.write(struct.pack("<IIII", i, 0, 40 + len(data), 40 + len(data)))
            f.write(ip + tcp + data)


def tshark_ja3(files, tmp):
    if not shutil.which("tshark"):
        return None
    path = os.path.join(tmp, "hellos.pcap")
    write_pcap(path, files)
    out = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", "tcp.srcport",
                          "-e", "tls.handshake.ja3", "-e", "tls.handshake.ja3_full"],
                         check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return {files[int(r[0]) - 10000]: r[1:] for r in rows}


def main():
    compared = differ = 0
    with tempfile.TemporaryDirectory() as tmp:
        files = sorted(glob.glob(os.path.join(TOP, "tests/data/hellos/*.bin")))
        if "--fresh" in sys.argv[1:]:
            env = dict(os.environ)
            env.setdefault("NODE_PATH", os.path.join(TOP, "build/node/node_modules"))
            fresh = os.path.join(tmp, "fresh")
            subprocess.run(["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
                            RECORD, fresh], check=True, env=env, stdout=subprocess.DEVNULL)
            files += sorted(glob.glob(os.path.join(fresh, "*.bin")))
        names = ours(files)
        ja4, ja3 = npm_ja4(files), tshark_ja3(files, tmp)
        for file in files:
            pairs = []
            if ja4:
                theirs, has_versions = ja4[file]
                if has_versions and theirs[1:3] == "13":
                    theirs = theirs[0] + names[file][0][1:3] + theirs[3:]
                pairs.append(("ja4", names[file][0], theirs))
            if ja3:
                pairs.append(("ja3", names[file][1], ja3[file][0]))
                pairs.append(("ja3 text", names[file][2], ja3[file][1]))
            for what, us, them in pairs:
                compared += 1
                if us != them:
                    differ += 1
                    print("%s: %s: we say %s, the oracle %s" % (file, what, us, them))
    for what, result in (("read-tls-client-hello", ja4), ("tshark", ja3)):
        if result is None:
            print("skipped: %s is not installed" % what)
    print("oracle-hellos: %d files, %d names compared, %d differ" % (len(files), compared, differ))
    if differ:
        sys.exit(1)
    if ja4 is None and ja3 is None:
        sys.exit(77)


main()
