"""The ADS server: a gRPC port, its streams, and the watch over them.

Everything here is about connections: limits, ages, stopping. Who may start when is `admission`'s business, what is
said on a stream `grpc_stream`'s, and what it means the engine's.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import msgspec
from grpc import aio

from osm.ads.admission import Admission, NoRoom
from osm.ads.close_connection import cut
from osm.ads.credentials import ServerIdentity, mutual_tls
from osm.ads.engine import Engine
from osm.ads.grpc_stream import Context, Desk, GrpcStream
from osm.ads.load_reports import LoadReports, Reports
from osm.ads.methods import METHODS, Method
from osm.ads.peer import Authorize, Observer, Unobserved
from osm.ads.uncancelled import uncancelled

WATCH_INTERVAL_S = 1.0
"""How late an expired certificate, a peer that does not read, or a waiting type may be noticed."""

CLOSED_TO_NEW_STREAMS = 0.8
"""At which part of its age, give or take a tenth (gRPC's own jitter), a connection says that it takes no new streams:
before its stream is ended, so that the proxy's next stream cannot come over the same connection. gRPC would cut what is
still open after a whole age more."""

STREAMS_PER_CONNECTION = 16
"""A proxy has one; the rest is for those who ask type by type. A bound on what one hostile connection may open."""

HANDSHAKE_WITHIN_MS = 10_000
"""Who has not proven who it is by then holds a descriptor for nothing; gRPC's own patience is two minutes."""

IDLE_CONNECTION_MS = 60_000
"""A proxy whose stream has ended opens the next within 10 s; a connection without streams is closed later."""

FRUGAL = (
    ("grpc.experimental.tcp_read_chunk_size", 1024),  # requests are small: a quarter less CPU, and less memory
    ("grpc.tsi.max_frame_size", 2048),  # TLS keeps two buffers of a frame, 16 KB by default, for as long as it lasts
    ("grpc.enable_channelz", 0),  # gRPC's own diary of each connection, which nobody reads
    ("grpc.http2.bdp_probe", 0),  # a ping after an answer, to size the window of what comes in, which is little
)
"""What keeps a connection small: with gRPC's defaults a proxy that is told something now and then takes 25 KB more."""

LONGEST_PAUSE_S = 0.1
"""Between the ends of two streams when a server stops: a handful of proxies storms nobody."""

STOPPING = "the server is stopping"


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

    admission_wait_s: float = 10.0
    """How long a stream may have to wait for its turn; more are told to come back."""

    max_streams: int = 10_000
    """How many streams may be open; more are told to come back. At 140 KB each that is 1.4 GB."""

    max_connection_age_s: float | None = None
    """A stream older than this, give or take a tenth, is ended so that replicas share the load; None: never. Its
    connection takes no other stream by then."""

    keepalive_s: float = 60.0
    """How often a silent connection is probed: a peer that vanished is noticed this late."""

    drain_s: float = 0.0
    """Over how long at most stopping spreads the ends of streams, so that other replicas are not stormed."""

    stop_deadline_s: float = 2.0
    """How long stopping may take, after `drain_s`, before the remaining streams are cut off."""

    reuse_port: bool = False
    """Whether several processes may share the port (SO_REUSEPORT)."""


class AdsServer:
    """An xDS server over an engine. `identity` None means plaintext, for tests on loopback only.

    With `reports`, it also takes proxies' load reports.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        authorize: Authorize,
        observer: Observer | None = None,
        identity: Callable[[], ServerIdentity] | None = None,
        settings: ServerSettings | None = None,
        reports: Reports | None = None,
    ) -> None:
        self._settings = settings or ServerSettings()
        self._identity = identity
        self._admission = Admission(
            per_second=self._settings.admissions_per_s,
            max_streams=self._settings.max_streams,
            max_wait_s=self._settings.admission_wait_s,
        )
        self._desk = Desk(
            engine=engine,
            authorize=authorize,
            observer=Unobserved() if observer is None else observer,
            turn=self._admission.turn,
            admitted=self._admitted,
            cut=lambda peer: cut(peer, self.port),
            write_deadline_s=self._settings.write_deadline_s,
            max_age_s=self._settings.max_connection_age_s,
        )
        self._reports = None if reports is None else LoadReports(reports, self._settings.max_streams)
        self._conversations: dict[GrpcStream, None] = {}  # in the order in which they began
        self._newest: dict[tuple[str, ...], GrpcStream] = {}  # of each proxy that has one stream for all types
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
        if self._reports is not None:
            server.add_generic_rpc_handlers((self._reports.handler(),))
        if self._identity is None:
            self.port = server.add_insecure_port(self._settings.address)
        else:
            self.port = server.add_secure_port(self._settings.address, mutual_tls(self._identity))
        await server.start()
        return self.port

    async def watch(self) -> None:
        """Keep an eye on the streams until cancelled: expired certificates, ages, peers that do not read."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now = datetime.now(UTC)
            for conversation in tuple(self._conversations):
                conversation.check(now)
            if self._reports is not None:
                self._reports.check(now)

    @property
    def streams(self) -> int:
        """How many streams are open, those included that have not been admitted."""
        return self._admission.streams

    async def stop(self) -> None:
        """Close the port, end all streams one after the other over the drain period, and the rest at the deadline.

        Harmless when repeated.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        self._admission.close()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.stop(self._settings.drain_s + self._settings.stop_deadline_s))
            tasks.create_task(self._part())

    async def _part(self) -> None:
        if self._reports is not None:
            self._reports.end(STOPPING)
        leaving = tuple(self._conversations)
        for conversation in leaving:
            conversation.end("stopping", STOPPING)
            await asyncio.sleep(min(self._settings.drain_s / len(leaving), LONGEST_PAUSE_S))

    async def run(
        self, started: Callable[[int], None] | None = None, stopping: Callable[[], None] | None = None
    ) -> None:
        """Start, tell `started` the port, watch; when cancelled, tell `stopping` and stop."""
        try:  # also around the start: gRPC complains when a server that was begun is merely forgotten
            port = await self.start()
            if started is not None:
                started(port)
            await self.watch()
        finally:
            if stopping is not None:
                stopping()
            await self.stop()

    def _handler(self, method: Method) -> Callable[[object, Context], object]:
        async def serve(_requests: object, context: Context) -> None:
            if self._server is None:
                await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
            try:
                with self._admission.place():
                    await self._converse(GrpcStream(context, method, self._desk))
            except NoRoom as full:
                self._desk.engine.tally.turned_away["no_room"] += 1
                self._desk.observer.turned_away(context.peer(), str(full))
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(full))

        return serve

    async def _converse(self, conversation: GrpcStream) -> None:
        self._conversations[conversation] = None
        try:
            await uncancelled(conversation.run(), conversation.gone)
        finally:
            del self._conversations[conversation]
            whose = conversation.whose
            if whose is not None and self._newest.get(whose) is conversation:
                del self._newest[whose]

    def _admitted(self, conversation: GrpcStream) -> None:
        """What its proxy had before may be on a connection that broke unnoticed: it is not waited for as long."""
        whose = conversation.whose
        if whose is None:
            return
        before, self._newest[whose] = self._newest.get(whose), conversation
        if before is not None:
            before.outlived()


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_WITHIN_MS),
        ("grpc.max_connection_idle_ms", IDLE_CONNECTION_MS),
        *FRUGAL,
        ("grpc.keepalive_time_ms", int(settings.keepalive_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # Envoy may probe us as well
    ]
    if settings.max_connection_age_s is not None:
        age_ms = int(settings.max_connection_age_s * 1000)
        options.append(("grpc.max_connection_age_ms", int(age_ms * CLOSED_TO_NEW_STREAMS)))
        options.append(("grpc.max_connection_age_grace_ms", age_ms))
    return options
