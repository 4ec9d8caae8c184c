"""The mesh in pieces: it proves itself over a real nats-server, and harm to any piece stops no traffic.

The longer form of the same is `make chaos`.
"""

import os

import pytest

from osm.contracts.channels import BUCKETS
from tests.e2e.chaos import PIECES, kill, lose, open_server, pause, take_over, world

pytestmark = pytest.mark.nats


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


async def test_a_standby_takes_over_from_a_writer_that_hangs() -> None:
    """A killed one is succeeded by itself, started again; one that hangs only by another."""
    services = ("meshspec", "endpoints", "catalog")
    async with world(name("takeover"), replicas={**dict.fromkeys(services, 2), "certmgr": 2, "xds": 2}) as mesh:
        for service in services:
            await mesh.act(f"pause the active {service}", take_over(service))
