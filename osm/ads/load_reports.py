"""Envoy's load reporting: a proxy tells once a second how many requests went well, and how many did not.

`envoy.service.load_stats.v3.LoadReportingService`, on the port of ADS and with its identity check; a second stream of
proxies whose bootstrap asks for it. It says who may report and what a report is, and keeps nothing: the figures are
its owner's. A proxy has one such stream: a newer one ends the one before.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import grpc
import msgspec
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from grpc import aio

from osm.ads.grpc_stream import FIRST_REQUEST_DEADLINE_S, Context, peer_of
from osm.ads.peer import Denied, Peer
from osm.ads.uncancelled import uncancelled

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
METHOD = "StreamLoadStats"

INTERVAL_S = 1
"""Between two reports: a change that breaks something shall be seen within seconds."""

CLUSTERS_OF_A_REPORT = 20_000
"""More than the largest mesh has; who reports more makes no sense."""


class _Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream of reports ends, as the status its peer gets."""

    code: grpc.StatusCode
    reason: str


class ClusterLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What one proxy sent to one cluster since its last report. `errors`: answers 5xx, and failures without any."""

    cluster: str
    successes: int
    errors: int


class Elsewhere(Exception):
    """This proxy's configuration comes from another process, which its reports ought to reach."""


class Reports(Protocol):
    """Who takes reports."""

    def greet(self, peer: Peer | None, node_id: str) -> str:
        """Who it is: a proxy's id. Raises `Denied`."""

    def take(self, proxy_id: str, loads: tuple[ClusterLoad, ...]) -> None:
        """One report. Called from the event loop: must be quick and must not wait. Raises `Elsewhere`."""


def loads_of(request: LoadStatsRequest) -> tuple[ClusterLoad, ...]:
    """Sums over localities. Raises ValueError if it has more clusters than any proxy."""
    if len(request.cluster_stats) > CLUSTERS_OF_A_REPORT:
        raise ValueError(f"{len(request.cluster_stats)} clusters in one report, allowed are {CLUSTERS_OF_A_REPORT}")
    return tuple(
        ClusterLoad(
            cluster=each.cluster_name,
            successes=sum(part.total_successful_requests for part in each.upstream_locality_stats),
            errors=sum(part.total_error_requests for part in each.upstream_locality_stats),
        )
        for each in request.cluster_stats
    )


class LoadReports:
    """The service and its streams, of which there are at most `max_streams`."""

    def __init__(self, reports: Reports, max_streams: int) -> None:
        self._reports = reports
        self._max_streams = max_streams
        self._streams: dict[_Reporting, None] = {}
        self._of: dict[str, _Reporting] = {}

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """What a gRPC server has to be given."""
        methods = {METHOD: grpc.stream_stream_rpc_method_handler(self._serve)}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def __len__(self) -> int:
        return len(self._streams)

    def check(self, wall_clock: datetime) -> None:
        """To be called once a second: ends the streams of who says nothing or whose certificate has expired."""
        for stream in tuple(self._streams):
            stream.check(wall_clock)

    def end(self, reason: str) -> None:
        """End all streams; their proxies come back, to whoever listens then."""
        for stream in tuple(self._streams):
            stream.end(grpc.StatusCode.UNAVAILABLE, reason)

    async def _serve(self, _requests: object, context: Context) -> None:
        if len(self._streams) >= self._max_streams:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._max_streams} proxies report, which is all that may"
            )
        stream = _Reporting(context, self._reports, self._greeted)
        self._streams[stream] = None
        try:
            await uncancelled(stream.run(), stream.gone)
        finally:
            del self._streams[stream]
            if self._of.get(stream.proxy_id) is stream:
                del self._of[stream.proxy_id]

    def _greeted(self, stream: "_Reporting") -> None:
        before = self._of.get(stream.proxy_id)
        if before is not None:
            before.end(grpc.StatusCode.ABORTED, "the proxy has opened another stream for its reports")
        self._of[stream.proxy_id] = stream


class _Reporting:
    """One stream of reports. Like a conversation it is not cancelled but ended, by whoever is first."""

    def __init__(self, context: Context, reports: Reports, greeted: Callable[["_Reporting"], None]) -> None:
        self.proxy_id = ""
        self._context = context
        self._peer = peer_of(context)
        self._reports = reports
        self._greeted = greeted
        self._clock = asyncio.get_running_loop().time
        self._speaks_by = self._clock() + FIRST_REQUEST_DEADLINE_S
        self._ended: asyncio.Future[_Ending] = asyncio.get_running_loop().create_future()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            ending = await self._ended
            if ending.code is grpc.StatusCode.OK:
                return
            try:
                async with self._writing:  # gRPC takes no status while a response is under way
                    await self._context.abort(ending.code, ending.reason)
            except aio.BaseError:  # gRPC's way to say that the stream has ended, by us or before
                return

    def gone(self) -> None:
        """The call is over, by the peer or with the connection."""
        self.end(grpc.StatusCode.OK, "the proxy has gone")

    def end(self, code: grpc.StatusCode, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(_Ending(code=code, reason=reason))

    def check(self, wall_clock: datetime) -> None:
        if self._peer is not None and self._peer.not_after <= wall_clock:
            self.end(grpc.StatusCode.UNAUTHENTICATED, "the client certificate has expired")
        elif self._clock() >= self._speaks_by:
            self.end(grpc.StatusCode.DEADLINE_EXCEEDED, f"no report within {FIRST_REQUEST_DEADLINE_S:g} s")

    async def _read(self) -> None:
        try:
            data: object = await self._context.read()
            while isinstance(data, bytes) and not self._ended.done():  # else it is gRPC's end-of-stream marker
                self._speaks_by = self._clock() + FIRST_REQUEST_DEADLINE_S
                await self._take(LoadStatsRequest.FromString(data))
                data = await self._context.read()
            self.end(grpc.StatusCode.OK, "the proxy closed the stream")
        except (DecodeError, ValueError) as error:
            self.end(grpc.StatusCode.INVALID_ARGUMENT, f"this is no load report: {error}")
        except Elsewhere as error:
            self.end(grpc.StatusCode.UNAVAILABLE, str(error))
        except Denied as error:
            self.end(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except aio.BaseError:
            self.gone()

    async def _take(self, request: LoadStatsRequest) -> None:
        """The first message says who it is, and is told how often to report what."""
        if self.proxy_id:
            self._reports.take(self.proxy_id, loads_of(request))
            return
        self.proxy_id = self._reports.greet(self._peer, request.node.id)
        self._greeted(self)
        async with self._writing:
            await self._context.write(_WANTED)


_WANTED = LoadStatsResponse(
    send_all_clusters=True, load_reporting_interval=Duration(seconds=INTERVAL_S)
).SerializeToString()
