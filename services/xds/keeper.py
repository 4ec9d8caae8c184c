"""The hand on bucket `xds`: writes what the quarantine has to say, and only then takes the right to write.

Any replica may have something to say, and one at a time may write. So the right is not kept: it is taken, used and
given back, and whoever takes it leaves what others have written as it is.
"""

import asyncio
import contextlib
import time
from typing import NoReturn

import structlog

from osm.bus import Bus, BusError
from osm.contracts.channels import GOOD, REJECTED
from services.xds.quarantine import Quarantine

log = structlog.get_logger()

RETRY_S = 1.0
"""After the bus did not take it. What is to be written stays in memory until then, and is in force here."""

REVIEW_S = 10.0
"""How often the bucket is looked at though nothing has changed here: one that was lost is filled again, and what nobody
has wanted for long is lifted."""

ENTITIES = (REJECTED.entity, GOOD.entity)


async def keep(bus: Bus, quarantine: Quarantine, changed: asyncio.Event) -> NoReturn:
    """Endless: the first writing says that the bucket has been filled, be it with nothing."""
    while True:
        quarantine.sweep(time.monotonic())
        try:
            await _write(bus, quarantine)
        except BusError as error:
            log.warning("quarantine not saved", why=str(error))
            await asyncio.sleep(RETRY_S)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REVIEW_S):
                await changed.wait()
        changed.clear()


async def _write(bus: Bus, quarantine: Quarantine) -> None:
    async with bus.writer(REJECTED.bucket, ENTITIES) as writer:
        held = tuple(writer.held())
        changes = quarantine.changes(held)
        await writer.publish(changes.puts, keep=frozenset(held) - frozenset(changes.deletes))
        quarantine.settle(writer.held())
