#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compare our names with other people's: oracle-hellos.py [--fresh]

JA4 with npm read-tls-client-hello, JA3 (string and digest) with tshark, over
tests/data/hellos and, with --fresh, over hellos of the clients installed here,
recorded now on loopback in a network namespace (root). Exit 1: a name differs;
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


def compare(files, what, theirs, ours_):
    """Prints the claim, and each difference; true if there is one."""
    differ = [f for f in files if theirs[f] != ours_[f]]
    for file in differ:
        print("# %s: we say %s, they %s" % (os.path.basename(file), ours_[file], theirs[file]))
    print("%s - %d hellos: %s" % ("not ok" if differ else "ok", len(files), what))
    return bool(differ)


def main():
    fresh_too = "--fresh" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        files = sorted(glob.glob(os.path.join(TOP, "tests/data/hellos/*.bin")))
        if fresh_too:
            env = dict(os.environ)
            env.setdefault("NODE_PATH", os.path.join(TOP, "build/node/node_modules"))
            fresh = os.path.join(tmp, "fresh")
            subprocess.run(["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
                            RECORD, fresh], check=True, env=env, stdout=subprocess.DEVNULL)
            new = sorted(glob.glob(os.path.join(fresh, "*.bin")))
            print("%s - %d ClientHellos recorded now" % ("ok" if len(new) > 10 else "not ok",
                                                         len(new)))
            files += new
        names = ours(files)
        ja4, ja3 = npm_ja4(files), tshark_ja3(files, tmp)
    if ja4 is None and ja3 is None:
        print("skip - read-tls-client-hello and tshark are missing")
        sys.exit(77)
    bad = fresh_too and len(new) <= 10
    if ja4:
        theirs = {}
        for file in files:
            theirs[file], has_versions = ja4[file]
            if has_versions and theirs[file][1:3] == "13":
                theirs[file] = theirs[file][0] + names[file][0][1:3] + theirs[file][3:]
        bad |= compare(files, "JA4 as read-tls-client-hello has it", theirs,
                       {f: names[f][0] for f in files})
    if ja3:
        bad |= compare(files, "JA3 as tshark has it", {f: ja3[f][0] for f in files},
                       {f: names[f][1] for f in files})
        bad |= compare(files, "JA3 text as tshark has it", {f: ja3[f][1] for f in files},
                       {f: names[f][2] for f in files})
    sys.exit(bad)


main()
