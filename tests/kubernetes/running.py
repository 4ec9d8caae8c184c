"""A service that is ready, and the wait for what it brings about: what tests with a real API server share."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from osm.runtime.health import Health
from tests.served import served

WITHIN_S = 60
T = TypeVar("T")


@asynccontextmanager
async def running(name, run, core, settings, replica="one"):
    health = Health(name, replica, "v", 0.0)
    async with served(run, core.bus(name), settings, health) as task:
        async with asyncio.timeout(WITHIN_S):
            while not health.ready and not task.done():
                await asyncio.sleep(0.02)
        yield health


async def until(condition: Callable[[], Awaitable[T]]) -> T:
    """What it answers, once that is true."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found
