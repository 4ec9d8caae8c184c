"""Connections to NATS that break at the worst moment, on the loop that services run on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from osm.bus.nats_link import AWAY, Link, open_link
from osm.bus.nats_settings import NatsSettings
from osm.testing.nats_server import nats_server

pytestmark = pytest.mark.nats


def over_uvloop(binary: Path, work: Callable[[Link], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            asyncio.timeout(60),
            nats_server(binary) as server,
            open_link(server.url, "xds", NatsSettings(unsigned=True)) as link,
        ):
            await work(link)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def break_off(link: Link) -> None:
    """As a reset does that the loop has seen and the client not yet."""
    link.client._transport._io_writer.transport.abort()


@pytest.mark.parametrize("turns", range(4))
def test_what_is_written_while_the_connection_breaks_is_away_and_not_the_end(binary: Path, turns: int) -> None:
    async def work(link: Link) -> None:
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
