"""HTTP/1.1 for the demo's apps: a dict of routes, served by aiohttp.

Separate so that what an app answers is a plain function of a request, and no app knows the library.
It refuses bodies above `BODY_LIMIT_BYTES`, and knows neither TLS nor compression: the sidecar does.
"""

import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

BODY_LIMIT_BYTES = 64 * 1024  # the largest body an app here has use for is a number

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
    app = web.Application(client_max_size=BODY_LIMIT_BYTES)
    for (method, path), route in routes.items():
        app.router.add_route(method, path, _handler(route))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        log.info("listening on %s:%d", bound[0], bound[1])
        yield int(bound[1])
    finally:
        await runner.cleanup()


def _handler(route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        response = route(
            Request(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
            )
        )
        if inspect.isawaitable(response):
            response = await response
        headers = [*response.headers, ("content-type", response.content_type)]
        return web.Response(status=response.status, body=response.body, headers=headers)

    return handle
