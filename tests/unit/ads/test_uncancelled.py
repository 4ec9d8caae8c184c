"""Work on a call whose handler gRPC cancels."""

import asyncio

import pytest

from osm.ads.server import ServerSettings
from osm.ads.uncancelled import uncancelled
from osm.testing.ads_client import ads_client
from osm.testing.xds_server import xds_server


async def test_work_that_is_not_disturbed_is_waited_for() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append("work")

    await uncancelled(work(), lambda: done.append("over"))
    assert done == ["work"]


async def test_work_is_told_that_it_is_over_and_comes_to_its_own_end() -> None:
    over, ends = asyncio.Event(), []

    async def work() -> None:
        try:
            await over.wait()
            await asyncio.sleep(0)
            ends.append("by itself")
        except asyncio.CancelledError:
            ends.append("cancelled")

    handler = asyncio.create_task(uncancelled(work(), over.set))
    await asyncio.sleep(0)
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler
    assert ends == ["by itself"]


async def test_a_fault_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise LookupError("a fault")

    with pytest.raises(LookupError, match="a fault"):
        await uncancelled(work(), lambda: None)


async def test_a_fault_after_the_end_is_raised_too() -> None:
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()
        raise LookupError("a fault")

    handler = asyncio.create_task(uncancelled(work(), over.set))
    await asyncio.sleep(0)
    handler.cancel()
    with pytest.raises(LookupError, match="a fault"):
        await handler


async def test_who_leaves_while_it_waits_for_its_turn_is_let_go() -> None:
    patient = ServerSettings(admissions_per_s=0.001, admission_wait_s=10_000)
    async with xds_server(settings=patient) as xds, ads_client(f"127.0.0.1:{xds.port}", node_id="first"):
        await xds.until(lambda: bool(xds.streams))
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="second"):
            while xds.open_streams < 2:
                await asyncio.sleep(0.01)
        while xds.open_streams > 1:
            await asyncio.sleep(0.01)
