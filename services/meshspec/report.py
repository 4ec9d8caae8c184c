"""What meshspec says in the `status` bucket: a line per object and per broken file, and how far it has come.

Apart from `app`, since the forward path never waits for it: the newest lines are written beside it, and a line that
cannot be written is tried again with the next refresh.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from typing import NoReturn

from msgspec import Struct

from osm.bus import Bus
from osm.contracts.channels import FILE_STATUS, PROGRESS
from osm.contracts.problem import Problem
from osm.contracts.status import FileStatus, Progress
from osm.manifests.verdicts import Lines, spoken, verdicts
from osm.runtime.status_lines import REFRESH_S, courtesy
from osm.smi import POLICY_KINDS
from services.meshspec.state import Picture

SERVICE = "meshspec"


def object_lines(picture: Picture, before: Lines, revision: int) -> Lines:
    """A line for every policy object, good or bad, as of the bucket's `revision`."""
    kinds = POLICY_KINDS | {ref.kind for ref in picture.found.kept}
    return spoken(before, verdicts(SERVICE, picture.found, kinds, picture.problems), revision)[0]


def file_lines(picture: Picture) -> Mapping[str, FileStatus]:
    """A line for every file with a problem that is no object's."""
    problems: dict[str, list[Problem]] = {}
    for problem in picture.found.problems:
        if problem.subject is None and problem.file is not None:
            problems.setdefault(problem.file, []).append(problem)
    return {
        FILE_STATUS.key(SERVICE, hashlib.sha256(file.encode()).hexdigest()[:16]): FileStatus(
            file=file, problems=tuple(found)
        )
        for file, found in sorted(problems.items())
    }


class Report:
    """Keeps the lines of the newest picture in the bucket."""

    def __init__(self, bus: Bus, replica: str) -> None:
        self._status = bus.status()
        self._replica = replica
        self._objects: Lines = {}
        self._wanted: Mapping[str, Struct] = {}
        self._changed = asyncio.Event()

    def say(self, picture: Picture, revision: int, at_s: float) -> None:
        """From now on these are the lines; `revision` is the bucket's after the picture was written."""
        self._objects = object_lines(picture, self._objects, revision)
        progress = Progress(service=SERVICE, replica=self._replica, output=revision, at_s=at_s)
        self._wanted = {
            PROGRESS.key(SERVICE, self._replica): progress,
            **self._objects,
            **file_lines(picture),
        }
        self._changed.set()

    async def serve(self) -> NoReturn:
        """Write what changed at once, and everything again before it is too old."""
        written: dict[str, Struct] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._changed.wait()
            again = not self._changed.is_set()
            self._changed.clear()
            await self._write(written, again=again)

    async def _write(self, written: dict[str, Struct], *, again: bool) -> None:
        wanted = self._wanted
        for key, line in wanted.items():
            if again or written.get(key) != line:
                with courtesy(key):
                    await self._status.put(key, line)
                    written[key] = line
        for key in sorted(written.keys() - wanted.keys()):
            with courtesy(key):
                await self._status.delete(key)
                del written[key]
