"""The shell of `endpoints`: chooses the platform, waits for the whole picture of it, then publishes as elected writer.

Nothing is published before every input has been read in full. Then every change goes out at once.
"""

from contextlib import AbstractAsyncContextManager

from osm.bus import Bus
from osm.runtime.health import Health
from services.endpoints import cluster, folder
from services.endpoints.publisher import Publisher
from services.endpoints.settings import Settings
from services.endpoints.source import Source


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled. Raises NoCluster or Unreachable if there is no cluster to start with."""
    async with source(bus, settings) as found:
        while missing := found.missing:
            health.starting(*missing)
            await found.change()
        health.standby("the right to write bucket endpoints")
        async with bus.writer("endpoints") as writer:
            health.active()
            await Publisher(bus, writer, found, health.replica).serve()


def source(bus: Bus, settings: Settings) -> AbstractAsyncContextManager[Source]:
    """What is read while the context is open."""
    if settings.platform == "kubernetes":
        return cluster.reading(settings.mesh_name, settings.namespace)
    return folder.reading(bus, settings.folder, isolated=settings.isolated)
