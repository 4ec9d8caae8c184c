"""One Envoy as a process: started or found running, live when it says so itself, stopped with a deadline.

Knows nothing of what the Envoy is for. It does not restart one that ended: its owner decides that.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from osm.envoy import admin
from osm.envoy.child import Adopted, Child, Running
from osm.envoy.draining import DRAINING

STOP_WITHIN_S = 5.0
"""An Envoy told to end does so in milliseconds unless it is stuck."""

LOG_READ_BYTES = 64 * 1024
"""Of an Envoy's log, to find why it ended: one that fails does so early."""

LIVE_POLL_S = 0.1
"""Envoy does not tell when it becomes live, so it is asked; only until it is."""


NO_INOTIFY = (
    "this user has no inotify instances left, of which each Envoy takes 2; "
    "run: sudo sysctl fs.inotify.max_user_instances=1024"
)
"""Linux allows 128 unless told otherwise: enough for some 60 Envoys."""


def last_words(log: str) -> str:
    """Why an Envoy ended, from what it has written to its log; empty if it does not say."""
    for line in log.splitlines():
        if "inotify_fd_ >= 0" in line:
            return NO_INOTIFY
        if "][critical][" in line and "backtrace" not in line:
            return line.split("] ")[-1]
    return ""


class Launch(Struct, frozen=True, kw_only=True):
    """What an Envoy is started with. The log file is appended to. With a `record` it may outlive this process."""

    program: Path
    bootstrap: Path
    admin: Path
    log: Path
    log_level: str = "warning"
    record: Path | None = None
    entered: Callable[[tuple[str, ...]], tuple[str, ...]] = tuple
    """What starts a command where this Envoy belongs."""
    opens_admin: bool = True
    """Whether it makes the socket `admin` itself; else that is there already, and leads to it."""

    def command(self) -> tuple[str, ...]:
        """One worker thread serves a sidecar well. No hot restart: without it nothing is left in shared memory."""
        envoy = (
            *(str(self.program), "--config-path", str(self.bootstrap)),
            *("--concurrency", "1", "--disable-hot-restart", *DRAINING),
            *("--log-path", str(self.log), "--log-level", self.log_level),
        )
        return self.entered(envoy)


class EnvoyProcess:
    """A running Envoy."""

    def __init__(self, launch: Launch, running: Running | None = None) -> None:
        """Starts it, unless it runs. Raises OSError if this machine cannot start one more process."""
        self.launch = launch
        self._log_start = launch.log.stat().st_size if launch.log.exists() else 0
        self._running = running or _start(launch)

    @classmethod
    def found(cls, launch: Launch) -> "EnvoyProcess | None":
        """The one that was launched so before and still runs."""
        running = Adopted.find(launch.record) if launch.record is not None else None
        return cls(launch, running) if running is not None else None

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def alive(self) -> bool:
        return self._running.alive

    async def ended(self) -> int | None:
        """Wait for the end; the exit status, negative for a signal, None if nobody can know."""
        return await self._running.ended()

    def last_words(self) -> str:
        """Why it ended, in a sentence; empty if its log does not say."""
        with self.launch.log.open("rb") as log:
            log.seek(self._log_start)
            return last_words(log.read(LOG_READ_BYTES).decode("utf-8", "replace"))

    async def live(self) -> None:
        """Wait until the Envoy has its first configuration and serves; does not return if it ends before."""
        while not await admin.is_live(self.launch.admin):  # noqa: ASYNC110  # another process tells no event
            await asyncio.sleep(LIVE_POLL_S)

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Ask it to end, and kill it if it has not after `within_s`."""
        await self._running.stop(within_s)

    def release(self) -> None:
        """Watch it no more, and let it run."""
        self._running.release()


def _start(launch: Launch) -> Child:
    if launch.opens_admin:
        launch.admin.unlink(missing_ok=True)
    return Child.start(
        launch.command(), environment={}, folder=launch.bootstrap.parent, log=launch.log, record=launch.record
    )
