"""One program of a workload: started or taken over, started again when it ends, watched for readiness, stopped.

Its end is known at once (the kernel tells), so a crash makes it unready without waiting for a probe. What a user must
change is said as a `ProgramProblem`; a process started again may find the cause gone, and then the trouble goes too.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from osm.envoy.child import Adopted, Child, Running
from services.local import listeners, logs, probe, program_problems
from services.local.placement import OnMachine, Placement
from services.local.plan_types import Check, Program
from services.local.program_problems import ProgramProblem

State = Literal["starting", "ready", "unready", "backoff", "failed"]

END_WITHIN_S = 3.0
"""When the whole agent ends, whatever grace the manifest gives: the agent itself is killed after 15 s."""


class Backoff(Struct, frozen=True, kw_only=True):
    """Pauses before starting again, doubling; one that ran for `steady_s` begins anew. Kubernetes waits 10 s at first;
    the author of an app who sits before this machine should not."""

    first_s: float = 0.25
    most_s: float = 30.0
    steady_s: float = 30.0

    def pause_s(self, crashes: int) -> float:
        """After so many ends in a row (from 1)."""
        return float(min(self.most_s, self.first_s * 2 ** min(crashes - 1, 16)))


class Place(Struct, frozen=True, kw_only=True):
    """Where a program runs: working directory, log file, and what it needs of the machine.

    `record` is where it is written down to be found again; None if it ends with the agent.
    """

    folder: Path
    log: Path
    inherited: Mapping[str, str]
    record: Path | None = None
    placement: Placement = OnMachine()


class Supervised:
    """A program and its present state; `changed` is called after every change of it."""

    def __init__(
        self, program: Program, place: Place, changed: Callable[[], None], backoff: Backoff | None = None
    ) -> None:
        self.program = program
        self.state: State = "starting"
        self.why = ""
        self.restarts = 0
        self.problem: ProgramProblem | None = None
        self.ignores_proxy: ProgramProblem | None = None
        self._place = place
        self._changed = changed
        self._backoff = backoff or Backoff()
        self._child: Running | None = None
        self._left: Adopted | None = None
        self.settled = asyncio.Event()
        self.settled.set()
        self._stopping = asyncio.Event()
        self._hopeless = False
        self._log_start = 0

    @property
    def ready(self) -> bool:
        return self.state == "ready"

    @property
    def troubles(self) -> tuple[ProgramProblem, ...]:
        """All that its user should know."""
        return tuple(each for each in (self.problem, self.ignores_proxy) if each is not None)

    @property
    def pid(self) -> int | None:
        running = self._child or self._left
        return running.pid if running is not None else None

    def take_over(self) -> None:
        """Go on with the program that an agent before us left; `settled` is set once it is known how it is."""
        self._left = Adopted.find(self._place.record) if self._place.record is not None else None
        if self._left is not None:
            self.settled.clear()

    @property
    def taken_over(self) -> bool:
        """Whether there is a program to go on with, not to start."""
        return self._left is not None

    async def run(self) -> None:
        """Keep the program running until `stop`; when cancelled, end it within END_WITHIN_S or leave it, recorded."""
        loop = asyncio.get_running_loop()
        crashes = 0
        while not self._stopping.is_set():
            began_s = loop.time()
            what = await self._once()
            if self._stopping.is_set():
                return
            crashes = 1 if loop.time() - began_s >= self._backoff.steady_s else crashes + 1
            self._become("failed" if self.problem is not None else "backoff", what)
            pause_s = None if self._hopeless else self._backoff.pause_s(crashes)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            self.restarts += 1

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`, to the program and its children. `run` then returns."""
        self._stopping.set()
        running = self._child or self._left
        if running is not None:
            await running.stop(grace_s)

    async def _once(self) -> str:
        """From start to end; what there is to say of the end."""
        left, self._left = self._left, None
        self._log_start = self._place.log.stat().st_size if self._place.log.exists() else 0
        if left is not None:
            return await self._to_its_end(left, left_by_another=True)
        environment = self._environment()
        if shutil.which(self.program.argv[0], path=environment["PATH"]) is None:
            what = f'there is no program "{self.program.argv[0]}" on this machine; it was looked for in PATH'
            self.problem = ProgramProblem(field="command[0]", what=what)
            return what
        try:
            child = Child.start(
                self._place.placement.for_app(self.program.argv),
                environment=environment,
                folder=self._place.folder,
                log=self._place.log,
                record=self._place.record,
            )
        except OSError as error:
            return f"could not be started: {error}"
        return await self._to_its_end(child)

    async def _to_its_end(self, child: Running, *, left_by_another: bool = False) -> str:
        self._child = child
        try:
            return await self._watched(child, left_by_another=left_by_another)
        finally:
            if self._place.record is not None and child.alive and not self._stopping.is_set():
                child.release()
            else:
                await child.stop(END_WITHIN_S)
            self._child = None
            self.settled.set()

    def _environment(self) -> dict[str, str]:
        return {**self._place.inherited, **dict(self.program.platform), **dict(self.program.own)}

    async def _watched(self, child: Running, *, left_by_another: bool) -> str:
        check = self.program.check
        if check is None:
            self.problem = None
            self._become("ready", "")
            self.settled.set()
        else:
            self._become("starting", "")
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(self._listen())]
            if check is not None:
                told = self._heard(child, check)
                watching.append(
                    tasks.create_task(
                        probe.watch(check, told, goes_on=left_by_another, connect=self._place.placement.connect)
                    )
                )
            status = await child.ended()
            for task in watching:
                task.cancel()
        if not self._hopeless:
            self.problem = program_problems.why_it_ended(self._words(), self.program)
        if self.problem is not None:
            return self.problem.what
        return f"{_end(status)}; its last words are in {self._place.log}"

    def _words(self) -> str:
        return logs.tail(self._place.log, self._log_start)

    async def _listen(self) -> None:
        """Now and then, what it says itself; once it has named a trouble, that stays as long as it runs."""
        self.ignores_proxy = None
        while self.ignores_proxy is None:
            await asyncio.sleep(program_problems.LISTEN_EVERY_S)
            self.ignores_proxy = program_problems.ignores_proxy(self._words(), self.program)
        self._changed()

    def _heard(self, child: Running, check: Check) -> Callable[[bool, str], None]:
        """What to do with each answer of the probe."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answers = 0

        def heard(ready: bool, why: str) -> None:  # noqa: FBT001  # the answer itself
            nonlocal answers
            answers += 1
            if self._stopping.is_set() or not child.alive:
                return
            if ready and not self.ready and self._accused(child.pid):
                child.signal(signal.SIGKILL)
            elif ready:
                self.problem = None
                self._become("ready", "")
            else:
                if loop.time() - began_s > program_problems.LISTEN_WITHIN_S and why.startswith("nothing listens"):
                    self.problem = program_problems.never_listened(self.program, why)
                self._become("unready" if self.state in ("ready", "unready") else "starting", why)
            if ready or answers >= check.failures:
                self.settled.set()

        return heard

    def _accused(self, pid: int) -> bool:
        """Whether the program has taken its sidecar's address too. Starting it again would not help."""
        port = listeners.took_wildcard(pid, [each.port for each in self.program.listens])
        if port is None:
            return False
        self.problem, self._hopeless = program_problems.took_wildcard(self.program, port), True
        return True

    def _become(self, state: State, why: str) -> None:
        if (self.state, self.why) != (state, why):
            self.state, self.why = state, why
            self._changed()


def _end(status: int | None) -> str:
    if status is None:
        return "ended"  # it was not our child, so how it ended is not ours to know
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
