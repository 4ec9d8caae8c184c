"""The ADS server: a gRPC port, its conversations, and the watch over them.

Everything here is about connections: limits, ages, admission, stopping. What is said on a stream is `conversation`'s
business, and what it means is the engine's.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import msgspec
from grpc import aio

from osm.ads.conversation import Context, Conversation, Desk
from osm.ads.credentials import ServerIdentity, mutual_tls
from osm.ads.engine import Engine
from osm.ads.methods import METHODS, Method
from osm.ads.peer import Authorize, Observer, Unobserved

WATCH_INTERVAL_S = 1.0
"""How late an expired certificate, a peer that does not read, or a waiting type may be noticed."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the port; the defaults suit production."""

    address: str = "127.0.0.1:0"
    """Where to listen; port 0 takes a free one."""

    max_request_bytes: int = 1024 * 1024
    """Larger requests end their stream with RESOURCE_EXHAUSTED. A reconnecting proxy lists what it holds: 5,000
    resources of 150-byte names with their versions are 900 kB."""

    write_deadline_s: float = 20.0
    """A peer that does not read a response for so long is dropped. Envoy reads as fast as it can parse."""

    admissions_per_s: float = 1000.0
    """How many streams may start in a second, so that a thousand proxies that come back at once are served in turn
    and not all late."""

    max_connection_age_s: float | None = None
    """Connections older than this, give or take a tenth, are closed so that replicas share the load; None: never."""

    keepalive_s: float = 60.0
    """How often a silent connection is probed: a peer that vanished is noticed this late."""

    stop_deadline_s: float = 2.0
    """How long stopping may take before the remaining streams are cut off."""

    reuse_port: bool = False
    """Whether several processes may share the port (SO_REUSEPORT)."""


class AdsServer:
    """An xDS server over an engine. `identity` None means plaintext, for tests on loopback only."""

    def __init__(
        self,
        engine: Engine,
        *,
        authorize: Authorize,
        observer: Observer | None = None,
        identity: Callable[[], ServerIdentity] | None = None,
        settings: ServerSettings | None = None,
    ) -> None:
        self._settings = settings or ServerSettings()
        self._identity = identity
        self._turnstile = Turnstile(self._settings.admissions_per_s)
        self._desk = Desk(
            engine=engine,
            authorize=authorize,
            observer=Unobserved() if observer is None else observer,
            admitted=self._turnstile.passed,
        )
        self._conversations: set[Conversation] = set()
        self._server: aio.Server | None = None
        self.port = 0

    async def start(self) -> int:
        """Bind and begin to serve; the port. Raises `OSError` or `RuntimeError` when the address is taken."""
        self._server = server = aio.server(options=_options(self._settings))
        for service in sorted({method.service for method in METHODS}):
            handlers = {
                method.name: grpc.stream_stream_rpc_method_handler(self._handler(method))
                for method in METHODS
                if method.service == service
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        if self._identity is None:
            self.port = server.add_insecure_port(self._settings.address)
        else:
            self.port = server.add_secure_port(self._settings.address, mutual_tls(self._identity))
        await server.start()
        return self.port

    async def watch(self) -> None:
        """Keep an eye on the streams until cancelled: expired certificates, peers that do not read."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now = datetime.now(UTC)
            for conversation in tuple(self._conversations):
                conversation.check(now, write_deadline_s=self._settings.write_deadline_s)

    async def stop(self) -> None:
        """End all streams and close the port, within the stop deadline; harmless when repeated."""
        if self._server is None:
            return
        server, self._server = self._server, None
        for conversation in tuple(self._conversations):
            conversation.end(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        await server.stop(self._settings.stop_deadline_s)

    async def run(self, started: Callable[[int], None] | None = None) -> None:
        """Start, tell `started` the port, watch, and stop when cancelled."""
        port = await self.start()
        try:
            if started is not None:
                started(port)
            await self.watch()
        finally:
            await self.stop()

    def _handler(self, method: Method) -> Callable[[object, Context], object]:
        async def serve(_requests: object, context: Context) -> None:
            conversation = Conversation(context, method, self._desk)
            self._conversations.add(conversation)
            try:
                await conversation.run()
            finally:
                self._conversations.discard(conversation)

        return serve


class Turnstile:
    """Lets streams start one after the other, at a bounded rate."""

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1.0 / per_second
        self._next_turn = 0.0

    async def passed(self) -> None:
        """Wait for one's turn; turns are given in the order of asking."""
        now = asyncio.get_running_loop().time()
        turn = max(self._next_turn, now)
        self._next_turn = turn + self._interval_s
        if turn > now:
            await asyncio.sleep(turn - now)


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.experimental.tcp_read_chunk_size", 1024),  # requests are small: a quarter less CPU, and less memory
        ("grpc.keepalive_time_ms", int(settings.keepalive_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # Envoy may probe us as well
    ]
    if settings.max_connection_age_s is not None:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", int(settings.stop_deadline_s * 1000)))
    return options
