"""A service of ours in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from osm.bus import Bus
from osm.runtime.health import Health
from osm.runtime.service import Run

T = TypeVar("T")


@asynccontextmanager
async def served(run: Run[T], bus: Bus, settings: T, health: Health) -> AsyncIterator[asyncio.Task[None]]:
    """A service's `run` until the block ends. One that has ended by itself fails the test, with its reason."""
    task = asyncio.ensure_future(run(bus, settings, health))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()
