"""The connection to NATS: made once, kept for good, and able to say whether it is up.

Separate from what is said over it. It never gives up on a server that is away; it ends, with the server's words,
when the server refuses who we are.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from osm.bus import BusError, nats_keys, nats_wire
from osm.bus.log_throttle import LogThrottle
from osm.bus.nats_dial import DiallingClient
from osm.bus.nats_keys import Keys
from osm.bus.nats_measures import Measures
from osm.bus.nats_settings import NatsSettings, read_secret, require_private

T = TypeVar("T")

log = structlog.get_logger()

RECONNECT_WAIT_S = 0.25
"""Between attempts: a restarted server is found within a quarter second, an absent one costs nothing."""

PING_S = 10
"""A dead connection shows after two of these; the client's default of 120 s would freeze a mesh for minutes."""

API_TIMEOUT_S = 3.0
"""For one request to JetStream; every caller tries again."""

RETRY_S = 0.2
"""Between attempts at a server whose JetStream is not there yet."""

MOST_TOLD = 1000
"""Forged keys that are named in the log; whoever makes up more of them cannot fill memory or disk."""

AWAY = (TimeoutError, nats.errors.Error, OSError)
"""What a request raises while the server, its JetStream or the connection is away. APIError is among them."""


def is_refusal(error: BaseException) -> bool:
    """Whether JetStream answered with a no that needs a person, as opposed to "not there" and "not now"."""
    if not isinstance(error, APIError) or isinstance(error, NotFoundError):
        return False
    return nats_wire.is_refusal(error.code or 0, error.err_code or 0)


class NatsConnection:
    """A connected client. `generation` counts the connections: what was set up on an older one has to be made anew."""

    def __init__(self, name: str, url: str, keys: Keys) -> None:
        self.name = name
        self.url = url
        self.keys = keys
        self.client = DiallingClient()
        self.generation = 0
        self.wake: set[asyncio.Event] = set()
        self.measures = Measures()
        self._told: set[tuple[str, str, str]] = set()
        self._up = asyncio.Event()
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._errors = LogThrottle()
        self._dialled = False

    @property
    def jetstream(self) -> JetStreamContext:
        """Its calls do not time out by themselves; see `within`."""
        return self.client.jetstream(timeout=None)

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def max_body_bytes(self) -> int:
        return self.client.max_payload - nats_wire.HEADERS_BYTES

    async def within(self, timeout_s: float, call: Awaitable[T]) -> T:
        """The call's answer, or TimeoutError.

        The client would bound it with `asyncio.wait_for`, which before Python 3.12 can swallow a cancellation: a
        service that ends while a request is answered would go on.
        """
        async with asyncio.timeout(timeout_s):
            return await call

    async def request(self, subject: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Msg:
        """Raises TimeoutError, or another of `AWAY`."""
        no_timeout: Any = None
        return await self.within(
            timeout_s, self.client.request(subject, body, timeout=no_timeout, headers=headers or None)
        )

    async def api(self, call: Awaitable[T]) -> T:
        """A call of `jetstream`. Raises one of `AWAY`."""
        return await self.within(API_TIMEOUT_S, call)

    async def settle(self) -> None:
        """Returns once the server has done what was sent before. Raises one of `AWAY`."""
        for _ in range(2):  # the client writes a ping past its own buffer: only the second surely comes after it
            await self.client.flush(timeout=1)

    def disbelieve(self, bucket: str, key: str, why: str) -> None:
        """Count a forged message, and say it once for each key and reason."""
        self.measures.disbelieved(bucket)
        if (bucket, key, why) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((bucket, key, why))
            log.warning("bus message not believed", bucket=bucket, key=key, why=why)

    async def until_connected(self) -> None:
        await self._up.wait()

    async def watch_over(self) -> None:
        """Endless; raises BusError when the client has closed for good, which no retry can mend."""
        why = await asyncio.shield(self._closed)
        raise BusError(f"bus {self.url}: the connection is closed ({why})")

    async def connect(self, settings: NatsSettings) -> None:
        """Returns once connected. Raises BusError if the server refuses us, or the URL makes no sense."""
        options = _credentials(self.name, settings)
        connecting = asyncio.ensure_future(
            self.client.connect(
                self.url,
                name=self.name,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_connected,
                closed_cb=self._on_closed,
                connect_timeout=settings.connect_timeout_s,  # type: ignore[arg-type]  # passed to wait_for as it is
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # passed to sleep as it is
                max_reconnect_attempts=-1,
                ping_interval=PING_S,
                tls=_tls(self.url, settings),
                inbox_prefix=nats_wire.inbox(self.name),
                **options,  # type: ignore[arg-type]  # user, password, user_credentials
            )
        )
        self._dialled = True
        try:
            await asyncio.wait((connecting, self._closed), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise BusError(f"bus {self.url}: the server refuses {self.name} ({self._closed.result()})")
            connecting.result()
        except nats.errors.Error as error:
            self._dialled = False
            raise BusError(f"bus {self.url}: {error}") from error
        finally:
            connecting.cancel()
        await self._on_connected()

    async def close(self) -> None:
        """What is buffered is sent first, within the client's patience."""
        if not self._dialled:
            return
        with suppress(*AWAY):
            if self.client.is_connected:
                await self.settle()
        self._up.clear()
        with suppress(*AWAY):
            await self.client.close()
        await self.client.names.close()

    async def _on_connected(self) -> None:
        self.generation += 1
        self.measures.connected(again=self.generation > 1)
        self._errors.over()
        self._up.set()
        log.info("bus connected", url=self.url, user=self.name)
        self._wake_all()

    async def _on_disconnected(self) -> None:
        if self._up.is_set():
            log.warning("bus disconnected", url=self.url, user=self.name)
        self.measures.disconnected()
        self._up.clear()
        self._wake_all()

    async def _on_closed(self) -> None:
        self._end(str(self.client.last_error or "closed"))

    async def _on_error(self, error: Exception) -> None:
        """The client's word on every attempt that failed, and on what goes wrong in between."""
        words = str(error) or type(error).__name__
        if self.generation == 0 and "authorization" in words.lower():
            self._end(words)
        if self._errors.due(words, asyncio.get_running_loop().time()):
            event = "bus error" if self.connected else "bus not reached, trying again"
            log.warning(event, url=self.url, user=self.name, error=words)

    def _end(self, why: str) -> None:
        self._up.clear()
        if not self._closed.done():
            self._closed.set_result(why)

    def _wake_all(self) -> None:
        for event in self.wake:
            event.set()


@asynccontextmanager
async def open_link(url: str, name: str, settings: NatsSettings) -> AsyncIterator[NatsConnection]:
    """A connected link, closed at the end. Raises BusError."""
    link = NatsConnection(name, url, nats_keys.load(name, settings))
    try:
        await link.connect(settings)
        yield link
    finally:
        await link.close()


def _credentials(name: str, settings: NatsSettings) -> dict[str, str]:
    if settings.creds_file:
        require_private(settings.creds_file)
        return {"user_credentials": settings.creds_file}
    if settings.password_file:
        return {"user": settings.user or name, "password": read_secret(settings.password_file)}
    return {}


def _tls(url: str, settings: NatsSettings) -> ssl.SSLContext | None:
    if not (url.startswith("tls:") or settings.ca_file or settings.cert_file):
        return None
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.cert_file:
        require_private(settings.key_file)
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
