"""A folder of YAML as a source: each scan is the whole of it. Its authors read what came of it from the CLI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from osm.bus import Bus
from osm.bus.background_tasks import background_tasks
from osm.manifests import Scan
from osm.manifests.folder import watch
from services.meshspec.state import Picture


class Folder:
    """The newest scan; a `Source`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._scan: Scan | None = None
        self._changed = asyncio.Event()

    @property
    def missing(self) -> tuple[str, ...]:
        return () if self._scan is not None else (f"a first look at {self._folder}",)

    async def change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def take(self) -> Scan:
        assert self._scan is not None, "nothing is taken while something is missing"
        return self._scan

    def told(self, picture: Picture) -> None:
        """Problems of files stand in the status bucket: nobody reads them in the folder."""

    async def tell(self, bus: Bus) -> NoReturn:  # noqa: ARG002  # there is nothing to tell
        await asyncio.Event().wait()
        raise AssertionError("unreachable: nobody sets it")

    async def look(self) -> None:
        async for scan in watch(self._folder):
            self._scan = scan
            self._changed.set()


@asynccontextmanager
async def reading(folder: str) -> AsyncIterator[Folder]:
    """Read while the context is open."""
    source = Folder(folder)
    async with background_tasks(source.look()):
        yield source
