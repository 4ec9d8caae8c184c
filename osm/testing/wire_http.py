"""One HTTP/1.1 request, byte for byte as a test writes it, and what came back.

HTTP libraries tidy up paths and headers before they send them; access control is about what they would not send.
"""

import asyncio
from collections.abc import Mapping

import h11
import msgspec
from msgspec import Struct

TIMEOUT_S = 30.0


class Answer(Struct, frozen=True, kw_only=True):
    """`status` is 0 if the connection ended without an answer."""

    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def said(self) -> dict[str, object]:
        """The body as an object; empty if it is none. `osm.testing.app` answers so."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except msgspec.MsgspecError:
            return {}


async def ask(
    address: str, target: str, *, host: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send to `host:port` the request line `method target HTTP/1.1`. Raises OSError, TimeoutError."""
    where, _, port = address.rpartition(":")
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(where, int(port))
        try:
            lines = {"host": host, "connection": "close", **(headers or {})}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
            return await _answer(reader, method)
        finally:
            writer.close()


async def through(proxy: str, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    """Send through an HTTP proxy (a sidecar's `http_proxy`), the URL's path as it is written."""
    host = url.removeprefix("http://").partition("/")[0]
    return await ask(proxy, url, host=host, method=method, headers=headers)


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method=method, target="/", headers=[("host", "any"), ("connection", "close")]))
    http.send(h11.EndOfMessage())
    answer, body = Answer(), bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            try:
                http.receive_data(await reader.read(65536))
            except ConnectionError:
                return answer
        elif isinstance(event, h11.Response):
            answer = Answer(
                status=event.status_code, headers={name.decode(): value.decode() for name, value in event.headers}
            )
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status=answer.status, headers=answer.headers, body=bytes(body))
