"""A small HTTP/1.1 server: h11 for the protocol, asyncio streams for the bytes, a dict for the routes.

Written rather than imported because six apps start together on a laptop: a web framework costs each of
them half a second of CPU before its first line, this costs a tenth of that.
It refuses bodies above `BODY_LIMIT_BYTES`, and knows neither TLS nor compression: the sidecar does.
"""

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import h11

BODY_LIMIT_BYTES = 64 * 1024  # the largest body an app here has use for is a number

_READ_BYTES = 64 * 1024
_REASONS = {400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed", 413: b"Content Too Large"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request; header names in lower case, a repeated query parameter's last value."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Route = Callable[[Request], Response | Awaitable[Response]]
Routes = Mapping[tuple[str, str], Route]
"""What answers, by (method, path)."""


def text(sentence: str, *, status: int = 200) -> Response:
    """Answer with one line of text."""
    return Response(status=status, body=f"{sentence}\n".encode())


def as_json(value: object, *, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Answer with JSON, keys in the order given."""
    body = json.dumps(value, indent=2).encode() + b"\n"
    return Response(body=body, content_type="application/json", headers=headers)


def html(page: str, *, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Answer with a page."""
    return Response(body=page.encode(), content_type="text/html; charset=utf-8", headers=headers)


@asynccontextmanager
async def listen(routes: Routes, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts, and yield the port (0 asks for a free one).

    At the end no open connection is waited for: an idle one would hold the process.
    Raises OSError, with the address in its words, if the address is taken.
    """
    open_ones: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as conversations:

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = conversations.create_task(_converse(routes, reader, writer))
            open_ones.add(task)
            task.add_done_callback(open_ones.discard)

        server = await asyncio.start_server(begin, host, port)
        bound = server.sockets[0].getsockname()
        log.info("listening on %s:%d", bound[0], bound[1])
        try:
            yield int(bound[1])
        finally:
            server.close()
            for task in open_ones:
                task.cancel()


async def _converse(routes: Routes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = h11.Connection(h11.SERVER)
    try:
        while (request := await _receive(connection, reader, writer)) is not None:
            writer.write(_encoded(connection, await _answer(routes, request)))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refusal = text(f"not a request this server can read: {error}", status=error.error_status_hint)
            writer.write(_encoded(connection, refusal))
    except ConnectionError:
        log.debug("a client hung up")
    finally:
        writer.close()


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Return the next request, or None if the client has no more of them."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = connection.send(h11.InformationalResponse(status_code=100, headers=[]))
                writer.write(go_on or b"")
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT_BYTES:
                raise h11.RemoteProtocolError(f"the body exceeds {BODY_LIMIT_BYTES} bytes", 413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head, bytes(body))
        else:
            return None


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("latin-1"))
    return Request(
        method=head.method.decode("ascii"),
        path=target.path,
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


async def _answer(routes: Routes, request: Request) -> Response:
    route = routes.get((request.method, request.path))
    if route is None:
        allowed = sorted(method for method, path in routes if path == request.path)
        if not allowed:
            return text(f"no page {request.path} here", status=404)
        return text(f"{request.path} takes {' or '.join(allowed)}, not {request.method}", status=405)
    response = route(request)
    return await response if inspect.isawaitable(response) else response


def _encoded(connection: h11.Connection, response: Response) -> bytes:
    head = h11.Response(
        status_code=response.status,
        reason=_REASONS.get(response.status, b"OK"),
        headers=[
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            *response.headers,
        ],
    )
    events = (head, h11.Data(data=response.body), h11.EndOfMessage())
    return b"".join(connection.send(event) or b"" for event in events)
