"""One probe per protocol: send n different messages to the echo server and compare what comes back.

Separate from `echo_client`, which is only how one asks for a probe. A library that only one probe needs is
imported there, as each costs as much to start as all the rest. A probe raises nothing for what the
network does: whatever is not echoed is a failure in its report.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp

from demo.http_client import HttpClient, NoAnswerError

PROTOCOLS = ("grpc", "h2c", "http1", "tcp", "websocket")
ECHO_PATH = "/echo"
GRPC_METHOD = "/demo.Echo/Say"

_FAILURES_LIMIT = 5  # after so many a probe gives up: enough to see a pattern
_STEP_TIMEOUT_S = 10.0  # for connecting, and for each message


class ProbeError(Exception):
    """A message did not come back; the text says why."""


class Echo(NamedTuple):
    """What came back, and over which HTTP version it had reached the app, if it says so."""

    body: bytes
    http_version: str = ""


Say = Callable[[bytes], Awaitable[Echo]]
"""Sends one message and returns its echo; raises ProbeError."""


@dataclass(kw_only=True)
class Report:
    """What a probe found; `http_versions` counts what the app saw."""

    protocol: str
    via: str
    sent: int = 0
    echoed: int = 0
    failures: list[str] = field(default_factory=list)
    http_versions: Counter[str] = field(default_factory=Counter)

    def as_document(self) -> dict[str, object]:
        """Return the report as JSON has it."""
        return {
            "protocol": self.protocol,
            "via": self.via,
            "sent": self.sent,
            "echoed": self.echoed,
            "failures": self.failures,
            "http_versions": dict(sorted(self.http_versions.items())),
        }


async def probe(protocol: str, n: int, targets: Mapping[str, str], client: HttpClient) -> Report:
    """Send `n` messages over one of `PROTOCOLS`, one after another.

    `targets` holds where the server is, by protocol: a URL for http1, `host:port` for the others.
    """
    target = targets[protocol]
    way = client.via(target) if protocol == "http1" else target
    report = Report(protocol=protocol, via=way)
    try:
        async with _conversation(protocol, target, client) as say:
            for number in range(n):
                await _exchange(report, say, f"{protocol} message {number}".encode())
                if len(report.failures) >= _FAILURES_LIMIT:
                    break
    except (OSError, ProbeError) as error:
        report.failures.append(f"no connection to {target}: {error or type(error).__name__}")
    return report


async def _exchange(report: Report, say: Say, message: bytes) -> None:
    report.sent += 1
    try:
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            echo = await say(message)
    except TimeoutError:
        report.failures.append(f"message {report.sent}: no echo within {_STEP_TIMEOUT_S:g} s")
    except (OSError, ProbeError) as error:
        report.failures.append(f"message {report.sent}: {error}")
    else:
        if echo.body == message:
            report.echoed += 1
        else:
            report.failures.append(f"message {report.sent}: sent {message!r}, got {echo.body[:100]!r}")
        if echo.http_version:
            report.http_versions[echo.http_version] += 1


def _conversation(protocol: str, target: str, client: HttpClient) -> AbstractAsyncContextManager[Say]:
    match protocol:
        case "http1":
            return _http1(target, client)
        case "h2c":
            return _h2c(target)
        case "grpc":
            return _grpc(target)
        case "websocket":
            return _websocket(target)
        case _:
            return _tcp(target)


@asynccontextmanager
async def _http1(url: str, client: HttpClient) -> AsyncIterator[Say]:
    async def say(message: bytes) -> Echo:
        try:
            answer = await client.request("POST", url.rstrip("/") + ECHO_PATH, body=message)
        except NoAnswerError as error:
            raise ProbeError(str(error)) from error
        return _checked(answer.status, answer.body, answer.headers)

    yield say


@asynccontextmanager
async def _h2c(target: str) -> AsyncIterator[Say]:
    import httpx  # noqa: PLC0415  costs 0.4 s to import, and only this probe needs it

    # With HTTP/1.1 ruled out httpx speaks HTTP/2 from the first byte; the address is the sidecar's own.
    async with httpx.AsyncClient(http1=False, http2=True, trust_env=False) as client:

        async def say(message: bytes) -> Echo:
            try:
                answer = await client.post(f"http://{target}{ECHO_PATH}", content=message)
            except httpx.HTTPError as error:
                raise ProbeError(f"{type(error).__name__}: {error}") from error
            return _checked(answer.status_code, answer.content, answer.headers)

        yield say


@asynccontextmanager
async def _grpc(target: str) -> AsyncIterator[Say]:
    import grpc  # noqa: PLC0415  costs 0.1 s to import, and only this probe needs it

    # gRPC would otherwise take HTTP_PROXY for a proxy that tunnels.
    options = (("grpc.enable_http_proxy", 0),)
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        # No schema is needed: `bytes` leaves a message as it is.
        call = channel.unary_unary(GRPC_METHOD, request_serializer=bytes, response_deserializer=bytes)

        async def say(message: bytes) -> Echo:
            try:
                return Echo(await call(message, timeout=_STEP_TIMEOUT_S))
            except grpc.aio.AioRpcError as error:
                raise ProbeError(f"{error.code().name}: {error.details()}") from error

        yield say


@asynccontextmanager
async def _websocket(target: str) -> AsyncIterator[Say]:
    async with aiohttp.ClientSession(trust_env=False) as session:
        try:
            async with asyncio.timeout(_STEP_TIMEOUT_S):
                socket = await session.ws_connect(f"http://{target}{ECHO_PATH}")
        except aiohttp.ClientError as error:
            raise ProbeError(str(error)) from error

        async def say(message: bytes) -> Echo:
            await socket.send_bytes(message)
            reply = await socket.receive()
            if reply.type is not aiohttp.WSMsgType.BINARY:
                raise ProbeError(f"got {reply.type.name} instead of the message")
            return Echo(reply.data)

        async with socket:
            yield say


@asynccontextmanager
async def _tcp(target: str) -> AsyncIterator[Say]:
    host, _, port = target.rpartition(":")
    async with asyncio.timeout(_STEP_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, int(port))

    async def say(message: bytes) -> Echo:
        writer.write(message)
        try:
            return Echo(await reader.readexactly(len(message)))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ProbeError("the connection was closed before the echo") from error

    try:
        yield say
    finally:
        writer.close()


def _checked(status: int, body: bytes, headers: Mapping[str, str]) -> Echo:
    if status != 200:
        raise ProbeError(f"status {status}: {body[:100].decode(errors='replace').strip()}")
    return Echo(body, headers.get("echo-http-version", ""))
