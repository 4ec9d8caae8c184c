"""What the agent tells the bus: workloads, process lines, verdicts on users' objects.

One writer for all workloads, so that what changes together goes out together.
"""

import contextlib
from collections.abc import Collection, Mapping

import msgspec
import structlog

from osm.bus import BusError, StatusWriter, Writer
from osm.contracts.channels import LOCAL_WORKLOAD, PROCESS_STATUS
from osm.contracts.codec import Undecodable, decode
from osm.contracts.endpoints import LocalWorkload
from osm.contracts.problem import Problem
from osm.contracts.status import ProcessStatus
from osm.manifests.verdicts import Lines, problem, spoken, verdicts
from services.local.plan import Objects, Plan
from services.local.workload_reports import Report, WorkloadReports

KINDS = frozenset({"Deployment", "StatefulSet", "Pod"})
"""The kinds whose verdict is ours."""

log = structlog.get_logger()


class Publisher:
    """Writes what the board and the plan say."""

    def __init__(self, writer: Writer, status: StatusWriter, board: WorkloadReports) -> None:
        self._writer = writer
        self._status = status
        self._board = board
        self._found = Objects(kept={})
        self._problems: tuple[Problem, ...] = ()
        self._wanted: Collection[str] | None = None
        self._documents: dict[str, LocalWorkload] = {}
        self._processes: dict[str, ProcessStatus] = {}
        self._lines: Lines = {}
        self._revision = 0

    async def first(self) -> None:
        """The first full picture: what was taken over as it is, and all else that was published as not ready."""
        before = _published(self._writer.held())
        now = {LOCAL_WORKLOAD.key(id_): each.document for id_, each in sorted(self._board.reports.items())}
        gone = {key: msgspec.structs.replace(each, ready=False) for key, each in before.items() if key not in now}
        self._documents = now | gone
        self._revision = await self._writer.publish(self._documents)

    def judge(self, found: Objects, plan: Plan) -> None:
        """From now on this is planned. Before the first plan, nothing that is published is taken away; after it, what
        is published of a wanted workload stays until that reports."""
        self._found, self._problems, self._wanted = found, plan.problems, plan.workloads.keys()
        self._board.stir()

    async def run(self) -> None:
        """Endless."""
        while True:
            number = await self._board.change()
            await self._publish(dict(self._board.reports))
            await self._board.done(number)

    async def _publish(self, reports: Mapping[str, Report]) -> None:
        now = {LOCAL_WORKLOAD.key(id_): each.document for id_, each in sorted(reports.items())}
        stay = {key: each for key, each in self._documents.items() if self._wanted is None or each.id in self._wanted}
        now = stay | now
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
        now = verdicts("local", self._found, KINDS, [*self._problems, *self._complaints(reports)])
        lines, changed, gone = spoken(self._lines, now, self._revision)
        for key, line in changed.items():
            await self._status.put(key, line)
        for key in gone:
            await self._status.delete(key)
        self._lines = lines

    def _complaints(self, reports: Mapping[str, Report]) -> list[Problem]:
        return [
            problem(each.ref, self._found.kept[each.ref], complaint.field, complaint.what, complaint.severity)
            for _, each in sorted(reports.items())
            for complaint in each.complaints
            if each.ref in self._found.kept
        ]


def _published(held: Mapping[str, bytes]) -> dict[str, LocalWorkload]:
    """What an agent before us has published; what cannot be read is as good as gone."""
    found = {}
    for key, body in sorted(held.items()):
        with contextlib.suppress(Undecodable):
            found[key] = decode(LocalWorkload, body)
    return found
