"""A small HTTP/1.1 client that keeps its connections and goes through the proxy it is told of.

Separate from the server because nothing is shared but h11; written for the same reason: it starts fast.
Plain HTTP through a proxy uses the absolute URL as target (RFC 9112 §3.2.2), never CONNECT, so that the
proxy can route and balance each request. It knows neither TLS nor redirects.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

ANSWER_TIMEOUT_S = 10.0  # longer than any retry policy of the demo, shorter than a user's patience

_READ_BYTES = 64 * 1024
_IDLE_LIMIT = 64  # connections kept; as many as the widest burst has at work


class NoAnswerError(Exception):
    """The server could not be reached or gave no whole answer; the text says why, in a few words."""


class Peer(NamedTuple):
    """What a connection leads to: the server itself, or the proxy."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def proxy_for(host: str, environ: Mapping[str, str] = os.environ) -> Peer | None:
    """Return the proxy for plain HTTP to `host`, by `http_proxy` and `no_proxy` in either case."""
    url = environ.get("http_proxy") or environ.get("HTTP_PROXY")
    if not url:
        return None
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for entry in (entry.strip() for entry in excepted.split(",")):
        domain = entry.removeprefix("*").lstrip(".")
        if entry == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
            return None
    parts = urlsplit(url if "//" in url else f"//{url}")
    return Peer(parts.hostname or "", parts.port or 80)


class HttpClient:
    """Sends requests, each on an idle connection if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._idle: dict[Peer, list[_Connection]] = {}

    def via(self, url: str) -> str:
        """Say in words which way a request to `url` goes."""
        host = urlsplit(url).hostname or ""
        proxy = proxy_for(host, self._environ)
        return f"proxy {proxy.host}:{proxy.port}" if proxy else "direct"

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and return the whole answer, within `ANSWER_TIMEOUT_S`.

        Raises NoAnswerError. A GET on a kept connection that turns out to be closed is sent once more;
        a POST is not, since the server may have acted on it.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        proxy = proxy_for(host, self._environ)
        target = url if proxy else (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = h11.Request(
            method=method,
            target=target,
            headers=[
                ("host", parts.netloc),
                *(headers or {}).items(),
                *([("content-length", str(len(body)))] if body or method == "POST" else []),
            ],
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._exchange(proxy or Peer(host, port), head, body)
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoAnswerError(_in_words(error)) from error

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _exchange(self, peer: Peer, head: h11.Request, body: bytes) -> Answer:
        idle = self._idle.setdefault(peer, [])
        while idle and (kept := idle.pop()):
            if kept.is_closed():
                kept.close()
                continue
            try:
                return await self._use(kept, idle, head, body)
            except ConnectionError:
                if head.method != b"GET":
                    raise
                break
        return await self._use(await _connect(peer), idle, head, body)

    async def _use(
        self, connection: "_Connection", idle: list["_Connection"], head: h11.Request, body: bytes
    ) -> Answer:
        reusable = False
        try:
            answer = await connection.exchange(head, body)
            reusable = connection.start_over()
            return answer
        finally:
            if reusable and len(idle) < _IDLE_LIMIT:
                idle.append(connection)
            else:
                connection.close()


class _Connection:
    """One connection, one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT)

    def is_closed(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    def start_over(self) -> bool:
        """Make ready for the next exchange; False if the server wants the connection closed."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    async def exchange(self, head: h11.Request, body: bytes) -> Answer:
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        self._writer.write(b"".join(self._state.send(event) or b"" for event in events))
        status, headers, received = 0, dict[str, str](), bytearray()
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                chunk = await self._reader.read(_READ_BYTES)
                if not (chunk or status):
                    raise ConnectionResetError
                self._state.receive_data(chunk)
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                received += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status=status, headers=headers, body=bytes(received))


async def _connect(peer: Peer) -> _Connection:
    return _Connection(*await asyncio.open_connection(peer.host, peer.port))


def _in_words(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "connection closed before the answer"
        case TimeoutError():
            return f"no answer within {ANSWER_TIMEOUT_S:g} s"
        case socket.gaierror():
            return "name not known"
        case h11.RemoteProtocolError():
            return f"not an HTTP answer: {error}"
        case _:
            return f"no connection: {error}"
