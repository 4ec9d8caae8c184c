"""A thousand at once: served steadily, forgotten entirely; and a certificate that changes in the midst of a storm."""

import asyncio
import gc
import itertools
import time
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from osm.ads.credentials import LULL_S, SWAP_GAP_S, Lull
from osm.ads.server import ServerSettings
from osm.ads.types import CLUSTER
from osm.contracts.names import Identity
from osm.testing.ads_client import ads_client
from osm.testing.authority import Authority
from osm.testing.xds_server import xds_server

WEB = Identity("shop", "web")

ONLY_CLUSTERS = {CLUSTER: ()}


def target(xds):
    return f"127.0.0.1:{xds.port}"


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def herd(xds, size, identity=None):
    """So many come at once, each is served, and all leave; when each was served, in seconds."""
    began, served_at = time.monotonic(), []
    everyone = asyncio.Event()

    async def one(number):
        async with ads_client(
            target(xds), node_id=str(number), identity=identity, follow=False, subscribe=ONLY_CLUSTERS
        ) as client:
            await client.until(lambda: client.pushes_received > 0)
            served_at.append(time.monotonic() - began)
            if len(served_at) == size:
                everyone.set()
            await everyone.wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(size):
            tasks.create_task(one(number))
    while xds.open_streams:
        await asyncio.sleep(0.01)
    return served_at


@pytest.mark.timeout(300)
async def test_a_thousand_that_come_at_once_are_served_one_after_the_other_and_leave_nothing():
    async with xds_server(settings=ServerSettings(admissions_per_s=300, admission_wait_s=30)) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        served_at = await herd(xds, 1000)
        assert len(served_at) == 1000
        assert served_at[-1] - served_at[0] >= 2.0  # at most 300 in any second
        gc.collect()
        tasks, resident = len(asyncio.all_tasks()), [resident_mib()]
        for _ in range(3):
            await herd(xds, 1000)
            gc.collect()
            resident.append(resident_mib())
        grown = [after - before for before, after in itertools.pairwise(resident)]
        # A herd takes some 100 MiB while it is here. What it leaves grows each time, holes of allocators do not.
        assert min(grown) < 20
        while len(asyncio.all_tasks()) > tasks:  # those of the last ones end in the loop's next rounds
            await asyncio.sleep(0.01)
        assert xds.engine.acked_revision() >= 1
        assert not xds.streams


async def test_the_server_certificate_may_change_all_the_time_while_three_hundred_connect():
    authority = Authority()
    identities = itertools.cycle([authority.server() for _ in range(20)])
    shown = next(identities)

    async def rotate():
        nonlocal shown
        while True:
            await asyncio.sleep(0.2)
            shown = next(identities)

    proxy = authority.proxy("p-1", WEB)
    async with xds_server(identity=lambda: shown) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        rotation = asyncio.ensure_future(rotate())
        for _ in range(3):
            assert len(await herd(xds, 300, proxy)) == 300
        rotation.cancel()


def test_a_new_certificate_waits_until_no_handshake_has_just_begun():
    lull = Lull()
    assert lull.ask(100.0, is_new=False) is None
    assert lull.ask(100.01, is_new=True) == LULL_S - (100.01 - 100.0)


def test_a_new_certificate_is_taken_at_once_when_nobody_has_connected_for_a_while():
    lull = Lull()
    assert lull.ask(100.0, is_new=False) is None
    assert lull.ask(200.0, is_new=True) == 0.0


def test_certificates_are_replaced_rarely_however_often_they_change():
    lull = Lull()
    swaps = [now / 100 for now in range(1000) if lull.ask(now / 100, is_new=True) is not None]
    assert len(swaps) <= 10 / SWAP_GAP_S
    assert swaps[0] == 0.0
