"""Starts and stops workloads until what runs is what should run, step by step.

`rollout` decides the steps; here they are taken. A life that fails (not a program in it: that is started again) is a
fault of the machine or ours, and ends the agent.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from services.local.plan_types import Planned
from services.local.rollout import Runs, Wanted, steps
from services.local.workload_lifecycle import WorkloadLifecycle
from services.local.workload_reports import WorkloadReports

SETTLE_WITHIN_S = 3.0
"""Three answers of a probe, the usual patience with a program that was ready. Longer, and nobody hears of us."""


class Agent:
    """The lives of this machine's workloads. `begin` makes a life from what is planned.

    `surviving_processes` are those that an agent before us started: they go on until it is known what is wanted.
    """

    def __init__(
        self, begin: Callable[[Planned], WorkloadLifecycle], board: WorkloadReports, left: Iterable[Planned] = ()
    ) -> None:
        self.lives: dict[str, WorkloadLifecycle] = {}
        self._begin = begin
        self._board = board
        self._left = tuple(left)
        self._took_over = asyncio.Event()
        self._wanted: Mapping[str, Planned] | None = None
        self._stirred = asyncio.Event()

    def want(self, workloads: Mapping[str, Planned]) -> None:
        """From now on exactly these must run."""
        self._wanted = workloads
        self.stir()

    def stir(self) -> None:
        """Look again: a workload became ready, or was planned, or ended."""
        self._stirred.set()

    async def run(self) -> None:
        """Endless; when cancelled, all lives end."""
        async with asyncio.TaskGroup() as tasks:
            for planned in self._left:
                life = self._start(tasks, planned)
                life.take_over()
            self._took_over.set()
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                if self._wanted is not None:
                    self._step(tasks, self._wanted)

    async def settled(self) -> None:
        """Wait until it is known how all is that was left, or for SETTLE_WITHIN_S. Only of use while `run` runs."""
        await self._took_over.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_WITHIN_S):
                for life in tuple(self.lives.values()):
                    await life.settled()

    def _start(self, tasks: asyncio.TaskGroup, planned: Planned) -> WorkloadLifecycle:
        life = self.lives[planned.id] = self._begin(planned)
        tasks.create_task(self._live(planned.id, life), name=planned.id)
        return life

    def _step(self, tasks: asyncio.TaskGroup, workloads: Mapping[str, Planned]) -> None:
        wanted = {id_: Wanted(owner=each.ref, fingerprint=each.fingerprint) for id_, each in workloads.items()}
        runs = {
            id_: Runs(
                owner=life.planned.ref,
                fingerprint=life.fingerprint,
                ready=life.ready,
                stopping=life.stopping,
            )
            for id_, life in self.lives.items()
        }
        step = steps(wanted, runs)
        for id_ in step.stop:
            self.lives[id_].stop()
        for id_ in step.start:
            self._start(tasks, workloads[id_])
        # one that is replaced stays on the board, unready: its service and identity are not taken back and given again
        for id_ in self._board.reports.keys() - self.lives.keys() - wanted.keys():
            self._board.remove(id_)

    async def _live(self, id_: str, life: WorkloadLifecycle) -> None:
        try:
            await life.run()
        finally:
            del self.lives[id_]
            self.stir()
