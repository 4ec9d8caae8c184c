"""The mesh in separate processes: it proves itself over a real nats-server, and harm to any of them stops no traffic.

The longer form of the same is `make chaos`.
"""

import os

import pytest

from osm.contracts.channels import BUCKETS
from tests.e2e.chaos import PIECES, SERVER, kill, kill_alone, lose, open_server, pause, take_over, world

pytestmark = [pytest.mark.nats, pytest.mark.timeout(300)]


def name(what: str) -> str:
    return f"{what}-{os.getpid()}"


async def test_killing_any_piece_stops_no_traffic_and_it_is_whole_again() -> None:
    async with world(name("kill")) as mesh:
        for piece in PIECES:
            await mesh.act(f"kill {piece}", kill(piece))
        assert mesh.books.requests > 1000


async def test_pausing_any_piece_stops_no_traffic_and_it_goes_on() -> None:
    async with world(name("pause")) as mesh:
        for piece in PIECES:
            await mesh.act(f"pause {piece}", pause(piece))


async def test_a_lost_bucket_stops_no_traffic_and_is_filled_again() -> None:
    async with open_server() as reach, world(name("lose"), reach=reach) as mesh:
        for bucket in BUCKETS:
            await mesh.act(f"lose bucket {bucket}", lose(bucket, reach.url))


async def test_any_piece_that_starts_with_the_others_away_does_no_harm() -> None:
    async with world(name("alone")) as mesh:
        for piece in PIECES:
            if piece != SERVER:
                await mesh.act(f"kill {piece} with the others away", kill_alone(piece))


SINGLE_WRITERS = ("meshspec", "endpoints", "catalog")
A_MINUTE_S = 60.0


async def test_writers_that_hang_for_a_minute_are_succeeded_and_wake_deposed() -> None:
    """A killed one is succeeded by itself, started again; one that hangs only by another."""
    services = (*SINGLE_WRITERS, "certmgr", "xds")
    async with world(name("takeover"), replicas=dict.fromkeys(services, 2)) as mesh:
        await mesh.act("pause the active writers for a minute", take_over(*SINGLE_WRITERS, for_s=A_MINUTE_S))
