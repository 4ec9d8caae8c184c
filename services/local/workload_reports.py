"""The latest report of each workload, kept until it has been published.

Between many workloads that change at their own pace and one writer of the bus. No input or output here.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from osm.contracts.endpoints import LocalWorkload
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Severity
from osm.contracts.status import ProcessStatus


class Complaint(Struct, frozen=True, kw_only=True, order=True):
    """Something the user must change in the manifest, seen while running."""

    field: str
    what: str
    severity: Severity = "error"


class Report(Struct, frozen=True, kw_only=True):
    """One workload's present state."""

    ref: ObjectRef
    document: LocalWorkload
    status: ProcessStatus
    complaints: tuple[Complaint, ...] = ()


class WorkloadReports:
    """All reports. `changed` wakes whoever waits; `flushed` waits until what is here now has been published."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self._listener: Callable[[], None] | None = None
        self._put = 0
        self._published = 0
        self._moved = asyncio.Condition()
        self._stirred = asyncio.Event()

    def on_put(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of a report."""
        self._listener = listener

    def put(self, report: Report) -> None:
        if self.reports.get(report.document.id) != report:
            self.reports[report.document.id] = report
            self.stir()

    def remove(self, id_: str) -> None:
        if self.reports.pop(id_, None) is not None:
            self.stir()

    def stir(self) -> None:
        """Wake the publisher: something else has changed that it publishes."""
        self._put += 1
        self._stirred.set()
        if self._listener is not None:
            self._listener()

    async def change(self) -> int:
        """Wait for a change; the number to pass to `done` once it is published."""
        await self._stirred.wait()
        self._stirred.clear()
        return self._put

    async def done(self, number: int) -> None:
        """All changes up to this one are published."""
        async with self._moved:
            self._published = number
            self._moved.notify_all()

    async def flushed(self) -> None:
        """Wait until all that was put before this call is published."""
        number = self._put
        async with self._moved:
            await self._moved.wait_for(lambda: self._published >= number)
