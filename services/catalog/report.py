"""What the catalog says of itself and of users' objects, in the `status` bucket: lines that age, so refreshed.

Apart from `app`, since nothing depends on it: a status line that cannot be written is logged, and tried again
with the next refresh.
"""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import structlog
from msgspec import Struct

from osm.bus import Bus, BusError
from osm.contracts.channels import OBJECT_STATUS, PROGRESS, STATUS_MAX_AGE_S
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus, Progress

SERVICE = "catalog"

REFRESH_S = STATUS_MAX_AGE_S / 3
"""Two refreshes may be lost before a reader takes a line for no longer true."""

NO_NAMESPACE = "-"
"""A key has no empty parts."""

log = structlog.get_logger()


class Report:
    """The lines this service stands behind now."""

    def __init__(self, bus: Bus, replica: str) -> None:
        self._status = bus.status()
        self._replica = replica
        self._lines: dict[str, Struct] = {}

    async def problems(self, ref: ObjectRef, problems: tuple[Problem, ...], revision: int) -> None:
        """An object's problems as of that revision of `meshspec`; none: there is nothing to say of it."""
        key = OBJECT_STATUS.key(SERVICE, ref.kind, ref.namespace or NO_NAMESPACE, ref.name)
        if problems:
            await self._put(key, ObjectStatus(subject=ref, revision=revision, problems=problems))
            return
        if self._lines.pop(key, None) is not None:
            try:
                await self._status.delete(key)
            except BusError as error:
                log.warning("status line not deleted", key=key, why=str(error))

    async def progress(self, inputs: Mapping[str, int], output: int, at_s: float) -> None:
        """Which input revisions are worked in, and which revision of `catalog` came of them."""
        line = Progress(
            service=SERVICE, replica=self._replica, inputs=tuple(sorted(inputs.items())), output=output, at_s=at_s
        )
        await self._put(PROGRESS.key(SERVICE, self._replica), line)

    async def refresh(self) -> NoReturn:
        """Put every line again before it is too old."""
        while True:
            await asyncio.sleep(REFRESH_S)
            for key in tuple(self._lines):
                if (line := self._lines.get(key)) is not None:
                    await self._put(key, line)

    async def _put(self, key: str, line: Struct) -> None:
        self._lines[key] = line
        try:
            await self._status.put(key, line)
        except BusError as error:
            log.warning("status line not written", key=key, why=str(error))
