"""A child process on a leash, in a session of its own, whose end is known at once.

Not asyncio's: with uvloop that forks this process, with its gRPC threads and all its memory, where `Popen` does
neither (vfork). The kernel tells of the end through a process file descriptor (Linux 5.3 and newer).
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from osm.envoy.leash import leashed


class Child:
    """A started program. What it prints is appended to its log."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.Event()
        self._watched = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._watched, self._reap)

    @classmethod
    def start(cls, command: tuple[str, ...], *, environment: Mapping[str, str], folder: Path, log: Path) -> "Child":
        """Raises OSError if this machine cannot start one more process."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                leashed(*command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,  # a Ctrl-C at the terminal is for the agent, which stops things in order
            )
        return cls(process)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for the end; the exit status."""
        await self._ended.wait()
        return int(self._process.returncode)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`, to the program and what it has started in its session."""
        if not self._ended.is_set():
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._ended.wait()
        self.signal(signal.SIGKILL)  # the program if it is still there, and children that outlived it
        await self._ended.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _reap(self) -> None:
        if self._process.poll() is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            os.close(self._watched)
            self._ended.set()
