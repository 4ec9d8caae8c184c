"""What a service shows of its bus to who scrapes it, over a real server."""

import asyncio
from collections.abc import Callable

import pytest

from osm.bus import LeadershipLost
from osm.contracts.channels import TCP_ROUTE
from osm.contracts.policy import TcpRoute
from osm.testing.picture import PATIENCE_S, Picture

pytestmark = pytest.mark.nats

KEY = TCP_ROUTE.key("default", "a")


def route(*ports: int) -> dict[str, TcpRoute]:
    return {KEY: TcpRoute(namespace="default", name="a", ports=ports)}


async def shown(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_server_that_was_away_shows_in_the_connection_and_in_what_is_read_anew(over_nats, scraped) -> None:
    async with over_nats.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        await writer.publish(route(1))
        picture = Picture(bus.watch("meshspec"))
        await picture.next()
        assert (scraped("osm_bus_connected"), scraped("osm_bus_reconnects_total")) == (1, 0)
        assert scraped("osm_bus_rereads_total", bucket="meshspec") == 0
        await over_nats.server.kill()
        await shown(lambda: scraped("osm_bus_connected") == 0)
        await over_nats.server.start()
        await picture.next()
        assert (scraped("osm_bus_connected"), scraped("osm_bus_reconnects_total")) == (1, 1)
        assert scraped("osm_bus_rereads_total", bucket="meshspec") == 1


async def test_only_changes_count_as_late_and_not_what_was_there_before(over_nats, scraped) -> None:
    async with over_nats.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        await writer.publish(route(1))
        picture = Picture(bus.watch("meshspec"))
        await picture.next()
        assert scraped("osm_bus_lag_seconds_count", bucket="meshspec") is None
        await writer.apply(route(2))
        await picture.until(lambda now: now.values[KEY].ports == (2,))
        assert scraped("osm_bus_lag_seconds_count", bucket="meshspec") == 1
        assert scraped("osm_bus_lag_seconds_sum", bucket="meshspec") < PATIENCE_S


async def test_who_writes_shows_from_the_lease_on_until_it_is_lost(over_nats, scraped) -> None:
    async def write() -> None:
        async with bus.writer("meshspec") as writer:
            await writer.publish(route(1))
            assert scraped("osm_bus_writing", bucket="meshspec") == 1
            await over_nats.depose("meshspec")
            await asyncio.sleep(PATIENCE_S)

    async with over_nats.bus("meshspec") as bus:
        with pytest.raises(LeadershipLost):
            await write()
        assert scraped("osm_bus_writing", bucket="meshspec") == 0


async def test_a_replica_that_stands_by_shows_so(over_nats, scraped) -> None:
    async with over_nats.bus("meshspec") as one, one.writer("meshspec"):

        async def stand_by() -> None:
            async with over_nats.bus("meshspec") as other, other.writer("meshspec"):
                raise AssertionError("the first has the lease")

        waiting = asyncio.ensure_future(stand_by())
        await shown(lambda: scraped("osm_bus_writing", bucket="meshspec") == 0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
