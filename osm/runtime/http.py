"""The process's own HTTP: /healthz, /readyz and /metrics, for kubelet and Prometheus.

On a Unix socket the file's mode (0600) is the guard. On TCP only the two health pages are open to anyone;
/metrics asks for a bearer token from a file. It serves nothing else, and nothing that changes anything.
"""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from osm.runtime.health import Health
from osm.runtime.metrics import CONTENT_TYPE
from osm.runtime.settings import BadSetting

UNIX = "unix:"
_OR_UNIX = {"OSM_HTTP": " or unix:/path"}
MAX_SOCKET_PATH = 107
"""What fits into `sockaddr_un` beside the closing zero."""


@asynccontextmanager
async def serve_http(
    listen: str,
    services: Sequence[Health],
    exposition: Callable[[], bytes],
    *,
    metrics_token_file: str = "",
) -> AsyncIterator[str]:
    """Serve while the context is open; yields where (`host:port` with the real port, or `unix:/path`).

    `listen` empty serves nothing. Raises BadSetting.
    """
    if not listen:
        yield ""
        return
    listener, where = _open(listen)
    token_file = None if listen.startswith(UNIX) else metrics_token_file
    runner = web.AppRunner(pages(services, exposition, token_file), access_log=None, handle_signals=False)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield where
    finally:
        await runner.cleanup()
        listener.close()
        _remove(listen)


def pages(services: Sequence[Health], exposition: Callable[[], bytes], token_file: str | None) -> web.Application:
    """The three pages. `token_file`: None asks for no token (a Unix socket); empty refuses /metrics."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = [_waits(health) for health in services if not health.ready]
        return web.Response(status=503 if waiting else 200, text="\n".join(waiting or ["ready"]) + "\n")

    async def metrics(request: web.Request) -> web.Response:
        if token_file is not None and (refusal := await _refused(request, token_file)) is not None:
            return refusal
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def _waits(health: Health) -> str:
    reasons = ", ".join(health.status.waiting_for) or "nothing it has named"
    return f"{health.service}: {health.status.state}, waiting for {reasons}"


async def _refused(request: web.Request, token_file: str) -> web.Response | None:
    if not token_file:
        why = "metrics over TCP need a token: set OSM_METRICS_TOKEN_FILE, or listen on unix:/path\n"
        return web.Response(status=403, text=why)
    try:
        token = (await asyncio.to_thread(Path(token_file).read_bytes)).strip()
    except OSError as error:
        return web.Response(status=503, text=f"OSM_METRICS_TOKEN_FILE cannot be read: {error.strerror}\n")
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not token or not hmac.compare_digest(given, b"Bearer " + token):
        why = "metrics need the header `Authorization: Bearer <token>` with the token of OSM_METRICS_TOKEN_FILE\n"
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"}, text=why)
    return None


def _open(listen: str) -> tuple[socket.socket, str]:
    try:
        if listen.startswith(UNIX):
            return _unix(listen.removeprefix(UNIX)), listen
        return tcp_listener("OSM_HTTP", listen)
    except OSError as error:
        raise BadSetting(f"OSM_HTTP: cannot listen on {listen!r}: {error.strerror or error}") from error


def _unix(path: str) -> socket.socket:
    """Bound under a umask, since a mode set afterwards leaves a moment in which anyone may connect."""
    if not path.startswith("/") or len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise BadSetting(f"OSM_HTTP: found unix:{path}, allowed is an absolute path of at most {MAX_SOCKET_PATH} bytes")
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
    return listener


def _remove_stale(path: str) -> None:
    """A socket nobody listens on is a crashed process's leftover; one that answers is left to its owner."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.connect(path)
        raise BadSetting(f"OSM_HTTP: found unix:{path}, but another process listens there")
    Path(path).unlink(missing_ok=True)


def _remove(listen: str) -> None:
    if listen.startswith(UNIX):
        Path(listen.removeprefix(UNIX)).unlink(missing_ok=True)


def tcp_listener(setting: str, listen: str) -> tuple[socket.socket, str]:
    """A socket that listens at `host:port`, and where that really is. Raises BadSetting, OSError."""
    host, separator, port = listen.rpartition(":")
    host = host.strip("[]")
    if not (separator and host and port.isdecimal() and int(port) < 65536):
        raise BadSetting(f"{setting}: found {listen!r}, allowed is host:port{_OR_UNIX.get(setting, '')}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, int(port)), family=family)
    real = listener.getsockname()[1]
    return listener, f"[{host}]:{real}" if family is socket.AF_INET6 else f"{host}:{real}"
