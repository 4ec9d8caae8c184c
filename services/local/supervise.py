"""One program of a workload: started, started again when it ends, watched for readiness, stopped with grace.

Its end is known at once (the kernel tells), so a crash makes it unready without waiting for a probe. What a user must
change is said as a `Trouble`; a process started again may find the cause gone, and then the trouble goes too.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from osm.contracts.problem import Severity
from osm.envoy.child import Child
from services.local import listeners, logs, probe
from services.local.planned import Program

State = Literal["starting", "ready", "unready", "backoff", "failed"]

LISTEN_WITHIN_S = 15.0
"""A program that does not listen after this is told to its user; slow ones get ready all the same."""

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


class Trouble(Struct, frozen=True, kw_only=True):
    """What the user must change; `field` is a path below the container's."""

    field: str
    what: str
    severity: Severity = "error"


class Place(Struct, frozen=True, kw_only=True):
    """Where a program runs: working directory, log file, and what it needs of the machine."""

    folder: Path
    log: Path
    inherited: Mapping[str, str]


class Supervised:
    """A program and its present state; `changed` is called after every change of it."""

    def __init__(
        self, program: Program, place: Place, changed: Callable[[], None], backoff: Backoff | None = None
    ) -> None:
        self.program = program
        self.state: State = "starting"
        self.why = ""
        self.restarts = 0
        self.trouble: Trouble | None = None
        self._place = place
        self._changed = changed
        self._backoff = backoff or Backoff()
        self._child: Child | None = None
        self._stopping = asyncio.Event()
        self._hopeless = False
        self._log_start = 0

    @property
    def ready(self) -> bool:
        return self.state == "ready"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def run(self) -> None:
        """Keep the program running until `stop`; when cancelled, end it within END_WITHIN_S."""
        loop = asyncio.get_running_loop()
        crashes = 0
        while not self._stopping.is_set():
            began_s = loop.time()
            what = await self._once()
            if self._stopping.is_set():
                return
            crashes = 1 if loop.time() - began_s >= self._backoff.steady_s else crashes + 1
            self._become("failed" if self.trouble is not None else "backoff", what)
            pause_s = None if self._hopeless else self._backoff.pause_s(crashes)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            self.restarts += 1

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`, to the program and its children. `run` then returns."""
        self._stopping.set()
        if self._child is not None:
            await self._child.stop(grace_s)

    async def _once(self) -> str:
        """From start to end; what there is to say of the end."""
        environment = self._environment()
        if shutil.which(self.program.argv[0], path=environment["PATH"]) is None:
            what = f'there is no program "{self.program.argv[0]}" on this machine; it was looked for in PATH'
            self.trouble = Trouble(field="command[0]", what=what)
            return what
        self._log_start = self._place.log.stat().st_size if self._place.log.exists() else 0
        try:
            child = self._child = Child.start(
                self.program.argv, environment=environment, folder=self._place.folder, log=self._place.log
            )
        except OSError as error:
            return f"could not be started: {error}"
        try:
            return await self._watched(child)
        finally:
            await child.stop(END_WITHIN_S)
            self._child = None

    def _environment(self) -> dict[str, str]:
        return {**self._place.inherited, **dict(self.program.platform), **dict(self.program.own)}

    async def _watched(self, child: Child) -> str:
        if self.program.check is None:
            self.trouble = None
            self._become("ready", "")
            status = await child.ended()
        else:
            self._become("starting", "")
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(probe.watch(self.program.check, self._heard(child)))
                status = await child.ended()
                watching.cancel()
        if not self._hopeless:
            self.trouble = _why_it_ended(logs.tail(self._place.log, self._log_start), self.program)
        what = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
        return self.trouble.what if self.trouble is not None else f"{what}; its last words are in {self._place.log}"

    def _heard(self, child: Child) -> Callable[[bool, str], None]:
        """What to do with each answer of the probe."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        def heard(ready: bool, why: str) -> None:  # noqa: FBT001  # the answer itself
            if self._stopping.is_set() or child.status is not None:
                return
            if ready and not self.ready and self._accused(child.pid):
                child.signal(signal.SIGKILL)
            elif ready:
                self.trouble = None
                self._become("ready", "")
            else:
                if loop.time() - began_s > LISTEN_WITHIN_S and why.startswith("nothing listens"):
                    self.trouble = _never_listened(self.program, why)
                self._become("unready" if self.state in ("ready", "unready") else "starting", why)

        return heard

    def _accused(self, pid: int) -> bool:
        """Whether the program has taken its sidecar's address too. Starting it again would not help."""
        port = listeners.took_wildcard(pid, [each.port for each in self.program.listens])
        if port is None:
            return False
        self.trouble, self._hopeless = _took_wildcard(self.program, port), True
        return True

    def _become(self, state: State, why: str) -> None:
        if (self.state, self.why) != (state, why):
            self.state, self.why = state, why
            self._changed()


def _took_wildcard(program: Program, port: int) -> Trouble:
    what = (
        f"the program listens on 0.0.0.0:{port}, and so on its sidecar's address too; {_bind_there(program)}; "
        "it was stopped, and starts again when the manifest changes"
    )
    return Trouble(field="ports", what=what)


def _never_listened(program: Program, why: str) -> Trouble:
    return Trouble(field="ports", what=f"{why} after {LISTEN_WITHIN_S:g} s; {_bind_there(program)}", severity="warning")


def _why_it_ended(last_words: str, program: Program) -> Trouble | None:
    words = last_words.lower()
    if "address already in use" not in words and "eaddrinuse" not in words and "address in use" not in words:
        return None
    ports = ", ".join(str(each.port) for each in program.listens) or "its port"
    return Trouble(
        field="ports",
        what=f"the program found {ports} taken; a sidecar has that port on another address: {_bind_there(program)}",
    )


def _bind_there(program: Program) -> str:
    host = program.listens[0].host if program.listens else "its own address"
    line = "- {name: BIND_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}"
    return f"let it listen on {host} alone: add `{line}` to its env and use that, or read OSM_BIND_HOST"
