"""Questions over HTTPS from strangers: bounded in size, number and time before anything of ours looks at them.

Apart from `http`, which shows a process's own state to those who watch it; here the API server posts JSON, and whoever
else reaches the port may try. What is asked and answered is the caller's matter: bytes in, bytes out.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from osm.runtime.http import tcp_listener
from osm.runtime.settings import BadSetting

READ_WITHIN_S = 3.0
"""An API server sends a whole review in milliseconds; whoever takes longer holds a place for its own sake."""

READ_AT_ONCE = 32
"""Bodies in memory that are not whole yet; who waits behind slow ones is told to come again before it gives up."""

ANSWER_WITHIN_S = 10.0
"""Below the 20 s that the API server waits, so that it hears why."""

KEEP_ALIVE_S = 90.0
"""The API server keeps its connections; longer than its own idle time, so that it is the one to close."""

END_WITHIN_S = 2.0

Answer = Callable[[bytes], Awaitable[bytes]]
"""JSON in, JSON out. Raises Malformed."""


class Malformed(Exception):
    """What was posted is not what is asked for here; the message says why, and is the answer."""


class ServerCertificate:
    """A TLS context whose certificate can be replaced: connections from then on are shown the new one."""

    def __init__(self) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def put(self, *, key_pem: str, chain_pem: str) -> None:
        """The key passes through memory alone: Python's TLS reads files, so it is given one that has no place."""
        file = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(file, f"{key_pem}{chain_pem}".encode())
            self.context.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.close(file)


@asynccontextmanager
async def serve_https(
    setting: str,
    listen: str,
    certificate: ServerCertificate,
    posts: Mapping[str, Answer],
    *,
    max_body_bytes: int,
    at_once: int,
) -> AsyncIterator[str]:
    """Serve POSTs of JSON at the paths of `posts` while the context is open; yields `host:port`.

    `setting` names the variable that `listen` came from. Of whole requests `at_once` are answered at a time.
    Raises BadSetting.
    """
    reading, answering = asyncio.Semaphore(READ_AT_ONCE), asyncio.Semaphore(at_once)
    app = web.Application(client_max_size=max_body_bytes)
    app.add_routes([web.post(path, _guarded(answer, reading, answering)) for path, answer in posts.items()])
    try:
        listener, where = tcp_listener(setting, listen)
    except OSError as error:
        raise BadSetting(f"{setting}: cannot listen on {listen!r}: {error.strerror or error}") from error
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=END_WITHIN_S
    )
    try:
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=certificate.context).start()
        yield where
    finally:
        await runner.cleanup()
        listener.close()


def _guarded(
    answer: Answer, reading: asyncio.Semaphore, answering: asyncio.Semaphore
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def post(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _said(415, f"expected a body of application/json, found {request.content_type}")
        turn = asyncio.timeout(ANSWER_WITHIN_S)
        try:
            async with turn, reading:
                turn.reschedule(None)
                async with asyncio.timeout(READ_WITHIN_S):
                    body = await request.read()
        except TimeoutError:
            if turn.expired():
                return _said(503, f"too many requests at once for {ANSWER_WITHIN_S:g} s; try again")
            return _said(408, f"the request did not come whole within {READ_WITHIN_S:g} s")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), answering:
                return web.Response(body=await answer(body), content_type="application/json")
        except TimeoutError:
            return _said(503, f"no answer within {ANSWER_WITHIN_S:g} s; try again")
        except Malformed as error:
            return _said(400, str(error))

    return post


def _said(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n")
