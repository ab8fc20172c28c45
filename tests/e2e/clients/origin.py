# SPDX-License-Identifier: BSD-2-Clause
"""What nginx cannot do by itself: answer a whole request, stream server-sent events.

    origin.py SOCKET

/small 330 bytes, /big 2 MB, /sse 20 events 40 ms apart, anything else the request's
body, after 10 ms: no model answers sooner, and winnow takes what a server says within
8 ms of a connection's first request for session tickets. nginx would answer a POST before
its body has come; this does not.
"""
import asyncio
import os
import sys

EVENTS = 20
EVENT_GAP = 0.04
THINKING = 0.01
ANSWERS = {"/small": b'{"object": "answer", "text": "%s"}' % (b"word " * 60),
           "/big": os.urandom(2 << 20)}


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").split("\r\n")
            fields = dict(l.lower().split(": ", 1) for l in lines if ": " in l)
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            path = request.split(" ")[1]
            await asyncio.sleep(THINKING)
            if path == "/sse":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n")
                for i in range(EVENTS):
                    event = b"data: {\"token\": %d, \"text\": \"%s\"}\n\n" % (i, b"word " * 20)
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                    await writer.drain()
                    await asyncio.sleep(EVENT_GAP)
                writer.write(b"0\r\n\r\n")
            else:
                body = ANSWERS.get(path) or body or b"{}"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(path):
    server = await asyncio.start_unix_server(serve, path, backlog=4096)
    os.chmod(path, 0o666)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
