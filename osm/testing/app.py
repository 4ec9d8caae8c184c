"""An app for meshes under test: it answers with what it was asked, and who it is. `python3 -m osm.testing.app`.

It listens on its own address (OSM_BIND_HOST) at each port of its arguments: `8080` speaks HTTP, `tcp:9000` returns
bytes as they come, `first:9001` speaks first. It knows nothing of the mesh beyond what any app is told.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

_READ_BYTES = 65536
_HEAD_BYTES = 65536


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/1.1 with keep-alive: a JSON object of the request. `/environment` adds the app's own, `/503` fails."""
    port = writer.get_extra_info("sockname")[1]
    while head := await reader.readuntil(b"\r\n\r\n"):
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        said: dict[str, object] = {
            "by": os.environ.get("HOSTNAME", ""),
            "port": port,
            "method": method,
            "path": path,
            "headers": headers,
        }
        if path == "/environment":
            said["environment"] = dict(os.environ)
        body = json.dumps(said).encode()
        status = b"503 Service Unavailable" if path == "/503" else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + (body if method != "HEAD" else b""))
        await writer.drain()


async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Every byte back."""
    while chunk := await reader.read(_READ_BYTES):
        writer.write(chunk)
        await writer.drain()


async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A greeting before anything was asked, then every byte back."""
    writer.write(b"hello\n")
    await tcp(reader, writer)


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SPEAKS: dict[str, Speak] = {"http": http, "tcp": tcp, "first": first}


def polite(speak: Speak) -> Speak:
    """A client that hangs up is no error."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    return serve


async def main(arguments: list[str]) -> None:
    """Listen until killed."""
    host = os.environ.get("OSM_BIND_HOST", "0.0.0.0")  # noqa: S104  # what an app in a pod does
    for argument in arguments or ["8080"]:
        kind, _, port = argument.rpartition(":")
        await asyncio.start_server(polite(SPEAKS[kind or "http"]), host, int(port), limit=_HEAD_BYTES)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
