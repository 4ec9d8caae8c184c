"""HTTP/1.1 from the demo's apps: kept connections, through the proxy that the environment names; by aiohttp.

Separate so that an app sees an answer or a reason why there is none, in a few words, and no library's errors.
Plain HTTP goes through a proxy with the absolute URL as target (RFC 9112 §3.2.2), never by CONNECT, so that the
proxy can route and balance each request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from yarl import URL

ANSWER_TIMEOUT_S = 10.0  # longer than any retry policy of the demo, shorter than a user's patience

_CONNECTIONS = 64  # as many as the widest burst has at work


class NoAnswerError(Exception):
    """The server could not be reached or gave no whole answer; the text says why, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests while its context is open."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            trust_env=True,
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def via(self, url: str) -> str:
        """Say in words which way a request to `url` goes."""
        try:
            proxy, _ = get_env_proxy_for_url(URL(url))
        except LookupError:
            return "direct"
        return f"proxy {proxy.host}:{proxy.port}"

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and return the whole answer, within `ANSWER_TIMEOUT_S`. Raises NoAnswerError."""
        assert self._session is not None, "the client's context is open"
        try:
            async with self._session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                named = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(status=answer.status, headers=named, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(_in_words(error)) from error


def _in_words(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {ANSWER_TIMEOUT_S:g} s"
        case aiohttp.ClientConnectorDNSError():
            return "name not known"
        case aiohttp.ClientConnectorError():
            return "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else str(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "connection closed before the answer"
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return f"not an HTTP answer: {error}"
        case _:
            return f"no connection: {error}"
