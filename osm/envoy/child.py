"""A program as a process in a session of its own, whose end is known at once: started here, or found running.

Not asyncio's: with uvloop that forks this process, with its gRPC threads and all its memory, where `Popen` does
neither (vfork). The kernel tells of the end through a process file descriptor (Linux 5.3 and newer), also of a
process that somebody else has started.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from osm.envoy import process_record
from osm.envoy.end_with_parent import tied_to_parent


class Running:
    """A process that is watched. `status` is its exit status, None while it runs and if nobody can know."""

    def __init__(self, pid: int, watched: int) -> None:
        """`watched` is the process's file descriptor, ours from now on."""
        self.pid = pid
        self.status: int | None = None
        self._ended = asyncio.Event()
        self._watched = watched
        asyncio.get_running_loop().add_reader(watched, self._heard)

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    async def ended(self) -> int | None:
        """Wait for the end; the exit status, negative for a signal."""
        await self._ended.wait()
        return self.status

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`, to the program and what it has started in its session."""
        if self.alive:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._ended.wait()
        self.signal(signal.SIGKILL)  # the program if it is still there, and children that outlived it
        await self._ended.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def release(self) -> None:
        """Watch it no more, and let it run."""
        if self.alive:
            self._close()

    def _heard(self) -> None:
        self._close()
        self._ended.set()

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)


class Child(Running):
    """A started program. What it prints is appended to its log."""

    _released: "list[subprocess.Popen[bytes]]" = []  # Popen warns of a process that is forgotten

    def __init__(self, process: "subprocess.Popen[bytes]", record: Path | None = None) -> None:
        super().__init__(process.pid, os.pidfd_open(process.pid))
        self._process = process
        self._record = record

    @classmethod
    def start(
        cls,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        record: Path | None = None,
    ) -> "Child":
        """It ends with this process, unless a `record` is written of it. Raises OSError if it cannot start."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                tied_to_parent(*command, record=record),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,  # a Ctrl-C at the terminal is for the agent, which stops things in order
            )
        return cls(process, record)

    async def ended(self) -> int:
        await self._ended.wait()
        return int(self._process.returncode)

    def release(self) -> None:
        """One that is not recorded ends instead: nobody would ever find it."""
        known = process_record.read(self._record) if self._record is not None else None
        if known is None or known.pid != self.pid:
            self.signal(signal.SIGKILL)
        if self.alive:
            self._released.append(self._process)
        super().release()

    def _heard(self) -> None:
        self.status = self._process.poll()
        if self.status is not None:
            super()._heard()


class Adopted(Running):
    """A process that somebody before us has started and recorded; its exit status is its parent's to know."""

    @classmethod
    def find(cls, record: Path) -> "Adopted | None":
        """The recorded process; None if it has ended, and what it had started has ended by then too."""
        known = process_record.read(record)
        if known is None:
            return None
        watched = process_record.open_process(known)
        if watched is None:
            process_record.reach([known], signal.SIGKILL)
            return None
        return cls(known.pid, watched)
