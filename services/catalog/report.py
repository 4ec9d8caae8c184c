"""What the catalog says of itself and of users' objects, in the `status` bucket: lines that age, so refreshed.

Apart from `app`, since nothing depends on it: a status line that cannot be written is logged, and tried again
with the next refresh.
"""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from msgspec import Struct

from osm.bus import Bus
from osm.contracts.channels import OBJECT_STATUS, PROGRESS
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus, Progress
from osm.runtime.status_lines import REFRESH_S, courtesy

SERVICE = "catalog"

NO_NAMESPACE = "-"
"""A key has no empty parts."""


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
            with courtesy(key):
                await self._status.delete(key)

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
        with courtesy(key):
            await self._status.put(key, line)
