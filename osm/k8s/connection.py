"""Requests to an API server and their answers as bytes; every failure is one of our errors.

Apart from the client, which knows what is asked: here it is HTTP, credentials and patience alone.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from msgspec import Struct

from osm.k8s.access import Access
from osm.k8s.connection_failure import why
from osm.k8s.errors import ApiError, Busy, Forbidden, NoCluster, Unreachable, refusal
from osm.k8s.selection import WHOLE

CONNECT_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0
"""The API server's own limit for a request that is no watch."""

TRIES = 3
"""Of a request that the server says it has not begun (429 with Retry-After)."""

LONGEST_RETRY_S = 10.0

LATEST = 1.5
"""Times what the server asks for: it asks the same of everyone that it holds back at a moment."""

MAX_IDLE_CONNECTIONS_S = 30.0
"""Unused connections are closed before a load balancer between us and the server forgets them."""

_USER_AGENT = "osm"
_NOT_BEGUN = 429
_WHO_ARE_YOU = 401


class Call(Struct, frozen=True, kw_only=True):
    """One request. `asked` is how errors call it; `body` is sent as JSON."""

    asked: str
    method: str = "GET"
    path: str
    query: Mapping[str, str] = {}
    body: Any = None
    content_type: str = "application/json"
    accept: str = WHOLE


class Connection:
    """One API server; open it with `opened`. Many requests at once are fine."""

    def __init__(self, access: Access, http: aiohttp.ClientSession) -> None:
        self._access = access
        self._http = http

    async def send(self, call: Call) -> bytes:
        """The answer's body. Raises ApiError."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S, sock_connect=CONNECT_WITHIN_S)
        for tries_left in reversed(range(TRIES)):
            try:
                async with self._answer(call, timeout) as answer:
                    return await answer.read()
            except _NotBegun as busy:
                if not tries_left:
                    raise
                await asyncio.sleep(busy.after_s * random.uniform(1, LATEST))  # noqa: S311  # spreads load, hides nothing
        raise AssertionError("unreachable: the last try returns or raises")

    async def lines(self, call: Call, *, idle_s: float) -> AsyncGenerator[tuple[bytes, ...], None]:
        """The answer's lines, as many at once as have come, until the server ends it; first none: it has begun.

        Raises Unreachable if it says nothing for `idle_s`, and ApiError otherwise.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN_S, sock_read=idle_s)
        async with self._answer(call, timeout) as answer:
            try:
                yield ()
                rest = b""
                async for chunk in answer.content.iter_any():
                    *whole, rest = (rest + chunk).split(b"\n")
                    if lines := tuple(line for line in whole if line):
                        yield lines
            finally:
                answer.close()

    @asynccontextmanager
    async def _answer(self, call: Call, timeout: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer. Credentials that are refused are read again, once."""
        data = None if call.body is None else msgspec.json.encode(call.body)
        for renewed in (False, True):
            headers = {"Accept": call.accept, "User-Agent": _USER_AGENT, **self._access.headers()}
            if data is not None:
                headers["Content-Type"] = call.content_type
            with _translated(call.asked, self._access.host):
                async with self._http.request(
                    call.method,
                    self._access.host + call.path,
                    params=call.query,
                    data=data,
                    headers=headers,
                    timeout=timeout,
                    ssl=self._access.tls,
                    server_hostname=self._access.server_name,
                    proxy=self._access.proxy or _proxy_of_environment(self._access.host),
                ) as answer:
                    if answer.status < 300:
                        yield answer
                        return
                    error = _refusal(call.asked, answer, await answer.read())
            if error.status != _WHO_ARE_YOU or renewed:
                raise error
            await self._renew(error)

    async def _renew(self, refused: ApiError) -> None:
        """Raises Forbidden if other credentials cannot be had: whoever has been here goes on trying."""
        try:
            await self._access.renew()
        except NoCluster as failed:
            raise Forbidden(f"{refused}; {failed}", status=refused.status, reason=refused.reason) from failed


class _Answer(aiohttp.ClientResponse):
    """One that is left early takes its connection with it at once, without the polite end of TLS: nobody would wait
    for that, neither a watch that has ended nor a loop that ends."""

    def close(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


class _NotBegun(Busy):
    """The server has not begun with the request, and says when to come again."""

    def __init__(self, error: ApiError, after_s: float) -> None:
        super().__init__(str(error), status=error.status, reason=error.reason)
        self.after_s = after_s


def _refusal(asked: str, answer: aiohttp.ClientResponse, body: bytes) -> ApiError:
    error = refusal(asked, answer.status, body)
    after = answer.headers.get("Retry-After", "")
    if answer.status == _NOT_BEGUN and after.isdecimal():
        return _NotBegun(error, min(float(after), LONGEST_RETRY_S))
    return error


@contextmanager
def _translated(asked: str, host: str) -> Iterator[None]:
    """What the HTTP client raises becomes Unreachable."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{asked}: no answer from {host}: {why(error)}") from error


def _proxy_of_environment(host: str) -> str | None:
    """By $HTTPS_PROXY and $NO_PROXY, as kubectl has it. The HTTP client would look there itself, but then shows the
    server what ~/.netrc says too, in place of what the kubeconfig does."""
    parts = urlsplit(host)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


@asynccontextmanager
async def opened(access: Access) -> AsyncIterator[Connection]:
    """The connections are closed at the end."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=MAX_IDLE_CONNECTIONS_S)
    async with aiohttp.ClientSession(connector=connector, response_class=_Answer) as http:
        yield Connection(access, http)
    await asyncio.sleep(0)  # what was hung up is gone with the loop's next turn
