"""Connections to NATS that break at the worst moment, on the loop that services run on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats.errors
import pytest
import uvloop

from osm.bus import nats_rpc
from osm.bus.nats_connection import AWAY, NatsConnection, open_link
from osm.bus.nats_settings import NatsSettings
from osm.contracts.channels import SIGN
from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf, Refused, SignReply, SignRequest
from osm.testing.nats_server import NatsServer, nats_server

pytestmark = pytest.mark.nats


def over_uvloop(binary: Path, work: Callable[[NatsConnection, NatsServer], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            asyncio.timeout(60),
            nats_server(binary) as server,
            open_link(server.url, "certmgr", NatsSettings(unsigned=True)) as link,
        ):
            await work(link, server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def break_off(link: NatsConnection) -> None:
    """As a reset does that the loop has seen and the client not yet."""
    link.client._transport._io_writer.transport.abort()


@pytest.mark.parametrize("turns", range(4))
def test_what_is_written_while_the_connection_breaks_is_away_and_not_the_end(binary: Path, turns: int) -> None:
    async def work(link: NatsConnection, _: NatsServer) -> None:
        before = link.generation
        break_off(link)
        for _ in range(turns):
            await asyncio.sleep(0)
        while link.generation == before:
            try:
                await link.client.publish("anything", b"1")
            except AWAY:
                continue
            finally:
                await asyncio.sleep(0)
        await link.settle()

    over_uvloop(binary, work)


def test_a_server_that_is_too_busy_to_hear_of_a_service_is_waited_for(
    binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(link: NatsConnection, server: NatsServer) -> None:
        failed = 0
        settle = link.settle

        async def too_busy() -> None:
            nonlocal failed
            if failed < 2:
                failed += 1
                raise nats.errors.TimeoutError
            await settle()

        monkeypatch.setattr(link, "settle", too_busy)
        async with (
            nats_rpc.serve(link, SIGN, refuse),
            open_link(server.url, "xds", NatsSettings(unsigned=True)) as asker,
        ):
            assert failed == 2
            request = SignRequest(csr_pem="csr", subject=MeshLeaf(identity=Identity("default", "bookbuyer")))
            assert await nats_rpc.ask(asker, SIGN, request, 60.0) == SignReply(outcome=Refused(why="no"))

    over_uvloop(binary, work)


async def refuse(_caller: str, _request: SignRequest) -> SignReply:
    return SignReply(outcome=Refused(why="no"))
