"""What should run against what runs: begins and ends the lives of workloads, step by step.

`rollout` decides the steps; here they are taken. A life that fails (not a program in it: that is started again) is a
fault of the machine or ours, and ends the agent.
"""

import asyncio
from collections.abc import Callable, Mapping

from services.local.board import Board
from services.local.life import Life
from services.local.planned import Planned
from services.local.rollout import Runs, Wanted, steps


class Agent:
    """The lives of this machine's workloads. `begin` makes a life from what is planned."""

    def __init__(self, begin: Callable[[Planned], Life], board: Board) -> None:
        self.lives: dict[str, Life] = {}
        self._begin = begin
        self._board = board
        self._wanted: Mapping[str, Planned] = {}
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
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                self._step(tasks)

    def _step(self, tasks: asyncio.TaskGroup) -> None:
        wanted = {id_: Wanted(owner=each.ref, fingerprint=each.fingerprint) for id_, each in self._wanted.items()}
        runs = {
            id_: Runs(
                owner=life.planned.ref,
                fingerprint=life.planned.fingerprint,
                ready=life.ready,
                stopping=life.stopping,
            )
            for id_, life in self.lives.items()
        }
        step = steps(wanted, runs)
        for id_ in step.stop:
            self.lives[id_].stop()
        for id_ in step.start:
            self.lives[id_] = self._begin(self._wanted[id_])
            tasks.create_task(self._live(id_, self.lives[id_]), name=id_)
        # one that is replaced stays on the board, unready: its service and identity are not taken back and given again
        for id_ in self._board.reports.keys() - self.lives.keys() - wanted.keys():
            self._board.remove(id_)

    async def _live(self, id_: str, life: Life) -> None:
        try:
            await life.run()
        finally:
            del self.lives[id_]
            self.stir()
