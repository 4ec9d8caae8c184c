"""Load reports over real sockets: what a stream is told, and what ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeAlias

import grpc
import pytest
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse
from grpc import aio

from osm.ads import load_reports
from osm.ads.engine import Engine
from osm.ads.load_reports import METHOD, SERVICE, ClusterLoad, Elsewhere
from osm.ads.peer import Denied, Peer
from osm.ads.server import AdsServer, ServerSettings
from osm.testing.ads_status import StreamEnded, ending

HELLO = LoadStatsRequest(node={"id": "web-0.shop"}).SerializeToString()
REPORT = LoadStatsRequest(
    cluster_stats=[
        {
            "cluster_name": "shop/db|80",
            "upstream_locality_stats": [
                {"total_successful_requests": 5, "total_error_requests": 1},
                {"total_successful_requests": 2, "total_error_requests": 1},
            ],
        }
    ]
).SerializeToString()


Served: TypeAlias = tuple[AdsServer, aio.StreamStreamMultiCallable]


class Taken:
    """Who reported what; nobody but web's proxies may."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, tuple[ClusterLoad, ...]]] = []
        self.is_here = True

    def greet(self, _peer: Peer | None, node_id: str) -> str:
        if not node_id.startswith("web"):
            raise Denied("only web may report")
        return node_id

    def take(self, proxy_id: str, loads: tuple[ClusterLoad, ...]) -> None:
        if not self.is_here:
            raise Elsewhere("it is elsewhere; come back")
        self.reports.append((proxy_id, loads))


@asynccontextmanager
async def serving(
    taken: Taken | None, max_streams: int = 10
) -> AsyncIterator[tuple[AdsServer, aio.StreamStreamMultiCallable]]:
    settings = ServerSettings(max_streams=max_streams)
    server = AdsServer(Engine(), authorize=lambda *_: None, settings=settings, reports=taken)
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield server, channel.stream_stream(f"/{SERVICE}/{METHOD}")
    finally:
        await server.stop()


async def status_of(call: aio.StreamStreamCall) -> tuple[grpc.StatusCode, str]:
    return await call.code(), await call.details()


async def ended_by(call: aio.StreamStreamCall, said: bytes) -> StreamEnded:
    """The status with which the server ends a stream that says this."""
    status = ending(call)
    with suppress(aio.AioRpcError, asyncio.InvalidStateError):  # the end may come while the write is under way
        await call.write(said)
    return await status


async def greeted(call: aio.StreamStreamCall) -> LoadStatsResponse:
    await call.write(HELLO)
    return LoadStatsResponse.FromString(await call.read())


async def reporting(call: aio.StreamStreamCall, taken: Taken) -> None:
    """Greet and report: once the report is taken, nothing of the greeting is under way any more."""
    await greeted(call)
    await call.write(REPORT)
    async with asyncio.timeout(30):
        while not taken.reports:
            await asyncio.sleep(0.01)


async def test_a_proxy_is_told_to_report_all_every_second_and_its_reports_are_taken() -> None:
    taken = Taken()
    async with serving(taken) as (_, method):
        call = method()
        wanted = await greeted(call)
        assert wanted.send_all_clusters
        assert wanted.load_reporting_interval.seconds == 1
        await call.write(REPORT)
        await call.write(LoadStatsRequest().SerializeToString())
        await call.done_writing()
        assert (await status_of(call))[0] is grpc.StatusCode.OK
    loads = (ClusterLoad(cluster="shop/db|80", successes=7, errors=2),)
    assert taken.reports == [("web-0.shop", loads), ("web-0.shop", ())]


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "this is no load report"),
        (LoadStatsRequest(node={"id": "db-0"}).SerializeToString(), grpc.StatusCode.PERMISSION_DENIED, "only web may"),
        (b"\n" * (2 * 1024 * 1024), grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
    ],
    ids=["nonsense", "who may not", "too large"],
)
async def test_a_stream_that_makes_no_sense_is_ended(said: bytes, code: grpc.StatusCode, why: str) -> None:
    async with serving(Taken()) as (_, method):
        ended = await ended_by(method(), said)
        assert ended.code is code
        assert why in str(ended.details)


async def test_nonsense_after_a_good_beginning_ends_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_reports, "CLUSTERS_OF_A_REPORT", 0)
    async with serving(Taken()) as (_, method):
        call = method()
        await greeted(call)
        ended = await ended_by(call, REPORT)
        assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "1 clusters in one report, allowed are 0" in str(ended.details)


async def test_who_is_configured_elsewhere_is_sent_away() -> None:
    taken = Taken()
    async with serving(taken) as (_, method):
        call = method()
        await greeted(call)
        taken.is_here = False
        ended = await ended_by(call, REPORT)
        assert (ended.code, ended.details) == (grpc.StatusCode.UNAVAILABLE, "it is elsewhere; come back")


async def test_a_proxy_has_one_stream() -> None:
    async with serving(Taken()) as (_, method):
        first, second = method(), method()
        await greeted(first)
        await greeted(second)
        assert (await status_of(first))[0] is grpc.StatusCode.ABORTED
        await second.done_writing()
        assert (await status_of(second))[0] is grpc.StatusCode.OK


async def test_there_is_room_for_so_many() -> None:
    async with serving(Taken(), max_streams=1) as (_, method):
        first = method()
        await greeted(first)
        assert (await status_of(method()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_who_says_nothing_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_reports, "FIRST_REQUEST_DEADLINE_S", 0.0)
    taken = Taken()
    async with serving(taken) as (server, method):
        call = method()
        await reporting(call, taken)
        assert server._reports is not None
        server._reports.check(datetime.now(UTC))
        assert (await status_of(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_server_that_stops_ends_the_streams() -> None:
    taken = Taken()
    async with serving(taken) as (server, method):
        call = method()
        await reporting(call, taken)
        await server.stop()
        assert (await status_of(call))[0] is grpc.StatusCode.UNAVAILABLE


async def test_who_is_sent_away_while_it_is_greeted_is_told_so() -> None:
    taken = Taken()
    async with serving(taken) as (server, method):

        def greet(_peer: Peer | None, node_id: str) -> str:
            assert server._reports is not None
            asyncio.get_running_loop().call_soon(server._reports.end, "the server is stopping")
            return node_id

        taken.greet = greet  # type: ignore[method-assign]  # the moment between the greeting and its being written
        call = method()
        status = ending(call)
        await greeted(call)
        ended = await status
        assert (ended.code, ended.details) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")


async def test_a_server_that_wants_no_reports_says_so() -> None:
    async with serving(None) as (_, method):
        assert (await status_of(method()))[0] is grpc.StatusCode.UNIMPLEMENTED
