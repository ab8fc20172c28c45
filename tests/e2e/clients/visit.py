# SPDX-License-Identifier: BSD-2-Clause
"""Visits by Python's TLS and by programs that make one visit each.

    visit.py STACK <SCHEDULE        format, results and environment as in visit.mjs

python          the ssl module under asyncio, one shared context, HTTP/1.1
requests        the requests library (reads the system's CA file for each connection)
curl            curl, with the system's CA file as everybody has it; HTTP/2
curl-h1         the same, HTTP/1.1
gnutls          gnutls-cli
openssl         openssl s_client
"""
import asyncio
import ipaddress
import json
import os
import re
import ssl
import sys
import tempfile
import time

EDGE = {4: os.environ["EDGE4"], 6: os.environ["EDGE6"]}
PORT = int(os.environ["PORT"])
NAME = os.environ["NAME"]
CA = os.environ["CA"]
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 60}]}).encode()
TIMEOUT = 20
AT_ONCE = 8     # programs running at one time; threads for requests


class Refused(Exception):
    """An answer that is no answer."""


def family(address):
    return ipaddress.ip_address(address).version


def parse_via(via):
    m = re.fullmatch(r"(connect|socks|tcp):\[?(.*?)\]?:(\d+)", via)
    return (m[1], m[2], int(m[3])) if m else None


def method(kind):
    if kind.startswith("post"):
        return "POST", "/" + (kind[5:] or "echo"), BODY
    return "GET", "/" + kind, b""


def http1(kind, last=False):
    verb, path, body = method(kind)
    head = f"{verb} {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: visit\r\nAccept: */*\r\n"
    if last:
        head += "Connection: close\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def read_answer(reader):
    """Reads one HTTP/1.1 answer to its end."""
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("closed")
    status, length = line.split()[1], None
    while True:
        line = (await reader.readline()).lower()
        if line in (b"\r\n", b""):
            break
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if length is not None:
        await reader.readexactly(length)
    else:
        while True:
            size = int(await reader.readline(), 16)
            await reader.readexactly(size + 2)
            if not size:
                break
    if status != b"200":
        raise Refused(f"status {status.decode()}")


# ---- the ssl module ---------------------------------------------------------------


async def through_proxy(reader, writer, how, target):
    if how == "connect":
        host = f"[{target}]" if ":" in target else target
        writer.write(f"CONNECT {host}:{PORT} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        reply = await reader.readuntil(b"\r\n\r\n")
        if reply.split()[1] != b"200":
            raise Refused(f"proxy: {reply.splitlines()[0].decode()}")
    elif how == "socks":
        name = f"v{family(target)}.{NAME}".encode()
        writer.write(b"\5\1\0")
        await reader.readexactly(2)
        writer.write(b"\5\1\0\3" + bytes([len(name)]) + name + PORT.to_bytes(2, "big"))
        reply = await reader.readexactly(4)
        if reply[1]:
            raise Refused(f"proxy: SOCKS error {reply[1]}")
        await reader.readexactly(6 if reply[3] == 1 else 18)


class PythonStack:
    def __init__(self):
        self.context = ssl.create_default_context(cafile=CA)

    async def visit(self, v, count):
        via = parse_via(v["via"])
        target = EDGE[family(via[1] if via else v["src"])]
        local = None if v["src"] == "-" else (v["src"], 0)
        host, port = (via[1], via[2]) if via else (target, PORT)
        if via and via[0] != "tcp":
            reader, writer = await asyncio.open_connection(host, port, local_addr=local)
            await through_proxy(reader, writer, via[0], target)
            await writer.start_tls(self.context, server_hostname=NAME)
        else:
            reader, writer = await asyncio.open_connection(
                host, port, local_addr=local, ssl=self.context, server_hostname=NAME)
        v["port"] = writer.get_extra_info("sockname")[1]
        try:
            for i in range(v["n"]):
                if i:
                    await asyncio.sleep(v["gap"])
                writer.write(http1(v["kind"]))
                await read_answer(reader)
                count()
        finally:
            writer.transport.abort()


# ---- requests ---------------------------------------------------------------------


class RequestsStack:
    def __init__(self):
        import requests
        from requests.adapters import HTTPAdapter

        class From(HTTPAdapter):
            def __init__(self, source):
                self.source = source
                super().__init__()

            def init_poolmanager(self, *args, **kw):
                super().init_poolmanager(*args, source_address=(self.source, 0), **kw)

        self.requests, self.From = requests, From
        self.bundle = bundle()

    def run(self, v, count):
        with self.requests.Session() as session:
            session.trust_env = False
            session.mount("https://", self.From(v["src"]))
            for i in range(v["n"]):
                if i:
                    time.sleep(v["gap"])
                verb, path, body = method(v["kind"])
                answer = session.request(verb, f"https://v{family(v['src'])}.{NAME}:{PORT}{path}",
                                         data=body, verify=self.bundle, timeout=TIMEOUT)
                if answer.status_code != 200:
                    raise Refused(f"status {answer.status_code}")
                count()

    async def visit(self, v, count):
        await asyncio.to_thread(self.run, v, count)


# ---- programs ---------------------------------------------------------------------


def bundle():
    """The system's CA file with ours at its end."""
    f = tempfile.NamedTemporaryFile(dir=os.path.dirname(CA), prefix="bundle-", delete=False)
    if os.path.exists(SYSTEM_CA):
        with open(SYSTEM_CA, "rb") as s:
            f.write(s.read())
    with open(CA, "rb") as s:
        f.write(s.read())
    f.close()
    return f.name


def steered(src):
    """See steer.c."""
    if family(src) == 4:
        return re.sub(r"^10\.", "250.", src)
    words = ipaddress.ip_address(src).exploded.split(":")
    return f"100::{words[2]}:{words[3]}"


class CurlStack:
    def __init__(self, http):
        self.http, self.bundle = http, bundle()

    async def visit(self, v, count):
        target = EDGE[family(v["src"])]
        verb, path, body = method(v["kind"])
        one = ["--fail", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n",
               "--interface", "host!" + v["src"], "--max-time", str(TIMEOUT),
               "--cacert", self.bundle, self.http, "--resolve", f"{NAME}:{PORT}:{target}",
               *(["-H", "Content-Type: application/json", "-d", body.decode()] if body else []),
               f"https://{NAME}:{PORT}{path}"]
        command = ["curl", "--silent", "--rate", f"{max(1, round(60 / max(v['gap'], .01)))}/m"]
        for i in range(v["n"]):
            command += (["--next", "--silent"] if i else []) + one
        p = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await p.communicate()
        for line in out.split(b"\n"):
            if line.startswith(b"200"):
                count()
        if p.returncode:
            raise Refused(f"curl: exit {p.returncode}")


class PipeStack:
    """A program that is TLS on one side and a pipe on the other."""

    def __init__(self, command, banner):
        self.command, self.banner = command, banner

    async def visit(self, v, count):
        env = {**os.environ, "LD_PRELOAD": os.environ["STEER"]}
        p = await asyncio.create_subprocess_exec(
            *self.command(v["src"]), env=env, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        try:
            if self.banner:
                await p.stdout.readuntil(self.banner)
            for i in range(v["n"]):
                if i:
                    await asyncio.sleep(v["gap"])
                p.stdin.write(http1(v["kind"], last=i == v["n"] - 1))
                await p.stdin.drain()
                await read_answer(p.stdout)
                count()
        finally:
            p.stdin.close()
            try:
                await asyncio.wait_for(p.wait(), 2)
            except asyncio.TimeoutError:
                p.kill()


def gnutls_command(src):
    return ["gnutls-cli", "--logfile", "/dev/null", "--x509cafile", CA, "--sni-hostname", NAME,
            "--verify-hostname", NAME, "-p", str(PORT), steered(src)]


def openssl_command(src):
    to = steered(src)
    return ["openssl", "s_client", "-quiet", "-verify_quiet", "-CAfile", CA, "-servername", NAME,
            "-connect", f"[{to}]:{PORT}" if ":" in to else f"{to}:{PORT}"]


STACKS = {
    "python": PythonStack,
    "requests": RequestsStack,
    "curl": lambda: CurlStack("--http2"),
    "curl-h1": lambda: CurlStack("--http1.1"),
    "gnutls": lambda: PipeStack(gnutls_command, None),
    "openssl": lambda: PipeStack(openssl_command, None),
}


async def scheduled(name, stack, line, started, room):
    at, src, via, n, gap, kind, *tag = line.split()
    result = {"at": int(at), "stack": name, "src": src, "via": via, "tag": (tag or [None])[0],
              "port": None, "ok": 0, "failed": 0}
    v = {"src": src, "via": via, "n": int(n), "gap": int(gap) / 1000, "kind": kind, "port": None}

    def count():
        result["ok"] += 1

    await asyncio.sleep(int(at) / 1000 - (time.monotonic() - started))
    try:
        async with room:
            await asyncio.wait_for(stack.visit(v, count), TIMEOUT + v["n"] * v["gap"])
    except Exception as e:
        result["failed"] = v["n"] - result["ok"]
        result["why"] = f"{type(e).__name__}: {e}"[:80]
    result["port"] = v["port"]
    print(json.dumps(result), flush=True)


async def main(name):
    lines = [l for l in sys.stdin if l.strip() and l[0] != "#"]
    stack = STACKS[name]()
    room = asyncio.Semaphore(1000 if name == "python" else AT_ONCE)
    started = time.monotonic()
    await asyncio.gather(*(scheduled(name, stack, l, started, room) for l in lines))


asyncio.run(main(sys.argv[1]))
