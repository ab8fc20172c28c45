#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Record the ClientHellos of real clients: record-hellos.py DIR [NAME...]

A relay on loopback stands before `openssl s_server` and writes down the first
handshake message of each connection, so sessions are really resumed. Writes
DIR/NAME.bin, and DIR/NAME.2.bin for a client's second connection (resumed).
A client that is not installed is said to be missing. Browser profiles need wreq-js in NODE_PATH.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

WREQ = ("chrome_100 chrome_120 chrome_131 chrome_142 chrome_149 edge_148 opera_131 firefox_117 "
        "firefox_128 firefox_142 firefox_151 safari_15.6.1 safari_17.6 safari_18.5 safari_26.4 "
        "safari_ios_26.2 okhttp_3.14 okhttp_5").split()

NODE = ("const t=require('tls'),o={port:+process.argv[1],host:'127.0.0.1',"
        "servername:'localhost',rejectUnauthorized:false};"
        "const c=t.connect(o,()=>c.write('GET / HTTP/1.0\\r\\n\\r\\n'));let s;"
        "c.on('session',x=>s=x);c.on('data',()=>{});c.on('error',()=>{});"
        "c.on('close',()=>{if(s)t.connect({...o,session:s},function(){this.end()})"
        ".on('error',()=>{})})")

PYTHON = """
import socket, ssl, sys
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
old = None
for _ in range(2):
    s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))),
                      server_hostname="localhost", session=old)
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n"); s.recv(100); old = s.session; s.close()
"""

JAVA = """
import javax.net.ssl.*;
public class Hello {
    public static void main(String[] a) throws Exception {
        TrustManager[] all = { new X509TrustManager() {
            public void checkClientTrusted(java.security.cert.X509Certificate[] c, String t) {}
            public void checkServerTrusted(java.security.cert.X509Certificate[] c, String t) {}
            public java.security.cert.X509Certificate[] getAcceptedIssuers() { return null; } } };
        SSLContext c = SSLContext.getInstance("TLS");
        c.init(null, all, null);
        for (int i = 0; i < 2; i++) {
            SSLSocket s = (SSLSocket) c.getSocketFactory().createSocket("localhost",
                Integer.parseInt(a[0]));
            s.getOutputStream().write("GET / HTTP/1.0\\r\\n\\r\\n".getBytes());
            s.getInputStream().read(new byte[100]);
            s.close();
        }
    }
}
"""

WREQ_JS = ("const w=require('wreq-js');w.fetch('https://localhost:'+process.argv[1]+'/',"
           "{browser:process.argv[2],os:process.argv[2].startsWith('safari')?"
           "(process.argv[2].includes('ios')?'ios':'macos'):undefined,insecure:true,timeout:8000})"
           ".then(()=>process.exit(0),()=>process.exit(0))")


def clients(tmp):
    java = os.path.join(tmp, "Hello.java")
    with open(java, "w", encoding="ascii") as f:
        f.write(JAVA)
    session = os.path.join(tmp, "session")
    ossl = "openssl s_client -connect 127.0.0.1:PORT "
    get = r"printf 'GET / HTTP/1.0\r\n\r\n' | timeout 3 "
    twice = get + ossl + "-servername localhost %s -sess_out " + session + " -ign_eof; " + \
        get + ossl + "-servername localhost %s -sess_in " + session + " -ign_eof"
    yield "openssl-tls13", ["sh", "-c", twice % ("", "")]
    yield "openssl-tls12", ["sh", "-c", twice % ("-tls1_2", "-tls1_2")]
    yield "openssl-nosni", ["sh", "-c", get + ossl + "-noservername -ign_eof"]
    yield "openssl-alpn", ["sh", "-c", get + ossl + "-servername localhost -alpn h2,http/1.1 -ign_eof"]
    yield "openssl-tls10", ["sh", "-c", get + ossl + "-tls1 -cipher ALL:@SECLEVEL=0 -ign_eof"]
    yield "curl", ["curl", "-sk", "--max-time", "8", "-H", "Connection: close", "--http1.1",
                   "https://localhost:PORT/", "https://localhost:PORT/"]
    yield "curl-h2", ["curl", "-sk", "--max-time", "8", "https://localhost:PORT/"]
    yield "curl-ip", ["curl", "-sk", "--max-time", "8", "https://127.0.0.1:PORT/"]
    yield "gnutls", ["sh", "-c", "sleep 1 | timeout 8 gnutls-cli --insecure --resume -p PORT localhost"]
    yield "gnutls-tls12", ["sh", "-c", "sleep 1 | timeout 8 gnutls-cli --insecure --resume "
                           "--priority NORMAL:-VERS-TLS1.3 -p PORT localhost"]
    yield "python", [sys.executable, "-c", PYTHON, "PORT"]
    yield "node", ["node", "-e", NODE, "PORT"]
    yield "java", ["java", java, "PORT"]
    yield "wget", ["wget", "-q", "--no-check-certificate", "-t1", "-T8", "-O/dev/null",
                   "https://localhost:PORT/"]
    for profile in WREQ:
        yield "wreq-" + profile, ["node", "-e", WREQ_JS, "PORT", profile]


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_hello(s):
    """The records as they came, and the handshake message in them."""
    raw = msg = b""
    while len(msg) < 4 or len(msg) < 4 + int.from_bytes(msg[1:4], "big"):
        head = read_exactly(s, 5)
        if head[0] != 22:
            raise ValueError("record type %d" % head[0])
        body = read_exactly(s, int.from_bytes(head[3:5], "big"))
        raw += head + body
        msg += body
    return raw, msg


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, server, out):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.settimeout(10)
        try:
            raw, msg = read_hello(client)
        except (EOFError, OSError, ValueError):
            client.close()
            continue
        out.append(msg)
        back = socket.create_connection(("127.0.0.1", server))
        back.sendall(raw)
        for pair in ((client, back), (back, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_server(tmp):
    key, cert = os.path.join(tmp, "key"), os.path.join(tmp, "cert")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                    "-out", cert, "-subj", "/CN=localhost", "-days", "2"], check=True,
                   stderr=subprocess.DEVNULL)
    port = free_port()
    p = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-key", key,
                          "-cert", cert, "-www", "-cipher", "ALL:@SECLEVEL=0"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    while b"ACCEPT" not in p.stdout.readline():
        if p.poll() is not None:
            sys.exit("record-hellos: openssl s_server did not start")
    threading.Thread(target=lambda: p.stdout.read(), daemon=True).start()
    return p, port


def main():
    where, only = sys.argv[1], set(sys.argv[2:])
    os.makedirs(where, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        server, server_port = start_server(tmp)
        for name, command in clients(tmp):
            if only and name not in only:
                continue
            if not shutil.which(command[0]):
                print("missing", name)
                continue
            seen = []
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            threading.Thread(target=serve, args=(listener, server_port, seen), daemon=True).start()
            try:
                subprocess.run([a.replace("PORT", str(port)) for a in command], timeout=30,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired:
                pass
            listener.close()
            for i, msg in enumerate(seen[:2]):
                file = name + (".bin" if i == 0 else ".2.bin")
                with open(os.path.join(where, file), "wb") as f:
                    f.write(msg)
            print("%d %s" % (len(seen), name) if seen else "missing " + name, flush=True)
        server.terminate()
        server.wait()


main()
