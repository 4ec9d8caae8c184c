"""The lifecycle of one workload: starts the sidecar, then the programs; withdraws the endpoint, then stops them.

The order is the point. A program starts once its sidecar serves, so its first request finds the mesh. When it
must go, its endpoint goes first and is known to be gone, then it drains, then it is told to end, its sidecar last.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from osm.contracts.endpoints import Explicit, LocalWorkload
from osm.contracts.status import ProcessStatus
from osm.envoy.cleanup import SUFFIX
from osm.pki.files import private_folder
from services.local import surviving_processes
from services.local.app_sockets import door
from services.local.placement import Placement
from services.local.plan_types import Planned
from services.local.sidecar import RunsBeside
from services.local.supervise import Backoff, Place, State, Supervised
from services.local.workload_reports import Complaint, Report, WorkloadReports

_WORST_FIRST: tuple[State, ...] = ("failed", "backoff", "unready", "starting", "ready")


class WorkloadLifecycle:
    """A workload that runs."""

    def __init__(
        self,
        planned: Planned,
        sidecar: RunsBeside,
        board: WorkloadReports,
        *,
        folder: Path,
        placement: Placement,
        inherited: Mapping[str, str],
        drain_s: float,
        keep_running: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        """`keep_running`: it goes on when the agent ends, recorded so that the next one can `take_over`."""
        self.planned = planned
        self.stopping = False
        self._sidecar = sidecar
        self._placement = placement
        self._board = board
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._folder = folder
        self._keep_running = keep_running
        self._programs = [
            Supervised(
                program,
                Place(
                    folder=folder / "work",
                    log=folder / f"{program.name}.log",
                    inherited=inherited,
                    record=folder / f"app-{program.name}{SUFFIX}" if keep_running else None,
                    placement=placement,
                ),
                self._tell,
                backoff,
            )
            for program in planned.programs
        ]

    @property
    def ready(self) -> bool:
        return not self.stopping and self._sidecar.live.is_set() and all(each.ready for each in self._programs)

    @property
    def fingerprint(self) -> str:
        """Of what runs; empty if it must be replaced whatever is wanted."""
        return "" if self._sidecar.outdated else self.planned.fingerprint

    def take_over(self) -> None:
        """Go on with what an agent before us left of it. Before `run`."""
        self._sidecar.take_over()
        for each in self._programs:
            each.take_over()
        going = (self._sidecar.pid, *(each.pid for each in self._programs))
        inside = next((pid for pid in going if pid is not None), None)
        if inside is not None:
            self._placement.enter(inside)

    async def settled(self) -> None:
        """Wait until it is known how all that was taken over is. Only of use while `run` runs."""
        await self._sidecar.settled.wait()
        for each in self._programs:
            await each.settled.wait()

    def stop(self) -> None:
        """Begin to leave; `run` returns once all has ended."""
        self.stopping = True
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`, in order; when cancelled, all ends at once and within seconds, or goes on without us."""
        private_folder(self._folder / "work")
        await self._placement.open()
        try:
            await self._run_inside()
        finally:
            await self._placement.close()

    async def _run_inside(self) -> None:
        if self._keep_running:
            surviving_processes.write(self._folder, self.planned)
        async with asyncio.TaskGroup() as tasks:
            sidecar = tasks.create_task(self._sidecar.run(self._tell), name=f"{self.planned.id}: sidecar")
            running = [tasks.create_task(self._run(each), name=f"{self.planned.id}: app") for each in self._programs]
            self._tell()
            await self._stop.wait()
            await self._leave()
            for task in (*running, sidecar):
                task.cancel()
        surviving_processes.forget(self._folder)

    async def _run(self, program: Supervised) -> None:
        if not program.taken_over:
            await self._sidecar.live.wait()
        await program.run()

    async def _leave(self) -> None:
        self._tell()
        await self._board.flushed()
        if any(each.pid is not None for each in self._programs):
            await asyncio.sleep(self._drain_s)
        async with asyncio.TaskGroup() as ends:
            for each in self._programs:
                ends.create_task(each.stop(self.planned.grace_s))
        await self._sidecar.stop()

    def _tell(self) -> None:
        document = msgspec.structs.replace(self.planned.document, ready=self.ready)
        self._board.put(
            Report(ref=self.planned.ref, document=document, status=self._status(), complaints=self._complaints())
        )

    def _complaints(self) -> tuple[Complaint, ...]:
        return tuple(
            Complaint(field=f"{each.program.field}.{found.field}", what=found.what, severity=found.severity)
            for each in self._programs
            for found in each.troubles
        )

    def _status(self) -> ProcessStatus:
        worst = min(self._programs, key=lambda each: _WORST_FIRST.index(each.state))
        first = self._programs[0]
        sidecar_live = self._sidecar.live.is_set()
        state: State = worst.state
        if not sidecar_live and state == "ready":
            state = "unready"
        return ProcessStatus(
            workload=self.planned.id,
            state="unready" if self.stopping else state,
            app_pid=first.pid,
            envoy_pid=self._sidecar.pid,
            restarts=sum(each.restarts for each in self._programs),
            http_proxy=_http_proxy(self.planned.document),
            app_addresses=self._app_addresses(),
            why="stopping" if self.stopping else worst.why or ("" if sidecar_live else self._sidecar.why),
        )

    def _app_addresses(self) -> tuple[tuple[int, str], ...]:
        """Where their user reaches the apps themselves."""
        how = self.planned.document.interception
        if isinstance(how, Explicit):
            return tuple((each.target_port, str(each.app)) for each in how.inbound)
        return tuple((each.port, f"unix:{door(self._folder, each.port)}") for each in self.planned.listens)


def _http_proxy(document: LocalWorkload) -> str:
    how = document.interception
    return str(how.http_proxy) if isinstance(how, Explicit) else ""
