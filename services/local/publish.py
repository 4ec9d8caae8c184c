"""What the agent tells the bus: workloads, process lines, verdicts on users' objects.

One writer for all workloads, so that what changes together goes out together.
"""

from collections.abc import Mapping

import structlog

from osm.bus import BusError, StatusWriter, Writer
from osm.contracts.channels import LOCAL_WORKLOAD, PROCESS_STATUS
from osm.contracts.endpoints import LocalWorkload
from osm.contracts.problem import Problem
from osm.contracts.status import ProcessStatus
from osm.manifests.verdicts import Lines, problem, spoken, verdicts
from services.local.board import Board, Report
from services.local.plan import Objects

KINDS = frozenset({"Deployment", "StatefulSet", "Pod"})
"""The kinds whose verdict is ours."""

log = structlog.get_logger()


class Publisher:
    """Writes what the board and the plan say. `found` and `problems` are the plan's, set by whoever plans."""

    def __init__(self, writer: Writer, status: StatusWriter, board: Board) -> None:
        self.found = Objects(kept={})
        self.problems: tuple[Problem, ...] = ()
        self._writer = writer
        self._status = status
        self._board = board
        self._documents: dict[str, LocalWorkload] = {}
        self._processes: dict[str, ProcessStatus] = {}
        self._lines: Lines = {}
        self._revision = 0

    async def first(self) -> None:
        """The first full picture: what an agent before us ran has ended with it."""
        self._revision = await self._writer.publish({})

    async def run(self) -> None:
        """Endless."""
        while True:
            number = await self._board.change()
            await self._publish(dict(self._board.reports))
            await self._board.done(number)

    async def _publish(self, reports: Mapping[str, Report]) -> None:
        now = {LOCAL_WORKLOAD.key(id_): each.document for id_, each in sorted(reports.items())}
        puts = {key: document for key, document in now.items() if self._documents.get(key) != document}
        gone = sorted(self._documents.keys() - now.keys())
        if puts or gone:
            self._revision = await self._writer.apply(puts, gone)
        self._documents = now
        try:
            await self._report(reports)
        except BusError as error:  # status is a courtesy
            log.warning("status not written", why=str(error))

    async def _report(self, reports: Mapping[str, Report]) -> None:
        processes = {PROCESS_STATUS.key(id_): each.status for id_, each in sorted(reports.items())}
        for key, process in processes.items():
            if self._processes.get(key) != process:
                await self._status.put(key, process)
        for key in sorted(self._processes.keys() - processes.keys()):
            await self._status.delete(key)
        self._processes = processes
        now = verdicts("local", self.found, KINDS, [*self.problems, *self._complaints(reports)])
        lines, changed, gone = spoken(self._lines, now, self._revision)
        for key, line in changed.items():
            await self._status.put(key, line)
        for key in gone:
            await self._status.delete(key)
        self._lines = lines

    def _complaints(self, reports: Mapping[str, Report]) -> list[Problem]:
        return [
            problem(each.ref, self.found.kept[each.ref], complaint.field, complaint.what, complaint.severity)
            for _, each in sorted(reports.items())
            for complaint in each.complaints
            if each.ref in self.found.kept
        ]
