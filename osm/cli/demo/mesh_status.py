"""What the services of a running mesh report, kept current, and waiting for it to say something."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from osm.bus import Bus
from osm.cli.propagation import Live, propagation
from osm.contracts.channels import PROCESS_STATUS, PROGRESS, PROXY_STATUS, State
from osm.contracts.status import ProcessStatus, Progress, ProxyStatus

T = TypeVar("T", bound=Struct)

PATIENCE_S = 30.0
"""A change is in force within a second; on a machine with much else to do it may take ten times as long, and more."""


class TooSlow(Exception):
    """What was waited for did not come in time; the message says what, and how far it had come."""


class MeshStatus:
    """The status bucket as it is now. `run` in a task group."""

    def __init__(self) -> None:
        self._lines: dict[str, Struct] = {}
        self._changed = asyncio.Event()

    async def run(self, bus: Bus) -> None:
        """Follow the bucket. Endless."""
        async for update in bus.watch("status"):
            if update.full:
                self._lines.clear()
            for document in update.documents:
                if document.value is not None:
                    self._lines[document.key] = document.value
                elif document.deleted:
                    self._lines.pop(document.key, None)
            self._changed.set()

    def lines(self, state: State[T]) -> list[T]:
        """All lines of one kind, by key."""
        return [
            value
            for key, value in sorted(self._lines.items())
            if isinstance(value, state.payload) and state.parse(key) is not None
        ]

    def processes(self) -> dict[str, ProcessStatus]:
        return {line.workload: line for line in self.lines(PROCESS_STATUS)}

    def proxies(self) -> list[ProxyStatus]:
        return self.lines(PROXY_STATUS)

    def revision(self, service: str) -> int:
        """The revision that a service has published last; 0 before its first word."""
        return max((line.output for line in self._progress() if line.service == service), default=0)

    def in_service(self, expected: int) -> bool:
        """Whether this many workloads are ready, each with a proxy in sync."""
        ready = {name for name, process in self.processes().items() if process.state == "ready"}
        synced = {proxy.proxy_id for proxy in self.proxies() if proxy.state == "synced"}
        return len(ready & synced) >= expected

    def how_far(self) -> str:
        """One phrase for a person who waits."""
        processes, proxies = self.processes().values(), self.proxies()
        synced = sum(proxy.state == "synced" for proxy in proxies)
        ready = sum(process.state == "ready" for process in processes)
        return f"{ready} of {len(processes)} workloads ready, {synced} of {len(processes)} proxies in sync"

    async def until(self, told: Callable[[], Any], what: str, timeout_s: float) -> None:
        """Wait until `told` is true of the board. Raises TooSlow."""
        deadline = time.monotonic() + timeout_s
        while not told():
            self._changed.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                raise TooSlow(f"{what}: not within {timeout_s:g} s ({self.how_far()})") from None

    async def live(self, bucket: str, after: int, timeout_s: float = PATIENCE_S) -> Live:
        """Wait until the first change of `bucket` past revision `after` is acknowledged by all. Raises TooSlow."""
        await self.until(lambda: self.revision(bucket) > after, f"a change of {bucket}", timeout_s)
        revision = self.revision(bucket)
        await self.until(
            lambda: isinstance(propagation(bucket, revision, self._progress()), Live),
            "the last acknowledgement",
            timeout_s,
        )
        found = propagation(bucket, revision, self._progress())
        assert isinstance(found, Live), "just waited for"
        return found

    def _progress(self) -> list[Progress]:
        return self.lines(PROGRESS)
