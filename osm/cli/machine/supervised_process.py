"""A child process that is restarted when it ends and stopped with a deadline, as kubelet does with containers.

It ends with its parent. Whether the service in it is healthy is not looked at.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import structlog

from osm.envoy.child import Child
from osm.runtime.restarts import Restarts
from osm.runtime.service import ServiceFailed

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Before it is started again: at once after a crash, rarely when it crashes for good."""

STEADY_S = 10.0
"""Having run for so long, its next crash is a first one."""

HOPELESS_STARTS = 5
"""A process that has never been steady and has ended so often will not come up: its user is told why."""

BAD_SETTING = 2
"""The exit status of a process that cannot be served by starting it again."""

LOG_END_BYTES = 600

log = structlog.get_logger()


class SupervisedProcess:
    """One process by name. `starts` counts them; `pid` is None between an end and the next start."""

    def __init__(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        folder: Path,
        grace_s: float,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.starts = 0
        self._command = command
        self._environment = environment
        self._folder = folder
        self._grace_s = grace_s
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.status is None else None

    async def run(self) -> NoReturn:
        """Until cancelled; it has ended by then. Raises ServiceFailed if its settings are wrong or it stays down."""
        loop = asyncio.get_running_loop()
        restarts = Restarts(first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S, steady_s=STEADY_S)
        while True:
            began_s = loop.time()
            status = await self._once()
            pause_s = restarts.pause_s(loop.time() - began_s)
            if status == BAD_SETTING or (not restarts.proven and self.starts >= HOPELESS_STARTS):
                raise ServiceFailed(self.name, self.last_words())
            log.warning("a piece has ended and is started again", piece=self.name, status=status, log=str(self.log))
            await asyncio.sleep(pause_s)

    async def _once(self) -> int:
        child = self._child = Child.start(
            self._command, environment=self._environment, folder=self._folder, log=self.log
        )
        self.starts += 1
        try:
            return await child.ended()
        finally:
            await child.stop(self._grace_s)

    def last_words(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_END_BYTES))
            return file.read().decode(errors="replace").strip().rpartition("\n")[2]
